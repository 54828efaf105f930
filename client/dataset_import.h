// Datasets that others have laid out, from this machine to the server: the
// folders of CoOp's fifteen datasets, CSV and JSONL lists, tar shards.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/push.h"
#include "client/session.h"

namespace promptd::client {

struct ImportOptions {
  std::string layout;     // coop, csv, jsonl or tar
  std::string coop_name;  // of coop: "OxfordPets"
  std::string path;       // a folder of datasets, a list or archives
  std::string as;         // on the server; empty: folded from the above
  std::string classes_file;
  bool skip_unreadable = false;
  bool headers_only = false;
};

struct Imported {
  PushOutcome push;
  std::vector<datasets::SkippedFile> skipped;  // under skip_unreadable
  std::string template_text;                   // CoOp's; empty: none
  bool test_only = false;                      // no training images
};

// Reads everything, then sends what the server lacks, then commits: all or
// nothing. Progress and notes go to the message stream. INVALID_ARGUMENT
// (USAGE) for options that do not go together; the errors of the layout's
// reader, ReadListedImages and PushDataset.
absl::StatusOr<Imported> ImportDataset(Session& session,
                                       const ImportOptions& options);

}  // namespace promptd::client
