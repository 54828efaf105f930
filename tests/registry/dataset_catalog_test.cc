#include "registry/dataset_catalog.h"

#include <filesystem>

#include "common/sha256.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/registry/registry_fixture.h"

namespace promptd::registry {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class DatasetCatalogTest : public RegistryFixture {
 protected:
  DatasetDraft Draft(const std::string& name,
                     const std::string& digest = "d1") {
    return {.name = name,
            .digest = digest,
            .manifest_json = "{\"name\":\"" + name + "\"}",
            .class_names = {"cat", "dog"},
            .splits = {{"train", 2, {1, 1}}, {"test", 1, {0, 1}}},
            .image_digests = {Sha256Hex("cat.jpg"), Sha256Hex("dog.jpg"),
                              Sha256Hex("cat.jpg")}};
  }

  void StoreImages() {
    ASSERT_TRUE(blobs_->Put("cat.jpg").ok());
    ASSERT_TRUE(blobs_->Put("dog.jpg").ok());
  }
};

TEST_F(DatasetCatalogTest, IsCommittedOnceItsImagesAreThere) {
  const DatasetDraft draft = Draft("pets");
  EXPECT_THAT(datasets().MissingImages(draft),
              ElementsAre(Sha256Hex("cat.jpg"), Sha256Hex("dog.jpg")));
  ASSERT_TRUE(blobs_->Put("cat.jpg").ok());
  const auto early = datasets().Commit("default", draft);
  EXPECT_EQ(early.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ErrorReason(early.status()), "IMAGES_MISSING");
  EXPECT_THAT(early.status().message(), HasSubstr(Sha256Hex("dog.jpg")));
  EXPECT_EQ(ErrorReason(datasets().Get("default", "pets").status()),
            "DATASET_NOT_FOUND");
  StoreImages();
  EXPECT_TRUE(datasets().MissingImages(draft).empty());
  const auto committed = datasets().Commit("default", draft);
  ASSERT_TRUE(committed.ok()) << committed.status();
  EXPECT_EQ(committed->total_bytes, 14);
  Open();
  const auto dataset = datasets().Get("default", "pets");
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->digest, "d1");
  EXPECT_EQ(dataset->class_names, draft.class_names);
  EXPECT_EQ(dataset->splits, draft.splits);
  EXPECT_EQ(dataset->total_bytes, 14);
  EXPECT_EQ(dataset->create_time, committed->create_time);
  EXPECT_EQ(*datasets().ManifestJson("d1"), draft.manifest_json);
}

TEST_F(DatasetCatalogTest, ANameHoldsOneContent) {
  StoreImages();
  ASSERT_TRUE(datasets().Commit("default", Draft("pets")).ok());
  const auto again = datasets().Commit("default", Draft("pets"));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->digest, "d1");
  const auto other = datasets().Commit("default", Draft("pets", "d2"));
  EXPECT_EQ(other.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(ErrorReason(other.status()), "DATASET_EXISTS");
  EXPECT_TRUE(datasets().Commit("other", Draft("pets", "d2")).ok());
  EXPECT_EQ(datasets().Get("default", "pets")->digest, "d1");
}

TEST_F(DatasetCatalogTest, IsListedByNameInPages) {
  StoreImages();
  for (const char* name : {"b", "a", "c"}) {
    ASSERT_TRUE(datasets().Commit("default", Draft(name)).ok());
  }
  const auto first = datasets().List("default", {2, ""});
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_EQ(first->items.size(), 2u);
  EXPECT_EQ(first->items[1].name, "b");
  const auto second = datasets().List("default", {2, first->next_page_token});
  ASSERT_EQ(second->items.size(), 1u);
  EXPECT_EQ(second->items[0].name, "c");
  EXPECT_EQ(second->next_page_token, "");
  EXPECT_TRUE(datasets().List("other", {})->items.empty());
}

TEST_F(DatasetCatalogTest, IsNotDeletedWhileAJobNeedsIt) {
  StoreImages();
  ASSERT_TRUE(datasets().Commit("default", Draft("pets")).ok());
  const jobs::Job job = Running("pets", "d1");
  const absl::Status needed = datasets().Delete("default", "pets");
  EXPECT_EQ(needed.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ErrorReason(needed), "DATASET_IN_USE");
  EXPECT_THAT(needed.message(), HasSubstr("job " + std::to_string(job.id)));
  ASSERT_TRUE(jobs_->RequestCancel("default", job.id).ok());
  EXPECT_EQ(ErrorReason(datasets().Delete("default", "pets")),
            "DATASET_IN_USE");
  ASSERT_TRUE(jobs_->ConfirmCancel(job.id, job.fence).ok());
  EXPECT_TRUE(datasets().Delete("default", "pets").ok());
  EXPECT_EQ(ErrorReason(datasets().Delete("default", "pets")),
            "DATASET_NOT_FOUND");
  EXPECT_EQ(ErrorReason(datasets().ManifestJson("d1").status()),
            "DATASET_NOT_FOUND");
  EXPECT_TRUE(datasets().Commit("default", Draft("pets", "d2")).ok());
}

TEST_F(DatasetCatalogTest, OneOfTwoNamesMayGoWhileAJobNeedsTheContent) {
  StoreImages();
  ASSERT_TRUE(datasets().Commit("default", Draft("pets")).ok());
  ASSERT_TRUE(datasets().Commit("default", Draft("pets-too")).ok());
  Running("pets", "d1");
  EXPECT_TRUE(datasets().Delete("default", "pets").ok());
  EXPECT_TRUE(datasets().ManifestJson("d1").ok());
  EXPECT_EQ(ErrorReason(datasets().Delete("default", "pets-too")),
            "DATASET_IN_USE");
}

TEST_F(DatasetCatalogTest, ADamagedManifestIsDataLoss) {
  StoreImages();
  const auto dataset = datasets().Commit("default", Draft("pets"));
  const std::string& digest = dataset->manifest_blob;
  std::filesystem::resize_file(
      dir_.path() + "/blobs/" + digest.substr(0, 2) + "/" + digest.substr(2),
      3);
  EXPECT_EQ(ErrorReason(datasets().ManifestJson("d1").status()),
            "BLOB_CORRUPT");
}

TEST_F(DatasetCatalogTest, NamesThatAreNotTextAreRefused) {
  StoreImages();
  DatasetDraft draft = Draft("pets");
  draft.class_names[0] = "\xff";
  EXPECT_EQ(ErrorReason(datasets().Commit("default", draft).status()),
            "NOT_UTF8");
}

TEST_F(DatasetCatalogTest, FeaturesAreBoundToTheirRecipeForEver) {
  EXPECT_FALSE(datasets().FindFeatures("key")->has_value());
  ASSERT_TRUE(datasets().RecordFeatures("key", "f1").ok());
  EXPECT_TRUE(datasets().RecordFeatures("key", "f1").ok());
  const absl::Status differs = datasets().RecordFeatures("key", "f2");
  EXPECT_EQ(differs.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(ErrorReason(differs), "FEATURES_DIFFER");
  EXPECT_EQ(*datasets().FindFeatures("key"), "f1");
}

}  // namespace
}  // namespace promptd::registry
