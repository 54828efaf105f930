// The durable queue and the registry on SQLite: what passes between the call
// that submits a job and the moment at which a waiting worker has it, beside
// what one durable commit and one RPC take; whether a submission and a lease,
// and listing versions by pages, stay the same as they grow.
//
//   queue_limits FOLDER [--jobs 100000] [--versions 100000] [--rounds 2000]
//
// FOLDER is on the disk to measure; a data directory is made in it and left.
// One JSON object on standard output; milliseconds.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/status_macros.h"
#include "grpcpp/channel.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "jobs/job_store.h"
#include "promptd/v1/training.grpc.pb.h"
#include "registry/registry.h"
#include "store/blob_store.h"
#include "store/sqlite_database.h"

namespace promptd {
namespace {

constexpr int kPerTransaction = 1000;
constexpr absl::Duration kPause = absl::Milliseconds(2);
constexpr char kEncoder[] = "encoder";

void Must(const absl::Status& status) {
  if (status.ok()) return;
  std::cerr << "queue_limits: " << status.message() << "\n";
  std::exit(1);
}
template <typename T>
T Must(absl::StatusOr<T> value) {
  Must(value.status());
  return *std::move(value);
}

nlohmann::ordered_json Percentiles(std::vector<absl::Duration> times) {
  std::sort(times.begin(), times.end());
  const auto at = [&](double share) {
    const auto index =
        static_cast<size_t>(share * static_cast<double>(times.size() - 1));
    return absl::ToDoubleMilliseconds(times[index]);
  };
  return {{"p50", at(0.5)}, {"p99", at(0.99)}};
}

absl::Duration TimeOf(const std::function<void()>& step) {
  const absl::Time start = absl::Now();
  step();
  return absl::Now() - start;
}

// Submits a job with each CreateTrainingJob; GetTrainingJob does nothing: one
// RPC. Over TCP, on a free port.
class Frontend : public v1::TrainingService::Service {
 public:
  explicit Frontend(std::function<absl::Status()> submit)
      : submit_(std::move(submit)) {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    stub_ = v1::TrainingService::NewStub(grpc::CreateChannel(
        absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials()));
    Call();
  }
  ~Frontend() override { server_->Shutdown(); }

  void Call() {
    grpc::ClientContext context;
    v1::TrainingJob reply;
    MustRpc(stub_->GetTrainingJob(&context, {}, &reply));
  }
  void Submit() {
    grpc::ClientContext context;
    v1::TrainingJob reply;
    MustRpc(stub_->CreateTrainingJob(&context, {}, &reply));
  }

 private:
  grpc::Status CreateTrainingJob(grpc::ServerContext*,
                                 const v1::CreateTrainingJobRequest*,
                                 v1::TrainingJob*) override {
    Must(submit_());
    return grpc::Status::OK;
  }
  grpc::Status GetTrainingJob(grpc::ServerContext*,
                              const v1::GetTrainingJobRequest*,
                              v1::TrainingJob*) override {
    return grpc::Status::OK;
  }
  static void MustRpc(const grpc::Status& status) {
    if (!status.ok()) Must(absl::UnavailableError(status.error_message()));
  }

  const std::function<absl::Status()> submit_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::TrainingService::Stub> stub_;
};

class Bench {
 public:
  explicit Bench(const std::string& folder)
      : blobs_(Must(store::BlobStore::Open(folder + "/blobs"))),
        db_(Must(store::OpenSqlite({.data_dir = folder}, Clock::Real()))),
        jobs_(db_.get(), Clock::Real()),
        registry_(db_.get(), blobs_.get(), Clock::Real()) {
    Must(db_->Write([&](store::Transaction& tx) {
      return registry_.prompts()
          .CreateTaskIfMissing(tx, "default", "task", kEncoder, kEncoder,
                               {"cat", "dog"})
          .status();
    }));
  }

  // In turns, each after the same pause: a commit of one row that changes, an
  // RPC, and the time from the call that submits until a worker that waits has
  // the job.
  void Handover(int rounds, nlohmann::ordered_json* out) {
    Frontend frontend([this] { return jobs_.Create(NewJob()).status(); });
    std::vector<absl::Duration> commits;
    std::vector<absl::Duration> calls;
    std::vector<absl::Duration> handovers;
    for (int i = 0; i < rounds; ++i) {
      absl::SleepFor(kPause);
      commits.push_back(TimeOf([&] {
        Must(registry_.prompts().RecordEncoder(kEncoder, absl::StrCat(i)));
      }));
      absl::SleepFor(kPause);
      calls.push_back(TimeOf([&] { frontend.Call(); }));
      handovers.push_back(HandOver(&frontend));
    }
    (*out)["commit"] = Percentiles(commits);
    (*out)["rpc"] = Percentiles(calls);
    (*out)["handover"] = Percentiles(handovers);
  }

  void Fill(int queued) {
    while (queued_ < queued) {
      const int count = std::min(kPerTransaction, queued - queued_);
      Must(db_->Write([&](store::Transaction& tx) -> absl::Status {
        for (int i = 0; i < count; ++i) {
          RETURN_IF_ERROR(jobs_.Create(tx, NewJob(queued_ + i)).status());
        }
        return absl::OkStatus();
      }));
      queued_ += count;
    }
  }

  // A submission and a lease, beside so many that wait.
  nlohmann::ordered_json Turn(int rounds) {
    std::vector<absl::Duration> times;
    for (int i = 0; i < rounds; ++i) {
      std::optional<jobs::Job> job;
      times.push_back(TimeOf([&] {
        Must(jobs_.Create(NewJob()).status());
        job = Must(Lease());
      }));
      End(job.value());
    }
    return Percentiles(times);
  }

  void Publish(int versions) {
    registry::PromptRegistry& prompts = registry_.prompts();
    registry::PreparedVersion prepared =
        Must(prompts.Prepare({.tenant = "default",
                              .task = "task",
                              .spec_json = "{}",
                              .dataset = "pets",
                              .dataset_digest = "dataset",
                              .encoder_digest = kEncoder,
                              .context_digest = "context",
                              .features_digest = "features",
                              .class_names = {"cat", "dog"},
                              .split = "test",
                              .evaluation_json = R"({"accuracy":0.5})"}));
    for (int made = 0; made < versions; made += kPerTransaction) {
      Must(db_->Write([&](store::Transaction& tx) -> absl::Status {
        for (int i = 0; i < kPerTransaction; ++i) {
          const auto job = jobs_.Create(tx, NewJob(queued_++));
          RETURN_IF_ERROR(job.status());
          prepared.content.job_id = job->id;
          RETURN_IF_ERROR(prompts.Publish(tx, prepared).status());
        }
        return absl::OkStatus();
      }));
    }
  }

  // Pages of a hundred, from the newest to the oldest: of each tenth of them.
  nlohmann::ordered_json Pages() {
    std::vector<absl::Duration> times;
    std::string token;
    do {
      const absl::Time start = absl::Now();
      const auto page = Must(
          registry_.prompts().ListVersions("default", "task", {100, token}));
      times.push_back(absl::Now() - start);
      token = page.next_page_token;
    } while (!token.empty());
    nlohmann::ordered_json tenths = nlohmann::ordered_json::array();
    for (size_t i = 0; i < 10; ++i) {
      tenths.push_back(
          Percentiles({times.begin() + i * times.size() / 10,
                       times.begin() + (i + 1) * times.size() / 10}));
    }
    return tenths;
  }

 private:
  absl::Duration HandOver(Frontend* frontend) {
    absl::Time leased;
    std::thread worker([&] {
      const auto job = Must(Lease(absl::Minutes(1)));
      leased = absl::Now();
      End(job.value());
    });
    absl::SleepFor(kPause);  // it waits by then
    const absl::Time start = absl::Now();
    frontend->Submit();
    worker.join();
    return leased - start;
  }
  // Of a tenant that has few, or, with a number, of one of those that have as
  // many unfinished jobs as a tenant may have.
  jobs::NewJob NewJob(int number = -1) {
    return {.tenant = number < 0
                          ? absl::StrCat("submitter-", submitted_++ / 500)
                          : absl::StrCat("tenant-", number / 1000),
            .task = "task",
            .spec_json = R"({"shots":16})",
            .encoder_digest = kEncoder,
            .dataset_digest = "dataset",
            .request_id = "",
            .body_sha256 = "body"};
  }
  absl::StatusOr<std::optional<jobs::Job>> Lease(
      absl::Duration wait = absl::ZeroDuration()) {
    return jobs_.Lease({"worker", {kEncoder}, absl::Seconds(15)}, wait);
  }
  void End(const jobs::Job& job) {
    Must(jobs_
             .Fail(job.id, job.fence, absl::InvalidArgumentError("measured"),
                   /*retryable=*/false)
             .status());
  }

  const std::unique_ptr<store::BlobStore> blobs_;
  const std::unique_ptr<store::Database> db_;
  jobs::JobStore jobs_;
  registry::Registry registry_;
  int queued_ = 0;
  int submitted_ = 0;  // beside those
};

int Main(int argc, char** argv) {
  std::string folder;
  int jobs = 100'000;
  int versions = 100'000;
  int rounds = 2000;
  CLI::App app("The queue and the registry on SQLite, as they grow.",
               "queue_limits");
  app.add_option("folder", folder, "On the disk to measure")->required();
  app.add_option("--jobs", jobs, "Queued at most")->capture_default_str();
  app.add_option("--versions", versions)->capture_default_str();
  app.add_option("--rounds", rounds, "Of each figure")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  Bench bench(folder);
  nlohmann::ordered_json out;
  bench.Handover(rounds, &out);
  for (int queued = 1; queued <= jobs; queued *= 10) {
    bench.Fill(queued);
    out["submit_and_lease"][absl::StrCat(queued)] = bench.Turn(rounds);
  }
  bench.Publish(versions);
  out["page_by_tenths"] = bench.Pages();
  std::cout << out.dump(1) << std::endl;
  return 0;
}

}  // namespace
}  // namespace promptd

int main(int argc, char** argv) { return promptd::Main(argc, argv); }
