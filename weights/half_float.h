// IEEE half precision and bfloat16, widened to float32 without rounding.
#pragma once

#include <cstdint>

namespace promptd::weights {

float HalfToFloat(uint16_t bits);
float BFloat16ToFloat(uint16_t bits);

}  // namespace promptd::weights
