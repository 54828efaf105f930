#include "server/shared_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "inference/inference.grpc.pb.h"
#include "server/call.h"
#include "server/infer_tensors.h"
#include "tests/server/server_fixture.h"

namespace promptd::server {
namespace {

using inference::ModelInferRequest;
using inference::ModelInferResponse;

// An object of this process, gone with it.
class SharedObject {
 public:
  SharedObject(const std::string& name, const std::string& bytes)
      : key_(absl::StrCat("/promptd-test-", ::getpid(), "-", name)) {
    fd_ = ::shm_open(key_.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
    EXPECT_GE(fd_, 0) << std::strerror(errno);
    Write(bytes);
  }
  ~SharedObject() {
    ::close(fd_);
    ::shm_unlink(key_.c_str());
  }

  const std::string& key() const { return key_; }
  void Write(const std::string& bytes) {
    Resize(bytes.size());
    EXPECT_EQ(::pwrite(fd_, bytes.data(), bytes.size(), 0),
              static_cast<ssize_t>(bytes.size()));
  }
  void Resize(size_t size) {
    EXPECT_EQ(::ftruncate(fd_, static_cast<off_t>(size)), 0);
  }
  std::string Read() const {
    std::string bytes(1 << 20, '\0');
    const ssize_t size = ::pread(fd_, bytes.data(), bytes.size(), 0);
    EXPECT_GE(size, 0);
    bytes.resize(static_cast<size_t>(size));
    return bytes;
  }

 private:
  const std::string key_;
  int fd_ = -1;
};

size_t OpenDescriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(all), end(all)));
}

TEST(SharedRegionsTest, PartsAreCopiedInAndOut) {
  SharedObject object("parts", "0123456789");
  SharedRegions regions(8, 100);
  ASSERT_TRUE(regions.Register("t", "r", object.key(), 2, 6).ok());
  const auto region = regions.Find("t", "r");
  ASSERT_TRUE(region.ok()) << region.status();
  EXPECT_TRUE((*region)->Has(0, 6));
  EXPECT_TRUE((*region)->Has(6, 0));
  EXPECT_FALSE((*region)->Has(0, 7));
  EXPECT_FALSE((*region)->Has(7, 0));
  EXPECT_FALSE((*region)->Has(1, std::numeric_limits<uint64_t>::max()));
  EXPECT_EQ(regions.Copy(**region, 1, 3)->view(), "345");
  ASSERT_TRUE((*region)->Write(4, "ab").ok());
  EXPECT_EQ(object.Read(), "012345ab89");
}

TEST(SharedRegionsTest, WhatIsCopiedAtOnceIsBounded) {
  SharedObject object("bound", std::string(100, 'x'));
  SharedRegions regions(8, 100);
  ASSERT_TRUE(regions.Register("t", "r", object.key(), 0, 100).ok());
  const auto region = *regions.Find("t", "r");
  {
    const auto first = regions.Copy(*region, 0, 60);
    ASSERT_TRUE(first.ok());
    const auto second = regions.Copy(*region, 0, 41);
    EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(ErrorReason(second.status()), "SHARED_MEMORY_BUSY");
    EXPECT_TRUE(regions.Copy(*region, 0, 40).ok());
  }
  EXPECT_TRUE(regions.Copy(*region, 0, 100).ok());
  // What could not be read holds nothing.
  object.Resize(10);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ErrorReason(regions.Copy(*region, 0, 100).status()),
              "SHARED_MEMORY_CUT");
  }
}

TEST(SharedRegionsTest, AShorterObjectIsAnErrorAndStaysShort) {
  SharedObject object("short", std::string(8192, 'x'));
  SharedRegions regions(8, 1 << 20);
  ASSERT_TRUE(regions.Register("t", "r", object.key(), 0, 8192).ok());
  const auto region = *regions.Find("t", "r");
  object.Resize(100);
  EXPECT_EQ(ErrorReason(regions.Copy(*region, 0, 8192).status()),
            "SHARED_MEMORY_CUT");
  EXPECT_EQ(ErrorReason(region->Write(50, std::string(100, 'y'))),
            "SHARED_MEMORY_CUT");
  EXPECT_EQ(object.Read().size(), 100u);
}

TEST(SharedRegionsTest, NamesAreATenantsOwnAndBounded) {
  SharedObject object("names", "0123456789");
  const size_t before = OpenDescriptors();
  {
    SharedRegions regions(2, 100);
    ASSERT_TRUE(regions.Register("a", "r", object.key(), 0, 10).ok());
    EXPECT_EQ(ErrorReason(regions.Register("a", "r", object.key(), 0, 10)),
              "SHARED_MEMORY_EXISTS");
    EXPECT_EQ(ErrorReason(regions.Find("b", "r").status()),
              "SHARED_MEMORY_NOT_FOUND");
    ASSERT_TRUE(regions.Register("b", "r", object.key(), 0, 5).ok());
    EXPECT_EQ(ErrorReason(regions.Register("c", "r", object.key(), 0, 5)),
              "TOO_MANY_SHARED_REGIONS");
    const auto held = regions.Find("a", "r");
    regions.Unregister("a", "other");
    EXPECT_EQ(regions.OfTenant("a").size(), 1u);
    regions.Unregister("a", "");
    EXPECT_TRUE(regions.OfTenant("a").empty());
    EXPECT_EQ(regions.OfTenant("b").size(), 1u);
    EXPECT_EQ(regions.Copy(**held, 0, 2)->view(), "01");
    EXPECT_TRUE(regions.Register("c", "r", object.key(), 0, 5).ok());
    regions.Unregister("c", "r");
    EXPECT_TRUE(regions.Register("c", "r", object.key(), 0, 5).ok());
    EXPECT_GT(OpenDescriptors(), before);
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST(SharedRegionsTest, WhatIsNoObjectOrTooShortIsRefused) {
  SharedObject object("bad", "0123456789");
  SharedRegions regions(8, 100);
  const size_t before = OpenDescriptors();
  const uint64_t most = std::numeric_limits<uint64_t>::max();
  const struct {
    std::string name, key;
    uint64_t offset, bytes;
  } bad[] = {{"r", "/promptd-test-nothing", 0, 1},
             {"r", "", 0, 1},
             {"r", "/", 0, 1},
             {"r", "/../etc/passwd", 0, 1},
             {"r", "a/b", 0, 1},
             {"r", std::string("a\0b", 3), 0, 1},
             {"r", object.key(), 0, 0},
             {"r", object.key(), 0, 11},
             {"r", object.key(), 10, 1},
             {"r", object.key(), most, 2},
             {"r", object.key(), 1, most},
             {"", object.key(), 0, 1},
             {std::string(1025, 'n'), object.key(), 0, 1}};
  for (const auto& one : bad) {
    const absl::Status refused =
        regions.Register("t", one.name, one.key, one.offset, one.bytes);
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument) << one.key;
    EXPECT_EQ(ErrorReason(refused), "BAD_SHARED_MEMORY");
  }
  EXPECT_EQ(OpenDescriptors(), before);
  EXPECT_TRUE(regions.OfTenant("t").empty());
}

// The protocol's calls, by a client of this machine.
class SharedMemoryTest : public ServerFixture {
 protected:
  SharedMemoryTest()
      : inference_(inference::GRPCInferenceService::NewStub(channel_)) {}

  grpc::Status Register(const std::string& name, const std::string& key,
                        uint64_t bytes) {
    inference::SystemSharedMemoryRegisterRequest request;
    request.set_name(name);
    request.set_key(key);
    request.set_byte_size(bytes);
    inference::SystemSharedMemoryRegisterResponse reply;
    Context context;
    return inference_->SystemSharedMemoryRegister(&context, request, &reply);
  }
  grpc::Status Unregister(const std::string& name) {
    inference::SystemSharedMemoryUnregisterRequest request;
    request.set_name(name);
    inference::SystemSharedMemoryUnregisterResponse reply;
    Context context;
    return inference_->SystemSharedMemoryUnregister(&context, request, &reply);
  }
  grpc::Status Regions(const std::string& name,
                       inference::SystemSharedMemoryStatusResponse* reply) {
    inference::SystemSharedMemoryStatusRequest request;
    request.set_name(name);
    Context context;
    return inference_->SystemSharedMemoryStatus(&context, request, reply);
  }
  grpc::Status Infer(const ModelInferRequest& request,
                     ModelInferResponse* reply) {
    Context context;
    return inference_->ModelInfer(&context, request, reply);
  }

  std::unique_ptr<inference::GRPCInferenceService::Stub> inference_;
};

template <typename Tensor>
void Place(const std::string& region, int64_t offset, int64_t bytes,
           Tensor* tensor) {
  auto& parameters = *tensor->mutable_parameters();
  parameters["shared_memory_region"].set_string_param(region);
  parameters["shared_memory_byte_size"].set_int64_param(bytes);
  if (offset != 0) parameters["shared_memory_offset"].set_int64_param(offset);
}

ModelInferRequest PixelsAt(const std::string& region, int64_t offset,
                           int64_t rows) {
  ModelInferRequest request;
  request.set_model_name("_pixel_encoder");
  auto* input = request.add_inputs();
  input->set_name("PIXELS");
  input->set_datatype("FP32");
  for (const int64_t side : {rows, int64_t{3}, int64_t{32}, int64_t{32}}) {
    input->add_shape(side);
  }
  Place(region, offset, rows * 3 * 32 * 32 * 4, input);
  return request;
}

std::string BytesOf(const std::vector<float>& numbers) {
  return {reinterpret_cast<const char*>(numbers.data()),
          numbers.size() * sizeof(float)};
}

TEST_F(SharedMemoryTest, InputsAreReadAndOutputsWrittenThere) {
  const std::vector<std::vector<float>> rows = {
      std::vector<float>(size_t{3} * 32 * 32, 0.5f),
      std::vector<float>(size_t{3} * 32 * 32, -2.0f)};
  SharedObject in("in", "0123" + BytesOf(rows[0]) + BytesOf(rows[1]));
  SharedObject out("out", std::string(64, '-'));
  ASSERT_TRUE(Register("in", in.key(), in.Read().size()).ok());
  ASSERT_TRUE(Register("out", out.key(), 64).ok());
  ModelInferRequest request = PixelsAt("in", 4, 2);
  ModelInferResponse plain;
  ASSERT_TRUE(Infer(request, &plain).ok());
  EXPECT_EQ(executor_.last_pixels(), rows);

  auto* output = request.add_outputs();
  output->set_name("EMBEDDING");
  Place("out", 8, 50, output);
  ModelInferResponse reply;
  const grpc::Status status = Infer(request, &reply);
  ASSERT_TRUE(status.ok()) << status.error_message();
  // The reply has the tensor without its bytes.
  ASSERT_EQ(reply.outputs_size(), 1);
  ASSERT_EQ(reply.raw_output_contents_size(), 1);
  EXPECT_TRUE(reply.raw_output_contents(0).empty());
  const std::string& expected = plain.raw_output_contents(0);
  const auto& parameters = reply.outputs(0).parameters();
  EXPECT_EQ(parameters.at("shared_memory_region").string_param(), "out");
  EXPECT_EQ(parameters.at("shared_memory_byte_size").int64_param(),
            static_cast<int64_t>(expected.size()));
  ASSERT_LE(expected.size(), 50u);
  const std::string rest(64 - 8 - expected.size(), '-');
  EXPECT_EQ(out.Read(), std::string(8, '-') + expected + rest);

  // Too small a place.
  Place("out", 0, 3, request.mutable_outputs(0));
  const ErrorDetails small = Decode(Infer(request, &reply));
  EXPECT_EQ(small.reason, "INVALID_INFER_REQUEST");
  EXPECT_TRUE(absl::StrContains(small.message, "its place in region"))
      << small.message;
}

TEST_F(SharedMemoryTest, FilesLieThereToo) {
  PushPets();
  TrainOnce();
  ModelInferResponse packed;
  AddBytesOutput("", {}, {Png(1), Png(2)}, &packed);
  SharedObject object("files", packed.raw_output_contents(0));
  const auto size = static_cast<int64_t>(object.Read().size());
  ASSERT_TRUE(Register("files", object.key(), size).ok());
  ModelInferRequest request;
  request.set_model_name("pets");
  auto* input = request.add_inputs();
  input->set_name("IMAGE");
  input->set_datatype("BYTES");
  input->add_shape(2);
  input->add_shape(1);
  Place("files", 0, size, input);
  ModelInferResponse reply;
  const grpc::Status status = Infer(request, &reply);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(reply.outputs(0).shape(0), 2);
}

TEST_F(SharedMemoryTest, RegionsAreListedAndForgotten) {
  SharedObject object("listed", std::string(100, 'x'));
  ASSERT_TRUE(Register("one", object.key(), 100).ok());
  ASSERT_TRUE(Register("two", object.key(), 50).ok());
  EXPECT_EQ(Decode(Register("two", object.key(), 50)).code,
            grpc::ALREADY_EXISTS);
  inference::SystemSharedMemoryStatusResponse all, one, none;
  ASSERT_TRUE(Regions("", &all).ok());
  EXPECT_EQ(all.regions_size(), 2);
  ASSERT_TRUE(Regions("two", &one).ok());
  ASSERT_EQ(one.regions_size(), 1);
  EXPECT_EQ(one.regions().at("two").key(), object.key());
  EXPECT_EQ(one.regions().at("two").byte_size(), 50u);
  ASSERT_TRUE(Unregister("one").ok());
  EXPECT_EQ(Decode(Regions("one", &none)).reason, "SHARED_MEMORY_NOT_FOUND");
  ASSERT_TRUE(Unregister("").ok());
  ASSERT_TRUE(Regions("", &none).ok());
  EXPECT_TRUE(none.regions().empty());
  // What perf_analyzer says before it registers memory of either kind.
  inference::CudaSharedMemoryUnregisterResponse reply;
  Context context;
  EXPECT_TRUE(
      inference_->CudaSharedMemoryUnregister(&context, {}, &reply).ok());
}

TEST_F(SharedMemoryTest, BadPlacesAreRefused) {
  SharedObject object("places", std::string(size_t{3} * 32 * 32 * 4, '\0'));
  ASSERT_TRUE(Register("r", object.key(), object.Read().size()).ok());
  ModelInferResponse reply;
  const auto refused = [&](const ModelInferRequest& request) {
    const ErrorDetails error = Decode(Infer(request, &reply));
    EXPECT_EQ(error.code, grpc::INVALID_ARGUMENT);
    EXPECT_EQ(error.reason, "INVALID_INFER_REQUEST");
    return error.message;
  };
  EXPECT_TRUE(absl::StrContains(refused(PixelsAt("nobody", 0, 1)),
                                "registered as \"nobody\""));
  EXPECT_TRUE(absl::StrContains(refused(PixelsAt("r", 4, 1)), "has 12288"));
  EXPECT_TRUE(absl::StrContains(refused(PixelsAt("r", 0, 2)), "has 12288"));
  ModelInferRequest request = PixelsAt("r", 0, 1);
  Place("r", 0, 100, request.mutable_inputs(0));
  EXPECT_TRUE(absl::StrContains(refused(request), "12288 bytes, but 100"));
  request = PixelsAt("r", 0, 1);
  request.add_outputs()->set_name("EMBEDDING");
  Place("nobody", 0, 100, request.mutable_outputs(0));
  EXPECT_TRUE(absl::StrContains(refused(request), "nobody"));
  // Bytes that are no numbers.
  object.Write(BytesOf(std::vector<float>(
      size_t{3} * 32 * 32, std::numeric_limits<float>::quiet_NaN())));
  EXPECT_TRUE(absl::StrContains(refused(PixelsAt("r", 0, 1)), "not finite"));
  // Another tenant's.
  Context context;
  context.AddMetadata("x-promptd-tenant", "other");
  EXPECT_EQ(
      Decode(inference_->ModelInfer(&context, PixelsAt("r", 0, 1), &reply))
          .code,
      grpc::INVALID_ARGUMENT);

  object.Resize(10);
  EXPECT_EQ(Decode(Infer(PixelsAt("r", 0, 1), &reply)).reason,
            "SHARED_MEMORY_CUT");
  SharedObject large("large", "x");
  large.Resize(size_t{17} << 20);
  ASSERT_TRUE(Register("large", large.key(), size_t{17} << 20).ok());
  EXPECT_TRUE(absl::StrContains(refused(PixelsAt("large", 0, 1400)),
                                "16777216 bytes in all"));
}

TEST(IsWithinMachineTest, LoopbackAndUnixSocketsAre) {
  for (const char* peer : {"ipv4:10.1.2.3:4", "ipv6:[2001:db8::1]:4",
                           "ipv4:12.7.0.1:4", "ipv6:%5B::2%5D:4", ""}) {
    EXPECT_FALSE(IsWithinMachine(peer)) << peer;
  }
  for (const char* peer :
       {"ipv4:127.0.0.1:4", "ipv4:127.1.2.3:4", "ipv6:[::1]:4",
        "ipv6:%5B::1%5D:4", "unix:", "unix:/run/x"}) {
    EXPECT_TRUE(IsWithinMachine(peer)) << peer;
  }
}

}  // namespace
}  // namespace promptd::server
