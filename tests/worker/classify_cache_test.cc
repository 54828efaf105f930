// The classifier's shared features: hits, joins, who may share, who takes over.
#include <atomic>
#include <map>
#include <thread>

#include "absl/strings/string_view.h"
#include "absl/synchronization/notification.h"
#include "clip/encoder.h"
#include "clip/trainable_image_tower.h"
#include "common/error.h"
#include "common/sha256.h"
#include "tests/worker/worker_fixture.h"
#include "worker/classifier.h"
#include "worker/head_blob.h"
#include "worker/tensor_blob.h"

namespace promptd::worker {
namespace {

class RecordingObserver : public Observer {
 public:
  void OnBatch(int images, int heads) override {
    encoded += images;
    last_heads = heads;
  }
  std::atomic<int> encoded = 0;
  std::atomic<int> last_heads = 0;
};

struct Answer {
  absl::Notification here;
  absl::StatusOr<ClassifyOutcome> outcome = absl::UnknownError("none");
  std::thread::id thread;

  const ClassifyOutcome& Await() {
    here.WaitForNotification();
    static const ClassifyOutcome none;
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    return outcome.ok() ? *outcome : none;
  }
  CacheUse cache(size_t image = 0) { return Await().images.at(image).cache; }
};

class ClassifyCacheTest : public WorkerFixture {
 protected:
  ClassifyCacheTest() {
    auto encoders = EncoderSet::Load({SourceDir() + "/models/embedded"},
                                     clip::EncoderOptions());
    EXPECT_TRUE(encoders.ok()) << encoders.status();
    encoders_ = *std::move(encoders);
    image_ = Image("jpeg_420.jpeg");
    Start({});
  }

  void Start(const ClassifierOptions& options) {
    const auto read_blob = [this](const std::string& digest) {
      return control_.GetBlob(digest);
    };
    classifier_ = nullptr;
    tuned_ = std::make_unique<TunedEncoders>(1, &encoders_, &loop_, read_blob);
    classifier_ = std::make_unique<Classifier>(options, tuned_.get(), &times_,
                                               &loop_, &counts_, read_blob);
  }
  // Until Release() no batch runs.
  void HoldDevice() {
    loop_.PostServing([this] { release_.WaitForNotification(); });
  }
  void Release() { release_.Notify(); }

  ClassifyCall Call(absl::string_view tenant, absl::string_view image) {
    ClassifyCall call;
    call.tenant = std::string(tenant);
    call.encoder_digest = encoders_.descriptions()[0].digest;
    call.images = {image};
    call.heads = {{.text = {.texts = {"a dog", "a cat"}}, .top_k = 2}};
    return call;
  }
  std::unique_ptr<Answer> Send(ClassifyCall call) {
    auto answer = std::make_unique<Answer>();
    classifier_->Classify(std::move(call), [to = answer.get()](auto outcome) {
      to->outcome = std::move(outcome);
      to->thread = std::this_thread::get_id();
      to->here.Notify();
    });
    return answer;
  }
  // The digest of an image's bytes, which lives as long as this.
  absl::string_view DigestOf(absl::string_view image) {
    Sha256 sha;
    sha.Update(image);
    const std::array<uint8_t, 32> digest = sha.Digest();
    return Keep(std::string(digest.begin(), digest.end()));
  }
  // The same call with a digest for each of its images.
  ClassifyCall ByDigest(ClassifyCall call) {
    for (const absl::string_view image : call.images) {
      call.image_digests.push_back(DigestOf(image));
    }
    call.images.clear();
    return call;
  }
  // Why image number `image` has no answer.
  std::string ReasonOf(const std::unique_ptr<Answer>& answer,
                       size_t image = 0) {
    return ErrorReason(answer->Await().images.at(image).status);
  }
  CacheUse UseOf(ClassifyCall call) { return Send(std::move(call))->cache(); }
  // The digest of an image tower like the encoder's, with other weights.
  std::string TunedTower() {
    auto tower = clip::TrainableImageTower::Load(
        *encoders_.OpenFolder(encoders_.digests()[0]), "cpu");
    auto tensors = (*tower)->Tensors();
    for (float& value : tensors["visual.conv1.weight"].values) value *= 0.5f;
    return *control_.PutBlob(*SerializeTensors(tensors));
  }
  // The digest of a head whose first class is the feature's axis `axis`.
  std::string LearnedHead(int axis, const std::string& tower = "") {
    const int width = encoders_.descriptions()[0].embed_dim;
    FloatTensor text = {{2, width}, std::vector<float>(2 * width, 0.0f)};
    text.values[axis] = 1;
    text.values[width + axis + 1] = 1;
    ClassHead head = {text};
    head.image_tower = tower;
    return *control_.PutBlob(*SerializeHead(head));
  }

  EncoderSet encoders_;
  RecordingObserver counts_;
  DeviceLoop loop_;
  absl::Notification release_;
  std::string image_;
  BatchTimes times_;
  std::unique_ptr<TunedEncoders> tuned_;
  std::unique_ptr<Classifier> classifier_;
};

TEST_F(ClassifyCacheTest, AHitNeedsNoDeviceAndNoOtherThread) {
  ClassifyCall call = Call("t", image_);
  call.heads = {{.text = {.features_digest = LearnedHead(0)}, .top_k = 2}};
  const auto first = Send(call);
  EXPECT_EQ(first->cache(), CacheUse::kMiss);
  EXPECT_EQ(first->Await().images[0].batch_size, 1);
  HoldDevice();
  const auto second = Send(call);
  EXPECT_EQ(second->cache(), CacheUse::kHit);
  EXPECT_EQ(second->thread, std::this_thread::get_id());
  const ClassifyOutcome& hit = second->Await();
  EXPECT_EQ(hit.images[0].batch_size, 0);
  EXPECT_EQ(hit.timings.decode, absl::ZeroDuration());
  EXPECT_EQ(hit.timings.encode, absl::ZeroDuration());
  EXPECT_GT(hit.timings.hash, absl::ZeroDuration());
  EXPECT_GE(hit.total, hit.timings.hash + hit.timings.head);
  const auto& scores = hit.images[0].scores.at(0);
  const auto& encoded = first->Await().images[0].scores.at(0);
  ASSERT_EQ(scores.size(), 2u);
  EXPECT_EQ(scores[0].probability, encoded[0].probability);
  EXPECT_EQ(counts_.encoded, 1);
  Release();
}

TEST_F(ClassifyCacheTest, TasksZeroShotAndEmbeddingsShareOneFeature) {
  EXPECT_EQ(UseOf(Call("t", image_)), CacheUse::kMiss);
  ClassifyCall learned = Call("t", image_);
  learned.heads = {{.text = {.features_digest = LearnedHead(3)}, .top_k = 1}};
  EXPECT_EQ(UseOf(learned), CacheUse::kHit);
  ClassifyCall other_labels = Call("t", image_);
  other_labels.heads[0].text.texts = {"a tree", "a house", "a boat"};
  const auto labels = Send(other_labels);
  EXPECT_EQ(labels->cache(), CacheUse::kHit);
  EXPECT_EQ(labels->Await().images[0].scores.at(0).size(), 2u);
  ClassifyCall embed = Call("t", image_);
  embed.embed = true;
  embed.heads.clear();
  const auto embedded = Send(embed);
  EXPECT_EQ(embedded->cache(), CacheUse::kHit);
  EXPECT_FALSE(embedded->Await().images[0].embedding.values.empty());
  EXPECT_EQ(counts_.encoded, 1);
}

TEST_F(ClassifyCacheTest, TenantsShareNothing) {
  EXPECT_EQ(UseOf(Call("one", image_)), CacheUse::kMiss);
  EXPECT_EQ(UseOf(Call("two", image_)), CacheUse::kMiss);
  EXPECT_EQ(UseOf(Call("two", image_)), CacheUse::kHit);
  EXPECT_EQ(counts_.encoded, 2);
}

TEST_F(ClassifyCacheTest, PixelsAreAKindOfTheirOwn) {
  const size_t side = encoders_.descriptions()[0].image_size;
  ClassifyCall call = Call("t", image_);
  call.images.clear();
  const std::vector<float> floats(3 * side * side, 0.5f);
  call.pixels = {floats};
  EXPECT_EQ(UseOf(call), CacheUse::kMiss);
  EXPECT_EQ(UseOf(call), CacheUse::kHit);
  const absl::string_view same_bytes(
      reinterpret_cast<const char*>(floats.data()),
      floats.size() * sizeof(float));
  const auto file = Send(Call("t", same_bytes));
  EXPECT_EQ(ErrorReason(file->Await().images.at(0).status),
            "IMAGE_UNKNOWN_FORMAT");
  call.pixels[0].remove_suffix(1);
  EXPECT_EQ(ErrorReason(Send(call)->Await().images.at(0).status),
            "BAD_IMAGE_SHAPE");
}

TEST_F(ClassifyCacheTest, NoCacheNeitherReadsNorWrites) {
  ClassifyCall call = Call("t", image_);
  call.no_cache = true;
  EXPECT_EQ(UseOf(call), CacheUse::kBypass);
  EXPECT_EQ(UseOf(Call("t", image_)), CacheUse::kMiss);
  EXPECT_EQ(UseOf(call), CacheUse::kBypass);
  EXPECT_EQ(counts_.encoded, 3);
}

TEST_F(ClassifyCacheTest, ACacheOfNoBytesIsNone) {
  Start({.max_embedding_cache_bytes = 0});
  EXPECT_EQ(UseOf(Call("t", image_)), CacheUse::kBypass);
  EXPECT_EQ(UseOf(Call("t", image_)), CacheUse::kBypass);
}

TEST_F(ClassifyCacheTest, AnImageUnderWayIsJoined) {
  HoldDevice();
  const auto leader = Send(Call("t", image_));
  const auto joiner = Send(Call("t", image_));
  EXPECT_FALSE(joiner->here.HasBeenNotified());
  Release();
  EXPECT_EQ(leader->cache(), CacheUse::kMiss);
  EXPECT_EQ(joiner->cache(), CacheUse::kJoin);
  EXPECT_EQ(joiner->Await().images[0].batch_size, 1);
  EXPECT_EQ(counts_.encoded, 1);
}

TEST_F(ClassifyCacheTest, EqualImagesOfOneCallAreEncodedOnce) {
  HoldDevice();
  ClassifyCall call = Call("t", image_);
  call.images = {image_, image_, image_};
  const auto answer = Send(call);
  Release();
  EXPECT_EQ(answer->cache(0), CacheUse::kMiss);
  EXPECT_EQ(answer->cache(1), CacheUse::kJoin);
  EXPECT_EQ(answer->cache(2), CacheUse::kJoin);
  EXPECT_EQ(counts_.encoded, 1);
}

TEST_F(ClassifyCacheTest, WhoJoinedOutlivesALeaderThatIsCancelled) {
  HoldDevice();
  std::atomic<bool> gone = false;
  ClassifyCall leading = Call("t", image_);
  leading.cancelled = [&] { return gone.load(); };
  const auto leader = Send(leading);
  const auto joiner = Send(Call("t", image_));
  const auto third = Send(Call("t", image_));
  gone = true;
  Release();
  EXPECT_EQ(joiner->cache(), CacheUse::kMiss);
  EXPECT_EQ(third->cache(), CacheUse::kJoin);
  EXPECT_EQ(leader->outcome.status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(counts_.encoded, 1);
  EXPECT_EQ(UseOf(Call("t", image_)), CacheUse::kHit);
}

TEST_F(ClassifyCacheTest, ABadImageIsBadForAllWhoAskForIt) {
  ClassifyCall call = Call("t", "not an image");
  call.images = {"not an image", "not an image", image_};
  const auto answer = Send(call);
  const ClassifyOutcome& outcome = answer->Await();
  for (const int i : {0, 1}) {
    EXPECT_EQ(ErrorReason(outcome.images.at(i).status), "IMAGE_UNKNOWN_FORMAT");
  }
  EXPECT_TRUE(outcome.images.at(2).status.ok());
}

TEST_F(ClassifyCacheTest, ManyHeadsShareOneEncodeAndFailAlone) {
  ClassifyCall call = Call("t", image_);
  call.heads = {{.text = {.features_digest = LearnedHead(0)}, .top_k = 1},
                {.text = {.features_digest = std::string(64, '0')}},
                {.text = {.features_digest = LearnedHead(7)}, .top_k = 2}};
  const auto answer = Send(call);
  const ClassifyOutcome& outcome = answer->Await();
  ASSERT_EQ(outcome.heads.size(), 3u);
  EXPECT_TRUE(outcome.heads[0].ok());
  EXPECT_EQ(ErrorReason(outcome.heads[1]), "BLOB_NOT_FOUND");
  ASSERT_EQ(outcome.images.at(0).scores.size(), 3u);
  EXPECT_EQ(outcome.images[0].scores[0].size(), 1u);
  EXPECT_TRUE(outcome.images[0].scores[1].empty());
  EXPECT_EQ(outcome.images[0].scores[2].size(), 2u);
  EXPECT_EQ(counts_.encoded, 1);
  EXPECT_EQ(counts_.last_heads, 3);
}

TEST_F(ClassifyCacheTest, AnImageIsAnsweredByItsDigestOnceItsBytesCame) {
  const ClassifyCall call = Call("t", image_);
  const ClassifyCall named = ByDigest(call);
  const auto unknown = Send(named);
  EXPECT_EQ(ReasonOf(unknown), "IMAGE_NOT_CACHED");
  EXPECT_EQ(unknown->Await().images[0].status.code(),
            absl::StatusCode::kNotFound);
  EXPECT_TRUE(unknown->Await().images[0].scores.empty());
  const auto encoded = Send(call);
  EXPECT_EQ(encoded->cache(), CacheUse::kMiss);
  HoldDevice();
  const auto hit = Send(named);
  EXPECT_EQ(hit->cache(), CacheUse::kHit);
  EXPECT_EQ(hit->Await().images[0].scores.at(0)[0].probability,
            encoded->Await().images[0].scores.at(0)[0].probability);
  Release();
  EXPECT_EQ(counts_.encoded, 1);
}

TEST_F(ClassifyCacheTest, NobodyNamesAnotherTenantsImage) {
  EXPECT_EQ(UseOf(Call("one", image_)), CacheUse::kMiss);
  EXPECT_EQ(ReasonOf(Send(ByDigest(Call("two", image_)))), "IMAGE_NOT_CACHED");
  EXPECT_EQ(UseOf(ByDigest(Call("one", image_))), CacheUse::kHit);
}

TEST_F(ClassifyCacheTest, DigestsAreAnsweredBehindTheImages) {
  const absl::string_view other = Keep(Image("jpeg_444.jpeg"));
  EXPECT_EQ(UseOf(Call("t", other)), CacheUse::kMiss);
  HoldDevice();
  ClassifyCall call = Call("t", image_);
  call.heads = {{.text = {.features_digest = LearnedHead(0)}, .top_k = 2}};
  call.image_digests = {DigestOf("never sent"), DigestOf(other),
                        DigestOf(image_), "no digest"};
  const auto answer = Send(call);
  Release();
  ASSERT_EQ(answer->Await().images.size(), 5u);
  EXPECT_EQ(answer->cache(0), CacheUse::kMiss);
  EXPECT_EQ(ReasonOf(answer, 1), "IMAGE_NOT_CACHED");
  EXPECT_EQ(answer->cache(2), CacheUse::kHit);
  EXPECT_EQ(answer->cache(3), CacheUse::kJoin);
  EXPECT_EQ(answer->Await().images[3].scores.at(0)[0].probability,
            answer->Await().images[0].scores.at(0)[0].probability);
  EXPECT_EQ(ReasonOf(answer, 4), "IMAGE_NOT_CACHED");
}

TEST_F(ClassifyCacheTest, ADigestNamesTheFeatureOfTheHeadsTower) {
  ClassifyCall plain = Call("t", image_);
  plain.heads[0].text = {.features_digest = LearnedHead(0)};
  ClassifyCall tuned = plain;
  tuned.heads[0].text = {.features_digest = LearnedHead(0, TunedTower())};
  EXPECT_EQ(UseOf(plain), CacheUse::kMiss);
  EXPECT_EQ(ReasonOf(Send(ByDigest(tuned))), "IMAGE_NOT_CACHED");
  EXPECT_EQ(UseOf(tuned), CacheUse::kMiss);
  EXPECT_EQ(UseOf(ByDigest(tuned)), CacheUse::kHit);
  EXPECT_EQ(UseOf(ByDigest(plain)), CacheUse::kHit);
  EXPECT_EQ(counts_.encoded, 2);
}

TEST_F(ClassifyCacheTest, PixelsAreNotNamed) {
  const size_t side = encoders_.descriptions()[0].image_size;
  ClassifyCall call = Call("t", image_);
  call.images.clear();
  const std::vector<float> floats(3 * side * side, 0.5f);
  call.pixels = {floats};
  EXPECT_EQ(UseOf(call), CacheUse::kMiss);
  const absl::string_view bytes(reinterpret_cast<const char*>(floats.data()),
                                floats.size() * sizeof(float));
  EXPECT_EQ(ReasonOf(Send(ByDigest(Call("t", bytes)))), "IMAGE_NOT_CACHED");
}

TEST_F(ClassifyCacheTest, WithoutACacheNoDigestIsKnown) {
  ClassifyCall call = ByDigest(Call("t", image_));
  EXPECT_EQ(UseOf(Call("t", image_)), CacheUse::kMiss);
  call.no_cache = true;
  EXPECT_EQ(ReasonOf(Send(call)), "IMAGE_NOT_CACHED");
  call.no_cache = false;
  Start({.max_embedding_cache_bytes = 0});
  EXPECT_EQ(UseOf(Call("t", image_)), CacheUse::kBypass);
  EXPECT_EQ(ReasonOf(Send(call)), "IMAGE_NOT_CACHED");
}

TEST_F(ClassifyCacheTest, ADigestDoesNotTakeOverFromALeaderThatIsCancelled) {
  HoldDevice();
  std::atomic<bool> gone = false;
  ClassifyCall leading = Call("t", image_);
  leading.cancelled = [&] { return gone.load(); };
  const auto leader = Send(leading);
  const auto named = Send(ByDigest(Call("t", image_)));
  const auto sent = Send(Call("t", image_));
  gone = true;
  Release();
  EXPECT_EQ(ReasonOf(named), "IMAGE_NOT_CACHED");
  EXPECT_EQ(sent->cache(), CacheUse::kMiss);
  EXPECT_TRUE(sent->Await().images[0].status.ok());
  leader->here.WaitForNotification();
  EXPECT_EQ(leader->outcome.status().code(), absl::StatusCode::kCancelled);
}

TEST_F(ClassifyCacheTest, ABadImageIsBadByItsDigestToo) {
  HoldDevice();
  const auto leader = Send(Call("t", "not an image"));
  const auto named = Send(ByDigest(Call("t", "not an image")));
  Release();
  EXPECT_EQ(ReasonOf(leader), "IMAGE_UNKNOWN_FORMAT");
  const std::string reason = ReasonOf(named);
  // Whether it joined in time.
  EXPECT_TRUE(reason == "IMAGE_UNKNOWN_FORMAT" || reason == "IMAGE_NOT_CACHED");
  EXPECT_EQ(ReasonOf(Send(ByDigest(Call("t", "not an image")))),
            "IMAGE_NOT_CACHED");
}

TEST_F(ClassifyCacheTest, QueuedBytesAreBounded) {
  Start({.max_queued_bytes = 1});
  HoldDevice();
  const auto alone = Send(Call("t", image_));
  const auto refused = Send(Call("t", Keep(Image("jpeg_444.jpeg"))));
  ASSERT_TRUE(refused->here.HasBeenNotified());
  EXPECT_EQ(ErrorReason(refused->outcome.status()), "QUEUE_FULL");
  Release();
  EXPECT_EQ(alone->cache(), CacheUse::kMiss);
}

TEST_F(ClassifyCacheTest, StopAnswersLeadersAndWhoJoinedThem) {
  HoldDevice();
  const auto leader = Send(Call("t", image_));
  const auto joiner = Send(Call("t", image_));
  std::thread stopping([&] { classifier_->Stop(absl::InfinitePast()); });
  Release();
  stopping.join();
  for (Answer* answer : {leader.get(), joiner.get()}) {
    answer->here.WaitForNotification();
    // Whether the batch or the stop was first.
    EXPECT_TRUE(answer->outcome.ok() ||
                ErrorReason(answer->outcome.status()) == "SHUTTING_DOWN");
  }
}

}  // namespace
}  // namespace promptd::worker
