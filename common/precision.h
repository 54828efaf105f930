// In which floating-point numbers frozen towers compute.
#pragma once

namespace promptd {

// Features, learned contexts, optimizer and loss are float32 with either.
enum class Precision {
  kFloat32,
  // Half the memory, and faster on processors with bfloat16 instructions;
  // features keep a cosine of 0.999 and more to those of float32.
  kBFloat16,
};

// "float32" or "bfloat16".
inline const char* PrecisionName(Precision precision) {
  return precision == Precision::kBFloat16 ? "bfloat16" : "float32";
}

}  // namespace promptd
