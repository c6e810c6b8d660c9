// What Swift has no words for: prefetch, a bucket's comparison in one instruction, half-precision conversion, mremap.
// Static inline, so that each call becomes the instruction itself.
#ifndef FRESHET_INTRINSICS_H
#define FRESHET_INTRINSICS_H

#include <stddef.h>
#include <stdint.h>

// Vectors are passed to functions that vanish, so it is no matter how a processor without AVX would pass them.
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wpsabi"

#define FI_INLINE static inline __attribute__((always_inline))

typedef float fi_float8 __attribute__((ext_vector_type(8)));
typedef uint32_t fi_uint8 __attribute__((ext_vector_type(8)));
typedef int32_t fi_sint8 __attribute__((ext_vector_type(8)));
// As they lie in rows, at any even address.
typedef uint16_t fi_ushort8 __attribute__((ext_vector_type(8), aligned(2)));
typedef _Float16 fi_half8 __attribute__((ext_vector_type(8), aligned(2)));

FI_INLINE void fi_prefetch_read(const void *_Nonnull address) { __builtin_prefetch(address, 0, 3); }
FI_INLINE void fi_prefetch_write(const void *_Nonnull address) { __builtin_prefetch(address, 1, 3); }
// Into the second cache, not the first.
FI_INLINE void fi_prefetch_outer(const void *_Nonnull address) { __builtin_prefetch(address, 0, 2); }

// Bit i is set if fids[i] == fid; four of them, 32-byte aligned.
FI_INLINE uint32_t fi_match4(const uint64_t *_Nonnull fids, uint64_t fid) {
#if defined(__AVX2__)
  typedef long long v4 __attribute__((vector_size(32)));
  v4 wanted = {(long long)fid, (long long)fid, (long long)fid, (long long)fid};
  v4 equal = *(const v4 *)fids == wanted;
  typedef double d4 __attribute__((vector_size(32)));
  return (uint32_t)__builtin_ia32_movmskpd256((d4)equal);
#else
  uint32_t mask = 0;
  for (uint32_t lane = 0; lane < 4; lane++) mask |= (uint32_t)(fids[lane] == fid) << lane;
  return mask;
#endif
}

// Bit i is set if values[i] != 0; four of them, 16-byte aligned.
FI_INLINE uint32_t fi_nonzero4(const uint32_t *_Nonnull values) {
#if defined(__SSE2__)
  typedef int v4 __attribute__((vector_size(16)));
  typedef float f4 __attribute__((vector_size(16)));
  v4 zero = *(const v4 *)values == (v4){0, 0, 0, 0};
  return ~(uint32_t)__builtin_ia32_movmskps((f4)zero) & 15;
#else
  uint32_t mask = 0;
  for (uint32_t lane = 0; lane < 4; lane++) mask |= (uint32_t)(values[lane] != 0) << lane;
  return mask;
#endif
}

// Eight floats at any address. The compiler leaves calls of Swift's `loadUnaligned` and `storeBytes` standing in long functions.
typedef float fi_loose_float8 __attribute__((ext_vector_type(8), aligned(4)));
FI_INLINE fi_float8 fi_load_float8(const void *_Nonnull source) { return *(const fi_loose_float8 *)source; }
FI_INLINE void fi_store_float8(fi_float8 value, void *_Nonnull target) { *(fi_loose_float8 *)target = value; }

// Eight roots at once; Swift's `squareRoot()` of a vector becomes eight calls.
FI_INLINE fi_float8 fi_sqrt8(fi_float8 value) { return __builtin_elementwise_sqrt(value); }

// a × b + c, rounded once where the processor has the instruction.
FI_INLINE fi_float8 fi_fma8(fi_float8 a, fi_float8 b, fi_float8 c) {
#if defined(__FMA__) || defined(__aarch64__)
  return __builtin_elementwise_fma(a, b, c);
#else
  return a * b + c;
#endif
}

// What is above 0, and 0 elsewhere.
FI_INLINE fi_float8 fi_positive8(fi_float8 value) {
  fi_float8 zero = {0, 0, 0, 0, 0, 0, 0, 0};
  return value > zero ? value : zero;
}

// The sum of eight lanes, always in the same order.
FI_INLINE float fi_sum8(fi_float8 value) {
  typedef float fi_float4 __attribute__((ext_vector_type(4)));
  fi_float4 halves = value.lo + value.hi;
  return (halves.x + halves.z) + (halves.y + halves.w);
}

// The first `count` floats, 0 ... 7 of them, the others 0; and the store that leaves the others alone.
#if defined(__AVX2__)
typedef int fi_int8 __attribute__((vector_size(32)));
typedef float fi_ymm __attribute__((vector_size(32)));
FI_INLINE fi_int8 fi_first_lanes(int count) {
  return (fi_int8){count, count, count, count, count, count, count, count} > (fi_int8){0, 1, 2, 3, 4, 5, 6, 7};
}
FI_INLINE fi_float8 fi_load_first8(const float *_Nonnull source, int count) {
  return __builtin_ia32_maskloadps256((const fi_ymm *)source, fi_first_lanes(count));
}
FI_INLINE void fi_store_first8(fi_float8 value, float *_Nonnull target, int count) {
  __builtin_ia32_maskstoreps256((fi_ymm *)target, fi_first_lanes(count), value);
}
#else
FI_INLINE fi_float8 fi_load_first8(const float *_Nonnull source, int count) {
  fi_float8 value = {0, 0, 0, 0, 0, 0, 0, 0};
  for (int lane = 0; lane < count; lane++) value[lane] = source[lane];
  return value;
}
FI_INLINE void fi_store_first8(fi_float8 value, float *_Nonnull target, int count) {
  for (int lane = 0; lane < count; lane++) target[lane] = value[lane];
}
#endif

// IEEE binary16. Stored to the nearest, ties to even.
FI_INLINE fi_float8 fi_load_half8(const void *_Nonnull source) {
  return __builtin_convertvector(*(const fi_half8 *)source, fi_float8);
}
FI_INLINE void fi_store_half8(fi_float8 value, void *_Nonnull target) {
  *(fi_half8 *)target = __builtin_convertvector(value, fi_half8);
}
// Stochastic rounding with 16 random bits a lane. Adds noise to the 13 bits that binary16 has no room for and drops them.
// Below 2^-14, where its values are 2^-24 apart whatever the exponent, adds less than half of that, up or down.
FI_INLINE void fi_store_half8_dithered(fi_float8 value, fi_uint8 noise, void *_Nonnull target) {
  fi_uint8 bits, fine;
  __builtin_memcpy(&bits, &value, sizeof bits);
  fi_float8 random = __builtin_convertvector((fi_sint8)(noise & 0xfff), fi_float8);
  value += random * 0x1p-36f + (0x1p-37f - 0x1p-25f);
  __builtin_memcpy(&fine, &value, sizeof fine);
  fi_uint8 small = (fi_uint8)((fi_sint8)(bits & 0x7fffffff) < 0x38800000);
  bits = (fine & small) | ((bits + (noise & 0x1fff)) & ~0x1fffu & ~small);
  __builtin_memcpy(&value, &bits, sizeof value);
  fi_store_half8(value, target);
}

// bfloat16: the upper half of binary32. Stored to the nearest, ties to even.
FI_INLINE fi_float8 fi_load_brain8(const void *_Nonnull source) {
  fi_uint8 bits = __builtin_convertvector(*(const fi_ushort8 *)source, fi_uint8) << 16;
  fi_float8 value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}
FI_INLINE void fi_store_brain8(fi_float8 value, void *_Nonnull target) {
  fi_uint8 bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  bits += 0x7fff + ((bits >> 16) & 1);
  *(fi_ushort8 *)target = __builtin_convertvector(bits >> 16, fi_ushort8);
}
FI_INLINE void fi_store_brain8_dithered(fi_float8 value, fi_uint8 noise, void *_Nonnull target) {
  fi_uint8 bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  bits += noise & 0xffff;
  *(fi_ushort8 *)target = __builtin_convertvector(bits >> 16, fi_ushort8);
}

// Tells the processor that this is a loop which waits for another one.
FI_INLINE void fi_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Sleeps while the 32 bits at `word` are `value`, or for no reason: look again afterwards.
void fi_wait_while_equal(const void *_Nonnull word, uint32_t value);
// Wakes all threads that sleep so.
void fi_wake_all(const void *_Nonnull word);

// How long a turn of the calling thread on a busy core is to be, and is; the shorter, the sooner it comes to one. Asking returns 0, or
// -1 if the kernel refuses. Kernels before 6.12 pass over it, and say 0.
int fi_ask_time_slice(uint64_t nanoseconds);
uint64_t fi_time_slice(void);

// Puts the pages at `from` in place of those at `to`. Returns 0, or -1 if the kernel refuses.
int fi_move_pages(void *_Nonnull from, void *_Nonnull to, size_t bytes);

#pragma clang diagnostic pop

#endif
