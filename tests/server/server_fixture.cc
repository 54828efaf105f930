#include "tests/server/server_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <opencv2/imgcodecs.hpp>

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/sha256.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"

namespace promptd::server {

Context::Context() {
  set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
}

std::string ErrorDetails::Field(const std::string& name) const {
  for (const auto& [field, description] : fields) {
    if (field == name) return description;
  }
  return "";
}

ErrorDetails Decode(const grpc::Status& status) {
  ErrorDetails out;
  out.code = status.error_code();
  out.message = status.error_message();
  google::rpc::Status details;
  details.ParseFromString(status.error_details());
  for (const auto& detail : details.details()) {
    google::rpc::ErrorInfo info;
    google::rpc::BadRequest bad;
    google::rpc::RetryInfo retry;
    if (detail.UnpackTo(&info)) {
      out.reason = info.reason();
      out.domain = info.domain();
      out.request_id = info.metadata().at("request_id");
    } else if (detail.UnpackTo(&bad)) {
      for (const auto& field : bad.field_violations()) {
        out.fields.emplace_back(field.field(), field.description());
      }
    } else if (detail.UnpackTo(&retry)) {
      out.retry = true;
    }
  }
  return out;
}

std::string Png(int shade) {
  const cv::Mat image(24, 24, CV_8UC3,
                      cv::Scalar(shade % 256, shade / 256, 200));
  std::vector<unsigned char> bytes;
  PROMPTD_CHECK(cv::imencode(".png", image, bytes));
  return std::string(bytes.begin(), bytes.end());
}

ServerFixture::ServerFixture() { StartServer(DefaultOptions()); }

ServerFixture::~ServerFixture() {
  executor_.ReleaseHeld();
  server_.reset();
}

ServerOptions ServerFixture::DefaultOptions() const {
  ServerOptions options;
  options.data_dir = dir_.path() + "/data";
  options.listen = {"127.0.0.1", 0};
  options.http = Address{"127.0.0.1", 0};
  options.default_encoder = "small";
  return options;
}

void ServerFixture::Restart() { StartServer(DefaultOptions()); }

void ServerFixture::StartServer(ServerOptions options) {
  server_.reset();
  auto server = Server::Create(options, Clock::Real());
  ASSERT_TRUE(server.ok()) << server.status();
  server_ = *std::move(server);
  const absl::Status started = server_->Start(&executor_);
  ASSERT_TRUE(started.ok()) << started;
  Connect();
}

void ServerFixture::Connect() {
  channel_ = grpc::CreateChannel(FormatAddress(server_->listen_address()),
                                 grpc::InsecureChannelCredentials());
  info_ = v1::ServerService::NewStub(channel_);
  encoders_ = v1::EncoderService::NewStub(channel_);
  datasets_ = v1::DatasetService::NewStub(channel_);
  training_ = v1::TrainingService::NewStub(channel_);
  prompts_ = v1::PromptService::NewStub(channel_);
  classify_ = v1::ClassifyService::NewStub(channel_);
}

std::vector<v1::PushDatasetRequest> ServerFixture::PushMessages(
    const std::string& name, const std::vector<std::string>& classes,
    const std::vector<ImageGroup>& groups) const {
  std::vector<v1::PushDatasetRequest> messages(1);
  auto* header = messages[0].mutable_header();
  header->set_name(name);
  for (const std::string& class_name : classes) {
    header->add_class_names(class_name);
  }
  int shade = 0;
  for (const ImageGroup& group : groups) {
    for (int i = 0; i < group.count; ++i, ++shade) {
      v1::DatasetItem item;
      item.set_path(absl::StrCat("c", group.class_index, "/", shade, ".png"));
      item.set_digest(Sha256Hex(Png(shade)));
      item.set_class_index(group.class_index);
      item.set_split(group.split);
      *messages.emplace_back().mutable_item() = item;
    }
  }
  messages[0].mutable_header()->set_item_count(shade);
  return messages;
}

grpc::Status ServerFixture::Push(
    const std::vector<v1::PushDatasetRequest>& messages,
    std::vector<std::string>* missing,
    v1::PushDatasetResponse::Result* result) {
  Context context;
  auto stream = datasets_->PushDataset(&context);
  for (const auto& message : messages) {
    if (!stream->Write(message)) break;
  }
  stream->WritesDone();
  v1::PushDatasetResponse response;
  while (stream->Read(&response)) {
    if (response.has_result()) {
      *result = response.result();
    } else {
      missing->push_back(response.missing_digest());
    }
  }
  return stream->Finish();
}

grpc::Status ServerFixture::Upload(const std::string& push_id,
                                   const std::vector<std::string>& images,
                                   v1::UploadImagesResponse* reply) {
  Context context;
  auto stream = datasets_->UploadImages(&context, reply);
  v1::UploadImagesRequest message;
  message.set_push_id(push_id);
  for (const std::string& image : images) {
    constexpr size_t kChunk = 1 << 20;
    size_t offset = 0;
    do {
      message.set_chunk(image.substr(offset, kChunk));
      offset += kChunk;
      message.set_last(offset >= image.size());
      stream->Write(message);
      message.clear_push_id();
    } while (offset < image.size());
  }
  stream->WritesDone();
  return stream->Finish();
}

v1::Dataset ServerFixture::PushDataset(const std::string& name,
                                       const std::vector<std::string>& classes,
                                       const std::vector<ImageGroup>& groups) {
  const auto messages = PushMessages(name, classes, groups);
  std::vector<std::string> missing;
  v1::PushDatasetResponse::Result result;
  const grpc::Status pushed = Push(messages, &missing, &result);
  EXPECT_TRUE(pushed.ok()) << pushed.error_message();
  std::vector<std::string> images;
  for (size_t i = 0; i + 1 < messages.size(); ++i) {
    images.push_back(Png(static_cast<int>(i)));
  }
  v1::UploadImagesResponse uploaded;
  const grpc::Status upload = Upload(result.push_id(), images, &uploaded);
  EXPECT_TRUE(upload.ok()) << upload.error_message();
  v1::CommitDatasetRequest request;
  request.set_push_id(result.push_id());
  v1::Dataset dataset;
  Context context;
  const grpc::Status committed =
      datasets_->CommitDataset(&context, request, &dataset);
  EXPECT_TRUE(committed.ok()) << committed.error_message();
  return dataset;
}

v1::Dataset ServerFixture::PushPets(const std::string& name) {
  return PushDataset(name, {"cat", "dog"},
                     {{0, v1::SPLIT_TRAIN, 4},
                      {1, v1::SPLIT_TRAIN, 4},
                      {0, v1::SPLIT_TEST, 1},
                      {1, v1::SPLIT_TEST, 1}});
}

v1::CreateTrainingJobRequest ServerFixture::PetsJob() const {
  v1::CreateTrainingJobRequest request;
  request.mutable_spec()->set_task("pets");
  request.mutable_spec()->set_dataset("pets");
  request.mutable_spec()->set_shots(4);
  request.set_fresh(true);
  return request;
}

v1::TrainingJob ServerFixture::CreateJob(
    const v1::CreateTrainingJobRequest& request) {
  Context context;
  v1::TrainingJob job;
  const grpc::Status status =
      training_->CreateTrainingJob(&context, request, &job);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return job;
}

worker::LeasedJob ServerFixture::Lease() {
  std::vector<std::string> digests;
  for (const auto& encoder : executor_.Encoders()) {
    digests.push_back(encoder.digest);
  }
  auto job = server_->control()->Lease("local", digests, absl::ZeroDuration());
  EXPECT_TRUE(job.ok() && job->has_value()) << job.status();
  if (!job.ok() || !job->has_value()) return {};
  return **job;
}

worker::FinishedPrompt ServerFixture::Finished(const worker::LeasedJob& job) {
  worker::FinishedPrompt prompt;
  prompt.context_digest =
      *server_->control()->PutBlob(absl::StrCat("context of ", job.id));
  prompt.features_digest =
      *server_->control()->PutBlob(absl::StrCat("features of ", job.id));
  prompt.class_names = {"cat", "dog"};
  if (job.spec.dataset.empty()) {
    prompt.class_names = job.spec.class_names;
    return prompt;
  }
  prompt.evaluation.split = "test";
  prompt.evaluation.images = 2;
  prompt.evaluation.accuracy = 1.0;
  prompt.evaluation.zero_shot_accuracy = 0.5;
  return prompt;
}

int64_t ServerFixture::Publish(const worker::LeasedJob& job) {
  const auto version =
      server_->control()->Publish(job.id, job.fence, Finished(job));
  EXPECT_TRUE(version.ok()) << version.status();
  return version.ok() ? *version : 0;
}

int64_t ServerFixture::TrainOnce() {
  CreateJob(PetsJob());
  return Publish(Lease());
}

std::string ServerFixture::Metrics() {
  const std::string reply = HttpExchange(
      server_->http_address()->port,
      "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const size_t body = reply.find("\r\n\r\n");
  return body == std::string::npos ? "" : reply.substr(body + 4);
}

std::string HttpExchange(int port, const std::string& request) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string reply;
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) ==
      0) {
    (void)!::write(fd, request.data(), request.size());
    char buffer[65536];
    ssize_t count = 0;
    while ((count = ::read(fd, buffer, sizeof(buffer))) > 0) {
      reply.append(buffer, static_cast<size_t>(count));
    }
  }
  ::close(fd);
  return reply;
}

}  // namespace promptd::server
