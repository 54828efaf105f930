// API messages as the JSON that promptctl prints: snake_case names as in the
// .proto, 64-bit numbers as numbers, enums in lower case without their prefix
// ("running"), timestamps as RFC 3339, durations in seconds, bytes as base64.
// Unset messages and optional fields are left out; everything else is there.
#pragma once

#include "google/protobuf/message.h"
#include "nlohmann/json.hpp"

namespace promptd::client {

nlohmann::json ToJson(const google::protobuf::Message& message);

}  // namespace promptd::client
