// Mutations of good files, always the same ones: every answer is a value or an
// error, and what is accepted is consistent.
#include <gtest/gtest.h>

#include "tests/weights/archive_builder.h"
#include "tests/weights/checkpoint_goldens.h"
#include "tests/weights/mutator.h"
#include "weights/architecture.h"
#include "weights/hf_config.h"
#include "weights/tensor_assembly.h"
#include "weights/torch_file.h"

namespace promptd::weights {
namespace {

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
  const auto archive = ZipArchive::FromFile(Golden(name));
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
  PickledTensor whole, turned;
  turned.shape = turned.strides = {2, 2};
  turned.strides = {1, 2};
  const std::string module = PickleGlobalLine("__torch__.m", "C") + ")\x81}(" +
                             PickleString("a") + Pickled(turned) + "ub";
  int accepted = 0;
  for (const std::string& good :
       {PickleDict({{"a", Pickled(whole)}, {"b", Pickled(turned)}}),
        Pickle(module)}) {
    for (int i = 0; i < 4000; ++i) {
      const auto file = TorchFile::FromBytes(TorchZip(mutate(good)), "mutated");
      if (!file.ok()) continue;
      ++accepted;
      ExpectConsistent(file->tensors());
    }
  }
  EXPECT_GT(accepted, 0);
}

TEST(CheckpointFuzzTest, Archives) {
  Mutator mutate;
  const std::string good = TorchZip(PickleDict({{"a", Pickled({})}}));
  ASSERT_TRUE(TorchFile::FromBytes(good, "good").ok());
  for (int i = 0; i < 6000; ++i) {
    const auto file = TorchFile::FromBytes(mutate(good), "mutated");
    if (file.ok()) ExpectConsistent(file->tensors());
  }
}

// The importer behind the reader: names and shapes that no CLIP has.
TEST(CheckpointFuzzTest, StateDictsOfMutatedNamesAndShapes) {
  Mutator mutate;
  auto file =
      Safetensors::FromFile(Golden("rn/open_clip/open_clip_model.safetensors"));
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
      ReadFile(Golden("vit/hf/config.json"), 1 << 20).value();
  const std::string preprocessor =
      ReadFile(Golden("vit/hf/preprocessor_config.json"), 1 << 20).value();
  for (int i = 0; i < 1000; ++i) {
    const auto config = ParseHuggingFaceConfig(mutate(good), "mutated");
    EncoderConfig other = config.ok() ? *config : EncoderConfig();
    ReadHuggingFacePreprocessor(mutate(preprocessor), "mutated", other)
        .IgnoreError();
  }
}

}  // namespace
}  // namespace promptd::weights
