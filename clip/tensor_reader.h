// Tensors out of an encoder's file, each by name and expected shape.
#pragma once

#include <ATen/core/Tensor.h>

#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "weights/safetensors.h"

namespace promptd::clip {

// Collects every problem instead of stopping at the first. Tensors that lie in
// the file as float32 are views of it and must not be written to: clone what is
// kept, so that the file can go. Thread-compatible.
class TensorReader {
 public:
  // `file` must outlive the reader.
  explicit TensorReader(const weights::Safetensors& file) : file_(file) {}

  // The tensor as float32, finite; undefined when it is missing, has another
  // shape or data type, or holds NaN or infinity, which is then noted.
  at::Tensor Read(const std::string& name, const std::vector<int64_t>& shape);

  // Notes every tensor of the file that nobody has read, except the
  // "num_batches_tracked" counters, which evaluation does not use.
  void ExpectNothingElse();

  bool ok() const { return problems_.empty(); }
  // Elements read so far.
  int64_t parameters() const { return parameters_; }
  // INVALID_ARGUMENT (BAD_ENCODER_WEIGHTS) with the problems, the first 20.
  absl::Status status() const;

 private:
  // Of a tensor that is there and holds floats.
  at::Tensor Floats(const std::string& name,
                    const weights::TensorRecord& record) const;

  const weights::Safetensors& file_;
  std::set<std::string> seen_;
  std::vector<std::string> problems_;
  int64_t parameters_ = 0;
};

}  // namespace promptd::clip
