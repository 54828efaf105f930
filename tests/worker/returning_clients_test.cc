#include "worker/returning_clients.h"

#include <gtest/gtest.h>

namespace promptd::worker {
namespace {

constexpr absl::Duration kPatience = absl::Milliseconds(10);

class ReturningClientsTest : public ::testing::Test {
 protected:
  void Pass(int milliseconds) { now_ += absl::Milliseconds(milliseconds); }
  void Answered(size_t images) { clients_.Answered(images, now_, kPatience); }
  void Came(int images, int every_milliseconds) {
    for (int i = 0; i < images; ++i) {
      Pass(every_milliseconds);
      clients_.Came(now_, kPatience);
    }
  }
  // Rounds of clients that come back at once.
  void Return(int rounds, int images) {
    for (int i = 0; i < rounds; ++i) {
      Answered(static_cast<size_t>(images));
      Came(images, 2);
      Pass(100);
    }
  }

  absl::Time now_ = absl::UnixEpoch();
  ReturningClients clients_;
};

TEST_F(ReturningClientsTest, AreExpectedOnceTheyDidSoForAWhile) {
  Return(8, 16);
  Answered(16);
  EXPECT_FALSE(clients_.Expected());
  Came(16, 2);
  Answered(16);
  EXPECT_TRUE(clients_.Expected());
  EXPECT_EQ(clients_.last(), now_);
  Came(15, 9);
  EXPECT_TRUE(clients_.Expected());
  EXPECT_EQ(clients_.away(), 1u);
  Came(1, 9);
  EXPECT_FALSE(clients_.Expected());  // they are here
}

TEST_F(ReturningClientsTest, OneClientSaysLittle) {
  Return(100, 1);
  Answered(1);
  EXPECT_FALSE(clients_.Expected());
}

TEST_F(ReturningClientsTest, WhoComesWhenItIsDueIsNotExpected) {
  Return(20, 16);
  // The next image comes every 9 ms whatever is answered, but not in time for
  // all.
  for (int i = 0; i < 4; ++i) {
    Answered(16);
    Came(5, 9);
    Pass(11);
  }
  Answered(16);
  EXPECT_FALSE(clients_.Expected());
  EXPECT_EQ(clients_.away(), 16u);
}

TEST_F(ReturningClientsTest, WhoIsLateIsAwayAndNotExpected) {
  Return(20, 16);
  Answered(16);
  Came(10, 2);
  EXPECT_TRUE(clients_.Expected());
  Came(1, 11);
  EXPECT_FALSE(clients_.Expected());
  EXPECT_EQ(clients_.away(), 5u);
  // The next round has its own.
  Answered(4);
  EXPECT_EQ(clients_.away(), 4u);
}

TEST_F(ReturningClientsTest, AnswersOfSeveralBatchesAreOneRound) {
  Return(20, 16);
  Answered(8);
  Pass(5);
  Answered(8);
  EXPECT_EQ(clients_.away(), 16u);
  clients_.Unanswered(3);
  EXPECT_EQ(clients_.away(), 13u);
  clients_.Unanswered(100);
  EXPECT_EQ(clients_.away(), 0u);
}

}  // namespace
}  // namespace promptd::worker
