// Rows of an embedding table: D weights, then D floats of Adagrad state, in huge pages.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#include "memory.h"
#include "workload.h"

constexpr float kLearningRate = 0.05f;
constexpr float kEpsilon = 1e-8f;
constexpr float kInitialState = 0.1f;
constexpr float kInitialBound = 0.01f;

/// `kDim` is the number of weights, or 0 when it is known only at run time; a multiple of 8 either way.
template <int kDim>
class Rows {
 public:
  Rows(size_t count, int dim) : dim_(dim), floats_(count * 2 * static_cast<size_t>(dim)) {}

  int dim() const { return kDim != 0 ? kDim : dim_; }
  size_t stride_bytes() const { return size_t{8} * static_cast<size_t>(dim()); }
  float* Row(uint32_t row) { return floats_.data() + static_cast<size_t>(row) * 2 * static_cast<size_t>(dim()); }

  /// Weights uniform in ±`kInitialBound`, a pure function of the fid, from the top 24 bits of SplitMix64; state 0.1.
  void Initialize(uint32_t row, uint64_t fid) {
    float* weights = Row(row);
    const uint64_t seed = Mix(fid);
    for (int c = 0; c < dim(); c++) weights[c] = InitialWeight(seed, c);
    for (int c = 0; c < dim(); c++) weights[dim() + c] = kInitialState;
  }

  static float InitialWeight(uint64_t seed, int column) {
    const auto top = static_cast<int32_t>(SplitMix64(seed, static_cast<uint64_t>(column)) >> 40);
    return (static_cast<float>(top) * 0x1p-23f - 1) * kInitialBound;
  }

  void CopyWeights(uint32_t row, float* out) { std::memcpy(out, Row(row), sizeof(float) * static_cast<size_t>(dim())); }

  void PrefetchWeights(uint32_t row) { Prefetch(row, stride_bytes() / 2); }
  void PrefetchAll(uint32_t row) { Prefetch(row, stride_bytes()); }

  /// `a += g²; w -= rate · g / (sqrt(a) + ε)`, with exact root and division.
  void Adagrad(uint32_t row, const float* gradient) {
    float* weights = Row(row);
    float* state = weights + dim();
    int c = 0;
#if defined(__AVX512F__)
    for (; c + 16 <= dim(); c += 16) {
      const __m512 g = _mm512_loadu_ps(gradient + c);
      const __m512 a = _mm512_fmadd_ps(g, g, _mm512_loadu_ps(state + c));
      // The form with a mask: GCC 12 warns about the plain one (its header passes an undefined register).
      const __m512 root = _mm512_maskz_sqrt_ps(0xffff, a);
      const __m512 divisor = _mm512_add_ps(root, _mm512_set1_ps(kEpsilon));
      const __m512 step = _mm512_div_ps(_mm512_mul_ps(_mm512_set1_ps(kLearningRate), g), divisor);
      _mm512_storeu_ps(state + c, a);
      _mm512_storeu_ps(weights + c, _mm512_sub_ps(_mm512_loadu_ps(weights + c), step));
    }
#endif
#if defined(__AVX2__)
    for (; c + 8 <= dim(); c += 8) {
      const __m256 g = _mm256_loadu_ps(gradient + c);
      const __m256 a = _mm256_fmadd_ps(g, g, _mm256_loadu_ps(state + c));
      const __m256 divisor = _mm256_add_ps(_mm256_sqrt_ps(a), _mm256_set1_ps(kEpsilon));
      const __m256 step = _mm256_div_ps(_mm256_mul_ps(_mm256_set1_ps(kLearningRate), g), divisor);
      _mm256_storeu_ps(state + c, a);
      _mm256_storeu_ps(weights + c, _mm256_sub_ps(_mm256_loadu_ps(weights + c), step));
    }
#endif
    for (; c < dim(); c++) {
      state[c] += gradient[c] * gradient[c];
      weights[c] -= kLearningRate * gradient[c] / (std::sqrt(state[c]) + kEpsilon);
    }
  }

 private:
  void Prefetch(uint32_t row, size_t bytes) {
    const auto* first = reinterpret_cast<const char*>(Row(row));
    for (size_t offset = 0; offset < bytes; offset += 64) __builtin_prefetch(first + offset, 0, 3);
  }

  int dim_;
  HugeArray<float> floats_;
};
