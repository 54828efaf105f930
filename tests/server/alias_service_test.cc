// Moves of aliases and their history over a real channel.
#include <chrono>
#include <fstream>

#include "absl/strings/match.h"
#include "common/sha256.h"
#include "tests/server/server_fixture.h"

namespace promptd::server {
namespace {

class AliasServiceTest : public ServerFixture {
 protected:
  AliasServiceTest() {
    PushPets();
    for (int i = 0; i < 3; ++i) TrainOnce();
  }

  grpc::Status Set(int64_t version, const std::string& reason = "") {
    v1::SetAliasRequest request;
    request.set_task("pets");
    request.set_name("production");
    request.set_version(version);
    request.set_reason(reason);
    Context context;
    return prompts_->SetAlias(&context, request, &alias_);
  }
  grpc::Status Rollback(const v1::RollbackAliasRequest& request) {
    Context context;
    return prompts_->RollbackAlias(&context, request, &alias_);
  }
  static v1::RollbackAliasRequest OfProduction() {
    v1::RollbackAliasRequest request;
    request.set_task("pets");
    return request;
  }
  grpc::Status Delete(std::optional<int64_t> expected) {
    v1::DeleteAliasRequest request;
    request.set_task("pets");
    if (expected) request.set_expected_version(*expected);
    v1::DeleteAliasResponse ignored;
    Context context;
    return prompts_->DeleteAlias(&context, request, &ignored);
  }
  grpc::Status Get(const v1::GetAliasRequest& request) {
    Context context;
    return prompts_->GetAlias(&context, request, &alias_);
  }
  v1::ListAliasHistoryResponse History(int page_size = 0,
                                       const std::string& token = "") {
    v1::ListAliasHistoryRequest request;
    request.set_task("pets");
    request.set_page_size(page_size);
    request.set_page_token(token);
    v1::ListAliasHistoryResponse reply;
    Context context;
    const grpc::Status status =
        prompts_->ListAliasHistory(&context, request, &reply);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return reply;
  }

  v1::Alias alias_;  // of the last call
};

TEST_F(AliasServiceTest, TheHistorySaysWhoWhenFromToAndWhy) {
  ASSERT_TRUE(Set(3, "better at night").ok());
  const v1::ListAliasHistoryResponse history = History();
  ASSERT_EQ(history.moves_size(), 2);
  const v1::AliasMove& move = history.moves(0);
  EXPECT_EQ(move.revision(), 2);
  EXPECT_EQ(move.previous_version(), 1);
  EXPECT_EQ(move.version(), 3);
  EXPECT_EQ(move.actor(), "default");
  EXPECT_EQ(move.reason(), "better at night");
  EXPECT_GT(move.time().seconds(), 0);
  EXPECT_EQ(history.moves(1).actor(), "job 1");
}

TEST_F(AliasServiceTest, TheHistoryIsPaged) {
  ASSERT_TRUE(Set(3).ok());
  ASSERT_TRUE(Set(2).ok());
  const v1::ListAliasHistoryResponse first = History(2);
  ASSERT_EQ(first.moves_size(), 2);
  const v1::ListAliasHistoryResponse rest = History(2, first.next_page_token());
  ASSERT_EQ(rest.moves_size(), 1);
  EXPECT_EQ(rest.moves(0).revision(), 1);
  EXPECT_EQ(rest.next_page_token(), "");
}

TEST_F(AliasServiceTest, ARollbackIsOneCallAndAMoveItself) {
  ASSERT_TRUE(Set(2).ok());
  ASSERT_TRUE(Set(3).ok());
  v1::RollbackAliasRequest request = OfProduction();
  request.set_expected_version(2);
  const ErrorDetails moved = Decode(Rollback(request));
  EXPECT_EQ(moved.code, grpc::ABORTED);
  EXPECT_EQ(moved.reason, "ALIAS_MOVED");
  EXPECT_TRUE(absl::StrContains(moved.message, "version 3"));
  request.set_expected_version(3);
  request.set_expected_revision(3);
  request.set_reason("worse");
  ASSERT_TRUE(Rollback(request).ok());
  EXPECT_EQ(alias_.version(), 2);
  EXPECT_EQ(History().moves(0).undone_revision(), 3);
  EXPECT_EQ(History().moves(0).reason(), "worse");
  ASSERT_TRUE(Rollback(OfProduction()).ok());
  EXPECT_EQ(alias_.version(), 1);
  const ErrorDetails none = Decode(Rollback(OfProduction()));
  EXPECT_EQ(none.code, grpc::FAILED_PRECONDITION);
  EXPECT_EQ(none.reason, "NOTHING_TO_ROLL_BACK");
}

TEST_F(AliasServiceTest, ADeletedAliasKeepsItsHistoryAndComesBack) {
  EXPECT_EQ(Decode(Delete(2)).reason, "ALIAS_MOVED");
  ASSERT_TRUE(Delete(1).ok());
  EXPECT_EQ(Decode(Delete({})).reason, "ALIAS_NOT_FOUND");
  v1::GetAliasRequest get;
  get.set_task("pets");
  EXPECT_EQ(Decode(Get(get)).reason, "ALIAS_NOT_FOUND");
  EXPECT_EQ(History().moves(0).version(), 0);
  ASSERT_TRUE(Rollback(OfProduction()).ok());
  EXPECT_EQ(alias_.version(), 1);
  EXPECT_EQ(alias_.revision(), 3);
}

TEST_F(AliasServiceTest, WhereItPointedAtATime) {
  v1::GetAliasRequest get;
  get.set_task("pets");
  ASSERT_TRUE(Get(get).ok());
  EXPECT_EQ(alias_.version(), 1);
  const google::protobuf::Timestamp published = alias_.update_time();
  ASSERT_TRUE(Set(3).ok());
  *get.mutable_at_time() = published;
  ASSERT_TRUE(Get(get).ok());
  EXPECT_EQ(alias_.version(), 1);
  get.mutable_at_time()->set_seconds(published.seconds() + 3600);
  ASSERT_TRUE(Get(get).ok());
  EXPECT_EQ(alias_.version(), 3);
  get.mutable_at_time()->set_seconds(published.seconds() - 3600);
  EXPECT_EQ(Decode(Get(get)).reason, "ALIAS_NOT_FOUND");
  get.mutable_at_time()->set_seconds(-1);
  EXPECT_EQ(Decode(Get(get)).reason, "INVALID_TIME");
}

TEST_F(AliasServiceTest, ADamagedVersionIsNotServedByAnAlias) {
  ASSERT_TRUE(Set(2).ok());
  const auto damage = [&](const std::string& bytes) {
    const std::string digest = Sha256Hex(bytes);
    std::ofstream(dir_.path() + "/data/blobs/" + digest.substr(0, 2) + "/" +
                  digest.substr(2))
        << std::string(bytes.size(), 'x');
    return digest;
  };
  const std::string features = damage("features of 3");
  const ErrorDetails refused = Decode(Set(3));
  EXPECT_EQ(refused.code, grpc::DATA_LOSS);
  EXPECT_EQ(refused.reason, "BLOB_CORRUPT");
  EXPECT_TRUE(absl::StrContains(refused.message, features));
  EXPECT_TRUE(absl::StrContains(refused.message, "version pets:3"));
  damage("context of 1");
  EXPECT_EQ(Decode(Rollback(OfProduction())).reason, "BLOB_CORRUPT");
  v1::GetAliasRequest get;
  get.set_task("pets");
  ASSERT_TRUE(Get(get).ok());
  EXPECT_EQ(alias_.version(), 2);  // it goes on serving
  EXPECT_FALSE(server_->control()->GetBlob(features).ok());
  EXPECT_TRUE(absl::StrContains(Metrics(), "promptd_blobs_corrupt_total 1"));
}

TEST_F(AliasServiceTest, AReasonIsShortPlainText) {
  const ErrorDetails refused = Decode(Set(2, std::string(1025, 'x')));
  EXPECT_EQ(refused.code, grpc::INVALID_ARGUMENT);
  EXPECT_EQ(refused.reason, "INVALID_REASON");
  EXPECT_EQ(Decode(Set(2, "a\x1b[2J")).reason, "INVALID_REASON");
  EXPECT_EQ(History().moves_size(), 1);
}

}  // namespace
}  // namespace promptd::server
