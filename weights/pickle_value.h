// What a pickle says, as inert values. No torch.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace promptd::weights {

// Element types of torch's storages.
enum class ElementType {
  kF64,
  kF32,
  kF16,
  kBF16,
  kI64,
  kI32,
  kI16,
  kI8,
  kU8,
  kBool
};

// Bytes of one element.
int64_t ElementSize(ElementType type);
// torch's name, e.g. "float16".
absl::string_view ElementName(ElementType type);

// Index of a value in its document. Values may be shared but never contain
// themselves.
using PickleId = int32_t;

struct PickleValue {
  enum class Kind : uint8_t {
    kNone,
    kBool,     // integer
    kInt,      // integer
    kFloat,    // real
    kString,   // text; not necessarily UTF-8
    kTuple,    // items
    kList,     // items
    kDict,     // items: key, value, key, value, ...
    kModule,   // a TorchScript object: text is its class, items its attributes
    kUnread,   // something that no weights are made of
    kGlobal,   // text is "module.name", integer says which of the allowed
    kStorage,  // integer indexes PickleDocument::storages
    kTensor,   // integer indexes PickleDocument::tensors
  };

  Kind kind = Kind::kNone;
  // Set once the value is part of another: it cannot change any more, so that
  // no value can reach itself.
  bool closed = false;
  int16_t depth = 0;  // of containers below it
  int64_t integer = 0;
  double real = 0;
  std::string text;
  std::vector<PickleId> items;
};

// A storage: the whole content of one entry of the archive.
struct PickleStorage {
  std::string key;  // decimal digits
  ElementType type = ElementType::kF32;
  int64_t elements = 0;
};

// A view of a storage, as the file claims it: nothing is checked against the
// storage yet. Offset and strides count elements.
struct PickleTensor {
  PickleStorage storage;
  int64_t offset = 0;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;
};

struct PickleDocument {
  std::vector<PickleValue> values;
  std::vector<PickleStorage> storages;
  std::vector<PickleTensor> tensors;
  PickleId root = 0;

  const PickleValue& at(PickleId id) const {
    return values[static_cast<size_t>(id)];
  }
};

}  // namespace promptd::weights
