// SPDX-License-Identifier: BSD-3-Clause
// What a product's descriptors ask for, after they were checked against each other.
#pragma once
#include "../product.h"
#include "descriptors.h"

namespace emulator {

// A matrix that is written (or added), by the steps between its rows and columns.
struct Grid {
    int64_t row_step, col_step, batch_step;
    int64_t at(int64_t i, int64_t j) const { return i * row_step + j * col_step; }
};

struct Problem {
    int64_t m, n, k, batch;
    int compute, type, out_type, epilogue;
    Operand a, b;  // without their data
    int64_t a_batch_step, b_batch_step;
    Grid c, d;
    bool scalars_on_gpu;
    char *bias, *aux;
    int64_t aux_leading, bias_batch_step, aux_batch_step;
};

// INVALID_VALUE for what contradicts itself, NOT_SUPPORTED for what no algorithm is there for. Says why if the
// variable CUBLASLT_LOG_LEVEL is set, which the real library reads too.
cublasStatus_t describe(const Matmul *matmul, const Layout *a, const Layout *b, const Layout *c, const Layout *d,
                        Problem *problem);

// Print the reason for a status, and return it.
cublasStatus_t refuse(cublasStatus_t status, const char *why);

}  // namespace emulator
