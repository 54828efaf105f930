// A registry, and the queue whose jobs it publishes, on real files.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/error.h"
#include "gtest/gtest.h"
#include "jobs/job_store.h"
#include "registry/registry.h"
#include "store/blob_store.h"
#include "store/sqlite_database.h"
#include "store/transact.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/temp_dir.h"

namespace promptd::registry {

class RegistryFixture : public ::testing::Test {
 protected:
  RegistryFixture() {
    auto blobs = store::BlobStore::Open(dir_.path() + "/blobs");
    EXPECT_TRUE(blobs.ok()) << blobs.status();
    blobs_ = *std::move(blobs);
    Open();
  }

  void Open() {
    registry_.reset();
    jobs_.reset();
    db_.reset();
    auto opened = store::OpenSqlite({.data_dir = dir_.path()}, &clock_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    db_ = *std::move(opened);
    jobs_ = std::make_unique<jobs::JobStore>(db_.get(), &clock_);
    registry_ = std::make_unique<Registry>(db_.get(), blobs_.get(), &clock_);
  }

  PromptRegistry& prompts() { return registry_->prompts(); }
  DatasetCatalog& datasets() { return registry_->datasets(); }

  absl::StatusOr<Task> MakeTask(
      const std::string& name,
      const std::vector<std::string>& classes = {"cat", "dog"},
      const std::string& encoder_digest = "e1") {
    return store::WriteFor<Task>(db_.get(), [&](store::Transaction& tx) {
      return prompts().CreateTaskIfMissing(tx, "default", name, "tiny",
                                           encoder_digest, classes);
    });
  }

  // A running job for a task.
  jobs::Job Running(const std::string& task,
                    const std::string& dataset_digest = "d1") {
    const auto created = jobs_->Create({.tenant = "default",
                                        .task = task,
                                        .spec_json = R"({"shots":16})",
                                        .encoder_digest = "e1",
                                        .dataset_digest = dataset_digest,
                                        .request_id = "",
                                        .body_sha256 = "b"});
    EXPECT_TRUE(created.ok()) << created.status();
    const auto leased = jobs_->Lease({"w1", {"e1"}, absl::Seconds(15)});
    EXPECT_TRUE(leased.ok() && leased->has_value());
    return **leased;
  }

  static NewVersion VersionOf(const jobs::Job& job) {
    return {.tenant = "default",
            .task = job.task,
            .job_id = job.id,
            .spec_json = job.spec_json,
            .dataset = "pets",
            .dataset_digest = job.dataset_digest,
            .encoder_digest = job.encoder_digest,
            .context_digest = "c1",
            .features_digest = "f1",
            .class_names = {"cat", "dog"},
            .split = "test",
            .evaluation_json = R"({"accuracy":0.5})"};
  }

  // Both halves of a publication, as the server joins them.
  absl::StatusOr<PromptVersion> Publish(const jobs::Job& job,
                                        const NewVersion& version) {
    const auto prepared = prompts().Prepare(version);
    if (!prepared.ok()) return prepared.status();
    return store::WriteFor<PromptVersion>(
        db_.get(),
        [&](store::Transaction& tx) -> absl::StatusOr<PromptVersion> {
          const auto leased = jobs_->GetLeased(tx, job.id, job.fence);
          if (!leased.ok()) return leased.status();
          auto published = prompts().Publish(tx, *prepared);
          if (!published.ok()) return published.status();
          const absl::Status completed =
              jobs_->Complete(tx, job.id, job.fence, published->version,
                              version.evaluation_json);
          if (!completed.ok()) return completed;
          return published;
        });
  }

  // A published version of a task that exists.
  PromptVersion PublishNext(const std::string& task) {
    const jobs::Job job = Running(task);
    auto published = Publish(job, VersionOf(job));
    EXPECT_TRUE(published.ok()) << published.status();
    return published.ok() ? *std::move(published) : PromptVersion();
  }

  testing::TempDir dir_;
  testing::FakeClock clock_;
  std::unique_ptr<store::BlobStore> blobs_;
  std::unique_ptr<store::Database> db_;
  std::unique_ptr<jobs::JobStore> jobs_;
  std::unique_ptr<Registry> registry_;
};

}  // namespace promptd::registry
