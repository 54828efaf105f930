#include "wire/rendezvous.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace promptd::wire {
namespace {

std::vector<std::shared_ptr<RouteTarget>> Targets(int count) {
  std::vector<std::shared_ptr<RouteTarget>> targets;
  for (int i = 0; i < count; ++i) {
    targets.push_back(std::make_shared<RouteTarget>());
    targets.back()->id = absl::StrCat("w", i);
  }
  return targets;
}

TEST(RendezvousTest, AHashIsTheSameInEveryProcess) {
  EXPECT_EQ(RoutingHash("promptd"), RoutingHash(std::string("promptd")));
  EXPECT_NE(RoutingHash("promptd"), RoutingHash("promptc"));
  EXPECT_NE(RoutingHash(""), RoutingHash(absl::string_view("\0", 1)));
  // One byte of a long text, anywhere.
  std::string text(1000, 'x');
  const uint64_t hash = RoutingHash(text);
  for (size_t i = 0; i < text.size(); i += 97) {
    text[i] = 'y';
    EXPECT_NE(RoutingHash(text), hash) << i;
    text[i] = 'x';
  }
}

TEST(RendezvousTest, KeysSpreadAndOnlyThoseOfALostWorkerMove) {
  auto targets = Targets(4);
  std::map<std::string, int> counts;
  std::map<uint64_t, std::string> before;
  for (uint64_t key = 0; key < 4000; ++key) {
    const uint64_t hash = RoutingHash(absl::StrCat("image ", key));
    before[hash] = RankByHash(targets, hash, 1).front()->id;
    ++counts[before[hash]];
  }
  for (const auto& [id, count] : counts) {
    EXPECT_GT(count, 850) << id;
    EXPECT_LT(count, 1150) << id;
  }
  targets.erase(targets.begin() + 1);
  for (const auto& [key, id] : before) {
    const std::string now = RankByHash(targets, key, 1).front()->id;
    if (id != "w1") {
      EXPECT_EQ(now, id);
    } else {
      EXPECT_NE(now, "w1");
    }
  }
}

TEST(RendezvousTest, AKeyThatEverybodyAsksForSpillsOver) {
  const auto targets = Targets(3);
  std::map<std::string, int> counts;
  for (int i = 0; i < 300; ++i) {
    const auto target = RankByHash(targets, 42, 1).front();
    ++target->load;
    ++counts[target->id];
  }
  for (const auto& target : targets) {
    EXPECT_LE(target->load, 126) << target->id;  // 1.25 times the mean
    EXPECT_GT(target->load, 0) << target->id;
  }
}

TEST(RendezvousTest, WhatWeighsNothingGoesWhereItsKeySays) {
  const auto targets = Targets(3);
  const auto first = RankByHash(targets, 42, 1).front();
  first->load = 1000;
  EXPECT_NE(RankByHash(targets, 42, 1).front(), first);
  EXPECT_EQ(RankByHash(targets, 42, 0).front(), first);
}

TEST(RendezvousTest, AnIdleWorkerTakesACallOfAnySize) {
  EXPECT_EQ(RankByHash(Targets(1), 42, 64).size(), 1u);
  const auto targets = Targets(2);
  const auto first = RankByHash(targets, 42, 64).front();
  EXPECT_EQ(RankByHash(targets, 42, 64).front(), first);
}

TEST(RendezvousTest, OtherCallsGoToTheLeastLoaded) {
  const auto targets = Targets(3);
  targets[0]->load = 2;
  targets[1]->load = 1;
  targets[2]->load = 3;
  EXPECT_EQ(RankByLoad(targets).front()->id, "w1");
}

}  // namespace
}  // namespace promptd::wire
