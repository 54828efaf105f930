// Small calls of what is in memory run on gRPC's own threads.
#include <optional>
#include <thread>

#include "absl/time/clock.h"
#include "inference/inference.grpc.pb.h"
#include "server/infer_tensors.h"
#include "tests/server/server_fixture.h"
#include "tests/testing/scoped_failpoints.h"

namespace promptd::server {
namespace {

v1::ClassifyRequest Request(const std::string& image) {
  v1::ClassifyRequest request;
  request.set_task("pets");
  request.add_images(image);
  return request;
}

inference::ModelInferRequest InferRequest(const std::string& model,
                                          const std::string& image) {
  inference::ModelInferResponse packed;
  AddBytesOutput("", {}, {image}, &packed);
  inference::ModelInferRequest request;
  request.set_model_name(model);
  auto* input = request.add_inputs();
  input->set_name("IMAGE");
  input->set_datatype("BYTES");
  input->add_shape(1);
  input->add_shape(1);
  request.add_raw_input_contents(packed.raw_output_contents(0));
  return request;
}

// The only thread for what blocks is held up by a job that is being created.
class SmallCallsTest : public ServerFixture {
 protected:
  SmallCallsTest() {
    ServerOptions options = DefaultOptions();
    options.pool_threads = 1;
    StartServer(options);
    Connect();
    inference_ = inference::GRPCInferenceService::NewStub(channel_);
    PushPets();
    TrainOnce();
  }

  void HoldThePool() {
    held_.emplace("job.created=pause(4s)@1");
    creating_ = std::thread([this] {
      Context context;
      v1::TrainingJob job;
      EXPECT_TRUE(training_->CreateTrainingJob(&context, PetsJob(), &job).ok());
    });
    while (held_->fired("job.created") == 0)
      absl::SleepFor(absl::Milliseconds(1));
  }
  ~SmallCallsTest() override {
    if (creating_.joinable()) creating_.join();
  }

  // The code of a call that may take so long.
  template <typename Stub, typename Method, typename Request, typename Reply>
  grpc::StatusCode Call(Stub* stub, Method method, const Request& request,
                        Reply* reply, int milliseconds) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::milliseconds(milliseconds));
    return (stub->*method)(&context, request, reply).error_code();
  }
  grpc::StatusCode Classify(const v1::ClassifyRequest& request,
                            int milliseconds) {
    v1::ClassifyResponse reply;
    return Call(classify_.get(), &v1::ClassifyService::Stub::Classify, request,
                &reply, milliseconds);
  }
  grpc::StatusCode Infer(const inference::ModelInferRequest& request,
                         int milliseconds) {
    inference::ModelInferResponse reply;
    return Call(inference_.get(),
                &inference::GRPCInferenceService::Stub::ModelInfer, request,
                &reply, milliseconds);
  }

  std::unique_ptr<inference::GRPCInferenceService::Stub> inference_;

 private:
  std::optional<testing::ScopedFailpoints> held_;
  std::thread creating_;
};

constexpr int kLong = 3000;  // ms; less than the pool is held
constexpr int kShort = 100;

TEST_F(SmallCallsTest, ClassifyWaitsForNoThreadOnceItsVersionHasAnswered) {
  ASSERT_EQ(Classify(Request(Png(1)), kLong), grpc::OK);
  HoldThePool();
  EXPECT_EQ(Classify(Request(Png(2)), kLong), grpc::OK);
  // Who asks for another name of the version has it looked up first.
  v1::ClassifyRequest by_number = Request(Png(2));
  by_number.set_version(1);
  EXPECT_EQ(Classify(by_number, kShort), grpc::DEADLINE_EXCEEDED);
  // What is larger is hashed elsewhere.
  EXPECT_EQ(Classify(Request(std::string(200 << 10, 'x')), kShort),
            grpc::DEADLINE_EXCEEDED);
}

TEST_F(SmallCallsTest, ModelInferDoesNeither) {
  ASSERT_EQ(Infer(InferRequest("pets", Png(1)), kLong), grpc::OK);
  HoldThePool();
  EXPECT_EQ(Infer(InferRequest("pets", Png(2)), kLong), grpc::OK);
  EXPECT_EQ(Infer(InferRequest("_image_encoder", Png(2)), kLong), grpc::OK);
  EXPECT_EQ(Infer(InferRequest("pets@latest", Png(2)), kShort),
            grpc::DEADLINE_EXCEEDED);
  EXPECT_EQ(Infer(InferRequest("pets", std::string(200 << 10, 'x')), kShort),
            grpc::DEADLINE_EXCEEDED);
}

}  // namespace
}  // namespace promptd::server
