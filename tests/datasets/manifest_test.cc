#include "datasets/manifest.h"

#include <string>

#include "common/error.h"
#include "datasets/name_rules.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace promptd::datasets {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::SizeIs;

std::string Digest(char digit) { return std::string(64, digit); }

Manifest Pets() {
  Manifest manifest;
  manifest.name = "pets";
  manifest.class_names = {"cat", "golden retriever"};
  manifest.items = {{"train/cat/1.png", Digest('a'), 0, Split::kTrain},
                    {"train/dog/1.png", Digest('b'), 1, Split::kTrain},
                    {"test/cat/2.png", Digest('c'), 0, Split::kTest}};
  return manifest;
}

auto Violation(const std::string& field, const std::string& part) {
  return AllOf(Field(&FieldViolation::field, field),
               Field(&FieldViolation::description, HasSubstr(part)));
}

std::vector<FieldViolation> Problems(const Manifest& manifest,
                                     const ManifestLimits& limits = {}) {
  const absl::Status status = ValidateManifest(manifest, limits);
  if (!status.ok()) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(ErrorReason(status), "INVALID_MANIFEST");
  }
  return ErrorFields(status);
}

TEST(ValidateManifestTest, AcceptsAGoodOne) {
  EXPECT_TRUE(ValidateManifest(Pets()).ok()) << ValidateManifest(Pets());
}

TEST(ValidateManifestTest, ReportsAllProblemsAtOnce) {
  Manifest manifest = Pets();
  manifest.name = "My Pets";
  manifest.class_names = {"cat", " \t", "Golden_Retriever",
                          "golden   retriever"};
  manifest.items[0].path = "/etc/passwd";
  manifest.items[1].digest = "abc";
  manifest.items[1].class_index = 4;
  manifest.items[2].path = "a/../../b";
  manifest.items[2].class_index = -1;
  const std::vector<FieldViolation> problems = Problems(manifest);
  EXPECT_THAT(problems, SizeIs(8));
  EXPECT_THAT(problems, Contains(Violation("name", "My Pets")));
  EXPECT_THAT(problems, Contains(Violation("class_names[1]", "control")));
  EXPECT_THAT(problems,
              Contains(Violation("class_names[3]", "Golden_Retriever")));
  EXPECT_THAT(problems, Contains(Violation("items[0].path", "absolute")));
  EXPECT_THAT(problems, Contains(Violation("items[1].digest", "SHA-256")));
  EXPECT_THAT(problems, Contains(Violation("items[1].class_index", "4")));
  EXPECT_THAT(problems, Contains(Violation("items[2].path", "..")));
  EXPECT_THAT(problems, Contains(Violation("items[2].class_index", "-1")));
}

TEST(ValidateManifestTest, RefusesNamesThatClipCannotTellApart) {
  for (const char* other : {"CAT", "_cat", "cat_", "cat ",
                            "\xc2\xa0"
                            "cat"}) {
    Manifest manifest = Pets();
    manifest.class_names[1] = other;
    EXPECT_THAT(Problems(manifest),
                Contains(Violation("class_names[1]", "same name")))
        << other;
  }
  Manifest manifest = Pets();
  manifest.class_names = {"\xc3\x89toile", "\xc3\xa9toile"};  // É, é
  EXPECT_THAT(Problems(manifest), SizeIs(1));
}

TEST(ValidateManifestTest, RefusesWhatIsNotPlainText) {
  for (const std::string& bad :
       {std::string("a\0b", 3), std::string("a\nb"), std::string("a\x7f"),
        std::string("\xff"), std::string("\xc3"), std::string("\xc2\x85"),
        std::string("\xed\xa0\x80"), std::string("\xc0\x80")}) {
    Manifest manifest = Pets();
    manifest.class_names[1] = bad;
    manifest.items[0].path = "x/" + bad;
    EXPECT_THAT(Problems(manifest), SizeIs(2));
  }
}

TEST(ValidateManifestTest, RefusesEmptyOnesAndRepeatedPaths) {
  Manifest manifest;
  manifest.name = "pets";
  EXPECT_THAT(Problems(manifest), SizeIs(2));
  manifest = Pets();
  manifest.items[2].path = manifest.items[0].path;
  EXPECT_THAT(Problems(manifest),
              Contains(Violation("items[2].path", "twice")));
  for (const char* path : {"", ".", "a//b", "a/", "./a", "a/.."}) {
    manifest.items[2].path = path;
    EXPECT_THAT(Problems(manifest), SizeIs(1)) << path;
  }
}

TEST(ValidateManifestTest, HoldsTheLimits) {
  const Manifest manifest = Pets();
  EXPECT_THAT(Problems(manifest, {.max_classes = 1}),
              Contains(Violation("class_names", "limit is 1")));
  EXPECT_THAT(Problems(manifest, {.max_images = 2}),
              Contains(Violation("items", "limit is 2")));
  EXPECT_THAT(Problems(manifest, {.max_name_bytes = 15}), SizeIs(1));
  EXPECT_THAT(Problems(manifest, {.max_name_bytes = 16}), SizeIs(0));
  EXPECT_THAT(Problems(manifest, {.max_path_bytes = 14}), SizeIs(2));
  EXPECT_THAT(Problems(manifest, {.max_path_bytes = 15}), SizeIs(0));
}

TEST(ValidateManifestTest, AMillionProblemsMakeAShortError) {
  Manifest manifest = Pets();
  manifest.items.assign(1'000'000, {"x", "", 9, Split::kTrain});
  const absl::Status status = ValidateManifest(manifest);
  EXPECT_LT(status.message().size(), 20'000u);
  EXPECT_THAT(ErrorFields(status), Contains(Violation("manifest", "more")));
}

TEST(ManifestDigestTest, TellsEveryPartButTheName) {
  const Manifest pets = Pets();
  const std::string digest = ManifestDigest(pets);
  Manifest other = pets;
  other.name = "animals";
  EXPECT_EQ(ManifestDigest(other), digest);
  const auto changed = [&pets, &digest](auto change) {
    Manifest manifest = pets;
    change(&manifest);
    return ManifestDigest(manifest) != digest;
  };
  EXPECT_TRUE(changed([](Manifest* m) { m->class_names[0] = "Cat"; }));
  EXPECT_TRUE(changed([](Manifest* m) { m->items[0].path += "x"; }));
  EXPECT_TRUE(changed([](Manifest* m) { m->items[0].digest[0] = 'f'; }));
  EXPECT_TRUE(changed([](Manifest* m) { m->items[0].class_index = 1; }));
  EXPECT_TRUE(changed([](Manifest* m) { m->items[0].split = Split::kVal; }));
  EXPECT_TRUE(changed([](Manifest* m) { m->items.pop_back(); }));
  EXPECT_TRUE(
      changed([](Manifest* m) { std::swap(m->items[0], m->items[1]); }));
}

TEST(ManifestDigestTest, NamesCannotRunIntoEachOther) {
  Manifest one = Pets();
  Manifest two = Pets();
  one.class_names = {"a\n1:b"};
  two.class_names = {"a", "b"};
  EXPECT_NE(ManifestDigest(one), ManifestDigest(two));
}

// The digest is stored and compared for years: it must not drift.
TEST(ManifestDigestTest, IsPinned) {
  EXPECT_EQ(ManifestDigest(Pets()),
            "f8b077c375f8c3295dc27b3a15d17ffabb3de7c82364b181e10156ede599cbe6");
}

TEST(ManifestJsonTest, RoundTrips) {
  Manifest manifest = Pets();
  manifest.class_names[0] = "\xe7\x8c\xab \"quoted\" \\";
  const std::string json = ManifestToJson(manifest);
  const auto read = ManifestFromJson(json);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, manifest);
  EXPECT_EQ(ManifestToJson(*read), json);
}

TEST(ManifestJsonTest, RefusesWhatWeDidNotWrite) {
  const std::string good = ManifestToJson(Pets());
  for (const std::string& bad :
       {std::string(), std::string("[]"), std::string("{}"),
        std::string("{\"version\":2}"), std::string("{\"version\":\"1\"}"),
        good.substr(0, good.size() / 2),
        std::string("{\"version\":1,\"name\":\"x\",\"class_names\":[\"a\"],"
                    "\"items\":[[\"p\",\"d\",1,\"train\"]]}"),
        std::string("{\"version\":1,\"name\":\"x\",\"class_names\":[\"a\"],"
                    "\"items\":[[\"p\",\"d\",0,\"dev\"]]}")}) {
    const auto read = ManifestFromJson(bad);
    EXPECT_EQ(read.status().code(), absl::StatusCode::kInternal) << bad;
    EXPECT_EQ(ErrorReason(read.status()), "BAD_STORED_MANIFEST");
  }
}

TEST(NameRulesTest, FoldsAsClipDoes) {
  EXPECT_EQ(FoldClassName("  Golden__Retriever \t(dog)_"),
            "golden retriever (dog)");
  EXPECT_EQ(FoldClassName("\xc3\x80\xe3\x80\x80x"), "\xc3\xa0 x");
}

TEST(NameRulesTest, Utf8MayHoldControlsAndPlainTextMayNot) {
  EXPECT_TRUE(IsUtf8("caf\xc3\xa9\tau lait\n"));
  EXPECT_FALSE(IsPlainText("caf\xc3\xa9\tau lait\n"));
  EXPECT_TRUE(IsUtf8(""));
  for (const char* text : {"\xff", "caf\xc3", "\xed\xa0\x80", "\xc0\xaf"}) {
    EXPECT_FALSE(IsUtf8(text));
  }
}

}  // namespace
}  // namespace promptd::datasets
