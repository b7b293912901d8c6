// SPDX-License-Identifier: BSD-3-Clause
// Both operands are copied into panels that the innermost loops read one after the other. Those loops are compiled
// twice, for every x86-64 and for one with AVX2, and chosen when they first run.
#include "product.h"

#include <algorithm>

#include "../declarations/cublas.h"

#define INLINE inline __attribute__((always_inline))

namespace emulator {
namespace {

// A tile of the result, whose sums stay in registers.
template <class Sum>
struct Tile {
    static constexpr int lanes = 32 / sizeof(Sum), rows = 2 * lanes, cols = 6;
};

template <class Sum>
INLINE void sum_tile(int64_t k, const Sum *a, const Sum *b, Sum *out) {
    constexpr int rows = Tile<Sum>::rows, cols = Tile<Sum>::cols;
    if constexpr (is_complex<Sum>) {
        Sum sums[rows * cols] = {};
        for (int64_t p = 0; p < k; p++)
            for (int j = 0; j < cols; j++)
                for (int i = 0; i < rows; i++) sums[i + j * rows] += times(a[p * rows + i], b[p * cols + j]);
        std::copy(sums, sums + rows * cols, out);
    } else {
        typedef Sum Vector __attribute__((vector_size(32), aligned(sizeof(Sum)), may_alias));
        constexpr int lanes = Tile<Sum>::lanes;
        Vector sums[cols][2] = {};
        for (int64_t p = 0; p < k; p++) {
            Vector low = *(const Vector *)(a + p * rows), high = *(const Vector *)(a + p * rows + lanes);
            for (int j = 0; j < cols; j++) {
                sums[j][0] += low * b[p * cols + j];
                sums[j][1] += high * b[p * cols + j];
            }
        }
        memcpy(out, sums, sizeof sums);
    }
}

template <class Sum>
void sum_tile_anywhere(int64_t k, const Sum *a, const Sum *b, Sum *out) {
    sum_tile(k, a, b, out);
}

template <class Sum>
__attribute__((target("avx2,fma"))) void sum_tile_avx2(int64_t k, const Sum *a, const Sum *b, Sum *out) {
    sum_tile(k, a, b, out);
}

float rounded(float x, Rounding how) {
    switch (how) {
        case Rounding::tf32: return drop_bits(x, 13);
        case Rounding::half: return Half(x);
        case Rounding::bfloat16: return BFloat16(x);
        default: return x;
    }
}

template <class Sum>
Sum rounded(Sum x, Rounding how) {
    if constexpr (std::is_same<Sum, Complex>::value) return Sum(rounded(x.real(), how), rounded(x.imag(), how));
    else return x;
}

// Copy `lines` rows (or columns) of k numbers into panels of `width` lines, number p of each line side by side.
template <class In, class Sum>
void pack(const Operand &matrix, bool along_columns, int64_t lines, int64_t k, int width, Sum *to) {
    const In *data = (const In *)matrix.data;
    int64_t line_step = along_columns ? matrix.leading : 1, step = along_columns ? 1 : matrix.leading;
    for (int64_t first = 0; first < lines; first += width, to += k * width) {
        int64_t count = std::min<int64_t>(width, lines - first);
        for (int64_t p = 0; p < k; p++)
            for (int64_t i = 0; i < count; i++) {
                Sum x = (Sum)data[(first + i) * line_step + p * step];
                if (matrix.rounding != Rounding::none) x = rounded(x, matrix.rounding);
                to[p * width + i] = matrix.conjugated ? conjugate(x) : x;
            }
    }
}

template <class Sum>
std::vector<Sum> packed(const Operand &matrix, bool along_columns, int64_t lines, int64_t k, int width) {
    std::vector<Sum> panels((lines + width - 1) / width * width * k, Sum(0));
    auto copy = [&](auto in) { pack<decltype(in)>(matrix, along_columns, lines, k, width, panels.data()); };
    if constexpr (is_complex<Sum>) {
        copy(Sum());
    } else {
        switch (matrix.type) {
            case CUDA_R_16F: copy(Half()); break;
            case CUDA_R_16BF: copy(BFloat16()); break;
            case CUDA_R_8I: copy(int8_t()); break;
            default: copy(Sum());
        }
    }
    return panels;
}

}  // namespace

template <class Sum>
std::vector<Sum> product(int64_t m, int64_t n, int64_t k, const Operand &a, const Operand &b, int parts) {
    constexpr int rows = Tile<Sum>::rows, cols = Tile<Sum>::cols;
    static const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    auto sum = avx2 ? sum_tile_avx2<Sum> : sum_tile_anywhere<Sum>;
    std::vector<Sum> left = packed<Sum>(a, a.transposed, m, k, rows), right = packed<Sum>(b, !b.transposed, n, k, cols);
    std::vector<Sum> out(m * n, Sum(0));
    Sum tile[rows * cols];
    for (int part = 0; part < parts; part++) {
        int64_t from = k * part / parts, count = k * (part + 1) / parts - from;
        for (int64_t j = 0; j < n; j += cols)
            for (int64_t i = 0; i < m; i += rows) {
                sum(count, &left[i * k + from * rows], &right[j * k + from * cols], tile);
                int64_t high = std::min<int64_t>(rows, m - i), wide = std::min<int64_t>(cols, n - j);
                for (int64_t y = 0; y < wide; y++)
                    for (int64_t x = 0; x < high; x++) out[i + x + (j + y) * m] += tile[x + y * rows];
            }
    }
    return out;
}

#define FOR(Sum) \
    template std::vector<Sum> product<Sum>(int64_t, int64_t, int64_t, const Operand &, const Operand &, int);
FOR(float)
FOR(double)
FOR(Complex)
FOR(DoubleComplex)
FOR(int32_t)

}  // namespace emulator
