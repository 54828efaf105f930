// What every verb works with. Borrowed parts that outlive the verb.
#pragma once

#include "client/api.h"
#include "client/console.h"
#include "common/clock.h"

namespace promptd::client {

struct Session {
  Api& api;
  Console& console;
  const Clock& clock;
};

}  // namespace promptd::client
