#include "weights/pickle_reader.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "weights/little_endian.h"
#include "weights/pickle_machine.h"

namespace promptd::weights {
namespace {

using Kind = PickleValue::Kind;

// For messages; also of some that are refused.
absl::string_view OpcodeName(unsigned char opcode) {
  switch (opcode) {
    // clang-format off
    case 0x80: return "PROTO";
    case 0x81: return "NEWOBJ";
    case 0x82: return "EXT1";
    case 0x83: return "EXT2";
    case 0x84: return "EXT4";
    case 0x85: return "TUPLE1";
    case 0x86: return "TUPLE2";
    case 0x87: return "TUPLE3";
    case 0x88: return "NEWTRUE";
    case 0x89: return "NEWFALSE";
    case 0x8a: return "LONG1";
    case 0x8b: return "LONG4";
    case 0x8c: return "SHORT_BINUNICODE";
    case 0x8d: return "BINUNICODE8";
    case 0x92: return "NEWOBJ_EX";
    case 0x93: return "STACK_GLOBAL";
    case 0x94: return "MEMOIZE";
    case 0x95: return "FRAME";
    case '(': return "MARK";
    case ')': return "EMPTY_TUPLE";
    case '.': return "STOP";
    case '0': return "POP";
    case '1': return "POP_MARK";
    case '2': return "DUP";
    case 'B': return "BINBYTES";
    case 'C': return "SHORT_BINBYTES";
    case 'F': return "FLOAT";
    case 'G': return "BINFLOAT";
    case 'I': return "INT";
    case 'J': return "BININT";
    case 'K': return "BININT1";
    case 'L': return "LONG";
    case 'M': return "BININT2";
    case 'N': return "NONE";
    case 'P': return "PERSID";
    case 'Q': return "BINPERSID";
    case 'R': return "REDUCE";
    case 'S': return "STRING";
    case 'V': return "UNICODE";
    case 'X': return "BINUNICODE";
    case ']': return "EMPTY_LIST";
    case 'a': return "APPEND";
    case 'b': return "BUILD";
    case 'c': return "GLOBAL";
    case 'e': return "APPENDS";
    case 'h': return "BINGET";
    case 'i': return "INST";
    case 'j': return "LONG_BINGET";
    case 'o': return "OBJ";
    case 'q': return "BINPUT";
    case 'r': return "LONG_BINPUT";
    case 's': return "SETITEM";
    case 't': return "TUPLE";
    case 'u': return "SETITEMS";
    case '}': return "EMPTY_DICT";
    default: return "unknown";
      // clang-format on
  }
}

// Reads opcodes and their arguments; the machine does what they say.
class PickleDecoder {
 public:
  PickleDecoder(absl::string_view bytes, absl::string_view source,
                const PickleLimits& limits)
      : bytes_(bytes), machine_(source, limits) {}

  absl::StatusOr<PickleDocument> Run() {
    machine_.SetPlace(0, "PROTO", 0x80);
    if (bytes_.size() < 2 || static_cast<unsigned char>(bytes_[0]) != 0x80 ||
        bytes_[1] < 2 || bytes_[1] > 4) {
      return machine_.Error("PICKLE_BAD_PROTOCOL",
                            "not a pickle of protocol 2, 3 or 4");
    }
    at_ = 2;
    while (at_ < bytes_.size()) {
      const auto opcode = static_cast<unsigned char>(bytes_[at_]);
      machine_.SetPlace(static_cast<int64_t>(at_), OpcodeName(opcode), opcode);
      ++at_;
      if (opcode == '.') return Stop();
      RETURN_IF_ERROR(Step(opcode));
    }
    machine_.SetPlace(static_cast<int64_t>(at_), "STOP", '.');
    return machine_.Error("PICKLE_TRUNCATED", "is missing");
  }

 private:
  absl::StatusOr<PickleDocument> Stop() {
    if (at_ != bytes_.size()) {
      return machine_.Error(
          "PICKLE_TRAILING_BYTES",
          absl::StrCat(bytes_.size() - at_, " bytes after the end"));
    }
    return machine_.Finish();
  }

  absl::Status Step(unsigned char opcode) {
    switch (opcode) {
      case '(':
        return machine_.PushMark();
      case '0':
        return machine_.Pop();
      case '1':
        return machine_.PopMark();
      case 'N':
        return PushEmpty(Kind::kNone);
      case '}':
        return PushEmpty(Kind::kDict);
      case ']':
        return PushEmpty(Kind::kList);
      case ')':
        return PushEmpty(Kind::kTuple);
      case 't':
        return machine_.MakeTupleToMark();
      case 0x85:
      case 0x86:
      case 0x87:
        return machine_.MakeTuple(opcode - 0x84);
      case 'a':
      case 'e':
        return machine_.Append(opcode == 'e');
      case 's':
      case 'u':
        return machine_.SetItems(opcode == 'u');
      case 0x94:
        return machine_.PutNext();
      case 'R':
        return machine_.Reduce();
      case 0x81:
        return machine_.NewObject();
      case 'b':
        return machine_.Build();
      case 'Q':
        return machine_.PersistentId();
      case 'c':
        return Global();
      case 0x93:
        return machine_.PushStackGlobal();
      default:
        return StepWithArgument(opcode);
    }
  }

  absl::Status StepWithArgument(unsigned char opcode) {
    switch (opcode) {
      case 0x88:
      case 0x89:
        return PushNumber(Kind::kBool, opcode == 0x88);
      case 'K':
        return Int(1);
      case 'M':
        return Int(2);
      case 'J':
        return Int(4);
      case 0x8a:
        return Long();
      case 'G':
        return Float();
      case 0x8c:
        return String(1);
      case 'X':
        return String(4);
      case 0x8d:
        return String(8);
      case 'q':
      case 'r': {
        ASSIGN_OR_RETURN(const uint64_t index, Number(opcode == 'q' ? 1 : 4));
        return machine_.Put(static_cast<int64_t>(index));
      }
      case 'h':
      case 'j': {
        ASSIGN_OR_RETURN(const uint64_t index, Number(opcode == 'h' ? 1 : 4));
        return machine_.Get(static_cast<int64_t>(index));
      }
      case 0x95: {  // FRAME: only how much Python reads ahead
        ASSIGN_OR_RETURN(const uint64_t length, Number(8));
        return length <= bytes_.size() - at_ ? absl::OkStatus() : Cut();
      }
      default:
        return machine_.Error("PICKLE_FORBIDDEN_OPCODE",
                              "is not one that weights need");
    }
  }

  absl::Status Cut() const {
    return machine_.Error("PICKLE_TRUNCATED", "its argument is cut off");
  }

  absl::StatusOr<absl::string_view> Bytes(uint64_t count) {
    if (count > bytes_.size() - at_) return Cut();
    const absl::string_view taken = bytes_.substr(at_, count);
    at_ += count;
    return taken;
  }

  absl::StatusOr<uint64_t> Number(int width) {
    ASSIGN_OR_RETURN(const absl::string_view bytes,
                     Bytes(static_cast<uint64_t>(width)));
    return LittleEndian(bytes, 0, width);
  }

  absl::Status PushEmpty(Kind kind) {
    PickleValue value;
    value.kind = kind;
    return machine_.Push(std::move(value));
  }

  absl::Status PushNumber(Kind kind, int64_t integer) {
    PickleValue value;
    value.kind = kind;
    value.integer = integer;
    return machine_.Push(std::move(value));
  }

  absl::Status Int(int width) {
    ASSIGN_OR_RETURN(const uint64_t bits, Number(width));
    // Only the one of four bytes has a sign.
    return machine_.PushInt(width == 4 ? static_cast<int32_t>(bits)
                                       : static_cast<int64_t>(bits));
  }

  absl::Status Long() {
    ASSIGN_OR_RETURN(const uint64_t length, Number(1));
    ASSIGN_OR_RETURN(const absl::string_view bytes, Bytes(length));
    if (length > 8) {
      return machine_.Error("PICKLE_BAD_VALUE",
                            "an integer of more than 64 bits");
    }
    uint64_t bits = LittleEndian(bytes, 0, static_cast<int>(length));
    const bool negative =
        length > 0 && (static_cast<unsigned char>(bytes.back()) & 0x80) != 0;
    if (negative && length < 8) bits |= ~uint64_t{0} << (8 * length);
    return machine_.PushInt(static_cast<int64_t>(bits));
  }

  // The one number in big-endian order.
  absl::Status Float() {
    ASSIGN_OR_RETURN(const absl::string_view bytes, Bytes(8));
    uint64_t bits = 0;
    for (const char c : bytes) bits = bits << 8 | static_cast<unsigned char>(c);
    PickleValue value;
    value.kind = Kind::kFloat;
    std::memcpy(&value.real, &bits, sizeof(bits));
    return machine_.Push(std::move(value));
  }

  absl::Status String(int width) {
    ASSIGN_OR_RETURN(const uint64_t length, Number(width));
    ASSIGN_OR_RETURN(const absl::string_view text, Bytes(length));
    return machine_.PushString(Kind::kString, text);
  }

  // Two lines: module and name.
  absl::Status Global() {
    absl::string_view lines[2];
    for (absl::string_view& line : lines) {
      const size_t end = bytes_.find('\n', at_);
      if (end == bytes_.npos) return Cut();
      line = bytes_.substr(at_, end - at_);
      at_ = end + 1;
    }
    return machine_.PushGlobal(lines[0], lines[1]);
  }

  const absl::string_view bytes_;
  size_t at_ = 0;
  PickleMachine machine_;
};

}  // namespace

absl::StatusOr<PickleDocument> ReadPickle(absl::string_view bytes,
                                          absl::string_view source,
                                          const PickleLimits& limits) {
  return PickleDecoder(bytes, source, limits).Run();
}

}  // namespace promptd::weights
