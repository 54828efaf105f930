#include "worker/classifier.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/time/clock.h"
#include "absl/types/span.h"
#include "clip/encoder.h"
#include "common/error.h"
#include "common/failpoint.h"
#include "common/scheduling.h"
#include "common/status_macros.h"
#include "worker/call_end.h"
#include "worker/head.h"
#include "worker/image_input.h"
#include "worker/prompt_features.h"

namespace promptd::worker {
namespace {

constexpr double kDecodeWeight = 0.05;  // of a new measurement
// From a feature to an answer in the client's hands on the same machine, and
// what a deadline grew by on its way here: it travels as the time that is left.
constexpr absl::Duration kReplyTime = absl::Milliseconds(8);

int DistinctHeads(const std::vector<CallImage>& images) {
  std::set<absl::string_view> names;
  for (const CallImage& image : images) {
    names.insert(image.call->head_names.begin(), image.call->head_names.end());
  }
  return static_cast<int>(names.size());
}

absl::Status NotCached() {
  return MakeError(absl::StatusCode::kNotFound, "IMAGE_NOT_CACHED",
                   "no image of this digest is cached: send its bytes");
}

}  // namespace

Classifier::Classifier(const ClassifierOptions& options,
                       TunedEncoders* encoders, BatchTimes* times,
                       DeviceLoop* loop, Observer* observer,
                       HeadSource::BlobReader read_blob)
    : options_(options),
      encoders_(encoders),
      times_(times),
      observer_(observer),
      heads_(options.max_feature_cache_bytes, observer, std::move(read_blob)),
      cache_(options.max_embedding_cache_bytes, observer),
      admission_(options.max_queued_images, options.max_queued_bytes,
                 options.max_queued_images_of_tenant),
      // A tenant's decoded images fill the next batch and the one behind it.
      decode_queue_(2 * options.max_batch),
      encode_queue_({options.max_batch, options.max_batch_time, options.lanes},
                    times, loop,
                    [this](std::vector<CallImage> batch, int lanes,
                           absl::FunctionRef<void()> computed) {
                      Encode(std::move(batch), lanes, computed);
                    }) {
  for (int i = 0; i < options_.decode_threads; ++i) {
    decoders_.emplace_back([this] { DecodeLoop(); });
  }
}

Classifier::~Classifier() { Stop(absl::InfinitePast()); }

void Classifier::Classify(ClassifyCall request,
                          Executor::ClassifyCallback done) {
  const auto call = std::make_shared<ImageCall>();
  call->start = absl::Now();
  call->request = std::move(request);
  call->done = std::move(done);
  if (const absl::Status admitted = Admit(call.get()); !admitted.ok()) {
    Tell(admitted);
    call->done(admitted);
    return;
  }
  if (StillWanted(call.get(), Checkpoint::kAdmission)) {
    ResolveHeads(call.get(), /*on_device=*/false);
    ResolveTower(call.get());
  }
  const size_t images = ImageCount(call->request);
  for (size_t i = 0; i < images; ++i) {
    Begin({.call = call, .index = i, .bytes = HeldBytes(*call, i)});
  }
}

absl::Status Classifier::Admit(ImageCall* call) {
  const size_t images = ImageCount(call->request);
  if (images == 0) {
    return MakeError(absl::StatusCode::kInvalidArgument, "NO_IMAGES",
                     "the call has no images: send at least one");
  }
  ASSIGN_OR_RETURN(call->encoder, encoders_->Find(call->request.encoder_digest,
                                                  /*image_tower=*/""));
  call->image_encoder = call->encoder;
  for (const HeadQuery& query : call->request.heads) {
    call->head_names.push_back(HeadSource::NameOf(*call->encoder, query.text));
  }
  {
    absl::MutexLock lock(&call->mutex);
    call->outcome.images.resize(images);
  }
  call->remaining = static_cast<int>(images);
  int64_t bytes = 0;
  for (size_t i = 0; i < images; ++i) bytes += HeldBytes(*call, i);
  RETURN_IF_ERROR(
      admission_.Enter(call->request.tenant, static_cast<int>(images), bytes));
  observer_->OnQueued(static_cast<int64_t>(images), bytes);
  return absl::OkStatus();
}

void Classifier::Tell(const absl::Status& refused) {
  const std::string reason = ErrorReason(refused);
  if (reason == "TENANT_QUOTA") observer_->OnRejected(Rejection::kTenantQuota);
  if (reason == "QUEUE_FULL") observer_->OnRejected(Rejection::kQueueFull);
  if (reason == "SHUTTING_DOWN") observer_->OnRejected(Rejection::kDraining);
}

void Classifier::Begin(CallImage image) {
  ImageCall& call = *image.call;
  if (!StillWanted(&call, Checkpoint::kAdmission)) {
    return Finish(std::move(image), {});
  }
  const bool by_digest = IsByDigest(call.request, image.index);
  if (call.request.no_cache || options_.max_embedding_cache_bytes == 0) {
    observer_->OnCacheUse(Cache::kEmbedding, CacheUse::kBypass);
    if (by_digest) return Finish(std::move(image), {.status = NotCached()});
    return QueueDecode(std::move(image));
  }
  const absl::Time start = absl::Now();
  image.key = KeyOf(call, image.index);
  Record(&call, Stage::kHash, &StageTimings::hash, absl::Now() - start);
  const auto join = [&] {
    return [this, image](const Landing& landing) {
      return Landed(image, landing);
    };
  };
  EmbeddingCache::Found found = by_digest ? cache_.FindKnown(image.key, join)
                                          : cache_.Find(image.key, join);
  image.cache = found.use;
  switch (found.use) {
    case CacheUse::kHit:
      image.feature = std::move(found.feature);
      return Conclude(std::move(image));
    case CacheUse::kMiss:
      if (by_digest) return Finish(std::move(image), {.status = NotCached()});
      image.leads = true;
      return QueueDecode(std::move(image));
    default:  // joined: Landed() goes on
      return;
  }
}

void Classifier::Landed(CallImage image, const Landing& landing) {
  image.cache = CacheUse::kJoin;
  image.batch_size = landing.batch_size;
  const bool by_digest = IsByDigest(image.call->request, image.index);
  switch (landing.kind) {
    case Landing::Kind::kFeature:
      image.feature = landing.feature;
      return Conclude(std::move(image));
    case Landing::Kind::kBadImage:
      return Finish(std::move(image), {.status = landing.status});
    case Landing::Kind::kFailed:
      if (by_digest) return Finish(std::move(image), {.status = NotCached()});
      image.call->Fail(landing.status);
      return Finish(std::move(image), {});
    case Landing::Kind::kLead:
      image.leads = true;
      // Without bytes nobody leads: Finish() hands it on.
      if (by_digest) return Finish(std::move(image), {.status = NotCached()});
      image.cache = CacheUse::kMiss;
      return QueueDecode(std::move(image));
  }
}

void Classifier::QueueDecode(CallImage image) {
  ImageCall& call = *image.call;
  image.queued = absl::Now();
  if (!ExpectInTime(&image)) {
    const absl::Status unmeetable = MakeError(
        absl::StatusCode::kDeadlineExceeded, "DEADLINE_UNMEETABLE",
        "the answer would come after the deadline: allow more time, or send "
        "less at once");
    if (call.Fail(unmeetable)) observer_->OnRejected(Rejection::kDeadline);
    return Finish(std::move(image), {});
  }
  const std::string tenant = call.request.tenant;
  const absl::Time now = image.queued;
  // Not closed before all images have left.
  decode_queue_.Push(tenant, &call, call.request.priority, now,
                     std::move(image));
}

bool Classifier::ExpectInTime(CallImage* image) {
  const ImageCall& call = *image->call;
  if (call.request.deadline == absl::InfiniteFuture()) return true;
  image->predicted = PredictedWait(call);
  const absl::Time answered =
      image->queued + wait_scale_.Get() * image->predicted + kReplyTime;
  if (answered <= call.request.deadline) return true;
  // Predictions come from measurements, which end when all calls are refused.
  image->probe = probes_.Due(image->queued);
  return image->probe;
}

absl::Duration Classifier::PredictedWait(const ImageCall& call) {
  const std::string& tower = TowerKey(call);
  const std::string& tenant = call.request.tenant;
  const int64_t undecoded = decode_queue_.Ahead(tenant, 1) + 1;
  const int64_t images = undecoded + encode_queue_.Ahead(tower, tenant, 1);
  const int batch = encode_queue_.BatchSize(tower);
  absl::Duration device = times_->OfAll(tower, images, batch);
  if (encode_queue_.Busy(tower)) device += times_->Of(tower, batch);
  // The last batch begins when its last image is decoded.
  const absl::Duration decode =
      absl::Seconds(decode_seconds_ * static_cast<double>(undecoded) /
                    options_.decode_threads) +
      times_->Of(tower, 1);
  return std::max(device, decode);
}

void Classifier::LeaveDecode(CallImage* image) {
  if (!std::exchange(image->decoding, false)) return;
  decode_queue_.Release(image->call->request.tenant);
}

void Classifier::DecodeLoop() {
  YieldToAnswering();
  while (std::optional<CallImage> image = decode_queue_.Pop()) {
    Decode(*std::move(image));
  }
}

void Classifier::Decode(CallImage image) {
  ImageCall& call = *image.call;
  image.decoding = true;
  if (!StillWanted(&call, Checkpoint::kDecode)) {
    return Finish(std::move(image), {});
  }
  const absl::Time start = absl::Now();
  FailpointStep("classify.decode");
  const absl::Status prepared = Prepare(&image);
  const absl::Duration elapsed = absl::Now() - start;
  Record(&call, Stage::kDecode, &StageTimings::decode, elapsed);
  decode_queue_.Charge(call.request.tenant, elapsed);
  observer_->OnTenantCost(call.request.tenant, elapsed);
  decode_seconds_ =
      decode_seconds_ +
      kDecodeWeight * (absl::ToDoubleSeconds(elapsed) - decode_seconds_);
  if (!prepared.ok()) {
    Land(&image, {.kind = Landing::Kind::kBadImage, .status = prepared});
    return Finish(std::move(image), {.status = prepared});
  }
  if (!StillWanted(&call, Checkpoint::kDecoded)) {
    return Finish(std::move(image), {});
  }
  QueueEncode(std::move(image));
}

void Classifier::QueueEncode(CallImage image) {
  for (CallImage& lost : encode_queue_.Push(std::move(image))) {
    lost.call->Fail(ShuttingDown());
    Finish(std::move(lost), {});
  }
}

std::vector<CallImage> Classifier::Wanted(std::vector<CallImage> batch,
                                          int lanes) {
  const absl::Time now = absl::Now();
  // Whose batch would end too late makes room for who can be in time.
  const absl::Time answered =
      now + kReplyTime +
      times_->Of(TowerKey(*batch.front().call),
                 lanes * static_cast<int>(batch.size()));
  std::vector<CallImage> wanted;
  for (CallImage& image : batch) {
    ImageCall& call = *image.call;
    Record(&call, Stage::kQueue, &StageTimings::queue, now - image.ready);
    LeaveDecode(&image);
    if (StillWanted(&call, Checkpoint::kEncode, image.probe ? now : answered)) {
      ResolveHeads(&call, /*on_device=*/true);
    }
    if (call.failed()) {
      // Of who is in time alone one would learn that all goes well.
      wait_scale_.Observed(image.predicted, answered - image.queued);
      Finish(std::move(image), {});
    } else {
      wanted.push_back(std::move(image));
    }
  }
  return wanted;
}

void Classifier::Encode(std::vector<CallImage> batch, int lanes,
                        absl::FunctionRef<void()> computed) {
  std::vector<CallImage> images;
  for (CallImage& image : Wanted(std::move(batch), lanes)) {
    if (image.feature == nullptr) {
      images.push_back(std::move(image));
    } else {
      Conclude(std::move(image));
    }
  }
  if (!images.empty()) EncodeFresh(std::move(images), lanes, computed);
}

void Classifier::EncodeFresh(std::vector<CallImage> images, int lanes,
                             absl::FunctionRef<void()> computed) {
  std::vector<absl::Span<const float>> pixels;
  const int rows = static_cast<int>(images.size());
  for (CallImage& image : images) {
    pixels.push_back(PixelsOf(image));
    image.batch_size = rows;
  }
  const clip::Encoder& encoder = *images.front().call->image_encoder;
  observer_->OnBatch(rows, DistinctHeads(images));
  const absl::Time start = absl::Now();
  FailpointStep("classify.batch");
  const absl::StatusOr<std::vector<float>> features =
      EncodeImageBatch(encoder, pixels, rows);
  const absl::Duration elapsed = absl::Now() - start;
  computed();
  if (features.ok()) {
    // The other lanes do as much meanwhile.
    times_->Measured(encoder.digest(), lanes * rows, elapsed);
    probes_.Measured(start + elapsed);
  }
  const auto width = static_cast<size_t>(encoder.config().embed_dim);
  for (size_t i = 0; i < images.size(); ++i) {
    CallImage& image = images[i];
    RecordEncode(image, lanes, elapsed);
    if (features.ok()) {
      const auto row = features->begin() + static_cast<ptrdiff_t>(i * width);
      image.feature =
          std::make_shared<const std::vector<float>>(row, row + width);
      Encoded(std::move(image), start + elapsed);
    } else {
      Land(&image,
           {.kind = Landing::Kind::kFailed, .status = features.status()});
      image.call->Fail(features.status());
      Finish(std::move(image), {});
    }
  }
}

void Classifier::RecordEncode(const CallImage& image, int lanes,
                              absl::Duration elapsed) {
  Record(image.call.get(), Stage::kEncode, &StageTimings::encode, elapsed);
  observer_->OnTenantCost(image.call->request.tenant,
                          elapsed / (lanes * image.batch_size));
}

void Classifier::Encoded(CallImage image, absl::Time when) {
  wait_scale_.Observed(image.predicted, when - image.queued);
  Land(&image, {.kind = Landing::Kind::kFeature,
                .feature = image.feature,
                .batch_size = image.batch_size});
  // A batch that took longer than was predicted makes nobody's reply late.
  if (!image.probe) {
    StillWanted(image.call.get(), Checkpoint::kHead, absl::Now() + kReplyTime);
  }
  Conclude(std::move(image));
}

void Classifier::Conclude(CallImage image) {
  ImageCall& call = *image.call;
  if (!StillWanted(&call, Checkpoint::kHead)) {
    return Finish(std::move(image), {});
  }
  const SharedHeads heads = call.resolved();
  // Texts are encoded on threads that compute only.
  if (heads == nullptr) return QueueEncode(std::move(image));
  const absl::Time start = absl::Now();
  ImageOutcome outcome;
  if (call.request.embed) outcome.embedding = NormalizedFeature(*image.feature);
  outcome.scores.resize(heads->size());
  for (size_t i = 0; i < heads->size(); ++i) {
    if ((*heads)[i].head == nullptr) continue;
    outcome.scores[i] =
        RankClasses(*image.feature, *(*heads)[i].head,
                    call.encoder->logit_scale(), call.request.heads[i].top_k);
  }
  Record(&call, Stage::kHead, &StageTimings::head, absl::Now() - start);
  Finish(std::move(image), std::move(outcome));
}

void Classifier::ResolveHeads(ImageCall* call, bool on_device) {
  if (call->resolved() != nullptr) return;
  std::vector<ResolvedHead> heads;
  if (heads_.Resolve(*call->encoder, call->request.heads, call->head_names,
                     on_device, &heads)) {
    call->SetHeads(std::move(heads));
  }
}

void Classifier::ResolveTower(ImageCall* call) {
  const SharedHeads heads = call->resolved();
  if (heads == nullptr) return;  // texts, which no tower of its own goes with
  const std::string* tower = nullptr;
  for (const ResolvedHead& resolved : *heads) {
    if (resolved.head == nullptr) continue;
    const std::string& wanted = resolved.head->image_tower();
    if (tower != nullptr && *tower != wanted) {
      call->Fail(MakeError(absl::StatusCode::kInvalidArgument,
                           "IMAGE_TOWERS_DIFFER",
                           "the heads of a call go with different image "
                           "towers: send a call for each of them"));
      return;
    }
    tower = &wanted;
  }
  if (tower == nullptr || tower->empty()) return;
  auto tuned = encoders_->Find(call->request.encoder_digest, *tower);
  if (tuned.ok()) {
    call->image_encoder = *std::move(tuned);
  } else {
    call->Fail(tuned.status());
  }
}

bool Classifier::StillWanted(ImageCall* call, Checkpoint where) {
  return StillWanted(call, where, absl::Now());
}

bool Classifier::StillWanted(ImageCall* call, Checkpoint where,
                             absl::Time answered) {
  if (call->failed()) return false;
  const absl::Status status =
      admission_.abandoned() ? ShuttingDown()
                             : CheckAwaited(call->request.deadline,
                                            call->request.cancelled, answered);
  if (status.ok()) return true;
  if (call->Fail(status) && !admission_.abandoned()) {
    observer_->OnGivenUp(where,
                         status.code() == absl::StatusCode::kDeadlineExceeded);
  }
  return false;
}

void Classifier::Land(CallImage* image, const Landing& landing) {
  if (!std::exchange(image->leads, false)) return;
  cache_.Land(image->key, landing);
}

void Classifier::Record(ImageCall* call, Stage stage,
                        absl::Duration StageTimings::*timing,
                        absl::Duration elapsed) {
  observer_->OnStage(stage, elapsed);
  call->RecordStage(timing, elapsed);
}

void Classifier::Finish(CallImage image, ImageOutcome outcome) {
  Land(&image, {.kind = Landing::Kind::kLead});
  LeaveDecode(&image);
  FailpointStep("classify.reply");
  StillWanted(image.call.get(), Checkpoint::kReply);
  observer_->OnImage(outcome.status.ok() && !image.call->failed());
  outcome.cache = image.cache;
  outcome.batch_size = image.batch_size;
  image.call->Finish(image.index, std::move(outcome));
  observer_->OnQueued(-1, -image.bytes);
  admission_.LeaveOne(image.call->request.tenant, image.bytes);
}

void Classifier::Stop(absl::Time deadline) {
  admission_.Close(deadline);
  decode_queue_.Close();
  for (std::thread& decoder : decoders_) {
    if (decoder.joinable()) decoder.join();
  }
}

}  // namespace promptd::worker
