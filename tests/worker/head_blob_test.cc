#include "worker/head_blob.h"

#include <limits>

#include "common/error.h"
#include "gtest/gtest.h"
#include "worker/tensor_blob.h"

namespace promptd::worker {
namespace {

const FloatTensor kRows = {{3, 2}, {1, 0, 0, 1, 0.6f, 0.8f}};
const FloatTensor kBias = {{3}, {1, 2, 3}};

void ExpectEqual(const ClassHead& a, const ClassHead& b) {
  EXPECT_EQ(a.cosine, b.cosine);
  EXPECT_EQ(a.weights.shape, b.weights.shape);
  EXPECT_EQ(a.weights.values, b.weights.values);
  EXPECT_EQ(a.bias.shape, b.bias.shape);
  EXPECT_EQ(a.bias.values, b.bias.values);
}

TEST(HeadBlobTest, EveryKindComesBack) {
  for (const ClassHead& head : {ClassHead{kRows}, ClassHead{kRows, kBias},
                                ClassHead{kRows, kBias, false}}) {
    const auto bytes = SerializeHead(head);
    ASSERT_TRUE(bytes.ok());
    const auto read = ParseHead(*bytes, 2);
    ASSERT_TRUE(read.ok()) << read.status();
    ExpectEqual(*read, head);
  }
  // And names the image tower that it is for.
  ClassHead tuned{kRows};
  tuned.image_tower = "5e1f";
  EXPECT_EQ(ParseHead(*SerializeHead(tuned), 2)->image_tower, "5e1f");
  EXPECT_EQ(SelectClasses(tuned, {0}).image_tower, "5e1f");
  EXPECT_EQ(ParseHead(*SerializeHead({kRows}), 2)->image_tower, "");
  tuned.temperature = 0.7251;
  EXPECT_EQ(ParseHead(*SerializeHead(tuned), 2)->temperature, 0.7251);
  EXPECT_EQ(SelectClasses(tuned, {0}).temperature, 0.7251);
  EXPECT_EQ(ParseHead(*SerializeHead({kRows}), 2)->temperature, 1);
  for (const char* const bad : {"0", "-1", "nan", "inf", "warm", ""}) {
    EXPECT_EQ(
        ErrorReason(ParseHead(*SerializeTensors({{"text_features", kRows}},
                                                {{"temperature", bad}}),
                              2)
                        .status()),
        "BLOB_CORRUPT")
        << bad;
  }
  // A prompt's head is the file that it has always been.
  EXPECT_EQ(*SerializeHead({kRows}), *SerializeTensor("text_features", kRows));
}

TEST(HeadBlobTest, WhatIsNoHeadIsCorrupt) {
  const auto reason = [](const std::map<std::string, FloatTensor>& tensors,
                         int width) {
    return ErrorReason(ParseHead(*SerializeTensors(tensors), width).status());
  };
  EXPECT_EQ(reason({{"text_features", kRows}}, 2),
            ErrorReason(absl::OkStatus()));
  EXPECT_EQ(reason({{"text_features", kRows}}, 3), "BLOB_CORRUPT");
  EXPECT_EQ(reason({{"text_features", kBias}}, 3), "BLOB_CORRUPT");
  EXPECT_EQ(reason({{"weights", kRows}}, 2), "BLOB_CORRUPT");
  EXPECT_EQ(reason({{"weights", kRows}, {"bias", {{2}, {1, 2}}}}, 2),
            "BLOB_CORRUPT");
  EXPECT_EQ(reason({{"weights", kRows}, {"text_features", kRows}}, 2),
            "BLOB_CORRUPT");
  EXPECT_EQ(reason({{"ctx", kRows}}, 2), "BLOB_CORRUPT");
  FloatTensor bad = kRows;
  bad.values[1] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(reason({{"text_features", bad}}, 2), "BLOB_CORRUPT");
  EXPECT_EQ(ErrorReason(ParseHead("no file", 2).status()), "BLOB_CORRUPT");
}

TEST(HeadBlobTest, ClassesAreSelectedWithTheirBias) {
  const ClassHead head = SelectClasses({kRows, kBias, false}, {2, 0});
  ExpectEqual(head, {{{2, 2}, {0.6f, 0.8f, 1, 0}}, {{2}, {3, 1}}, false});
}

}  // namespace
}  // namespace promptd::worker
