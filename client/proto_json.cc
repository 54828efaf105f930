#include "client/proto_json.h"

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"

namespace promptd::client {
namespace {

using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// JOB_STATE_RUNNING of JobState is "running".
std::string EnumText(const EnumValueDescriptor* value) {
  std::string prefix;
  for (const char c : value->type()->name()) {
    if (absl::ascii_isupper(c) && !prefix.empty()) prefix.push_back('_');
    prefix.push_back(absl::ascii_toupper(c));
  }
  prefix.push_back('_');
  absl::string_view name(value->name());
  absl::ConsumePrefix(&name, prefix);
  return absl::AsciiStrToLower(name);
}

nlohmann::json StringOrBytes(const FieldDescriptor* field,
                             const std::string& value) {
  if (field->type() == FieldDescriptor::TYPE_BYTES) {
    return absl::Base64Escape(value);
  }
  return value;
}

// One value of a field: of a repeated one when `index` is not negative.
nlohmann::json Value(const Message& message, const FieldDescriptor* field,
                     int index) {
  const Reflection& r = *message.GetReflection();
  const bool many = index >= 0;
#define PROMPTD_GET(type)                            \
  (many ? r.GetRepeated##type(message, field, index) \
        : r.Get##type(message, field))
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return PROMPTD_GET(Int32);
    case FieldDescriptor::CPPTYPE_INT64:
      return PROMPTD_GET(Int64);
    case FieldDescriptor::CPPTYPE_UINT32:
      return PROMPTD_GET(UInt32);
    case FieldDescriptor::CPPTYPE_UINT64:
      return PROMPTD_GET(UInt64);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return PROMPTD_GET(Double);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return PROMPTD_GET(Float);
    case FieldDescriptor::CPPTYPE_BOOL:
      return PROMPTD_GET(Bool);
    case FieldDescriptor::CPPTYPE_ENUM:
      return EnumText(PROMPTD_GET(Enum));
    case FieldDescriptor::CPPTYPE_STRING:
      return StringOrBytes(field, PROMPTD_GET(String));
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return ToJson(many ? r.GetRepeatedMessage(message, field, index)
                         : r.GetMessage(message, field));
  }
#undef PROMPTD_GET
  return nullptr;
}

nlohmann::json MapValue(const Message& message, const FieldDescriptor* field) {
  nlohmann::json object = nlohmann::json::object();
  const Reflection& r = *message.GetReflection();
  const FieldDescriptor* key = field->message_type()->map_key();
  const FieldDescriptor* value = field->message_type()->map_value();
  for (int i = 0; i < r.FieldSize(message, field); ++i) {
    const Message& entry = r.GetRepeatedMessage(message, field, i);
    const nlohmann::json name = Value(entry, key, -1);
    object[name.is_string() ? name.get<std::string>() : name.dump()] =
        Value(entry, value, -1);
  }
  return object;
}

nlohmann::json RepeatedValue(const Message& message,
                             const FieldDescriptor* field) {
  nlohmann::json array = nlohmann::json::array();
  for (int i = 0; i < message.GetReflection()->FieldSize(message, field); ++i) {
    array.push_back(Value(message, field, i));
  }
  return array;
}

}  // namespace

nlohmann::json ToJson(const Message& message) {
  const std::string& type = message.GetDescriptor()->full_name();
  if (type == "google.protobuf.Timestamp") {
    google::protobuf::Timestamp time;
    time.CopyFrom(message);
    return absl::FormatTime(
        absl::RFC3339_full,
        absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos()),
        absl::UTCTimeZone());
  }
  if (type == "google.protobuf.Duration") {
    google::protobuf::Duration duration;
    duration.CopyFrom(message);
    return static_cast<double>(duration.seconds()) +
           1e-9 * static_cast<double>(duration.nanos());
  }
  nlohmann::json object = nlohmann::json::object();
  const auto* descriptor = message.GetDescriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor* field = descriptor->field(i);
    if (field->is_map()) {
      object[field->name()] = MapValue(message, field);
    } else if (field->is_repeated()) {
      object[field->name()] = RepeatedValue(message, field);
    } else if (!field->has_presence() ||
               message.GetReflection()->HasField(message, field)) {
      object[field->name()] = Value(message, field, -1);
    }
  }
  return object;
}

}  // namespace promptd::client
