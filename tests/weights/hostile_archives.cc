#include "tests/weights/archive_builder.h"

namespace promptd::weights {
namespace {

Edit Set(size_t at, uint64_t value, int width) {
  return [=](std::string& bytes) { Patch(bytes, at, value, width); };
}
std::string Named(const std::string& name) {
  return BuildZip({kFirst, {name, "x"}});
}

std::vector<HostileCase> EntryCases() {
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

std::vector<HostileCase> ArchiveFrameCases() {
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

}  // namespace

std::vector<HostileCase> HostileArchives() {
  std::vector<HostileCase> all = EntryCases();
  for (HostileCase& one : ArchiveFrameCases()) all.push_back(std::move(one));
  return all;
}

}  // namespace promptd::weights
