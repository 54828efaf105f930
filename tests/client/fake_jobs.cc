// The two services of FakeServer that stream.
#include <algorithm>
#include <memory>

#include "common/sha256.h"
#include "promptd/v1/dataset.grpc.pb.h"
#include "promptd/v1/training.grpc.pb.h"
#include "tests/client/fake_services.h"

namespace promptd::testing {
namespace {

using grpc::ServerContext;
using grpc::Status;
using Lock = std::lock_guard<std::mutex>;

class FakeDatasets final : public v1::DatasetService::Service {
 public:
  explicit FakeDatasets(FakeState* state) : state_(*state) {}

  Status PushDataset(
      ServerContext*,
      grpc::ServerReaderWriter<v1::PushDatasetResponse, v1::PushDatasetRequest>*
          stream) override {
    std::set<std::string> told;
    v1::PushDatasetRequest request;
    while (stream->Read(&request)) {
      const Lock lock(state_.mutex);
      if (request.has_header()) {
        header_ = request.header();
        items_.clear();
        continue;
      }
      items_.push_back(request.item());
      const std::string& digest = request.item().digest();
      if (state_.images.count(digest) == 0 && told.insert(digest).second) {
        v1::PushDatasetResponse response;
        response.set_missing_digest(digest);
        stream->Write(response);
      }
    }
    v1::PushDatasetResponse response;
    response.mutable_result()->set_push_id("push-1");
    stream->Write(response);
    return Status::OK;
  }

  Status UploadImages(ServerContext*,
                      grpc::ServerReader<v1::UploadImagesRequest>* reader,
                      v1::UploadImagesResponse* out) override {
    v1::UploadImagesRequest request;
    std::string bytes;
    while (reader->Read(&request)) {
      if (request.chunk().size() > (1 << 20)) {
        return Status(grpc::StatusCode::INVALID_ARGUMENT, "chunk too long");
      }
      bytes += request.chunk();
      if (!request.last()) continue;
      const Lock lock(state_.mutex);
      const std::string digest = Sha256Hex(bytes);
      if (state_.refuse.count(digest) > 0) {
        auto* rejected = out->add_rejected();
        rejected->set_digest(digest);
        rejected->set_reason("IMAGE_TRUNCATED");
        rejected->set_message("the image ends early");
      } else {
        out->set_stored_images(out->stored_images() + 1);
        out->set_stored_bytes(out->stored_bytes() +
                              static_cast<int64_t>(bytes.size()));
        state_.images[digest] = bytes;
      }
      bytes.clear();
    }
    return Status::OK;
  }

  Status CommitDataset(ServerContext*, const v1::CommitDatasetRequest* request,
                       v1::Dataset* out) override {
    const Lock lock(state_.mutex);
    if (request->push_id() != "push-1") {
      return RichError(grpc::StatusCode::NOT_FOUND, "PUSH_NOT_FOUND",
                       "no push");
    }
    for (const v1::DatasetItem& item : items_) {
      if (state_.images.count(item.digest()) == 0) {
        return RichError(grpc::StatusCode::FAILED_PRECONDITION,
                         "IMAGES_MISSING", "images are missing");
      }
    }
    out->set_name(header_.name());
    out->set_digest("feedfacefeedface");
    *out->mutable_class_names() = header_.class_names();
    auto* train = out->add_splits();
    train->set_split(v1::SPLIT_TRAIN);
    train->set_images(static_cast<int64_t>(items_.size()));
    state_.datasets[header_.name()] = *out;
    state_.items[header_.name()] = items_;
    return Status::OK;
  }

  Status GetDataset(ServerContext*, const v1::GetDatasetRequest* request,
                    v1::Dataset* out) override {
    const Lock lock(state_.mutex);
    const auto found = state_.datasets.find(request->name());
    if (found == state_.datasets.end()) {
      return RichError(grpc::StatusCode::NOT_FOUND, "DATASET_NOT_FOUND",
                       "no dataset of that name");
    }
    *out = found->second;
    return Status::OK;
  }

  Status ListDatasets(ServerContext*, const v1::ListDatasetsRequest*,
                      v1::ListDatasetsResponse* out) override {
    const Lock lock(state_.mutex);
    for (const auto& [name, dataset] : state_.datasets) {
      *out->add_datasets() = dataset;
    }
    return Status::OK;
  }

 private:
  FakeState& state_;
  v1::PushDatasetRequest::Header header_;
  std::vector<v1::DatasetItem> items_;
};

class FakeTraining final : public v1::TrainingService::Service {
 public:
  explicit FakeTraining(FakeState* state) : state_(*state) {}

  Status CreateTrainingJob(ServerContext*,
                           const v1::CreateTrainingJobRequest* request,
                           v1::TrainingJob* out) override {
    const Lock lock(state_.mutex);
    if (state_.fail) return *state_.fail;
    state_.created.push_back(*request);
    if (state_.jobs.empty()) state_.jobs.emplace_back();
    v1::TrainingJob& job = state_.jobs.front();
    job.set_id(1);
    *job.mutable_spec() = request->spec();
    job.mutable_spec()->set_encoder("embedded");
    *out = job;
    return Status::OK;
  }

  Status UploadContext(ServerContext*,
                       grpc::ServerReader<v1::UploadContextRequest>* reader,
                       v1::UploadContextResponse* out) override {
    v1::UploadContextRequest request;
    std::string bytes;
    while (reader->Read(&request)) {
      if (request.chunk().size() > (1 << 20)) {
        return Status(grpc::StatusCode::INVALID_ARGUMENT, "chunk too long");
      }
      bytes += request.chunk();
    }
    const Lock lock(state_.mutex);
    state_.uploaded_contexts.push_back(bytes);
    out->set_digest(Sha256Hex(bytes));
    return Status::OK;
  }

  Status GetTrainingJob(ServerContext*,
                        const v1::GetTrainingJobRequest* request,
                        v1::TrainingJob* out) override {
    const Lock lock(state_.mutex);
    if (request->id() != 1 || state_.jobs.empty()) return NotFound();
    *out = state_.jobs.front();
    return Status::OK;
  }

  Status ListTrainingJobs(ServerContext*, const v1::ListTrainingJobsRequest*,
                          v1::ListTrainingJobsResponse* out) override {
    const Lock lock(state_.mutex);
    for (const v1::TrainingJob& job : state_.jobs) *out->add_jobs() = job;
    return Status::OK;
  }

  Status PauseTrainingJob(ServerContext*,
                          const v1::PauseTrainingJobRequest* request,
                          v1::TrainingJob* out) override {
    return SetState(request->id(), v1::JOB_STATE_PAUSED, out);
  }

  Status ResumeTrainingJob(ServerContext*,
                           const v1::ResumeTrainingJobRequest* request,
                           v1::TrainingJob* out) override {
    return SetState(request->id(), v1::JOB_STATE_QUEUED, out);
  }

  Status RetryTrainingJob(ServerContext*,
                          const v1::RetryTrainingJobRequest* request,
                          v1::TrainingJob* out) override {
    const Lock lock(state_.mutex);
    state_.retried.push_back(*request);
    out->set_id(2);
    out->set_retry_of(request->id());
    out->set_state(v1::JOB_STATE_QUEUED);
    return Status::OK;
  }

  Status CancelTrainingJob(ServerContext*,
                           const v1::CancelTrainingJobRequest* request,
                           v1::TrainingJob* out) override {
    {
      const Lock lock(state_.mutex);
      state_.cancelled.push_back(*request);
    }
    return SetState(request->id(), v1::JOB_STATE_CANCELLED, out);
  }

  Status ListCheckpoints(ServerContext*,
                         const v1::ListCheckpointsRequest* request,
                         v1::ListCheckpointsResponse* out) override {
    const Lock lock(state_.mutex);
    if (request->id() != 1) return NotFound();
    *out = state_.checkpoints;
    return Status::OK;
  }

  Status WatchTrainingJob(ServerContext*,
                          const v1::WatchTrainingJobRequest* request,
                          grpc::ServerWriter<v1::JobEvent>* writer) override {
    const Lock lock(state_.mutex);
    if (request->id() != 1) return NotFound();
    state_.watched_from.push_back(request->from_sequence());
    const size_t first =
        static_cast<size_t>(std::max<int64_t>(1, request->from_sequence())) - 1;
    for (size_t i = first; i < state_.events.size(); ++i) {
      if (state_.break_after && i == *state_.break_after) {
        state_.break_after.reset();
        return Status(grpc::StatusCode::UNAVAILABLE, "going away");
      }
      writer->Write(state_.events[i]);
    }
    return Status::OK;
  }

 private:
  Status SetState(int64_t id, v1::JobState job_state, v1::TrainingJob* out) {
    const Lock lock(state_.mutex);
    if (id != 1 || state_.jobs.empty()) return NotFound();
    state_.jobs.front().set_state(job_state);
    *out = state_.jobs.front();
    return Status::OK;
  }
  static Status NotFound() {
    return RichError(grpc::StatusCode::NOT_FOUND, "JOB_NOT_FOUND",
                     "no job 7: see `promptctl job list`");
  }
  FakeState& state_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeFakeDatasets(FakeState* state) {
  return std::make_unique<FakeDatasets>(state);
}
std::unique_ptr<grpc::Service> MakeFakeTraining(FakeState* state) {
  return std::make_unique<FakeTraining>(state);
}

}  // namespace promptd::testing
