#include "wire/tls.h"

#include <CLI/CLI.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/error.h"
#include "common/file.h"
#include "common/status_macros.h"
#include "wire/worker_token.h"

namespace promptd::wire {
namespace {

constexpr int64_t kMaxFileBytes = 1 << 20;

absl::StatusOr<std::string> ReadPem(const std::string& flag,
                                    const std::string& path,
                                    absl::string_view kind) {
  auto text = ReadFile(path, kMaxFileBytes);
  if (!text.ok()) return Annotate(text.status(), flag);
  if (!absl::StrContains(*text, "-----BEGIN ") ||
      !absl::StrContains(*text, absl::StrCat(kind, "-----"))) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "BAD_TLS_FILE",
        absl::StrCat(flag, " ", path, " is no PEM file that holds a ", kind));
  }
  return text;
}

}  // namespace

void DeclareTls(const std::string& prefix, const std::string& environment,
                TlsFlags* flags, CLI::App* app) {
  app->add_option("--" + prefix + "tls-ca", flags->authority,
                  "PEM file of the authority that signed the certificates of "
                  "front end and workers: with it, both sides talk by mutual "
                  "TLS")
      ->envname(environment + "_TLS_CA");
  app->add_option("--" + prefix + "tls-cert", flags->certificate,
                  "PEM file of this side's certificate; it names the host by "
                  "which the other side reaches this one")
      ->envname(environment + "_TLS_CERT");
  app->add_option("--" + prefix + "tls-key", flags->key,
                  "PEM file of its private key; nobody else on this machine "
                  "may read it")
      ->envname(environment + "_TLS_KEY");
}

absl::StatusOr<std::optional<TlsIdentity>> TlsIdentity::FromFlags(
    const std::string& prefix, const TlsFlags& flags) {
  const bool all = !flags.authority.empty() && !flags.certificate.empty() &&
                   !flags.key.empty();
  if (!all) {
    if (flags.authority.empty() && flags.certificate.empty() &&
        flags.key.empty()) {
      return std::optional<TlsIdentity>();
    }
    return MakeError(
        absl::StatusCode::kInvalidArgument, "INCOMPLETE_TLS",
        absl::StrCat("--", prefix, "tls-ca, --", prefix, "tls-cert and --",
                     prefix, "tls-key belong together: give all three"));
  }
  RETURN_IF_ERROR(CheckPrivate(flags.key, "key", "KEY_FILE_EXPOSED"));
  const std::string flag = absl::StrCat("--", prefix, "tls-");
  TlsIdentity identity;
  ASSIGN_OR_RETURN(identity.authority_,
                   ReadPem(flag + "ca", flags.authority, "CERTIFICATE"));
  ASSIGN_OR_RETURN(identity.certificate_,
                   ReadPem(flag + "cert", flags.certificate, "CERTIFICATE"));
  ASSIGN_OR_RETURN(identity.key_,
                   ReadPem(flag + "key", flags.key, "PRIVATE KEY"));
  return std::optional<TlsIdentity>(std::move(identity));
}

std::shared_ptr<grpc::ChannelCredentials> TlsIdentity::ForChannel() const {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = authority_;
  options.pem_cert_chain = certificate_;
  options.pem_private_key = key_;
  return grpc::SslCredentials(options);
}

std::shared_ptr<grpc::ServerCredentials> TlsIdentity::ForListener() const {
  grpc::SslServerCredentialsOptions options(
      GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = authority_;
  options.pem_key_cert_pairs.push_back({key_, certificate_});
  return grpc::SslServerCredentials(options);
}

std::shared_ptr<grpc::ChannelCredentials> ChannelCredentialsOf(
    const std::optional<TlsIdentity>& tls) {
  return tls ? tls->ForChannel() : grpc::InsecureChannelCredentials();
}

std::shared_ptr<grpc::ServerCredentials> ListenerCredentialsOf(
    const std::optional<TlsIdentity>& tls) {
  return tls ? tls->ForListener() : grpc::InsecureServerCredentials();
}

}  // namespace promptd::wire
