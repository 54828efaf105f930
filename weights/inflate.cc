#include "weights/inflate.h"

#include <zlib.h>

#include <limits>

namespace promptd::weights {
namespace {

constexpr int64_t kMostBytes = std::numeric_limits<uInt>::max() - 1;
// deflate's best: 258 bytes for two bits, rounded up. A claim beyond it is a
// lie that would only cost memory.
constexpr int64_t kMostRatio = 1032;

}  // namespace

std::optional<std::string> Inflate(absl::string_view deflated, int64_t size) {
  const int64_t given = static_cast<int64_t>(deflated.size());
  if (size < 0 || size > kMostBytes || given > kMostBytes ||
      size / kMostRatio > given) {
    return std::nullopt;
  }
  // One more, to see that nothing follows.
  std::string out(static_cast<size_t>(size) + 1, '\0');
  z_stream stream = {};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return std::nullopt;
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(deflated.data()));
  stream.avail_in = static_cast<uInt>(given);
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(size + 1);
  const int result = inflate(&stream, Z_FINISH);
  const bool whole =
      result == Z_STREAM_END && stream.avail_in == 0 && stream.avail_out == 1;
  inflateEnd(&stream);
  if (!whole) return std::nullopt;
  out.pop_back();
  return out;
}

}  // namespace promptd::weights
