#include "server/infer_tensors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace promptd::server {
namespace {

using Violations = std::vector<FieldViolation>;

std::string Length(uint32_t value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

// A request with one input of this type and shape.
inference::ModelInferRequest One(const std::string& datatype,
                                 const std::vector<int64_t>& shape) {
  inference::ModelInferRequest request;
  auto* input = request.add_inputs();
  input->set_name("X");
  input->set_datatype(datatype);
  input->mutable_shape()->Add(shape.begin(), shape.end());
  return request;
}

std::vector<std::string> Bytes(const inference::ModelInferRequest& request,
                               Violations* violations) {
  const auto inputs = FindInputs(request, violations);
  if (inputs.empty()) return {};
  const auto bytes = BytesOf(inputs[0], 1000, violations);
  return {bytes.begin(), bytes.end()};
}

std::vector<float> Floats(const inference::ModelInferRequest& request,
                          Violations* violations, int64_t most = 1000) {
  const auto inputs = FindInputs(request, violations);
  if (inputs.empty()) return {};
  const auto floats = FloatsOf(inputs[0], most, violations);
  return {floats.begin(), floats.end()};
}

TEST(InferTensorsTest, BytesComeRawOrTyped) {
  auto request = One("BYTES", {3, 1});
  request.add_raw_input_contents(Length(2) + "ab" + Length(0) + Length(1) +
                                 "c");
  Violations violations;
  EXPECT_EQ(Bytes(request, &violations),
            (std::vector<std::string>{"ab", "", "c"}));
  auto typed = One("BYTES", {2});
  typed.mutable_inputs(0)->mutable_contents()->add_bytes_contents("x");
  typed.mutable_inputs(0)->mutable_contents()->add_bytes_contents("yz");
  EXPECT_EQ(Bytes(typed, &violations), (std::vector<std::string>{"x", "yz"}));
  EXPECT_TRUE(violations.empty());
}

TEST(InferTensorsTest, BadPackingIsNamed) {
  const struct {
    std::vector<int64_t> shape;
    std::string raw;
    const char* says;
  } cases[] = {
      {{1, 1}, "ab", "inside the length"},
      {{1, 1}, Length(5) + "abc", "has 5 bytes, but only 3 follow"},
      {{1, 1}, Length(0xFFFFFFFF) + "abc", "has 4294967295 bytes"},
      {{1, 1}, Length(1) + "a" + Length(1) + "b", "behind its last element"},
      {{2, 1}, Length(1) + "a", "hold 1 element"},
      {{0}, Length(1) + "a", "behind its last element"},
      {{-1, 1}, Length(1) + "a", "must not be negative"},
      {{1 << 20, 1 << 20}, Length(1) + "a", "at most 1000"},
      {{int64_t{1} << 62, 8}, Length(1) + "a", "at most 1000"},
  };
  for (const auto& one : cases) {
    auto request = One("BYTES", one.shape);
    request.add_raw_input_contents(one.raw);
    Violations violations;
    EXPECT_TRUE(Bytes(request, &violations).empty());
    ASSERT_EQ(violations.size(), 1u) << one.says;
    EXPECT_TRUE(absl::StrContains(violations[0].description, one.says))
        << violations[0].description;
    EXPECT_EQ(violations[0].field, "inputs[0] (X)");
  }
}

TEST(InferTensorsTest, FloatsMustFitAndBeFinite) {
  const std::vector<float> values = {1, -2, 3};
  std::string raw(12, '\0');
  std::memcpy(raw.data(), values.data(), raw.size());
  auto request = One("FP32", {1, 3});
  request.add_raw_input_contents(raw);
  Violations violations;
  EXPECT_EQ(Floats(request, &violations), values);
  EXPECT_TRUE(violations.empty());
  request.mutable_inputs(0)->set_shape(1, 4);
  EXPECT_TRUE(Floats(request, &violations).empty());
  ASSERT_EQ(violations.size(), 1u);
  EXPECT_TRUE(absl::StrContains(violations[0].description, "16 bytes"));
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(),
                          std::numeric_limits<float>::infinity()}) {
    auto typed = One("FP32", {2});
    typed.mutable_inputs(0)->mutable_contents()->add_fp32_contents(1);
    typed.mutable_inputs(0)->mutable_contents()->add_fp32_contents(bad);
    violations.clear();
    EXPECT_TRUE(Floats(typed, &violations).empty());
    ASSERT_EQ(violations.size(), 1u);
    EXPECT_TRUE(absl::StrContains(violations[0].description, "not finite"));
  }
}

TEST(InferTensorsTest, ANumberThatIsNotFiniteIsFoundWhereverItIs) {
  constexpr int kCount = 10'000;
  for (const int place : {0, 1, 4095, 4096, 8191, 8192, kCount - 1}) {
    std::vector<float> values(kCount, 1.5f);
    values[place] = -std::numeric_limits<float>::infinity();
    auto request = One("FP32", {kCount});
    request.add_raw_input_contents(values.data(),
                                   values.size() * sizeof(float));
    Violations violations;
    EXPECT_TRUE(Floats(request, &violations, kCount).empty());
    ASSERT_EQ(violations.size(), 1u);
    EXPECT_EQ(violations[0].description,
              absl::StrCat("holds a number that is not finite, at ", place,
                           " of 10000"));
    values[place] = std::numeric_limits<float>::max();
    request.set_raw_input_contents(0, values.data(),
                                   values.size() * sizeof(float));
    EXPECT_EQ(Floats(request, &violations, kCount), values);
    EXPECT_EQ(violations.size(), 1u);
  }
}

TEST(InferTensorsTest, WhatAnInputHoldsIsNotCopied) {
  auto raw = One("FP32", {8});
  raw.add_raw_input_contents(std::string(32, '\0'));
  auto typed = One("FP32", {1});
  typed.mutable_inputs(0)->mutable_contents()->add_fp32_contents(1);
  auto bytes = One("BYTES", {1});
  bytes.add_raw_input_contents(Length(2) + "ab");
  Violations violations;
  EXPECT_EQ(
      static_cast<const void*>(
          FloatsOf(FindInputs(raw, &violations)[0], 8, &violations).data()),
      raw.raw_input_contents(0).data());
  EXPECT_EQ(FloatsOf(FindInputs(typed, &violations)[0], 8, &violations).data(),
            typed.inputs(0).contents().fp32_contents().data());
  EXPECT_EQ(
      BytesOf(FindInputs(bytes, &violations)[0], 8, &violations).at(0).data(),
      bytes.raw_input_contents(0).data() + 4);
  EXPECT_TRUE(violations.empty());
}

TEST(InferTensorsTest, InputsAreFoundOrRefused) {
  auto request = One("FP32", {1});
  *request.add_inputs() = request.inputs(0);
  request.mutable_inputs(1)->mutable_contents()->add_fp32_contents(1);
  (*request.mutable_inputs(0)->mutable_parameters())["shared_memory_region"]
      .set_string_param("r");
  request.add_raw_input_contents("1234");
  request.add_raw_input_contents("5678");
  Violations violations;
  EXPECT_TRUE(FindInputs(request, &violations).empty());
  // Twice, shared memory of no size, both kinds of contents, two entries for
  // one.
  EXPECT_EQ(violations.size(), 4u);
}

TEST(InferTensorsTest, RawContentsAreOfTheInputsThatAreNotInSharedMemory) {
  auto request = One("FP32", {1});
  request.add_inputs()->set_name("Y");
  request.add_inputs()->set_name("Z");
  auto& parameters = *request.mutable_inputs(1)->mutable_parameters();
  parameters["shared_memory_region"].set_string_param("r");
  parameters["shared_memory_byte_size"].set_int64_param(8);
  parameters["shared_memory_offset"].set_uint64_param(16);
  request.add_raw_input_contents("of X");
  request.add_raw_input_contents("of Z");
  Violations violations;
  auto inputs = FindInputs(request, &violations);
  ASSERT_EQ(inputs.size(), 3u);
  EXPECT_TRUE(violations.empty());
  EXPECT_EQ(inputs[0].raw, "of X");
  EXPECT_FALSE(inputs[1].raw.has_value());
  ASSERT_TRUE(inputs[1].shared.has_value());
  EXPECT_EQ(inputs[1].shared->region, "r");
  EXPECT_EQ(inputs[1].shared->offset, 16u);
  EXPECT_EQ(inputs[1].shared->bytes, 8u);
  EXPECT_EQ(inputs[2].raw, "of Z");

  request.mutable_inputs(1)->mutable_contents()->add_fp32_contents(1);
  FindInputs(request, &violations);
  ASSERT_EQ(violations.size(), 1u);
  EXPECT_TRUE(absl::StrContains(violations[0].description, "one of the two"));
  for (const int64_t size :
       {int64_t{-1}, std::numeric_limits<int64_t>::min()}) {
    parameters["shared_memory_byte_size"].set_int64_param(size);
    violations.clear();
    PlaceOf(parameters, "field", &violations);
    EXPECT_EQ(violations.size(), 1u);
  }
}

TEST(InferTensorsTest, OutputsReadBackAsInputs) {
  inference::ModelInferResponse reply;
  AddFloatOutput("F", {2, 1}, {0.5f, 2.0f}, &reply);
  AddBytesOutput("B", {2}, {"", "two"}, &reply);
  ASSERT_EQ(reply.raw_output_contents_size(), 2);
  auto floats = One("FP32", {2, 1});
  floats.add_raw_input_contents(reply.raw_output_contents(0));
  auto bytes = One("BYTES", {2});
  bytes.add_raw_input_contents(reply.raw_output_contents(1));
  Violations violations;
  EXPECT_EQ(Floats(floats, &violations), (std::vector<float>{0.5f, 2.0f}));
  EXPECT_EQ(Bytes(bytes, &violations), (std::vector<std::string>{"", "two"}));
  EXPECT_TRUE(violations.empty());
  EXPECT_EQ(reply.outputs(1).datatype(), "BYTES");
}

}  // namespace
}  // namespace promptd::server
