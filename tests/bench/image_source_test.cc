#include "bench/load/image_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "tests/bench/load_files.h"

namespace promptd::load {
namespace {

TEST(ImageSourceTest, SendsFilesInTurn) {
  auto source = ImageSource::OfFiles(TwoJpegs(false), 1);
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(Text(source->Next()), "\xFF\xD8-one");
  EXPECT_EQ(Text(source->Next()), "\xFF\xD8-second");
  EXPECT_EQ(Text(source->Next()), "\xFF\xD8-one");
}

TEST(ImageSourceTest, ReadsTheJpegsOfAFolder) {
  const std::string folder = testing::TempDir() + "/jpegs/inner";
  std::filesystem::create_directories(folder);
  WriteFile("jpegs/inner/a.jpeg", "\xFF\xD8-a");
  WriteFile("jpegs/b.JPG", "\xFF\xD8-b");
  WriteFile("jpegs/c.txt", "no image");
  ImageOptions options;
  options.paths = {testing::TempDir() + "/jpegs"};
  auto source = ImageSource::OfFiles(options, 1);
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(Text(source->Next()), "\xFF\xD8-b");
  EXPECT_EQ(Text(source->Next()), "\xFF\xD8-a");
  EXPECT_EQ(Text(source->Next()), "\xFF\xD8-b");
}

TEST(ImageSourceTest, DistinctCutsTheList) {
  ImageOptions options = TwoJpegs(false);
  options.distinct = 1;
  auto source = ImageSource::OfFiles(options, 1);
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(Text(source->Next()), "\xFF\xD8-one");
  EXPECT_EQ(Text(source->Next()), "\xFF\xD8-one");
  options.distinct = 3;
  EXPECT_THAT(ImageSource::OfFiles(options, 1).status().message(),
              testing::HasSubstr("only 2 images"));
}

TEST(ImageSourceTest, FreshJpegsDifferByACommentAlone) {
  auto source = ImageSource::OfFiles(TwoJpegs(true), 1);
  ASSERT_TRUE(source.ok()) << source.status();
  const std::string first = Text(source->Next());
  source->Next();
  const std::string again = Text(source->Next());
  EXPECT_NE(first, again);
  const std::string start("\xFF\xD8\xFF\xFE\x00\x12", 6);
  EXPECT_EQ(first.substr(0, 6), start);
  EXPECT_EQ(first.substr(6 + 16), "-one");
  EXPECT_EQ(again.substr(0, 6), start);
  EXPECT_EQ(again.substr(6 + 16), "-one");
}

TEST(ImageSourceTest, RefusesWhatIsNoJpeg) {
  ImageOptions options;
  options.paths = {WriteFile("page.jpg", "<html>")};
  EXPECT_THAT(ImageSource::OfFiles(options, 1).status().message(),
              testing::HasSubstr("page.jpg is not a JPEG"));
  options.paths = {testing::TempDir() + "/missing.jpg"};
  EXPECT_EQ(ImageSource::OfFiles(options, 1).status().code(),
            absl::StatusCode::kNotFound);
  options.paths = {testing::TempDir() + "/empty"};
  std::filesystem::create_directories(options.paths[0]);
  EXPECT_THAT(ImageSource::OfFiles(options, 1).status().message(),
              testing::HasSubstr("no .jpg or .jpeg"));
}

std::vector<float> Numbers(const ImageBytes& image) {
  const std::string text = Text(image);
  std::vector<float> numbers(text.size() / sizeof(float));
  std::memcpy(numbers.data(), text.data(), text.size());
  return numbers;
}

TEST(ImageSourceTest, PixelsRepeatAfterTheDistinctOnes) {
  ImageOptions options;
  options.pixels = true;
  options.distinct = 2;
  ImageSource source = ImageSource::OfPixels(options, 12, 1);
  const std::vector<float> first = Numbers(source.Next());
  const std::vector<float> second = Numbers(source.Next());
  EXPECT_EQ(first.size(), 12u);
  EXPECT_NE(first, second);
  EXPECT_EQ(Numbers(source.Next()), first);
}

TEST(ImageSourceTest, FreshPixelsDifferInFourNumbers) {
  ImageOptions options;
  options.pixels = true;
  options.distinct = 1;
  options.fresh = true;
  ImageSource source = ImageSource::OfPixels(options, 12, 1);
  const std::vector<float> first = Numbers(source.Next());
  const std::vector<float> second = Numbers(source.Next());
  ASSERT_EQ(first.size(), 12u);
  for (int i = 0; i < 12; ++i) {
    EXPECT_EQ(first[i] != second[i], i < 4) << i;
  }
}

}  // namespace
}  // namespace promptd::load
