// Files that must be refused, rule by rule, each with its own reason.
#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "weights/safetensors.h"

namespace promptd::weights {
namespace {

std::string Length(uint64_t length) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) {
    bytes.push_back(static_cast<char>(length >> (8 * i) & 0xff));
  }
  return bytes;
}

// A file of a header and so many bytes of data.
std::string File(const std::string& header, size_t data_bytes) {
  return Length(header.size()) + header + std::string(data_bytes, '\1');
}

// One member of the header.
std::string Tensor(const std::string& name, const std::string& dtype,
                   const std::string& shape, const std::string& offsets) {
  return absl::StrCat("\"", name, "\":{\"dtype\":\"", dtype,
                      "\",\"shape\":", shape, ",\"data_offsets\":", offsets,
                      "}");
}

std::string Nested(int depth) {
  return absl::StrCat("{\"a\":", std::string(depth, '['),
                      std::string(depth, ']'), "}");
}

std::string ManyTensors(int count) {
  std::string header = "{";
  for (int i = 0; i < count; ++i) {
    absl::StrAppend(&header, i == 0 ? "" : ",",
                    Tensor(absl::StrCat("t", i), "F32", "[1]",
                           absl::StrCat("[", 4 * i, ",", 4 * i + 4, "]")));
  }
  return header + "}";
}

struct HeaderCase {
  const char* name;
  const char* reason;
  std::string bytes;
};

void PrintTo(const HeaderCase& test_case, std::ostream* out) {
  *out << test_case.name;
}

const std::string kGood = Tensor("a", "F32", "[2]", "[0,8]");

std::vector<HeaderCase> HeaderFrameCases() {
  return {
      {"Empty", "SAFETENSORS_TRUNCATED", ""},
      {"SevenBytes", "SAFETENSORS_TRUNCATED", std::string(7, '\0')},
      {"NoHeader", "SAFETENSORS_BAD_HEADER", Length(0)},
      {"HeaderPastEnd", "SAFETENSORS_TRUNCATED", Length(100) + "{}"},
      {"HeaderHuge", "SAFETENSORS_HEADER_TOO_LARGE", Length(3 << 20) + "{}"},
      {"HeaderNegative", "SAFETENSORS_HEADER_TOO_LARGE", Length(~0ull) + "{}"},
      {"LeadingSpace", "SAFETENSORS_BAD_HEADER", File(" {}", 0)},
      {"TabPadding", "SAFETENSORS_BAD_HEADER", File("{}\t", 0)},
      {"NulPadding", "SAFETENSORS_BAD_HEADER", File(std::string("{}\0", 3), 0)},
      {"TwoObjects", "SAFETENSORS_BAD_HEADER", File("{}{}", 0)},
      {"Array", "SAFETENSORS_BAD_HEADER", File("[]", 0)},
      {"BrokenJson", "SAFETENSORS_BAD_HEADER", File("{\"a\":}", 0)},
      {"ByteOrderMark", "SAFETENSORS_BAD_HEADER", File("\xef\xbb\xbf{}", 0)},
      {"NotUtf8", "SAFETENSORS_BAD_HEADER",
       File("{\"__metadata__\":{\"a\":\"\xff\"}}", 0)},
      {"DeepNesting", "SAFETENSORS_BAD_HEADER", File(Nested(200000), 0)},
  };
}

std::vector<HeaderCase> MemberCases() {
  return {
      {"DuplicateTensor", "SAFETENSORS_DUPLICATE_KEY",
       File("{" + kGood + "," + kGood + "}", 8)},
      {"DuplicateEscapedTensor", "SAFETENSORS_DUPLICATE_KEY",
       File("{" + kGood + "," + Tensor("\\u0061", "F32", "[2]", "[0,8]") + "}",
            8)},
      {"DuplicateMember", "SAFETENSORS_DUPLICATE_KEY",
       File("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],"
            "\"data_offsets\":[0,8]}}",
            8)},
      {"DuplicateMetadata", "SAFETENSORS_DUPLICATE_KEY",
       File("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0)},
      {"TwoMetadata", "SAFETENSORS_DUPLICATE_KEY",
       File("{\"__metadata__\":{},\"__metadata__\":{}}", 0)},
      {"UnknownMember", "SAFETENSORS_BAD_HEADER",
       File("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],"
            "\"stride\":[1]}}",
            8)},
      {"NoShape", "SAFETENSORS_BAD_HEADER",
       File("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8)},
      {"TensorIsNumber", "SAFETENSORS_BAD_HEADER", File("{\"a\":1}", 0)},
      {"TensorIsNull", "SAFETENSORS_BAD_HEADER", File("{\"a\":null}", 0)},
      {"EmptyName", "SAFETENSORS_BAD_NAME",
       File("{" + Tensor("", "F32", "[2]", "[0,8]") + "}", 8)},
      {"NameWithNul", "SAFETENSORS_BAD_NAME",
       File("{" + Tensor("a\\u0000b", "F32", "[2]", "[0,8]") + "}", 8)},
      {"NameWithSpace", "SAFETENSORS_BAD_NAME",
       File("{" + Tensor("a b", "F32", "[2]", "[0,8]") + "}", 8)},
      {"NameTooLong", "SAFETENSORS_BAD_NAME",
       File("{" + Tensor(std::string(257, 'a'), "F32", "[2]", "[0,8]") + "}",
            8)},
      {"MetadataNumber", "SAFETENSORS_BAD_METADATA",
       File("{\"__metadata__\":{\"a\":1}}", 0)},
      {"MetadataNested", "SAFETENSORS_BAD_METADATA",
       File("{\"__metadata__\":{\"a\":{}}}", 0)},
      {"MetadataTooLong", "SAFETENSORS_BAD_METADATA",
       File("{\"__metadata__\":{\"a\":\"" + std::string(17000, 'x') + "\"}}",
            0)},
      {"TooManyTensors", "SAFETENSORS_TOO_MANY_TENSORS",
       File(ManyTensors(4097), 4 * 4097)},
  };
}

std::vector<HeaderCase> TensorCases() {
  const auto one = [](const char* dtype, const char* shape, const char* offsets,
                      size_t data) {
    return File("{" + Tensor("a", dtype, shape, offsets) + "}", data);
  };
  return {
      {"UnknownDType", "SAFETENSORS_BAD_DTYPE",
       one("F8_E4M3", "[8]", "[0,8]", 8)},
      {"SubByteDType", "SAFETENSORS_BAD_DTYPE", one("F4", "[8]", "[0,4]", 4)},
      {"Bytes", "SAFETENSORS_BAD_DTYPE", one("U8", "[8]", "[0,8]", 8)},
      {"LowerCaseDType", "SAFETENSORS_BAD_DTYPE",
       one("f32", "[2]", "[0,8]", 8)},
      {"ZeroDimension", "SAFETENSORS_EMPTY_TENSOR",
       one("F32", "[0]", "[0,0]", 0)},
      {"ShapeOverflow", "SAFETENSORS_BAD_SHAPE",
       one("F32", "[4294967296,4294967296,4]", "[0,8]", 8)},
      {"ShapeWrapsToSmall", "SAFETENSORS_BAD_SHAPE",
       one("F32", "[9223372036854775807,2]", "[0,8]", 8)},
      {"ShapeTooLarge", "SAFETENSORS_BAD_SHAPE",
       one("F32", "[18446744073709551615]", "[0,8]", 8)},
      {"ShapeNegative", "SAFETENSORS_BAD_HEADER",
       one("F32", "[-2]", "[0,8]", 8)},
      {"ShapeMinusZero", "SAFETENSORS_BAD_HEADER",
       one("F32", "[-0]", "[0,8]", 8)},
      {"ShapeFloat", "SAFETENSORS_BAD_HEADER", one("F32", "[2.0]", "[0,8]", 8)},
      {"ShapeExponent", "SAFETENSORS_BAD_HEADER",
       one("F32", "[2e0]", "[0,8]", 8)},
      {"ShapeString", "SAFETENSORS_BAD_HEADER",
       one("F32", "[\"2\"]", "[0,8]", 8)},
      {"ShapeNested", "SAFETENSORS_BAD_HEADER",
       one("F32", "[[2]]", "[0,8]", 8)},
      {"ShapeNineDimensions", "SAFETENSORS_BAD_SHAPE",
       one("F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]", 8)},
      {"OneOffset", "SAFETENSORS_BAD_OFFSETS", one("F32", "[2]", "[8]", 8)},
      {"ThreeOffsets", "SAFETENSORS_BAD_OFFSETS",
       one("F32", "[2]", "[0,4,8]", 8)},
      {"OffsetsReversed", "SAFETENSORS_BAD_OFFSETS",
       one("F32", "[2]", "[8,0]", 8)},
      {"OffsetTooLarge", "SAFETENSORS_BAD_OFFSETS",
       one("F32", "[2]", "[0,18446744073709551615]", 8)},
      {"SizeMismatch", "SAFETENSORS_SIZE_MISMATCH",
       one("F32", "[3]", "[0,8]", 8)},
      {"HalfSizeMismatch", "SAFETENSORS_SIZE_MISMATCH",
       one("F16", "[2]", "[0,8]", 8)},
      {"DataTruncated", "SAFETENSORS_TRUNCATED", one("F32", "[2]", "[0,8]", 7)},
      {"DataTrailing", "SAFETENSORS_TRAILING_BYTES",
       one("F32", "[2]", "[0,8]", 9)},
      {"TrailingWithoutTensors", "SAFETENSORS_TRAILING_BYTES", File("{}", 1)},
      {"HoleAtStart", "SAFETENSORS_HOLE", one("F32", "[2]", "[8,16]", 16)},
      {"HoleBetween", "SAFETENSORS_HOLE",
       File("{" + kGood + "," + Tensor("b", "F32", "[1]", "[12,16]") + "}",
            16)},
      {"Overlap", "SAFETENSORS_OVERLAP",
       File("{" + kGood + "," + Tensor("b", "F32", "[2]", "[4,12]") + "}", 12)},
      {"SharedBytes", "SAFETENSORS_OVERLAP",
       File("{" + kGood + "," + Tensor("b", "F32", "[2]", "[0,8]") + "}", 8)},
  };
}

class SafetensorsHostileTest : public ::testing::TestWithParam<HeaderCase> {};

TEST_P(SafetensorsHostileTest, IsRefusedWithItsReason) {
  const HeaderCase& test_case = GetParam();
  const auto file = Safetensors::FromBytes(test_case.bytes, "hostile.file");
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ErrorReason(file.status()), test_case.reason) << file.status();
  EXPECT_EQ(file.status().message().substr(0, 12), "hostile.file");
  EXPECT_LT(file.status().message().size(), 400u);
}

std::string NameOf(const ::testing::TestParamInfo<HeaderCase>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(Frame, SafetensorsHostileTest,
                         ::testing::ValuesIn(HeaderFrameCases()), NameOf);
INSTANTIATE_TEST_SUITE_P(Members, SafetensorsHostileTest,
                         ::testing::ValuesIn(MemberCases()), NameOf);
INSTANTIATE_TEST_SUITE_P(Tensors, SafetensorsHostileTest,
                         ::testing::ValuesIn(TensorCases()), NameOf);

// The same builder makes files that are accepted: the cases above are refused
// for what they alter.
TEST(SafetensorsHostileControlTest, UnalteredFilesAreAccepted) {
  for (const std::string& bytes :
       {File("{" + kGood + "}", 8), File("{" + kGood + "}      ", 8),
        File("{}", 0), File(ManyTensors(4096), 4 * 4096),
        File("{" + Tensor("b", "F32", "[1]", "[8,12]") + "," + kGood +
                 ",\"__metadata__\":{\"a\":\"\"}}",
             12)}) {
    const auto file = Safetensors::FromBytes(bytes, "good.file");
    EXPECT_TRUE(file.ok()) << file.status();
  }
}

TEST(SafetensorsHostileControlTest, EveryPrefixOfAGoodFileIsRefused) {
  const std::string bytes = File("{" + kGood + "}", 8);
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(Safetensors::FromBytes(bytes.substr(0, length), "cut").ok());
  }
}

TEST(SafetensorsHostileControlTest, EveryFlippedByteIsAnsweredNotACrash) {
  const std::string bytes = File("{" + kGood + "}", 8);
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (int value = 0; value < 256; ++value) {
      std::string altered = bytes;
      altered[i] = static_cast<char>(value);
      const auto file = Safetensors::FromBytes(altered, "flipped");
      if (!file.ok()) continue;
      for (const auto& [name, record] : file->tensors()) {
        const auto data = file->Bytes(name);
        ASSERT_TRUE(data.ok());
        EXPECT_EQ(static_cast<int64_t>(data->size()),
                  record.elements * DTypeSize(record.dtype));
      }
    }
  }
}

}  // namespace
}  // namespace promptd::weights
