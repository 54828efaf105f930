// Mutual TLS between a front end and its workers: each side shows a
// certificate, and believes those that one authority of theirs has signed.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/security/server_credentials.h"

namespace CLI {
class App;
}

namespace promptd::wire {

// Paths of PEM files, as the user wrote them; all empty: no TLS.
struct TlsFlags {
  std::string authority;
  std::string certificate;
  std::string key;
};

// --PREFIXtls-ca, --PREFIXtls-cert and --PREFIXtls-key, with variables
// ENVIRONMENT_TLS_CA and so on.
void DeclareTls(const std::string& prefix, const std::string& environment,
                TlsFlags* flags, CLI::App* app);

// Thread-safe.
class TlsIdentity {
 public:
  // None without flags. INVALID_ARGUMENT (INCOMPLETE_TLS) where one of them is
  // missing, (BAD_TLS_FILE) where a file is not what it should be;
  // FAILED_PRECONDITION (KEY_FILE_EXPOSED) where everybody on the machine may
  // open the key; errors of ReadFile. No error shows what is in the files.
  static absl::StatusOr<std::optional<TlsIdentity>> FromFlags(
      const std::string& prefix, const TlsFlags& flags);

  // The peer's certificate must name the host that is connected to.
  std::shared_ptr<grpc::ChannelCredentials> ForChannel() const;
  std::shared_ptr<grpc::ServerCredentials> ForListener() const;

 private:
  TlsIdentity() = default;

  std::string authority_;
  std::string certificate_;
  std::string key_;
};

// Without TLS where there is none.
std::shared_ptr<grpc::ChannelCredentials> ChannelCredentialsOf(
    const std::optional<TlsIdentity>& tls);
std::shared_ptr<grpc::ServerCredentials> ListenerCredentialsOf(
    const std::optional<TlsIdentity>& tls);

}  // namespace promptd::wire
