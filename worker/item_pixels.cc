#include "worker/item_pixels.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "datasets/random_view.h"
#include "worker/parallel.h"

namespace promptd::worker {

absl::StatusOr<std::vector<std::vector<float>>> ItemPixels(
    Control* control, int decode_threads,
    const datasets::PreprocessOptions& preprocess,
    const datasets::Manifest& manifest, const std::vector<int>& items,
    std::optional<int> view) {
  std::vector<absl::StatusOr<std::vector<float>>> decoded(
      items.size(), absl::UnknownError("not decoded"));
  ParallelFor(items.size(), decode_threads, [&](size_t i) {
    const datasets::Item& item = manifest.items[items[i]];
    absl::StatusOr<std::string> bytes = control->GetBlob(item.digest);
    if (!bytes.ok()) {
      decoded[i] = bytes.status();
    } else if (view.has_value()) {
      decoded[i] =
          datasets::PreprocessView(*bytes, item.digest, *view, preprocess);
    } else {
      decoded[i] = datasets::PreprocessImage(*bytes, preprocess);
    }
  });
  std::vector<std::vector<float>> pixels;
  pixels.reserve(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    if (!decoded[i].ok()) {
      return Annotate(decoded[i].status(),
                      absl::StrCat("image ", manifest.items[items[i]].path));
    }
    pixels.push_back(*std::move(decoded[i]));
  }
  return pixels;
}

}  // namespace promptd::worker
