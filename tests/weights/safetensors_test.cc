#include "weights/safetensors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "common/error.h"
#include "common/file.h"
#include "tests/testing/temp_dir.h"
#include "weights/half_float.h"

namespace promptd::weights {
namespace {

const std::map<std::string, FloatTensor>& Tensors() {
  static const auto* const tensors = new std::map<std::string, FloatTensor>{
      {"ctx", {{2, 3}, {1, -2, 3.5f, 0, 1e-30f, -1e30f}}},
      {"b/scale-1.x_y", {{}, {4.5f}}},
      {"a", {{1, 1, 2}, {7, 8}}}};
  return *tensors;
}

TEST(SafetensorsTest, ReadsWhatItWrote) {
  const auto bytes = WriteSafetensors(Tensors(), {{"task", "p\u00e9ts"}});
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  const auto file = Safetensors::FromBytes(*bytes, "round trip");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->metadata().at("task"), "p\u00e9ts");
  EXPECT_EQ(file->tensors().size(), Tensors().size());
  for (const auto& [name, tensor] : Tensors()) {
    const auto read = file->Floats(name);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->shape, tensor.shape);
    EXPECT_EQ(read->values, tensor.values);
  }
}

TEST(SafetensorsTest, WritesTheFormatByteForByte) {
  const auto bytes = WriteSafetensors({{"a", {{1}, {1.0f}}}}, {{"k", "v"}});
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  const std::string header =
      "{\"__metadata__\":{\"k\":\"v\"},\"a\":{\"data_offsets\":[0,4],"
      "\"dtype\":\"F32\",\"shape\":[1]}} ";
  ASSERT_EQ(header.size() % 8, 0u);
  EXPECT_EQ(*bytes, std::string(1, static_cast<char>(header.size())) +
                        std::string(7, '\0') + header +
                        std::string("\0\0\x80\x3f", 4));
}

TEST(SafetensorsTest, WritingIsDeterministic) {
  EXPECT_EQ(WriteSafetensors(Tensors()).value(),
            WriteSafetensors(Tensors()).value());
}

TEST(SafetensorsTest, WriterRefusesWhatTheReaderWould) {
  const auto reason = [](const std::map<std::string, FloatTensor>& tensors,
                         const std::map<std::string, std::string>& metadata) {
    return ErrorReason(WriteSafetensors(tensors, metadata).status());
  };
  EXPECT_EQ(reason({{"a b", {{1}, {1}}}}, {}), "SAFETENSORS_BAD_NAME");
  EXPECT_EQ(reason({{"__metadata__", {{1}, {1}}}}, {}), "SAFETENSORS_BAD_NAME");
  EXPECT_EQ(reason({{"a", {{0}, {}}}}, {}), "SAFETENSORS_EMPTY_TENSOR");
  EXPECT_EQ(reason({{"a", {{2}, {1}}}}, {}), "SAFETENSORS_SIZE_MISMATCH");
  EXPECT_EQ(reason({{"a", {{-1}, {1}}}}, {}), "SAFETENSORS_BAD_SHAPE");
  EXPECT_EQ(reason({}, {{"k", "\xff"}}), "SAFETENSORS_BAD_METADATA");
  EXPECT_EQ(reason({}, {{"k", std::string(20000, 'x')}}),
            "SAFETENSORS_BAD_METADATA");
  EXPECT_EQ(reason({}, {{"", "v"}}), "SAFETENSORS_BAD_METADATA");
}

TEST(SafetensorsTest, WidensHalfAndBfloat16Exactly) {
  EXPECT_EQ(HalfToFloat(0x3c00), 1.0f);
  EXPECT_EQ(HalfToFloat(0xc000), -2.0f);
  EXPECT_EQ(HalfToFloat(0x7bff), 65504.0f);
  EXPECT_EQ(HalfToFloat(0x0001), std::ldexp(1.0f, -24));
  EXPECT_EQ(HalfToFloat(0x03ff), std::ldexp(1023.0f, -24));
  EXPECT_EQ(HalfToFloat(0x0400), std::ldexp(1.0f, -14));
  EXPECT_TRUE(std::signbit(HalfToFloat(0x8000)));
  EXPECT_EQ(HalfToFloat(0xfc00), -std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(HalfToFloat(0x7e00)));
  EXPECT_EQ(BFloat16ToFloat(0x3f80), 1.0f);
  EXPECT_EQ(BFloat16ToFloat(0xc040), -3.0f);
}

// Each half is the previous one plus the step of its exponent.
TEST(SafetensorsTest, EveryFiniteHalfHasItsValue) {
  for (uint32_t bits = 0; bits < 0x7c00; ++bits) {
    const int exponent = static_cast<int>(bits >> 10);
    const int mantissa = static_cast<int>(bits & 0x3ff);
    const double expected = exponent == 0
                                ? std::ldexp(mantissa, -24)
                                : std::ldexp(1024 + mantissa, exponent - 25);
    ASSERT_EQ(HalfToFloat(static_cast<uint16_t>(bits)), expected) << bits;
    ASSERT_EQ(HalfToFloat(static_cast<uint16_t>(bits | 0x8000)), -expected);
  }
}

TEST(SafetensorsTest, ReadsEachDType) {
  const std::string header =
      R"({"b":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]},)"
      R"("h":{"dtype":"F16","shape":[],"data_offsets":[2,4]},)"
      R"("i":{"dtype":"I64","shape":[1],"data_offsets":[4,12]}})";
  std::string bytes(8, '\0');
  bytes[0] = static_cast<char>(header.size());
  bytes += header + std::string("\x80\x3f\x00\x40", 4) +
           std::string("\x05\0\0\0\0\0\0\0", 8);
  const auto file = Safetensors::FromBytes(bytes, "types");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->Floats("b")->values, std::vector<float>{1.0f});
  EXPECT_EQ(file->Floats("h")->values, std::vector<float>{2.0f});
  EXPECT_EQ(file->Bytes("i").value()[0], '\5');
  EXPECT_EQ(ErrorReason(file->Floats("i").status()), "SAFETENSORS_BAD_DTYPE");
  EXPECT_EQ(ErrorReason(file->Floats("z").status()), "TENSOR_NOT_FOUND");
}

TEST(SafetensorsTest, ReadsAFileWithinItsLimit) {
  const testing::TempDir folder;
  const std::string path = folder.path() + "/a.safetensors";
  const std::string bytes = WriteSafetensors(Tensors()).value();
  ASSERT_TRUE(WriteFileAtomically(path, bytes).ok());
  EXPECT_TRUE(Safetensors::FromFile(path).ok());
  SafetensorsLimits limits;
  limits.max_file_bytes = static_cast<int64_t>(bytes.size()) - 1;
  EXPECT_EQ(ErrorReason(Safetensors::FromFile(path, limits).status()),
            "FILE_TOO_LARGE");
  EXPECT_EQ(
      ErrorReason(Safetensors::FromBytes(bytes, "bytes", limits).status()),
      "SAFETENSORS_FILE_TOO_LARGE");
  EXPECT_EQ(ErrorReason(Safetensors::FromFile(path + "x").status()),
            "FILE_NOT_FOUND");
}

TEST(SafetensorsTest, KnowsFiniteTensors) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kLargest = std::numeric_limits<float>::max();
  const auto finite = [](float value) {
    return AllFinite(FloatTensor{{3}, {0, value, -1}});
  };
  for (const float value : {1.0f, -0.0f, kLargest, -kLargest, 1e-45f}) {
    EXPECT_TRUE(finite(value)) << value;
  }
  for (const float value :
       {kInfinity, -kInfinity, std::nanf(""), -std::nanf("1")}) {
    EXPECT_FALSE(finite(value)) << value;
    // The check takes several numbers at a time, and those at the end alone.
    for (size_t place = 0; place < 21; ++place) {
      std::vector<float> values(21, kLargest);
      values[place] = value;
      EXPECT_FALSE(AllFinite(values)) << value << " at " << place;
    }
  }
}

}  // namespace
}  // namespace promptd::weights
