#include "server/dataset_service.h"

#include "common/sha256.h"
#include "tests/server/server_fixture.h"

namespace promptd::server {
namespace {

using DatasetServiceTest = ServerFixture;

TEST_F(DatasetServiceTest, PushUploadCommitAndReadBack) {
  const v1::Dataset dataset = PushPets();
  EXPECT_EQ(dataset.name(), "pets");
  EXPECT_EQ(dataset.digest().size(), 64u);
  ASSERT_EQ(dataset.splits_size(), 2);
  EXPECT_EQ(dataset.splits(0).split(), v1::SPLIT_TRAIN);
  EXPECT_EQ(dataset.splits(0).images(), 8);
  EXPECT_EQ(dataset.splits(0).images_per_class(1), 4);
  EXPECT_EQ(dataset.splits(1).images(), 2);
  EXPECT_GT(dataset.total_bytes(), 0);

  v1::GetDatasetRequest get;
  get.set_name("pets");
  v1::Dataset again;
  Context context;
  ASSERT_TRUE(datasets_->GetDataset(&context, get, &again).ok());
  EXPECT_EQ(again.digest(), dataset.digest());
  EXPECT_EQ(again.class_names(0), "cat");
}

TEST_F(DatasetServiceTest, SecondPushOfTheSameImagesSendsNothing) {
  PushPets();
  const auto messages = PushMessages("pets", {"cat", "dog"},
                                     {{0, v1::SPLIT_TRAIN, 4},
                                      {1, v1::SPLIT_TRAIN, 4},
                                      {0, v1::SPLIT_TEST, 1},
                                      {1, v1::SPLIT_TEST, 1}});
  std::vector<std::string> missing;
  v1::PushDatasetResponse::Result result;
  ASSERT_TRUE(Push(messages, &missing, &result).ok());
  EXPECT_TRUE(missing.empty());
  EXPECT_EQ(result.missing_images(), 0);
}

TEST_F(DatasetServiceTest, CommitWaitsForTheImagesAndMayBeRepeated) {
  const auto messages = PushMessages("d", {"a"}, {{0, v1::SPLIT_TRAIN, 2}});
  std::vector<std::string> missing;
  v1::PushDatasetResponse::Result result;
  ASSERT_TRUE(Push(messages, &missing, &result).ok());
  EXPECT_EQ(missing,
            (std::vector<std::string>{Sha256Hex(Png(0)), Sha256Hex(Png(1))}));
  v1::CommitDatasetRequest request;
  request.set_push_id(result.push_id());
  v1::Dataset dataset;
  Context early;
  const ErrorDetails error =
      Decode(datasets_->CommitDataset(&early, request, &dataset));
  EXPECT_EQ(error.code, grpc::FAILED_PRECONDITION);
  EXPECT_EQ(error.reason, "IMAGES_MISSING");

  v1::UploadImagesResponse uploaded;
  ASSERT_TRUE(Upload(result.push_id(), {Png(0), Png(1)}, &uploaded).ok());
  EXPECT_EQ(uploaded.stored_images(), 2);
  for (int i = 0; i < 2; ++i) {
    Context context;
    const grpc::Status status =
        datasets_->CommitDataset(&context, request, &dataset);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(dataset.digest(), result.digest());
  }
}

TEST_F(DatasetServiceTest, BadImagesAreListedAndTheOthersStored) {
  std::string truncated = Png(1);
  truncated.resize(truncated.size() / 2);
  const std::string huge(size_t{11} << 20, 'x');
  // Three of the four items are broken; a fifth image is nobody's.
  auto messages = PushMessages("d", {"a"}, {{0, v1::SPLIT_TRAIN, 4}});
  const std::vector<std::string> images = {Png(0), truncated, "not an image",
                                           huge};
  for (size_t i = 0; i < images.size(); ++i) {
    messages[i + 1].mutable_item()->set_digest(Sha256Hex(images[i]));
  }
  std::vector<std::string> missing;
  v1::PushDatasetResponse::Result result;
  ASSERT_TRUE(Push(messages, &missing, &result).ok());
  std::vector<std::string> sent = images;
  sent.push_back(Png(77));
  v1::UploadImagesResponse reply;
  const grpc::Status status = Upload(result.push_id(), sent, &reply);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(reply.stored_images(), 1);
  ASSERT_EQ(reply.rejected_size(), 4);
  EXPECT_EQ(reply.rejected(0).reason(), "IMAGE_TRUNCATED");
  EXPECT_EQ(reply.rejected(0).digest(), Sha256Hex(truncated));
  EXPECT_EQ(reply.rejected(1).reason(), "IMAGE_UNKNOWN_FORMAT");
  EXPECT_EQ(reply.rejected(2).reason(), "IMAGE_TOO_LARGE");
  EXPECT_EQ(reply.rejected(3).reason(), "IMAGE_NOT_IN_MANIFEST");
}

TEST_F(DatasetServiceTest, ManifestProblemsComeAllAtOnce) {
  auto messages =
      PushMessages("Bad Name!", {"a", "A", ""}, {{0, v1::SPLIT_TRAIN, 2}});
  messages[1].mutable_item()->set_path("../../etc/passwd");
  messages[2].mutable_item()->set_class_index(7);
  std::vector<std::string> missing;
  v1::PushDatasetResponse::Result result;
  const ErrorDetails error = Decode(Push(messages, &missing, &result));
  EXPECT_EQ(error.code, grpc::INVALID_ARGUMENT);
  EXPECT_EQ(error.reason, "INVALID_MANIFEST");
  EXPECT_GE(error.fields.size(), 5u);
}

TEST_F(DatasetServiceTest, StreamsThatBreakTheProtocolAreRefused) {
  std::vector<std::string> missing;
  v1::PushDatasetResponse::Result result;
  EXPECT_EQ(Decode(Push({}, &missing, &result)).Field("header"), "is missing");
  auto messages = PushMessages("d", {"a"}, {{0, v1::SPLIT_TRAIN, 2}});
  EXPECT_NE(Decode(Push({messages[1]}, &missing, &result)).Field("header"), "");
  EXPECT_NE(Decode(Push({messages[0], messages[1]}, &missing, &result))
                .Field("items"),
            "");
  messages.push_back(messages[1]);
  EXPECT_NE(Decode(Push(messages, &missing, &result)).Field("items"), "");
  EXPECT_EQ(Decode(Push({v1::PushDatasetRequest()}, &missing, &result)).reason,
            "INVALID_MANIFEST");

  v1::UploadImagesResponse reply;
  EXPECT_EQ(Decode(Upload("no-such-push", {Png(0)}, &reply)).reason,
            "PUSH_NOT_FOUND");
  EXPECT_NE(Decode(Upload("", {Png(0)}, &reply)).Field("push_id"), "");
}

TEST_F(DatasetServiceTest, AStreamThatEndsInsideAnImageIsRefused) {
  const auto messages = PushMessages("d", {"a"}, {{0, v1::SPLIT_TRAIN, 1}});
  std::vector<std::string> missing;
  v1::PushDatasetResponse::Result result;
  ASSERT_TRUE(Push(messages, &missing, &result).ok());
  Context context;
  v1::UploadImagesResponse reply;
  auto stream = datasets_->UploadImages(&context, &reply);
  v1::UploadImagesRequest message;
  message.set_push_id(result.push_id());
  message.set_chunk("half");
  stream->Write(message);
  stream->WritesDone();
  EXPECT_NE(Decode(stream->Finish()).Field("last"), "");
}

TEST_F(DatasetServiceTest, ListsInPagesByName) {
  for (const char* name : {"b", "a", "c"}) {
    PushDataset(name, {"x"}, {{0, v1::SPLIT_TRAIN, 1}});
  }
  v1::ListDatasetsRequest request;
  request.set_page_size(2);
  v1::ListDatasetsResponse page;
  Context first;
  ASSERT_TRUE(datasets_->ListDatasets(&first, request, &page).ok());
  ASSERT_EQ(page.datasets_size(), 2);
  EXPECT_EQ(page.datasets(0).name(), "a");
  request.set_page_token(page.next_page_token());
  Context second;
  ASSERT_TRUE(datasets_->ListDatasets(&second, request, &page).ok());
  ASSERT_EQ(page.datasets_size(), 1);
  EXPECT_EQ(page.datasets(0).name(), "c");
  EXPECT_EQ(page.next_page_token(), "");

  request.set_page_token("forged");
  Context forged;
  EXPECT_EQ(Decode(datasets_->ListDatasets(&forged, request, &page)).reason,
            "INVALID_PAGE_TOKEN");
  request.set_page_token("");
  request.set_page_size(-1);
  Context negative;
  EXPECT_NE(Decode(datasets_->ListDatasets(&negative, request, &page))
                .Field("page_size"),
            "");
  request.set_page_size(1'000'000);
  Context large;
  EXPECT_TRUE(datasets_->ListDatasets(&large, request, &page).ok());
}

TEST_F(DatasetServiceTest, DeleteIsRefusedWhileAJobNeedsIt) {
  PushPets();
  CreateJob(PetsJob());
  v1::DeleteDatasetRequest request;
  request.set_name("pets");
  v1::DeleteDatasetResponse reply;
  Context busy;
  EXPECT_EQ(Decode(datasets_->DeleteDataset(&busy, request, &reply)).reason,
            "DATASET_IN_USE");
  Publish(Lease());
  Context free;
  EXPECT_TRUE(datasets_->DeleteDataset(&free, request, &reply).ok());
}

}  // namespace
}  // namespace promptd::server
