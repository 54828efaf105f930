// Random identifiers.
#pragma once

#include <string>

namespace promptd {

// A version 4 UUID from the operating system's random source, lower case with
// dashes. Thread-safe.
std::string NewUuid();

}  // namespace promptd
