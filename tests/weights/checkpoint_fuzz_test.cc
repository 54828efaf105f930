// Mutations of good files, always the same ones: every answer is a value or an
// error, and what is accepted is consistent.
#include <gtest/gtest.h>

#include <random>

#include "tests/weights/archive_builder.h"
#include "tests/weights/checkpoint_goldens.h"
#include "weights/architecture.h"
#include "weights/hf_config.h"
#include "weights/tensor_assembly.h"
#include "weights/torch_file.h"

namespace promptd::weights {
namespace {

// Flips, cuts, repeats, and bytes that mean something in a pickle.
class Mutator {
 public:
  std::string operator()(std::string bytes) {
    for (uint64_t edits = Below(3) + 1; edits > 0; --edits) Edit(bytes);
    return bytes;
  }

 private:
  uint64_t Below(uint64_t limit) { return limit == 0 ? 0 : random_() % limit; }

  void Edit(std::string& bytes) {
    static constexpr char kBytes[] = "()tQRbu}]hqcX.K\x80\x81\x85\x93\xff\0";
    const size_t at = Below(bytes.size());
    switch (Below(6)) {
      case 0:
        bytes.resize(at);
        break;
      case 1:
        if (!bytes.empty()) bytes[at] ^= static_cast<char>(1 << Below(8));
        break;
      case 2:
        if (!bytes.empty()) bytes[at] = static_cast<char>(Below(256));
        break;
      case 3:
        bytes.insert(at, 1, kBytes[Below(sizeof(kBytes))]);
        break;
      case 4:
        bytes.erase(at, Below(16));
        break;
      default:
        bytes.insert(at, bytes.substr(Below(bytes.size()), Below(64)));
    }
  }

  std::mt19937_64 random_{20240229};
};

void ExpectConsistent(const RawTensors& tensors) {
  for (const auto& [name, tensor] : tensors) {
    int64_t elements = 1;
    for (const int64_t dimension : tensor.shape) elements *= dimension;
    ASSERT_EQ(tensor.elements(), elements) << name;
    // Touches every byte.
    ASSERT_LE(AllFinite(tensor), true);
  }
}

std::string GoldenPickle(const std::string& name) {
  const auto archive = ZipArchive::FromFile(testing::Golden(name));
  return std::string(
      archive.value().Read(archive->root() + "/data.pkl").value());
}

TEST(CheckpointFuzzTest, Pickles) {
  Mutator mutate;
  int accepted = 0;
  for (const char* name :
       {"vit/openai.pt", "vit/state_dict.bin", "evil/double.pt"}) {
    const std::string good = GoldenPickle(name);
    ASSERT_TRUE(ReadPickle(good, "good").ok());
    for (int i = 0; i < 2500; ++i) {
      accepted += ReadPickle(mutate(good), "mutated").ok() ? 1 : 0;
    }
  }
  EXPECT_GT(accepted, 0);  // some mutations change only names
}

TEST(CheckpointFuzzTest, TorchFilesAroundMutatedPickles) {
  Mutator mutate;
  testing::PickledTensor whole, turned;
  turned.shape = turned.strides = {2, 2};
  turned.strides = {1, 2};
  const std::string module = testing::PickleGlobalLine("__torch__.m", "C") +
                             ")\x81}(" + testing::PickleString("a") +
                             testing::Pickled(turned) + "ub";
  int accepted = 0;
  for (const std::string& good :
       {testing::PickleDict(
            {{"a", testing::Pickled(whole)}, {"b", testing::Pickled(turned)}}),
        testing::Pickle(module)}) {
    for (int i = 0; i < 4000; ++i) {
      const auto file =
          TorchFile::FromBytes(testing::TorchZip(mutate(good)), "mutated");
      if (!file.ok()) continue;
      ++accepted;
      ExpectConsistent(file->tensors());
    }
  }
  EXPECT_GT(accepted, 0);
}

TEST(CheckpointFuzzTest, Archives) {
  Mutator mutate;
  const std::string good =
      testing::TorchZip(testing::PickleDict({{"a", testing::Pickled({})}}));
  ASSERT_TRUE(TorchFile::FromBytes(good, "good").ok());
  for (int i = 0; i < 6000; ++i) {
    const auto file = TorchFile::FromBytes(mutate(good), "mutated");
    if (file.ok()) ExpectConsistent(file->tensors());
  }
}

// The importer behind the reader: names and shapes that no CLIP has.
TEST(CheckpointFuzzTest, StateDictsOfMutatedNamesAndShapes) {
  Mutator mutate;
  auto file = Safetensors::FromFile(
      testing::Golden("rn/open_clip/open_clip_model.safetensors"));
  const RawTensors good =
      RawTensorsOf(std::make_shared<const Safetensors>(file.value()));
  std::mt19937_64 random(7);
  for (int i = 0; i < 500; ++i) {
    RawTensors tensors = good;
    for (int edit = 0; edit < 3; ++edit) {
      auto at = tensors.begin();
      std::advance(at, random() % tensors.size());
      RawTensor tensor = at->second;
      const std::string name = at->first;
      if (random() % 2 == 0) tensors.erase(at);
      if (!tensor.shape.empty()) {
        tensor.shape[random() % tensor.shape.size()] = static_cast<int64_t>(
            random() % 4 == 0 ? random() >> 1 : random() % 100);
      }
      tensors[random() % 3 == 0 ? mutate(name) : name] = tensor;
    }
    const auto config = InferArchitecture(tensors, "mutated");
    if (!config.ok()) continue;
    const auto made =
        AssembleTensors(*config, tensors, OpenClipSource, "mutated");
    if (made.ok()) ExpectConsistent(*made);
  }
}

TEST(CheckpointFuzzTest, HuggingFaceConfigurations) {
  Mutator mutate;
  const std::string good =
      ReadFile(testing::Golden("vit/hf/config.json"), 1 << 20).value();
  const std::string preprocessor =
      ReadFile(testing::Golden("vit/hf/preprocessor_config.json"), 1 << 20)
          .value();
  for (int i = 0; i < 1000; ++i) {
    const auto config = ParseHuggingFaceConfig(mutate(good), "mutated");
    EncoderConfig other = config.ok() ? *config : EncoderConfig();
    ReadHuggingFacePreprocessor(mutate(preprocessor), "mutated", other)
        .IgnoreError();
  }
}

}  // namespace
}  // namespace promptd::weights
