// Products of small row-major matrices for the training step: a few examples with the weights of one layer.
//
// A batch of four examples is far too small for a general matrix library, which packs its operands first. These kernels read
// weights as they lie, keep a block of results in registers, and compute each result in an order that does not depend on how
// many examples come with it.
#ifndef FRESHET_MATRIX_H
#define FRESHET_MATRIX_H

#include "intrinsics.h"

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wpsabi"

typedef float fi_float8_at __attribute__((ext_vector_type(8), aligned(4)));

#define FI_UNROLL _Pragma("clang loop unroll(full)")

FI_INLINE fi_float8 fi_splat8(float value) {
  return (fi_float8){value, value, value, value, value, value, value, value};
}
// `count` floats, 8 of them or fewer, the others 0.
FI_INLINE fi_float8 fi_load8(const float *_Nonnull source, int count) {
  return count >= 8 ? (fi_float8)(*(const fi_float8_at *)source) : fi_load_first8(source, count);
}
FI_INLINE void fi_store8(fi_float8 value, float *_Nonnull target, int count) {
  if (count >= 8)
    *(fi_float8_at *)target = value;
  else
    fi_store_first8(value, target, count);
}
// The sums of eight vectors, one a lane.
FI_INLINE fi_float8 fi_sums8(const fi_float8 *_Nonnull v) {
  fi_float8 half[4], quarter[2];
  FI_UNROLL for (int i = 0; i < 4; i++) {
    half[i] = __builtin_shufflevector(v[2 * i], v[2 * i + 1], 0, 2, 8, 10, 4, 6, 12, 14) +
              __builtin_shufflevector(v[2 * i], v[2 * i + 1], 1, 3, 9, 11, 5, 7, 13, 15);
  }
  FI_UNROLL for (int i = 0; i < 2; i++) {
    quarter[i] = __builtin_shufflevector(half[2 * i], half[2 * i + 1], 0, 2, 8, 10, 4, 6, 12, 14) +
                 __builtin_shufflevector(half[2 * i], half[2 * i + 1], 1, 3, 9, 11, 5, 7, 13, 15);
  }
  return __builtin_shufflevector(quarter[0], quarter[1], 0, 1, 2, 3, 8, 9, 10, 11) +
         __builtin_shufflevector(quarter[0], quarter[1], 4, 5, 6, 7, 12, 13, 14, 15);
}

// A block of ROWS × 8·PANELS results; `last` columns of the last panel are in use.
#define FI_PRODUCT_BLOCK(NAME, ROWS, PANELS)                                                                           \
  FI_INLINE void NAME(                                                                                                 \
    const float *_Nonnull x, size_t inner, const float *_Nonnull w, size_t columns, float *_Nonnull y, int last,       \
    int accumulates) {                                                                                                 \
    fi_float8 sums[ROWS][PANELS];                                                                                      \
    FI_UNROLL for (int r = 0; r < ROWS; r++) {                                                                         \
      FI_UNROLL for (int p = 0; p < PANELS; p++)                                                                       \
        sums[r][p] =                                                                                                   \
          accumulates ? fi_load8(y + r * columns + 8 * p, p == PANELS - 1 ? last : 8) : fi_splat8(0);                  \
    }                                                                                                                  \
    for (size_t k = 0; k < inner; k++) {                                                                               \
      fi_float8 weights[PANELS];                                                                                       \
      FI_UNROLL for (int p = 0; p < PANELS; p++)                                                                       \
        weights[p] = fi_load8(w + k * columns + 8 * p, p == PANELS - 1 ? last : 8);                                    \
      FI_UNROLL for (int r = 0; r < ROWS; r++) {                                                                       \
        fi_float8 value = fi_splat8(x[r * inner + k]);                                                                 \
        FI_UNROLL for (int p = 0; p < PANELS; p++) sums[r][p] = fi_fma8(value, weights[p], sums[r][p]);                \
      }                                                                                                                \
    }                                                                                                                  \
    FI_UNROLL for (int r = 0; r < ROWS; r++) {                                                                         \
      FI_UNROLL for (int p = 0; p < PANELS; p++)                                                                       \
        fi_store8(sums[r][p], y + r * columns + 8 * p, p == PANELS - 1 ? last : 8);                                    \
    }                                                                                                                  \
  }
FI_PRODUCT_BLOCK(fi_product_4x2, 4, 2)
FI_PRODUCT_BLOCK(fi_product_4x1, 4, 1)
FI_PRODUCT_BLOCK(fi_product_1x4, 1, 4)
FI_PRODUCT_BLOCK(fi_product_1x1, 1, 1)

// y = x · w, or added to y. x: rows × inner, w: inner × columns, y: rows × columns.
FI_INLINE void fi_multiply(
  const float *_Nonnull x, size_t rows, size_t inner, const float *_Nonnull w, size_t columns, float *_Nonnull y,
  int accumulates) {
  size_t row = 0;
  if (columns == 1) {
    for (; row < rows; row++) {
      fi_float8 sum = fi_splat8(0);
      for (size_t k = 0; k < inner; k += 8) {
        int used = inner - k < 8 ? (int)(inner - k) : 8;
        sum = fi_fma8(fi_load8(x + row * inner + k, used), fi_load8(w + k, used), sum);
      }
      y[row] = (accumulates ? y[row] : 0) + fi_sum8(sum);
    }
    return;
  }
  for (; row + 4 <= rows; row += 4) {
    const float *input = x + row * inner;
    float *output = y + row * columns;
    size_t c = 0;
    for (; c + 16 <= columns; c += 16) fi_product_4x2(input, inner, w + c, columns, output + c, 8, accumulates);
    for (; c + 8 <= columns; c += 8) fi_product_4x1(input, inner, w + c, columns, output + c, 8, accumulates);
    if (c < columns) fi_product_4x1(input, inner, w + c, columns, output + c, (int)(columns - c), accumulates);
  }
  for (; row < rows; row++) {
    const float *input = x + row * inner;
    float *output = y + row * columns;
    size_t c = 0;
    for (; c + 32 <= columns; c += 32) fi_product_1x4(input, inner, w + c, columns, output + c, 8, accumulates);
    for (; c + 8 <= columns; c += 8) fi_product_1x1(input, inner, w + c, columns, output + c, 8, accumulates);
    if (c < columns) fi_product_1x1(input, inner, w + c, columns, output + c, (int)(columns - c), accumulates);
  }
}

// dx = dy · wᵀ, or added to dx. dy: rows × columns, w: inner × columns, dx: rows × inner.
FI_INLINE void fi_multiply_by_transposed(
  const float *_Nonnull dy, size_t rows, size_t columns, const float *_Nonnull w, size_t inner, float *_Nonnull dx,
  int accumulates) {
  for (size_t row = 0; row < rows; row++) {
    const float *above = dy + row * columns;
    for (size_t i = 0; i < inner; i += 8) {
      int used = inner - i < 8 ? (int)(inner - i) : 8;
      fi_float8 result;
      if (columns == 1) {
        result = fi_splat8(above[0]) * fi_load8(w + i, used);
      } else if (used == 8) {
        fi_float8 sums[8];
        const float *first = w + i * columns;
        FI_UNROLL for (int j = 0; j < 8; j++) sums[j] = fi_splat8(0);
        size_t c = 0;
        for (; c + 8 <= columns; c += 8) {
          fi_float8 y = *(const fi_float8_at *)(above + c);
          FI_UNROLL for (int j = 0; j < 8; j++)
            sums[j] = fi_fma8(y, *(const fi_float8_at *)(first + (size_t)j * columns + c), sums[j]);
        }
        if (c < columns) {
          int rest = (int)(columns - c);
          fi_float8 y = fi_load_first8(above + c, rest);
          FI_UNROLL for (int j = 0; j < 8; j++)
            sums[j] = fi_fma8(y, fi_load_first8(first + (size_t)j * columns + c, rest), sums[j]);
        }
        result = fi_sums8(sums);
      } else {
        float values[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        for (int j = 0; j < used; j++) {
          const float *weights = w + (i + (size_t)j) * columns;
          for (size_t c = 0; c < columns; c++) values[j] += above[c] * weights[c];
        }
        result = *(const fi_float8_at *)values;
      }
      float *target = dx + row * inner + i;
      fi_store8(accumulates ? fi_load8(target, used) + result : result, target, used);
    }
  }
}

// A block of ROWS × 8·PANELS weights' gradients.
#define FI_GRADIENT_BLOCK(NAME, ROWS, PANELS)                                                                          \
  FI_INLINE void NAME(                                                                                                 \
    const float *_Nonnull x, size_t inner, const float *_Nonnull dy, size_t columns, size_t rows,                      \
    float *_Nonnull dw, int last) {                                                                                    \
    fi_float8 sums[ROWS][PANELS];                                                                                      \
    FI_UNROLL for (int r = 0; r < ROWS; r++) {                                                                         \
      FI_UNROLL for (int p = 0; p < PANELS; p++)                                                                       \
        sums[r][p] = fi_load8(dw + r * columns + 8 * p, p == PANELS - 1 ? last : 8);                                   \
    }                                                                                                                  \
    for (size_t e = 0; e < rows; e++) {                                                                                \
      fi_float8 y[PANELS];                                                                                             \
      FI_UNROLL for (int p = 0; p < PANELS; p++)                                                                       \
        y[p] = fi_load8(dy + e * columns + 8 * p, p == PANELS - 1 ? last : 8);                                         \
      FI_UNROLL for (int r = 0; r < ROWS; r++) {                                                                       \
        fi_float8 value = fi_splat8(x[e * inner + r]);                                                                 \
        FI_UNROLL for (int p = 0; p < PANELS; p++) sums[r][p] = fi_fma8(value, y[p], sums[r][p]);                      \
      }                                                                                                                \
    }                                                                                                                  \
    FI_UNROLL for (int r = 0; r < ROWS; r++) {                                                                         \
      FI_UNROLL for (int p = 0; p < PANELS; p++)                                                                       \
        fi_store8(sums[r][p], dw + r * columns + 8 * p, p == PANELS - 1 ? last : 8);                                   \
    }                                                                                                                  \
  }
FI_GRADIENT_BLOCK(fi_gradient_4x2, 4, 2)
FI_GRADIENT_BLOCK(fi_gradient_4x1, 4, 1)
FI_GRADIENT_BLOCK(fi_gradient_1x1, 1, 1)

// dw += xᵀ · dy. x: rows × inner, dy: rows × columns, dw: inner × columns.
FI_INLINE void fi_add_transposed_product(
  const float *_Nonnull x, size_t rows, size_t inner, const float *_Nonnull dy, size_t columns, float *_Nonnull dw) {
  if (columns == 1) {
    for (size_t i = 0; i < inner; i += 8) {
      int used = inner - i < 8 ? (int)(inner - i) : 8;
      fi_float8 sum = fi_load8(dw + i, used);
      for (size_t e = 0; e < rows; e++) sum = fi_fma8(fi_splat8(dy[e]), fi_load8(x + e * inner + i, used), sum);
      fi_store8(sum, dw + i, used);
    }
    return;
  }
  size_t i = 0;
  for (; i + 4 <= inner; i += 4) {
    size_t c = 0;
    for (; c + 16 <= columns; c += 16)
      fi_gradient_4x2(x + i, inner, dy + c, columns, rows, dw + i * columns + c, 8);
    for (; c + 8 <= columns; c += 8)
      fi_gradient_4x1(x + i, inner, dy + c, columns, rows, dw + i * columns + c, 8);
    if (c < columns)
      fi_gradient_4x1(x + i, inner, dy + c, columns, rows, dw + i * columns + c, (int)(columns - c));
  }
  for (; i < inner; i++) {
    size_t c = 0;
    for (; c + 8 <= columns; c += 8)
      fi_gradient_1x1(x + i, inner, dy + c, columns, rows, dw + i * columns + c, 8);
    if (c < columns)
      fi_gradient_1x1(x + i, inner, dy + c, columns, rows, dw + i * columns + c, (int)(columns - c));
  }
}

// target += scale × source, `count` floats.
FI_INLINE void fi_add_scaled(
  float *_Nonnull target, float scale, const float *_Nonnull source, size_t count) {
  fi_float8 factor = fi_splat8(scale);
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    *(fi_float8_at *)(target + i) =
      fi_fma8(factor, *(const fi_float8_at *)(source + i), *(const fi_float8_at *)(target + i));
  }
  if (i < count) {
    int rest = (int)(count - i);
    fi_store_first8(
      fi_fma8(factor, fi_load_first8(source + i, rest), fi_load_first8(target + i, rest)), target + i, rest);
  }
}

// Σ a × b over `count` floats.
FI_INLINE float fi_dot(const float *_Nonnull a, const float *_Nonnull b, size_t count) {
  fi_float8 sum = fi_splat8(0);
  size_t i = 0;
  for (; i + 8 <= count; i += 8) sum = fi_fma8(*(const fi_float8_at *)(a + i), *(const fi_float8_at *)(b + i), sum);
  if (i < count) sum = fi_fma8(fi_load_first8(a + i, (int)(count - i)), fi_load_first8(b + i, (int)(count - i)), sum);
  return fi_sum8(sum);
}

// sums = the sum of the rows of `rows × columns`.
FI_INLINE void fi_sum_rows(const float *_Nonnull matrix, size_t rows, size_t columns, float *_Nonnull sums) {
  for (size_t i = 0; i < columns; i += 8) {
    int used = columns - i < 8 ? (int)(columns - i) : 8;
    fi_float8 sum = fi_splat8(0);
    for (size_t row = 0; row < rows; row++) sum += fi_load8(matrix + row * columns + i, used);
    fi_store8(sum, sums + i, used);
  }
}

// target += scale × (a − b), `count` floats.
FI_INLINE void fi_add_scaled_difference(
  float *_Nonnull target, float scale, const float *_Nonnull a, const float *_Nonnull b, size_t count) {
  fi_float8 factor = fi_splat8(scale);
  for (size_t i = 0; i < count; i += 8) {
    int used = count - i < 8 ? (int)(count - i) : 8;
    fi_store8(fi_fma8(factor, fi_load8(a + i, used) - fi_load8(b + i, used), fi_load8(target + i, used)), target + i, used);
  }
}

// Row after row of `rows × columns` added to `sums`.
FI_INLINE void fi_add_rows(float *_Nonnull sums, const float *_Nonnull matrix, size_t rows, size_t columns) {
  for (size_t row = 0; row < rows; row++) fi_add_scaled(sums, 1, matrix + row * columns, columns);
}

#pragma clang diagnostic pop

#endif
