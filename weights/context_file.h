// A learned context in a file of somebody else's: CoOp's own checkpoints,
// safetensors, numpy's archives. No torch; nothing in a file is run.
//
//   ASSIGN_OR_RETURN(const ContextFile file,
//                    ReadContextFile("prompt_learner/model.pth.tar-50"));
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/float_tensor.h"

namespace promptd::weights {

// The name of the context in each of the formats.
inline constexpr char kContextName[] = "ctx";

struct ContextFile {
  // [M, W], or [C, M, W] when it is class-specific; finite.
  FloatTensor context;
  std::string format;  // for people, e.g. "CoOp checkpoint"
  // What a checkpoint of CoOp says beside it.
  std::optional<int64_t> epoch;
  std::optional<double> validation_result;  // percent
};

struct ContextFileLimits {
  // A checkpoint of CoOp also holds the embeddings of all class names.
  int64_t max_file_bytes = int64_t{2} << 30;
  int64_t max_context_bytes = int64_t{1} << 30;  // as float32
};

// Tells the format by the content, not by the name:
//  - a torch archive with a state dict that has "ctx" (or
//    "prompt_learner.ctx"); "token_prefix" and "token_suffix" are passed over,
//    as CoOp's own loader does: they belong to the class names;
//  - safetensors with "ctx";
//  - an npz with "ctx", or an npy.
// float16 and bfloat16 are widened. INVALID_ARGUMENT: UNKNOWN_CONTEXT_FILE,
// CONTEXT_MISSING, BAD_CONTEXT (rank, values that are not finite),
// CONTEXT_TOO_LARGE; the reasons of torch_file.h, safetensors.h, npy.h and
// zip_archive.h, and ReadFile's errors.
absl::StatusOr<ContextFile> ReadContextFile(
    const std::string& path, const ContextFileLimits& limits = {});
// The same; `source` names the bytes in errors.
absl::StatusOr<ContextFile> ReadContext(std::string bytes,
                                        absl::string_view source,
                                        const ContextFileLimits& limits = {});

// `context` as numpy.savez(file, ctx=context) writes it.
std::string WriteContextNpz(const FloatTensor& context);

// `context` as CoOp's trainer (Dassl's save_checkpoint) writes it after
// `epochs` epochs: {state_dict: {ctx}, epoch, optimizer: None, scheduler: None,
// val_result: None}, for torch.load with weights_only, and for CoOp's
// load_model, which reads into the learner what is there (strict=False).
std::string WriteCoopCheckpoint(const FloatTensor& context, int64_t epochs);

}  // namespace promptd::weights
