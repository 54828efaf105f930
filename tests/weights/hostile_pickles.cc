#include "tests/weights/archive_builder.h"

namespace promptd::weights {
namespace {

std::string Call(const std::string& module, const std::string& name,
                 const std::string& arguments) {
  return Pickle(PickleGlobalLine(module, name) + arguments + "R");
}

std::vector<HostileCase> CodeCases() {
  const std::string command = "(" + PickleString("touch x") + "t";
  const std::string stack_global =
      PickleString("os") + PickleString("system") + "\x93";
  return {
      {"System", "PICKLE_FORBIDDEN_GLOBAL", Call("os", "system", command)},
      {"Posix", "PICKLE_FORBIDDEN_GLOBAL", Call("posix", "system", command)},
      {"Eval", "PICKLE_FORBIDDEN_GLOBAL", Call("builtins", "eval", command)},
      {"Exec", "PICKLE_FORBIDDEN_GLOBAL", Call("__builtin__", "exec", command)},
      {"Popen", "PICKLE_FORBIDDEN_GLOBAL",
       Call("subprocess", "Popen", command)},
      {"TorchLoad", "PICKLE_FORBIDDEN_GLOBAL", Call("torch", "load", command)},
      {"TorchHub", "PICKLE_FORBIDDEN_GLOBAL",
       Call("torch.hub", "load", command)},
      {"Getattr", "PICKLE_FORBIDDEN_GLOBAL",
       Call("builtins", "getattr", command)},
      {"DottedName", "PICKLE_FORBIDDEN_GLOBAL",
       Call("torch", "_utils._rebuild_tensor_v2", command)},
      {"DottedStorage", "PICKLE_FORBIDDEN_GLOBAL",
       Call("torch", "serialization.os.system", command)},
      {"SimilarModule", "PICKLE_FORBIDDEN_GLOBAL",
       Call("__torch__x", "CLIP", command)},
      {"ModuleWithSpace", "PICKLE_FORBIDDEN_GLOBAL",
       Call("__torch__. os", "system", command)},
      {"RebuildFromFile", "PICKLE_FORBIDDEN_GLOBAL",
       Call("torch._utils", "_rebuild_device_tensor_from_numpy", command)},
      {"StackGlobal", "PICKLE_FORBIDDEN_GLOBAL",
       Pickle(stack_global + command + "R")},
      {"Inst", "PICKLE_FORBIDDEN_OPCODE",
       Pickle("(" + PickleString("x") + "ios\nsystem\n")},
      {"Obj", "PICKLE_FORBIDDEN_OPCODE",
       Pickle("(" + PickleGlobalLine("torch", "Size") + "o")},
      {"NewObjEx", "PICKLE_FORBIDDEN_OPCODE",
       Pickle(PickleGlobalLine("torch", "Size") + ")}\x92")},
      {"Extension", "PICKLE_FORBIDDEN_OPCODE", Pickle("\x82\1")},
      {"PersId", "PICKLE_FORBIDDEN_OPCODE", Pickle("Pname\n")},
      {"Dup", "PICKLE_FORBIDDEN_OPCODE", Pickle("N2")},
      {"TextInt", "PICKLE_FORBIDDEN_OPCODE", Pickle("I1\n")},
      {"Buffer", "PICKLE_FORBIDDEN_OPCODE", Pickle("\x97")},
      {"Unknown", "PICKLE_FORBIDDEN_OPCODE", Pickle("\xff")},
      {"SecondProto", "PICKLE_FORBIDDEN_OPCODE", Pickle("\x80\2N")},
      {"UnreadTensor", "PICKLE_BAD_STORAGE",
       Pickle(PickleGlobalLine("numpy", "dtype") + ")RQ")},
      {"CallUnread", "PICKLE_FORBIDDEN_CALL",
       Pickle(PickleGlobalLine("_codecs", "encode") + ")R)R")},
      {"NumpyLoad", "PICKLE_FORBIDDEN_GLOBAL", Call("numpy", "load", command)},
      {"CodecsOpen", "PICKLE_FORBIDDEN_GLOBAL",
       Call("_codecs", "decode", command)},
      {"CallString", "PICKLE_FORBIDDEN_CALL", Pickle(PickleString("f") + ")R")},
      {"CallClass", "PICKLE_FORBIDDEN_CALL", Call("__torch__.m", "C", ")")},
      {"CallType", "PICKLE_FORBIDDEN_CALL", Call("torch", "float16", ")")},
      {"CallStorage", "PICKLE_FORBIDDEN_CALL",
       Call("torch", "FloatStorage", ")")},
      {"DictOfPairs", "PICKLE_FORBIDDEN_CALL",
       Call("collections", "OrderedDict", "]\x85")},
      {"NewDict", "PICKLE_FORBIDDEN_CALL",
       Pickle(PickleGlobalLine("collections", "OrderedDict") + ")\x81")},
      {"NewWithArguments", "PICKLE_FORBIDDEN_CALL",
       Pickle(PickleGlobalLine("__torch__.m", "C") + "N\x85\x81")},
      {"BuildList", "PICKLE_FORBIDDEN_CALL", Pickle("]}b")},
      {"BuildByTuple", "PICKLE_FORBIDDEN_CALL",
       Pickle(PickleGlobalLine("__torch__.m", "C") + ")\x81N\x85" + "b")},
      {"BuildTwice", "PICKLE_FORBIDDEN_CALL",
       Pickle(PickleGlobalLine("__torch__.m", "C") + ")\x81}" +
              PickleString("a") + "Ns" + "b}" + PickleString("a") + "Nsb")},
  };
}

std::vector<HostileCase> ShapeCases() {
  const auto tensor = [](auto edit) {
    PickledTensor made;
    edit(made);
    return Pickle(Pickled(made));
  };
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "\x85";
  return {
      {"Empty", "PICKLE_BAD_PROTOCOL", ""},
      {"Protocol0", "PICKLE_BAD_PROTOCOL", "(lp0\n."},
      {"Protocol5", "PICKLE_BAD_PROTOCOL", "\x80\5N."},
      {"NoStop", "PICKLE_TRUNCATED", "\x80\2N"},
      {"CutString", "PICKLE_TRUNCATED",
       Pickle("X" + Number(0xffffffff, 4) + "a")},
      {"CutLongString", "PICKLE_TRUNCATED",
       Pickle("\x8d" + Number(~uint64_t{0}, 8) + "a")},
      {"CutGlobal", "PICKLE_TRUNCATED", Pickle("ctorch")},
      {"LongFrame", "PICKLE_TRUNCATED", "\x80\4\x95" + Number(1000, 8) + "N."},
      {"Trailing", "PICKLE_TRAILING_BYTES", Pickle("N") + "N."},
      {"NoValue", "PICKLE_BAD_STACK", Pickle("")},
      {"TwoValues", "PICKLE_BAD_STACK", Pickle("NN")},
      {"OnlyAMark", "PICKLE_BAD_STACK", Pickle("(")},
      {"TupleWithoutMark", "PICKLE_BAD_STACK", Pickle("Nt")},
      {"TupleOfMark", "PICKLE_BAD_STACK", Pickle("(\x85")},
      {"PopNothing", "PICKLE_BAD_STACK", Pickle("0")},
      {"AppendToDict", "PICKLE_BAD_STACK", Pickle("}Na")},
      {"SetOnList", "PICKLE_BAD_STACK", Pickle("]" + PickleString("a") + "Ns")},
      {"OddItems", "PICKLE_BAD_STACK", Pickle("}(Nu")},
      {"KeyIsAList", "PICKLE_BAD_VALUE", Pickle("}]Ns")},
      {"HugeLong", "PICKLE_BAD_VALUE",
       Pickle("\x8a\x0a" + std::string(10, 'l'))},
      {"GetUnset", "PICKLE_BAD_MEMO", Pickle("h\1")},
      {"GetFar", "PICKLE_BAD_MEMO", Pickle("j" + Number(0xffffffff, 4))},
      {"PutFar", "PICKLE_TOO_LARGE", Pickle("Nr" + Number(0xffffffff, 4))},
      {"PutNothing", "PICKLE_BAD_STACK", Pickle("q\1")},
      {"SelfInList", "PICKLE_CYCLE", Pickle("]q\1h\1a")},
      {"SelfInChild", "PICKLE_CYCLE",
       Pickle("]q\1]h\1a"
              "a")},
      {"SelfInDict", "PICKLE_CYCLE",
       Pickle("}q\1" + PickleString("a") + "h\1s")},
      {"ChangedLater", "PICKLE_CYCLE",
       Pickle("]q\1\x85"
              "0h\1Na")},
      {"Deep", "PICKLE_TOO_DEEP", Pickle("N" + deep)},
      {"ManyValues", "PICKLE_TOO_LARGE",
       Pickle("(" + std::string(600000, 'N') + "t")},
      {"ManyMarks", "PICKLE_TOO_LARGE", Pickle(std::string(300000, '('))},
      {"LongStrings", "PICKLE_TOO_LARGE",
       Pickle(PickleString(std::string(17 << 20, 'x')))},
      {"KeyIsAPath", "PICKLE_BAD_STORAGE",
       tensor([](auto& t) { t.key = "../../etc/passwd"; })},
      {"KeyIsEmpty", "PICKLE_BAD_STORAGE", tensor([](auto& t) { t.key = ""; })},
      {"MetaDevice", "PICKLE_BAD_STORAGE",
       tensor([](auto& t) { t.device = "meta"; })},
      {"NegativeElements", "PICKLE_BAD_STORAGE",
       tensor([](auto& t) { t.elements = 0xffffffff; })},
      {"StorageIsASize", "PICKLE_BAD_STORAGE",
       tensor([](auto& t) { t.storage = "Size"; })},
      {"UnknownStorage", "PICKLE_FORBIDDEN_GLOBAL",
       tensor([](auto& t) { t.storage = "ComplexFloatStorage"; })},
      {"NegativeOffset", "PICKLE_BAD_TENSOR",
       tensor([](auto& t) { t.offset = 0xffffffff; })},
      {"NegativeShape", "PICKLE_BAD_TENSOR",
       tensor([](auto& t) { t.shape = {0xffffffff}; })},
      {"NegativeStride", "PICKLE_BAD_TENSOR",
       tensor([](auto& t) { t.strides = {0xffffffff}; })},
      {"FewerStrides", "PICKLE_BAD_TENSOR",
       tensor([](auto& t) { t.strides = {}; })},
      {"Rank9", "PICKLE_BAD_TENSOR", tensor([](auto& t) {
         t.shape = t.strides = std::vector<uint32_t>(9, 1);
       })},
      {"NegatedBit", "PICKLE_BAD_TENSOR",
       tensor([](auto& t) { t.extra = "}" + PickleString("neg") + "\x88s"; })},
  };
}

}  // namespace

std::vector<HostileCase> HostilePickles() {
  std::vector<HostileCase> all = CodeCases();
  for (HostileCase& one : ShapeCases()) all.push_back(std::move(one));
  return all;
}

}  // namespace promptd::weights
