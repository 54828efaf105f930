#include "learners/zero_shot.h"

#include <utility>

#include "clip/encoder.h"
#include "clip/host_floats.h"
#include "clip/torch_status.h"
#include "common/check.h"
#include "common/status_macros.h"
#include "learners/checkpoint.h"
#include "learners/fit_checkpoint.h"
#include "learners/text_ensemble.h"

namespace promptd::learners {
namespace {

class ZeroShot final : public Learner {
 public:
  ZeroShot(TextEnsemble texts, std::string identity)
      : texts_(std::move(texts)), identity_(std::move(identity)) {}

  bool done() const override { return true; }
  const LearnerProgress& progress() const override { return progress_; }
  absl::Status RunUnit() override {
    PROMPTD_CHECK(!done());
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> SaveCheckpoint() const override {
    return WriteFitCheckpoint({identity_});
  }
  absl::Status Restore(const std::string& checkpoint) override {
    return ReadFitCheckpoint(checkpoint, identity_).status();
  }

  int64_t head_units() const override { return texts_.units(); }
  absl::Status RunHeadUnit() override {
    return clip::Guarded("text features", [this] { return texts_.RunUnit(); });
  }
  absl::StatusOr<Learned> Result() override {
    while (!texts_.done()) RETURN_IF_ERROR(RunHeadUnit());
    return clip::Guarded("read the text features", [this] {
      Learned learned;
      learned.head.weights = clip::ToFloatTensor(texts_.features());
      return learned;
    });
  }

 private:
  TextEnsemble texts_;
  const std::string identity_;
  const LearnerProgress progress_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Learner>> MakeZeroShot(
    std::shared_ptr<const clip::Encoder> encoder, const TrainerSpec& spec,
    const TrainingData& data) {
  std::string identity = TrainingIdentity(spec, encoder->digest(), data);
  ASSIGN_OR_RETURN(TextEnsemble texts,
                   TextEnsemble::Create(std::move(encoder), data.class_names,
                                        spec.text_templates));
  return std::make_unique<ZeroShot>(std::move(texts), std::move(identity));
}

}  // namespace promptd::learners
