// Reading our own stored JSON: members must be there, with their types, unless
// an earlier promptd did not write them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "common/training_options.h"
#include "nlohmann/json.hpp"

namespace promptd::worker {

// Moves members of one JSON object into variables; remembers the first
// problem. Thread-compatible.
class JsonFields {
 public:
  explicit JsonFields(const nlohmann::json& object) : object_(object) {
    if (!object.is_object()) problem_ = "not an object";
  }

  template <typename T>
  JsonFields& Get(const char* key, T* out) {
    if (!problem_.empty()) return *this;
    const auto member = object_.find(key);
    if (member == object_.end() || !Matches<T>(*member)) {
      problem_ = std::string("missing or mistyped member ") + key;
      return *this;
    }
    if constexpr (std::is_enum_v<T>) {
      *out = *ChoiceFromName<T>(member->template get<std::string>());
    } else {
      *out = member->template get<T>();
    }
    return *this;
  }

  // Leaves `*out` when the member is missing.
  template <typename T>
  JsonFields& GetIfThere(const char* key, T* out) {
    if (problem_.empty() && !object_.contains(key)) return *this;
    return Get(key, out);
  }

  bool ok() const { return problem_.empty(); }
  const std::string& problem() const { return problem_; }

 private:
  static bool AreIntegers(const nlohmann::json& value) {
    return value.is_array() &&
           std::all_of(value.begin(), value.end(), [](const auto& entry) {
             return entry.is_number_integer();
           });
  }

  template <typename T>
  static bool Matches(const nlohmann::json& value) {
    if constexpr (std::is_same_v<T, std::string>) return value.is_string();
    if constexpr (std::is_enum_v<T>) {
      return value.is_string() &&
             ChoiceFromName<T>(value.get<std::string>()).has_value();
    }
    if constexpr (std::is_same_v<T, bool>) return value.is_boolean();
    if constexpr (std::is_integral_v<T>) return value.is_number_integer();
    if constexpr (std::is_floating_point_v<T>) return value.is_number();
    if constexpr (std::is_same_v<T, std::vector<std::string>>) {
      if (!value.is_array()) return false;
      for (const auto& entry : value) {
        if (!entry.is_string()) return false;
      }
      return true;
    }
    if constexpr (std::is_same_v<T, std::vector<int64_t>>) {
      return AreIntegers(value);
    }
    if constexpr (std::is_same_v<T, std::vector<std::vector<int64_t>>>) {
      return value.is_array() &&
             std::all_of(value.begin(), value.end(), AreIntegers);
    }
    return value.is_array() || value.is_object();
  }

  const nlohmann::json& object_;
  std::string problem_;
};

}  // namespace promptd::worker
