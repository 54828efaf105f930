#include "wire/worker_registry.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/address.h"
#include "common/error.h"
#include "common/id.h"
#include "common/log.h"
#include "common/monotonic.h"
#include "common/sha256.h"
#include "common/status_macros.h"

namespace promptd::wire {
namespace {

constexpr absl::Duration kWatchInterval = absl::Milliseconds(100);
// A worker that beat this lately still lives.
constexpr absl::Duration kAlive = absl::Seconds(2);
constexpr size_t kMaxWorkers = 1000;
constexpr size_t kMaxEncoders = 64;

bool IsWorkerId(const std::string& id) {
  return !id.empty() && id.size() <= 63 &&
         absl::ascii_isalnum(static_cast<unsigned char>(id[0])) &&
         std::all_of(id.begin(), id.end(), [](char c) {
           const auto byte = static_cast<unsigned char>(c);
           return absl::ascii_islower(byte) || absl::ascii_isdigit(byte) ||
                  c == '.' || c == '_' || c == '-';
         });
}

absl::Duration Since(int64_t nanoseconds) {
  return absl::Nanoseconds(MonotonicNanoseconds() - nanoseconds);
}

}  // namespace

WorkerRegistry::WorkerRegistry(const RegistryOptions& options,
                               WorkerToken token, RegistryEvents* events)
    : options_(options),
      token_(std::move(token)),
      events_(events),
      watcher_([this] { Watch(); }) {}

WorkerRegistry::~WorkerRegistry() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  watcher_.join();
}

absl::Status WorkerRegistry::CheckHello(const WorkerHello& hello) const {
  const auto bad = [](const std::string& problem) {
    return MakeError(absl::StatusCode::kInvalidArgument, "BAD_WORKER", problem);
  };
  if (!IsWorkerId(hello.id) || hello.id == "local") {
    return bad(
        "a worker's id is 1 to 63 of a-z, 0-9, \".\", \"_\", \"-\", begins "
        "with a letter or digit, and is not \"local\": set --id");
  }
  const auto address = ParseAddress(hello.address);
  if (!address.ok() || address->port == 0) {
    return bad("a worker's address must be HOST:PORT: set --advertise");
  }
  if (hello.encoders.empty() || hello.encoders.size() > kMaxEncoders) {
    return bad(absl::StrCat("a worker holds 1 to ", kMaxEncoders, " encoders"));
  }
  for (const worker::EncoderDescription& encoder : hello.encoders) {
    if (!IsSha256Hex(encoder.digest) || encoder.name.empty()) {
      return bad("an encoder of the worker has no name or no digest");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> WorkerRegistry::Attach(
    const WorkerHello& hello, const std::shared_ptr<WorkerLink>& link) {
  RETURN_IF_ERROR(CheckHello(hello));
  RETURN_IF_ERROR(events_->OnAttach(hello));
  Session session;
  session.hello = hello;
  session.link = link;
  session.client = std::make_shared<ExecutorClient>(
      channels_.Connect(hello.address, options_.tls), token_,
      absl::StrCat("worker ", hello.id));
  session.target = std::make_shared<RouteTarget>();
  session.target->id = hello.id;
  session.target->executor = session.client;
  session.attached = absl::Now();
  session.last_beat_ns = MonotonicNanoseconds();
  const std::string name = NewUuid();
  std::string replaced;
  {
    absl::MutexLock lock(&mutex_);
    if (sessions_.size() >= kMaxWorkers) {
      return MakeError(absl::StatusCode::kResourceExhausted, "TOO_MANY_WORKERS",
                       absl::StrCat("at most ", kMaxWorkers, " workers"));
    }
    for (const auto& [other, held] : sessions_) {
      if (held.hello.id != hello.id) continue;
      if (Since(held.last_beat_ns) < kAlive) {
        return MakeError(
            absl::StatusCode::kAlreadyExists, "WORKER_ID_TAKEN",
            absl::StrCat("a worker ", hello.id, " at ", held.hello.address,
                         " is attached: give this one another --id"));
      }
      replaced = other;
    }
    for (const worker::EncoderDescription& encoder : hello.encoders) {
      std::erase_if(known_, [&](const auto& known) {
        return known.second.name == encoder.name;
      });
      known_[encoder.digest] = encoder;
    }
    sessions_[name] = std::move(session);
  }
  if (!replaced.empty()) Detach(replaced);
  LogEvent(spdlog::level::info, "worker_attached",
           {{"worker", hello.id},
            {"address", hello.address},
            {"version", hello.version}});
  return name;
}

void WorkerRegistry::Beat(const std::string& session, bool ready) {
  absl::MutexLock lock(&mutex_);
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return;
  found->second.last_beat_ns = MonotonicNanoseconds();
  found->second.ready = ready;
  found->second.suspected = false;
}

void WorkerRegistry::Detach(const std::string& session) {
  Session gone;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = sessions_.find(session);
    if (found == sessions_.end()) return;
    gone = std::move(found->second);
    sessions_.erase(found);
  }
  LogEvent(spdlog::level::warn, "worker_detached",
           {{"worker", gone.hello.id}, {"leases", gone.leases.size()}});
  gone.link->Close(MakeError(absl::StatusCode::kUnavailable, "WORKER_DETACHED",
                             "the front end gave this session up"));
  events_->OnDetach(gone.hello, {gone.leases.begin(), gone.leases.end()});
  gone.client->Abandon();
}

void WorkerRegistry::DetachAll() {
  std::vector<std::string> names;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [name, session] : sessions_) names.push_back(name);
  }
  for (const std::string& name : names) Detach(name);
}

absl::StatusOr<WorkerHello> WorkerRegistry::Find(
    const std::string& session) const {
  absl::MutexLock lock(&mutex_);
  const auto found = sessions_.find(session);
  if (found != sessions_.end()) return found->second.hello;
  return MakeError(absl::StatusCode::kFailedPrecondition, "NOT_ATTACHED",
                   "the worker is not attached to this front end");
}

bool WorkerRegistry::AddLease(const std::string& session,
                              const LeaseName& lease) {
  absl::MutexLock lock(&mutex_);
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return false;
  found->second.leases.insert(lease);
  return true;
}

void WorkerRegistry::RemoveLease(const std::string& session,
                                 const LeaseName& lease) {
  absl::MutexLock lock(&mutex_);
  const auto found = sessions_.find(session);
  if (found != sessions_.end()) found->second.leases.erase(lease);
}

void WorkerRegistry::HintWork() {
  std::vector<std::shared_ptr<WorkerLink>> links;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [name, session] : sessions_) links.push_back(session.link);
  }
  for (const auto& link : links) link->HintWork();
}

bool WorkerRegistry::Silent(const Session& session) const {
  return Since(session.last_beat_ns) > options_.suspect_after;
}

bool WorkerRegistry::Serves(const Session& session) const {
  return session.ready && !Silent(session);
}

std::vector<std::shared_ptr<RouteTarget>> WorkerRegistry::Targets(
    const std::string& encoder_digest) const {
  std::vector<std::shared_ptr<RouteTarget>> targets;
  absl::MutexLock lock(&mutex_);
  for (const auto& [name, session] : sessions_) {
    const auto& encoders = session.hello.encoders;
    const bool holds = std::any_of(
        encoders.begin(), encoders.end(),
        [&](const auto& encoder) { return encoder.digest == encoder_digest; });
    if (holds && Serves(session)) targets.push_back(session.target);
  }
  return targets;
}

bool WorkerRegistry::AnyReady() const {
  absl::MutexLock lock(&mutex_);
  return std::any_of(sessions_.begin(), sessions_.end(), [this](const auto& s) {
    mutex_.AssertHeld();
    return Serves(s.second);
  });
}

bool WorkerRegistry::Holds(const std::string& encoder_digest) const {
  absl::MutexLock lock(&mutex_);
  for (const auto& [name, session] : sessions_) {
    for (const worker::EncoderDescription& encoder : session.hello.encoders) {
      if (encoder.digest == encoder_digest) return true;
    }
  }
  return false;
}

std::vector<worker::EncoderDescription> WorkerRegistry::KnownEncoders() const {
  std::vector<worker::EncoderDescription> encoders;
  absl::MutexLock lock(&mutex_);
  for (const auto& [digest, encoder] : known_) encoders.push_back(encoder);
  return encoders;
}

std::vector<WorkerStatus> WorkerRegistry::Workers() const {
  std::vector<WorkerStatus> workers;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [name, session] : sessions_) {
      workers.push_back({session.hello, Serves(session), session.target->load,
                         session.attached});
    }
  }
  std::sort(workers.begin(), workers.end(), [](const auto& a, const auto& b) {
    return a.hello.id < b.hello.id;
  });
  return workers;
}

void WorkerRegistry::Watch() {
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      mutex_.AwaitWithTimeout(absl::Condition(&stopping_), kWatchInterval);
      if (stopping_) return;
    }
    WatchOnce();
  }
}

void WorkerRegistry::WatchOnce() {
  std::vector<std::string> lost;
  std::vector<std::shared_ptr<ExecutorClient>> silent;
  {
    absl::MutexLock lock(&mutex_);
    bool others = options_.others_serve;
    for (const auto& [name, session] : sessions_) {
      others = others || Serves(session);
    }
    for (auto& [name, session] : sessions_) {
      if (Since(session.last_beat_ns) > options_.close_after) {
        lost.push_back(name);
      } else if (others && Silent(session) && !session.suspected) {
        session.suspected = true;
        silent.push_back(session.client);
        LogEvent(spdlog::level::warn, "worker_silent",
                 {{"worker", session.hello.id}});
      }
    }
  }
  for (const std::string& name : lost) Detach(name);
  for (const auto& client : silent) client->Abandon();
  channels_.Prune();
}

}  // namespace promptd::wire
