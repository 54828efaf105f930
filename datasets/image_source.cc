#include "datasets/image_source.h"

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/file.h"

namespace promptd::datasets {

absl::StatusOr<std::string> ReadImageSource(const ImageSource& source,
                                            int64_t max_bytes) {
  if (source.bytes < 0) return ReadFile(source.file, max_bytes);
  if (source.bytes > max_bytes) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "FILE_TOO_LARGE",
        absl::StrCat("an image in ", source.file, " has ", source.bytes,
                     " bytes; the limit is ", max_bytes));
  }
  return ReadFileRange(source.file, source.offset, source.bytes);
}

}  // namespace promptd::datasets
