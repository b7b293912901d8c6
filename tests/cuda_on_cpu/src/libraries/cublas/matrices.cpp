// SPDX-License-Identifier: BSD-3-Clause
// cuBLAS: a matrix with a vector, with itself, and sums of two.
#include <algorithm>

#include "handle.h"

namespace emulator {
namespace {

// op(A) in column-major memory.
template <class T>
struct View {
    const T *data;
    int64_t leading;
    int operation;

    T operator()(int64_t i, int64_t j) const {
        if (operation == CUBLAS_OP_N) return data[i + j * leading];
        T x = data[j + i * leading];
        return operation == CUBLAS_OP_C ? conjugate(x) : x;
    }
};

// alpha x + beta y; y is not read where beta is 0.
template <class T>
T scaled(T alpha, T x, T beta, const T &y) {
    return beta == T(0) ? times(alpha, x) : times(alpha, x) + times(beta, y);
}

template <class T>
cublasStatus_t gemv(BlasHandle *handle, int trans, int m, int n, const T *alpha, const T *a, int lda, const T *x,
                    int step_x, const T *beta, T *y, int step_y) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (m < 0 || n < 0 || lda < std::max(1, m) || !step_x || !step_y) return CUBLAS_STATUS_INVALID_VALUE;
    Scalar<T> first(handle, alpha), second(handle, beta);
    return queue(handle, [=] {
        int rows = trans == CUBLAS_OP_N ? m : n, cols = trans == CUBLAS_OP_N ? n : m;
        View<T> matrix{a, lda, trans};
        Strided<const T> from(x, cols, step_x);
        Strided<T> to(y, rows, step_y);
        for (int i = 0; i < rows; i++) {
            T sum(0);
            for (int j = 0; j < cols; j++) sum += times(matrix(i, j), from[j]);
            to[i] = scaled(first.get(), sum, second.get(), to[i]);
        }
    });
}

template <class T>
cublasStatus_t ger(BlasHandle *handle, int m, int n, const T *alpha, const T *x, int step_x, const T *y, int step_y,
                   T *a, int lda, bool conj) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (m < 0 || n < 0 || lda < std::max(1, m) || !step_x || !step_y) return CUBLAS_STATUS_INVALID_VALUE;
    Scalar<T> factor(handle, alpha);
    return queue(handle, [=] {
        Strided<const T> left(x, m, step_x), right(y, n, step_y);
        for (int j = 0; j < n; j++) {
            T scale = times(factor.get(), conj ? conjugate(right[j]) : right[j]);
            for (int i = 0; i < m; i++) a[i + (int64_t)j * lda] += times(left[i], scale);
        }
    });
}

// Only one triangle of C is read and written.
template <class T>
cublasStatus_t syrk(BlasHandle *handle, int uplo, int trans, int n, int k, const T *alpha, const T *a, int lda,
                    const T *beta, T *c, int ldc) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (n < 0 || k < 0 || lda < std::max(1, trans == CUBLAS_OP_N ? n : k) || ldc < std::max(1, n))
        return CUBLAS_STATUS_INVALID_VALUE;
    Scalar<T> first(handle, alpha), second(handle, beta);
    return queue(handle, [=] {
        View<T> matrix{a, lda, trans == CUBLAS_OP_N ? CUBLAS_OP_N : CUBLAS_OP_T};
        for (int j = 0; j < n; j++)
            for (int i = 0; i < n; i++) {
                if (uplo == CUBLAS_FILL_MODE_UPPER ? i > j : i < j) continue;
                T sum(0);
                for (int p = 0; p < k; p++) sum += times(matrix(i, p), matrix(j, p));
                T &out = c[i + (int64_t)j * ldc];
                out = scaled(first.get(), sum, second.get(), out);
            }
    });
}

// C = alpha op(A) + beta op(B); an operand whose factor is 0 is not read.
template <class T>
cublasStatus_t geam(BlasHandle *handle, int ta, int tb, int m, int n, const T *alpha, const T *a, int lda,
                    const T *beta, const T *b, int ldb, T *c, int ldc) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (m < 0 || n < 0 || lda < std::max(1, ta == CUBLAS_OP_N ? m : n) ||
        ldb < std::max(1, tb == CUBLAS_OP_N ? m : n) || ldc < std::max(1, m))
        return CUBLAS_STATUS_INVALID_VALUE;
    Scalar<T> first(handle, alpha), second(handle, beta);
    return queue(handle, [=] {
        View<T> left{a, lda, ta}, right{b, ldb, tb};
        T x = first.get(), y = second.get();
        for (int j = 0; j < n; j++)
            for (int i = 0; i < m; i++) {
                T sum = x == T(0) ? T(0) : times(x, left(i, j));
                if (y != T(0)) sum += times(y, right(i, j));
                c[i + (int64_t)j * ldc] = sum;
            }
    });
}

template <class T>
cublasStatus_t dgmm(BlasHandle *handle, int side, int m, int n, const T *a, int lda, const T *x, int step, T *c,
                    int ldc) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (m < 0 || n < 0 || lda < std::max(1, m) || ldc < std::max(1, m)) return CUBLAS_STATUS_INVALID_VALUE;
    return queue(handle, [=] {
        Strided<const T> diagonal(x, side == CUBLAS_SIDE_LEFT ? m : n, step);
        for (int j = 0; j < n; j++)
            for (int i = 0; i < m; i++)
                c[i + (int64_t)j * ldc] = times(a[i + (int64_t)j * lda], diagonal[side == CUBLAS_SIDE_LEFT ? i : j]);
    });
}

}  // namespace
}  // namespace emulator

using namespace emulator;

#define EACH(X, T)                                                                                                    \
    CUBLAS cublasStatus_t cublas##X##gemv_v2(BlasHandle *h, int trans, int m, int n, const T *alpha, const T *a,      \
                                             int lda, const T *x, int sx, const T *beta, T *y, int sy) {              \
        return gemv(h, trans, m, n, alpha, a, lda, x, sx, beta, y, sy);                                               \
    }                                                                                                                 \
    CUBLAS cublasStatus_t cublas##X##syrk_v2(BlasHandle *h, int uplo, int trans, int n, int k, const T *alpha,        \
                                             const T *a, int lda, const T *beta, T *c, int ldc) {                     \
        return syrk(h, uplo, trans, n, k, alpha, a, lda, beta, c, ldc);                                               \
    }                                                                                                                 \
    CUBLAS cublasStatus_t cublas##X##geam(BlasHandle *h, int ta, int tb, int m, int n, const T *alpha, const T *a,    \
                                          int lda, const T *beta, const T *b, int ldb, T *c, int ldc) {               \
        return geam(h, ta, tb, m, n, alpha, a, lda, beta, b, ldb, c, ldc);                                            \
    }                                                                                                                 \
    CUBLAS cublasStatus_t cublas##X##dgmm(BlasHandle *h, int side, int m, int n, const T *a, int lda, const T *x,     \
                                          int step, T *c, int ldc) {                                                  \
        return dgmm(h, side, m, n, a, lda, x, step, c, ldc);                                                          \
    }
EACH(S, float)
EACH(D, double)
EACH(C, Complex)
EACH(Z, DoubleComplex)

#define GER(Name, T, conj)                                                                                       \
    CUBLAS cublasStatus_t cublas##Name##_v2(BlasHandle *h, int m, int n, const T *alpha, const T *x, int sx,     \
                                            const T *y, int sy, T *a, int lda) {                                 \
        return ger(h, m, n, alpha, x, sx, y, sy, a, lda, conj);                                                  \
    }
GER(Sger, float, false)
GER(Dger, double, false)
GER(Cgeru, Complex, false)
GER(Cgerc, Complex, true)
GER(Zgeru, DoubleComplex, false)
GER(Zgerc, DoubleComplex, true)
