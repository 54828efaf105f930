#include "weights/zip_archive.h"

#include <gtest/gtest.h>

#include "common/error.h"
#include "common/file.h"
#include "tests/testing/temp_dir.h"
#include "tests/weights/archive_builder.h"
#include "weights/crc32.h"

namespace promptd::weights {
namespace {

using testing::BuildZip;
using testing::Number;
using testing::Patch;
using testing::ZipPart;

const ZipPart kFirst = {"a/one", "first content"};
const ZipPart kSecond = {"a/two", "second"};

// `part` after an edit of its local header or of its record.
ZipPart Local(ZipPart part, testing::Edit edit) {
  part.edit_local = std::move(edit);
  return part;
}
ZipPart Record(ZipPart part, testing::Edit edit) {
  part.edit_record = std::move(edit);
  return part;
}
testing::Edit Set(size_t at, uint64_t value, int width) {
  return [=](std::string& bytes) { Patch(bytes, at, value, width); };
}
std::string Named(const std::string& name) {
  return BuildZip({kFirst, {name, "x"}});
}

TEST(Crc32Test, KnownChecksums) {
  EXPECT_EQ(Crc32(""), 0u);
  EXPECT_EQ(Crc32("123456789"), 0xcbf43926u);
  EXPECT_EQ(Crc32("The quick brown fox jumps over the lazy dog"), 0x414fa339u);
}

TEST(ZipArchiveTest, ReadsStoredEntries) {
  ZipPart plain = kSecond;
  plain.flags = 0;  // sizes in the local header, no descriptor
  for (const ZipPart& second : {kSecond, plain}) {
    const auto archive =
        ZipArchive::FromBytes(BuildZip({kFirst, second}), "good.pt");
    ASSERT_TRUE(archive.ok()) << archive.status();
    EXPECT_EQ(archive->root(), "a");
    EXPECT_EQ(archive->entries().size(), 2u);
    EXPECT_EQ(archive->Read("a/one").value(), "first content");
    EXPECT_EQ(archive->Read("a/two").value(), "second");
    EXPECT_EQ(ErrorReason(archive->Read("a/three").status()), "ZIP_NO_ENTRY");
  }
}

TEST(ZipArchiveTest, ReadsPaddingAndZip64Fields) {
  const std::string padding = "FB" + Number(3, 2) + "ZZZ";
  const auto pad = [&](std::string& local) {
    Patch(local, testing::kLocalExtraBytes, padding.size(), 2);
    local += padding;
  };
  const std::string sizes64 =
      Number(1, 2) + Number(16, 2) + Number(6, 8) + Number(6, 8);
  const auto as64 = [&](std::string& record) {
    Patch(record, testing::kRecordStored, 0xffffffff, 4);
    Patch(record, testing::kRecordSize, 0xffffffff, 4);
    Patch(record, testing::kRecordExtraBytes, sizes64.size(), 2);
    record += sizes64;
  };
  const auto archive = ZipArchive::FromBytes(
      BuildZip({Local(kFirst, pad), Record(kSecond, as64)}), "good.pt");
  ASSERT_TRUE(archive.ok()) << archive.status();
  EXPECT_EQ(archive->Read("a/one").value(), "first content");
  EXPECT_EQ(archive->Read("a/two").value(), "second");
}

TEST(ZipArchiveTest, ListsDeflatedCodeAndNeverReadsIt) {
  ZipPart code = {"a/code/x.py", "deflated"};
  code.method = 8;
  const auto archive = ZipArchive::FromBytes(BuildZip({kFirst, code}), "s.pt");
  ASSERT_TRUE(archive.ok()) << archive.status();
  EXPECT_EQ(ErrorReason(archive->Read("a/code/x.py").status()),
            "ZIP_COMPRESSED");
}

TEST(ZipArchiveTest, ChecksTheChecksumOfWhatIsRead) {
  std::string bytes = BuildZip({kFirst, kSecond});
  bytes[bytes.find("second")] = 'S';
  const auto archive = ZipArchive::FromBytes(bytes, "bad.pt");
  ASSERT_TRUE(archive.ok()) << archive.status();
  EXPECT_TRUE(archive->Read("a/one").ok());
  const auto read = archive->Read("a/two");
  EXPECT_EQ(ErrorReason(read.status()), "ZIP_BAD_CRC");
  EXPECT_EQ(read.status().message(),
            "bad.pt: entry \"a/two\" at offset 64: its bytes do not match its "
            "checksum: copy it again");
}

TEST(ZipArchiveTest, KeepsToItsLimits) {
  const ::promptd::testing::TempDir folder;
  const std::string path = folder.path() + "/a.pt";
  const std::string bytes = BuildZip({kFirst, kSecond});
  ASSERT_TRUE(WriteFileAtomically(path, bytes).ok());
  EXPECT_TRUE(ZipArchive::FromFile(path).ok());
  EXPECT_EQ(ErrorReason(ZipArchive::FromFile(path, {10, 10}).status()),
            "FILE_TOO_LARGE");
  EXPECT_EQ(ErrorReason(ZipArchive::FromBytes(bytes, "b", {10, 10}).status()),
            "ZIP_FILE_TOO_LARGE");
  EXPECT_EQ(
      ErrorReason(ZipArchive::FromBytes(bytes, "b", {1 << 20, 1}).status()),
      "ZIP_TOO_MANY_ENTRIES");
}

struct Case {
  const char* name;
  const char* reason;
  std::string bytes;
};

std::vector<Case> EntryCases() {
  using namespace testing;
  ZipPart deflated = kSecond, encrypted = kSecond, strong = kSecond,
          method = kSecond, patched = kSecond;
  deflated.method = 8;
  method.method = 12;
  encrypted.flags |= 1;
  strong.flags |= 0x40;
  patched.flags |= 0x20;
  const std::string timestamp = "UT" + Number(1, 2) + "x";
  const auto add_timestamp = [=](std::string& local) {
    Patch(local, kLocalExtraBytes, timestamp.size(), 2);
    local += timestamp;
  };
  return {
      {"Parent", "ZIP_BAD_NAME", Named("a/../../etc/passwd")},
      {"Absolute", "ZIP_BAD_NAME", Named("/etc/passwd")},
      {"Drive", "ZIP_BAD_NAME", Named("C:/x")},
      {"Backslash", "ZIP_BAD_NAME", Named("a\\..\\x")},
      {"Dot", "ZIP_BAD_NAME", Named("a/./x")},
      {"EmptyPart", "ZIP_BAD_NAME", Named("a//x")},
      {"Folder", "ZIP_BAD_NAME", Named("a/b/")},
      {"NoName", "ZIP_BAD_NAME", Named("")},
      {"Nul", "ZIP_BAD_NAME", Named(std::string("a/x\0y", 5))},
      {"LongName", "ZIP_BAD_NAME", Named("a/" + std::string(600, 'x'))},
      {"NoFolder", "ZIP_BAD_NAME", Named("x")},
      {"TwoFolders", "ZIP_BAD_NAME", Named("b/x")},
      {"Duplicate", "ZIP_DUPLICATE_ENTRY", BuildZip({kFirst, kFirst})},
      {"Deflated", "ZIP_COMPRESSED", BuildZip({kFirst, deflated})},
      {"Lzma", "ZIP_COMPRESSED", BuildZip({kFirst, method})},
      {"Encrypted", "ZIP_ENCRYPTED", BuildZip({kFirst, encrypted})},
      {"StrongEncryption", "ZIP_ENCRYPTED", BuildZip({kFirst, strong})},
      {"PatchData", "ZIP_UNSUPPORTED", BuildZip({kFirst, patched})},
      {"BombSizes", "ZIP_HEADERS_DIFFER",
       BuildZip({kFirst, Record(kSecond, Set(kRecordSize, 1 << 30, 4))})},
      {"LocalName", "ZIP_HEADERS_DIFFER",
       BuildZip(
           {kFirst, Local(kSecond, [](std::string& b) { b.back() = 'x'; })})},
      {"LocalMethod", "ZIP_HEADERS_DIFFER",
       BuildZip({kFirst, Local(kSecond, Set(kLocalMethod, 8, 2))})},
      {"LocalFlags", "ZIP_HEADERS_DIFFER",
       BuildZip({kFirst, Local(kSecond, Set(kLocalFlags, 0x809, 2))})},
      {"LocalSize", "ZIP_HEADERS_DIFFER",
       BuildZip({kFirst, Local(kSecond, Set(kLocalSize, 7, 4))})},
      {"LocalMark", "ZIP_HEADERS_DIFFER",
       BuildZip({kFirst, Local(kSecond, Set(0, 0, 4))})},
      {"RecordCrc", "ZIP_HEADERS_DIFFER",
       BuildZip({kFirst, Record(kSecond, Set(kRecordCrc, 1, 4))})},
      {"LocalTimestamp", "ZIP_HEADERS_DIFFER",
       BuildZip({kFirst, Local(kSecond, add_timestamp)})},
  };
}

std::vector<Case> FrameCases() {
  using namespace testing;
  const std::string good = BuildZip({kFirst, kSecond});
  const auto end = [](size_t at, uint64_t value, int width) {
    return BuildZip({kFirst, kSecond}, Set(at, value, width));
  };
  const auto both = [](size_t at64, size_t at32, uint64_t value) {
    return BuildZip({kFirst, kSecond}, [=](std::string& bytes) {
      Patch(bytes, at64, value, 8);
      Patch(bytes, at32, 0xffffffff, 4);
    });
  };
  return {
      {"Empty", "ZIP_NOT_AN_ARCHIVE", ""},
      {"Text", "ZIP_NOT_AN_ARCHIVE", "not a zip at all, but some text"},
      {"Cut", "ZIP_TRUNCATED", good.substr(0, good.size() / 2)},
      {"LastByte", "ZIP_TRUNCATED", good.substr(0, good.size() - 90)},
      {"TrailingByte", "ZIP_TRAILING_BYTES", good + "x"},
      {"Comment", "ZIP_TRAILING_BYTES", end(56 + 20 + 20, 1, 2) + "x"},
      {"PrefixBytes", "ZIP_NOT_AN_ARCHIVE", "#!/bin/sh\n" + good + "x"},
      {"HoleAtStart", "ZIP_HOLE",
       BuildZip({Record(kFirst, Set(kRecordOffset, 5, 4))})},
      {"HoleAtEnd", "ZIP_HOLE", BuildZip({kFirst, kSecond}, {}, "hidden")},
      {"SharedContent", "ZIP_OVERLAP",
       BuildZip({kFirst, Record(kSecond, Set(kRecordOffset, 0, 4))})},
      {"Inside", "ZIP_OVERLAP",
       BuildZip({kFirst, Record(kSecond, Set(kRecordOffset, 40, 4))})},
      {"ContentBeyond", "ZIP_OUT_OF_RANGE",
       BuildZip({kFirst, Record(kSecond,
                                [](std::string& record) {
                                  Patch(record, kRecordStored, 99999, 4);
                                  Patch(record, kRecordSize, 99999, 4);
                                })})},
      {"NameBeyond", "ZIP_OUT_OF_RANGE",
       BuildZip({kFirst, Local(kSecond, Set(kLocalNameBytes, 65000, 2))})},
      {"RecordName", "ZIP_BAD_DIRECTORY",
       BuildZip({kFirst, Record(kSecond, Set(kRecordNameBytes, 999, 2))})},
      {"RecordComment", "ZIP_BAD_DIRECTORY",
       BuildZip({kFirst, Record(kSecond,
                                [](std::string& record) {
                                  Patch(record, kRecordComment, 1, 2);
                                  record += "x";
                                })})},
      {"RecordZip64Missing", "ZIP_BAD_DIRECTORY",
       BuildZip({kFirst, Record(kSecond, Set(kRecordSize, 0xffffffff, 4))})},
      {"FewerRecords", "ZIP_BAD_DIRECTORY",
       BuildZip({kFirst, kSecond},
                [](std::string& bytes) {
                  Patch(bytes, 24, 1, 8);
                  Patch(bytes, 32, 1, 8);
                  Patch(bytes, 76 + 8, 1, 2);
                  Patch(bytes, 76 + 10, 1, 2);
                })},
      {"TwoCounts", "ZIP_BAD_DIRECTORY", end(76 + 10, 1, 2)},
      {"ManyEntries", "ZIP_TOO_MANY_ENTRIES",
       BuildZip({kFirst, kSecond},
                [](std::string& bytes) {
                  Patch(bytes, 24, uint64_t{1} << 40, 8);
                  Patch(bytes, 32, uint64_t{1} << 40, 8);
                  Patch(bytes, 76 + 8, 0xffff, 2);
                  Patch(bytes, 76 + 10, 0xffff, 2);
                })},
      {"DirectoryBeyond", "ZIP_BAD_DIRECTORY",
       both(48, 76 + 16, uint64_t{1} << 60)},
      {"DirectorySize", "ZIP_BAD_DIRECTORY", both(40, 76 + 12, ~uint64_t{0})},
      {"SecondDisk", "ZIP_BAD_DIRECTORY", end(76 + 4, 1, 2)},
      {"Locator", "ZIP_BAD_DIRECTORY", end(56 + 8, 3, 8)},
  };
}

class ZipHostileTest : public ::testing::TestWithParam<Case> {};

TEST_P(ZipHostileTest, IsRefusedWithItsReason) {
  const auto archive = ZipArchive::FromBytes(GetParam().bytes, "hostile.pt");
  ASSERT_FALSE(archive.ok());
  EXPECT_EQ(archive.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ErrorReason(archive.status()), GetParam().reason)
      << archive.status();
  const std::string message(archive.status().message());
  EXPECT_EQ(message.substr(0, 11), "hostile.pt:");
  EXPECT_NE(message.find("at offset "), std::string::npos) << message;
}

std::string NameOf(const ::testing::TestParamInfo<Case>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(Entries, ZipHostileTest,
                         ::testing::ValuesIn(EntryCases()), NameOf);
INSTANTIATE_TEST_SUITE_P(Frame, ZipHostileTest,
                         ::testing::ValuesIn(FrameCases()), NameOf);

TEST(ZipArchiveTest, EveryPrefixIsRefused) {
  const std::string bytes = BuildZip({kFirst, kSecond});
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(ZipArchive::FromBytes(bytes.substr(0, length), "cut").ok());
  }
}

}  // namespace
}  // namespace promptd::weights
