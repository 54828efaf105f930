#include "datasets/image.h"

#include <algorithm>
#include <new>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "datasets/image_walk.h"
#include "datasets/jpeg_image.h"

namespace promptd::datasets {
namespace {

// OpenCV decodes straight into `pixels`, which has the header's size: it makes
// a new matrix only when the size differs, which is refused.
absl::Status Decode(absl::string_view encoded, const ImageHeader& header,
                    int flags, cv::Mat* pixels) {
  const cv::Mat bytes(1, static_cast<int>(encoded.size()), CV_8UC1,
                      const_cast<char*>(encoded.data()));
  const uint8_t* const before = pixels->data;
  const cv::Mat decoded =
      cv::imdecode(bytes, flags | cv::IMREAD_IGNORE_ORIENTATION, pixels);
  if (decoded.empty()) {
    return UndecodableImage(header.format, "the decoder found damage");
  }
  if (decoded.data != before) {
    return UndecodableImage(
        header.format,
        absl::StrCat("the header says ", header.width, "x", header.height,
                     ", the image is ", decoded.cols, "x", decoded.rows));
  }
  return absl::OkStatus();
}

absl::Status DecodeUsual(absl::string_view encoded, const ImageHeader& header,
                         uint8_t* rgb) {
  cv::Mat pixels(header.height, header.width, CV_8UC3, rgb);
  RETURN_IF_ERROR(Decode(encoded, header, cv::IMREAD_COLOR, &pixels));
  cv::cvtColor(pixels, pixels, cv::COLOR_BGR2RGB);
  return absl::OkStatus();
}

// Pillow 13 takes the 16-bit numbers for levels and cuts them off at white.
absl::Status DecodeGrey16(absl::string_view encoded, const ImageHeader& header,
                          uint8_t* rgb) {
  cv::Mat pixels(header.height, header.width, CV_16UC1);
  RETURN_IF_ERROR(Decode(encoded, header, cv::IMREAD_ANYDEPTH, &pixels));
  for (const uint16_t value : cv::Mat_<uint16_t>(pixels)) {
    const auto level = static_cast<uint8_t>(std::min<uint16_t>(value, 255));
    rgb = std::fill_n(rgb, 3, level);
  }
  return absl::OkStatus();
}

absl::Status DecodeInto(absl::string_view encoded, const ImageHeader& header,
                        uint8_t* rgb) {
  if (header.format == ImageFormat::kJpeg) {
    return DecodeJpeg(encoded, header, rgb);
  }
  return header.samples == ImageSamples::kGrey16
             ? DecodeGrey16(encoded, header, rgb)
             : DecodeUsual(encoded, header, rgb);
}

}  // namespace

absl::StatusOr<RgbImage> DecodeImage(absl::string_view encoded,
                                     const ImageLimits& limits) {
  ASSIGN_OR_RETURN(const ImageHeader header, ReadImageHeader(encoded, limits));
  try {
    RgbImage image{header.width, header.height, {}};
    image.rgb.resize(static_cast<size_t>(header.width) * header.height * 3);
    RETURN_IF_ERROR(DecodeInto(encoded, header, image.rgb.data()));
    return image;
  } catch (const std::bad_alloc&) {
    return MakeError(absl::StatusCode::kResourceExhausted, "OUT_OF_MEMORY",
                     "no memory to decode an image: try again later");
  } catch (const std::exception& error) {  // cv::Exception
    return UndecodableImage(header.format, error.what());
  }
}

}  // namespace promptd::datasets
