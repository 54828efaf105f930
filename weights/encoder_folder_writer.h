// Writes an encoder's folder: complete or not at all. No torch.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "weights/encoder_config.h"
#include "weights/raw_tensor.h"

namespace promptd::weights {

// Makes the folder `path` with the three files of encoder_folder.h; its last
// component names the encoder and its parent exists. Everything is written
// into a folder beside it, synced and renamed: after OK it survives a power
// cut, after an error nothing of it is left. The same arguments give the same
// bytes, hence the same digest. Tensors keep their data types; they are
// streamed, not copied.
// INVALID_ARGUMENT (BAD_ENCODER_NAME, SAFETENSORS_...); ALREADY_EXISTS
// (ENCODER_EXISTS); RESOURCE_EXHAUSTED (DISK_FULL); UNAVAILABLE
// (FILE_WRITE_FAILED).
absl::Status WriteEncoderFolder(const std::string& path,
                                const EncoderConfig& config,
                                const RawTensors& tensors,
                                absl::string_view merges);

}  // namespace promptd::weights
