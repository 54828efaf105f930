// The encoders a worker holds, by digest. Immutable once built.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weights/encoder_folder.h"
#include "weights/self_test.h"
#include "worker/executor.h"

namespace promptd::clip {
class Encoder;
struct EncoderOptions;
}  // namespace promptd::clip

namespace promptd::worker {

// Thread-safe once PassSelfTests() has returned.
class EncoderSet {
 public:
  // Loads every folder; the first is the default. Errors name the folder.
  // INVALID_ARGUMENT (NO_ENCODER, DUPLICATE_ENCODER, SELF_TEST_MALFORMED,
  // SELF_TEST_MISMATCH).
  static absl::StatusOr<EncoderSet> Load(const std::vector<std::string>& dirs,
                                         const clip::EncoderOptions& options);

  // Compares every encoder with its golden vectors, but those whose files have
  // not changed since they passed: unverified() names them. Where a folder has
  // no vectors, those of now become them, for later starts too where the folder
  // can be written. Device thread only. FAILED_PRECONDITION
  // (ENCODER_SELF_TEST_FAILED) names encoder, subject and figures.
  absl::Status PassSelfTests();

  // The encoder, or FAILED_PRECONDITION (ENCODER_NOT_HELD).
  absl::StatusOr<std::shared_ptr<const clip::Encoder>> Find(
      const std::string& digest) const;

  // The self-test of a held encoder and the figures of now. Device thread
  // only. FAILED_PRECONDITION (ENCODER_NOT_HELD).
  absl::StatusOr<EncoderVerification> RunSelfTest(
      const std::string& digest) const;

  // The files of a held encoder, opened again. FAILED_PRECONDITION
  // (ENCODER_NOT_HELD, ENCODER_CHANGED when they are not those that were
  // loaded); errors of EncoderFolder::Open.
  absl::StatusOr<weights::EncoderFolder> OpenFolder(
      const std::string& digest) const;

  // Where a held encoder was loaded from. FAILED_PRECONDITION
  // (ENCODER_NOT_HELD).
  absl::StatusOr<std::string> Folder(const std::string& digest) const;

  // Digests that were taken from records: files and vectors are still to be
  // looked at.
  std::vector<std::string> unverified() const;

  // The next start is to look before it serves.
  void Distrust(const std::string& digest) const;

  // In the order of loading.
  const std::vector<EncoderDescription>& descriptions() const {
    return descriptions_;
  }
  std::vector<std::string> digests() const;

 private:
  struct Held {
    std::shared_ptr<const clip::Encoder> encoder;
    std::string folder;
    std::optional<weights::SelfTest> golden;  // there once loaded
    bool digest_from_record = false;
    std::vector<std::string> marks;  // of EncoderFolder
  };

  absl::Status Add(Held held);
  absl::StatusOr<const Held*> FindHeld(const std::string& digest) const;

  std::map<std::string, Held> by_digest_;
  std::vector<EncoderDescription> descriptions_;
};

}  // namespace promptd::worker
