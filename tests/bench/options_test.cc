#include "bench/load/options.h"

#include <gtest/gtest.h>

#include <initializer_list>

namespace promptd::load {
namespace {

ParsedOptions Parse(std::initializer_list<const char*> words) {
  std::vector<const char*> argv = {"load_generator", "--target", "host:1",
                                   "--name", "pets"};
  argv.insert(argv.end(), words);
  return ParseOptions(static_cast<int>(argv.size()),
                      const_cast<char**>(argv.data()));
}

TEST(OptionsTest, ReadsAClosedLoopOfClassify) {
  const ParsedOptions parsed =
      Parse({"a.jpg", "b.jpg", "--concurrency", "16", "--versions", "3-9",
             "--seconds", "0.5", "--deadline-ms", "20"});
  ASSERT_FALSE(parsed.exit_code.has_value());
  const Options& options = parsed.options;
  EXPECT_EQ(options.request.api, Api::kClassify);
  EXPECT_EQ(options.images.paths.size(), 2u);
  EXPECT_EQ(options.pace.concurrency, 16);
  EXPECT_EQ(options.pace.rate, 0);
  ASSERT_TRUE(options.request.versions.has_value());
  EXPECT_EQ(options.request.versions->first, 3);
  EXPECT_EQ(options.request.versions->last, 9);
  EXPECT_EQ(options.pace.length, absl::Milliseconds(500));
  EXPECT_EQ(options.pace.deadline, absl::Milliseconds(20));
}

TEST(OptionsTest, ReadsAnOpenLoopOfPixels) {
  const ParsedOptions parsed =
      Parse({"--api", "infer", "--pixels", "--rate", "12.5", "--arrivals",
             "fixed", "--versions", "7"});
  ASSERT_FALSE(parsed.exit_code.has_value());
  EXPECT_EQ(parsed.options.request.api, Api::kInfer);
  EXPECT_EQ(parsed.options.pace.rate, 12.5);
  EXPECT_EQ(parsed.options.pace.pattern, ArrivalPattern::kFixed);
  EXPECT_EQ(parsed.options.request.versions->first, 7);
  EXPECT_EQ(parsed.options.request.versions->last, 7);
}

TEST(OptionsTest, ReadsStreamsByDigest) {
  const ParsedOptions parsed =
      Parse({"a.jpg", "--api", "stream", "--by-digest", "--channels", "2"});
  ASSERT_FALSE(parsed.exit_code.has_value());
  EXPECT_EQ(parsed.options.request.api, Api::kStream);
  EXPECT_TRUE(parsed.options.images.by_digest);
  EXPECT_EQ(parsed.options.channels, 2);
}

TEST(OptionsTest, HelpEndsWell) { EXPECT_EQ(Parse({"--help"}).exit_code, 0); }

TEST(OptionsTest, RefusesWhatDoesNotFitTogether) {
  for (const auto& words : std::vector<std::initializer_list<const char*>>{
           {},                                              // no images
           {"--pixels"},                                    // with classify
           {"a.jpg", "--pixels", "--api", "infer"},         // both
           {"a.jpg", "--input", "IMAGE"},                   // with classify
           {"a.jpg", "--api", "infer", "--alias", "x"},     // of a model
           {"a.jpg", "--alias", "x", "--versions", "1"},    // two selectors
           {"a.jpg", "--versions", "9-3"},                  // backwards
           {"a.jpg", "--versions", "0"},                    // below 1
           {"a.jpg", "--versions", "1-2-3"},                // no range
           {"a.jpg", "--rate", "5", "--concurrency", "2"},  // two loops
           {"a.jpg", "--rate", "0"},
           {"a.jpg", "--seconds", "-1"},
           {"a.jpg", "--api", "rest"},
           {"a.jpg", "--api", "infer", "--by-digest"},   // of a model
           {"a.jpg", "--fresh", "--by-digest"},          // never sent
           {"a.jpg", "--shared-memory"},                 // not of classify
           {"a.jpg", "--api", "stream", "--rate", "5"},  // an open loop
           {"a.jpg", "--api", "stream", "--deadline-ms", "5"},
           {"--api", "stream", "--pixels"},
       }) {
    EXPECT_EQ(Parse(words).exit_code, 2);
  }
}

}  // namespace
}  // namespace promptd::load
