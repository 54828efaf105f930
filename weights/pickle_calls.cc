// The opcodes that call, construct or load in Python: here each of a few known
// calls is replaced by the value that it would give.
#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "weights/pickle_globals.h"
#include "weights/pickle_machine.h"

namespace promptd::weights {
namespace {

using Kind = PickleValue::Kind;

constexpr size_t kMaxRank = 8;
constexpr size_t kMaxKeyDigits = 9;

bool IsDigits(absl::string_view text) {
  return !text.empty() && text.size() <= kMaxKeyDigits &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isdigit(static_cast<unsigned char>(c));
         });
}

// Where the tensor was when it was saved, e.g. "cuda:0". "meta" has no data.
bool IsDevice(absl::string_view text) {
  for (const absl::string_view device : {"cpu", "cuda", "mps", "xpu"}) {
    absl::string_view rest = text;
    if (!absl::StartsWith(rest, device)) continue;
    rest.remove_prefix(device.size());
    if (rest.empty()) return true;
    return rest[0] == ':' && IsDigits(rest.substr(1));
  }
  return false;
}

}  // namespace

absl::Status PickleMachine::Reduce() {
  ASSIGN_OR_RETURN(const PickleId tuple, Take());
  ASSIGN_OR_RETURN(const PickleId function, Take());
  if (!Is(function, Kind::kGlobal) || !Is(tuple, Kind::kTuple)) {
    return Error("PICKLE_FORBIDDEN_CALL", "calls what is not a known global");
  }
  const std::vector<PickleId> arguments = at(tuple).items;
  const std::string name = at(function).text;
  const auto bad = [&] {
    return Error("PICKLE_FORBIDDEN_CALL",
                 absl::StrCat("call of ", absl::CHexEscape(name.substr(0, 80)),
                              " with arguments that torch does not write"));
  };
  const size_t count = arguments.size();
  switch (static_cast<PickleGlobal>(at(function).integer)) {
    case PickleGlobal::kRebuildTensor:
      return RebuildTensor(arguments);
    case PickleGlobal::kRebuildParameter:
      // (tensor, requires_grad, backward_hooks)
      if (count != 3 || !Is(arguments[0], Kind::kTensor) ||
          !Is(arguments[1], Kind::kBool) || !IsEmptyDict(arguments[2])) {
        return bad();
      }
      return PushId(arguments[0]);
    case PickleGlobal::kOrderedDict: {
      if (count != 0) return bad();
      PickleValue dict;
      dict.kind = Kind::kDict;
      return Push(std::move(dict));
    }
    case PickleGlobal::kSize:
      if (count != 1 || !Is(arguments[0], Kind::kTuple)) return bad();
      return PushId(arguments[0]);
    case PickleGlobal::kDevice:
      if (count < 1 || count > 2 || !Is(arguments[0], Kind::kString)) {
        return bad();
      }
      return PushId(arguments[0]);
    case PickleGlobal::kTypedList:
      if (count != 1 || !Is(arguments[0], Kind::kList)) return bad();
      return PushId(arguments[0]);
    case PickleGlobal::kTypeTag:
      if (count != 2 || !Is(arguments[1], Kind::kString)) return bad();
      return PushId(arguments[0]);
    case PickleGlobal::kUnread: {
      PickleValue unread;
      unread.kind = Kind::kUnread;
      return Push(std::move(unread));
    }
    case PickleGlobal::kStorageType:
    case PickleGlobal::kDType:
    case PickleGlobal::kModuleClass:
      break;
  }
  return bad();
}

// (storage, offset, shape, strides, requires_grad, backward_hooks[, metadata]).
// Metadata could say that the values are to be negated or conjugated.
absl::Status PickleMachine::RebuildTensor(
    const std::vector<PickleId>& arguments) {
  const size_t count = arguments.size();
  if (count < 6 || count > 7 || !Is(arguments[0], Kind::kStorage) ||
      !Is(arguments[1], Kind::kInt) || !Is(arguments[4], Kind::kBool) ||
      !IsEmptyDict(arguments[5]) ||
      (count == 7 && !Is(arguments[6], Kind::kNone) &&
       !IsEmptyDict(arguments[6]))) {
    return Error("PICKLE_BAD_TENSOR",
                 "a tensor with arguments that torch does not write");
  }
  PickleTensor tensor;
  tensor.storage =
      document_.storages[static_cast<size_t>(at(arguments[0]).integer)];
  tensor.offset = at(arguments[1]).integer;
  ASSIGN_OR_RETURN(tensor.shape, Numbers(arguments[2]));
  ASSIGN_OR_RETURN(tensor.strides, Numbers(arguments[3]));
  if (tensor.offset < 0 || tensor.shape.size() != tensor.strides.size()) {
    return Error("PICKLE_BAD_TENSOR",
                 "a negative offset, or other strides than dimensions");
  }
  PickleValue value;
  value.kind = Kind::kTensor;
  value.integer = static_cast<int64_t>(document_.tensors.size());
  document_.tensors.push_back(std::move(tensor));
  return Push(std::move(value));
}

absl::StatusOr<std::vector<int64_t>> PickleMachine::Numbers(
    PickleId tuple) const {
  std::vector<int64_t> numbers;
  bool good = Is(tuple, Kind::kTuple) && at(tuple).items.size() <= kMaxRank;
  for (size_t i = 0; good && i < at(tuple).items.size(); ++i) {
    const PickleValue& number = at(at(tuple).items[i]);
    good = number.kind == Kind::kInt && number.integer >= 0;
    numbers.push_back(number.integer);
  }
  if (good) return numbers;
  return Error("PICKLE_BAD_TENSOR",
               absl::StrCat("shape and strides are tuples of at most ",
                            kMaxRank, " integers, none negative"));
}

bool PickleMachine::IsEmptyDict(PickleId id) const {
  return Is(id, Kind::kDict) && at(id).items.empty();
}

absl::Status PickleMachine::NewObject() {
  ASSIGN_OR_RETURN(const PickleId arguments, Take());
  ASSIGN_OR_RETURN(const PickleId of_class, Take());
  const auto names = [&](PickleGlobal global) {
    return Is(of_class, Kind::kGlobal) &&
           at(of_class).integer == static_cast<int64_t>(global);
  };
  const bool empty = Is(arguments, Kind::kTuple) && at(arguments).items.empty();
  if (empty && names(PickleGlobal::kUnread)) {
    PickleValue unread;
    unread.kind = Kind::kUnread;
    return Push(std::move(unread));
  }
  if (!empty || !names(PickleGlobal::kModuleClass)) {
    return Error("PICKLE_FORBIDDEN_CALL",
                 "constructs what is not a TorchScript module");
  }
  PickleValue module;
  module.kind = Kind::kModule;
  module.text = at(of_class).text;
  RETURN_IF_ERROR(CountString(module.text));
  return Push(std::move(module));
}

absl::Status PickleMachine::Build() {
  ASSIGN_OR_RETURN(const PickleId state, Take());
  if (stack_.empty() || stack_.back() == kMark) {
    return Error("PICKLE_BAD_STACK", "needs a value that is not there");
  }
  const PickleId target = stack_.back();
  if (Is(target, Kind::kUnread)) return absl::OkStatus();
  if (!Is(state, Kind::kDict)) {
    return Error("PICKLE_FORBIDDEN_CALL", "sets a state that is not a dict");
  }
  // A state dict carries its "_metadata" this way: versions of modules.
  if (Is(target, Kind::kDict)) return absl::OkStatus();
  if (!Is(target, Kind::kModule) || !at(target).items.empty()) {
    return Error("PICKLE_FORBIDDEN_CALL",
                 "sets the state of what is not a new module");
  }
  const std::vector<PickleId> attributes = at(state).items;
  for (size_t i = 0; i < attributes.size(); i += 2) {
    if (!Is(attributes[i], Kind::kString)) {
      return Error("PICKLE_BAD_VALUE", "an attribute's name is not a string");
    }
  }
  return Extend(target, attributes);
}

// ("storage", type, key, device, elements)
absl::Status PickleMachine::PersistentId() {
  ASSIGN_OR_RETURN(const PickleId tuple, Take());
  const auto bad = [&] {
    return Error("PICKLE_BAD_STORAGE",
                 "not (\"storage\", type, key of digits, device, elements) as "
                 "torch writes it");
  };
  if (!Is(tuple, Kind::kTuple) || at(tuple).items.size() != 5) return bad();
  const std::vector<PickleId>& parts = at(tuple).items;
  if (!Is(parts[0], Kind::kString) || at(parts[0]).text != "storage" ||
      !Is(parts[1], Kind::kGlobal) || !Is(parts[2], Kind::kString) ||
      !IsDigits(at(parts[2]).text) || !Is(parts[3], Kind::kString) ||
      !IsDevice(at(parts[3]).text) || !Is(parts[4], Kind::kInt) ||
      at(parts[4]).integer < 0) {
    return bad();
  }
  const std::optional<ElementType> type = StorageElementType(at(parts[1]).text);
  if (!type) return bad();
  PickleValue value;
  value.kind = Kind::kStorage;
  value.integer = static_cast<int64_t>(document_.storages.size());
  document_.storages.push_back(
      {at(parts[2]).text, *type, at(parts[4]).integer});
  return Push(std::move(value));
}

}  // namespace promptd::weights
