#include "datasets/jpeg_image.h"

#include <jpeglib.h>
#include <csetjmp>
#include <cstddef>
#include <cstdio>  // jpeglib.h needs it
#include <vector>

#include "datasets/image_walk.h"

namespace promptd::datasets {
namespace {

struct Decoder {
  jpeg_decompress_struct info;
  jpeg_error_mgr errors;
  std::jmp_buf escape;
  char message[JMSG_LENGTH_MAX];
};

void Escape(j_common_ptr info) {
  auto* const decoder = static_cast<Decoder*>(info->client_data);
  info->err->format_message(info, decoder->message);
  std::longjmp(decoder->escape, 1);
}

void Ignore(j_common_ptr) {}

// a * b / 255, rounded.
int Scaled(int a, int b) {
  const int product = a * b + 128;
  return ((product >> 8) + product) >> 8;
}

// PIL's way from ink to light: white less the black ink, less each colour's
// share of what is left. All four samples are inverted.
void ToRgb(const uint8_t* cmyk, int width, uint8_t* rgb) {
  for (int x = 0; x < width; ++x, cmyk += 4, rgb += 3) {
    const int light = cmyk[3];
    for (int i = 0; i < 3; ++i) {
      rgb[i] = static_cast<uint8_t>(light - Scaled(255 - cmyk[i], light));
    }
  }
}

// The rows, those of four components by way of `cmyk`, which is null without.
void ReadRows(jpeg_decompress_struct* info, uint8_t* cmyk, uint8_t* rgb) {
  info->out_color_space = cmyk == nullptr ? JCS_RGB : JCS_CMYK;
  jpeg_start_decompress(info);
  while (info->output_scanline < info->output_height) {
    jpeg_read_scanlines(info, cmyk == nullptr ? &rgb : &cmyk, 1);
    if (cmyk != nullptr) ToRgb(cmyk, static_cast<int>(info->image_width), rgb);
    rgb += static_cast<size_t>(info->image_width) * 3;
  }
}

// nullptr, or what was wrong. Holds nothing with a destructor: libjpeg's errors
// jump out of it.
const char* Decode(absl::string_view encoded, const ImageHeader& header,
                   uint8_t* cmyk, uint8_t* rgb, Decoder* decoder) {
  jpeg_decompress_struct* const info = &decoder->info;
  info->err = jpeg_std_error(&decoder->errors);
  decoder->errors.error_exit = Escape;
  decoder->errors.output_message = Ignore;
  if (setjmp(decoder->escape) != 0) {
    jpeg_destroy_decompress(info);
    return decoder->message;
  }
  jpeg_create_decompress(info);
  info->client_data = decoder;
  jpeg_mem_src(info, reinterpret_cast<const unsigned char*>(encoded.data()),
               encoded.size());
  jpeg_read_header(info, TRUE);
  const bool expected =
      (info->num_components == 4) == (cmyk != nullptr) &&
      info->image_width == static_cast<JDIMENSION>(header.width) &&
      info->image_height == static_cast<JDIMENSION>(header.height);
  if (expected) ReadRows(info, cmyk, rgb);
  jpeg_destroy_decompress(info);
  return expected ? nullptr : "not what its header says";
}

}  // namespace

absl::Status DecodeJpeg(absl::string_view encoded, const ImageHeader& header,
                        uint8_t* rgb) {
  std::vector<uint8_t> cmyk;
  if (header.samples == ImageSamples::kCmyk) {
    cmyk.resize(static_cast<size_t>(header.width) * 4);
  }
  Decoder decoder = {};
  const char* const wrong = Decode(
      encoded, header, cmyk.empty() ? nullptr : cmyk.data(), rgb, &decoder);
  return wrong == nullptr ? absl::OkStatus()
                          : UndecodableImage(ImageFormat::kJpeg, wrong);
}

}  // namespace promptd::datasets
