// The formats of other programs, written.
#include <vector>

#include "absl/strings/str_cat.h"
#include "weights/context_file.h"
#include "weights/little_endian.h"
#include "weights/npy.h"
#include "weights/zip_writer.h"

namespace promptd::weights {
namespace {

constexpr int64_t kTorchAlignment = 64;
constexpr char kRoot[] = "archive/";

// Opcodes of pickle, protocol 2.
std::string Text(absl::string_view text) {
  return absl::StrCat("X", ToLittleEndian(text.size(), 4), text);
}

std::string Whole(int64_t value) {
  return absl::StrCat("J", ToLittleEndian(static_cast<uint64_t>(value), 4));
}

std::string Tuple(const std::vector<int64_t>& numbers) {
  std::string out = "(";
  for (const int64_t number : numbers) absl::StrAppend(&out, Whole(number));
  return out + "t";
}

constexpr absl::string_view kEmptyOrderedDict = "ccollections\nOrderedDict\n)R";

// torch._utils._rebuild_tensor_v2(storage, 0, shape, strides, False, {}): how
// torch.save writes a tensor. Its bytes are the entry data/0.
std::string Tensor(const FloatTensor& tensor) {
  std::vector<int64_t> strides(tensor.shape.size());
  int64_t elements = 1;
  for (size_t axis = strides.size(); axis-- > 0;) {
    strides[axis] = elements;
    elements *= tensor.shape[axis];
  }
  const std::string storage =
      absl::StrCat("(", Text("storage"), "ctorch\nFloatStorage\n", Text("0"),
                   Text("cpu"), Whole(elements), "tQ");
  return absl::StrCat("ctorch._utils\n_rebuild_tensor_v2\n(", storage, Whole(0),
                      Tuple(tensor.shape), Tuple(strides), "\x89",
                      kEmptyOrderedDict, "tR");
}

absl::string_view Bytes(const FloatTensor& tensor) {
  return {reinterpret_cast<const char*>(tensor.values.data()),
          tensor.values.size() * sizeof(float)};
}

}  // namespace

std::string WriteContextNpz(const FloatTensor& context) {
  ZipWriter zip(/*alignment=*/1);
  zip.Add(absl::StrCat(kContextName, ".npy"), WriteNpy(context));
  return zip.Finish();
}

std::string WriteCoopCheckpoint(const FloatTensor& context, int64_t epochs) {
  const std::string pickle = absl::StrCat(
      "\x80\2}(", Text("state_dict"), kEmptyOrderedDict, Text(kContextName),
      Tensor(context), "s", Text("epoch"), Whole(epochs), Text("optimizer"),
      "N", Text("scheduler"), "N", Text("val_result"), "Nu.");
  ZipWriter zip(kTorchAlignment);
  zip.Add(absl::StrCat(kRoot, "data.pkl"), pickle);
  zip.Add(absl::StrCat(kRoot, "byteorder"), "little");
  zip.Add(absl::StrCat(kRoot, "data/0"), Bytes(context));
  zip.Add(absl::StrCat(kRoot, "version"), "3\n");
  return zip.Finish();
}

}  // namespace promptd::weights
