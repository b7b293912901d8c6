// SPDX-License-Identifier: BSD-3-Clause
// cuBLAS: matrix products whose operands, sums and results may be of different types.
#include "gemm.h"

namespace emulator {
namespace {

struct Strides {
    int64_t a = 0, b = 0, c = 0;
};

// What a call of GemmEx names beside shapes and factors.
struct Mixed {
    const void *a, *b;
    void *c;
    int a_type, b_type, c_type, compute;
    Strides step;
};

Rounding rounding_of(const BlasHandle *handle, const Mixed &x) {
    if (x.a_type != CUDA_R_32F && x.a_type != CUDA_C_32F) return Rounding::none;
    bool tf32 = (handle->math & MATH_OF_PRODUCTS) == CUBLAS_TF32_TENSOR_OP_MATH;
    switch (x.compute) {
        case CUBLAS_COMPUTE_32F_FAST_TF32: return Rounding::tf32;
        case CUBLAS_COMPUTE_32F_FAST_16F: return Rounding::half;
        case CUBLAS_COMPUTE_32F_FAST_16BF: return Rounding::bfloat16;
        case CUBLAS_COMPUTE_32F: return tf32 ? Rounding::tf32 : Rounding::none;
        default: return Rounding::none;
    }
}

template <class Factor, class Sum, class Out>
cublasStatus_t queue_mixed(BlasHandle *handle, const Gemm &g, const Mixed &x, const void *alpha, const void *beta) {
    Scalar<Factor> first(handle, alpha), second(handle, beta);
    Rounding rounding = rounding_of(handle, x);
    return queue(handle, [=] {
        int64_t bytes = bytes_of(x.a_type);
        for (int64_t i = 0; i < g.count; i++)
            multiply<Sum, Out>(g, (Sum)first.get(), (const char *)x.a + i * x.step.a * bytes,
                               (const char *)x.b + i * x.step.b * bytes, x.a_type, rounding, (Sum)second.get(),
                               (Out *)x.c + i * x.step.c);
    });
}

bool sums_in_float32(int compute) {
    switch (compute) {
        case CUBLAS_COMPUTE_32F:
        case CUBLAS_COMPUTE_32F_PEDANTIC:
        case CUBLAS_COMPUTE_32F_FAST_16F:
        case CUBLAS_COMPUTE_32F_FAST_16BF:
        case CUBLAS_COMPUTE_32F_FAST_TF32: return true;
        default: return false;
    }
}

// The combinations of the table in cuBLAS's documentation; `in` and `out` are the types of A and B, and of C.
cublasStatus_t mixed(BlasHandle *handle, Gemm g, Mixed x, const void *alpha, const void *beta) {
    if (cublasStatus_t status = check(handle, g)) return status;
    if (x.a_type != x.b_type) return CUBLAS_STATUS_NOT_SUPPORTED;
    auto is = [&](int in, int out) { return x.a_type == in && x.c_type == out; };
    if (sums_in_float32(x.compute)) {
        if (is(CUDA_R_32F, CUDA_R_32F) || is(CUDA_R_16F, CUDA_R_32F) || is(CUDA_R_16BF, CUDA_R_32F) ||
            is(CUDA_R_8I, CUDA_R_32F))
            return queue_mixed<float, float, float>(handle, g, x, alpha, beta);
        if (is(CUDA_R_16F, CUDA_R_16F)) return queue_mixed<float, float, Half>(handle, g, x, alpha, beta);
        if (is(CUDA_R_16BF, CUDA_R_16BF)) return queue_mixed<float, float, BFloat16>(handle, g, x, alpha, beta);
        if (is(CUDA_C_32F, CUDA_C_32F)) return queue_mixed<Complex, Complex, Complex>(handle, g, x, alpha, beta);
    } else if (x.compute == CUBLAS_COMPUTE_64F || x.compute == CUBLAS_COMPUTE_64F_PEDANTIC) {
        if (is(CUDA_R_64F, CUDA_R_64F)) return queue_mixed<double, double, double>(handle, g, x, alpha, beta);
        if (is(CUDA_C_64F, CUDA_C_64F))
            return queue_mixed<DoubleComplex, DoubleComplex, DoubleComplex>(handle, g, x, alpha, beta);
    } else if (x.compute == CUBLAS_COMPUTE_32I || x.compute == CUBLAS_COMPUTE_32I_PEDANTIC) {
        if (is(CUDA_R_8I, CUDA_R_32I)) return queue_mixed<int32_t, int32_t, int32_t>(handle, g, x, alpha, beta);
    } else if (x.compute == CUBLAS_COMPUTE_16F || x.compute == CUBLAS_COMPUTE_16F_PEDANTIC) {
        if (is(CUDA_R_16F, CUDA_R_16F)) return queue_mixed<Half, float, Half>(handle, g, x, alpha, beta);
    }
    return CUBLAS_STATUS_NOT_SUPPORTED;
}

}  // namespace
}  // namespace emulator

using namespace emulator;

CUBLAS cublasStatus_t cublasGemmEx(BlasHandle *handle, int ta, int tb, int m, int n, int k, const void *alpha,
                                   const void *a, int a_type, int lda, const void *b, int b_type, int ldb,
                                   const void *beta, void *c, int c_type, int ldc, int compute, int) {
    return mixed(handle, {ta, tb, m, n, k, lda, ldb, ldc}, {a, b, c, a_type, b_type, c_type, compute, {}}, alpha, beta);
}

CUBLAS cublasStatus_t cublasGemmStridedBatchedEx(BlasHandle *handle, int ta, int tb, int m, int n, int k,
                                                 const void *alpha, const void *a, int a_type, int lda,
                                                 long long step_a, const void *b, int b_type, int ldb,
                                                 long long step_b, const void *beta, void *c, int c_type, int ldc,
                                                 long long step_c, int count, int compute, int) {
    Gemm g{ta, tb, m, n, k, lda, ldb, ldc, count};
    return mixed(handle, g, {a, b, c, a_type, b_type, c_type, compute, {step_a, step_b, step_c}}, alpha, beta);
}

CUBLAS cublasStatus_t cublasSgemmEx(BlasHandle *handle, int ta, int tb, int m, int n, int k, const float *alpha,
                                    const void *a, int a_type, int lda, const void *b, int b_type, int ldb,
                                    const float *beta, void *c, int c_type, int ldc) {
    Mixed x{a, b, c, a_type, b_type, c_type, CUBLAS_COMPUTE_32F, {}};
    return mixed(handle, {ta, tb, m, n, k, lda, ldb, ldc}, x, alpha, beta);
}
