// The stack machine of a pickle, on inert values. Internal to weights/.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "weights/pickle_reader.h"
#include "weights/pickle_value.h"

namespace promptd::weights {

// Thread-compatible. Every error names the place given to SetPlace.
class PickleMachine {
 public:
  // `source` must outlive the machine.
  PickleMachine(absl::string_view source, const PickleLimits& limits)
      : source_(source), limits_(limits) {}

  // Where the next errors happen; `name` is a literal.
  void SetPlace(int64_t offset, absl::string_view name, int opcode) {
    offset_ = offset;
    opcode_name_ = name;
    opcode_ = opcode;
  }
  absl::Status Error(absl::string_view reason, absl::string_view what) const;

  // Makes a value and pushes it.
  absl::Status Push(PickleValue value);
  absl::Status PushInt(int64_t integer);
  absl::Status PushString(PickleValue::Kind kind, absl::string_view text);
  absl::Status PushMark();
  // The two kinds of names: GLOBAL's text and STACK_GLOBAL's two strings.
  absl::Status PushGlobal(absl::string_view module, absl::string_view name);
  absl::Status PushStackGlobal();

  absl::Status Pop();
  absl::Status PopMark();
  // A tuple of the last `count` values, or of those after the last mark.
  absl::Status MakeTuple(int count);
  absl::Status MakeTupleToMark();
  // Into the list or dict below; `from_mark`: all values after the mark.
  absl::Status Append(bool from_mark);
  absl::Status SetItems(bool from_mark);

  absl::Status Put(int64_t index);
  absl::Status PutNext();  // MEMOIZE
  absl::Status Get(int64_t index);

  // The opcodes that would run code in Python; see pickle_calls.cc.
  absl::Status Reduce();
  absl::Status NewObject();
  absl::Status Build();
  absl::Status PersistentId();

  // At STOP: exactly one value is left.
  absl::StatusOr<PickleDocument> Finish();

 private:
  static constexpr PickleId kMark = -1;

  const PickleValue& at(PickleId id) const { return document_.at(id); }
  PickleValue& at(PickleId id) {
    return document_.values[static_cast<size_t>(id)];
  }

  absl::Status PushId(PickleId id);
  absl::StatusOr<PickleId> Take();
  absl::StatusOr<std::vector<PickleId>> TakeToMark();
  // The value on top, which must be of `kind`; it stays there.
  absl::StatusOr<PickleId> Top(PickleValue::Kind kind);
  // Appends `items` to the container and closes them.
  absl::Status Extend(PickleId container, const std::vector<PickleId>& items);
  absl::Status CountString(absl::string_view text);

  absl::Status RebuildTensor(const std::vector<PickleId>& arguments);
  absl::StatusOr<std::vector<int64_t>> Numbers(PickleId tuple) const;
  bool IsEmptyDict(PickleId id) const;
  bool Is(PickleId id, PickleValue::Kind kind) const {
    return at(id).kind == kind;
  }

  const absl::string_view source_;
  const PickleLimits limits_;
  int64_t offset_ = 0;
  absl::string_view opcode_name_;
  int opcode_ = 0;
  PickleDocument document_;
  std::vector<PickleId> stack_;
  std::vector<PickleId> memo_;
  int64_t memoized_ = 0;  // what MEMOIZE numbers the next value
  int64_t string_bytes_ = 0;
};

}  // namespace promptd::weights
