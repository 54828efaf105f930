// Files and byte buffers of the load generator's tests.
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "bench/load/image_source.h"

namespace promptd::load {

inline std::string WriteFile(const std::string& name, absl::string_view bytes) {
  const std::string path = testing::TempDir() + "/" + name;
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

inline std::string Text(const grpc::Slice& slice) {
  return std::string(reinterpret_cast<const char*>(slice.begin()),
                     slice.size());
}

inline std::string Text(const ImageBytes& image) {
  return image.head + Text(image.tail);
}

inline std::string Text(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(buffer.Dump(&slices).ok());
  std::string text;
  for (const grpc::Slice& slice : slices) text += Text(slice);
  return text;
}

// Two images that begin as JPEGs do.
inline ImageOptions TwoJpegs(bool fresh) {
  ImageOptions options;
  options.paths = {WriteFile("one.jpg", "\xFF\xD8-one"),
                   WriteFile("two.jpg", "\xFF\xD8-second")};
  options.fresh = fresh;
  return options;
}

}  // namespace promptd::load
