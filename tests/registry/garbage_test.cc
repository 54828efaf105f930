// What garbage collection deletes, and what it must not.
#include "registry/garbage.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "registry/blob_roots.h"
#include "tests/registry/registry_fixture.h"
#include "tests/testing/scoped_failpoints.h"

namespace promptd::registry {
namespace {

using ::testing::HasSubstr;

class GarbageTest : public RegistryFixture {
 protected:
  // A blob that was stored two days ago.
  std::string Old(const std::string& bytes) {
    const auto digest = blobs_->Put(bytes);
    EXPECT_TRUE(digest.ok()) << digest.status();
    Age(*digest);
    return *digest;
  }
  std::string PathOf(const std::string& digest) const {
    return absl::StrCat(dir_.path(), "/blobs/", digest.substr(0, 2), "/",
                        digest.substr(2));
  }
  void Age(const std::string& digest) {
    const timespec then = absl::ToTimespec(clock_.Now() - absl::Hours(48));
    const timespec times[2] = {then, then};
    EXPECT_EQ(::utimensat(AT_FDCWD, PathOf(digest).c_str(), times, 0), 0);
  }
  // Ages every blob first.
  GarbageReport Collect(bool dry_run = false) {
    EXPECT_TRUE(
        blobs_->ForEach([&](const store::BlobEntry& blob) { Age(blob.digest); })
            .ok());
    const auto report =
        CollectGarbage(db_.get(), blobs_.get(), clock_, {.dry_run = dry_run});
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? *report : GarbageReport();
  }
};

TEST_F(GarbageTest, WhatNothingRefersToGoesOnceItIsOldEnough) {
  const std::string old = Old("old");
  const std::string young = *blobs_->Put("young");
  const auto dry =
      CollectGarbage(db_.get(), blobs_.get(), clock_, {.dry_run = true});
  ASSERT_TRUE(dry.ok()) << dry.status();
  EXPECT_EQ(dry->garbage.blobs, 1);
  EXPECT_EQ(dry->garbage.bytes, 3);
  EXPECT_EQ(dry->young.blobs, 1);
  EXPECT_TRUE(blobs_->Has(old));
  const auto report = CollectGarbage(db_.get(), blobs_.get(), clock_, {});
  EXPECT_EQ(report->garbage.blobs, 1);
  EXPECT_FALSE(blobs_->Has(old));
  EXPECT_TRUE(blobs_->Has(young));
}

TEST_F(GarbageTest, WhoStoresOrKeepsABlobAgainSavesIt) {
  const std::string stored = Old("stored");
  const std::string kept = Old("kept");
  ASSERT_TRUE(blobs_->Put("stored").ok());
  ASSERT_TRUE(blobs_->Keep(kept));
  const auto report = CollectGarbage(db_.get(), blobs_.get(), clock_, {});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->garbage.blobs, 0);
  EXPECT_TRUE(blobs_->Has(stored));
  EXPECT_TRUE(blobs_->Has(kept));
}

TEST_F(GarbageTest, ABlobThatIsNamedWhileItIsAboutToGoStays) {
  const std::string digest = Old("found to be garbage");
  const testing::ScopedFailpoints slow("garbage.remove=pause(300ms)@1");
  std::thread collector([this] {
    const auto report = CollectGarbage(db_.get(), blobs_.get(), clock_, {});
    EXPECT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(report->garbage.blobs, 0);
  });
  while (slow.passed("garbage.remove") == 0) std::this_thread::yield();
  EXPECT_TRUE(blobs_->Keep(digest));
  collector.join();
  EXPECT_TRUE(blobs_->Has(digest));
}

TEST_F(GarbageTest, AVersionKeepsItsBlobsUntilItIsDeleted) {
  ASSERT_TRUE(MakeTask("pets").ok());
  std::vector<std::string> blobs;
  for (int i = 1; i <= 2; ++i) {
    const jobs::Job job = Running("pets");
    NewVersion content = VersionOf(job);
    content.context_digest = *blobs_->Put(absl::StrCat("context ", i));
    content.features_digest = *blobs_->Put(absl::StrCat("features ", i));
    const auto published = Publish(job, content);
    ASSERT_TRUE(published.ok()) << published.status();
    for (const std::string& digest :
         {content.context_digest, content.features_digest, published->digest}) {
      blobs.push_back(digest);
    }
  }
  EXPECT_EQ(Collect().kept.blobs, 6);
  ASSERT_TRUE(db_->Write([&](store::Transaction& tx) {
                   return prompts().DeleteVersion(tx, "default", "pets", 2);
                 })
                  .ok());
  EXPECT_EQ(Collect().garbage.blobs, 3);
  for (size_t i = 0; i < blobs.size(); ++i) {
    EXPECT_EQ(blobs_->Has(blobs[i]), i < 3) << i;
  }
}

TEST_F(GarbageTest, ADatasetKeepsItsImagesAndFeaturesStay) {
  const std::string image = *blobs_->Put("image");
  const std::string features = *blobs_->Put("image features");
  ASSERT_TRUE(datasets().RecordFeatures("recipe", features).ok());
  DatasetDraft draft;
  draft.name = "pets";
  draft.digest = "d1";
  draft.manifest_json =
      absl::StrCat(R"({"items":[{"digest":")", image, R"("}]})");
  draft.image_digests = {image};
  ASSERT_TRUE(datasets().Commit("default", draft).ok());
  EXPECT_EQ(Collect().garbage.blobs, 0);
  ASSERT_TRUE(datasets().Delete("default", "pets").ok());
  EXPECT_EQ(Collect().garbage.blobs, 2);
  EXPECT_FALSE(blobs_->Has(image));
  EXPECT_TRUE(blobs_->Has(features));
}

TEST_F(GarbageTest, AnUnreadableManifestStopsItBeforeAnythingIsDeleted) {
  const std::string image = *blobs_->Put("image");
  DatasetDraft draft;
  draft.name = "pets";
  draft.digest = "d1";
  draft.manifest_json = image;
  draft.image_digests = {image};
  const auto dataset = datasets().Commit("default", draft);
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  const std::string garbage = Old("garbage");
  std::ofstream(PathOf(dataset->manifest_blob)) << std::string(64, 'x');
  const auto report = CollectGarbage(db_.get(), blobs_.get(), clock_, {});
  EXPECT_EQ(report.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ErrorReason(report.status()), "BLOB_CORRUPT");
  EXPECT_THAT(report.status().message(), HasSubstr("\"pets\""));
  EXPECT_TRUE(blobs_->Has(garbage));
}

TEST_F(GarbageTest, JobsKeepTheirCheckpointsAsLongAsTheyMayNeedThem) {
  const std::string first = *blobs_->Put("first checkpoint");
  const std::string second = *blobs_->Put("second checkpoint");
  const std::string start = *blobs_->Put("initial context");
  const auto created =
      jobs_->Create({.tenant = "default",
                     .task = "pets",
                     .spec_json = absl::StrCat(R"({"initial_context_digest":")",
                                               start, R"("})"),
                     .encoder_digest = "e1",
                     .dataset_digest = "d1",
                     .request_id = "",
                     .body_sha256 = "b"});
  ASSERT_TRUE(created.ok()) << created.status();
  const jobs::Job job = **jobs_->Lease({"w1", {"e1"}, absl::Seconds(15)});
  ASSERT_TRUE(jobs_->SaveCheckpoint(job.id, job.fence, {first}).ok());
  ASSERT_TRUE(jobs_->SaveCheckpoint(job.id, job.fence, {second}).ok());
  EXPECT_EQ(Collect().kept.blobs, 3);
  EXPECT_TRUE(blobs_->Has(first));  // it is listed
  const absl::Status error =
      MakeError(absl::StatusCode::kInvalidArgument, "BAD", "bad");
  ASSERT_TRUE(jobs_->Fail(job.id, job.fence, error, false).ok());
  EXPECT_EQ(Collect().kept.blobs, 3);  // it may be retried
  clock_.Advance(absl::Hours(24 * 8));
  EXPECT_EQ(Collect(/*dry_run=*/true).garbage.blobs, 3);
  EXPECT_EQ(jobs_->Checkpoints("default", job.id)->size(), 2u);
  EXPECT_EQ(Collect().garbage.blobs, 3);
  EXPECT_TRUE(jobs_->Checkpoints("default", job.id)->empty());
}

TEST_F(GarbageTest, WhatIsNoLongerListedOfAJobGoes) {
  const jobs::Job job = Running("pets");
  std::vector<std::string> checkpoints;
  for (int i = 0; i < 7; ++i) {
    checkpoints.push_back(*blobs_->Put(absl::StrCat("checkpoint ", i)));
    ASSERT_TRUE(
        jobs_->SaveCheckpoint(job.id, job.fence, {checkpoints.back()}).ok());
  }
  EXPECT_EQ(Collect().garbage.blobs, 2);
  for (int i = 0; i < 7; ++i) EXPECT_EQ(blobs_->Has(checkpoints[i]), i >= 2);
  ASSERT_TRUE(MakeTask("pets").ok());
  NewVersion content = VersionOf(job);
  content.context_digest = *blobs_->Put("context");
  content.features_digest = *blobs_->Put("features");
  ASSERT_TRUE(Publish(job, content).ok());
  EXPECT_EQ(Collect().garbage.blobs, 5);
}

TEST_F(GarbageTest, FeaturesThatNobodyUsesGo) {
  const GarbageOptions options{.keep_features = absl::Hours(24 * 7)};
  const std::string used = Old("used features");
  const std::string unused = Old("unused features");
  ASSERT_TRUE(datasets().RecordFeatures("used", used).ok());
  ASSERT_TRUE(datasets().RecordFeatures("unused", unused).ok());
  const auto collect = [&](bool dry_run) {
    GarbageOptions asked = options;
    asked.dry_run = dry_run;
    Age(used);
    if (blobs_->Has(unused)) Age(unused);
    const auto report = CollectGarbage(db_.get(), blobs_.get(), clock_, asked);
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? *report : GarbageReport();
  };
  clock_.Advance(absl::Hours(24 * 6));
  EXPECT_EQ(**datasets().FindFeatures("used"), used);
  EXPECT_EQ(collect(false).garbage.blobs, 0);
  clock_.Advance(absl::Hours(24 * 2));
  EXPECT_EQ(collect(true).garbage.blobs, 1);
  EXPECT_EQ(**datasets().FindFeatures("used"), used);
  const GarbageReport report = collect(false);
  EXPECT_EQ(report.garbage.blobs, 1);
  EXPECT_EQ(report.features, 1);
  EXPECT_TRUE(blobs_->Has(used));
  EXPECT_FALSE(blobs_->Has(unused));
  EXPECT_FALSE(datasets().FindFeatures("unused")->has_value());
  // They may come again, as other bytes too.
  EXPECT_TRUE(datasets().RecordFeatures("unused", used).ok());
}

TEST_F(GarbageTest, FeaturesOfAnUnfinishedJobStay) {
  const std::string features = Old("features");
  ASSERT_TRUE(datasets().RecordFeatures("recipe", features).ok());
  clock_.Advance(absl::Minutes(30));
  const jobs::Job job = Running("pets");
  ASSERT_TRUE(datasets().FindFeatures("recipe")->has_value());
  ASSERT_TRUE(jobs_->ConfirmPause(job.id, job.fence).ok());
  clock_.Advance(absl::Hours(24 * 30));
  const GarbageOptions options{.keep_features = absl::Hours(24 * 7)};
  Age(features);
  EXPECT_EQ(CollectGarbage(db_.get(), blobs_.get(), clock_, options)->features,
            0);
  ASSERT_TRUE(jobs_->RequestCancel("default", job.id).ok());
  EXPECT_EQ(CollectGarbage(db_.get(), blobs_.get(), clock_, options)->features,
            1);
  EXPECT_FALSE(blobs_->Has(features));
}

TEST_F(GarbageTest, CanBeStoppedOnTheWay) {
  Old("a");
  Old("b");
  int asked = 0;
  GarbageOptions options;
  options.stop = [&] { return ++asked > 1; };
  EXPECT_EQ(
      CollectGarbage(db_.get(), blobs_.get(), clock_, options)->garbage.blobs,
      1);
}

TEST(BlobRootsTest, FindsDigestsInAnyText) {
  const std::string a(64, 'a');
  const std::string b(64, '1');
  BlobRoots roots;
  roots.AddAllIn(absl::StrCat("{\"x\":\"", a, "\",\"y\":[\"", b, "\"]}"));
  roots.AddAllIn(std::string(65, 'c'));
  roots.AddAllIn(std::string(63, 'd'));
  roots.AddAllIn(b);
  roots.Seal();
  EXPECT_TRUE(roots.Has(a));
  EXPECT_TRUE(roots.Has(b));
  EXPECT_FALSE(roots.Has(std::string(64, 'c')));
  EXPECT_FALSE(roots.Has(std::string(64, 'd')));
  EXPECT_FALSE(roots.Has("a"));
}

}  // namespace
}  // namespace promptd::registry
