#include "worker/context_interpreter.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/types/span.h"
#include "clip/encoder.h"
#include "clip/nearest_tokens.h"
#include "common/check.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "worker/call_end.h"
#include "worker/tensor_blob.h"

namespace promptd::worker {
namespace {

constexpr char kContext[] = "ctx";

// The vectors that the call asks for, one behind the other.
absl::StatusOr<std::vector<float>> SelectVectors(const InterpretCall& call,
                                                 const FloatTensor& context,
                                                 int64_t width) {
  std::vector<int64_t> shape = {call.context_tokens, width};
  if (call.classes > 0) shape.insert(shape.begin(), call.classes);
  if (context.shape != shape) {
    return MakeError(
        absl::StatusCode::kDataLoss, "BLOB_CORRUPT",
        absl::StrCat("the stored context has shape ",
                     absl::StrJoin(context.shape, " x "), ", its version says ",
                     absl::StrJoin(shape, " x "),
                     ": restore it from a backup"));
  }
  if (call.classes == 0) return context.values;
  const int64_t size = call.context_tokens * width;  // of a class
  std::vector<float> vectors;
  vectors.reserve(call.class_indexes.size() * static_cast<size_t>(size));
  for (const int index : call.class_indexes) {
    PROMPTD_CHECK(index >= 0 && index < call.classes);
    const auto first = context.values.begin() + index * size;
    vectors.insert(vectors.end(), first, first + size);
  }
  return vectors;
}

VectorWords ToWords(const clip::Tokenizer& tokenizer,
                    const clip::VectorNeighbours& neighbours) {
  VectorWords words;
  words.norm = neighbours.norm;
  for (const clip::NearToken& near : neighbours.tokens) {
    words.words.push_back(
        {tokenizer.TokenText(near.id), near.id, near.distance});
  }
  return words;
}

}  // namespace

ContextInterpreter::ContextInterpreter(const ContextInterpreterOptions& options,
                                       const EncoderSet* encoders,
                                       DeviceLoop* loop, BlobReader read_blob)
    : options_(options),
      encoders_(encoders),
      loop_(loop),
      read_blob_(std::move(read_blob)),
      queue_(options.max_queued_calls),
      thread_([this] { Loop(); }) {}

ContextInterpreter::~ContextInterpreter() { Stop(absl::InfinitePast()); }

void ContextInterpreter::Interpret(const InterpretCall& call,
                                   const Executor::InterpretCallback& done) {
  if (queue_.TryPush({call, done})) return;
  absl::Status why = StillWanted(call);
  if (why.ok()) {
    absl::MutexLock lock(&mutex_);
    why = stopping_ ? ShuttingDown()
                    : MakeError(absl::StatusCode::kUnavailable, "QUEUE_FULL",
                                "too many contexts wait to be interpreted: "
                                "try again in a moment");
  }
  done(why);
}

void ContextInterpreter::Loop() {
  while (const std::optional<Work> work = queue_.Pop()) {
    work->done(Run(work->call));
  }
}

absl::StatusOr<std::vector<VectorWords>> ContextInterpreter::Run(
    const InterpretCall& call) {
  RETURN_IF_ERROR(StillWanted(call));
  ASSIGN_OR_RETURN(const auto encoder, encoders_->Find(call.encoder_digest));
  ASSIGN_OR_RETURN(const std::string blob, read_blob_(call.context_digest));
  ASSIGN_OR_RETURN(const FloatTensor context, ParseTensor(blob, kContext));
  const auto width = static_cast<size_t>(encoder->config().text.width);
  ASSIGN_OR_RETURN(const std::vector<float> vectors,
                   SelectVectors(call, context, static_cast<int64_t>(width)));
  const size_t unit = static_cast<size_t>(options_.max_unit_vectors) * width;
  std::vector<VectorWords> answer;
  for (size_t first = 0; first < vectors.size(); first += unit) {
    const absl::Status ran = loop_->RunServing([&]() -> absl::Status {
      RETURN_IF_ERROR(StillWanted(call));
      ASSIGN_OR_RETURN(
          const auto neighbours,
          clip::NearestTokens(*encoder->text_tower(),
                              absl::MakeConstSpan(vectors).subspan(first, unit),
                              call.top_k));
      for (const clip::VectorNeighbours& one : neighbours) {
        answer.push_back(ToWords(encoder->tokenizer(), one));
      }
      return absl::OkStatus();
    });
    RETURN_IF_ERROR(ran);
  }
  return answer;
}

absl::Status ContextInterpreter::StillWanted(const InterpretCall& call) {
  {
    absl::MutexLock lock(&mutex_);
    if (absl::Now() >= stop_deadline_) return ShuttingDown();
  }
  return CheckAwaited(call.deadline, call.cancelled);
}

void ContextInterpreter::Stop(absl::Time deadline) {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    stop_deadline_ = std::min(stop_deadline_, deadline);
  }
  queue_.Close();
  if (thread_.joinable()) thread_.join();
}

}  // namespace promptd::worker
