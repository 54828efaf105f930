#include "server/embed_calls.h"

#include "absl/strings/match.h"
#include "tests/server/server_fixture.h"

namespace promptd::server {
namespace {

class EmbedCallsTest : public ServerFixture {
 protected:
  grpc::Status EmbedImages(const v1::EmbedImagesRequest& request) {
    Context context;
    return encoders_->EmbedImages(&context, request, &reply_);
  }
  grpc::Status EmbedTexts(const v1::EmbedTextsRequest& request) {
    Context context;
    return encoders_->EmbedTexts(&context, request, &reply_);
  }

  v1::EmbedResponse reply_;
};

TEST_F(EmbedCallsTest, ImagesAreAnsweredInOrderAndABadOneAlone) {
  v1::EmbedImagesRequest request;
  request.add_images(Png(1));
  request.add_images("garbage");
  request.add_images(Png(2));
  request.set_no_cache(true);
  const grpc::Status status = EmbedImages(request);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(reply_.encoder_digest(), std::string(64, 'b'));
  EXPECT_EQ(reply_.request_id().size(), 36u);
  ASSERT_EQ(reply_.embeddings_size(), 3);
  for (const int i : {0, 2}) {
    ASSERT_EQ(reply_.embeddings(i).values_size(), 2);
    EXPECT_EQ(reply_.embeddings(i).values(1), 0.8f);
    EXPECT_EQ(reply_.embeddings(i).norm(), 5.0f);
    EXPECT_EQ(reply_.embeddings(i).error_reason(), "");
  }
  EXPECT_EQ(reply_.embeddings(1).error_reason(), "IMAGE_UNKNOWN_FORMAT");
  EXPECT_NE(reply_.embeddings(1).error_message(), "");
  EXPECT_EQ(reply_.embeddings(1).values_size(), 0);
  EXPECT_EQ(reply_.embeddings(0).cache(), v1::CACHE_STATE_BYPASS);
  EXPECT_EQ(reply_.timings().total().nanos(), 9'000'000);
  EXPECT_TRUE(executor_.last_call().embed);
  EXPECT_TRUE(executor_.last_call().no_cache);
  // A call that brings no deadline of its own gets the server's.
  EXPECT_LT(executor_.last_call().deadline, absl::InfiniteFuture());
  EXPECT_TRUE(absl::StrContains(Metrics(), "method=\"EmbedImages\""));
}

TEST_F(EmbedCallsTest, TextsAreTakenAsTheyAre) {
  v1::EmbedTextsRequest request;
  request.set_encoder("large");
  request.add_texts("A_photo {}");
  request.add_texts("a b c d e f g h i j k l");
  request.add_texts("");
  ASSERT_TRUE(EmbedTexts(request).ok());
  EXPECT_EQ(reply_.encoder_digest(), std::string(64, 'a'));
  ASSERT_EQ(reply_.embeddings_size(), 3);
  EXPECT_EQ(reply_.embeddings(0).norm(), 5.0f);
  EXPECT_EQ(reply_.embeddings(1).error_reason(), "TEXT_TOO_LONG");
  EXPECT_EQ(reply_.embeddings(2).values_size(), 2);
  EXPECT_EQ(executor_.last_texts().texts.at(0), "A_photo {}");
  EXPECT_LT(executor_.last_texts().deadline, absl::InfiniteFuture());
  request.set_truncate(true);
  ASSERT_TRUE(EmbedTexts(request).ok());
  EXPECT_EQ(reply_.embeddings(1).error_reason(), "");
}

TEST_F(EmbedCallsTest, CountsAreBounded) {
  v1::EmbedImagesRequest images;
  ErrorDetails error = Decode(EmbedImages(images));
  EXPECT_EQ(error.reason, "INVALID_EMBED_REQUEST");
  EXPECT_NE(error.Field("images"), "");
  for (int i = 0; i < 65; ++i) images.add_images("x");
  EXPECT_TRUE(absl::StrContains(Decode(EmbedImages(images)).Field("images"),
                                "at most 64"));
  v1::EmbedTextsRequest texts;
  error = Decode(EmbedTexts(texts));
  EXPECT_EQ(error.code, grpc::INVALID_ARGUMENT);
  EXPECT_NE(error.Field("texts"), "");
  for (int i = 0; i < 512; ++i) texts.add_texts("x");
  EXPECT_TRUE(EmbedTexts(texts).ok());
  texts.add_texts("x");
  EXPECT_TRUE(absl::StrContains(Decode(EmbedTexts(texts)).Field("texts"),
                                "at most 512"));
  texts.clear_texts();
  texts.add_texts("x");
  texts.set_encoder("huge");
  EXPECT_EQ(Decode(EmbedTexts(texts)).reason, "ENCODER_NOT_FOUND");
}

TEST_F(EmbedCallsTest, WhatIsNotUtf8IsRefusedAndTheServerLives) {
  v1::EmbedTextsRequest request;
  request.add_texts("a \xff");
  EXPECT_FALSE(EmbedTexts(request).ok());
  request.set_texts(0, "a");
  EXPECT_TRUE(EmbedTexts(request).ok());
}

}  // namespace
}  // namespace promptd::server
