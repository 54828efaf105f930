#include "store/value.h"

namespace promptd::store {

int64_t ToMillis(absl::Time time) { return absl::ToUnixMillis(time); }

absl::Time FromMillis(int64_t millis) { return absl::FromUnixMillis(millis); }

int64_t Value::integer() const {
  const int64_t* const value = std::get_if<int64_t>(&value_);
  return value == nullptr ? 0 : *value;
}

double Value::real() const {
  const double* const value = std::get_if<double>(&value_);
  return value == nullptr ? 0 : *value;
}

const std::string& Value::text() const {
  static const std::string* const empty = new std::string;
  const std::string* const value = std::get_if<std::string>(&value_);
  return value == nullptr ? *empty : *value;
}

std::optional<absl::Time> Row::MaybeTime(size_t column) const {
  if (IsNull(column)) return std::nullopt;
  return Time(column);
}

}  // namespace promptd::store
