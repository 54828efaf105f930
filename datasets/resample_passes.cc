#include "datasets/resample_passes.h"

#include <algorithm>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace promptd::datasets {
namespace {

constexpr int32_t kHalf = 1 << (kFractionBits - 1);
constexpr size_t kChannels = 3;
constexpr size_t kTapsPerGroup = 4;
constexpr size_t kGroupBytes = kTapsPerGroup * kChannels;
constexpr size_t kLoadBytes = 16;
constexpr size_t kWordsPerGroup = 32;  // two vectors of 16
// A weight is high << 11 | low: both fit into the 16 bits that one instruction
// multiplies in pairs, as the largest weight is little above 1 << 22.
constexpr int kLowBits = 11;

uint8_t ToByte(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> kFractionBits, 0, 255));
}

void OnePixel(const uint8_t* source, const Taps& tap, uint8_t* out) {
  int32_t red = kHalf, green = kHalf, blue = kHalf;
  const uint8_t* pixel = source + static_cast<size_t>(tap.first) * kChannels;
  for (const int32_t weight : tap.weights) {
    red += pixel[0] * weight;
    green += pixel[1] * weight;
    blue += pixel[2] * weight;
    pixel += kChannels;
  }
  out[0] = ToByte(red);
  out[1] = ToByte(green);
  out[2] = ToByte(blue);
}

// Bytes [begin, bytes) of RunColumns.
void PlainColumns(const uint8_t* source, size_t stride, const Taps& tap,
                  size_t begin, size_t bytes, uint8_t* out) {
  constexpr size_t kBlock = 256;
  int32_t sums[kBlock];
  for (; begin < bytes; begin += kBlock) {
    const size_t count = std::min(kBlock, bytes - begin);
    std::fill_n(sums, count, kHalf);
    const uint8_t* row =
        source + static_cast<size_t>(tap.first) * stride + begin;
    for (const int32_t weight : tap.weights) {
      for (size_t i = 0; i < count; ++i) sums[i] += row[i] * weight;
      row += stride;
    }
    for (size_t i = 0; i < count; ++i) out[begin + i] = ToByte(sums[i]);
  }
}

#if defined(__x86_64__)

// One pixel of `groups` groups. Reads kLoadBytes from each group's first.
__attribute__((target("avx2"))) inline void FastPixel(const uint8_t* pixel,
                                                      const int16_t* weights,
                                                      size_t groups,
                                                      uint8_t* out) {
  // Four pixels, RGBRGBRGBRGB, to pairs of words: R0R1 G0G1 B0B1 of the first
  // two in the lower lane, of the others in the upper one.
  const __m256i pairs = _mm256_setr_epi8(
      0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, 6, -1, 9, -1, 7,
      -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
  __m256i high = _mm256_setzero_si256();
  __m256i low = _mm256_setzero_si256();
  for (size_t group = 0; group < groups; ++group) {
    const __m256i words = _mm256_shuffle_epi8(
        _mm256_broadcastsi128_si256(
            _mm_loadu_si128(reinterpret_cast<const __m128i*>(pixel))),
        pairs);
    const auto* const factors = reinterpret_cast<const __m256i*>(weights);
    high = _mm256_add_epi32(
        high, _mm256_madd_epi16(words, _mm256_loadu_si256(factors)));
    low = _mm256_add_epi32(
        low, _mm256_madd_epi16(words, _mm256_loadu_si256(factors + 1)));
    pixel += kGroupBytes;
    weights += kWordsPerGroup;
  }
  const __m256i both = _mm256_add_epi32(_mm256_slli_epi32(high, kLowBits), low);
  __m128i sums = _mm_add_epi32(_mm256_castsi256_si128(both),
                               _mm256_extracti128_si256(both, 1));
  sums = _mm_add_epi32(sums, _mm_set1_epi32(kHalf));
  sums = _mm_srai_epi32(sums, kFractionBits);
  sums = _mm_packs_epi32(sums, sums);
  sums = _mm_packus_epi16(sums, sums);
  const auto rgb = static_cast<uint32_t>(_mm_cvtsi128_si32(sums));
  out[0] = static_cast<uint8_t>(rgb);
  out[1] = static_cast<uint8_t>(rgb >> 8);
  out[2] = static_cast<uint8_t>(rgb >> 16);
}

// The pixels whose groups lie within `readable`; returns how many.
__attribute__((target("avx2"))) size_t FastPixels(const uint8_t* source,
                                                  size_t readable,
                                                  const std::vector<Taps>& taps,
                                                  const int16_t* weights,
                                                  size_t groups, uint8_t* out) {
  const size_t span = groups * kGroupBytes + (kLoadBytes - kGroupBytes);
  size_t i = 0;
  for (; i < taps.size(); ++i) {
    const size_t first = static_cast<size_t>(taps[i].first) * kChannels;
    if (first + span > readable) break;
    FastPixel(source + first, weights + i * groups * kWordsPerGroup, groups,
              out + i * kChannels);
  }
  return i;
}

// As many bytes as whole vectors hold; returns how many.
__attribute__((target("avx2"))) size_t FastColumns(const uint8_t* source,
                                                   size_t stride,
                                                   const Taps& tap,
                                                   size_t bytes, uint8_t* out) {
  const uint8_t* const top = source + static_cast<size_t>(tap.first) * stride;
  size_t i = 0;
  for (; i + kLoadBytes <= bytes; i += kLoadBytes) {
    __m256i first = _mm256_set1_epi32(kHalf);
    __m256i second = first;
    const uint8_t* row = top + i;
    for (const int32_t weight : tap.weights) {
      const __m128i samples =
          _mm_loadu_si128(reinterpret_cast<const __m128i*>(row));
      const __m256i factor = _mm256_set1_epi32(weight);
      first = _mm256_add_epi32(
          first, _mm256_mullo_epi32(_mm256_cvtepu8_epi32(samples), factor));
      second = _mm256_add_epi32(
          second,
          _mm256_mullo_epi32(_mm256_cvtepu8_epi32(_mm_srli_si128(samples, 8)),
                             factor));
      row += stride;
    }
    first = _mm256_srai_epi32(first, kFractionBits);
    second = _mm256_srai_epi32(second, kFractionBits);
    // Packing interleaves the lanes; the permutation puts them in order.
    const __m256i words =
        _mm256_permute4x64_epi64(_mm256_packs_epi32(first, second), 0xd8);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i),
                     _mm_packus_epi16(_mm256_castsi256_si128(words),
                                      _mm256_extracti128_si256(words, 1)));
  }
  return i;
}

#else

size_t FastPixels(const uint8_t*, size_t, const std::vector<Taps>&,
                  const int16_t*, size_t, uint8_t*) {
  return 0;
}
size_t FastColumns(const uint8_t*, size_t, const Taps&, size_t, uint8_t*) {
  return 0;
}

#endif

// `groups` groups of a tap, those beyond its end of zeros.
void Pack(const Taps& tap, size_t groups, int16_t* out) {
  for (size_t i = 0; i < groups * kTapsPerGroup; ++i) {
    const int32_t weight = i < tap.weights.size() ? tap.weights[i] : 0;
    const auto high = static_cast<int16_t>(weight >> kLowBits);
    const auto low = static_cast<int16_t>(weight & ((1 << kLowBits) - 1));
    int16_t* const group = out + i / kTapsPerGroup * kWordsPerGroup;
    // Of a group: the lane of its pair, then its place in each pair of words.
    const size_t place = i % kTapsPerGroup / 2 * 8 + i % 2;
    for (size_t channel = 0; channel < kChannels; ++channel) {
      group[place + channel * 2] = high;
      group[16 + place + channel * 2] = low;
    }
  }
}

}  // namespace

bool HasFastPasses() {
#if defined(__x86_64__)
  static const bool has = __builtin_cpu_supports("avx2") != 0;
  return has;
#else
  return false;
#endif
}

RowPass::RowPass(std::vector<Taps> taps, bool fast) : taps_(std::move(taps)) {
  if (!fast) return;
  size_t most = 0;
  for (const Taps& tap : taps_) most = std::max(most, tap.weights.size());
  groups_ = (most + kTapsPerGroup - 1) / kTapsPerGroup;
  packed_.resize(taps_.size() * groups_ * kWordsPerGroup);
  for (size_t i = 0; i < taps_.size(); ++i) {
    Pack(taps_[i], groups_, packed_.data() + i * groups_ * kWordsPerGroup);
  }
}

void RowPass::Run(const uint8_t* source, size_t readable, uint8_t* out) const {
  size_t i = packed_.empty() ? 0
                             : FastPixels(source, readable, taps_,
                                          packed_.data(), groups_, out);
  for (; i < taps_.size(); ++i) OnePixel(source, taps_[i], out + i * kChannels);
}

void RunColumns(const uint8_t* source, size_t stride, const Taps& tap,
                size_t bytes, bool fast, uint8_t* out) {
  const size_t done = fast ? FastColumns(source, stride, tap, bytes, out) : 0;
  PlainColumns(source, stride, tap, done, bytes, out);
}

}  // namespace promptd::datasets
