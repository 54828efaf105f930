#include "server/classify_stream.h"

#include <map>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/server/server_fixture.h"

namespace promptd::server {
namespace {

using Stream = grpc::ClientReaderWriter<v1::ClassifyStreamRequest,
                                        v1::ClassifyStreamResponse>;

class ClassifyStreamTest : public ServerFixture {
 protected:
  ClassifyStreamTest() {
    PushPets();
    TrainOnce();
  }

  static v1::ClassifyStreamRequest Item(const std::string& id,
                                        const std::string& task = "pets") {
    v1::ClassifyStreamRequest request;
    request.set_id(id);
    request.mutable_classify()->set_task(task);
    request.mutable_classify()->add_images(Png(1));
    return request;
  }
  // The same, but that its image is only named.
  static v1::ClassifyStreamRequest NamedItem(const std::string& id,
                                             const std::string& digest) {
    v1::ClassifyStreamRequest request = Item(id);
    request.mutable_classify()->clear_images();
    request.mutable_classify()->add_image_digests(digest);
    return request;
  }
  // The answer to one item on a stream of its own.
  v1::ClassifyStreamResponse Ask(const v1::ClassifyStreamRequest& request) {
    Context context;
    const std::unique_ptr<Stream> stream = classify_->ClassifyStream(&context);
    EXPECT_TRUE(stream->Write(request));
    stream->WritesDone();
    v1::ClassifyStreamResponse response;
    EXPECT_TRUE(stream->Read(&response));
    EXPECT_EQ(response.id(), request.id());
    v1::ClassifyStreamResponse none;
    EXPECT_FALSE(stream->Read(&none));
    EXPECT_TRUE(stream->Finish().ok());
    return response;
  }
};

TEST_F(ClassifyStreamTest, AnswersEachItemUnderItsId) {
  Context context;
  const std::unique_ptr<Stream> stream = classify_->ClassifyStream(&context);
  constexpr int kItems = 100;
  std::thread writer([&] {
    for (int i = 0; i < kItems; ++i) {
      ASSERT_TRUE(stream->Write(
          Item(absl::StrCat("item ", i), i % 10 == 9 ? "birds" : "pets")));
    }
    stream->WritesDone();
  });
  std::map<std::string, v1::ClassifyStreamResponse> answers;
  v1::ClassifyStreamResponse response;
  while (stream->Read(&response)) answers[response.id()] = response;
  writer.join();
  EXPECT_TRUE(stream->Finish().ok());
  ASSERT_EQ(answers.size(), static_cast<size_t>(kItems));
  const v1::ClassifyStreamResponse& good = answers["item 0"];
  EXPECT_EQ(good.code(), 0);
  EXPECT_EQ(good.classify().version(), 1);
  EXPECT_EQ(good.classify().results(0).scores(0).class_name(), "cat");
  const v1::ClassifyStreamResponse& bad = answers["item 9"];
  EXPECT_EQ(bad.code(), grpc::NOT_FOUND);
  EXPECT_EQ(bad.error_reason(), "TASK_NOT_FOUND");
  EXPECT_TRUE(absl::StrContains(bad.error_message(), "birds"));
  EXPECT_FALSE(bad.has_classify());
}

TEST_F(ClassifyStreamTest, TakesEveryKindOfCall) {
  v1::ClassifyStreamRequest zero_shot;
  zero_shot.set_id("z");
  zero_shot.mutable_zero_shot()->add_labels("cat");
  zero_shot.mutable_zero_shot()->add_images(Png(1));
  EXPECT_EQ(Ask(zero_shot).classify().results_size(), 1);
  v1::ClassifyStreamRequest multi;
  multi.set_id("m");
  multi.mutable_multi()->add_tasks()->set_task("pets");
  multi.mutable_multi()->add_tasks()->set_task("birds");
  multi.mutable_multi()->add_images(Png(1));
  const v1::ClassifyStreamResponse response = Ask(multi);
  EXPECT_EQ(response.multi().tasks(0).results_size(), 1);
  EXPECT_EQ(response.multi().tasks(1).error_reason(), "TASK_NOT_FOUND");
}

TEST_F(ClassifyStreamTest, AnItemMayNameItsImages) {
  const std::string known(32, 'k');
  executor_.KnowDigest(known);
  v1::ClassifyStreamRequest item = NamedItem("x", known);
  item.mutable_classify()->add_image_digests(std::string(32, 'u'));
  const v1::ClassifyStreamResponse response = Ask(item);
  EXPECT_EQ(response.code(), 0);
  ASSERT_EQ(response.classify().results_size(), 2);
  EXPECT_EQ(response.classify().results(0).scores_size(), 2);
  EXPECT_EQ(response.classify().results(1).error_reason(), "IMAGE_NOT_CACHED");
  item.mutable_classify()->add_image_digests("short");
  EXPECT_EQ(Ask(item).code(), grpc::INVALID_ARGUMENT);
}

TEST_F(ClassifyStreamTest, NamedItemsOfOneStreamAreAllAnswered) {
  const std::string known(32, 'k');
  executor_.KnowDigest(known);
  v1::ClassifyStreamRequest item = NamedItem("", known);
  Context context;
  const std::unique_ptr<Stream> stream = classify_->ClassifyStream(&context);
  constexpr int kItems = 300;
  std::thread writer([&] {
    for (int i = 0; i < kItems; ++i) {
      // Not all of them can be answered from memory.
      item.set_id(absl::StrCat(i));
      item.mutable_classify()->set_task(i % 100 == 99 ? "birds" : "pets");
      item.mutable_classify()->set_version(i == 250 ? 2 : 1);
      ASSERT_TRUE(stream->Write(item));
    }
    stream->WritesDone();
  });
  std::map<std::string, v1::ClassifyStreamResponse> answers;
  v1::ClassifyStreamResponse response;
  while (stream->Read(&response)) answers[response.id()] = response;
  writer.join();
  EXPECT_TRUE(stream->Finish().ok());
  ASSERT_EQ(answers.size(), static_cast<size_t>(kItems));
  for (int i = 0; i < kItems; ++i) {
    const v1::ClassifyStreamResponse& one = answers[absl::StrCat(i)];
    const char* reason = i % 100 == 99 ? "TASK_NOT_FOUND"
                         : i == 250    ? "VERSION_NOT_FOUND"
                                       : "";
    EXPECT_EQ(one.error_reason(), reason) << i;
    EXPECT_EQ(one.classify().results_size(), *reason == '\0' ? 1 : 0) << i;
  }
}

TEST_F(ClassifyStreamTest, AnItemThatThrowsIsAnsweredOnAnyThread) {
  const std::string known(32, 'k');
  executor_.KnowDigest(known);
  v1::ClassifyStreamRequest item = NamedItem("x", known);
  Context context;
  const std::unique_ptr<Stream> stream = classify_->ClassifyStream(&context);
  v1::ClassifyStreamResponse response;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(stream->Write(item));
    ASSERT_TRUE(stream->Read(&response));
    EXPECT_EQ(response.code(), 0);
  }
  executor_.ThrowFromNowOn();
  ASSERT_TRUE(stream->Write(item));
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.code(), grpc::INTERNAL);
}

TEST_F(ClassifyStreamTest, BadItemsAreAnsweredAndTheStreamGoesOn) {
  v1::ClassifyStreamRequest item;
  EXPECT_EQ(Ask(item).error_reason(), "INVALID_STREAM_ITEM");
  item.set_id(std::string(129, 'x'));
  EXPECT_EQ(Ask(item).error_reason(), "INVALID_STREAM_ITEM");
  item.set_id("x");
  EXPECT_EQ(Ask(item).error_reason(), "INVALID_STREAM_ITEM");
  item = Item("x");
  item.mutable_timeout()->set_seconds(-1);
  EXPECT_EQ(Ask(item).error_reason(), "INVALID_STREAM_ITEM");
  item = Item("x");
  item.mutable_classify()->clear_images();
  const v1::ClassifyStreamResponse response = Ask(item);
  EXPECT_EQ(response.error_reason(), "INVALID_CLASSIFY_REQUEST");
  EXPECT_EQ(response.code(), grpc::INVALID_ARGUMENT);
}

TEST_F(ClassifyStreamTest, AnIdIsFreeOnceItIsAnswered) {
  executor_.HoldCalls();
  Context context;
  const std::unique_ptr<Stream> stream = classify_->ClassifyStream(&context);
  stream->Write(Item("a"));
  executor_.AwaitHeld(1);
  stream->Write(Item("a"));
  v1::ClassifyStreamResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.error_reason(), "DUPLICATE_ITEM_ID");
  executor_.ReleaseHeld();
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.code(), 0);
  stream->Write(Item("a"));
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.code(), 0);
}

TEST_F(ClassifyStreamTest, AnItemMayHaveADeadline) {
  v1::ClassifyStreamRequest item = Item("x");
  EXPECT_EQ(Ask(item).code(), 0);
  absl::Duration left = executor_.last_call().deadline - absl::Now();
  EXPECT_GT(left, absl::Seconds(20));
  EXPECT_LE(left, absl::Seconds(30));
  item.mutable_timeout()->set_seconds(2);
  EXPECT_EQ(Ask(item).code(), 0);
  left = executor_.last_call().deadline - absl::Now();
  EXPECT_LE(left, absl::Seconds(2));
  item.mutable_timeout()->set_seconds(1000);
  EXPECT_EQ(Ask(item).code(), 0);
  left = executor_.last_call().deadline - absl::Now();
  EXPECT_LE(left, absl::Seconds(60));
}

TEST_F(ClassifyStreamTest, AStreamThatIsNotReadIsNotReadFrom) {
  executor_.HoldCalls();
  Context context;
  const std::unique_ptr<Stream> stream = classify_->ClassifyStream(&context);
  const int most = Limits().max_stream_items;
  for (int i = 0; i < 2 * most; ++i) stream->Write(Item(absl::StrCat(i)));
  executor_.AwaitHeld(most);
  EXPECT_EQ(executor_.held(), static_cast<size_t>(most));
  // A client that goes away leaves nothing waited for, and no slot taken.
  context.TryCancel();
  EXPECT_EQ(stream->Finish().error_code(), grpc::CANCELLED);
  while (!executor_.AnyHeldCancelled()) std::this_thread::yield();
  executor_.ReleaseHeld();
  EXPECT_EQ(Ask(Item("after")).code(), 0);
}

TEST_F(ClassifyStreamTest, StreamsAreBoundedAndEndWithTheServer) {
  ServerOptions options = DefaultOptions();
  options.limits.max_classify_streams = 1;
  StartServer(options);
  Context first;
  const std::unique_ptr<Stream> open = classify_->ClassifyStream(&first);
  open->Write(Item("a"));
  v1::ClassifyStreamResponse response;
  ASSERT_TRUE(open->Read(&response));
  Context second;
  const std::unique_ptr<Stream> refused = classify_->ClassifyStream(&second);
  EXPECT_FALSE(refused->Read(&response));
  EXPECT_EQ(Decode(refused->Finish()).reason, "TOO_MANY_STREAMS");
  server_->Shutdown(absl::Now() + absl::Seconds(30));
  EXPECT_FALSE(open->Read(&response));
  EXPECT_EQ(Decode(open->Finish()).reason, "SHUTTING_DOWN");
}

}  // namespace
}  // namespace promptd::server
