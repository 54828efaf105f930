// The durable queue and the registry on SQLite: what a job waits between being
// submitted and being leased, beside one durable commit; whether that, and
// listing versions by pages, stays the same as they grow.
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
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/status_macros.h"
#include "jobs/job_store.h"
#include "registry/registry.h"
#include "store/blob_store.h"
#include "store/sqlite_database.h"

namespace promptd {
namespace {

constexpr int kPerTransaction = 1000;
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

std::vector<absl::Duration> Times(int rounds,
                                  const std::function<void()>& step) {
  std::vector<absl::Duration> times;
  for (int i = 0; i < rounds; ++i) {
    const absl::Time start = absl::Now();
    step();
    times.push_back(absl::Now() - start);
  }
  return times;
}

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

  // One row that changes, on disk when it returns.
  nlohmann::ordered_json Commit(int rounds) {
    int round = 0;
    return Percentiles(Times(rounds, [&] {
      Must(registry_.prompts().RecordEncoder(kEncoder, absl::StrCat(round++)));
    }));
  }

  // From the submission until a worker that waits has the job.
  nlohmann::ordered_json Handover(int rounds) {
    std::vector<absl::Duration> times;
    for (int i = 0; i < rounds; ++i) {
      absl::Notification waiting;
      absl::Time leased;
      std::thread worker([&] {
        waiting.Notify();
        while (true) {
          const auto job = Must(Lease());
          leased = absl::Now();
          if (job.has_value()) return End(*job);
          jobs_.WaitForWork(absl::Seconds(1));
        }
      });
      waiting.WaitForNotification();
      absl::SleepFor(absl::Milliseconds(1));
      const absl::Time start = absl::Now();
      Must(jobs_.Create(NewJob()).status());
      worker.join();
      times.push_back(leased - start);
    }
    return Percentiles(times);
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
      const absl::Time start = absl::Now();
      Must(jobs_.Create(NewJob()).status());
      const auto job = Must(Lease());
      times.push_back(absl::Now() - start);
      End(*job);
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
  absl::StatusOr<std::optional<jobs::Job>> Lease() {
    return jobs_.Lease("worker", {kEncoder}, absl::Seconds(15));
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
  out["commit"] = bench.Commit(rounds);
  out["handover"] = bench.Handover(rounds);
  for (int queued = 1; queued <= jobs; queued *= 10) {
    bench.Fill(queued);
    out["submit_and_lease"][absl::StrCat(queued)] = bench.Turn(rounds);
  }
  out["commit_again"] = bench.Commit(rounds);
  bench.Publish(versions);
  out["page_by_tenths"] = bench.Pages();
  std::cout << out.dump(1) << std::endl;
  return 0;
}

}  // namespace
}  // namespace promptd

int main(int argc, char** argv) { return promptd::Main(argc, argv); }
