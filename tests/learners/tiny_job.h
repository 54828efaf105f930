// The tiny golden encoder and a small training job on it. No torch.
#pragma once

#include <memory>
#include <string>

#include "clip/encoder.h"
#include "learners/trainer.h"
#include "weights/safetensors.h"

namespace promptd::learners {

// The folder of this room's goldens.
std::string LearnersGoldenDir();

// tests/golden/learners/tiny, loaded once; aborts when it is missing. One
// thread computes: the machine may be shared.
std::shared_ptr<const clip::Encoder> TinyEncoder();
// The same with its towers in bfloat16.
std::shared_ptr<const clip::Encoder> TinyEncoderInBFloat16();
// The same on a device that is not the processor (tests/clip/fake_device.h).
std::shared_ptr<const clip::Encoder> TinyEncoderOnFakeDevice();

// PyTorch's run, tools/goldens/make_coop_goldens.py.
weights::Safetensors CoOpGoldens();
// Its spec and data.
TrainerSpec GoldenSpec();
TrainingData GoldenData(const weights::Safetensors& goldens);

// Runs to the end, or aborts.
void RunToEnd(Trainer* trainer);

}  // namespace promptd::learners
