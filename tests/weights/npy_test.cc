#include "weights/npy.h"

#include <gtest/gtest.h>

#include "common/error.h"
#include "common/file.h"
#include "tests/weights/archive_builder.h"
#include "tests/weights/checkpoint_goldens.h"

namespace promptd::weights {
namespace {

// An array of format 1.0 with this header and these bytes.
std::string Npy(const std::string& header, const std::string& data) {
  return "\x93NUMPY" + std::string("\1\0", 2) + Number(header.size(), 2) +
         header + data;
}

std::string Header(const std::string& descr, const std::string& shape,
                   const std::string& order = "False") {
  return "{'descr': " + descr + ", 'fortran_order': " + order +
         ", 'shape': " + shape + ", }\n";
}

const std::string kFour(16, '\0');

TEST(NpyTest, ReadsEveryShapeAndSpellingThatPythonWrites) {
  const std::string values = Floats({1, 2, -3, 0.5});
  for (const auto& [header, shape] :
       std::vector<std::pair<std::string, std::vector<int64_t>>>{
           {Header("'<f4'", "(2, 2)"), {2, 2}},
           {Header("'<f4'", "(4,)"), {4}},
           {Header("\"<f4\"", "(1, 4, 1)"), {1, 4, 1}},
           {"{\"shape\":(2,2),'fortran_order':False,'descr':'<f4'}", {2, 2}},
       }) {
    const auto read = ReadNpy(Npy(header, values), "good.npy");
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->shape, shape);
    EXPECT_EQ(read->values, (std::vector<float>{1, 2, -3, 0.5}));
  }
  const auto scalar =
      ReadNpy(Npy(Header("'<f4'", "()"), Floats({7})), "scalar.npy");
  ASSERT_TRUE(scalar.ok()) << scalar.status();
  EXPECT_TRUE(scalar->shape.empty());
}

TEST(NpyTest, ReadsHalvesDoublesAndLongHeaders) {
  const auto half =
      ReadNpy(Npy(Header("'<f2'", "(2,)"), Number(0x3c00b800, 4)), "half.npy");
  ASSERT_TRUE(half.ok()) << half.status();
  EXPECT_EQ(half->values, (std::vector<float>{-0.5, 1}));
  const std::string header = Header("'<f8'", "(1,)");
  const auto wide =
      ReadNpy("\x93NUMPY" + std::string("\2\0", 2) + Number(header.size(), 4) +
                  header + Number(0x3fb999999999999a, 8),
              "wide.npy");
  ASSERT_TRUE(wide.ok()) << wide.status();
  EXPECT_EQ(wide->values, (std::vector<float>{0.1f}));
}

// Byte for byte: the golden is numpy's.
TEST(NpyTest, WritesWhatNumpyWrites) {
  FloatTensor tensor;
  tensor.shape = {4, 8};
  for (int i = 0; i < 32; ++i) {
    tensor.values.push_back(static_cast<float>(i) / 16 - 1);
  }
  EXPECT_EQ(WriteNpy(tensor),
            ReadFile(Golden("context/ctx.npy"), 1 << 20).value());
}

class NpyHostileTest : public ::testing::TestWithParam<HostileCase> {};

TEST_P(NpyHostileTest, IsRefusedWithItsReason) {
  const auto read = ReadNpy(GetParam().bytes, "hostile.npy");
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ErrorReason(read.status()), GetParam().reason) << read.status();
  EXPECT_EQ(read.status().message().substr(0, 12), "hostile.npy:");
}

std::vector<HostileCase> HostileArrays() {
  const std::string good = Header("'<f4'", "(2, 2)");
  const std::string nine = "(1,1,1,1,1,1,1,1,1)";
  std::string version = Npy(good, kFour);
  version[6] = 9;
  std::string cut = Npy(good, kFour);
  cut.resize(40);
  const std::string call = "__import__('os').system('touch /tmp/promptd-npy')";
  return {
      {"Empty", "NPY_NOT_AN_ARRAY", ""},
      {"MagicAlone", "NPY_NOT_AN_ARRAY", "\x93NUMPY"},
      {"Pickle", "NPY_NOT_AN_ARRAY", "\x80\2}q\1." + std::string(99, '\0')},
      {"Version", "NPY_BAD_HEADER", version},
      {"CutHeader", "NPY_BAD_HEADER", cut},
      {"HugeHeader", "NPY_BAD_HEADER",
       "\x93NUMPY" + std::string("\2\0", 2) + Number(0xffffffff, 4) + good},
      {"CallInstead", "NPY_BAD_HEADER", Npy(call, kFour)},
      {"CallAsShape", "NPY_BAD_HEADER", Npy(Header("'<f4'", call), kFour)},
      {"CallAsOrder", "NPY_BAD_HEADER",
       Npy(Header("'<f4'", "(2, 2)", call), kFour)},
      {"CallAfter", "NPY_BAD_HEADER", Npy(good + call, kFour)},
      {"Escape", "NPY_BAD_HEADER", Npy(Header("'\\x3cf4'", "(2, 2)"), kFour)},
      {"NegativeShape", "NPY_BAD_HEADER",
       Npy(Header("'<f4'", "(-2, -2)"), kFour)},
      {"FloatShape", "NPY_BAD_HEADER", Npy(Header("'<f4'", "(2.0, 2)"), kFour)},
      {"ListShape", "NPY_BAD_HEADER", Npy(Header("'<f4'", "[2, 2]"), kFour)},
      {"MissingShape", "NPY_BAD_HEADER",
       Npy("{'descr': '<f4', 'fortran_order': False}", kFour)},
      {"Twice", "NPY_BAD_HEADER",
       Npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4,), 'shape': "
           "(4,)}",
           kFour)},
      {"OtherKey", "NPY_BAD_HEADER",
       Npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4,), 'x': 1}",
           kFour)},
      {"Structure", "NPY_BAD_HEADER",
       Npy(Header("[('a', '<f4')]", "(4,)"), kFour)},
      {"ManyDimensions", "NPY_BAD_HEADER", Npy(Header("'<f4'", nine), kFour)},
      {"HugeNumber", "NPY_BAD_HEADER",
       Npy(Header("'<f4'", "(99999999999999999999,)"), kFour)},
      {"Object", "NPY_BAD_DTYPE", Npy(Header("'|O'", "(2, 2)"), kFour)},
      {"BigEndian", "NPY_BAD_DTYPE", Npy(Header("'>f4'", "(2, 2)"), kFour)},
      {"Integers", "NPY_BAD_DTYPE", Npy(Header("'<i4'", "(2, 2)"), kFour)},
      {"Complex", "NPY_BAD_DTYPE", Npy(Header("'<c8'", "(2,)"), kFour)},
      {"Fortran", "NPY_FORTRAN_ORDER",
       Npy(Header("'<f4'", "(2, 2)", "True"), kFour)},
      {"EmptyShape", "NPY_BAD_SHAPE", Npy(Header("'<f4'", "(0, 4)"), "")},
      {"HugeShape", "NPY_BAD_SHAPE",
       Npy(Header("'<f4'", "(4294967296, 4294967296, 4294967296)"), kFour)},
      {"TooFew", "NPY_SIZE_MISMATCH", Npy(Header("'<f4'", "(5,)"), kFour)},
      {"TooMany", "NPY_SIZE_MISMATCH", Npy(Header("'<f4'", "(3,)"), kFour)},
      {"LargeShape", "NPY_SIZE_MISMATCH",
       Npy(Header("'<f4'", "(1073741824,)"), kFour)},
  };
}

INSTANTIATE_TEST_SUITE_P(Arrays, NpyHostileTest,
                         ::testing::ValuesIn(HostileArrays()), NameOfCase());

}  // namespace
}  // namespace promptd::weights
