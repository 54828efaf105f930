#include "datasets/image.h"

#include <new>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "datasets/image_walk.h"

namespace promptd::datasets {
namespace {

// Decodes straight into `image`, whose pixels have the header's size: OpenCV
// makes a new matrix only when the size differs, which is refused.
absl::Status DecodeInto(absl::string_view encoded, const ImageHeader& header,
                        RgbImage* image) {
  const cv::Mat bytes(1, static_cast<int>(encoded.size()), CV_8UC1,
                      const_cast<char*>(encoded.data()));
  cv::Mat pixels(header.height, header.width, CV_8UC3, image->rgb.data());
  const cv::Mat decoded = cv::imdecode(
      bytes, cv::IMREAD_COLOR | cv::IMREAD_IGNORE_ORIENTATION, &pixels);
  if (decoded.empty()) {
    return UndecodableImage(header.format, "the decoder found damage");
  }
  if (decoded.data != image->rgb.data()) {
    return UndecodableImage(
        header.format,
        absl::StrCat("the header says ", header.width, "x", header.height,
                     ", the image is ", decoded.cols, "x", decoded.rows));
  }
  cv::cvtColor(pixels, pixels, cv::COLOR_BGR2RGB);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RgbImage> DecodeImage(absl::string_view encoded,
                                     const ImageLimits& limits) {
  ASSIGN_OR_RETURN(const ImageHeader header, ReadImageHeader(encoded, limits));
  try {
    RgbImage image{header.width, header.height, {}};
    image.rgb.resize(static_cast<size_t>(header.width) * header.height * 3);
    RETURN_IF_ERROR(DecodeInto(encoded, header, &image));
    return image;
  } catch (const std::bad_alloc&) {
    return MakeError(absl::StatusCode::kResourceExhausted, "OUT_OF_MEMORY",
                     "no memory to decode an image: try again later");
  } catch (const std::exception& error) {  // cv::Exception
    return UndecodableImage(header.format, error.what());
  }
}

}  // namespace promptd::datasets
