#include <unistd.h>

#include <utility>

#include "common/sha256.h"
#include "common/status_macros.h"
#include "store/blob_store.h"
#include "store/file_ops.h"

namespace promptd::store {
namespace {

constexpr size_t kMaxPending = 512;
constexpr int64_t kMaxPendingBytes = int64_t{64} << 20;

}  // namespace

BlobBatch::~BlobBatch() { Discard(); }

absl::StatusOr<std::string> BlobBatch::Put(absl::string_view bytes) {
  std::string digest = Sha256Hex(bytes);
  RETURN_IF_ERROR(
      store_->CheckRoom(static_cast<int64_t>(bytes.size()) + pending_bytes_));
  ASSIGN_OR_RETURN(std::string temporary,
                   store_->WriteTemporary(bytes, /*sync=*/false));
  pending_.push_back({std::move(temporary), digest});
  pending_bytes_ += static_cast<int64_t>(bytes.size());
  if (pending_.size() >= kMaxPending || pending_bytes_ >= kMaxPendingBytes) {
    RETURN_IF_ERROR(Flush());
  }
  return digest;
}

absl::Status BlobBatch::Flush() {
  if (pending_.empty()) return absl::OkStatus();
  // Bytes first, then names: a name never stands for bytes that a power cut
  // can take back.
  RETURN_IF_ERROR(store_->SyncFileSystem());
  while (!pending_.empty()) {
    const Pending& last = pending_.back();
    RETURN_IF_ERROR(store_->Adopt(last.temporary, last.digest));
    pending_.pop_back();
  }
  pending_bytes_ = 0;
  return store_->SyncFileSystem();
}

void BlobBatch::Discard() {
  for (const Pending& blob : pending_) ::unlink(blob.temporary.c_str());
  pending_.clear();
  pending_bytes_ = 0;
}

}  // namespace promptd::store
