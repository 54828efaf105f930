// The tiny golden encoder and a small training job on it. No torch.
#pragma once

#include <memory>
#include <string>

#include "clip/encoder.h"
#include "learners/trainer.h"
#include "weights/encoder_folder.h"
#include "weights/safetensors.h"

namespace promptd::learners {

// The folder of this room's goldens.
std::string LearnersGoldenDir();

// tests/golden/learners/tiny, loaded once; aborts when it is missing. One
// thread computes: the machine may be shared.
std::shared_ptr<const clip::Encoder> TinyEncoder();
// Its files.
const weights::EncoderFolder& TinyFolder();
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

// Pixel i of image n is sin(0.37 i + 1.7 n), whatever the view.
FloatTensor TinyPixels(const PixelRequest& wanted);
// Runs to the end, or to the end of the next step, with those pixels where
// pixels are asked for; or aborts.
void RunLearner(Learner* learner);
void RunStep(Learner* learner);

// The largest of two tensors of one shape; infinity when it is not.
double MaxDifference(const FloatTensor& a, const FloatTensor& b);

}  // namespace promptd::learners
