#include "weights/torch_names.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "weights/quoted.h"
#include "weights/safetensors_header.h"

namespace promptd::weights {
namespace {

using Kind = PickleValue::Kind;

constexpr absl::string_view kParallel = "module.";
// Modules may be shared, so that a small file could name very many paths.
constexpr int kMaxModules = 100'000;

// Adds names, each once and each one that a safetensors file may hold.
class NameCollector {
 public:
  NameCollector(absl::string_view source, int max_tensors)
      : source_(source), max_tensors_(max_tensors) {}

  absl::Status Add(const std::string& name, const PickleValue& value) {
    if (!IsTensorName(name)) {
      return Error("TORCH_BAD_NAME",
                   absl::StrCat(Quoted(name),
                                " is not a tensor name: 1 to 256 letters, "
                                "digits, _ . - /"));
    }
    if (names_.tensors.size() >= static_cast<size_t>(max_tensors_)) {
      return Error("TORCH_TOO_MANY_TENSORS",
                   absl::StrCat("more than ", max_tensors_, " tensors"));
    }
    if (!names_.tensors.emplace(name, value.integer).second) {
      return Error("TORCH_DUPLICATE_TENSOR",
                   absl::StrCat("tensor ", Quoted(name), " occurs twice"));
    }
    return absl::OkStatus();
  }

  absl::Status Error(absl::string_view reason, absl::string_view what) const {
    return MakeError(absl::StatusCode::kInvalidArgument, reason,
                     absl::StrCat(source_, ": ", what));
  }

  TorchNames& names() { return names_; }

 private:
  const absl::string_view source_;
  const int max_tensors_;
  TorchNames names_;
};

// The last value of a string key, as Python would see it.
const PickleValue* Member(const PickleDocument& document,
                          const PickleValue& dict, absl::string_view key) {
  const PickleValue* found = nullptr;
  for (size_t i = 0; i + 1 < dict.items.size(); i += 2) {
    const PickleValue& name = document.at(dict.items[i]);
    if (name.kind == Kind::kString && name.text == key) {
      found = &document.at(dict.items[i + 1]);
    }
  }
  return found;
}

// Numbers among the members of a training checkpoint, by their keys.
std::map<std::string, double> NumbersOf(const PickleDocument& document,
                                        const PickleValue& dict) {
  std::map<std::string, double> numbers;
  for (size_t i = 0; i + 1 < dict.items.size(); i += 2) {
    const PickleValue& key = document.at(dict.items[i]);
    const PickleValue& value = document.at(dict.items[i + 1]);
    if (key.kind != Kind::kString) continue;
    if (value.kind == Kind::kInt) {
      numbers[key.text] = static_cast<double>(value.integer);
    } else if (value.kind == Kind::kFloat) {
      numbers[key.text] = value.real;
    }
  }
  return numbers;
}

// Without "module." when every name begins with it.
void StripParallel(std::map<std::string, int64_t>& tensors) {
  if (!std::all_of(tensors.begin(), tensors.end(), [](const auto& named) {
        return absl::StartsWith(named.first, kParallel) &&
               named.first.size() > kParallel.size();
      })) {
    return;
  }
  std::map<std::string, int64_t> stripped;
  for (const auto& [name, index] : tensors) {
    stripped[name.substr(kParallel.size())] = index;
  }
  tensors = std::move(stripped);
}

}  // namespace

absl::StatusOr<TorchNames> StateDictNames(const PickleDocument& document,
                                          absl::string_view source,
                                          int max_tensors) {
  NameCollector collector(source, max_tensors);
  const PickleValue* dict = &document.at(document.root);
  const auto refused = [&](absl::string_view what) {
    return collector.Error(
        "TORCH_NOT_A_STATE_DICT",
        absl::StrCat(what,
                     ": wanted is a dict of tensors, or one under "
                     "\"state_dict\""));
  };
  if (dict->kind != Kind::kDict) return refused("holds no dict");
  if (const PickleValue* inner = Member(document, *dict, "state_dict")) {
    if (inner->kind != Kind::kDict) return refused("\"state_dict\" is no dict");
    collector.names().numbers = NumbersOf(document, *dict);
    dict = inner;
  }
  if (dict->items.empty()) return refused("the dict is empty");
  for (size_t i = 0; i + 1 < dict->items.size(); i += 2) {
    const PickleValue& key = document.at(dict->items[i]);
    const PickleValue& value = document.at(dict->items[i + 1]);
    if (key.kind != Kind::kString) return refused("a key is an integer");
    if (value.kind != Kind::kTensor) {
      return refused(absl::StrCat(Quoted(key.text), " is not a tensor"));
    }
    RETURN_IF_ERROR(collector.Add(key.text, value));
  }
  StripParallel(collector.names().tensors);
  return std::move(collector.names());
}

absl::StatusOr<TorchNames> ModuleNames(const PickleDocument& document,
                                       absl::string_view source,
                                       int max_tensors) {
  NameCollector collector(source, max_tensors);
  std::vector<std::pair<std::string, PickleId>> open = {{"", document.root}};
  for (int visited = 0; !open.empty(); ++visited) {
    if (visited >= kMaxModules) {
      return collector.Error(
          "TORCH_TOO_MANY_TENSORS",
          absl::StrCat("more than ", kMaxModules, " modules"));
    }
    const auto [prefix, id] = std::move(open.back());
    open.pop_back();
    const PickleValue& module = document.at(id);
    std::set<absl::string_view> attributes;
    for (size_t i = 0; i + 1 < module.items.size(); i += 2) {
      const std::string& attribute = document.at(module.items[i]).text;
      const PickleValue& value = document.at(module.items[i + 1]);
      const std::string path = absl::StrCat(prefix, attribute);
      if (!attributes.insert(attribute).second) {
        return collector.Error(
            "TORCH_DUPLICATE_TENSOR",
            absl::StrCat("attribute ", Quoted(path), " occurs twice"));
      }
      if (value.kind == Kind::kTensor) {
        RETURN_IF_ERROR(collector.Add(path, value));
      } else if (value.kind == Kind::kModule) {
        if (!IsTensorName(path)) {
          return collector.Error(
              "TORCH_BAD_NAME",
              absl::StrCat("module ", Quoted(path), " has a bad name"));
        }
        open.push_back({path + ".", module.items[i + 1]});
      } else if (value.kind == Kind::kInt && prefix.empty()) {
        collector.names().integers[path] = value.integer;
      }
    }
  }
  return std::move(collector.names());
}

}  // namespace promptd::weights
