#include "common/failpoint.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/check.h"
#include "common/error.h"
#include "common/nearest_name.h"
#include "common/status_macros.h"

namespace promptd {
namespace {

// What a step knows beside kill and pause.
enum class Kind { kError, kStatus, kStep, kSpoil };

struct Point {
  absl::string_view name;
  Kind kind;
};

// Every point there is, by name. docs/failures.md says what each stands for.
constexpr Point kPoints[] = {
    {"alias.moved", Kind::kStep},        // committed, not yet answered
    {"blob.bytes", Kind::kSpoil},        // read from the blob store
    {"blob.folder", Kind::kError},       // a folder's names made durable
    {"blob.read", Kind::kError},         //
    {"blob.remove", Kind::kError},       //
    {"blob.rename", Kind::kError},       // from DIR/tmp to its name
    {"blob.sync", Kind::kError},         // bytes made durable
    {"blob.write", Kind::kError},        // with half of the bytes written
    {"cache.bytes", Kind::kSpoil},       // read from a worker's blob cache
    {"checkpoint.save", Kind::kStep},    // stored, not yet the job's
    {"checkpoint.saved", Kind::kStep},   //
    {"classify.batch", Kind::kStep},     // on the device
    {"classify.decode", Kind::kStep},    // an image, on a decoding thread
    {"classify.reply", Kind::kStep},     // computed, not yet answered
    {"data_dir.type", Kind::kSpoil},     // of its file system: a network's
    {"dataset.commit", Kind::kStep},     // manifest stored, no row
    {"dataset.committed", Kind::kStep},  // not yet answered
    {"db.commit", Kind::kStep},          // of any transaction that writes
    {"db.committed", Kind::kStep},       //
    {"db.sync", Kind::kError},           // of the database's files
    {"db.write", Kind::kError},          // to them, half of the bytes
    {"evaluation.stored", Kind::kStep},  // committed, not yet answered
    {"garbage.remove", Kind::kStep},     // chosen, not yet deleted
    {"job.created", Kind::kStep},        // committed, not yet answered
    {"job.leased", Kind::kStep},         // committed, not yet answered
    {"job.release", Kind::kStatus},      // by a worker that stops
    {"lease.beaten", Kind::kStep},       // committed, not yet answered
    {"lease.heartbeat", Kind::kStatus},  // on its way from the worker
    {"training.step", Kind::kStatus},    // before a unit of training
    {"version.publish", Kind::kStep},    // prepared, not yet committed
    {"version.published", Kind::kStep},  // committed, not yet answered
    {"wire.blob", Kind::kStatus},        // a stream of bytes breaks off
    {"wire.bytes", Kind::kSpoil},        // of a blob, arrived at a worker
    {"worker.attach", Kind::kStatus},    // answered by the front end
    {"worker.beat", Kind::kStep},        // that says the worker lives
    {"worker.token", Kind::kSpoil},      // as the worker sends it
};

constexpr std::pair<absl::string_view, int> kErrors[] = {
    {"EACCES", EACCES}, {"EDQUOT", EDQUOT}, {"EIO", EIO},
    {"EMFILE", EMFILE}, {"ENOSPC", ENOSPC}, {"EROFS", EROFS}};

constexpr std::pair<absl::string_view, absl::StatusCode> kStatuses[] = {
    {"ABORTED", absl::StatusCode::kAborted},
    {"DATA_LOSS", absl::StatusCode::kDataLoss},
    {"DEADLINE_EXCEEDED", absl::StatusCode::kDeadlineExceeded},
    {"INTERNAL", absl::StatusCode::kInternal},
    {"RESOURCE_EXHAUSTED", absl::StatusCode::kResourceExhausted},
    {"UNAVAILABLE", absl::StatusCode::kUnavailable}};

enum class Action { kError, kKill, kPause, kSpoil };

struct Rule {
  Action action = Action::kKill;
  std::string text;  // as it was written
  int error = 0;
  absl::StatusCode status = absl::StatusCode::kOk;
  absl::Duration pause;
  int64_t from = 1;
  bool once = false;  // at `from` only
};

struct State {
  absl::Mutex mutex;
  std::map<std::string, Rule, std::less<>> rules ABSL_GUARDED_BY(mutex);
  FailpointCounts counts[std::size(kPoints)] ABSL_GUARDED_BY(mutex);
  FailpointLog log ABSL_GUARDED_BY(mutex) = nullptr;
};

State& TheState() {
  static State* const state = new State;
  return *state;
}

const Point* Find(absl::string_view name) {
  const auto* const found =
      std::find_if(std::begin(kPoints), std::end(kPoints),
                   [name](const Point& point) { return point.name == name; });
  return found == std::end(kPoints) ? nullptr : found;
}

template <typename Table>
std::string NamesIn(const Table& table) {
  return absl::StrJoin(table, ", ", [](std::string* out, const auto& entry) {
    absl::StrAppend(out, entry.first);
  });
}

absl::Status Bad(absl::string_view entry, absl::string_view why) {
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_FAILPOINTS",
                   absl::StrCat("PROMPTD_FAILPOINTS: \"", entry, "\": ", why));
}

// What stands in the brackets of name(...); false when it is another action.
bool TakeArgument(absl::string_view action, absl::string_view name,
                  absl::string_view* argument) {
  *argument = action;
  return absl::ConsumePrefix(argument, name) &&
         absl::ConsumePrefix(argument, "(") &&
         absl::ConsumeSuffix(argument, ")");
}

absl::Status ParseError(absl::string_view entry, absl::string_view what,
                        Kind kind, Rule* rule) {
  rule->action = Action::kError;
  if (kind == Kind::kError) {
    for (const auto& [name, error] : kErrors) {
      if (name == what) rule->error = error;
    }
    if (rule->error != 0) return absl::OkStatus();
    return Bad(entry,
               absl::StrCat("this step fails with one of ", NamesIn(kErrors)));
  }
  if (kind == Kind::kStatus) {
    for (const auto& [name, status] : kStatuses) {
      if (name == what) rule->status = status;
    }
    if (rule->status != absl::StatusCode::kOk) return absl::OkStatus();
    return Bad(entry, absl::StrCat("this step fails with one of ",
                                   NamesIn(kStatuses)));
  }
  return Bad(entry, "this step cannot fail by itself: kill or pause it");
}

absl::Status ParseAction(absl::string_view entry, absl::string_view action,
                         Kind kind, Rule* rule) {
  absl::string_view argument;
  if (TakeArgument(action, "error", &argument)) {
    return ParseError(entry, argument, kind, rule);
  }
  if (TakeArgument(action, "pause", &argument)) {
    rule->action = Action::kPause;
    if (absl::ParseDuration(argument, &rule->pause) &&
        rule->pause > absl::ZeroDuration()) {
      return absl::OkStatus();
    }
    return Bad(entry, "a pause is a duration such as 500ms or 5s");
  }
  if (action == "kill") return absl::OkStatus();
  if (action != "spoil") {
    return Bad(entry, "an action is error(...), kill, pause(...) or spoil");
  }
  rule->action = Action::kSpoil;
  if (kind == Kind::kSpoil) return absl::OkStatus();
  return Bad(entry, "nothing is read at this step that could be spoiled");
}

absl::Status ParseCount(absl::string_view entry, absl::string_view count,
                        Rule* rule) {
  rule->once = !absl::ConsumeSuffix(&count, "+");
  if (absl::SimpleAtoi(count, &rule->from) && rule->from > 0) {
    return absl::OkStatus();
  }
  return Bad(entry, "behind @ stands a number from 1 on, and + for all after");
}

absl::StatusOr<std::pair<std::string, Rule>> ParseRule(
    absl::string_view entry) {
  const size_t equals = entry.find('=');
  if (equals == absl::string_view::npos) {
    return Bad(entry, "an entry is POINT=ACTION, or POINT=ACTION@N");
  }
  const std::string name(entry.substr(0, equals));
  const Point* const point = Find(name);
  if (point == nullptr) {
    return Bad(entry, absl::StrCat("there is no such point; did you mean ",
                                   NearestName(name, FailpointNames()), "?"));
  }
  Rule rule;
  absl::string_view action = entry.substr(equals + 1);
  const size_t at = action.find('@');
  if (at != absl::string_view::npos) {
    RETURN_IF_ERROR(ParseCount(entry, action.substr(at + 1), &rule));
    action = action.substr(0, at);
  }
  RETURN_IF_ERROR(ParseAction(entry, action, point->kind, &rule));
  rule.text = std::string(entry.substr(equals + 1));
  return std::pair(name, rule);
}

[[noreturn]] void Die() {
  ::kill(::getpid(), SIGKILL);
  while (true) ::pause();
}

// What happens at this passing, after a kill or a pause: a rule of kError or
// kSpoil, or none.
Rule Pass(absl::string_view name, Kind kind, bool* fires) {
  *fires = false;
  const Point* const point = Find(name);
  PROMPTD_CHECK(point != nullptr && point->kind == kind);
  State& state = TheState();
  Rule rule;
  FailpointLog log = nullptr;
  int64_t hit = 0;
  {
    absl::MutexLock lock(&state.mutex);
    FailpointCounts& counts = state.counts[point - kPoints];
    hit = ++counts.passed;
    const auto found = state.rules.find(name);
    if (found == state.rules.end()) return rule;
    rule = found->second;
    if (rule.once ? hit != rule.from : hit < rule.from) return rule;
    ++counts.fired;
    log = state.log;
  }
  if (log != nullptr) log(name, rule.text, hit);
  if (rule.action == Action::kKill) Die();
  if (rule.action == Action::kPause) {
    absl::SleepFor(rule.pause);
    return rule;
  }
  *fires = true;
  return rule;
}

}  // namespace

namespace internal {

std::atomic<bool> failpoints_armed = false;

int PassError(absl::string_view point) {
  bool fires = false;
  const Rule rule = Pass(point, Kind::kError, &fires);
  return fires ? rule.error : 0;
}

absl::Status PassStatus(absl::string_view point) {
  bool fires = false;
  const Rule rule = Pass(point, Kind::kStatus, &fires);
  if (!fires) return absl::OkStatus();
  return MakeError(rule.status, "FAILPOINT",
                   absl::StrCat("the failpoint ", point, " made this fail"));
}

void PassStep(absl::string_view point) {
  bool fires = false;
  Pass(point, Kind::kStep, &fires);
}

bool PassSpoils(absl::string_view point) {
  bool fires = false;
  Pass(point, Kind::kSpoil, &fires);
  return fires;
}

}  // namespace internal

void FailpointDamage(absl::string_view point, std::string* bytes) {
  if (!FailpointSpoils(point) || bytes->empty()) return;
  char& middle = (*bytes)[bytes->size() / 2];
  middle = static_cast<char>(middle ^ 1);
}

absl::Status ArmFailpoints(absl::string_view text) {
  std::map<std::string, Rule, std::less<>> rules;
  for (absl::string_view entry : absl::StrSplit(text, ';', absl::SkipEmpty())) {
    entry = absl::StripAsciiWhitespace(entry);
    if (entry.empty()) continue;
    ASSIGN_OR_RETURN(auto rule, ParseRule(entry));
    if (!rules.insert(std::move(rule)).second) {
      return Bad(entry, "the point is there twice");
    }
  }
  State& state = TheState();
  absl::MutexLock lock(&state.mutex);
  for (auto& [name, rule] : rules) {
    if (state.log != nullptr) state.log(name, rule.text, 0);
    state.rules[name] = std::move(rule);
  }
  internal::failpoints_armed = !state.rules.empty();
  return absl::OkStatus();
}

void DisarmFailpoints() {
  State& state = TheState();
  absl::MutexLock lock(&state.mutex);
  internal::failpoints_armed = false;
  state.rules.clear();
  std::fill(std::begin(state.counts), std::end(state.counts),
            FailpointCounts());
}

FailpointCounts CountFailpoint(absl::string_view point) {
  const Point* const found = Find(point);
  PROMPTD_CHECK(found != nullptr);
  State& state = TheState();
  absl::MutexLock lock(&state.mutex);
  return state.counts[found - kPoints];
}

std::vector<std::string> FailpointNames() {
  std::vector<std::string> names;
  for (const Point& point : kPoints) names.emplace_back(point.name);
  return names;
}

void SetFailpointLog(FailpointLog log) {
  State& state = TheState();
  absl::MutexLock lock(&state.mutex);
  state.log = log;
}

}  // namespace promptd
