#include "jobs/waiting_workers.h"

#include <atomic>
#include <map>
#include <optional>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/jobs/job_store_fixture.h"

namespace promptd::jobs {
namespace {

using End = WaitingWorkers::End;

// Long enough that reaching it means that nobody was woken.
constexpr absl::Duration kNever = absl::Seconds(60);

TEST(WaitingWorkersTest,
     AnOfferIsForOneJobAndOneThatFellThroughLeavesThePlace) {
  WaitingWorkers line;
  WaitingWorkers::Place place(&line, {"w1", {"e0", "e1"}, kLease});
  EXPECT_EQ(line.Find("e2"), nullptr);
  auto offer = line.Find("e1");
  ASSERT_NE(offer, nullptr);
  EXPECT_EQ(offer->request().worker, "w1");
  EXPECT_EQ(line.Find("e1"), nullptr);
  offer.reset();
  offer = line.Find("e0");
  ASSERT_NE(offer, nullptr);
  Job job;
  job.id = 7;
  offer->Deliver(job);
  offer.reset();
  EXPECT_EQ(line.Find("e0"), nullptr);
  std::optional<Job> got;
  EXPECT_EQ(place.Wait(absl::ZeroDuration(), &got), End::kJob);
  EXPECT_EQ(got->id, 7);
}

TEST(WaitingWorkersTest, WhoStoodLongestComesFirst) {
  WaitingWorkers line;
  WaitingWorkers::Place first(&line, {"w1", {"e0"}, kLease});
  WaitingWorkers::Place second(&line, {"w2", {"e0"}, kLease});
  const auto one = line.Find("e0");
  const auto two = line.Find("e0");
  EXPECT_EQ(one->request().worker, "w1");
  EXPECT_EQ(two->request().worker, "w2");
}

TEST(WaitingWorkersTest, ADeadlineWaitsForAnOfferUnderWay) {
  WaitingWorkers line;
  WaitingWorkers::Place place(&line, {"w1", {"e0"}, kLease});
  auto offer = line.Find("e0");
  std::thread commit([&] {
    absl::SleepFor(absl::Milliseconds(20));
    Job job;
    job.id = 7;
    offer->Deliver(job);
  });
  std::optional<Job> got;
  EXPECT_EQ(place.Wait(absl::ZeroDuration(), &got), End::kJob);
  commit.join();
  ASSERT_TRUE(got.has_value());
}

TEST(WaitingWorkersTest, AHintAndASendingAwayEndTheWait) {
  WaitingWorkers line;
  std::optional<Job> got;
  WaitingWorkers::Place hinted(&line, {"w1", {"e0"}, kLease});
  line.Hint();
  EXPECT_EQ(hinted.Wait(kNever, &got), End::kHint);
  line.Hint();  // reaches nobody
  WaitingWorkers::Place first(&line, {"w1", {"e0"}, kLease});
  line.SendAway("w1");
  EXPECT_EQ(line.Find("e0"), nullptr);
  EXPECT_EQ(first.Wait(kNever, &got), End::kOver);
  line.SendAway("w1");  // remembered, for w1
  WaitingWorkers::Place other(&line, {"w2", {"e0"}, kLease});
  EXPECT_EQ(other.Wait(absl::ZeroDuration(), &got), End::kOver);
  WaitingWorkers::Place next(&line, {"w1", {"e0"}, kLease});
  EXPECT_EQ(next.Wait(kNever, &got), End::kOver);
  WaitingWorkers::Place later(&line, {"w1", {"e0"}, kLease});
  EXPECT_EQ(later.Wait(absl::ZeroDuration(), &got), End::kOver);
  EXPECT_FALSE(got.has_value());
}

// A worker that takes job after job, and keeps them running.
class Worker {
 public:
  Worker(JobStore* jobs, const std::string& name, absl::Duration wait = kNever)
      : jobs_(jobs), name_(name), thread_([this, name, wait] {
          while (!stopping_) {
            const auto job = jobs_->Lease({name, {"e1"}, kLease}, wait);
            ASSERT_TRUE(job.ok()) << job.status();
            if (!job->has_value()) continue;
            absl::MutexLock lock(&mutex_);
            taken_.push_back(**job);
          }
        }) {}
  ~Worker() { Stop(); }

  // Every job it was given.
  std::vector<Job> Stop() {
    stopping_ = true;
    jobs_->EndWait(name_);
    if (thread_.joinable()) thread_.join();
    absl::MutexLock lock(&mutex_);
    return taken_;
  }
  // Waits for it.
  Job Last(size_t count) {
    const auto there = [&] { return taken_.size() >= count; };
    absl::MutexLock lock(&mutex_);
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&there), kNever));
    return taken_.empty() ? Job() : taken_.back();
  }

 private:
  JobStore* const jobs_;
  const std::string name_;
  std::atomic<bool> stopping_ = false;
  absl::Mutex mutex_;
  std::vector<Job> taken_;
  std::thread thread_;
};

class HandOverTest : public JobStoreFixture {
 protected:
  // Creates jobs until one is handed over: until then the worker was not in the
  // line yet and took them itself.
  Job CreateForWaiting(Worker* worker) {
    const absl::Time give_up = absl::Now() + kNever;
    while (absl::Now() < give_up) {
      const Job job = Create();
      const Job taken = worker->Last(++created_);
      if (job.id == 0 || taken.id != job.id) break;
      if (job.state == JobState::kRunning) return job;
      EXPECT_TRUE(Complete(taken.id, taken.fence, 1).ok());
    }
    ADD_FAILURE() << "no job was handed over";
    return {};
  }

  size_t created_ = 0;
};

TEST_F(HandOverTest, AJobGoesToAWaitingWorkerInTheTransactionThatMakesIt) {
  clock_.Advance(absl::Microseconds(1234));  // stored in milliseconds
  Worker worker(jobs_.get(), "w1");
  const Job job = CreateForWaiting(&worker);
  EXPECT_EQ(job.owner, "w1");
  EXPECT_EQ(job.fence, 1);
  EXPECT_EQ(job.attempt, 1);
  EXPECT_EQ(job, Get(job.id));
  const std::vector<JobEvent> events = Events(job.id);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].message, "queued");
  EXPECT_EQ(events[1].message, "running on w1");
  EXPECT_TRUE(Complete(job.id, job.fence, 1).ok());
}

TEST_F(HandOverTest, ATransactionThatFailsHandsNothingOver) {
  Worker worker(jobs_.get(), "w1");
  CreateForWaiting(&worker);
  bool offered = false;
  const absl::Time give_up = absl::Now() + kNever;
  while (!offered && absl::Now() < give_up) {
    EXPECT_TRUE(absl::IsCancelled(db_->Write([&](store::Transaction& tx) {
      const auto job = jobs_->Create(tx, SomeJob());
      EXPECT_TRUE(job.ok()) << job.status();
      offered = job->state == JobState::kRunning;
      return absl::CancelledError("no");
    })));
  }
  EXPECT_TRUE(offered);
  const Job next = CreateForWaiting(&worker);
  EXPECT_EQ(worker.Stop().size(), created_);
  EXPECT_EQ(next.id, static_cast<int64_t>(created_));
}

TEST_F(HandOverTest, JobsOfOneTransactionGoToAsManyWorkers) {
  Worker first(jobs_.get(), "w1");
  Worker second(jobs_.get(), "w2");
  const absl::Time give_up = absl::Now() + kNever;
  std::map<std::string, int> owners;
  int64_t made = 0;
  while (owners.size() < 2 && absl::Now() < give_up) {
    owners.clear();
    absl::SleepFor(absl::Milliseconds(2));  // they line up meanwhile
    ASSERT_TRUE(db_->Write([&](store::Transaction& tx) {
                     for (int i = 0; i < 2; ++i) {
                       const auto job = jobs_->Create(tx, SomeJob());
                       EXPECT_TRUE(job.ok()) << job.status();
                       if (!job->owner.empty()) ++owners[job->owner];
                     }
                     made += 2;
                     return absl::OkStatus();
                   })
                    .ok());
  }
  EXPECT_EQ(owners, (std::map<std::string, int>{{"w1", 1}, {"w2", 1}}));
  while (absl::Now() < give_up &&
         (*jobs_->CountByState())[static_cast<size_t>(JobState::kQueued)] > 0) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_EQ(static_cast<int64_t>(first.Stop().size() + second.Stop().size()),
            made);
}

TEST_F(HandOverTest, ATenantAtItsBoundWaitsThoughAWorkerDoes) {
  Open({.max_running_tenant = 1});
  Worker worker(jobs_.get(), "w1");
  const Job running = CreateForWaiting(&worker);
  NewJob other = SomeJob();
  other.tenant = "bob";
  const Job second = Create();
  EXPECT_EQ(second.state, JobState::kQueued);
  const auto bobs = jobs_->Create(other);
  ASSERT_TRUE(bobs.ok());
  EXPECT_EQ(worker.Last(created_ + 1).id, bobs->id);
  ASSERT_TRUE(Complete(running.id, running.fence, 1).ok());
  EXPECT_EQ(worker.Last(created_ + 2).id, second.id);
}

TEST_F(HandOverTest, AJobThatComesBackReachesAWaitingWorker) {
  Worker worker(jobs_.get(), "w1");
  const Job job = CreateForWaiting(&worker);
  ASSERT_TRUE(jobs_->Release(job.id, job.fence).ok());
  const Job again = worker.Last(created_ + 1);
  EXPECT_EQ(again.id, job.id);
  EXPECT_EQ(again.fence, 2);
}

TEST_F(HandOverTest, EveryJobGoesToOneWorkerWhileAllComeAndGo) {
  constexpr int kJobs = 300;
  std::vector<std::unique_ptr<Worker>> workers;
  for (int i = 0; i < 4; ++i) {
    // Deadlines that meet hand-overs.
    workers.push_back(std::make_unique<Worker>(
        jobs_.get(), absl::StrCat("w", i), absl::Milliseconds(i)));
  }
  std::vector<std::thread> makers;
  for (int maker = 0; maker < 2; ++maker) {
    makers.emplace_back([&] {
      for (int i = 0; i < kJobs / 2; ++i) {
        if (i % 5 == 0) {
          db_->Write([&](store::Transaction& tx) {
               return jobs_->Create(tx, SomeJob()).ok()
                          ? absl::CancelledError("no")
                          : absl::OkStatus();
             })
              .IgnoreError();
        }
        Create();
      }
    });
  }
  for (std::thread& maker : makers) maker.join();
  std::map<int64_t, int> taken;
  const absl::Time give_up = absl::Now() + kNever;
  while ((*jobs_->CountByState())[static_cast<size_t>(JobState::kQueued)] > 0 &&
         absl::Now() < give_up) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  for (const auto& worker : workers) {
    for (const Job& job : worker->Stop()) {
      ++taken[job.id];
      EXPECT_EQ(job.fence, 1);
    }
  }
  EXPECT_EQ(taken.size(), static_cast<size_t>(kJobs));
  for (const auto& [id, times] : taken) EXPECT_EQ(times, 1) << id;
}

}  // namespace
}  // namespace promptd::jobs
