#include "bench/load/request_maker.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <set>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/sha256.h"
#include "inference/inference.pb.h"
#include "promptd/v1/classify.pb.h"
#include "tests/bench/load_files.h"

namespace promptd::load {
namespace {

RequestMaker Maker(const RequestOptions& options, ModelInput input = {},
                   bool fresh = false) {
  return RequestMaker(options, std::move(input),
                      *ImageSource::OfFiles(TwoJpegs(fresh), 1), 1);
}

template <typename Message>
Message Parsed(const grpc::ByteBuffer& buffer) {
  Message message;
  EXPECT_TRUE(message.ParseFromString(Text(buffer)));
  return message;
}

grpc::ByteBuffer Buffer(const google::protobuf::Message& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

TEST(RequestMakerTest, ClassifyCarriesTaskAliasAndImages) {
  RequestOptions options;
  options.name = "pets";
  options.alias = "canary";
  options.top_k = 3;
  options.images_per_request = 3;
  RequestMaker maker = Maker(options);
  EXPECT_EQ(maker.method(), "/promptd.v1.ClassifyService/Classify");
  const auto request = Parsed<v1::ClassifyRequest>(maker.Next());
  EXPECT_EQ(request.task(), "pets");
  EXPECT_EQ(request.alias(), "canary");
  EXPECT_EQ(request.top_k(), 3);
  ASSERT_EQ(request.images_size(), 3);
  EXPECT_EQ(request.images(0), "\xFF\xD8-one");
  EXPECT_EQ(request.images(1), "\xFF\xD8-second");
}

TEST(RequestMakerTest, AnItemIsAClassifyRequestUnderItsId) {
  RequestOptions options;
  options.api = Api::kStream;
  options.name = "pets";
  options.top_k = 3;
  options.images_per_request = 2;
  RequestMaker maker = Maker(options);
  EXPECT_EQ(maker.method(), "/promptd.v1.ClassifyService/ClassifyStream");
  const auto item = Parsed<v1::ClassifyStreamRequest>(maker.NextItem("17"));
  EXPECT_EQ(item.id(), "17");
  EXPECT_EQ(item.classify().task(), "pets");
  EXPECT_EQ(item.classify().top_k(), 3);
  ASSERT_EQ(item.classify().images_size(), 2);
  EXPECT_EQ(item.classify().images(1), "\xFF\xD8-second");
}

TEST(RequestMakerTest, NamesImagesByTheirDigest) {
  ImageOptions images = TwoJpegs(false);
  images.by_digest = true;
  RequestOptions options;
  options.name = "pets";
  options.images_per_request = 3;
  RequestMaker maker(options, {}, *ImageSource::OfFiles(images, 1), 1);
  const auto request = Parsed<v1::ClassifyRequest>(maker.Next());
  EXPECT_EQ(request.images_size(), 0);
  ASSERT_EQ(request.image_digests_size(), 3);
  EXPECT_EQ(absl::BytesToHexString(request.image_digests(0)),
            Sha256Hex("\xFF\xD8-one"));
  EXPECT_EQ(absl::BytesToHexString(request.image_digests(1)),
            Sha256Hex("\xFF\xD8-second"));
  EXPECT_EQ(request.image_digests(2), request.image_digests(0));
}

// What the server finds at a request's place, like the raw contents of the same
// request without shared memory.
TEST(RequestMakerTest, ImagesInSharedMemoryAreThoseOfMessages) {
  for (const bool fresh : {false, true}) {
    RequestOptions options;
    options.api = Api::kInfer;
    options.name = "_image_encoder";
    options.images_per_request = 3;
    const ModelInput input{"IMAGE", "BYTES", {3, 1}};
    RequestMaker plain = Maker(options, input, fresh);
    RequestMaker maker = Maker(options, input, fresh);
    ASSERT_TRUE(maker.ShareMemory(3).ok());
    const std::string key = maker.shared()->key();
    const int object = ::shm_open(key.c_str(), O_RDONLY, 0);
    ASSERT_GE(object, 0);
    std::set<int64_t> offsets;
    for (int i = 0; i < 10; ++i) {
      const auto request = Parsed<inference::ModelInferRequest>(maker.Next());
      EXPECT_EQ(request.raw_input_contents_size(), 0);
      const auto& parameters = request.inputs(0).parameters();
      EXPECT_EQ(parameters.at("shared_memory_region").string_param(), key);
      const int64_t offset =
          parameters.at("shared_memory_offset").int64_param();
      offsets.insert(offset);
      std::string bytes(parameters.at("shared_memory_byte_size").int64_param(),
                        '\0');
      EXPECT_EQ(::pread(object, bytes.data(), bytes.size(), offset),
                static_cast<ssize_t>(bytes.size()));
      EXPECT_EQ(bytes, Parsed<inference::ModelInferRequest>(plain.Next())
                           .raw_input_contents(0));
    }
    EXPECT_EQ(offsets.size(), 4u);  // of three, but two images take turns
    ::close(object);
  }
  // Its maker is gone.
  EXPECT_LT(::shm_open(absl::StrCat("/promptd-load-", ::getpid()).c_str(),
                       O_RDONLY, 0),
            0);
}

TEST(RequestMakerTest, ReadsTheAnswerToAnItem) {
  RequestOptions options;
  options.api = Api::kStream;
  v1::ClassifyStreamResponse response;
  response.set_id("17");
  response.mutable_classify()->add_results();
  response.mutable_classify()->add_results()->set_error_reason("NO");
  const auto answer = Maker(options).AnswerOf(Buffer(response));
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->id, "17");
  EXPECT_TRUE(answer->status.ok());
  EXPECT_EQ(answer->images, 1);
  response.set_code(grpc::UNAVAILABLE);
  response.set_error_message("full");
  EXPECT_EQ(Maker(options).AnswerOf(Buffer(response))->status.error_message(),
            "full");
}

TEST(RequestMakerTest, TakesVersionsOfTheWholeRange) {
  RequestOptions options;
  options.name = "pets";
  options.versions = VersionRange{5, 7};
  RequestMaker maker = Maker(options);
  std::set<int64_t> seen;
  for (int i = 0; i < 100; ++i) {
    seen.insert(Parsed<v1::ClassifyRequest>(maker.Next()).version());
  }
  EXPECT_EQ(seen, (std::set<int64_t>{5, 6, 7}));
}

TEST(RequestMakerTest, InferCarriesBytesWithTheirLengths) {
  RequestOptions options;
  options.api = Api::kInfer;
  options.name = "image";
  options.versions = VersionRange{4, 4};
  options.images_per_request = 2;
  RequestMaker maker = Maker(options, {"IMAGE", "BYTES", {2, 1}}, true);
  EXPECT_EQ(maker.method(), "/inference.GRPCInferenceService/ModelInfer");
  const auto request = Parsed<inference::ModelInferRequest>(maker.Next());
  EXPECT_EQ(request.model_name(), "image");
  EXPECT_EQ(request.model_version(), "4");
  ASSERT_EQ(request.inputs_size(), 1);
  EXPECT_EQ(request.inputs(0).name(), "IMAGE");
  EXPECT_EQ(request.inputs(0).datatype(), "BYTES");
  EXPECT_EQ(request.inputs(0).shape(0), 2);
  EXPECT_EQ(request.inputs(0).shape(1), 1);
  ASSERT_EQ(request.raw_input_contents_size(), 1);
  const std::string& raw = request.raw_input_contents(0);
  // Lengths with the comments of 22 - 2 bytes: 26 and 29.
  ASSERT_EQ(raw.size(), 4 + 26 + 4 + 29u);
  EXPECT_EQ(raw.substr(0, 4), std::string("\x1A\0\0\0", 4));
  EXPECT_EQ(raw.substr(4 + 22, 4), "-one");
  EXPECT_EQ(raw.substr(30, 4), std::string("\x1D\0\0\0", 4));
  EXPECT_EQ(raw.substr(34 + 22), "-second");
}

TEST(RequestMakerTest, AnInferenceStreamNamesItsItemsAndReadsTheirAnswers) {
  RequestOptions options;
  options.api = Api::kInferStream;
  options.name = "image";
  options.images_per_request = 2;
  RequestMaker maker = Maker(options, {"IMAGE", "BYTES", {2, 1}});
  EXPECT_EQ(maker.method(), "/inference.GRPCInferenceService/ModelStreamInfer");
  const auto request =
      Parsed<inference::ModelInferRequest>(maker.NextItem("17"));
  EXPECT_EQ(request.id(), "17");
  EXPECT_EQ(request.model_name(), "image");
  ASSERT_EQ(request.raw_input_contents_size(), 1);
  inference::ModelStreamInferResponse response;
  response.mutable_infer_response()->set_id("17");
  EXPECT_EQ(maker.AnswerOf(Buffer(response))->images, 0);
  response.mutable_infer_response()->add_outputs();
  const auto answer = maker.AnswerOf(Buffer(response));
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->id, "17");
  EXPECT_TRUE(answer->status.ok());
  EXPECT_EQ(answer->images, 2);
  response.set_error_message("full");
  EXPECT_EQ(maker.AnswerOf(Buffer(response))->status.error_message(), "full");
}

TEST(RequestMakerTest, InferCarriesPixelsAsTheyAre) {
  RequestOptions options;
  options.api = Api::kInfer;
  options.name = "pixels";
  ImageOptions images;
  images.pixels = true;
  RequestMaker maker(options, {"PIXELS", "FP32", {1, 3, 2, 2}},
                     ImageSource::OfPixels(images, 12, 1), 1);
  const auto request = Parsed<inference::ModelInferRequest>(maker.Next());
  EXPECT_EQ(request.inputs(0).datatype(), "FP32");
  ASSERT_EQ(request.raw_input_contents_size(), 1);
  EXPECT_EQ(request.raw_input_contents(0),
            Text(ImageSource::OfPixels(images, 12, 1).Next()));
}

TEST(RequestMakerTest, CountsTheImagesThatWereAnswered) {
  RequestOptions options;
  options.images_per_request = 2;
  v1::ClassifyResponse response;
  response.add_results();
  response.add_results()->set_error_reason("IMAGE_TRUNCATED");
  EXPECT_EQ(*Maker(options).AnsweredImages(Buffer(response)), 1);
  options.api = Api::kInfer;
  inference::ModelInferResponse inferred;
  EXPECT_EQ(*Maker(options).AnsweredImages(Buffer(inferred)), 0);
  inferred.add_outputs();
  EXPECT_EQ(*Maker(options).AnsweredImages(Buffer(inferred)), 2);
}

TEST(RequestMakerTest, ReportsAReplyThatIsNone) {
  const grpc::Slice slice("\xFF\xFF");
  EXPECT_EQ(
      Maker({}).AnsweredImages(grpc::ByteBuffer(&slice, 1)).status().code(),
      absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace promptd::load
