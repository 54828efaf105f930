#include "weights/pickle_machine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "weights/pickle_globals.h"

namespace promptd::weights {

using Kind = PickleValue::Kind;

absl::Status PickleMachine::Error(absl::string_view reason,
                                  absl::string_view what) const {
  return MakeError(
      absl::StatusCode::kInvalidArgument, reason,
      absl::StrFormat("%s: at offset %d: opcode %s (0x%02x): %s", source_,
                      offset_, opcode_name_, opcode_, what));
}

absl::Status PickleMachine::PushId(PickleId id) {
  if (stack_.size() >= static_cast<size_t>(limits_.max_stack)) {
    return Error(
        "PICKLE_TOO_LARGE",
        absl::StrCat("more than ", limits_.max_stack, " values on the stack"));
  }
  stack_.push_back(id);
  return absl::OkStatus();
}

absl::Status PickleMachine::Push(PickleValue value) {
  if (document_.values.size() >= static_cast<size_t>(limits_.max_values)) {
    return Error("PICKLE_TOO_LARGE",
                 absl::StrCat("more than ", limits_.max_values, " values"));
  }
  document_.values.push_back(std::move(value));
  return PushId(static_cast<PickleId>(document_.values.size()) - 1);
}

absl::Status PickleMachine::PushInt(int64_t integer) {
  PickleValue value;
  value.kind = Kind::kInt;
  value.integer = integer;
  return Push(std::move(value));
}

absl::Status PickleMachine::CountString(absl::string_view text) {
  string_bytes_ += static_cast<int64_t>(text.size());
  if (string_bytes_ <= limits_.max_string_bytes) return absl::OkStatus();
  return Error("PICKLE_TOO_LARGE",
               absl::StrCat("strings of more than ", limits_.max_string_bytes,
                            " bytes"));
}

absl::Status PickleMachine::PushString(Kind kind, absl::string_view text) {
  RETURN_IF_ERROR(CountString(text));
  PickleValue value;
  value.kind = kind;
  value.text = std::string(text);
  return Push(std::move(value));
}

absl::Status PickleMachine::PushMark() { return PushId(kMark); }

absl::Status PickleMachine::PushGlobal(absl::string_view module,
                                       absl::string_view name) {
  const std::optional<PickleGlobal> global = FindPickleGlobal(module, name);
  if (!global) {
    return Error(
        "PICKLE_FORBIDDEN_GLOBAL",
        absl::StrCat("global \"", absl::CHexEscape(module.substr(0, 80)), ".",
                     absl::CHexEscape(name.substr(0, 80)),
                     "\" is not allowed: weights need none but "
                     "torch's own"));
  }
  PickleValue value;
  value.kind = Kind::kGlobal;
  value.text = absl::StrCat(module, ".", name);
  value.integer = static_cast<int64_t>(*global);
  RETURN_IF_ERROR(CountString(value.text));
  return Push(std::move(value));
}

absl::Status PickleMachine::PushStackGlobal() {
  ASSIGN_OR_RETURN(const PickleId name, Take());
  ASSIGN_OR_RETURN(const PickleId module, Take());
  if (!Is(name, Kind::kString) || !Is(module, Kind::kString)) {
    return Error("PICKLE_BAD_STACK", "needs two strings");
  }
  // Copies: a push may move the values.
  const std::string module_text = at(module).text, name_text = at(name).text;
  return PushGlobal(module_text, name_text);
}

absl::StatusOr<PickleId> PickleMachine::Take() {
  if (stack_.empty() || stack_.back() == kMark) {
    return Error("PICKLE_BAD_STACK", "needs a value that is not there");
  }
  const PickleId id = stack_.back();
  stack_.pop_back();
  return id;
}

absl::StatusOr<std::vector<PickleId>> PickleMachine::TakeToMark() {
  const auto mark = std::find(stack_.rbegin(), stack_.rend(), kMark);
  if (mark == stack_.rend()) return Error("PICKLE_BAD_STACK", "needs a mark");
  std::vector<PickleId> values(mark.base(), stack_.end());
  stack_.erase(mark.base() - 1, stack_.end());
  return values;
}

absl::StatusOr<PickleId> PickleMachine::Top(Kind kind) {
  if (stack_.empty() || stack_.back() == kMark || !Is(stack_.back(), kind)) {
    return Error("PICKLE_BAD_STACK",
                 "the value below is not of the kind it needs");
  }
  return stack_.back();
}

absl::Status PickleMachine::Pop() {
  if (stack_.empty()) {
    return Error("PICKLE_BAD_STACK", "needs a value that is not there");
  }
  stack_.pop_back();
  return absl::OkStatus();
}

absl::Status PickleMachine::PopMark() { return TakeToMark().status(); }

absl::Status PickleMachine::Extend(PickleId container,
                                   const std::vector<PickleId>& items) {
  if (at(container).closed && !items.empty()) {
    return Error("PICKLE_CYCLE",
                 "changes a value that is part of another already");
  }
  for (const PickleId item : items) {
    if (item == container) return Error("PICKLE_CYCLE", "contains itself");
    at(item).closed = true;
    const int depth = at(item).depth + 1;
    if (depth > limits_.max_depth) {
      return Error(
          "PICKLE_TOO_DEEP",
          absl::StrCat("more than ", limits_.max_depth, " nested containers"));
    }
    PickleValue& value = at(container);
    value.depth = std::max(value.depth, static_cast<int16_t>(depth));
    value.items.push_back(item);
  }
  return absl::OkStatus();
}

absl::Status PickleMachine::MakeTuple(int count) {
  std::vector<PickleId> items(static_cast<size_t>(count));
  for (auto item = items.rbegin(); item != items.rend(); ++item) {
    ASSIGN_OR_RETURN(*item, Take());
  }
  PickleValue tuple;
  tuple.kind = Kind::kTuple;
  RETURN_IF_ERROR(Push(std::move(tuple)));
  return Extend(stack_.back(), items);
}

absl::Status PickleMachine::MakeTupleToMark() {
  ASSIGN_OR_RETURN(const std::vector<PickleId> items, TakeToMark());
  PickleValue tuple;
  tuple.kind = Kind::kTuple;
  RETURN_IF_ERROR(Push(std::move(tuple)));
  return Extend(stack_.back(), items);
}

absl::Status PickleMachine::Append(bool from_mark) {
  std::vector<PickleId> items(1);
  if (from_mark) {
    ASSIGN_OR_RETURN(items, TakeToMark());
  } else {
    ASSIGN_OR_RETURN(items[0], Take());
  }
  ASSIGN_OR_RETURN(const PickleId list, Top(Kind::kList));
  return Extend(list, items);
}

absl::Status PickleMachine::SetItems(bool from_mark) {
  std::vector<PickleId> items(2);
  if (from_mark) {
    ASSIGN_OR_RETURN(items, TakeToMark());
  } else {
    ASSIGN_OR_RETURN(items[1], Take());
    ASSIGN_OR_RETURN(items[0], Take());
  }
  if (items.size() % 2 != 0) {
    return Error("PICKLE_BAD_STACK", "a key without a value");
  }
  // An optimizer keeps its state under parameters, not under names.
  if (Top(Kind::kUnread).ok()) return absl::OkStatus();
  for (size_t i = 0; i < items.size(); i += 2) {
    if (!Is(items[i], Kind::kString) && !Is(items[i], Kind::kInt)) {
      return Error("PICKLE_BAD_VALUE",
                   "a key that is neither a string nor an integer");
    }
  }
  ASSIGN_OR_RETURN(const PickleId dict, Top(Kind::kDict));
  return Extend(dict, items);
}

absl::Status PickleMachine::Put(int64_t index) {
  if (stack_.empty() || stack_.back() == kMark) {
    return Error("PICKLE_BAD_STACK", "needs a value that is not there");
  }
  if (index >= limits_.max_memo) {
    return Error("PICKLE_TOO_LARGE",
                 absl::StrCat("memo entry ", index, "; the limit is ",
                              limits_.max_memo));
  }
  if (static_cast<size_t>(index) >= memo_.size()) {
    memo_.resize(static_cast<size_t>(index) + 1, kMark);
  }
  if (memo_[static_cast<size_t>(index)] == kMark) ++memoized_;
  memo_[static_cast<size_t>(index)] = stack_.back();
  return absl::OkStatus();
}

absl::Status PickleMachine::PutNext() { return Put(memoized_); }

absl::Status PickleMachine::Get(int64_t index) {
  if (index >= static_cast<int64_t>(memo_.size()) ||
      memo_[static_cast<size_t>(index)] == kMark) {
    return Error("PICKLE_BAD_MEMO",
                 absl::StrCat("memo entry ", index, " was never set"));
  }
  return PushId(memo_[static_cast<size_t>(index)]);
}

absl::StatusOr<PickleDocument> PickleMachine::Finish() {
  if (stack_.size() != 1 || stack_[0] == kMark) {
    return Error("PICKLE_BAD_STACK",
                 absl::StrCat(stack_.size(), " values instead of one"));
  }
  document_.root = stack_[0];
  return std::move(document_);
}

}  // namespace promptd::weights
