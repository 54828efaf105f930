#include "bench/load/run_streams.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>

#include "promptd/v1/classify.grpc.pb.h"
#include "tests/bench/load_files.h"
#include "tests/bench/local_server.h"

namespace promptd::load {
namespace {

using Stream = grpc::ServerReaderWriter<v1::ClassifyStreamResponse,
                                        v1::ClassifyStreamRequest>;

// Serves each stream by the function given.
class StreamService : public v1::ClassifyService::Service {
 public:
  using Serve = std::function<grpc::Status(Stream*)>;

  explicit StreamService(Serve serve) : serve_(std::move(serve)) {}

  grpc::Status ClassifyStream(grpc::ServerContext*, Stream* stream) override {
    return serve_(stream);
  }

 private:
  const Serve serve_;
};

// An answer for each image that an item has, of either kind.
v1::ClassifyStreamResponse AnswerTo(const v1::ClassifyStreamRequest& request) {
  v1::ClassifyStreamResponse response;
  response.set_id(request.id());
  const v1::ClassifyRequest& call = request.classify();
  for (int i = 0; i < call.images_size() + call.image_digests_size(); ++i) {
    response.mutable_classify()->add_results();
  }
  return response;
}

class RunStreamsTest : public testing::Test {
 protected:
  RunStreamsTest() {
    request_.api = Api::kStream;
    request_.name = "pets";
    pace_.length = absl::Milliseconds(200);
    pace_.concurrency = 6;
  }

  LoadResult Run(StreamService::Serve serve, int channels = 1) {
    StreamService service(std::move(serve));
    const LocalServer server(&service);
    RequestMaker requests(request_, {},
                          *ImageSource::OfFiles(TwoJpegs(false), 1), 1);
    std::vector<std::shared_ptr<grpc::Channel>> open;
    for (int i = 0; i < channels; ++i) open.push_back(server.Connect());
    return RunStreams(pace_, open, &requests);
  }

  RequestOptions request_;
  PaceOptions pace_;
};

TEST_F(RunStreamsTest, KeepsItemsUnderWayAndCountsTheirAnswers) {
  std::atomic<int> streams = 0;
  const LoadResult result = Run(
      [&](Stream* stream) {
        ++streams;
        v1::ClassifyStreamRequest request;
        while (stream->Read(&request)) stream->Write(AnswerTo(request));
        return grpc::Status::OK;
      },
      2);
  EXPECT_EQ(streams, 2);
  EXPECT_GT(result.ok, 6);
  EXPECT_EQ(result.requests, result.ok);
  EXPECT_EQ(result.latency.count(), result.ok);
  EXPECT_GE(result.images, result.ok - 6);
  EXPECT_EQ(result.image_errors, 0);
  EXPECT_EQ(result.first_error, "");
}

TEST_F(RunStreamsTest, AnswersComeInAnyOrder) {
  pace_.concurrency = 2;
  const LoadResult result = Run([](Stream* stream) {
    v1::ClassifyStreamRequest first, second;
    EXPECT_TRUE(stream->Read(&first) && stream->Read(&second));
    EXPECT_NE(first.id(), second.id());
    stream->Write(AnswerTo(second));
    stream->Write(AnswerTo(first));
    while (stream->Read(&first)) stream->Write(AnswerTo(first));
    return grpc::Status::OK;
  });
  EXPECT_GT(result.ok, 2);
  EXPECT_EQ(result.first_error, "");
}

TEST_F(RunStreamsTest, ItemsThatFailAreCounted) {
  const LoadResult result = Run([](Stream* stream) {
    v1::ClassifyStreamRequest request;
    while (stream->Read(&request)) {
      v1::ClassifyStreamResponse response;
      response.set_id(request.id());
      response.set_code(grpc::NOT_FOUND);
      response.set_error_message("no task");
      stream->Write(response);
    }
    return grpc::Status::OK;
  });
  EXPECT_EQ(result.ok, 0);
  EXPECT_GT(result.by_code.at("NOT_FOUND"), 0);
  EXPECT_EQ(result.first_error, "NOT_FOUND: no task");
}

TEST_F(RunStreamsTest, AStreamThatEndsFailsItsItems) {
  const LoadResult result = Run([](Stream* stream) {
    v1::ClassifyStreamRequest request;
    for (int i = 0; i < 10 && stream->Read(&request); ++i) {
      stream->Write(AnswerTo(request));
    }
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
  });
  EXPECT_EQ(result.ok, 10);
  // Those that were sent.
  EXPECT_EQ(result.requests, 10 + result.by_code.at("UNAVAILABLE"));
  EXPECT_EQ(result.first_error, "UNAVAILABLE: gone");
}

TEST_F(RunStreamsTest, AnAnswerToNoItemEndsTheStream) {
  const LoadResult result = Run([](Stream* stream) {
    v1::ClassifyStreamRequest request;
    stream->Read(&request);
    v1::ClassifyStreamResponse response;
    response.set_id("99");
    stream->Write(response);
    while (stream->Read(&request)) {
    }
    return grpc::Status::OK;
  });
  EXPECT_EQ(result.ok, 0);
  EXPECT_EQ(result.by_code.at("CANCELLED"), result.requests);
}

}  // namespace
}  // namespace promptd::load
