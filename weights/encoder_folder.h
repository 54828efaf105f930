// An encoder on disk: configuration, weights and tokenizer merges in one
// folder, identified by one digest over all three. No torch.
#pragma once

#include <functional>
#include <future>
#include <string>

#include "absl/status/statusor.h"
#include "weights/encoder_config.h"
#include "weights/safetensors.h"

namespace promptd::weights {

// The files that make an encoder; others in the folder (README, licences, the
// self-test of self_test.h) are not part of it. The preprocessing is part of
// the configuration.
inline constexpr char kEncoderConfigFile[] = "open_clip_config.json";
inline constexpr char kEncoderWeightsFile[] = "open_clip_model.safetensors";
inline constexpr char kEncoderMergesFile[] = "merges.txt";

// Everything read and checked, but not yet a model. Immutable after Open.
struct EncoderFolder {
  // The folder's own name: 1 to 64 of a-z 0-9 . _ -
  std::string name;
  // SHA-256 of a text that names the three files and their SHA-256s: any
  // change of weights, architecture, preprocessing or tokenizer changes it;
  // the name is not part of it.
  // Still being computed, on a thread of its own, when Open returns; or what
  // RememberDigest has written, if the files have not changed since.
  std::shared_future<std::string> digest;
  bool digest_from_record = false;
  // For RememberDigest: the files as they were before they were read. Empty
  // for weights below 64 MiB, which are hashed in less time than a person sees.
  std::vector<std::string> marks;
  EncoderConfig config;
  Safetensors tensors;
  std::string merges;

  // NOT_FOUND (FILE_NOT_FOUND); INVALID_ARGUMENT (BAD_ENCODER_NAME,
  // FILE_TOO_LARGE, BAD_ENCODER_CONFIG, SAFETENSORS_...); UNAVAILABLE
  // (FILE_READ_FAILED). Files stay below 1 MiB (configuration), 16 MiB
  // (merges) and 8 GiB (weights), which are mapped until all copies of
  // `tensors` and its owner are gone.
  static absl::StatusOr<EncoderFolder> Open(const std::string& path);
};

// Has the next Open of the folder take the digest without reading all files, if
// they are still as `marks` describe them (digest_record.h); whether it will.
// For files that were found to be good: their self-test has passed.
bool RememberDigest(const std::string& path, const std::string& digest,
                    const std::vector<std::string>& marks);

// The digest that EncoderFolder::Open would give, read piece by piece: cheap in
// memory, and nothing is parsed. NOT_FOUND (FILE_NOT_FOUND); INVALID_ARGUMENT
// (NOT_A_REGULAR_FILE); UNAVAILABLE (FILE_READ_FAILED); CANCELLED (CANCELLED)
// once `cancelled`, which may be empty, says so.
absl::StatusOr<std::string> HashEncoderFolder(
    const std::string& path, const std::function<bool()>& cancelled = {});

// Whether `name` can name an encoder.
bool IsEncoderName(absl::string_view name);

}  // namespace promptd::weights
