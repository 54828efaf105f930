// The bundled few-shot tasks, models/tasks/<task>/<split>/<class>/
// <concept>-<style>-<n>.<suffix>: the splits of a task share no sprite, which
// is a concept drawn in a style, so a gain on test images is not recognition
// of training images. A folder with a test split alone is a target of the
// domain generalisation benchmark.
#include <cstdlib>
#include <filesystem>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/file.h"
#include "datasets/folder_reader.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace promptd::datasets {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int64_t kMaxTotalBytes = 20'000'000;

fs::path TasksFolder() {
  const char* source = std::getenv("PROMPTD_SOURCE_DIR");
  return fs::path(source != nullptr ? source : ".") / "models/tasks";
}

std::vector<fs::path> TaskFolders() {
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(TasksFolder())) {
    if (entry.is_directory()) folders.push_back(entry.path());
  }
  return folders;
}

// "panda-flat" of "train/animals/panda-flat-3.png"; empty for other names.
std::string SpriteOf(const std::string& path) {
  const std::string stem = fs::path(path).stem().string();
  const size_t dash = stem.rfind('-');
  if (dash == std::string::npos || stem.find('-') == dash) return "";
  return stem.substr(0, dash);
}

// Every sprite that is in two splits or in two classes, and every file whose
// name does not say its sprite.
std::vector<std::string> SpriteProblems(const Manifest& manifest) {
  std::vector<std::string> problems;
  std::map<std::string, const Item*> first;
  for (const Item& item : manifest.items) {
    const std::string sprite = SpriteOf(item.path);
    if (sprite.empty()) {
      problems.push_back(absl::StrCat(item.path, " names no sprite"));
      continue;
    }
    const Item& other = *first.emplace(sprite, &item).first->second;
    if (other.split != item.split || other.class_index != item.class_index) {
      problems.push_back(absl::StrCat(item.path, " and ", other.path));
    }
  }
  return problems;
}

TEST(SpriteProblemsTest, FindsWhatItLooksFor) {
  const auto problems = [](const std::vector<Item>& items) {
    return SpriteProblems({"task", {"a", "b"}, items});
  };
  const Item item{"train/a/big-cat-flat-1.png", "", 0, Split::kTrain};
  EXPECT_THAT(problems({item, {"train/a/big-cat-flat-2.png", "", 0}}),
              IsEmpty());
  EXPECT_THAT(
      problems({item, {"test/a/big-cat-flat-2.png", "", 0, Split::kTest}}),
      ElementsAre("test/a/big-cat-flat-2.png and train/a/big-cat-flat-1.png"));
  EXPECT_THAT(
      problems({item, {"train/b/big-cat-flat-2.png", "", 1}}),
      ElementsAre("train/b/big-cat-flat-2.png and train/a/big-cat-flat-1.png"));
  EXPECT_THAT(problems({{"test/a/cat-1.png", "", 0, Split::kTest}}),
              ElementsAre("test/a/cat-1.png names no sprite"));
}

TEST(BundledTasksTest, TheDefaultIsOneOfThem) {
  const auto name = ReadFile((TasksFolder() / "DEFAULT").string(), 256);
  ASSERT_TRUE(name.ok()) << name.status();
  const std::string task(absl::StripAsciiWhitespace(*name));
  ASSERT_FALSE(task.empty());
  EXPECT_TRUE(fs::is_directory(TasksFolder() / task)) << task;
}

TEST(BundledTasksTest, EveryImageIsReadableAndNoSpriteIsInTwoSplits) {
  const std::vector<fs::path> folders = TaskFolders();
  ASSERT_FALSE(folders.empty());
  for (const fs::path& folder : folders) {
    SCOPED_TRACE(folder.string());
    const auto task = ReadDatasetFolder(folder.string(), {.name = "bundled"});
    ASSERT_TRUE(task.ok()) << task.status();
    EXPECT_TRUE(task->report.has_splits);
    EXPECT_EQ(task->report.repeated_images, 0);
    for (const SkippedFile& skipped : task->report.skipped) {
      ADD_FAILURE() << skipped.path << ": " << skipped.message;
    }
    EXPECT_THAT(SpriteProblems(task->manifest), IsEmpty());
    std::map<std::pair<Split, int>, int> images;
    for (const Item& item : task->manifest.items) {
      ++images[{item.split, item.class_index}];
    }
    const size_t splits = fs::is_directory(folder / "train") ? 3 : 1;
    EXPECT_EQ(images.size(), splits * task->manifest.class_names.size())
        << "a class lacks images in a split";
  }
}

TEST(BundledTasksTest, TogetherTheyStayWithinTwentyMegabytes) {
  int64_t total = 0;
  for (const auto& entry : fs::recursive_directory_iterator(TasksFolder())) {
    if (entry.is_regular_file())
      total += static_cast<int64_t>(entry.file_size());
  }
  EXPECT_GT(total, 0);
  EXPECT_LE(total, kMaxTotalBytes);
}

}  // namespace
}  // namespace promptd::datasets
