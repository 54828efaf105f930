// Users' CLIP checkpoints into encoder folders that promptd loads.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace promptd::client {

struct EncoderImport {
  std::string source;      // file or folder
  std::string name;        // of the encoder
  std::string activation;  // "", "gelu" or "quickgelu"
  std::string data_dir;    // promptd's; empty: its default
};

struct ImportReport {
  std::string folder;
  std::string digest;
  std::string format;  // for people, e.g. "OpenAI TorchScript"
  std::string image_tower;
  int image_size = 0;  // pixels
  int embed_dim = 0;
  int64_t parameters = 0;
};

// Where promptd looks for imported encoders: <data_dir>/encoders.
// INVALID_ARGUMENT (NO_DATA_DIR).
absl::StatusOr<std::string> ImportedEncoders(const std::string& data_dir);

// Reads and checks the whole checkpoint, writes <data_dir>/encoders/<name>,
// complete or not at all, and reads it back. The errors of
// weights::ReadCheckpoint and weights::WriteEncoderFolder.
absl::StatusOr<ImportReport> ImportEncoder(const EncoderImport& import);

}  // namespace promptd::client
