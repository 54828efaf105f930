#include "worker/observer.h"

namespace promptd::worker {

absl::string_view StageName(Stage stage) {
  switch (stage) {
    case Stage::kDecode:
      return "decode";
    case Stage::kQueue:
      return "queue";
    case Stage::kEncode:
      return "encode";
    case Stage::kHead:
      return "head";
  }
  return "unknown";
}

}  // namespace promptd::worker
