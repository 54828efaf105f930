// The encoder against open_clip's CLIP class, and transformers' where it has
// the architecture, on the same weights.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "absl/strings/str_replace.h"
#include "clip/encoder.h"
#include "clip/host_floats.h"
#include "clip/image_tower.h"
#include "common/error.h"
#include "tests/clip/golden.h"

namespace promptd::clip {
namespace {

class EncoderParityTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const auto folder = weights::EncoderFolder::Open(EncoderPath(GetParam()));
    ASSERT_TRUE(folder.ok()) << folder.status();
    const auto loaded = Encoder::Load(*folder);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    encoder_ = *loaded;
    goldens_ = LoadGoldens(GetParam());
  }

  // The figure, into the test's output.
  static double Recorded(double error) {
    std::printf("relative error %.2e\n", error);
    return error;
  }

  std::shared_ptr<const Encoder> encoder_;
  Goldens goldens_;
};

TEST_P(EncoderParityTest, ImageFeaturesEqualOpenClips) {
  const auto features = encoder_->EncodeImages(goldens_.pixels);
  ASSERT_TRUE(features.ok()) << features.status();
  EXPECT_LE(Recorded(RelativeError(*features, goldens_.image_features)),
            ImageTolerance(encoder_->config()));
}

TEST_P(EncoderParityTest, FeaturesEqualThoseOfTransformers) {
  const FloatTensor& images = goldens_.transformers_image_features;
  ASSERT_EQ(images.shape.empty(), encoder_->config().vision.is_resnet());
  if (images.shape.empty()) return;  // transformers has no ResNet for CLIP
  const auto features = encoder_->EncodeImages(goldens_.pixels);
  ASSERT_TRUE(features.ok()) << features.status();
  EXPECT_LE(Recorded(RelativeError(*features, images)),
            ImageTolerance(encoder_->config()));
  EXPECT_LE(
      Recorded(RelativeError(PackedTextFeatures(*encoder_, goldens_.token_ids),
                             goldens_.transformers_text_features)),
      kTextTolerance);
}

TEST_P(EncoderParityTest, ImageFeaturesDoNotDependOnTheBatch) {
  const int64_t count = goldens_.pixels.shape[0];
  const size_t size = goldens_.pixels.values.size() / count;
  const size_t width = goldens_.image_features.values.size() / count;
  for (int64_t i = 0; i < count; ++i) {
    FloatTensor one = goldens_.pixels;
    one.shape[0] = 1;
    one.values.assign(goldens_.pixels.values.begin() + i * size,
                      goldens_.pixels.values.begin() + (i + 1) * size);
    const auto features = encoder_->EncodeImages(one);
    ASSERT_TRUE(features.ok()) << features.status();
    const FloatTensor expected{
        {1, static_cast<int64_t>(width)},
        {goldens_.image_features.values.begin() + i * width,
         goldens_.image_features.values.begin() + (i + 1) * width}};
    EXPECT_LE(RelativeError(*features, expected),
              ImageTolerance(encoder_->config()));
  }
}

// Large batches run in slices.
TEST_P(EncoderParityTest, ImageFeaturesDoNotDependOnSlices) {
  const bool large =
      encoder_->image_tower().activation_bytes() > (int64_t{1} << 20);
  const int64_t copies = large ? 2 : 60;
  FloatTensor many = goldens_.pixels;
  FloatTensor expected = goldens_.image_features;
  for (int64_t copy = 1; copy < copies; ++copy) {
    many.values.insert(many.values.end(), goldens_.pixels.values.begin(),
                       goldens_.pixels.values.end());
    expected.values.insert(expected.values.end(),
                           goldens_.image_features.values.begin(),
                           goldens_.image_features.values.end());
  }
  many.shape[0] *= copies;
  expected.shape[0] *= copies;
  const auto features = encoder_->EncodeImages(many);
  ASSERT_TRUE(features.ok()) << features.status();
  EXPECT_LE(RelativeError(*features, expected),
            ImageTolerance(encoder_->config()));
}

// Threads share every operator, or take images side by side.
TEST_P(EncoderParityTest, ImageFeaturesDoNotDependOnThreads) {
  const int64_t count = goldens_.pixels.shape[0];
  const size_t size = goldens_.pixels.values.size() / count;
  const size_t width = goldens_.image_features.values.size() / count;
  FloatTensor some = goldens_.pixels;
  some.values.clear();
  FloatTensor expected = goldens_.image_features;
  expected.values.clear();
  for (int64_t images = 1; images <= 5; ++images) {
    const int64_t next = (images - 1) % count;
    some.values.insert(some.values.end(),
                       goldens_.pixels.values.begin() + next * size,
                       goldens_.pixels.values.begin() + (next + 1) * size);
    expected.values.insert(
        expected.values.end(),
        goldens_.image_features.values.begin() + next * width,
        goldens_.image_features.values.begin() + (next + 1) * width);
    some.shape[0] = expected.shape[0] = images;
    for (const int threads : {1, 2, 3}) {
      at::set_num_threads(threads);
      const auto features = encoder_->EncodeImages(some);
      ASSERT_TRUE(features.ok()) << features.status();
      EXPECT_LE(RelativeError(*features, expected),
                ImageTolerance(encoder_->config()))
          << images << " images, " << threads << " threads";
    }
  }
}

// One more row than images: what is behind them does not change them.
TEST_P(EncoderParityTest, ImagesThatLieApartGiveTheSame) {
  const auto count = static_cast<size_t>(goldens_.pixels.shape[0]);
  const size_t size = goldens_.pixels.values.size() / count;
  const size_t width = goldens_.image_features.values.size() / count;
  const float* const pixels = goldens_.pixels.values.data();
  std::vector<absl::Span<const float>> batch;
  FloatTensor expected = goldens_.image_features;
  expected.values.clear();
  for (size_t images = 1; images <= 5; ++images) {
    const size_t next = (images - 1) % count;
    batch.emplace_back(pixels + next * size, size);
    const auto row = goldens_.image_features.values.begin() +
                     static_cast<ptrdiff_t>(next * width);
    expected.values.insert(expected.values.end(), row,
                           row + static_cast<ptrdiff_t>(width));
    expected.shape[0] = static_cast<int64_t>(images);
    for (const int threads : {1, 2, 3}) {
      at::set_num_threads(threads);
      const auto features =
          encoder_->EncodeImages(batch, expected.shape[0] + 1);
      ASSERT_TRUE(features.ok()) << features.status();
      EXPECT_LE(RelativeError(
                    ToFloatTensor(features->narrow(0, 0, expected.shape[0])),
                    expected),
                ImageTolerance(encoder_->config()))
          << images << " images, " << threads << " threads";
    }
  }
  EXPECT_EQ(
      ErrorReason(
          encoder_->EncodeImages({batch[0], batch[0].first(7)}, 2).status()),
      "BAD_IMAGE_SHAPE");
}

TEST_P(EncoderParityTest, DifferentImagesHaveDifferentFeatures) {
  const auto features = encoder_->EncodeImages(goldens_.pixels);
  ASSERT_TRUE(features.ok()) << features.status();
  const int64_t width = features->shape[1];
  const auto dot = [&](int64_t i, int64_t j) {
    double sum = 0;
    for (int64_t k = 0; k < width; ++k) {
      sum += static_cast<double>(features->values[i * width + k]) *
             features->values[j * width + k];
    }
    return sum;
  };
  double smallest = 1;
  for (int64_t i = 0; i < features->shape[0]; ++i) {
    for (int64_t j = 0; j < i; ++j) {
      smallest =
          std::min(smallest, dot(i, j) / std::sqrt(dot(i, i) * dot(j, j)));
    }
  }
  EXPECT_LT(smallest, 0.9);
}

TEST_P(EncoderParityTest, PlainTextFeaturesEqualOpenClips) {
  const auto folder = weights::EncoderFolder::Open(EncoderPath(GetParam()));
  ASSERT_TRUE(folder.ok()) << folder.status();
  const FloatTensor features = PlainTextFeatures(*folder, goldens_.token_ids);
  EXPECT_LE(Recorded(RelativeError(features, goldens_.text_features)),
            kTextTolerance);
}

TEST_P(EncoderParityTest, PackedTextFeaturesEqualOpenClips) {
  const FloatTensor features =
      PackedTextFeatures(*encoder_, goldens_.token_ids);
  EXPECT_LE(Recorded(RelativeError(features, goldens_.text_features)),
            kTextTolerance);
}

TEST_P(EncoderParityTest, TokensEqualOpenClips) {
  for (size_t i = 0; i < goldens_.texts.size(); ++i) {
    auto tokens = encoder_->tokenizer().EncodeWithMarkers(
        goldens_.texts[i], encoder_->config().text.context_length);
    ASSERT_TRUE(tokens.ok()) << tokens.status();
    tokens->resize(goldens_.token_ids[i].size(), 0);
    EXPECT_EQ(*tokens, goldens_.token_ids[i]) << goldens_.texts[i];
  }
}

TEST_P(EncoderParityTest, LogitScaleIsTheExponential) {
  EXPECT_NEAR(encoder_->logit_scale(), goldens_.logit_scale,
              1e-5 * goldens_.logit_scale);
}

INSTANTIATE_TEST_SUITE_P(
    Encoders, EncoderParityTest, ::testing::ValuesIn(ParityEncoders()),
    [](const auto& encoder) {
      return absl::StrReplaceAll(encoder.param, {{"-", "_"}});
    });

}  // namespace
}  // namespace promptd::clip
