// The messages of a unary call in one piece of memory, which is freed at once.
//
// A reply of thousands of small parts otherwise takes and frees each of them by
// itself, while its client waits.
#pragma once

#include "google/protobuf/arena.h"
#include "grpcpp/support/message_allocator.h"

namespace promptd::server {

// For a service's SetMessageAllocatorFor_<method>(), which borrows it.
template <typename Request, typename Reply>
class ArenaMessages : public grpc::MessageAllocator<Request, Reply> {
 public:
  grpc::MessageHolder<Request, Reply>* AllocateMessages() override {
    return new Pair();
  }

 private:
  // gRPC's from here to its Release().
  class Pair : public grpc::MessageHolder<Request, Reply> {
   public:
    Pair() {
      using google::protobuf::Arena;
      this->set_request(Arena::CreateMessage<Request>(&arena_));
      this->set_response(Arena::CreateMessage<Reply>(&arena_));
    }
    void Release() override { delete this; }

   private:
    google::protobuf::Arena arena_;
  };
};

}  // namespace promptd::server
