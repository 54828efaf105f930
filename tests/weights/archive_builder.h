// Builds ZIP archives and pickles byte by byte, as torch writes them or, where
// a test edits a part, as it does not.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace promptd::weights {

// Little-endian bytes of a number.
std::string Number(uint64_t value, int width);

// Overwrites a number in `bytes`.
void Patch(std::string& bytes, size_t at, uint64_t value, int width);

using Edit = std::function<void(std::string&)>;

struct ZipPart {
  std::string name;
  std::string content;
  uint16_t flags = 0x808;  // sizes in a descriptor, UTF-8 names: torch's
  uint16_t method = 0;
  Edit edit_local = {};   // 30 bytes and the name
  Edit edit_record = {};  // 46 bytes and the name
};

// Two parts as torch writes them.
inline const ZipPart kFirst = {"a/one", "first content"};
inline const ZipPart kSecond = {"a/two", "second"};

// `part` after an edit of its local header or of its record.
ZipPart Local(ZipPart part, Edit edit);
ZipPart Record(ZipPart part, Edit edit);

// Offsets of fields, for edits.
constexpr size_t kLocalFlags = 6, kLocalMethod = 8, kLocalCrc = 14,
                 kLocalSize = 22, kLocalNameBytes = 26, kLocalExtraBytes = 28;
constexpr size_t kRecordFlags = 8, kRecordMethod = 10, kRecordCrc = 16,
                 kRecordStored = 20, kRecordSize = 24, kRecordNameBytes = 28,
                 kRecordExtraBytes = 30, kRecordComment = 32,
                 kRecordOffset = 42;

// One after the other, the directory, ZIP64's end records and the plain one.
// `edit_end` sees all end records: 56, 20 and 22 bytes.
std::string BuildZip(const std::vector<ZipPart>& parts,
                     const Edit& edit_end = {},
                     const std::string& before_directory = "");

// Pickle pieces.
std::string PickleString(const std::string& text);
std::string PickleGlobalLine(const std::string& module,
                             const std::string& name);
// A float32 tensor of storage "0" unless the rest says otherwise.
struct PickledTensor {
  std::string storage = "FloatStorage";
  std::string key = "0";
  uint32_t elements = 4;
  uint32_t offset = 0;
  std::vector<uint32_t> shape = {4};
  std::vector<uint32_t> strides = {1};
  std::string device = "cpu";
  std::string extra = "";  // further arguments
};
std::string Pickled(const PickledTensor& tensor);
// PROTO 2, the body, STOP.
std::string Pickle(const std::string& body);
// The same for a dict {name: value, ...} of pieces.
std::string PickleDict(
    const std::vector<std::pair<std::string, std::string>>& members);

// The bytes of float32 values.
std::string Floats(const std::vector<float>& values);

// A torch file: archive/data.pkl and archive/data/0 of 16 bytes.
std::string TorchZip(const std::string& pickle,
                     const std::string& storage = std::string(16, '\1'));

// Bytes that a reader must refuse, and the reason that it must give.
struct HostileCase {
  const char* name;
  const char* reason;
  std::string bytes;
};

// For zip_archive.h.
std::vector<HostileCase> HostileArchives();
// For pickle_reader.h.
std::vector<HostileCase> HostilePickles();
// For torch_file.h, beside all of the above.
std::vector<HostileCase> HostileTorchFiles();

// A test's name of its case.
struct NameOfCase {
  template <typename Info>
  std::string operator()(const Info& info) const {
    return info.param.name;
  }
};

}  // namespace promptd::weights
