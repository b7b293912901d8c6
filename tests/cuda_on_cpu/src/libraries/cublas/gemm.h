// SPDX-License-Identifier: BSD-3-Clause
// C = alpha op(A) op(B) + beta C, for one product or many of the same shape.
#pragma once
#include <stdio.h>

#include <algorithm>

#include "../product.h"
#include "handle.h"

namespace emulator {

struct Gemm {
    int ta, tb;
    int64_t m, n, k, lda, ldb, ldc, count = 1;
};

// As cuBLAS, which prints the number of the wrong parameter. `count` is given for products in a batch.
inline cublasStatus_t check(const BlasHandle *handle, const Gemm &g) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    auto is_operation = [](int t) { return t >= CUBLAS_OP_N && t <= CUBLAS_OP_C; };
    auto wrong = [](int number) {
        fprintf(stderr, " ** On entry to GEMM parameter number %d had an illegal value\n", number);
        return CUBLAS_STATUS_INVALID_VALUE;
    };
    if (!is_operation(g.ta)) return wrong(1);
    if (!is_operation(g.tb)) return wrong(2);
    if (g.m < 0) return wrong(3);
    if (g.n < 0) return wrong(4);
    if (g.k < 0) return wrong(5);
    if (g.lda < std::max<int64_t>(1, g.ta == CUBLAS_OP_N ? g.m : g.k)) return wrong(8);
    if (g.ldb < std::max<int64_t>(1, g.tb == CUBLAS_OP_N ? g.k : g.n)) return wrong(10);
    if (g.ldc < std::max<int64_t>(1, g.m)) return wrong(13);
    return g.count < 0 ? CUBLAS_STATUS_INVALID_VALUE : CUBLAS_STATUS_SUCCESS;
}

// One product. C is not read where beta is 0, nor are A and B where alpha is 0.
template <class Sum, class Out>
void multiply(const Gemm &g, Sum alpha, const void *a, const void *b, int type, Rounding rounding, Sum beta, Out *c) {
    Operand left{a, type, g.lda, g.ta != CUBLAS_OP_N, g.ta == CUBLAS_OP_C, rounding};
    Operand right{b, type, g.ldb, g.tb != CUBLAS_OP_N, g.tb == CUBLAS_OP_C, rounding};
    std::vector<Sum> sums = product<Sum>(g.m, g.n, alpha == Sum(0) ? 0 : g.k, left, right);
    for (int64_t j = 0; j < g.n; j++)
        for (int64_t i = 0; i < g.m; i++) {
            Sum value = times(alpha, sums[i + j * g.m]);
            Out &out = c[i + j * g.ldc];
            out = (Out)(beta == Sum(0) ? value : value + times(beta, (Sum)out));
        }
}

}  // namespace emulator
