#define _GNU_SOURCE
#include "intrinsics.h"

#include <limits.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int fi_move_pages(void *from, void *to, size_t bytes) {
  return mremap(from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED ? -1 : 0;
}

void fi_wait_while_equal(const void *word, uint32_t value) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

void fi_wake_all(const void *word) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0); }

// The calling thread's policy, niceness and slice.
static int scheduling(struct sched_attr *attributes) {
  return (int)syscall(SYS_sched_getattr, 0, attributes, sizeof *attributes, 0);
}

int fi_ask_time_slice(uint64_t nanoseconds) {
  struct sched_attr attributes = {0};
  if (scheduling(&attributes) != 0) return -1;
  attributes.sched_flags &= SCHED_FLAG_RESET_ON_FORK;
  attributes.sched_runtime = nanoseconds;
  return (int)syscall(SYS_sched_setattr, 0, &attributes, 0);
}

uint64_t fi_time_slice(void) {
  struct sched_attr attributes = {0};
  return scheduling(&attributes) == 0 ? attributes.sched_runtime : 0;
}
