#include "weights/pickle_reader.h"

#include <gtest/gtest.h>

#include "common/error.h"
#include "tests/weights/archive_builder.h"

namespace promptd::weights {
namespace {

using Kind = PickleValue::Kind;

const char kNewFalse[] = "\x89";

// A dict as the pickles below make it: its value under `key`.
const PickleValue& Member(const PickleDocument& document,
                          const std::string& key) {
  const PickleValue& root = document.at(document.root);
  for (size_t i = 0; i + 1 < root.items.size(); i += 2) {
    if (document.at(root.items[i]).text == key) {
      return document.at(root.items[i + 1]);
    }
  }
  ADD_FAILURE() << key;
  return root;
}

TEST(PickleReaderTest, ReadsPlainValues) {
  const auto document = ReadPickle(
      PickleDict(
          {{"none", "N"},
           {"true", "\x88"},
           {"byte", "K\xff"},
           {"two", std::string("M\1\2", 3)},
           {"minus", "J\xff\xff\xff\xff"},
           {"long", "\x8a\2\xff\xff"},
           {"long0", std::string("\x8a\0", 2)},
           {"real", std::string("G\x3f\xf8\0\0\0\0\0\0", 9)},
           {"list", "](K\1K\2e"},
           {"one", "]K\1a"},
           {"tuple", "K\1K\2\x86"},
           {"size", PickleGlobalLine("torch", "Size") + "K\3\x85\x85R"},
           {"type", PickleGlobalLine("torch", "float16")},
           {"numpy", PickleGlobalLine("numpy._core.multiarray", "scalar") +
                         PickleGlobalLine("numpy", "dtype") +
                         PickleString("f8") + "\x89\x88\x87RK\3N\x86" + "b" +
                         PickleGlobalLine("_codecs", "encode") +
                         PickleString("x") + PickleString("latin1") +
                         "\x86R\x86R"}}),
      "values");
  ASSERT_TRUE(document.ok()) << document.status();
  EXPECT_EQ(Member(*document, "none").kind, Kind::kNone);
  EXPECT_EQ(Member(*document, "true").integer, 1);
  EXPECT_EQ(Member(*document, "byte").integer, 255);
  EXPECT_EQ(Member(*document, "two").integer, 513);
  EXPECT_EQ(Member(*document, "minus").integer, -1);
  EXPECT_EQ(Member(*document, "long").integer, -1);
  EXPECT_EQ(Member(*document, "long0").integer, 0);
  EXPECT_EQ(Member(*document, "real").real, 1.5);
  EXPECT_EQ(Member(*document, "list").items.size(), 2u);
  EXPECT_EQ(Member(*document, "one").items.size(), 1u);
  EXPECT_EQ(Member(*document, "tuple").kind, Kind::kTuple);
  EXPECT_EQ(Member(*document, "size").kind, Kind::kTuple);
  EXPECT_EQ(Member(*document, "type").text, "torch.float16");
  EXPECT_EQ(Member(*document, "numpy").kind, Kind::kUnread);
}

TEST(PickleReaderTest, ReadsTensorsThroughTheMemo) {
  PickledTensor tensor;
  tensor.storage = "HalfStorage";
  tensor.shape = {2, 2};
  tensor.strides = {1, 2};
  tensor.device = "cuda:0";
  const auto document = ReadPickle(
      PickleDict(
          {{"a", Pickled(tensor) + "q\7"},
           {"b",
            PickleGlobalLine("torch._utils", "_rebuild_parameter") + "h\7\x88" +
                PickleGlobalLine("collections", "OrderedDict") + ")R\x87R"}}),
      "tensors");
  ASSERT_TRUE(document.ok()) << document.status();
  const PickleValue& a = Member(*document, "a");
  ASSERT_EQ(a.kind, Kind::kTensor);
  EXPECT_EQ(Member(*document, "b").integer, a.integer);
  const PickleTensor& read = document->tensors[0];
  EXPECT_EQ(read.storage.type, ElementType::kF16);
  EXPECT_EQ(read.storage.key, "0");
  EXPECT_EQ(read.storage.elements, 4);
  EXPECT_EQ(read.shape, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(read.strides, (std::vector<int64_t>{1, 2}));
}

TEST(PickleReaderTest, ReadsProtocolFour) {
  const std::string frame = "\x95" + Number(3, 8);
  const auto document = ReadPickle(
      "\x80\4" + frame + "}\x94(\x8c\1k\x94\x8d" + Number(1, 8) + "v\x94u\x8c" +
          std::string("\x0b") + "collections\x8c\x0bOrderedDict\x93)R0.",
      "four");
  ASSERT_TRUE(document.ok()) << document.status();
  EXPECT_EQ(Member(*document, "k").text, "v");
}

TEST(PickleReaderTest, ReadsModules) {
  const auto document = ReadPickle(
      Pickle(PickleGlobalLine("__torch__.model", "CLIP") + ")\x81}(" +
             PickleString("training") + kNewFalse + "ub"),
      "module");
  ASSERT_TRUE(document.ok()) << document.status();
  EXPECT_EQ(document->at(document->root).kind, Kind::kModule);
  EXPECT_EQ(document->at(document->root).text, "__torch__.model.CLIP");
  EXPECT_EQ(Member(*document, "training").kind, Kind::kBool);
}

class PickleHostileTest : public ::testing::TestWithParam<HostileCase> {};

TEST_P(PickleHostileTest, IsRefusedWithItsReason) {
  const auto document = ReadPickle(GetParam().bytes, "hostile.pkl");
  ASSERT_FALSE(document.ok());
  EXPECT_EQ(document.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ErrorReason(document.status()), GetParam().reason)
      << document.status();
  const std::string message(document.status().message());
  EXPECT_EQ(message.substr(0, 23), "hostile.pkl: at offset ") << message;
}

INSTANTIATE_TEST_SUITE_P(Pickles, PickleHostileTest,
                         ::testing::ValuesIn(HostilePickles()), NameOfCase());

TEST(PickleReaderTest, NamesTheGlobalAndItsOffset) {
  EXPECT_EQ(ReadPickle(Pickle(PickleGlobalLine("os", "system")), "a.pt")
                .status()
                .message(),
            "a.pt: at offset 2: opcode GLOBAL (0x63): global \"os.system\" is "
            "not allowed: weights need none but torch's own");
}

}  // namespace
}  // namespace promptd::weights
