// promptctl embed image|text
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <limits>
#include <memory>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/embed.h"
#include "client/table.h"
#include "client/text.h"
#include "client/verbs.h"
#include "common/error.h"
#include "common/file.h"
#include "common/status_macros.h"

namespace promptd::client {
namespace {

constexpr int64_t kMaxTextFileBytes = 256 << 20;
constexpr int kTextColumns = 40;
constexpr size_t kValuesShown = 4;

struct EmbedFlags {
  std::vector<std::string> subjects;  // files or texts
  std::string encoder;
  std::string file;  // of texts; "-": standard input
  bool truncate = false;
  bool no_cache = false;  // of images
  std::string out;
  bool force = false;
};

// What is embedded, in words.
struct Kind {
  const char* singular;  // in JSON
  const char* header;    // of the table
  const char* plural;
  const char* failed;  // the reason when one failed
  int columns;         // at most, of one item in the table
};
constexpr Kind kImages = {"file", "FILE", "images", "IMAGES_FAILED",
                          std::numeric_limits<int>::max()};
constexpr Kind kTexts = {"text", "TEXT", "texts", "TEXTS_FAILED", kTextColumns};

nlohmann::json OutcomeJson(const EmbedOutcome& outcome, const Kind& kind) {
  nlohmann::json items = nlohmann::json::array();
  for (const Embedded& item : outcome.items) {
    nlohmann::json entry = {{kind.singular, item.subject}};
    if (item.error_reason.empty()) {
      entry["norm"] = item.norm;
      entry["values"] = item.values;
    } else {
      entry["error"] = {{"reason", item.error_reason},
                        {"message", item.error_message}};
    }
    items.push_back(std::move(entry));
  }
  return {{"encoder_digest", outcome.encoder_digest},
          {"embeddings", std::move(items)}};
}

std::string FirstValues(const Embedded& item) {
  if (!item.error_reason.empty()) {
    return absl::StrCat("error: ", item.error_message, " (", item.error_reason,
                        ")");
  }
  std::string text;
  for (size_t i = 0; i < std::min(kValuesShown, item.values.size()); ++i) {
    absl::StrAppendFormat(&text, "%+.4f ", item.values[i]);
  }
  return absl::StrCat(text, "... ", item.values.size());
}

std::string OutcomeText(const EmbedOutcome& outcome, const Kind& kind) {
  Table table({kind.header, "NORM", "VALUES"});
  for (const Embedded& item : outcome.items) {
    const bool failed = !item.error_reason.empty();
    table.Add({Shortened(item.subject, kind.columns),
               failed ? "-" : absl::StrFormat("%.4f", item.norm),
               FirstValues(item)});
  }
  return table.ToString();
}

absl::Status CheckFree(const EmbedFlags& flags) {
  std::error_code ignored;
  if (flags.out.empty() || flags.force ||
      !std::filesystem::exists(
          std::filesystem::symlink_status(flags.out, ignored))) {
    return absl::OkStatus();
  }
  return MakeError(absl::StatusCode::kAlreadyExists, "FILE_EXISTS",
                   absl::StrCat(flags.out,
                                " exists: choose another file, or overwrite "
                                "it with --force"));
}

// One text a line; the last line may lack its end.
absl::StatusOr<std::vector<std::string>> ReadLines(const std::string& file) {
  std::istringstream bytes;
  if (file != "-") {
    ASSIGN_OR_RETURN(std::string text, ReadFile(file, kMaxTextFileBytes));
    bytes.str(std::move(text));
  }
  std::istream& in = file == "-" ? std::cin : bytes;
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    lines.push_back(line);
  }
  if (lines.empty()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "NO_TEXTS",
                     absl::StrCat(file == "-" ? "standard input" : file,
                                  " has no lines: write one text a line"));
  }
  return lines;
}

absl::Status ReportFailed(const EmbedOutcome& outcome, const Kind& kind,
                          const std::string& out) {
  const auto first = std::find_if(
      outcome.items.begin(), outcome.items.end(),
      [](const Embedded& item) { return !item.error_reason.empty(); });
  return MakeError(
      absl::StatusCode::kInvalidArgument, kind.failed,
      absl::StrCat(outcome.failed, " of ", outcome.items.size(), " ",
                   kind.plural, " could not be embedded, first \"",
                   Shortened(first->subject, kind.columns), "\"",
                   out.empty() ? "" : ", so nothing was written",
                   ": see the line of each"));
}

// Prints the outcome, or writes it where --out says and nothing failed.
absl::Status Report(Session& session, const Kind& kind, const EmbedFlags& flags,
                    const EmbedOutcome& outcome, absl::Duration elapsed) {
  const bool write = !flags.out.empty() && outcome.failed == 0;
  if (write) RETURN_IF_ERROR(WriteFeatures(outcome, kind.plural, flags.out));
  if (session.console.json()) {
    session.console.Json(
        write
            ? nlohmann::json({{"out", flags.out},
                              {"rows", outcome.items.size()},
                              {"columns", outcome.items.front().values.size()},
                              {"encoder_digest", outcome.encoder_digest}})
            : OutcomeJson(outcome, kind));
  } else {
    session.console.out() << (write ? absl::StrCat(flags.out, "\n")
                                    : OutcomeText(outcome, kind));
  }
  session.console.Note(absl::StrCat(
      outcome.items.size() - static_cast<size_t>(outcome.failed), " ",
      kind.plural, " with encoder ", ShortDigest(outcome.encoder_digest),
      " in ", ShortDuration(elapsed)));
  return outcome.failed == 0 ? absl::OkStatus()
                             : ReportFailed(outcome, kind, flags.out);
}

absl::Status EmbedImageFiles(Session& session, const EmbedFlags& flags) {
  RETURN_IF_ERROR(CheckFree(flags));
  const absl::Time start = session.clock.Now();
  ASSIGN_OR_RETURN(
      const EmbedOutcome outcome,
      EmbedFiles(session, flags.encoder, flags.subjects, flags.no_cache));
  return Report(session, kImages, flags, outcome, session.clock.Now() - start);
}

absl::Status EmbedTextLines(Session& session, const EmbedFlags& flags) {
  const bool from_input =
      flags.subjects.size() == 1 && flags.subjects[0] == "-";
  if (flags.subjects.empty() == flags.file.empty()) {
    return UsageError(
        "embed text needs its texts from one place: name them, or give "
        "--file FILE with one a line (- for standard input)");
  }
  RETURN_IF_ERROR(CheckFree(flags));
  std::vector<std::string> texts = flags.subjects;
  if (from_input || texts.empty()) {
    ASSIGN_OR_RETURN(texts, ReadLines(from_input ? "-" : flags.file));
  }
  const absl::Time start = session.clock.Now();
  ASSIGN_OR_RETURN(const EmbedOutcome outcome,
                   EmbedTexts(session, flags.encoder, texts, flags.truncate));
  return Report(session, kTexts, flags, outcome, session.clock.Now() - start);
}

void AddCommonFlags(CLI::App* verb, EmbedFlags* flags) {
  verb->add_option("--encoder", flags->encoder,
                   "The encoder (the server's default)");
  verb->add_option("--out", flags->out,
                   "Write a safetensors file with \"features\" [N, E] instead "
                   "of printing them");
  verb->add_flag("--force", flags->force, "Overwrite the file");
}

}  // namespace

void AddEmbedVerbs(CLI::App& app, Action* chosen) {
  CLI::App* noun =
      AddNoun(app, "embed", "Unit-length features of images and texts");
  CLI::App* image = noun->add_subcommand("image", "Embed image files");
  auto images = std::make_shared<EmbedFlags>();
  image->add_option("image", images->subjects, "JPEG, PNG or WebP files")
      ->required();
  image->add_flag("--no-cache", images->no_cache,
                  "Encode the images, even if the server has their features");
  AddCommonFlags(image, images.get());
  image->footer(
      "Examples:\n  promptctl embed image rose.jpg tulip.png\n"
      "  promptctl embed image *.jpg --out images.safetensors\n\n"
      "Exit code 1 when any image failed; the others are still answered.");
  image->callback([chosen, images] {
    *chosen = [images](Session& session) {
      return EmbedImageFiles(session, *images);
    };
  });
  CLI::App* text = noun->add_subcommand("text", "Embed texts, as they are");
  auto texts = std::make_shared<EmbedFlags>();
  text->add_option("text", texts->subjects,
                   "Texts, or - for one a line from standard input");
  text->add_option("--file", texts->file, "A file with one text a line");
  text->add_flag("--truncate", texts->truncate,
                 "Cut a text that is too long instead of refusing it");
  AddCommonFlags(text, texts.get());
  text->footer(
      "Examples:\n  promptctl embed text \"a photo of a rose.\"\n"
      "  promptctl embed text --file captions.txt --out texts.safetensors\n\n"
      "Exit code 1 when any text failed; the others are still answered.");
  text->callback([chosen, texts] {
    *chosen = [texts](Session& session) {
      return EmbedTextLines(session, *texts);
    };
  });
}

}  // namespace promptd::client
