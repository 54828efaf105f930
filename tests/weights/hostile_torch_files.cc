#include "tests/weights/archive_builder.h"

namespace promptd::weights {

std::vector<HostileCase> HostileTorchFiles() {
  const auto tensor = [](auto edit) {
    PickledTensor made;
    edit(made);
    return TorchZip(PickleDict({{"a", Pickled(made)}}));
  };
  const std::string good = PickleDict({{"a", Pickled({})}});
  std::string repeated = PickleString("a") + Pickled({});
  std::vector<std::pair<std::string, std::string>> many, views;
  for (int i = 0; i < 5000; ++i) {
    many.push_back(
        {"t" + std::to_string(i), i == 0 ? Pickled({}) + "q\1" : "h\1"});
  }
  PickledTensor expanded;
  expanded.shape = {1 << 30};
  expanded.strides = {0};
  std::string corrupt = TorchZip(good);
  corrupt[corrupt.find(std::string(16, '\1'))] = 2;
  return {
      {"Legacy", "TORCH_LEGACY_FORMAT", good},
      {"Tar", "TORCH_LEGACY_FORMAT",
       std::string(257, 'a') + "ustar" + std::string(300, 'a')},
      {"NoPickle", "TORCH_NO_PICKLE", BuildZip({{"a/other.pkl", good}})},
      {"NoEntries", "TORCH_NO_PICKLE", BuildZip({})},
      {"BigEndian", "TORCH_BIG_ENDIAN",
       BuildZip({{"a/data.pkl", good}, {"a/byteorder", "big"}})},
      {"List", "TORCH_NOT_A_STATE_DICT", TorchZip(Pickle("]"))},
      {"EmptyDict", "TORCH_NOT_A_STATE_DICT", TorchZip(Pickle("}"))},
      {"Number", "TORCH_NOT_A_STATE_DICT",
       TorchZip(PickleDict({{"a", Pickled({})}, {"epoch", "K\1"}}))},
      {"InnerNumber", "TORCH_NOT_A_STATE_DICT",
       TorchZip(PickleDict({{"state_dict", "K\1"}}))},
      {"IntegerKey", "TORCH_NOT_A_STATE_DICT",
       TorchZip(Pickle("}K\1" + Pickled({}) + "s"))},
      {"BadName", "TORCH_BAD_NAME",
       TorchZip(PickleDict({{"a b", Pickled({})}}))},
      {"NulName", "TORCH_BAD_NAME",
       TorchZip(PickleDict({{std::string("a\0", 2), Pickled({})}}))},
      {"SameNameTwice", "TORCH_DUPLICATE_TENSOR",
       TorchZip(Pickle("}(" + repeated + repeated + "u"))},
      {"ManyTensors", "TORCH_TOO_MANY_TENSORS", TorchZip(PickleDict(many))},
      {"Double", "TORCH_BAD_DTYPE", tensor([](auto& t) {
         t.storage = "DoubleStorage";
         t.elements = 2;
       })},
      {"MissingStorage", "TORCH_BAD_STORAGE",
       tensor([](auto& t) { t.key = "1"; })},
      {"ShortStorage", "TORCH_BAD_STORAGE",
       tensor([](auto& t) { t.elements = 5; })},
      {"LongStorage", "TORCH_BAD_STORAGE",
       tensor([](auto& t) { t.elements = 3; })},
      {"OtherType", "TORCH_BAD_STORAGE",
       tensor([](auto& t) { t.storage = "HalfStorage"; })},
      {"ShapeBeyond", "TORCH_BAD_TENSOR",
       tensor([](auto& t) { t.shape = {5}; })},
      {"OffsetBeyond", "TORCH_BAD_TENSOR",
       tensor([](auto& t) { t.offset = 1; })},
      {"StrideBeyond", "TORCH_BAD_TENSOR",
       tensor([](auto& t) { t.strides = {2}; })},
      {"HugeStrides", "TORCH_BAD_TENSOR", tensor([](auto& t) {
         t.shape = {2, 0x7fffffff, 0x7fffffff};
         t.strides = {0x7fffffff, 0x7fffffff, 0x7fffffff};
       })},
      {"EmptyShape", "TORCH_BAD_TENSOR",
       tensor([](auto& t) { t.shape = {0}; })},
      {"Expanded", "TORCH_TOO_LARGE",
       TorchZip(PickleDict({{"a", Pickled(expanded)}}))},
      {"CorruptStorage", "ZIP_BAD_CRC", corrupt},
  };
}

}  // namespace promptd::weights
