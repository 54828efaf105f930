// JPEGs of four components, CMYK or YCCK, which OpenCV turns into RGB more
// coarsely than PIL. Decoded by libjpeg itself. Private to this room.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "datasets/image_format.h"

namespace promptd::datasets {

// Writes header.width * header.height * 3 bytes, R G B, to `rgb`. The samples
// are taken as inverted, with Adobe's marker and without, as PIL does.
// INVALID_ARGUMENT (IMAGE_UNDECODABLE); std::bad_alloc. Thread-safe.
absl::Status DecodeCmykJpeg(absl::string_view encoded,
                            const ImageHeader& header, uint8_t* rgb);

}  // namespace promptd::datasets
