// The two passes of a resize in fixed point, in plain C++ and with AVX2: the
// same sums of whole numbers, hence the same bytes. Private to the room.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace promptd::datasets {

// A weight of 1.0 is 1 << 22: 32 bits less 8 of the pixel and 2 of headroom
// for the kernel's overshoot.
inline constexpr int kFractionBits = 32 - 8 - 2;

// The source samples that make one output sample, and their weights.
struct Taps {
  int first = 0;
  std::vector<int32_t> weights;  // fixed point
};

// Whether this processor has what the fast passes need.
bool HasFastPasses();

// From left to right: a row of `taps.size()` RGB pixels from a wider or
// narrower one. Immutable.
class RowPass {
 public:
  // `fast` needs HasFastPasses().
  RowPass(std::vector<Taps> taps, bool fast);

  size_t outputs() const { return taps_.size(); }
  // `readable`: the bytes at `source` that exist, of this row and beyond; the
  // more, the fewer pixels at its end take the slow way.
  void Run(const uint8_t* source, size_t readable, uint8_t* out) const;

 private:
  std::vector<Taps> taps_;
  size_t groups_ = 0;  // of four taps, of an output
  // Of each group its weights' high and low halves, in the order in which the
  // fast pass multiplies; empty without it.
  std::vector<int16_t> packed_;
};

// From top to bottom: `bytes` bytes of a row from the rows that `tap` names,
// each `stride` bytes after the one before. `fast` needs HasFastPasses().
void RunColumns(const uint8_t* source, size_t stride, const Taps& tap,
                size_t bytes, bool fast, uint8_t* out);

}  // namespace promptd::datasets
