// Memory that is read from end to end again and again.
#pragma once

#include <cstddef>

namespace promptd {

// Has the kernel move these bytes, and what lies beside them in their first and
// last 2 MB, into huge pages, where it can (Linux 6.1 and later; whatever
// transparent_hugepage/enabled says). A page of 4 KB is looked up anew for each
// 4 KB that are read, which takes the longer the less is computed with them: in
// virtual machines most of all. The bytes stay where they are and what they
// are. A refusal costs nothing but that time.
void PreferHugePages(const void* begin, size_t bytes);

}  // namespace promptd
