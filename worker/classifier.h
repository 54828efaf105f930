// The image pipeline of one device: admission, hash, cache, decode pool, encode
// batches across all calls, heads (scores, or features in an embed call),
// reply.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "worker/admission.h"
#include "worker/batch_times.h"
#include "worker/device_loop.h"
#include "worker/embedding_cache.h"
#include "worker/encode_queue.h"
#include "worker/executor.h"
#include "worker/fair_queue.h"
#include "worker/head_source.h"
#include "worker/image_call.h"
#include "worker/observer.h"
#include "worker/probes.h"
#include "worker/tuned_encoders.h"
#include "worker/wait_scale.h"

namespace promptd::worker {

struct ClassifierOptions {
  int decode_threads = 1;
  int max_queued_images = 1024;
  int64_t max_queued_bytes = int64_t{1} << 30;
  int max_queued_images_of_tenant = 512;
  int max_batch = 32;
  int lanes = 1;  // of the device, as encode_queue.h has them
  absl::Duration max_batch_time = absl::InfiniteDuration();
  int64_t max_feature_cache_bytes = 256 << 20;    // of heads
  int64_t max_embedding_cache_bytes = 256 << 20;  // of images; 0: no cache
};

// Decode threads and the device serve tenants by turns (fair_queue.h). A call
// whose images would not be answered before its deadline, as far as measured
// times tell, is turned away at once.
// An image whose feature is cached is answered on the calling thread, unless
// texts have to be encoded first; any other one by the thread that encoded it.
// Deadline and cancellation are checked at every stage. Thread-safe.
class Classifier {
 public:
  // `encoders`, `times`, `loop` and `observer` must outlive this. `read_blob`
  // fetches the heads of learned prompts. What batches take goes into `times`.
  Classifier(const ClassifierOptions& options, TunedEncoders* encoders,
             BatchTimes* times, DeviceLoop* loop, Observer* observer,
             HeadSource::BlobReader read_blob);
  // Stop() with no grace.
  ~Classifier();

  // As Executor::Classify.
  void Classify(ClassifyCall request, Executor::ClassifyCallback done);

  // As Executor::HeadAtHand.
  bool HeadAtHand(const std::string& features_digest) const {
    return heads_.Holds(features_digest);
  }

  // Refuses new calls, answers those admitted (with UNAVAILABLE once
  // `deadline` has passed) and joins the decode threads. Idempotent.
  void Stop(absl::Time deadline);

 private:
  absl::Status Admit(ImageCall* call);
  // Counts a call that was not admitted.
  void Tell(const absl::Status& refused);
  // The stages. Each hands the image on or finishes it.
  void Begin(CallImage image);
  void Landed(CallImage image, const Landing& landing);
  void QueueDecode(CallImage image);
  // How long an image that is queued now waits for its feature.
  // Until the feature of one more image of the call, which has a deadline.
  absl::Duration PredictedWait(const ImageCall& call);
  // Whether an answer is to be expected before the deadline, or it is time to
  // see how long one takes.
  bool ExpectInTime(CallImage* image);
  void LeaveDecode(CallImage* image);
  void DecodeLoop();
  void Decode(CallImage image);
  void QueueEncode(CallImage image);
  // On a lane or, if there is one, on the whole device.
  void Encode(std::vector<CallImage> batch, int lanes,
              absl::FunctionRef<void()> computed);
  void EncodeFresh(std::vector<CallImage> images, int lanes,
                   absl::FunctionRef<void()> computed);
  // The image's feature is known, since `when`.
  void Encoded(CallImage image, absl::Time when);
  void Conclude(CallImage image);
  void Finish(CallImage image, ImageOutcome outcome);

  // Finishes the images that nobody waits for; encodes the texts of the others.
  std::vector<CallImage> Wanted(std::vector<CallImage> batch, int lanes);
  // Finds the call's heads unless they are known, or to be encoded first and
  // this is no thread that computes.
  void ResolveHeads(ImageCall* call, bool on_device);
  // Finds the encoder whose image tower the call's heads are of.
  void ResolveTower(ImageCall* call);
  // Whether the call is still worth work; otherwise fails it.
  bool StillWanted(ImageCall* call, Checkpoint where);
  // The same if the answer comes at `answered`.
  bool StillWanted(ImageCall* call, Checkpoint where, absl::Time answered);
  // What a leader owes; nothing for others.
  void Land(CallImage* image, const Landing& landing);
  void Record(ImageCall* call, Stage stage,
              absl::Duration StageTimings::*timing, absl::Duration elapsed);
  // What an image's batch took.
  void RecordEncode(const CallImage& image, int lanes, absl::Duration elapsed);

  const ClassifierOptions options_;
  TunedEncoders* const encoders_;
  BatchTimes* const times_;
  Observer* const observer_;
  HeadSource heads_;
  EmbeddingCache cache_;
  Admission admission_;
  FairQueue<CallImage> decode_queue_;
  std::atomic<double> decode_seconds_ = 0;  // of one image, lately
  WaitScale wait_scale_;
  Probes probes_;
  EncodeQueue encode_queue_;
  std::vector<std::thread> decoders_;
};

}  // namespace promptd::worker
