// A version as one file: its members, how they are written, and what of an
// archive from outside is believed. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "worker/evaluation.h"
#include "worker/training_spec.h"

namespace promptd::server {

// What one job found out; the first one of a version is its own job's, if that
// scored anything.
struct ArchivedEvaluation {
  bool own = false;  // of the job that made the version
  std::string dataset;
  std::string dataset_digest;
  worker::Evaluation result;
};

struct VersionArchive {
  std::string manifest_json;  // its digest is the version's
  std::string context;        // safetensors; empty: only a head was learned
  std::string features;       // safetensors, the head
  std::vector<ArchivedEvaluation> evaluations;
};

// What a version's manifest says.
struct ManifestContent {
  std::string task;
  std::vector<std::string> class_names;
  std::string context_digest;
  std::string head_digest;  // where there is no context
  std::string dataset;
  std::string dataset_digest;
  std::string encoder_digest;
  worker::TrainingSpec spec;
};

inline constexpr size_t kMaxArchivedEvaluations = 64;

// A tar archive; equal input gives equal bytes.
std::string WriteArchive(const VersionArchive& archive);

// Members, sizes and digests are all checked. INVALID_ARGUMENT (BAD_ARCHIVE);
// DATA_LOSS (ARCHIVE_CORRUPT) names the member whose bytes differ.
absl::StatusOr<VersionArchive> ReadArchive(absl::string_view tar);

// The manifest of an archive, whose digests are those of its members.
// INVALID_ARGUMENT (BAD_ARCHIVE); DATA_LOSS (ARCHIVE_CORRUPT).
absl::StatusOr<ManifestContent> ReadManifest(const VersionArchive& archive);

}  // namespace promptd::server
