#include "server/version_selector.h"

#include "common/method_traits.h"
#include "common/status_macros.h"
#include "worker/training_spec.h"

namespace promptd::server {

absl::StatusOr<std::string> ImageTowerOf(
    const registry::PromptVersion& version) {
  ASSIGN_OR_RETURN(const worker::TrainingSpec spec,
                   worker::TrainingSpecFromJson(version.spec_json));
  const MethodTraits* const method = FindMethod(spec.method);
  return method != nullptr && method->image_tower ? version.context_digest : "";
}

}  // namespace promptd::server
