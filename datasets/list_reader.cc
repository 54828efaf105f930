#include "datasets/list_reader.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "datasets/image.h"

namespace promptd::datasets {
namespace {

namespace fs = std::filesystem;

bool IsBelow(const std::string& path, const std::string& root) {
  return absl::StartsWith(path, root == "/" ? root : root + "/");
}

// Empty when the image's file is there and below a root, else what is wrong.
std::string LookUpProblem(const ListedImage& image,
                          const std::vector<std::string>& roots) {
  std::error_code error;
  const fs::path real = fs::canonical(image.source.file, error);
  if (error) return "is not there";
  if (std::none_of(roots.begin(), roots.end(), [&](const std::string& root) {
        return IsBelow(real.string(), root);
      })) {
    return "is a symlink that leaves the dataset's folder: copy the file there";
  }
  if (!fs::is_regular_file(real, error)) return "is not a file";
  return "";
}

absl::Status LookUpAll(const ImageList& list) {
  if (list.roots.empty()) return absl::OkStatus();
  ListProblems problems;
  for (const ListedImage& image : list.images) {
    const std::string problem = LookUpProblem(image, list.roots);
    if (!problem.empty()) {
      problems.Add(image.where, absl::StrCat(image.path, " ", problem));
    }
  }
  return problems.ToStatus("LISTED_IMAGES_MISSING");
}

// One reading of one list. Used by one thread.
class ListReader {
 public:
  ListReader(const ImageList& list, const ListOptions& options)
      : list_(list), options_(options), left_(list.class_names.size(), 0) {}

  absl::StatusOr<FolderDataset> Read() {
    const auto total = static_cast<int64_t>(list_.images.size());
    int64_t read = 0;
    for (const ListedImage& image : list_.images) {
      ReadOne(image);
      if (options_.progress) options_.progress(++read, total);
    }
    for (size_t i = 0; options_.skip_unreadable && i < left_.size(); ++i) {
      if (left_[i] > 0) continue;
      problems_.Add(absl::StrCat("class ", i),
                    absl::StrCat(QuotedText(list_.class_names[i]),
                                 " has no image that can be read"));
    }
    RETURN_IF_ERROR(problems_.ToStatus("LISTED_IMAGES_UNREADABLE"));
    dataset_.manifest.name = options_.name;
    dataset_.manifest.class_names = list_.class_names;
    RETURN_IF_ERROR(ValidateManifest(dataset_.manifest));
    return std::move(dataset_);
  }

 private:
  void ReadOne(const ListedImage& image) {
    const auto bytes = ReadImageSource(image.source, options_.limits.max_bytes);
    if (!bytes.ok()) return Refuse(image, bytes.status());
    const absl::Status readable =
        options_.decode ? DecodeImage(*bytes, options_.limits).status()
                        : ReadImageHeader(*bytes, options_.limits).status();
    if (!readable.ok()) return Refuse(image, readable);
    const std::string digest = Sha256Hex(*bytes);
    if (!dataset_.source_of_digest.emplace(digest, image.source).second) {
      ++dataset_.report.repeated_images;
    }
    const auto [split, is_new] = split_of_digest_.emplace(digest, image.split);
    if (!is_new && split->second != image.split) {
      ++dataset_.report.images_in_two_splits;
    }
    if (image.split != Split::kTrain) dataset_.report.has_splits = true;
    ++left_[static_cast<size_t>(image.label)];
    dataset_.manifest.items.push_back(
        {image.path, digest, image.label, image.split});
  }

  void Refuse(const ListedImage& image, const absl::Status& status) {
    if (options_.skip_unreadable) {
      dataset_.report.skipped.push_back(
          {image.path, ErrorReason(status), std::string(status.message())});
    } else {
      problems_.Add(image.where,
                    absl::StrCat(image.path, ": ", status.message()));
    }
  }

  const ImageList& list_;
  const ListOptions& options_;
  FolderDataset dataset_;
  ListProblems problems_;
  std::vector<int64_t> left_;  // readable images, by class
  absl::flat_hash_map<std::string, Split> split_of_digest_;
};

}  // namespace

absl::StatusOr<FolderDataset> ReadListedImages(const ImageList& list,
                                               const ListOptions& options) {
  RETURN_IF_ERROR(LookUpAll(list));
  return ListReader(list, options).Read();
}

}  // namespace promptd::datasets
