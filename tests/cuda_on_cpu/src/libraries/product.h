// SPDX-License-Identifier: BSD-3-Clause
// The matrix product that cuBLAS and cublasLt share.
#pragma once
#include <stdint.h>

#include <vector>

#include "numbers.h"

namespace emulator {

// What tensor cores do to float32 before they multiply.
enum class Rounding { none, tf32, half, bfloat16 };

// A matrix in column-major memory, as it enters a product. `type` is a cudaDataType_t.
struct Operand {
    const void *data;
    int type;
    int64_t leading;
    bool transposed = false, conjugated = false;
    Rounding rounding = Rounding::none;
};

// op(A) op(B), column by column: m rows, n columns, sums of k products. The sums are made in `parts` that are added
// at the end, so each number of parts rounds in its own way. Sum: float, double, Complex, DoubleComplex or int32_t.
template <class Sum>
std::vector<Sum> product(int64_t m, int64_t n, int64_t k, const Operand &a, const Operand &b, int parts = 1);

}  // namespace emulator
