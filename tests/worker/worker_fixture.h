// A worker with the embedded encoder, and real images for it.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/worker/fake_control.h"
#include "worker/local_worker.h"

namespace promptd::worker {

class WorkerFixture : public ::testing::Test {
 protected:
  static std::string SourceDir();
  // Bytes of tests/golden/datasets/images/<name>.
  static std::string Image(const std::string& name);

  // A running worker; `control_` is its front end.
  std::unique_ptr<LocalWorker> StartWorker(LocalWorkerOptions options = {});

  // Classifies and waits for the answer.
  static absl::StatusOr<ClassifyOutcome> Classify(LocalWorker* worker,
                                                  ClassifyCall call);
  ClassifyCall ZeroShotCall(const LocalWorker& worker,
                            const std::vector<std::string>& images);
  // The bytes, which live as long as this.
  absl::string_view Keep(const std::string& bytes);

  // Two classes of four training and two test images, known to `control_`,
  // and a short job on them.
  TrainingSpec AddDataset(const LocalWorker& worker);

 private:
  std::deque<std::string> kept_;

 protected:
  FakeControl control_;
  Observer observer_;
};

}  // namespace promptd::worker
