// JPEGs, decoded by libjpeg itself, which puts the rows where they are wanted
// and in the order R G B: OpenCV calls the same decoder, but turns its colours
// round, and four components into RGB more coarsely than PIL. Private to this
// room.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "datasets/image_format.h"

namespace promptd::datasets {

// Writes header.width * header.height * 3 bytes, R G B, to `rgb`. Grey is
// repeated; four components (CMYK, YCCK) are taken as inverted, with Adobe's
// marker and without, as PIL does.
// INVALID_ARGUMENT (IMAGE_UNDECODABLE); std::bad_alloc. Thread-safe.
absl::Status DecodeJpeg(absl::string_view encoded, const ImageHeader& header,
                        uint8_t* rgb);

}  // namespace promptd::datasets
