#include "weights/zip_archive.h"

#include <gtest/gtest.h>

#include "common/error.h"
#include "common/file.h"
#include "tests/testing/temp_dir.h"
#include "tests/weights/archive_builder.h"
#include "weights/crc32.h"

namespace promptd::weights {
namespace {

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
    Patch(local, kLocalExtraBytes, padding.size(), 2);
    local += padding;
  };
  const std::string sizes64 =
      Number(1, 2) + Number(16, 2) + Number(6, 8) + Number(6, 8);
  const auto as64 = [&](std::string& record) {
    Patch(record, kRecordStored, 0xffffffff, 4);
    Patch(record, kRecordSize, 0xffffffff, 4);
    Patch(record, kRecordExtraBytes, sizes64.size(), 2);
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

class ZipHostileTest : public ::testing::TestWithParam<HostileCase> {};

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

INSTANTIATE_TEST_SUITE_P(Archives, ZipHostileTest,
                         ::testing::ValuesIn(HostileArchives()), NameOfCase());

TEST(ZipArchiveTest, EveryPrefixIsRefused) {
  const std::string bytes = BuildZip({kFirst, kSecond});
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(ZipArchive::FromBytes(bytes.substr(0, length), "cut").ok());
  }
}

}  // namespace
}  // namespace promptd::weights
