#include "weights/context_file.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "common/error.h"
#include "common/file.h"
#include "tests/weights/archive_builder.h"
#include "tests/weights/checkpoint_goldens.h"
#include "tests/weights/mutator.h"
#include "weights/safetensors.h"
#include "weights/torch_file.h"
#include "weights/zip_archive.h"
#include "weights/zip_writer.h"

namespace promptd::weights {
namespace {

std::string Bytes(const std::string& golden) {
  return ReadFile(Golden("context/" + golden), 1 << 20).value();
}

// What tools/goldens/make_context_goldens.py fills its arrays with.
FloatTensor Values(const std::vector<int64_t>& shape) {
  FloatTensor tensor;
  tensor.shape = shape;
  int64_t count = 1;
  for (const int64_t dimension : shape) count *= dimension;
  for (int64_t i = 0; i < count; ++i) {
    tensor.values.push_back(static_cast<float>(i) / 16 - 1);
  }
  return tensor;
}

const std::vector<int64_t> kUnified = {4, 8};
const std::vector<int64_t> kOwn = {3, 4, 8};

struct ContextCase {
  const char* file;
  std::vector<int64_t> shape;
  const char* format;
  std::optional<int64_t> epoch = std::nullopt;
  std::optional<double> result = std::nullopt;
};

TEST(ContextFileTest, ReadsWhatOtherProgramsWrite) {
  for (const ContextCase& each : std::vector<ContextCase>{
           {"model.pth.tar-50", kUnified, "CoOp checkpoint", 50},
           {"half.pth.tar", kUnified, "CoOp checkpoint", 7, 81.25},
           {"own.pth.tar", kOwn, "CoOp checkpoint", 200},
           {"whole_model.pth.tar", kUnified, "CoOp checkpoint"},
           {"ctx.npz", kUnified, "npz"},
           {"beside.npz", kOwn, "npz"},
           {"half.npz", kUnified, "npz"},
           {"double.npz", kOwn, "npz"},
           {"ctx.npy", kUnified, "npy"},
           {"ctx.safetensors", kUnified, "safetensors"},
       }) {
    const auto read =
        ReadContextFile(Golden(std::string("context/") + each.file));
    ASSERT_TRUE(read.ok()) << each.file << ": " << read.status();
    EXPECT_EQ(read->context.shape, each.shape) << each.file;
    EXPECT_EQ(read->context.values, Values(each.shape).values) << each.file;
    EXPECT_EQ(read->format, each.format) << each.file;
    EXPECT_EQ(read->epoch, each.epoch) << each.file;
    EXPECT_EQ(read->validation_result, each.result) << each.file;
  }
}

TEST(ContextFileTest, RefusesWithTheReason) {
  const std::map<std::string, std::string> reasons = {
      {"fortran.npz", "NPY_FORTRAN_ORDER"},
      {"big_endian.npz", "NPY_BAD_DTYPE"},
      {"object.npz", "NPY_BAD_DTYPE"},
      {"structure.npz", "NPY_BAD_HEADER"},
      {"whole.npz", "NPY_BAD_DTYPE"},
      {"empty.npz", "NPY_BAD_SHAPE"},
      {"vector.npz", "BAD_CONTEXT"},
      {"other_name.npz", "CONTEXT_MISSING"},
      {"nan.npz", "BAD_CONTEXT"},
      {"overflow.npz", "BAD_CONTEXT"},
      {"legacy.pth.tar", "TORCH_LEGACY_FORMAT"},
      {"no_context.pth.tar", "CONTEXT_MISSING"},
  };
  for (const auto& [file, reason] : reasons) {
    const auto read = ReadContextFile(Golden("context/evil/" + file));
    EXPECT_EQ(ErrorReason(read.status()), reason)
        << file << ": " << read.status();
    EXPECT_NE(std::string(read.status().message()).find(file),
              std::string::npos)
        << read.status();
  }
}

TEST(ContextFileTest, RefusesWhatIsNoContextAtAll) {
  const auto reason = [](std::string bytes) {
    return ErrorReason(ReadContext(std::move(bytes), "x").status());
  };
  EXPECT_EQ(reason(""), "UNKNOWN_CONTEXT_FILE");
  EXPECT_EQ(reason("\xff\xd8 a photograph"), "UNKNOWN_CONTEXT_FILE");
  const auto tensor = WriteSafetensors({{"weight", Values({2, 2})}});
  EXPECT_EQ(reason(*tensor), "CONTEXT_MISSING");
  ContextFileLimits small;
  small.max_context_bytes = 100;
  for (const char* file : {"ctx.npz", "half.npz", "ctx.npy", "ctx.safetensors",
                           "model.pth.tar-50"}) {
    EXPECT_EQ(ErrorReason(ReadContext(Bytes(file), file, small).status()),
              "CONTEXT_TOO_LARGE")
        << file;
  }
}

// Names that lead out of the archive, folders, other compressions, and
// deflated entries that are not what they claim.
TEST(ContextFileTest, RefusesHostileArchives) {
  const std::string array = Bytes("ctx.npy");
  const auto reason = [](std::string bytes) {
    return ErrorReason(ReadContext(std::move(bytes), "x.npz").status());
  };
  EXPECT_EQ(reason(BuildZip({{"ctx.npy", array}, {"../evil.npy", array}})),
            "ZIP_BAD_NAME");
  EXPECT_EQ(reason(BuildZip({{"ctx.npy", array}, {"a/b.npy", array}})),
            "ZIP_BAD_NAME");
  EXPECT_EQ(reason(BuildZip({{"ctx.npy", array}, {"ctx.npy", array}})),
            "ZIP_DUPLICATE_ENTRY");
  ZipPart bzip2{"ctx.npy", array};
  bzip2.method = 12;
  EXPECT_EQ(reason(BuildZip({bzip2})), "ZIP_COMPRESSED");
  ZipPart claims{"ctx.npy", array};
  claims.method = 8;  // says deflated, is not
  EXPECT_EQ(reason(BuildZip({claims})), "ZIP_BAD_DEFLATE");
  // A claim of 2 GiB, out of 200 bytes, is not even tried.
  ZipPart bomb = claims;
  bomb.flags = 0;
  const auto grow = [](size_t field) {
    return
        [field](std::string& header) { Patch(header, field, 0x7fffffff, 4); };
  };
  bomb.edit_local = grow(kLocalSize);
  bomb.edit_record = grow(kRecordSize);
  EXPECT_EQ(reason(BuildZip({bomb})), "ZIP_BAD_DEFLATE");
  ContextFileLimits small;
  small.max_context_bytes = 1 << 20;
  EXPECT_EQ(ErrorReason(ReadContext(BuildZip({bomb}), "x", small).status()),
            "ZIP_ENTRY_TOO_LARGE");
  std::string flipped = Bytes("half.npz");
  flipped[60] ^= 4;
  EXPECT_FALSE(ReadContext(flipped, "x.npz").ok());
}

TEST(ContextFileTest, ReadsWhatItWrites) {
  for (const auto& shape : {kUnified, kOwn}) {
    const FloatTensor context = Values(shape);
    const auto npz = ReadContext(WriteContextNpz(context), "x.npz");
    ASSERT_TRUE(npz.ok()) << npz.status();
    EXPECT_EQ(npz->context.shape, shape);
    EXPECT_EQ(npz->context.values, context.values);
    const auto coop = ReadContext(WriteCoopCheckpoint(context, 200), "x.tar");
    ASSERT_TRUE(coop.ok()) << coop.status();
    EXPECT_EQ(coop->context.shape, shape);
    EXPECT_EQ(coop->context.values, context.values);
    EXPECT_EQ(coop->format, "CoOp checkpoint");
    EXPECT_EQ(coop->epoch, 200);
    EXPECT_FALSE(coop->validation_result.has_value());
  }
}

// torch maps its archives: contents begin at multiples of 64.
TEST(ContextFileTest, CheckpointsAreAlignedAsTorchAlignsThem) {
  const auto archive =
      ZipArchive::FromBytes(WriteCoopCheckpoint(Values(kOwn), 7), "x");
  ASSERT_TRUE(archive.ok()) << archive.status();
  EXPECT_EQ(archive->root(), "archive");
  for (const auto& [name, entry] : archive->entries()) {
    EXPECT_EQ(entry.begin_bytes % 64, 0) << name;
  }
  EXPECT_EQ(archive->Read("archive/version").value(), "3\n");
}

TEST(ZipWriterTest, TheReaderReadsIt) {
  for (const int alignment : {1, 64, 4096}) {
    ZipWriter writer(alignment);
    writer.Add("a/one", "first");
    writer.Add("a/empty", "");
    writer.Add("a/two", std::string(5000, 'x'));
    const auto archive = ZipArchive::FromBytes(writer.Finish(), "x");
    ASSERT_TRUE(archive.ok()) << archive.status();
    EXPECT_EQ(archive->Read("a/one").value(), "first");
    EXPECT_EQ(archive->Read("a/empty").value(), "");
    EXPECT_EQ(archive->Read("a/two").value(), std::string(5000, 'x'));
    EXPECT_EQ(archive->entries().at("a/two").begin_bytes % alignment, 0);
  }
}

// An optimizer and a schedule in a pickle are passed over, never built, and
// cannot stand where a tensor belongs.
TEST(ContextFileTest, AnOptimizerIsNoTensor) {
  const std::string sgd = PickleGlobalLine("torch.optim.sgd", "SGD") + ")\x81";
  EXPECT_EQ(ErrorReason(
                TorchFile::FromBytes(TorchZip(PickleDict({{"ctx", sgd}})), "x")
                    .status()),
            "TORCH_NOT_A_STATE_DICT");
  const std::string built = PickleString("x") + "\x85";  // arguments
  EXPECT_EQ(
      ErrorReason(TorchFile::FromBytes(
                      TorchZip(PickleDict(
                          {{"ctx", PickleGlobalLine("torch.optim.sgd", "SGD") +
                                       built + "\x81"}})),
                      "x")
                      .status()),
      "PICKLE_FORBIDDEN_CALL");
}

TEST(ContextFuzzTest, MutatedFilesAreValuesOrErrors) {
  Mutator mutate;
  int accepted = 0;
  for (const char* file :
       {"model.pth.tar-50", "own.pth.tar", "ctx.npz", "half.npz", "double.npz",
        "ctx.npy", "ctx.safetensors"}) {
    const std::string good = Bytes(file);
    for (int i = 0; i < 3000; ++i) {
      const auto read = ReadContext(mutate(good), file);
      if (!read.ok()) {
        ASSERT_FALSE(ErrorReason(read.status()).empty()) << read.status();
        continue;
      }
      ++accepted;
      int64_t count = 1;
      for (const int64_t dimension : read->context.shape) count *= dimension;
      ASSERT_EQ(count, static_cast<int64_t>(read->context.values.size()));
    }
  }
  EXPECT_GT(accepted, 0);  // an edited value is as good as another
}

}  // namespace
}  // namespace promptd::weights
