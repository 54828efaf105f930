// What the registry keeps: datasets, tasks, prompt versions, aliases.
// JSON texts are opaque here; the caller knows their schema.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace promptd::registry {

// How many images a split has, in label order.
struct SplitCount {
  std::string split;  // "train", "val" or "test"
  int64_t images = 0;
  std::vector<int64_t> images_per_class;

  friend bool operator==(const SplitCount&, const SplitCount&) = default;
};

// A dataset that a client pushes, validated by the caller.
struct DatasetDraft {
  std::string name;
  std::string digest;  // of the manifest's content, as the caller defines
  std::string manifest_json;  // the stored form
  std::vector<std::string> class_names;
  std::vector<SplitCount> splits;
  std::vector<std::string> image_digests;  // may repeat
};

struct Dataset {
  std::string name;
  std::string digest;
  std::string manifest_blob;  // digest of the stored manifest JSON
  std::vector<std::string> class_names;
  std::vector<SplitCount> splits;
  int64_t total_bytes = 0;  // of its images, each digest once
  absl::Time create_time;
};

struct Task {
  int64_t id = 0;  // internal key
  std::string tenant;
  std::string name;
  std::string encoder;
  std::string encoder_digest;
  std::vector<std::string> class_names;
  int64_t latest_version = 0;      // 0: none yet
  int64_t production_version = 0;  // 0: none yet
  absl::Time create_time;
};

struct NewVersion {
  std::string tenant;
  std::string task;
  int64_t job_id = 0;  // publishes at most once
  std::string spec_json;
  std::string dataset;  // name; empty, as its digest, when there was none
  std::string dataset_digest;
  std::string encoder_digest;
  std::string context_digest;   // blob
  std::string features_digest;  // blob, derived
  std::vector<std::string> class_names;
  std::string split;            // that the evaluation scored
  std::string evaluation_json;  // empty: nothing was scored
  // The version whose context it started from; none: 0.
  std::string source_task = {};
  int64_t source_version = 0;
};

// What a job found out about a version on a dataset; never changed.
struct EvaluationRecord {
  int64_t job_id = 0;  // its id
  std::string task = {};
  int64_t version = 0;
  std::string dataset;  // name
  std::string dataset_digest;
  std::string split;
  std::string result_json;
  absl::Time create_time = {};
};

// A NewVersion whose manifest is a stored blob.
struct PreparedVersion {
  NewVersion content;
  std::string digest;  // of the manifest
};

struct PromptVersion {
  std::string task;
  int64_t version = 0;  // 1, 2, 3, ... without gaps
  std::string digest;   // of the manifest
  std::string context_digest;
  std::string features_digest;
  std::string dataset;
  std::string dataset_digest;
  std::string encoder_digest;
  int64_t job_id = 0;
  std::string spec_json;
  std::string evaluation_json;  // empty: nothing was scored
  std::vector<std::string> class_names;
  absl::Time create_time;
  std::vector<std::string> aliases;  // by name, "latest" among them
  // Only of a list; PromptRegistry::Tags has those of one version.
  std::map<std::string, std::string> tags;
};

// What the tags of a listed version must hold.
struct TagFilter {
  std::string key;
  std::optional<std::string> value;  // unset: any
};

// Exactly one is set: what versions were made from.
struct Origin {
  std::string dataset_digest = {};
  std::string encoder_digest = {};
  std::string source_task = {};  // with source_version
  int64_t source_version = 0;
};

// A version in the chain that another one came from.
struct Ancestor {
  std::string task;
  int64_t version = 0;
  std::string digest;  // of the manifest; empty: it has been deleted
};

struct Alias {
  std::string task;
  std::string name;
  int64_t version = 0;
  int64_t revision = 0;  // grows by one with every move
  absl::Time update_time;
};

// Why an alias moves, and what must hold for it.
struct AliasChange {
  // Where it must be before (0: must not exist); unset: anywhere.
  std::optional<int64_t> expected_version = {};
  std::optional<int64_t> expected_revision = {};
  std::string actor = {};
  std::string reason = {};
};

// One move of an alias. Never changed once written.
struct AliasMove {
  int64_t revision = 0;
  int64_t version = 0;           // 0: it was deleted
  int64_t previous_version = 0;  // 0: it did not exist
  absl::Time time;
  std::string actor;
  std::string reason;
  int64_t undone_revision = 0;  // of a rollback: the move that it undid
};

// An encoder that some worker of this installation has held.
struct EncoderSeen {
  std::string digest;
  std::string name;
  absl::Time first_seen;
  absl::Time last_seen;
};

}  // namespace promptd::registry
