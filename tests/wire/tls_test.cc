#include "wire/tls.h"

#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "gtest/gtest.h"
#include "tests/testing/temp_dir.h"
#include "tests/wire/wire_rig.h"
#include "tests/worker/fake_control.h"
#include "wire/control_client.h"

namespace promptd::wire {
namespace {

class TlsTest : public ::testing::Test {
 protected:
  TlsTest() {
    MakeAuthority("ours");
    MakeAuthority("other");
  }

  std::string Path(const std::string& name) const {
    return absl::StrCat(dir_.path(), "/", name);
  }

  // With openssl's own program: what users have.
  void OpenSsl(const std::string& arguments) {
    const std::string command =
        absl::StrCat("cd ", dir_.path(), " && openssl ", arguments, " 2>log");
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
  }

  void MakeAuthority(const std::string& name) {
    OpenSsl(
        absl::StrCat("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256"
                     " -nodes -days 2 -subj /CN=",
                     name, " -keyout ", name, ".key -out ", name, ".pem"));
  }

  // A certificate for `host`, signed by an authority.
  TlsFlags MakeIdentity(const std::string& name, const std::string& authority,
                        const std::string& host = "IP:127.0.0.1") {
    OpenSsl(
        absl::StrCat("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
                     "-nodes -subj /CN=",
                     name, " -keyout ", name, ".key -out ", name, ".csr"));
    std::ofstream(Path("extensions")) << "subjectAltName=" << host << "\n";
    OpenSsl(absl::StrCat("x509 -req -days 2 -in ", name, ".csr -CA ", authority,
                         ".pem -CAkey ", authority,
                         ".key -CAcreateserial -extfile extensions -out ", name,
                         ".pem"));
    return {Path(authority + ".pem"), Path(name + ".pem"), Path(name + ".key")};
  }

  static std::optional<TlsIdentity> Identity(const TlsFlags& flags) {
    auto identity = TlsIdentity::FromFlags("", flags);
    EXPECT_TRUE(identity.ok()) << identity.status();
    EXPECT_TRUE(identity->has_value());
    return *std::move(identity);
  }

  // What a worker with this identity is told by a front end with that one.
  absl::Status Ask(const std::optional<TlsIdentity>& worker,
                   const std::optional<TlsIdentity>& frontend) {
    worker::FakeControl control;
    WorkerRegistry registry({.tls = frontend}, TestToken(), nullptr);
    WorkPool pool{2, 16};
    const auto table = MakeControlService(
        TestToken(),
        [&](std::function<void()> task) {
          return pool.TrySubmit(std::move(task));
        },
        &control, &registry, absl::Seconds(3));
    auto listener = Listener::Start({"127.0.0.1", 0}, frontend, table.get());
    if (!listener.ok()) return listener.status();
    ControlClient client(
        {.retry_for = absl::ZeroDuration()},
        Connect(absl::StrCat("127.0.0.1:", (*listener)->port()), worker),
        TestToken(), nullptr);
    return client.FindFeatures("none").status();
  }

  testing::TempDir dir_;
};

TEST_F(TlsTest, TwoOfOneAuthorityTalk) {
  const auto frontend = Identity(MakeIdentity("frontend", "ours"));
  const auto worker = Identity(MakeIdentity("worker", "ours"));
  EXPECT_EQ(Ask(worker, frontend), absl::OkStatus());
}

TEST_F(TlsTest, StrangersAreNotHeard) {
  const auto frontend = Identity(MakeIdentity("frontend", "ours"));
  TlsFlags stranger = MakeIdentity("stranger", "other");
  EXPECT_EQ(ErrorReason(Ask(Identity(stranger), frontend)), "PEER_UNREACHABLE");
  // Who trusts us but is not trusted.
  stranger.authority = Path("ours.pem");
  EXPECT_EQ(ErrorReason(Ask(Identity(stranger), frontend)), "PEER_UNREACHABLE");
  // Without TLS, on either side.
  EXPECT_EQ(ErrorReason(Ask(std::nullopt, frontend)), "PEER_UNREACHABLE");
  EXPECT_EQ(ErrorReason(Ask(frontend, std::nullopt)), "PEER_UNREACHABLE");
}

TEST_F(TlsTest, ACertificateForAnotherHostIsNotBelieved) {
  const auto elsewhere =
      Identity(MakeIdentity("elsewhere", "ours", "DNS:elsewhere.example"));
  const auto worker = Identity(MakeIdentity("worker", "ours"));
  EXPECT_EQ(ErrorReason(Ask(worker, elsewhere)), "PEER_UNREACHABLE");
}

TEST_F(TlsTest, AKeyOfAnotherCertificateCannotListen) {
  TlsFlags flags = MakeIdentity("frontend", "ours");
  flags.key = MakeIdentity("worker", "ours").key;
  const absl::Status status = Ask(std::nullopt, Identity(flags));
  EXPECT_EQ(ErrorReason(status), "CANNOT_LISTEN");
  EXPECT_TRUE(absl::StrContains(status.message(), "certificate and key"))
      << status;
}

TEST_F(TlsTest, FilesAreChecked) {
  const TlsFlags good = MakeIdentity("worker", "ours");
  EXPECT_EQ(TlsIdentity::FromFlags("", {})->has_value(), false);

  TlsFlags flags = good;
  flags.certificate = "";
  absl::Status status = TlsIdentity::FromFlags("worker-", flags).status();
  EXPECT_EQ(ErrorReason(status), "INCOMPLETE_TLS");
  EXPECT_TRUE(absl::StrContains(status.message(), "--worker-tls-cert"));

  flags = good;
  flags.authority = good.key;
  EXPECT_EQ(ErrorReason(TlsIdentity::FromFlags("", flags).status()),
            "BAD_TLS_FILE");
  flags = good;
  flags.authority = "/no/such/file";
  status = TlsIdentity::FromFlags("", flags).status();
  EXPECT_TRUE(absl::StrContains(status.message(), "--tls-ca")) << status;

  ::chmod(good.key.c_str(), 0644);
  EXPECT_EQ(ErrorReason(TlsIdentity::FromFlags("", good).status()),
            "KEY_FILE_EXPOSED");
}

}  // namespace
}  // namespace promptd::wire
