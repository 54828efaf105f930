#include "worker/keyed_hash.h"

#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace promptd::worker {
namespace {

TEST(KeyedHashTest, EqualBytesHaveEqualHashesAndOthersHaveNot) {
  std::set<std::string> hashes;
  std::string bytes(100'000, 'x');
  hashes.insert(KeyedHash(bytes));
  EXPECT_EQ(hashes.begin()->size(), 16u);
  EXPECT_EQ(KeyedHash(bytes), *hashes.begin());
  for (size_t i = 0; i < bytes.size(); i += 997) {
    bytes[i] = 'y';
    hashes.insert(KeyedHash(bytes));
    bytes[i] = 'x';
  }
  EXPECT_EQ(hashes.size(), 102u);
  // Ends that are padded with zeros are told apart by the length.
  for (const size_t size : {0, 1, 15, 16, 17, 32}) {
    EXPECT_TRUE(hashes.insert(KeyedHash(std::string(size, '\0'))).second);
  }
}

TEST(KeyedHashTest, ThreadsHaveOneKey) {
  const std::string expected = KeyedHash("text");
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 1000; ++n) EXPECT_EQ(KeyedHash("text"), expected);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace promptd::worker
