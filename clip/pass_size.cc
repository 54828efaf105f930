#include "clip/pass_size.h"

namespace promptd::clip {

int64_t PassSize(int64_t images) {
  int64_t step = 1;
  while (images >= 8 * step) step *= 2;
  return images - images % step;
}

}  // namespace promptd::clip
