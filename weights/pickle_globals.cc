#include "weights/pickle_globals.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace promptd::weights {
namespace {

struct Element {
  ElementType type;
  int64_t size;
  absl::string_view name;
  absl::string_view storage;
};

constexpr std::array<Element, 10> kElements = {{
    {ElementType::kF64, 8, "float64", "torch.DoubleStorage"},
    {ElementType::kF32, 4, "float32", "torch.FloatStorage"},
    {ElementType::kF16, 2, "float16", "torch.HalfStorage"},
    {ElementType::kBF16, 2, "bfloat16", "torch.BFloat16Storage"},
    {ElementType::kI64, 8, "int64", "torch.LongStorage"},
    {ElementType::kI32, 4, "int32", "torch.IntStorage"},
    {ElementType::kI16, 2, "int16", "torch.ShortStorage"},
    {ElementType::kI8, 1, "int8", "torch.CharStorage"},
    {ElementType::kU8, 1, "uint8", "torch.ByteStorage"},
    {ElementType::kBool, 1, "bool", "torch.BoolStorage"},
}};

const Element& Find(ElementType type) {
  return *std::find_if(
      kElements.begin(), kElements.end(),
      [type](const Element& element) { return element.type == type; });
}

struct Allowed {
  absl::string_view qualified;
  PickleGlobal meaning;
};

constexpr Allowed kAllowed[] = {
    {"torch._utils._rebuild_tensor_v2", PickleGlobal::kRebuildTensor},
    {"torch._utils._rebuild_parameter", PickleGlobal::kRebuildParameter},
    {"collections.OrderedDict", PickleGlobal::kOrderedDict},
    {"torch.Size", PickleGlobal::kSize},
    {"torch.device", PickleGlobal::kDevice},
    {"torch.jit._pickle.build_intlist", PickleGlobal::kTypedList},
    {"torch.jit._pickle.build_doublelist", PickleGlobal::kTypedList},
    {"torch.jit._pickle.build_boollist", PickleGlobal::kTypedList},
    {"torch.jit._pickle.build_tensorlist", PickleGlobal::kTypedList},
    {"torch.jit._pickle.restore_type_tag", PickleGlobal::kTypeTag},
    // open_clip's training leaves a learning rate of numpy's type beside the
    // weights.
    {"numpy.core.multiarray.scalar", PickleGlobal::kUnread},
    {"numpy._core.multiarray.scalar", PickleGlobal::kUnread},
    {"numpy.dtype", PickleGlobal::kUnread},
    {"_codecs.encode", PickleGlobal::kUnread},
    // Dassl's warm-up schedule, part of every checkpoint of CoOp, holds the
    // schedule that comes after it, which holds the optimizer.
    {"torch.optim.lr_scheduler.CosineAnnealingLR", PickleGlobal::kUnread},
    {"torch.optim.lr_scheduler.MultiStepLR", PickleGlobal::kUnread},
    {"torch.optim.lr_scheduler.StepLR", PickleGlobal::kUnread},
    {"torch.optim.sgd.SGD", PickleGlobal::kUnread},
    {"torch.optim.adam.Adam", PickleGlobal::kUnread},
    {"torch.optim.adamw.AdamW", PickleGlobal::kUnread},
    {"torch.optim.rmsprop.RMSprop", PickleGlobal::kUnread},
    {"collections.defaultdict", PickleGlobal::kUnread},
    {"collections.Counter", PickleGlobal::kUnread},
    {"__builtin__.dict", PickleGlobal::kUnread},
};

bool IsIdentifierPath(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' ||
           c == '.';
  });
}

}  // namespace

int64_t ElementSize(ElementType type) { return Find(type).size; }

absl::string_view ElementName(ElementType type) { return Find(type).name; }

std::optional<PickleGlobal> FindPickleGlobal(absl::string_view module,
                                             absl::string_view name) {
  // The dot belongs between the two: "torch", "_utils._rebuild_tensor_v2"
  // would be another path to the same function.
  if (absl::StrContains(name, '.')) return std::nullopt;
  const std::string qualified = absl::StrCat(module, ".", name);
  for (const Allowed& allowed : kAllowed) {
    if (qualified == allowed.qualified) return allowed.meaning;
  }
  if (StorageElementType(qualified)) return PickleGlobal::kStorageType;
  for (const Element& element : kElements) {
    if (module == "torch" && name == element.name) return PickleGlobal::kDType;
  }
  if ((module == "__torch__" || absl::StartsWith(module, "__torch__.")) &&
      IsIdentifierPath(module) && IsIdentifierPath(name)) {
    return PickleGlobal::kModuleClass;
  }
  return std::nullopt;
}

std::optional<ElementType> StorageElementType(absl::string_view qualified) {
  for (const Element& element : kElements) {
    if (qualified == element.storage) return element.type;
  }
  return std::nullopt;
}

}  // namespace promptd::weights
