// Few-shot subsets exactly as CoOp draws them: published seeds give the
// published images.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "datasets/manifest.h"

namespace promptd::datasets {

// Indexes into Manifest::items, grouped by class.
struct FewShotSplit {
  std::vector<int> train;
  std::vector<int> val;
};

// `shots` training images a class, and min(shots, 4) validation images a class
// (all of them where a class has fewer: validation may be small or absent).
//
// The rule (Dassl's generate_fewshot_dataset): one CPython generator seeded
// with `seed`; classes in order of first appearance among the training items;
// of each, random.sample(items, shots); then the same for validation, going on
// with the same generator. The manifest must be a valid one. Thread-safe.
//
// INVALID_ARGUMENT: TOO_FEW_IMAGES with a violation of "shots" for every class
// that has fewer than `shots` training images (CoOp would silently take what
// there is); INVALID_SHOTS when `shots` is not positive.
absl::StatusOr<FewShotSplit> SampleFewShot(const Manifest& manifest, int shots,
                                           int64_t seed);

}  // namespace promptd::datasets
