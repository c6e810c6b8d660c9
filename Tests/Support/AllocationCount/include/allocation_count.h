// Counts the memory allocations of each thread, in a process of tests: takes the place of malloc and its relatives.
#ifndef FRESHET_ALLOCATION_COUNT_H
#define FRESHET_ALLOCATION_COUNT_H

#include <stdint.h>

// Allocations of this thread so far.
uint64_t freshet_allocation_count(void);

#endif
