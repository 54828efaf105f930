// What calls with a list of images or texts have in common.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/error.h"
#include "common/utf8.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "server/call_priority.h"
#include "server/grpc_status.h"
#include "server/limits.h"
#include "worker/classify_call.h"

namespace promptd::server {

// Adds a violation unless the list `field`, e.g. "images", has 1 to `most`
// items.
void CheckItemCount(const std::string& field, int count, int most,
                    std::vector<FieldViolation>* violations);

// Of the images of a classify call: what is sent and what is named by
// `digests`, together 1 to `most`; a digest has 32 bytes, and none goes with
// `no_cache`.
void CheckNamedImages(
    int sent, const google::protobuf::RepeatedPtrField<std::string>& digests,
    bool no_cache, int most, std::vector<FieldViolation>* violations);

// The same of a request, and its priority.
template <typename Request>
void CheckImages(const Limits& limits, const Request& request,
                 std::vector<FieldViolation>* violations) {
  CheckNamedImages(request.images_size(), request.image_digests(),
                   request.no_cache(), limits.max_images_per_call, violations);
  CheckPriority(request.priority(), violations);
}

// The images of a checked request, borrowed from it, and what holds for them.
template <typename Request>
void SetImages(const Request& request, worker::ClassifyCall* call) {
  call->images.assign(request.images().begin(), request.images().end());
  call->image_digests.assign(request.image_digests().begin(),
                             request.image_digests().end());
  call->no_cache = request.no_cache();
  call->priority = PriorityOf(request.priority());
}

// Adds a violation for every label, of field "labels", that is no name for a
// class: at least one, plain text, distinct as CLIP reads them.
void CheckLabels(const Limits& limits, const std::vector<std::string>& labels,
                 std::vector<FieldViolation>* violations);

// The labels in the places of a zero-shot template (empty: kDefaultTemplate),
// ready to tokenize. Adds the violations of CheckLabels and of the field
// "template"; no texts when there is any violation.
std::vector<std::string> ZeroShotTexts(const Limits& limits,
                                       const std::vector<std::string>& labels,
                                       const std::string& template_text,
                                       std::vector<FieldViolation>* violations);

// Why one item has no answer, as far as a client may read it. `Message` has
// error_reason and error_message.
template <typename Message>
void SetItemError(const absl::Status& status, Message* out) {
  constexpr size_t kMaxMessageBytes = 1000;
  out->set_error_reason(ErrorReason(status));
  out->set_error_message(TruncateUtf8(PublicMessage(status), kMaxMessageBytes));
}

}  // namespace promptd::server
