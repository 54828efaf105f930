// CLIP checkpoints as users have them, into an encoder of promptd. No torch;
// nothing in them is run.
//
//   ImportOptions options;
//   options.merges = ...;  // models/clip/merges.txt
//   ASSIGN_OR_RETURN(const ImportedEncoder encoder,
//                    ReadCheckpoint("ViT-B-32.pt", options));
//   RETURN_IF_ERROR(WriteEncoderFolder("encoders/vit-b-32", encoder.config,
//                                      encoder.tensors, encoder.merges));
//
// A folder is OpenCLIP's (open_clip_config.json beside
// open_clip_model.safetensors or open_clip_pytorch_model.bin) or Hugging
// Face's CLIPModel (config.json beside model.safetensors, its shards or
// pytorch_model.bin). A file alone is OpenAI's TorchScript archive or an
// OpenCLIP state dict; its architecture is read off the shapes.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "weights/encoder_config.h"
#include "weights/raw_tensor.h"

namespace promptd::weights {

// Which activation the weights were trained with. Shapes do not tell it.
enum class Activation {
  // What the source says: its configuration; QuickGELU for OpenAI's own files,
  // known by their three sizes ("input_resolution" and two more). Any other
  // file alone is refused and needs one of the two below.
  kOfSource,
  kGelu,
  kQuickGelu,
};

struct ImportOptions {
  Activation activation = Activation::kOfSource;
  // The text of CLIP's merges, models/clip/merges.txt.
  std::string merges;
  // Of all weights together; they are read into memory.
  int64_t max_weights_bytes = int64_t{8} << 30;
};

// Complete and checked: every tensor of the architecture once, of its shape
// and finite, in the data type it was stored in, under open_clip's names.
struct ImportedEncoder {
  EncoderConfig config;
  RawTensors tensors;
  std::string merges;
  // For people, e.g. "OpenAI TorchScript".
  std::string format;
};

// Reads and checks all of it; writes nothing. Mean and deviation are OpenAI's
// unless the source has its own. NOT_FOUND (FILE_NOT_FOUND); UNAVAILABLE
// (FILE_READ_FAILED); INVALID_ARGUMENT: UNKNOWN_CHECKPOINT,
// UNKNOWN_ARCHITECTURE, ACTIVATION_UNKNOWN, ACTIVATION_CONFLICT,
// TOKENIZER_MISMATCH, BAD_HF_CONFIG, BAD_ENCODER_CONFIG, BAD_SHARD_INDEX,
// BAD_ENCODER_WEIGHTS (names the tensors), FILE_TOO_LARGE, and the reasons of
// safetensors.h, zip_archive.h, pickle_reader.h and torch_file.h, which name
// file, entry or tensor, and offset.
absl::StatusOr<ImportedEncoder> ReadCheckpoint(const std::string& path,
                                               const ImportOptions& options);

}  // namespace promptd::weights
