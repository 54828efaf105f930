#include "weights/torch_file.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "common/error.h"
#include "common/file.h"
#include "tests/weights/archive_builder.h"
#include "tests/weights/checkpoint_goldens.h"

namespace promptd::weights {
namespace {

// The tensors of the safetensors file that the same script wrote.
RawTensors Expected(const std::string& architecture) {
  auto file = Safetensors::FromFile(
      Golden(architecture + "/open_clip/open_clip_model.safetensors"));
  EXPECT_TRUE(file.ok()) << file.status();
  return RawTensorsOf(std::make_shared<const Safetensors>(*std::move(file)));
}

struct Source {
  const char* architecture;
  const char* file;
  bool torchscript;
};

class RealTorchFileTest : public ::testing::TestWithParam<Source> {};

TEST_P(RealTorchFileTest, HoldsTheTensorsBitForBit) {
  const auto file = TorchFile::FromFile(
      Golden(std::string(GetParam().architecture) + "/" + GetParam().file));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->is_torchscript(), GetParam().torchscript);
  const RawTensors expected = Expected(GetParam().architecture);
  EXPECT_EQ(file->tensors().size(), expected.size());
  for (const auto& [name, tensor] : expected) {
    const auto found = file->tensors().find(name);
    ASSERT_NE(found, file->tensors().end()) << name;
    EXPECT_EQ(found->second.dtype, tensor.dtype) << name;
    EXPECT_EQ(found->second.shape, tensor.shape) << name;
    EXPECT_EQ(found->second.bytes, tensor.bytes) << name;
  }
  if (GetParam().torchscript) {
    EXPECT_EQ(file->scalars(),
              (std::map<std::string, int64_t>{{"context_length", 16},
                                              {"input_resolution", 32},
                                              {"vocab_size", 544}}));
  }
}

INSTANTIATE_TEST_SUITE_P(Files, RealTorchFileTest,
                         ::testing::Values(Source{"vit", "state_dict.bin",
                                                  false},
                                           Source{"vit", "openai.pt", true},
                                           Source{"rn", "training.pt", false},
                                           Source{"rn", "openai.pt", true}));

TEST(TorchFileTest, GathersViewsOfASharedStorage) {
  PickledTensor whole, turned, tail, scalar;
  turned.shape = {2, 2};
  turned.strides = {1, 2};
  tail.shape = {1, 2};
  tail.strides = {99, 1};  // never used: the dimension has one entry
  tail.offset = 2;
  scalar.shape = scalar.strides = {};
  scalar.offset = 3;
  const auto file =
      TorchFile::FromBytes(TorchZip(PickleDict({{"whole", Pickled(whole)},
                                                {"turned", Pickled(turned)},
                                                {"tail", Pickled(tail)},
                                                {"scalar", Pickled(scalar)}}),
                                    Floats({1, 2, 3, 4})),
                           "views.pt");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->tensors().at("whole").bytes, Floats({1, 2, 3, 4}));
  EXPECT_EQ(file->tensors().at("turned").bytes, Floats({1, 3, 2, 4}));
  EXPECT_EQ(file->tensors().at("tail").bytes, Floats({3, 4}));
  EXPECT_EQ(file->tensors().at("scalar").bytes, Floats({4}));
  EXPECT_TRUE(file->tensors().at("scalar").shape.empty());
}

TEST(TorchFileTest, TensorsOutliveTheFile) {
  RawTensor kept;
  {
    const auto file = TorchFile::FromBytes(
        TorchZip(PickleDict({{"a", Pickled({})}})), "a.pt");
    ASSERT_TRUE(file.ok()) << file.status();
    kept = file->tensors().at("a");
  }
  EXPECT_EQ(kept.bytes, std::string(16, '\1'));
}

class TorchFileHostileTest : public ::testing::TestWithParam<HostileCase> {};

TEST_P(TorchFileHostileTest, IsRefusedWithItsReason) {
  const auto file = TorchFile::FromBytes(GetParam().bytes, "hostile.pt");
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ErrorReason(file.status()), GetParam().reason) << file.status();
  EXPECT_EQ(file.status().message().substr(0, 11), "hostile.pt:");
}

INSTANTIATE_TEST_SUITE_P(Files, TorchFileHostileTest,
                         ::testing::ValuesIn(HostileTorchFiles()),
                         NameOfCase());

// A chain of modules, each with the next one under two names: 2^n paths.
TEST(TorchFileTest, SharedModulesDoNotMultiplyWithoutEnd) {
  std::string body;
  for (int i = 0; i < 40; ++i) {
    body += PickleGlobalLine("__torch__.m", "C") + ")\x81}(";
    if (i > 0) {
      body += PickleString("a") + "h" + Number(i - 1, 1) + PickleString("b") +
              "h" + Number(i - 1, 1);
    }
    body += "ubq" + Number(i, 1);
    if (i < 39) body += "0";
  }
  const auto file = TorchFile::FromBytes(TorchZip(Pickle(body)), "deep.pt");
  EXPECT_EQ(ErrorReason(file.status()), "TORCH_TOO_MANY_TENSORS")
      << file.status();
}

// What the library itself writes when an object wants to run code.
TEST(TorchFileTest, PicklesThatRunCodeAreRefusedByName) {
  const std::map<std::string, std::string> forbidden = {
      {"system", "posix.system"},
      {"eval", "__builtin__.eval"},
      {"open", "io.open"},
      {"getattr", "__builtin__.getattr"},
      {"torch_load", "torch.serialization.load"},
      {"module", "torch.nn.modules.linear.Linear"},
      {"set", "__builtin__.set"},
      {"complex", "__builtin__.complex"},
      {"sparse", "torch._utils._rebuild_sparse_tensor"},
      {"quantized", "torch._utils._rebuild_qtensor"}};
  for (const auto& [name, global] : forbidden) {
    const auto file = TorchFile::FromFile(Golden("evil/" + name + ".pt"));
    EXPECT_EQ(ErrorReason(file.status()), "PICKLE_FORBIDDEN_GLOBAL") << name;
    EXPECT_NE(std::string(file.status().message()).find("\"" + global + "\""),
              std::string::npos)
        << file.status();
  }
  const auto reason = [](const std::string& name) {
    return ErrorReason(TorchFile::FromFile(Golden("evil/" + name)).status());
  };
  EXPECT_EQ(reason("legacy.pt"), "TORCH_LEGACY_FORMAT");
  EXPECT_EQ(reason("tensor.pt"), "TORCH_NOT_A_STATE_DICT");
  EXPECT_EQ(reason("double.pt"), "TORCH_BAD_DTYPE");
  EXPECT_EQ(reason("none.pt"), "FILE_NOT_FOUND");
  EXPECT_FALSE(std::filesystem::exists("/tmp/promptd-was-here"));
}

}  // namespace
}  // namespace promptd::weights
