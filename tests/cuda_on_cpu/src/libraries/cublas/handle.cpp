// SPDX-License-Identifier: BSD-3-Clause
// cuBLAS: handles and what is set on them.
#include "handle.h"

using emulator::BlasHandle;

CUBLAS cublasStatus_t cublasCreate_v2(BlasHandle **handle) {
    if (!handle) return CUBLAS_STATUS_INVALID_VALUE;
    *handle = new BlasHandle;
    return CUBLAS_STATUS_SUCCESS;
}

CUBLAS cublasStatus_t cublasDestroy_v2(BlasHandle *handle) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}

CUBLAS cublasStatus_t cublasGetVersion_v2(BlasHandle *, int *version) {
    if (!version) return CUBLAS_STATUS_INVALID_VALUE;
    *version = CUBLAS_VERSION;
    return CUBLAS_STATUS_SUCCESS;
}

#define PROPERTY(Name, Type, field)                                            \
    CUBLAS cublasStatus_t cublasSet##Name(BlasHandle *handle, Type value) {    \
        if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;                     \
        handle->field = value;                                                 \
        return CUBLAS_STATUS_SUCCESS;                                          \
    }                                                                          \
    CUBLAS cublasStatus_t cublasGet##Name(BlasHandle *handle, Type *value) {   \
        if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;                     \
        *value = handle->field;                                                \
        return CUBLAS_STATUS_SUCCESS;                                          \
    }
PROPERTY(Stream_v2, void *, stream)
PROPERTY(PointerMode_v2, int, pointer_mode)
PROPERTY(MathMode, int, math)
