// Embeds image files and texts in as few calls as the server's limits allow.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/session.h"

namespace promptd::client {

struct Embedded {
  std::string subject;        // the file or the text
  std::vector<float> values;  // [E], unit length; empty on error
  float norm = 0;             // length before it was made 1
  std::string error_reason;
  std::string error_message;
};

struct EmbedOutcome {
  std::vector<Embedded> items;  // in the order asked
  std::string encoder_digest;
  int failed = 0;  // items with an error
};

// A file or text that cannot be read or embedded gets an error of its own.
// `encoder` empty: the server's default. `no_cache` encodes images that the
// server has features of. Errors are those of the server as a
// whole, and ABORTED (ENCODER_CHANGED) when two calls met two encoders.
absl::StatusOr<EmbedOutcome> EmbedFiles(Session& session,
                                        const std::string& encoder,
                                        const std::vector<std::string>& files,
                                        bool no_cache);
absl::StatusOr<EmbedOutcome> EmbedTexts(Session& session,
                                        const std::string& encoder,
                                        const std::vector<std::string>& texts,
                                        bool truncate);

// Writes a safetensors file: "features" [N, E] float32 in the order asked,
// and metadata "encoder_digest" and "features_of" ("images" or "texts"). No
// item may have failed.
absl::Status WriteFeatures(const EmbedOutcome& outcome,
                           const std::string& features_of,
                           const std::string& path);

}  // namespace promptd::client
