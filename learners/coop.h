// CoOp: context vectors in front of the class names, learned by gradient
// descent through the frozen text tower (Zhou et al., IJCV 2022, section 3;
// reference: PromptLearner of the authors' trainers/coop.py).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "learners/method.h"

namespace promptd::learners {

// The context is [M, W], shared by all classes (unified), or [C, M, W], one for
// each (class-specific, "CSC"). The class name stands behind it, behind its
// first floor(M/2) vectors, or before it; "." and EOT follow. Underscores in
// names and words become spaces, as in the reference.
// The context starts as N(0, 0.02^2), or as the embeddings of the words of
// `context_init`: M is then the number of their tokens (a word of several
// tokens takes several vectors, where the reference would cut it) and every
// class starts with the same words.
// INVALID_ARGUMENT: BAD_CONTEXT_TOKENS when M is out of range or not the
// number of the words' tokens; TEXT_TOO_LONG and BAD_UTF8, naming the class.
absl::StatusOr<std::unique_ptr<Method>> MakeCoOp(
    const std::shared_ptr<const clip::Encoder>& encoder, const MethodSpec& spec,
    const std::vector<std::string>& class_names);

}  // namespace promptd::learners
