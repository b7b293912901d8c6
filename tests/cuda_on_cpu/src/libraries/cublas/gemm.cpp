// SPDX-License-Identifier: BSD-3-Clause
// cuBLAS: matrix products in which everything is of one type.
#include "gemm.h"

namespace emulator {
namespace {

template <class T>
constexpr int TYPE = std::is_same<T, float>::value    ? CUDA_R_32F
                     : std::is_same<T, double>::value ? CUDA_R_64F
                     : std::is_same<T, Complex>::value ? CUDA_C_32F
                                                       : CUDA_C_64F;

Rounding rounding_of(const BlasHandle *handle) {
    return (handle->math & MATH_OF_PRODUCTS) == CUBLAS_TF32_TENSOR_OP_MATH ? Rounding::tf32 : Rounding::none;
}

template <class T>
cublasStatus_t strided(BlasHandle *handle, Gemm g, const void *alpha, const T *a, int64_t step_a, const T *b,
                       int64_t step_b, const void *beta, T *c, int64_t step_c) {
    if (cublasStatus_t status = check(handle, g)) return status;
    Scalar<T> first(handle, alpha), second(handle, beta);
    Rounding rounding = rounding_of(handle);
    return queue(handle, [=] {
        for (int64_t i = 0; i < g.count; i++)
            multiply<T, T>(g, first.get(), a + i * step_a, b + i * step_b, TYPE<T>, rounding, second.get(),
                           c + i * step_c);
    });
}

// The arrays of addresses lie on the GPU.
template <class T>
cublasStatus_t batched(BlasHandle *handle, Gemm g, const void *alpha, const T *const *a, const T *const *b,
                       const void *beta, T *const *c) {
    if (cublasStatus_t status = check(handle, g)) return status;
    Scalar<T> first(handle, alpha), second(handle, beta);
    Rounding rounding = rounding_of(handle);
    return queue(handle, [=] {
        for (int64_t i = 0; i < g.count; i++)
            multiply<T, T>(g, first.get(), a[i], b[i], TYPE<T>, rounding, second.get(), c[i]);
    });
}

}  // namespace
}  // namespace emulator

using namespace emulator;

#define GEMM(X, T)                                                                                                  \
    CUBLAS cublasStatus_t cublas##X##gemm_v2(BlasHandle *handle, int ta, int tb, int m, int n, int k,               \
                                             const void *alpha, const T *a, int lda, const T *b, int ldb,           \
                                             const void *beta, T *c, int ldc) {                                     \
        return strided<T>(handle, {ta, tb, m, n, k, lda, ldb, ldc}, alpha, a, 0, b, 0, beta, c, 0);                 \
    }                                                                                                               \
    CUBLAS cublasStatus_t cublas##X##gemmStridedBatched(                                                            \
        BlasHandle *handle, int ta, int tb, int m, int n, int k, const void *alpha, const T *a, int lda,            \
        long long step_a, const T *b, int ldb, long long step_b, const void *beta, T *c, int ldc, long long step_c, \
        int count) {                                                                                                \
        Gemm g{ta, tb, m, n, k, lda, ldb, ldc, count};                                                              \
        return strided<T>(handle, g, alpha, a, step_a, b, step_b, beta, c, step_c);                                 \
    }                                                                                                               \
    CUBLAS cublasStatus_t cublas##X##gemmBatched(BlasHandle *handle, int ta, int tb, int m, int n, int k,           \
                                                 const void *alpha, const T *const *a, int lda, const T *const *b,  \
                                                 int ldb, const void *beta, T *const *c, int ldc, int count) {      \
        return batched<T>(handle, {ta, tb, m, n, k, lda, ldb, ldc, count}, alpha, a, b, beta, c);                   \
    }
GEMM(S, float)
GEMM(D, double)
GEMM(C, Complex)
GEMM(Z, DoubleComplex)
