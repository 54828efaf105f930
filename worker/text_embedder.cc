#include "worker/text_embedder.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clip/encoder.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "worker/call_end.h"
#include "worker/prompt_features.h"

namespace promptd::worker {

// Owned by the thread that works on it: the caller's, then the device's.
struct TextEmbedder::Call {
  struct Tokens {
    size_t index = 0;  // of the text
    std::vector<int32_t> row;
  };

  EmbedTextsCall request;
  Executor::EmbedTextsCallback done;
  std::shared_ptr<const clip::Encoder> encoder;
  std::vector<TextOutcome> outcomes;  // one a text
  std::deque<Tokens> waiting;
};

TextEmbedder::TextEmbedder(const TextEmbedderOptions& options,
                           const EncoderSet* encoders, DeviceLoop* loop)
    : options_(options), encoders_(encoders), loop_(loop) {}

TextEmbedder::~TextEmbedder() { Stop(absl::InfinitePast()); }

void TextEmbedder::EmbedTexts(EmbedTextsCall request,
                              Executor::EmbedTextsCallback done) {
  auto call = std::make_shared<Call>();
  call->request = std::move(request);
  call->done = std::move(done);
  if (const absl::Status admitted = Admit(call.get()); !admitted.ok()) {
    call->done(admitted);
    return;
  }
  const absl::Status status = Tokenize(call.get());
  if (!status.ok() || call->waiting.empty()) {
    Finish(call.get(), status);
    return;
  }
  Queue(std::move(call));
}

absl::Status TextEmbedder::Admit(Call* call) {
  const int texts = static_cast<int>(call->request.texts.size());
  if (texts == 0) {
    return MakeError(absl::StatusCode::kInvalidArgument, "NO_TEXTS",
                     "the call has no texts: send at least one");
  }
  ASSIGN_OR_RETURN(call->encoder,
                   encoders_->Find(call->request.encoder_digest));
  call->outcomes.resize(call->request.texts.size());
  absl::MutexLock lock(&mutex_);
  if (stopping_) return ShuttingDown();
  if (texts_in_flight_ + texts > options_.max_queued_texts) {
    return MakeError(
        absl::StatusCode::kUnavailable, "QUEUE_FULL",
        absl::StrCat("the text queue holds ", texts_in_flight_,
                     " texts of at most ", options_.max_queued_texts,
                     ": try again in a moment"));
  }
  texts_in_flight_ += texts;
  return absl::OkStatus();
}

absl::Status TextEmbedder::Tokenize(Call* call) {
  const clip::TooLong too_long =
      call->request.truncate ? clip::TooLong::kCut : clip::TooLong::kRefuse;
  for (size_t i = 0; i < call->request.texts.size(); ++i) {
    RETURN_IF_ERROR(StillWanted(*call));
    absl::StatusOr<std::vector<int32_t>> row =
        call->encoder->tokenizer().EncodeWithMarkers(
            call->request.texts[i], call->encoder->config().text.context_length,
            too_long);
    if (row.ok()) {
      call->waiting.push_back({i, *std::move(row)});
    } else {
      call->outcomes[i].status = row.status();
    }
  }
  return absl::OkStatus();
}

void TextEmbedder::Queue(std::shared_ptr<Call> call) {
  {
    absl::MutexLock lock(&mutex_);
    pending_.push_back(std::move(call));
    if (posted_) return;
    posted_ = true;
  }
  PostUnit();
}

void TextEmbedder::PostUnit() {
  if (loop_->PostServing([this] { RunUnit(); })) return;
  std::deque<std::shared_ptr<Call>> dropped;
  {
    absl::MutexLock lock(&mutex_);
    dropped.swap(pending_);
    posted_ = false;
  }
  for (const auto& call : dropped) Finish(call.get(), ShuttingDown());
}

void TextEmbedder::RunUnit() {
  std::shared_ptr<Call> call;
  {
    absl::MutexLock lock(&mutex_);
    call = std::move(pending_.front());
    pending_.pop_front();
  }
  absl::Status status = StillWanted(*call);
  if (status.ok()) status = EncodeNext(call.get());
  const bool finished = !status.ok() || call->waiting.empty();
  bool more = false;
  {
    absl::MutexLock lock(&mutex_);
    if (!finished) pending_.push_back(call);
    more = posted_ = !pending_.empty();
  }
  if (more) PostUnit();
  if (finished) Finish(call.get(), status);
}

absl::Status TextEmbedder::EncodeNext(Call* call) {
  std::vector<size_t> indexes;
  std::vector<std::vector<int32_t>> rows;
  size_t tokens = 0;
  while (!call->waiting.empty()) {
    Call::Tokens& next = call->waiting.front();
    tokens += next.row.size();
    if (!rows.empty() &&
        tokens > static_cast<size_t>(options_.max_unit_tokens)) {
      break;
    }
    indexes.push_back(next.index);
    rows.push_back(std::move(next.row));
    call->waiting.pop_front();
  }
  ASSIGN_OR_RETURN(const FloatTensor features,
                   EncodeTokens(*call->encoder, rows));
  const size_t width = static_cast<size_t>(features.shape[1]);
  for (size_t i = 0; i < indexes.size(); ++i) {
    call->outcomes[indexes[i]].embedding = NormalizedFeature(
        absl::MakeConstSpan(features.values).subspan(i * width, width));
  }
  return absl::OkStatus();
}

absl::Status TextEmbedder::StillWanted(const Call& call) {
  {
    absl::MutexLock lock(&mutex_);
    if (abandoned_) return ShuttingDown();
  }
  return CheckAwaited(call.request.deadline, call.request.cancelled);
}

void TextEmbedder::Finish(Call* call, const absl::Status& status) {
  if (status.ok()) {
    call->done(std::move(call->outcomes));
  } else {
    call->done(status);
  }
  absl::MutexLock lock(&mutex_);
  texts_in_flight_ -= static_cast<int>(call->request.texts.size());
}

void TextEmbedder::Stop(absl::Time deadline) {
  absl::MutexLock lock(&mutex_);
  stopping_ = true;
  mutex_.AwaitWithDeadline(absl::Condition(this, &TextEmbedder::Idle),
                           deadline);
  abandoned_ = true;
  mutex_.Await(absl::Condition(this, &TextEmbedder::Idle));
}

}  // namespace promptd::worker
