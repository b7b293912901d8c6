// SPDX-License-Identifier: BSD-3-Clause
// cuBLAS: functions of vectors.
#include <math.h>

#include "handle.h"

namespace emulator {
namespace {

// Many partial sums, as many threads make, so the rounding error of long vectors stays small.
template <class T, class F>
T sum_of(int64_t n, F term) {
    constexpr int PARTS = 64;
    T parts[PARTS] = {}, sum(0);
    for (int64_t i = 0; i < n; i++) parts[i % PARTS] += term(i);
    for (T part : parts) sum += part;
    return sum;
}

template <class T>
cublasStatus_t dot(BlasHandle *handle, int n, const T *x, int step_x, const T *y, int step_y, T *result, bool conj) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    return queue_result(handle, [=] {
        Strided<const T> a(x, n, step_x), b(y, n, step_y);
        *result = sum_of<T>(n, [=](int64_t i) { return times(conj ? conjugate(a[i]) : a[i], b[i]); });
    });
}

template <class T>
T magnitude(T x) {
    return fabs(x);
}
template <class T>
T magnitude(std::complex<T> x) {
    return fabs(x.real()) + fabs(x.imag());
}

template <class T, class R>
cublasStatus_t asum(BlasHandle *handle, int n, const T *x, int step, R *result) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    return queue_result(handle, [=] {
        *result = sum_of<R>(step > 0 ? n : 0, [=](int64_t i) { return magnitude(x[i * step]); });
    });
}

// Neither overflows nor underflows before the result does.
template <class T, class R>
cublasStatus_t nrm2(BlasHandle *handle, int n, const T *x, int step, R *result) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    return queue_result(handle, [=] {
        long double sum = 0;
        for (int i = 0; step > 0 && i < n; i++) {
            T value = x[(int64_t)i * step];
            long double real = std::real(value), imaginary = std::imag(value);
            sum += real * real + imaginary * imaginary;
        }
        *result = (R)sqrtl(sum);
    });
}

// The first index of the largest magnitude (or, negated, of the smallest), counted from 1; 0 if there is none.
template <class T>
cublasStatus_t extreme(BlasHandle *handle, int n, const T *x, int step, int *result, int sign) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    return queue_result(handle, [=] {
        int best = 0;
        for (int i = 1; step > 0 && i < n; i++)
            if (sign * magnitude(x[(int64_t)i * step]) > sign * magnitude(x[(int64_t)best * step])) best = i;
        *result = step > 0 && n > 0 ? best + 1 : 0;
    });
}

template <class T, class Factor>
cublasStatus_t scal(BlasHandle *handle, int n, const Factor *alpha, T *x, int step) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    Scalar<Factor> factor(handle, alpha);
    return queue(handle, [=] {
        for (int i = 0; step > 0 && i < n; i++) x[(int64_t)i * step] = times(T(factor.get()), x[(int64_t)i * step]);
    });
}

template <class T>
cublasStatus_t axpy(BlasHandle *handle, int n, const T *alpha, const T *x, int step_x, T *y, int step_y) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    Scalar<T> factor(handle, alpha);
    return queue(handle, [=] {
        Strided<const T> from(x, n, step_x);
        Strided<T> to(y, n, step_y);
        for (int i = 0; i < n; i++) to[i] += times(factor.get(), from[i]);
    });
}

}  // namespace
}  // namespace emulator

using namespace emulator;

#define DOT(Name, T, conj)                                                                                            \
    CUBLAS cublasStatus_t cublas##Name##_v2(BlasHandle *h, int n, const T *x, int sx, const T *y, int sy, T *result) { \
        return dot<T>(h, n, x, sx, y, sy, result, conj);                                                              \
    }
DOT(Sdot, float, false)
DOT(Ddot, double, false)
DOT(Cdotu, Complex, false)
DOT(Cdotc, Complex, true)
DOT(Zdotu, DoubleComplex, false)
DOT(Zdotc, DoubleComplex, true)

#define NORMS(Sum, Norm, T, R)                                                                    \
    CUBLAS cublasStatus_t cublas##Sum##_v2(BlasHandle *h, int n, const T *x, int step, R *result) { \
        return asum(h, n, x, step, result);                                                       \
    }                                                                                             \
    CUBLAS cublasStatus_t cublas##Norm##_v2(BlasHandle *h, int n, const T *x, int step, R *result) { \
        return nrm2(h, n, x, step, result);                                                       \
    }
NORMS(Sasum, Snrm2, float, float)
NORMS(Dasum, Dnrm2, double, double)
NORMS(Scasum, Scnrm2, Complex, float)
NORMS(Dzasum, Dznrm2, DoubleComplex, double)

#define SCAL(Name, T, Factor)                                                                           \
    CUBLAS cublasStatus_t cublas##Name##_v2(BlasHandle *h, int n, const Factor *alpha, T *x, int step) { \
        return scal(h, n, alpha, x, step);                                                              \
    }
SCAL(Sscal, float, float)
SCAL(Dscal, double, double)
SCAL(Cscal, Complex, Complex)
SCAL(Zscal, DoubleComplex, DoubleComplex)
SCAL(Csscal, Complex, float)
SCAL(Zdscal, DoubleComplex, double)

#define OTHERS(lower, X, T)                                                                                       \
    CUBLAS cublasStatus_t cublasI##lower##amax_v2(BlasHandle *h, int n, const T *x, int step, int *result) {      \
        return extreme(h, n, x, step, result, 1);                                                                 \
    }                                                                                                             \
    CUBLAS cublasStatus_t cublasI##lower##amin_v2(BlasHandle *h, int n, const T *x, int step, int *result) {      \
        return extreme(h, n, x, step, result, -1);                                                                \
    }                                                                                                             \
    CUBLAS cublasStatus_t cublas##X##axpy_v2(BlasHandle *h, int n, const T *alpha, const T *x, int sx, T *y, int sy) { \
        return axpy(h, n, alpha, x, sx, y, sy);                                                                   \
    }
OTHERS(s, S, float)
OTHERS(d, D, double)
OTHERS(c, C, Complex)
OTHERS(z, Z, DoubleComplex)
