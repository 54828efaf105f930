#include <unistd.h>
#include <limits>
#include <utility>

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "common/bounded_queue.h"
#include "common/error.h"
#include "common/file.h"
#include "common/id.h"
#include "common/nearest_name.h"
#include "common/sha256.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temp_dir.h"

namespace promptd {
namespace {

using ::testing::HasSubstr;

TEST(NearestNameTest, FindsTyposAndNothingElse) {
  const std::vector<std::string> names = {"train", "task", "job", "status"};
  EXPECT_EQ(NearestName("trian", names), "train");
  EXPECT_EQ(NearestName("stauts", names), "status");
  EXPECT_EQ(NearestName("tasks", names), "task");
  EXPECT_EQ(NearestName("xylophone", names), "");
  EXPECT_EQ(NearestName("zz", names), "");
}

TEST(ErrorTest, CarriesReasonAndSurvivesAnnotation) {
  const absl::Status error =
      MakeError(absl::StatusCode::kNotFound, "DATASET_NOT_FOUND", "no pets");
  const absl::Status annotated = Annotate(error, "job 4");
  EXPECT_EQ(annotated.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(annotated.message(), "job 4: no pets");
  EXPECT_EQ(ErrorReason(annotated), "DATASET_NOT_FOUND");
  EXPECT_TRUE(Annotate(absl::OkStatus(), "x").ok());
}

TEST(ErrorTest, ReasonFallsBackToTheCode) {
  EXPECT_EQ(ErrorReason(absl::AbortedError("x")), "ABORTED");
}

TEST(ErrorTest, KeepsEveryFieldViolation) {
  const absl::Status error = InvalidFields(
      "INVALID_SPEC",
      {{"spec.shots", "must be positive"}, {"spec.task", "is empty"}});
  EXPECT_EQ(error.code(), absl::StatusCode::kInvalidArgument);
  const std::vector<FieldViolation> fields = ErrorFields(error);
  ASSERT_EQ(fields.size(), 2u);
  EXPECT_EQ(fields[1].field, "spec.task");
  EXPECT_EQ(fields[1].description, "is empty");
  EXPECT_THAT(std::string(error.message()), HasSubstr("spec.shots"));
}

TEST(Sha256Test, MatchesTheStandardsVector) {
  EXPECT_EQ(Sha256Hex("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_TRUE(IsSha256Hex(Sha256Hex("")));
  EXPECT_FALSE(IsSha256Hex("../../etc/passwd"));
  EXPECT_FALSE(IsSha256Hex(std::string(64, 'A')));
}

TEST(FileTest, WritesAreWholeAndReadBack) {
  const testing::TempDir dir;
  const std::string path = dir.path() + "/a";
  ASSERT_TRUE(WriteFileAtomically(path, "one").ok());
  ASSERT_TRUE(WriteFileAtomically(path, "two").ok());
  const auto bytes = ReadFile(path, 100);
  ASSERT_TRUE(bytes.ok());
  EXPECT_EQ(*bytes, "two");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()),
                          std::filesystem::directory_iterator()),
            1);
}

TEST(FileTest, RefusesWhatIsNotAFileAndWhatIsTooLarge) {
  const testing::TempDir dir;
  EXPECT_EQ(ErrorReason(ReadFile(dir.path(), 10).status()),
            "NOT_A_REGULAR_FILE");
  EXPECT_EQ(ErrorReason(ReadFile(dir.path() + "/none", 10).status()),
            "FILE_NOT_FOUND");
  ASSERT_TRUE(WriteFileAtomically(dir.path() + "/a", "12345").ok());
  EXPECT_EQ(ErrorReason(ReadFile(dir.path() + "/a", 4).status()),
            "FILE_TOO_LARGE");
}

TEST(FileTest, ReadsRangesThatTheFileHas) {
  const testing::TempDir dir;
  const std::string path = dir.path() + "/a";
  ASSERT_TRUE(WriteFileAtomically(path, "0123456789").ok());
  EXPECT_EQ(*ReadFileRange(path, 3, 4), "3456");
  EXPECT_EQ(*ReadFileRange(path, 10, 0), "");
  for (const auto& [offset, bytes] :
       {std::pair<int64_t, int64_t>{3, 8},
        {11, 0},
        {-1, 2},
        {2, -1},
        {2, std::numeric_limits<int64_t>::max()},
        {std::numeric_limits<int64_t>::max(), 2}}) {
    EXPECT_EQ(ErrorReason(ReadFileRange(path, offset, bytes).status()),
              "FILE_TOO_SHORT")
        << offset << " " << bytes;
  }
  EXPECT_EQ(ErrorReason(ReadFileRange(dir.path(), 0, 1).status()),
            "NOT_A_REGULAR_FILE");
}

TEST(FileTest, HashesPieceByPieceAndCanBeStopped) {
  const testing::TempDir dir;
  const std::string path = dir.path() + "/a";
  for (const size_t size : {size_t{0}, size_t{5}, (size_t{1} << 20) - 1,
                            size_t{1} << 20, (size_t{5} << 19) + 3}) {
    std::string bytes(size, 'x');
    if (size > 0) bytes.back() = 'y';
    ASSERT_TRUE(WriteFileAtomically(path, bytes).ok());
    const auto digest = HashFile(path);
    ASSERT_TRUE(digest.ok()) << digest.status();
    EXPECT_EQ(*digest, Sha256Hex(bytes)) << size;
  }
  int asked = 0;
  EXPECT_EQ(ErrorReason(HashFile(path, [&] { return ++asked == 2; }).status()),
            "CANCELLED");
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(ErrorReason(HashFile(dir.path()).status()), "NOT_A_REGULAR_FILE");
  EXPECT_EQ(ErrorReason(HashFile(path + "b").status()), "FILE_NOT_FOUND");
}

TEST(FileTest, AFolderThatIsMissingIsAnErrorThatNamesThePath) {
  const testing::TempDir dir;
  const std::string missing = dir.path() + "/no/such/folder/a";
  const absl::Status status = WriteFileAtomically(missing, "x");
  EXPECT_EQ(ErrorReason(status), "FILE_WRITE_FAILED");
  EXPECT_THAT(std::string(status.message()), HasSubstr(missing));
}

TEST(IdTest, UuidsHaveTheirFormAndDiffer) {
  const std::string id = NewUuid();
  EXPECT_EQ(id.size(), 36u);
  EXPECT_EQ(id[14], '4');
  EXPECT_NE(id, NewUuid());
}

TEST(BoundedQueueTest, RefusesWhenFullAndDrainsAfterClose) {
  BoundedQueue<int> queue(2);
  EXPECT_TRUE(queue.TryPush(1));
  EXPECT_TRUE(queue.TryPush(2));
  EXPECT_FALSE(queue.TryPush(3));
  queue.Close();
  EXPECT_FALSE(queue.TryPush(4));
  EXPECT_EQ(queue.Pop(), 1);
  EXPECT_EQ(queue.Pop(), 2);
  EXPECT_EQ(queue.Pop(), std::nullopt);
}

TEST(BoundedQueueTest, PopWaitsForAnotherThread) {
  BoundedQueue<int> queue(1);
  std::thread producer([&queue] { queue.TryPush(7); });
  EXPECT_EQ(queue.Pop(), 7);
  producer.join();
}

}  // namespace
}  // namespace promptd
