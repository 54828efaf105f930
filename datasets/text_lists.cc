#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/status_macros.h"
#include "datasets/coop_lists.h"
#include "datasets/list_text.h"

namespace promptd::datasets {
namespace {

using Line = TextLists::Line;

// "ApplyEyeMakeup" as "Apply_Eye_Makeup", the name of its folder.
std::string SplitAtCapitals(absl::string_view name) {
  std::string out;
  for (const char c : name) {
    if (absl::ascii_isupper(static_cast<unsigned char>(c)) && !out.empty()) {
      out.push_back('_');
    }
    out.push_back(c);
  }
  return out;
}

// "/c/church/outdoor" as "outdoor church": without the letter's folder, the
// kind in front.
std::string SceneName(absl::string_view path) {
  std::vector<absl::string_view> parts =
      absl::StrSplit(path, '/', absl::SkipEmpty());
  if (!parts.empty()) parts.erase(parts.begin());
  std::reverse(parts.begin(), parts.end());
  return absl::StrJoin(parts, " ");
}

std::string EditedName(Line line, const std::string& key) {
  if (line == Line::kScene) return SceneName(key);
  if (line == Line::kVideo) return SplitAtCapitals(key);
  return key;
}

// A line that names an image.
struct Entry {
  std::string image;  // below the image folder
  std::string key;    // the class as the lists write it
  int64_t label = -1;
  Split split = Split::kTrain;
  std::string where;
};

absl::string_view FolderOf(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? "" : path.substr(0, slash);
}

// Fills image, key and perhaps label; false when the line is not of the kind.
bool ParseLine(Line kind, absl::string_view text, Entry* entry) {
  if (kind == Line::kPet) {
    const std::vector<absl::string_view> words = absl::StrSplit(text, ' ');
    int64_t label = 0;
    if (words.size() != 4 || !absl::SimpleAtoi(words[1], &label)) return false;
    const size_t number = words[0].rfind('_');
    if (number == absl::string_view::npos) return false;
    entry->image = absl::StrCat(words[0], ".jpg");
    entry->key = absl::AsciiStrToLower(words[0].substr(0, number));
    entry->label = label - 1;
    return true;
  }
  if (kind == Line::kAircraft) {
    const std::pair<absl::string_view, absl::string_view> halves =
        absl::StrSplit(text, absl::MaxSplits(' ', 1));
    entry->image = absl::StrCat(halves.first, ".jpg");
    entry->key = std::string(halves.second);
    return !halves.first.empty() && !halves.second.empty();
  }
  if (kind == Line::kScene && !absl::ConsumePrefix(&text, "/")) return false;
  const absl::string_view folder = FolderOf(text);
  if (folder.empty()) return false;
  entry->key = std::string(folder);
  entry->image = std::string(text);
  if (kind == Line::kScene) entry->key = absl::StrCat("/", folder);
  if (kind == Line::kFood) absl::StrAppend(&entry->image, ".jpg");
  if (kind == Line::kVideo) {
    absl::string_view video = text.substr(folder.size() + 1);
    video = video.substr(0, video.find(' '));
    if (!absl::ConsumeSuffix(&video, ".avi")) return false;
    entry->image = absl::StrCat(SplitAtCapitals(folder), "/", video, ".jpg");
  }
  return true;
}

constexpr const char* Example(Line kind) {
  switch (kind) {
    case Line::kPet:
      return "Abyssinian_100 1 1 1";
    case Line::kAircraft:
      return "1025794 707-320";
    case Line::kTexture:
      return "banded/banded_0002.jpg";
    case Line::kFood:
      return "apple_pie/1005649";
    case Line::kScene:
      return "/a/abbey/sun_aaalbzqrimafwbiv.jpg";
    case Line::kVideo:
      return "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1";
  }
  return "";
}

// One reading of one dataset's lists. Used by one thread.
class TextListReader {
 public:
  TextListReader(const CoopFolder& at, const TextLists& lists)
      : at_(at), lists_(lists) {}

  absl::StatusOr<ImageList> Read() {
    if (lists_.classes != nullptr) RETURN_IF_ERROR(ReadClasses());
    RETURN_IF_ERROR(ReadList(lists_.train, Split::kTrain));
    if (lists_.val != nullptr) {
      RETURN_IF_ERROR(ReadList(lists_.val, Split::kVal));
    }
    RETURN_IF_ERROR(ReadList(lists_.test, Split::kTest));
    if (lists_.classes == nullptr && lists_.line != Line::kPet) NumberKeys();
    ImageList list;
    for (const Entry& entry : entries_) Add(entry, &list);
    list.class_names = classes_.Names(
        lists_.classes != nullptr ? lists_.classes : lists_.train, &problems_);
    return FinishList(std::move(list), std::move(problems_));
  }

 private:
  absl::Status ReadClasses() {
    ASSIGN_OR_RETURN(const std::vector<TextLine> lines,
                     ReadListLines(at_.Absolute(lists_.classes)));
    for (const TextLine& line : lines) {
      std::string key(absl::StripAsciiWhitespace(line.text));
      const auto label = static_cast<int64_t>(label_of_key_.size());
      const std::string where =
          absl::StrCat(lists_.classes, ": line ", line.number);
      if (lists_.line == Line::kVideo) {
        const std::pair<std::string, std::string> halves =
            absl::StrSplit(key, absl::MaxSplits(' ', 1));
        if (halves.first != absl::StrCat(label + 1)) {
          problems_.Add(where, absl::StrCat("does not begin with ", label + 1));
        }
        key = halves.second;
      }
      if (!label_of_key_.emplace(key, label).second) {
        problems_.Add(where, absl::StrCat(QuotedText(key), " is there twice"));
        continue;
      }
      classes_.Note(label, EditedName(lists_.line, key), where, where,
                    &problems_);
    }
    return absl::OkStatus();
  }

  absl::Status ReadList(const std::string& file, Split split) {
    ASSIGN_OR_RETURN(const std::vector<TextLine> lines,
                     ReadListLines(at_.Absolute(file)));
    for (const TextLine& line : lines) {
      Entry entry;
      entry.split = split;
      entry.where = absl::StrCat(file, ": line ", line.number);
      if (!ParseLine(lists_.line, absl::StripAsciiWhitespace(line.text),
                     &entry)) {
        problems_.Add(entry.where,
                      absl::StrCat(QuotedText(line.text), " is not like \"",
                                   Example(lists_.line), "\""));
        continue;
      }
      entries_.push_back(std::move(entry));
    }
    return absl::OkStatus();
  }

  // Labels by the byte order of the classes.
  void NumberKeys() {
    for (const Entry& entry : entries_) label_of_key_.emplace(entry.key, 0);
    int64_t label = 0;
    for (auto& [key, number] : label_of_key_) number = label++;
  }

  void Add(const Entry& entry, ImageList* list) {
    int64_t label = entry.label;
    if (lists_.line != Line::kPet) {
      const auto found = label_of_key_.find(entry.key);
      if (found == label_of_key_.end()) {
        problems_.Add(entry.where, absl::StrCat("class ", QuotedText(entry.key),
                                                " is not in ", lists_.classes));
        return;
      }
      label = found->second;
    }
    if (lists_.classes == nullptr &&
        !classes_.Note(label, EditedName(lists_.line, entry.key), entry.where,
                       entry.where, &problems_)) {
      return;
    }
    const std::string path = at_.ImagePath(entry.image);
    list->images.push_back({path,
                            {at_.Absolute(path)},
                            static_cast<int>(label),
                            entry.split,
                            entry.where});
  }

  const CoopFolder& at_;
  const TextLists& lists_;
  std::vector<Entry> entries_;
  std::map<std::string, int64_t> label_of_key_;
  ClassBook classes_;
  ListProblems problems_;
};

}  // namespace

absl::StatusOr<ImageList> ReadTextLists(const CoopFolder& at,
                                        const TextLists& lists) {
  return TextListReader(at, lists).Read();
}

}  // namespace promptd::datasets
