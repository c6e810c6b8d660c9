#define _GNU_SOURCE
#include "intrinsics.h"

#include <sys/mman.h>

int fi_move_pages(void *from, void *to, size_t bytes) {
  return mremap(from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED ? -1 : 0;
}
