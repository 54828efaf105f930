#include "tests/weights/archive_builder.h"

#include "weights/crc32.h"

namespace promptd::weights {

std::string Number(uint64_t value, int width) {
  std::string bytes;
  for (int i = 0; i < width; ++i) {
    bytes.push_back(static_cast<char>(value & 0xff));
    value >>= 8;
  }
  return bytes;
}

void Patch(std::string& bytes, size_t at, uint64_t value, int width) {
  bytes.replace(at, static_cast<size_t>(width), Number(value, width));
}

ZipPart Local(ZipPart part, Edit edit) {
  part.edit_local = std::move(edit);
  return part;
}

ZipPart Record(ZipPart part, Edit edit) {
  part.edit_record = std::move(edit);
  return part;
}

std::string BuildZip(const std::vector<ZipPart>& parts, const Edit& edit_end,
                     const std::string& before_directory) {
  std::string bytes, directory;
  for (const ZipPart& part : parts) {
    const uint32_t crc = Crc32(part.content);
    const uint64_t size = part.content.size();
    const bool later = (part.flags & 8) != 0;
    const std::string sizes =
        Number(crc, 4) + Number(size, 4) + Number(size, 4);
    std::string local = "PK\3\4" + Number(0, 2) + Number(part.flags, 2) +
                        Number(part.method, 2) + Number(0, 4) +
                        (later ? std::string(12, '\0') : sizes) +
                        Number(part.name.size(), 2) + Number(0, 2) + part.name;
    std::string record = "PK\1\2" + Number(0, 4) + Number(part.flags, 2) +
                         Number(part.method, 2) + Number(0, 4) + sizes +
                         Number(part.name.size(), 2) + Number(0, 12) +
                         Number(bytes.size(), 4) + part.name;
    if (part.edit_local) part.edit_local(local);
    if (part.edit_record) part.edit_record(record);
    bytes += local + part.content;
    if (later) bytes += "PK\7\b" + sizes;
    directory += record;
  }
  bytes += before_directory;
  const uint64_t begin = bytes.size();
  bytes += directory;
  const uint64_t count = parts.size();
  std::string end = "PK\6\6" + Number(44, 8) + Number(0x2d031e, 4) +
                    Number(0, 8) + Number(count, 8) + Number(count, 8) +
                    Number(directory.size(), 8) + Number(begin, 8) + "PK\6\7" +
                    Number(0, 4) + Number(bytes.size(), 8) + Number(1, 4) +
                    "PK\5\6" + Number(0, 4) + Number(count, 2) +
                    Number(count, 2) + Number(directory.size(), 4) +
                    Number(begin, 4) + Number(0, 2);
  if (edit_end) edit_end(end);
  return bytes + end;
}

std::string PickleString(const std::string& text) {
  return "X" + Number(text.size(), 4) + text;
}

std::string PickleGlobalLine(const std::string& module,
                             const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}

std::string Pickled(const PickledTensor& tensor) {
  const auto tuple = [](const std::vector<uint32_t>& numbers) {
    std::string piece = "(";
    for (const uint32_t number : numbers) piece += "J" + Number(number, 4);
    return piece + "t";
  };
  return PickleGlobalLine("torch._utils", "_rebuild_tensor_v2") + "((" +
         PickleString("storage") + PickleGlobalLine("torch", tensor.storage) +
         PickleString(tensor.key) + PickleString(tensor.device) + "J" +
         Number(tensor.elements, 4) + "tQJ" + Number(tensor.offset, 4) +
         tuple(tensor.shape) + tuple(tensor.strides) + "\x89" +
         PickleGlobalLine("collections", "OrderedDict") + ")R" + tensor.extra +
         "tR";
}

std::string Pickle(const std::string& body) { return "\x80\2" + body + "."; }

std::string PickleDict(
    const std::vector<std::pair<std::string, std::string>>& members) {
  std::string body = "}(";
  for (const auto& [name, value] : members) body += PickleString(name) + value;
  return Pickle(body + "u");
}

std::string Floats(const std::vector<float>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()),
                     values.size() * sizeof(float));
}

std::string TorchZip(const std::string& pickle, const std::string& storage) {
  return BuildZip({{"archive/data.pkl", pickle}, {"archive/data/0", storage}});
}

}  // namespace promptd::weights
