// One value of a row, and times as the store keeps them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace promptd::store {

// Milliseconds since 1970; the form of every time in a row.
int64_t ToMillis(absl::Time time);
absl::Time FromMillis(int64_t millis);

// Null, an integer, a real or text. Implicit on purpose: it is the element of
// the lists of values that statements take.
class Value {
 public:
  Value() = default;
  Value(std::nullptr_t) {}                                        // NOLINT
  Value(int value) : value_(int64_t{value}) {}                    // NOLINT
  Value(int64_t value) : value_(value) {}                         // NOLINT
  Value(bool value) : value_(int64_t{value}) {}                   // NOLINT
  Value(double value) : value_(value) {}                          // NOLINT
  Value(std::string value) : value_(std::move(value)) {}          // NOLINT
  Value(absl::string_view value) : value_(std::string(value)) {}  // NOLINT
  Value(const char* value) : value_(std::string(value)) {}        // NOLINT
  Value(absl::Time value) : value_(ToMillis(value)) {}            // NOLINT

  bool is_null() const {
    return std::holds_alternative<std::monostate>(value_);
  }
  // Zero or empty when the value is of another kind.
  int64_t integer() const;
  double real() const;
  const std::string& text() const;

  const std::variant<std::monostate, int64_t, double, std::string>& variant()
      const {
    return value_;
  }

 private:
  std::variant<std::monostate, int64_t, double, std::string> value_;
};

// The columns of one result row, in the order of the SELECT.
class Row {
 public:
  explicit Row(std::vector<Value> values) : values_(std::move(values)) {}

  size_t size() const { return values_.size(); }
  bool IsNull(size_t column) const { return values_.at(column).is_null(); }
  int64_t Int(size_t column) const { return values_.at(column).integer(); }
  double Real(size_t column) const { return values_.at(column).real(); }
  const std::string& Text(size_t column) const {
    return values_.at(column).text();
  }
  bool Bool(size_t column) const { return Int(column) != 0; }
  absl::Time Time(size_t column) const { return FromMillis(Int(column)); }
  std::optional<absl::Time> MaybeTime(size_t column) const;

 private:
  std::vector<Value> values_;
};

}  // namespace promptd::store
