// SPDX-License-Identifier: BSD-3-Clause
// cuSPARSE: a sparse matrix with a dense matrix or vector.
#include "sparse.h"

using namespace emulator;

namespace {

// C = alpha op(A) op(B) + beta C; C is not read where beta is 0.
template <class T>
void multiply(const SparseMatrix &a, int op_a, const DenseMatrix &b, int op_b, const DenseMatrix &c, T alpha, T beta) {
    T *out = (T *)c.values;
    for (int64_t i = 0; i < c.rows; i++)
        for (int64_t j = 0; j < c.cols; j++) {
            T &x = out[c.at(i, j)];
            x = beta == T(0) ? T(0) : times(beta, x);
        }
    a.each([&](int64_t row, int64_t col, int64_t i) {
        if (op_a != CUSPARSE_OPERATION_N) std::swap(row, col);
        T value = ((const T *)a.values)[i];
        T scale = times(alpha, op_a == CUSPARSE_OPERATION_C ? conjugate(value) : value);
        for (int64_t j = 0; j < c.cols; j++) {
            T x = ((const T *)b.values)[op_b == CUSPARSE_OPERATION_N ? b.at(col, j) : b.at(j, col)];
            out[c.at(row, j)] += times(scale, op_b == CUSPARSE_OPERATION_C ? conjugate(x) : x);
        }
    });
}

int check(const SparseMatrix &a, int op_a, const DenseMatrix &b, int op_b, const DenseMatrix &c, int compute) {
    if (a.type != compute || b.type != compute || c.type != compute) return CUSPARSE_STATUS_NOT_SUPPORTED;
    bool ta = op_a != CUSPARSE_OPERATION_N, tb = op_b != CUSPARSE_OPERATION_N;
    bool fits = (ta ? a.cols : a.rows) == c.rows && (ta ? a.rows : a.cols) == (tb ? b.cols : b.rows) &&
                (tb ? b.rows : b.cols) == c.cols;
    return fits ? CUSPARSE_STATUS_SUCCESS : CUSPARSE_STATUS_INVALID_VALUE;
}

int product(SparseHandle *handle, int op_a, int op_b, const void *alpha, SparseMatrix a, DenseMatrix b,
            const void *beta, DenseMatrix c, int compute) {
    if (int status = check(a, op_a, b, op_b, c, compute)) return status;
    return with_type(compute, [=](auto number) {
        using T = decltype(number);
        Factor<T> first(handle, alpha), second(handle, beta);
        return queue(handle, [=] { multiply<T>(a, op_a, b, op_b, c, first.get(), second.get()); });
    });
}

DenseMatrix column(const DenseVector &x) {
    return {x.size, 1, x.size, x.values, x.type, CUSPARSE_ORDER_COL};
}

}  // namespace

CUSPARSE int cusparseSpMM_bufferSize(SparseHandle *, int op_a, int op_b, const void *, const SparseMatrix *a,
                                     const DenseMatrix *b, const void *, const DenseMatrix *c, int compute, int,
                                     size_t *bytes) {
    *bytes = BUFFER_BYTES;
    return check(*a, op_a, *b, op_b, *c, compute);
}

CUSPARSE int cusparseSpMM(SparseHandle *handle, int op_a, int op_b, const void *alpha, const SparseMatrix *a,
                          const DenseMatrix *b, const void *beta, const DenseMatrix *c, int compute, int, void *) {
    return product(handle, op_a, op_b, alpha, *a, *b, beta, *c, compute);
}

CUSPARSE int cusparseSpMV_bufferSize(SparseHandle *, int op, const void *, const SparseMatrix *a, const DenseVector *x,
                                     const void *, const DenseVector *y, int compute, int, size_t *bytes) {
    *bytes = BUFFER_BYTES;
    return check(*a, op, column(*x), CUSPARSE_OPERATION_N, column(*y), compute);
}

CUSPARSE int cusparseSpMV(SparseHandle *handle, int op, const void *alpha, const SparseMatrix *a, const DenseVector *x,
                          const void *beta, const DenseVector *y, int compute, int, void *) {
    return product(handle, op, CUSPARSE_OPERATION_N, alpha, *a, column(*x), beta, column(*y), compute);
}
