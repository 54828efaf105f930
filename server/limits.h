// The bounds that requests are held against. They are in GetServerInfo and in
// promptd --help.
#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace promptd::server {

struct Limits {
  int64_t max_image_bytes = 10 << 20;
  int max_image_side = 16384;
  int64_t max_image_pixels = 50'000'000;
  int max_images_per_call = 64;
  int max_texts_per_call = 512;     // of EmbedTexts; each at most 4096 bytes
  int max_vectors_per_call = 4096;  // of InterpretVersion
  int max_tasks_per_call = 64;      // of MultiClassify
  int64_t max_scores_per_call = 1 << 18;  // of all its tasks and images
  int max_nearest_words = 100;            // of each; all fit into one message
  int64_t max_message_bytes = 16 << 20;
  int64_t max_shared_copies = 256 << 20;  // of inputs in shared memory
  int max_classes = 4096;
  int64_t max_dataset_images = 1'000'000;
  int max_context_tokens = 64;
  // Of a context that every class has a part of, and of one that is uploaded.
  int64_t max_context_bytes = 48 << 20;
  int max_unfinished_jobs = 1000;

  int max_label_bytes = 256;     // a class name or label, and a template
  int max_templates = 64;        // baselines of one job
  int max_text_templates = 256;  // that a method starts from
  int max_shots = 1024;
  int max_epochs = 10'000;
  int max_views = 10'000;  // of each training image
  int max_batch_size = 4096;
  int64_t max_chunk_bytes = 1 << 20;  // of an upload
  int max_uploads = 16;               // UploadImages streams at once
  int max_context_uploads = 4;        // UploadContext streams at once
  int max_watchers = 512;             // WatchTrainingJob streams at once
  int max_infer_streams = 256;        // ModelStreamInfer streams at once
  int max_classify_streams = 256;     // ClassifyStream streams at once
  int max_shared_regions = 256;       // registered, of all tenants
  int max_stream_items = 32;          // of each, from request to answer
  int max_rejected = 1000;            // listed by one UploadImages
  // Manifests being received, all streams together.
  int64_t max_manifest_bytes = int64_t{512} << 20;
  absl::Duration classify_deadline = absl::Seconds(30);  // when none is given
  absl::Duration max_classify_deadline = absl::Seconds(60);
};

}  // namespace promptd::server
