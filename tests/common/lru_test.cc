#include "common/lru.h"

#include <string>

#include <gtest/gtest.h>

namespace promptd {
namespace {

TEST(LruTest, TheLeastRecentlyUsedGoesFirst) {
  Lru<std::string, int> lru(10);
  EXPECT_EQ(lru.Insert("a", 1, 4), 0);
  EXPECT_EQ(lru.Insert("b", 2, 4), 0);
  ASSERT_NE(lru.Find("a"), nullptr);
  EXPECT_EQ(lru.Insert("c", 3, 4), 1);
  EXPECT_EQ(lru.Find("b"), nullptr);
  ASSERT_NE(lru.Find("a"), nullptr);
  EXPECT_EQ(*lru.Find("a"), 1);
  EXPECT_EQ(*lru.Find("c"), 3);
  EXPECT_EQ(lru.bytes(), 8);
  EXPECT_EQ(lru.size(), 2);
}

TEST(LruTest, AValueTakesTheOldOnesPlace) {
  Lru<std::string, int> lru(10);
  lru.Insert("a", 1, 4);
  lru.Insert("b", 2, 4);
  EXPECT_EQ(lru.Insert("a", 3, 6), 0);
  EXPECT_EQ(*lru.Find("a"), 3);
  EXPECT_EQ(lru.bytes(), 10);
  EXPECT_EQ(lru.size(), 2);
}

TEST(LruTest, WhatIsLargerThanTheBudgetIsNotKept) {
  Lru<std::string, int> lru(10);
  lru.Insert("a", 1, 4);
  lru.Insert("b", 2, 4);
  EXPECT_EQ(lru.Insert("a", 3, 11), 0);
  EXPECT_EQ(lru.Find("a"), nullptr);
  EXPECT_NE(lru.Find("b"), nullptr);
  EXPECT_EQ(lru.Insert("c", 4, 10), 1);
  EXPECT_EQ(lru.size(), 1);
  EXPECT_EQ(lru.bytes(), 10);
}

TEST(LruTest, ErasesWhatIsThere) {
  Lru<std::string, int> lru(10);
  lru.Insert("a", 1, 4);
  lru.Erase("b");
  lru.Erase("a");
  EXPECT_EQ(lru.Find("a"), nullptr);
  EXPECT_EQ(lru.bytes(), 0);
}

}  // namespace
}  // namespace promptd
