#include "datasets/row_list.h"

#include <filesystem>

#include "absl/strings/match.h"
#include "common/error.h"
#include "datasets/csv.h"
#include "datasets/list_reader.h"
#include "datasets/list_text.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/coop_trees.h"
#include "tests/testing/temp_dir.h"

namespace promptd::datasets {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using testing::TempDir;
using testing::WritePng;
using testing::WriteText;

class RowListTest : public ::testing::Test {
 protected:
  RowListTest() {
    for (const char* name : {"a.png", "b, c.png", "d.png"}) {
      WritePng(dir_.path() + "/" + name, name[0]);
    }
  }
  absl::StatusOr<FolderDataset> Read(const std::string& file,
                                     const std::string& text) {
    const std::string path = dir_.path() + "/" + file;
    WriteText(path, text);
    auto list = absl::EndsWith(file, ".csv") ? ReadCsvList(path, classes_)
                                             : ReadJsonlList(path, classes_);
    if (!list.ok()) return list.status();
    ListOptions options;
    options.name = "rows";
    return ReadListedImages(*list, options);
  }
  std::string Problem(const std::string& file, const std::string& text) {
    const absl::Status status = Read(file, text).status();
    EXPECT_FALSE(status.ok()) << text;
    return absl::StrCat(ErrorReason(status), ": ", status.message());
  }

  TempDir dir_;
  std::vector<std::string> classes_;
};

TEST_F(RowListTest, CsvWithMarkQuotesCommasAndCarriageReturns) {
  const auto dataset =
      Read("x.csv",
           "\xef\xbb\xbfnote,file_name,label,split\r\n"
           "\"two\r\nlines\",a.png,\"tabby \"\"cat\"\"\",\r\n\r\n"
           ",\"b, c.png\",dog,Validation\r\n,d.png,dog,test");
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  const Manifest& manifest = dataset->manifest;
  EXPECT_THAT(manifest.class_names, ElementsAre("dog", "tabby \"cat\""));
  ASSERT_THAT(manifest.items, SizeIs(3));
  EXPECT_EQ(manifest.items[0].class_index, 1);
  EXPECT_EQ(manifest.items[0].split, Split::kTrain);
  EXPECT_EQ(manifest.items[1].path, "b, c.png");
  EXPECT_EQ(manifest.items[1].split, Split::kVal);
  EXPECT_EQ(manifest.items[2].split, Split::kTest);
}

TEST_F(RowListTest, CsvProblemsNameTheLine) {
  EXPECT_THAT(Problem("x.csv", ""), HasSubstr("no column \"file_name\""));
  EXPECT_THAT(Problem("x.csv", "a.png,cat\nd.png,dog\n"),
              AllOf(HasSubstr("x.csv: line 1: no column \"file_name\""),
                    HasSubstr("no column \"label\"")));
  EXPECT_THAT(Problem("x.csv", "file_name,label,label\n"),
              HasSubstr("the column \"label\" is there twice"));
  const std::string head = "file_name,label,split\n";
  EXPECT_THAT(Problem("x.csv", head + "a.png,cat,train\nd.png,dog\n"),
              HasSubstr("x.csv: line 3: has 2 fields; the first line has 3"));
  EXPECT_THAT(Problem("x.csv", head + "a.png,\"cat,train\n"),
              HasSubstr("line 2: a quotation mark is opened and never"));
  EXPECT_THAT(Problem("x.csv", head + "a.png,c\"at,train\n"),
              HasSubstr("line 2: a quotation mark inside a field"));
  EXPECT_THAT(Problem("x.csv", head + "a.png,\"cat\"s,train\n"),
              HasSubstr("line 2: text behind a closing quotation mark"));
  EXPECT_THAT(Problem("x.csv", head + "a.png,cat,traning\nd.png,dog,\n"),
              HasSubstr("line 2: split: \"traning\" is not train, val or"));
  EXPECT_THAT(Problem("x.csv", head + "a.png,,\nd.png,dog,\n"),
              HasSubstr("line 2: label: \"\" is no class name"));
  EXPECT_THAT(Problem("x.csv", head + "a.png,c\x01t,\nd.png,dog,\n"),
              HasSubstr("line 2: label: \"c\\x01t\" is no class name"));
  EXPECT_THAT(Problem("x.csv", head + "../a.png,cat,\nd.png,dog,\n"),
              HasSubstr("x.csv: line 2: \"../a.png\" has"));
  EXPECT_THAT(Problem("x.csv", head + "/a.png,cat,\nd.png,dog,\n"),
              HasSubstr("\"/a.png\" is absolute"));
  EXPECT_THAT(Problem("x.csv", head + "a.png,cat,train\na.png,dog,test\n"),
              AllOf(HasSubstr("line 3: \"a.png\" is in the splits train"),
                    HasSubstr("line 2")));
  EXPECT_THAT(Problem("x.csv", head + "a.png,cat,\nd.png,cat,\n"),
              HasSubstr("the only class is \"cat\""));
  EXPECT_THAT(Problem("x.csv", head), HasSubstr("names no image"));
  EXPECT_THAT(Problem("x.csv", head + "a.png,cat,\nnone.png,dog,\n"),
              AllOf(HasSubstr("LISTED_IMAGES_MISSING"),
                    HasSubstr("x.csv: line 3: none.png is not there")));
  EXPECT_EQ(ErrorReason(ReadCsvList(dir_.path() + "/none.csv", {}).status()),
            "LIST_NOT_FOUND");
}

TEST_F(RowListTest, OneSpellingOfAClass) {
  const auto dataset = Read("x.csv",
                            "file_name,label\na.png,Tabby Cat\n"
                            "d.png,tabby_cat\n\"b, c.png\",dog\n");
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_THAT(dataset->manifest.class_names, ElementsAre("Tabby Cat", "dog"));
  EXPECT_EQ(dataset->manifest.items[1].class_index, 0);
}

TEST_F(RowListTest, NumbersNeedClassNames) {
  const std::string text = "file_name,label\na.png,1\nd.png,0\n";
  EXPECT_THAT(Problem("x.csv", text),
              AllOf(HasSubstr("x.csv: line 2: label"), HasSubstr("--classes")));
  classes_ = {"wolf", "bear"};
  const auto dataset = Read("x.csv", text);
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_THAT(dataset->manifest.class_names, ElementsAre("wolf", "bear"));
  EXPECT_EQ(dataset->manifest.items[0].class_index, 1);
  EXPECT_THAT(Problem("x.csv", "file_name,label\na.png,2\nd.png,-1\n"),
              AllOf(HasSubstr("line 2: label: label 2 is out of range: the "
                              "classes are 0 to 1"),
                    HasSubstr("line 3: label: label -1 is out of range")));
  EXPECT_THAT(Problem("x.csv", "file_name,label\na.png,lynx\nd.png,Bear\n"),
              HasSubstr("\"lynx\" is not one of the class names"));
  EXPECT_THAT(Problem("x.csv", "file_name,label\na.png,Bear\n"),
              HasSubstr("\"wolf\" has no image in any split"));
}

TEST_F(RowListTest, ClassFilesAreOneNameALine) {
  const std::string path = dir_.path() + "/names.txt";
  WriteText(path, "\xef\xbb\xbfwolf\r\n\r\nbrown_bear\r\n");
  EXPECT_THAT(*ReadClassFile(path), ElementsAre("wolf", "brown bear"));
  WriteText(path, "wolf\nWolf\n");
  EXPECT_THAT(std::string(ReadClassFile(path).status().message()),
              HasSubstr("names.txt: line 2"));
  EXPECT_FALSE(ReadClassFile(path + "x").ok());
}

TEST_F(RowListTest, JsonLines) {
  const auto dataset =
      Read("metadata.jsonl",
           "{\"file_name\": \"a.png\", \"label\": \"cat\", \"more\": [1]}\r\n"
           "\n{\"label\": \"d\\u00f6g\", \"file_name\": \"d.png\", "
           "\"split\": \"test\"}");
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_THAT(dataset->manifest.class_names, ElementsAre("cat", "d\u00f6g"));
  EXPECT_EQ(dataset->manifest.items[1].split, Split::kTest);
  classes_ = {"wolf", "bear"};
  EXPECT_TRUE(Read("x.jsonl",
                   "{\"file_name\": \"a.png\", \"label\": 1}\n"
                   "{\"file_name\": \"d.png\", \"label\": 0}\n")
                  .ok());
}

TEST_F(RowListTest, JsonProblemsNameLineAndField) {
  const std::string problem =
      Problem("x.jsonl",
              "{\"file_name\": \"a.png\", \"label\": \"cat\"}\n"
              "{\"file_name\": \n"
              "[]\n"
              "{\"file_name\": 3, \"split\": 1}\n"
              "{\"file_name\": \"d.png\", \"label\": 1.5}\n"
              "{\"file_name\": \"d.png\", \"label\": \"dog\", \"split\": "
              "\"tst\"}\n");
  EXPECT_THAT(problem, HasSubstr("x.jsonl: line 2: is not a JSON object"));
  EXPECT_THAT(problem, HasSubstr("x.jsonl: line 3: is not a JSON object"));
  EXPECT_THAT(problem, HasSubstr("x.jsonl: line 4: file_name: is not text"));
  EXPECT_THAT(problem, HasSubstr("x.jsonl: line 4: label: is missing"));
  EXPECT_THAT(problem, HasSubstr("x.jsonl: line 4: split: is not text"));
  EXPECT_THAT(problem, HasSubstr("x.jsonl: line 5: label: is not text"));
  EXPECT_THAT(problem, HasSubstr("x.jsonl: line 6: split: \"tst\""));
  EXPECT_THAT(Problem("x.jsonl", "{\"file_name\": \"\xff\", \"label\": \"c\"}"),
              HasSubstr("line 1: is not a JSON object"));
}

}  // namespace
}  // namespace promptd::datasets
