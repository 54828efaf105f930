#include "datasets/tar_shards.h"

#include <filesystem>
#include <random>

#include "common/error.h"
#include "common/file.h"
#include "common/sha256.h"
#include "datasets/list_reader.h"
#include "datasets/tar_reader.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/coop_trees.h"
#include "tests/testing/tar_writer.h"
#include "tests/testing/temp_dir.h"

namespace promptd::datasets {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::PaxRecord;
using testing::PngBytes;
using ::testing::SizeIs;
using testing::TarEnd;
using testing::TarEntryBytes;
using testing::TarFile;
using testing::TarHeader;
using testing::TempDir;
using testing::WriteText;

// Two good samples, to which a test adds.
std::string Samples() {
  return TarFile("0.png", PngBytes(1)) + TarFile("0.cls", "cat\n") +
         TarFile("1.png", PngBytes(2)) + TarFile("1.cls", "dog\n");
}

class TarShardsTest : public ::testing::Test {
 protected:
  std::string At(const std::string& name) const {
    return dir_.path() + "/" + name;
  }
  absl::StatusOr<FolderDataset> Read(const std::string& path) {
    auto list = ReadTarShards(path, classes_);
    if (!list.ok()) return list.status();
    ListOptions options;
    options.name = "shards";
    return ReadListedImages(*list, options);
  }
  absl::StatusOr<FolderDataset> ReadBytes(const std::string& bytes) {
    WriteText(At("train-0.tar"), bytes);
    return Read(At("train-0.tar"));
  }
  std::string Problem(const std::string& bytes) {
    const absl::Status status = ReadBytes(bytes).status();
    EXPECT_FALSE(status.ok());
    return absl::StrCat(ErrorReason(status), ": ", status.message());
  }

  TempDir dir_;
  std::vector<std::string> classes_;
};

TEST_F(TarShardsTest, ReadsImagesInPlace) {
  const auto dataset = ReadBytes(Samples() + TarEnd());
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  const Manifest& manifest = dataset->manifest;
  EXPECT_THAT(manifest.class_names, ElementsAre("cat", "dog"));
  ASSERT_THAT(manifest.items, SizeIs(2));
  EXPECT_EQ(manifest.items[1].path, "train-0/1.png");
  EXPECT_EQ(manifest.items[1].class_index, 1);
  for (const Item& item : manifest.items) {
    const auto bytes =
        ReadImageSource(dataset->source_of_digest.at(item.digest), 1 << 20);
    ASSERT_TRUE(bytes.ok()) << bytes.status();
    EXPECT_EQ(Sha256Hex(*bytes), item.digest);
  }
  EXPECT_EQ(manifest.items[0].digest, Sha256Hex(PngBytes(1)));
}

TEST_F(TarShardsTest, AFolderOfShardsWithSplitsInNamesAndJson) {
  const std::string data =
      TarFile("./a/0.x.PNG", PngBytes(3)) + TarFile("a/0.cls", "0");
  // "0.x.PNG" has the extension "x.png": not one of ours.
  WriteText(At("s/val-0.tar"), data + TarEnd());
  EXPECT_FALSE(Read(At("s")).ok());
  WriteText(At("s/val-0.tar"), TarFile("./a/0.PNG", PngBytes(3)) +
                                   TarFile("a/0.cls", "0") + TarEnd());
  WriteText(At("s/training_0.tar"),
            TarFile("0.json", R"({"label": 1, "split": "test"})") +
                TarFile("0.jpeg", PngBytes(4)) + TarFile("1.cls", "1") +
                TarFile("1.json", "{}") + TarFile("1.webp", PngBytes(5)) +
                TarFile("._1.png", "finder's") + TarEnd());
  WriteText(At("s/README.md"), "notes");
  classes_ = {"wolf", "bear"};
  const auto dataset = Read(At("s"));
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  const auto& items = dataset->manifest.items;
  ASSERT_THAT(items, SizeIs(3));
  EXPECT_EQ(items[0].path, "training_0/0.jpeg");
  EXPECT_EQ(items[0].split, Split::kTest);
  EXPECT_EQ(items[1].split, Split::kTrain);
  EXPECT_EQ(items[1].class_index, 1);
  EXPECT_EQ(items[2].path, "val-0/a/0.PNG");
  EXPECT_EQ(items[2].split, Split::kVal);
  EXPECT_EQ(items[2].class_index, 0);
}

TEST_F(TarShardsTest, LongNamesOfEveryKind) {
  const std::string folder(90, 'f');
  TarHeader ustar{"c.png", '0', folder};
  TarHeader pax{"PaxHeaders/x", 'x'};
  TarHeader gnu{"././@LongLink", 'L'};
  TarHeader global{"pax_global_header", 'g'};
  const std::string name = folder + "/" + folder + "/d.png";
  WriteText(At("x.tar"), TarEntryBytes(global, PaxRecord("comment", "hello")) +
                             TarEntryBytes({folder + "/", '5'}, "") +
                             TarEntryBytes(ustar, "1") +
                             TarEntryBytes(pax, PaxRecord("mtime", "1.5") +
                                                    PaxRecord("path", name)) +
                             TarFile("short.png", "2") +
                             TarEntryBytes(gnu, name + std::string(1, '\0')) +
                             TarFile("short.png", "3") + TarEnd());
  const auto entries = ListTar(At("x.tar"));
  ASSERT_TRUE(entries.ok()) << entries.status();
  ASSERT_THAT(*entries, SizeIs(3));
  EXPECT_EQ((*entries)[0].name, folder + "/c.png");
  EXPECT_EQ((*entries)[1].name, name);
  EXPECT_EQ((*entries)[2].name, name);
  EXPECT_EQ(*ReadFileRange(At("x.tar"), (*entries)[2].offset, 1), "3");
}

TEST_F(TarShardsTest, HostileNamesAreRefused) {
  for (const char* name : {"../up.png", "/etc/up.png", "a/../../up.png",
                           "a//up.png", "a\nb.png", "\xff.png"}) {
    EXPECT_THAT(Problem(Samples() + TarFile(name, PngBytes(9)) + TarEnd()),
                AllOf(HasSubstr("INVALID_IMAGE_LIST: train-0.tar: \""),
                      HasSubstr("png\"")))
        << name;
  }
  for (const char type : {'1', '2', '3', '4', '6', 'S', 'Z'}) {
    EXPECT_THAT(
        Problem(Samples() + TarEntryBytes({"l.png", type}, "") + TarEnd()),
        AllOf(HasSubstr("BAD_TAR"), HasSubstr("\"l.png\" that is no")))
        << type;
  }
}

TEST_F(TarShardsTest, DamagedArchivesAreRefusedWithTheByte) {
  EXPECT_THAT(Problem(""), HasSubstr("BAD_TAR"));
  EXPECT_THAT(Problem("text, no archive"), HasSubstr("ends early"));
  EXPECT_THAT(Problem(std::string(2048, 'x')), HasSubstr("wrong checksum"));
  EXPECT_THAT(Problem("\x1f\x8b" + std::string(2048, 'x')),
              HasSubstr("is compressed"));
  // Cut between two entries, inside a header, inside a content.
  const std::string whole = Samples() + TarEnd();
  for (const size_t kept : {Samples().size(), size_t{700}, size_t{530}}) {
    EXPECT_THAT(Problem(whole.substr(0, kept)),
                AllOf(HasSubstr("BAD_TAR"), HasSubstr("train-0.tar: byte"),
                      HasSubstr("ends early")))
        << kept;
  }
  TarHeader header{"2.png"};
  header.right_checksum = false;
  EXPECT_THAT(Problem(Samples() + TarEntryBytes(header, "") + TarEnd()),
              HasSubstr("wrong checksum"));
  header.right_checksum = true;
  for (const std::string& size :
       {std::string("77777777777"), std::string("0000000009x"),
        std::string("           "),
        std::string("\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12),
        std::string("\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12),
        std::string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12)}) {
    header.size = size;
    EXPECT_THAT(Problem(Samples() + TarEntryBytes(header, "") + TarEnd()),
                HasSubstr("BAD_TAR"));
  }
}

TEST_F(TarShardsTest, HostileExtendedHeadersAreRefused) {
  TarHeader pax{"PaxHeaders/x", 'x'};
  const auto problem = [&](const std::string& records) {
    return Problem(Samples() + TarEntryBytes(pax, records) +
                   TarFile("2.png", PngBytes(3)) + TarEnd());
  };
  for (const char* records :
       {"garbage", "999 path=a\n", "5 a=b", "0 \n", "-3 a=b\n", "6 ab\n",
        "99999999999999 path=a\n"}) {
    EXPECT_THAT(problem(records), HasSubstr("pax header that is malformed"))
        << records;
  }
  EXPECT_THAT(problem(PaxRecord("size", "-1")), HasSubstr("no number"));
  EXPECT_THAT(problem(PaxRecord("size", "9999999999")),
              HasSubstr("ends early"));
  EXPECT_THAT(problem(PaxRecord("GNU.sparse.major", "1")), HasSubstr("sparse"));
  EXPECT_THAT(problem(PaxRecord("path", "../../2.png")),
              HasSubstr("\"../../2.png\""));
  EXPECT_THAT(problem(std::string((1 << 20) + 1, 'x')),
              HasSubstr("extended header of 1048577 bytes; the limit is"));
}

TEST_F(TarShardsTest, MalformedSamplesAreRefusedByEntry) {
  const auto problem = [&](const std::string& more) {
    return Problem(Samples() + more + TarEnd());
  };
  const std::string image = TarFile("2.png", PngBytes(3));
  EXPECT_THAT(problem(TarFile("2.txt", "caption")),
              HasSubstr("train-0.tar: \"2.txt\": is not .jpg"));
  EXPECT_THAT(problem(TarFile("2", "caption")), HasSubstr("\"2\": is not"));
  EXPECT_THAT(problem(image),
              HasSubstr("\"2\": the sample has an image and no label"));
  EXPECT_THAT(problem(TarFile("2.cls", "cat")),
              HasSubstr("\"2\": the sample has a label and no image"));
  EXPECT_THAT(
      problem(image + TarFile("2.jpg", PngBytes(4)) + TarFile("2.cls", "cat")),
      HasSubstr("\"2.jpg\": the sample has another image, \"2.png\""));
  EXPECT_THAT(problem(image + image + TarFile("2.cls", "cat")),
              HasSubstr("\"2.png\": is there twice"));
  EXPECT_THAT(problem(image + TarFile("2.cls", " \n")),
              HasSubstr("\"2.cls\": is empty"));
  EXPECT_THAT(problem(image + TarFile("2.cls", std::string(70000, 'c'))),
              HasSubstr("\"2.cls\": has 70000 bytes"));
  EXPECT_THAT(problem(image + TarFile("2.json", "{")),
              HasSubstr("\"2.json\": is not a JSON object"));
  EXPECT_THAT(problem(image + TarFile("2.json", "{\"label\": null}")),
              HasSubstr("\"2.json\": label: is neither text nor a whole"));
  EXPECT_THAT(problem(image + TarFile("2.cls", "cat") +
                      TarFile("2.json", "{\"split\": 3}")),
              HasSubstr("\"2.json\": split: is not text"));
  EXPECT_THAT(problem(image + TarFile("2.cls", "cat") +
                      TarFile("2.json", "{\"label\": \"dog\"}")),
              HasSubstr("the label is \"cat\" in .cls and \"dog\" in .json"));
  EXPECT_THAT(problem(TarFile("2.png", "no image") + TarFile("2.cls", "cat")),
              AllOf(HasSubstr("LISTED_IMAGES_UNREADABLE"),
                    HasSubstr("train-0.tar: \"2.png\"")));
}

// Whatever the bytes, an answer: entries inside the file, or a refusal.
TEST_F(TarShardsTest, DamageAnywhereIsAnsweredWithoutHarm) {
  TarHeader pax{"PaxHeaders/x", 'x'};
  const std::string good =
      Samples() + TarEntryBytes(pax, PaxRecord("path", "2.png")) +
      TarFile("x", PngBytes(3)) + TarFile("2.cls", "cat") + TarEnd();
  ASSERT_TRUE(ReadBytes(good).ok());
  std::mt19937 random(1);
  int refused = 0;
  for (int i = 0; i < 1500; ++i) {
    std::string bytes = good;
    for (unsigned n = 1 + random() % 3; n > 0; --n) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    if (random() % 4 == 0) bytes.resize(random() % bytes.size());
    const auto dataset = ReadBytes(bytes);
    if (dataset.ok()) continue;
    ++refused;
    EXPECT_TRUE(dataset.status().code() == absl::StatusCode::kInvalidArgument)
        << dataset.status();
  }
  EXPECT_GT(refused, 500);
}

TEST_F(TarShardsTest, WhatIsNotThereIsNamed) {
  EXPECT_THAT(std::string(Read(At("none.tar")).status().message()),
              HasSubstr("none.tar"));
  fs::create_directories(At("empty"));
  EXPECT_THAT(std::string(Read(At("empty")).status().message()),
              HasSubstr("there is no *.tar in"));
}

}  // namespace
}  // namespace promptd::datasets
