#include "server/push_stream.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "registry/registry.h"

namespace promptd::server {
namespace {

// What an item costs in memory beside its texts.
constexpr int64_t kItemBytes = 160;

absl::Status Invalid(const std::string& field, const std::string& what) {
  return InvalidFields("INVALID_MANIFEST", {{field, what}});
}

// Out of range for ValidateManifest, which then reports it with the others.
constexpr int kNoSplit = -1;

int SplitOf(v1::Split split) {
  switch (split) {
    case v1::SPLIT_TRAIN:
      return static_cast<int>(datasets::Split::kTrain);
    case v1::SPLIT_VAL:
      return static_cast<int>(datasets::Split::kVal);
    case v1::SPLIT_TEST:
      return static_cast<int>(datasets::Split::kTest);
    default:
      return kNoSplit;
  }
}

}  // namespace

PushStream* PushStream::Start(std::shared_ptr<Call> call, const Rpc* rpc,
                              const Backend* backend, ByteBudget* budget) {
  auto* stream = new PushStream(std::move(call), rpc, backend, budget);
  stream->self_.reset(stream);
  const std::shared_ptr<PushStream> self = stream->self_;
  if (self->call_->admission().ok()) {
    self->ReadNext();
  } else {
    self->End(self->call_->admission());
  }
  return stream;
}

PushStream::PushStream(std::shared_ptr<Call> call, const Rpc* rpc,
                       const Backend* backend, ByteBudget* budget)
    : call_(std::move(call)), rpc_(rpc), backend_(*backend), budget_(budget) {}

PushStream::~PushStream() { budget_->Give(taken_bytes_); }

void PushStream::ReadNext() {
  absl::MutexLock lock(&mutex_);
  if (!ended_) StartRead(&incoming_);
}

void PushStream::OnReadDone(bool ok) {
  if (call_->cancelled()) return;  // OnCancel ends it
  if (ok) {
    const absl::Status status =
        Guarded(*call_, [this] { return Take(incoming_); });
    if (!status.ok()) return End(status);
    incoming_.Clear();
    return ReadNext();
  }
  rpc_->Run(
      Where::kPool, call_, [self = self_] { return self->Complete(); },
      [self = self_](const absl::Status& status) {
        if (!status.ok()) return self->End(status);
        self->SendNext();
      });
}

absl::Status PushStream::Take(const v1::PushDatasetRequest& message) {
  if (message.kind_case() == v1::PushDatasetRequest::kItem) {
    return TakeItem(message.item());
  }
  if (message.kind_case() != v1::PushDatasetRequest::kHeader) {
    return Invalid("kind", "a message must hold a header or an item");
  }
  if (has_header_) return Invalid("header", "came twice");
  has_header_ = true;
  const v1::PushDatasetRequest::Header& header = message.header();
  const Limits& limits = backend_.limits;
  if (header.class_names_size() > limits.max_classes) {
    return Invalid(
        "header.class_names",
        absl::StrCat("has ", header.class_names_size(), " classes, at most ",
                     limits.max_classes, " are taken"));
  }
  if (header.item_count() < 0 ||
      header.item_count() > limits.max_dataset_images) {
    return Invalid("header.item_count",
                   absl::StrCat("is ", header.item_count(), ", must be 1 to ",
                                limits.max_dataset_images));
  }
  announced_items_ = header.item_count();
  manifest_.name = header.name();
  manifest_.class_names.assign(header.class_names().begin(),
                               header.class_names().end());
  return absl::OkStatus();
}

absl::Status PushStream::TakeItem(const v1::DatasetItem& item) {
  if (!has_header_) return Invalid("header", "must come before the items");
  const auto count = static_cast<int64_t>(manifest_.items.size());
  if (count >= announced_items_) {
    return Invalid("items", absl::StrCat("more items came than the header's "
                                         "item_count of ",
                                         announced_items_));
  }
  const int split = SplitOf(item.split());
  if (split == kNoSplit) {
    return Invalid(absl::StrCat("items[", count, "].split"),
                   "must be train, val or test");
  }
  const auto bytes = static_cast<int64_t>(item.path().size()) +
                     static_cast<int64_t>(item.digest().size()) + kItemBytes;
  if (!budget_->TryTake(bytes)) {
    return MakeError(absl::StatusCode::kResourceExhausted, "TOO_MANY_MANIFESTS",
                     "too many large datasets are being pushed at once: "
                     "repeat the push a little later");
  }
  taken_bytes_ += bytes;
  manifest_.items.push_back({.path = item.path(),
                             .digest = item.digest(),
                             .class_index = item.class_index(),
                             .split = static_cast<datasets::Split>(split)});
  return absl::OkStatus();
}

absl::Status PushStream::Complete() {
  if (!has_header_) return Invalid("header", "is missing");
  const auto count = static_cast<int64_t>(manifest_.items.size());
  if (count != announced_items_) {
    return Invalid("items",
                   absl::StrCat(count, " items came, the header announced ",
                                announced_items_));
  }
  datasets::ManifestLimits limits;
  limits.max_classes = backend_.limits.max_classes;
  limits.max_images = backend_.limits.max_dataset_images;
  limits.max_name_bytes = backend_.limits.max_label_bytes;
  RETURN_IF_ERROR(datasets::ValidateManifest(manifest_, limits));
  registry::DatasetDraft draft = MakeDraft(manifest_);
  missing_ = backend_.registry->datasets().MissingImages(draft);
  v1::PushDatasetResponse::Result* result = result_.mutable_result();
  result->set_digest(draft.digest);
  result->set_missing_images(static_cast<int64_t>(missing_.size()));
  ASSIGN_OR_RETURN(*result->mutable_push_id(),
                   backend_.registry->pushes().Begin(call_->principal().tenant,
                                                     std::move(draft)));
  return absl::OkStatus();
}

void PushStream::SendNext() {
  if (sent_ == missing_.size() && result_sent_) return End(absl::OkStatus());
  absl::MutexLock lock(&mutex_);
  if (ended_) return;
  if (sent_ < missing_.size()) {
    outgoing_.set_missing_digest(missing_[sent_++]);
    StartWrite(&outgoing_);
  } else {
    result_sent_ = true;
    StartWrite(&result_);
  }
}

void PushStream::OnWriteDone(bool ok) {
  if (ok) return SendNext();
  End(MakeError(absl::StatusCode::kCancelled, "CANCELLED",
                "the client is gone"));
}

void PushStream::OnCancel() {
  call_->MarkCancelled();
  End(MakeError(absl::StatusCode::kCancelled, "CANCELLED",
                "the client cancelled the call"));
}

void PushStream::OnDone() {
  // May destroy this object.
  const std::shared_ptr<PushStream> self = std::move(self_);
}

void PushStream::End(const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  if (ended_) return;
  ended_ = true;
  Finish(call_->End(status));
}

registry::DatasetDraft MakeDraft(const datasets::Manifest& manifest) {
  registry::DatasetDraft draft;
  draft.name = manifest.name;
  draft.digest = datasets::ManifestDigest(manifest);
  draft.manifest_json = datasets::ManifestToJson(manifest);
  draft.class_names = manifest.class_names;
  for (const datasets::Split split :
       {datasets::Split::kTrain, datasets::Split::kVal,
        datasets::Split::kTest}) {
    registry::SplitCount count;
    count.split = std::string(SplitName(split));
    count.images_per_class.assign(manifest.class_names.size(), 0);
    for (const datasets::Item& item : manifest.items) {
      if (item.split != split) continue;
      ++count.images;
      ++count.images_per_class.at(item.class_index);
    }
    if (count.images > 0) draft.splits.push_back(std::move(count));
  }
  draft.image_digests.reserve(manifest.items.size());
  for (const datasets::Item& item : manifest.items) {
    draft.image_digests.push_back(item.digest);
  }
  return draft;
}

}  // namespace promptd::server
