// A promptd of our own for the length of a demo: child process, free ports,
// its data and log in one folder.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/child_process.h"
#include "client/interrupt.h"

namespace promptd::client {

// What promptd writes to its ready file: a JSON object with "listen" and
// "http", each HOST:PORT.
struct ServerAddresses {
  std::string grpc;
  std::string http;
};
// INTERNAL (BAD_READY_FILE).
absl::StatusOr<ServerAddresses> ParseReadyFile(const std::string& text);

// Ctrl-C kills the child. Thread-safe.
class DemoServer {
 public:
  // Starts `program` with its data under `folder` and waits until it serves.
  // ABORTED (SERVER_EXITED) when it ends first, DEADLINE_EXCEEDED
  // (SERVER_NOT_READY) when it takes longer than `patience`.
  static absl::StatusOr<std::unique_ptr<DemoServer>> Start(
      const std::string& program, const std::string& models,
      const std::string& folder, absl::Duration patience);

  const ServerAddresses& addresses() const { return addresses_; }
  const std::string& log_file() const { return log_file_; }

  // SIGTERM, then SIGKILL after `grace`; the exit status.
  int Stop(absl::Duration grace) { return process_->Stop(grace); }

 private:
  DemoServer(std::unique_ptr<ChildProcess> process, std::string log_file);
  absl::Status WaitUntilReady(const std::string& ready_file,
                              absl::Duration patience);

  const std::unique_ptr<ChildProcess> process_;
  const OnInterrupt interrupted_;
  const std::string log_file_;
  ServerAddresses addresses_;
};

// The last `lines` lines of a text file; empty when it cannot be read.
std::string Tail(const std::string& file, int lines);

}  // namespace promptd::client
