// Golden vectors beside an encoder: what it gave for fixed inputs, once. Who
// loads the encoder computes them again and compares (clip/self_test.h). The
// file is not part of the encoder's digest. No torch.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/float_tensor.h"

namespace promptd::weights {

inline constexpr char kSelfTestFile[] = "self_test.safetensors";
// How many inputs "promptd self-test 1" has.
inline constexpr int64_t kSelfTestImages = 2;
inline constexpr int64_t kSelfTestTexts = 4;

// Letters: N images, M texts, E embedding.
struct SelfTest {
  std::string encoder_digest;
  // What computed the vectors, for people: "open_clip 3.3.0, float32".
  std::string origin;
  FloatTensor image_features;  // [N, E], not normalised
  FloatTensor text_features;   // [M, E], not normalised
};

// What two computations that are both right may differ by.
struct SelfTestLimits {
  float deviation = 0;  // at most
  float cosine = 0;     // at least
};

// One kind of vectors, as computed now, against the golden ones.
struct SelfTestCheck {
  std::string subject;  // "image features" or "text features"
  int vectors = 0;
  float deviation = 0;  // max|a-b| / max|b|; infinite for what is not finite
  float cosine = 0;     // the smallest of any vector; 0 for what is not finite
  SelfTestLimits limits;
  bool passed = false;
};

// The self-test in an encoder's folder, or nothing where there is no file.
// Every change of a stored byte that means something is found: a checksum
// covers vectors, digest and origin. INVALID_ARGUMENT (SELF_TEST_MALFORMED;
// SELF_TEST_MISMATCH: it is another encoder's; FILE_TOO_LARGE and the like);
// UNAVAILABLE (FILE_READ_FAILED).
absl::StatusOr<std::optional<SelfTest>> ReadSelfTest(
    const std::string& folder, const std::string& encoder_digest,
    int embed_dim);

// Writes it, complete or not at all, over what was there. RESOURCE_EXHAUSTED
// (DISK_FULL); UNAVAILABLE (FILE_WRITE_FAILED), also for a folder that may
// not be written.
absl::Status WriteSelfTest(const std::string& folder, const SelfTest& test);

}  // namespace promptd::weights
