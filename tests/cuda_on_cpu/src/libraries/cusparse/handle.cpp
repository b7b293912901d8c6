// SPDX-License-Identifier: BSD-3-Clause
// cuSPARSE: handles, names of errors, and what older functions are told of a matrix.
#include "sparse.h"

using namespace emulator;

CUSPARSE int cusparseCreate(SparseHandle **handle) {
    if (!handle) return CUSPARSE_STATUS_INVALID_VALUE;
    *handle = new SparseHandle;
    return CUSPARSE_STATUS_SUCCESS;
}

CUSPARSE int cusparseDestroy(SparseHandle *handle) {
    if (!handle) return CUSPARSE_STATUS_NOT_INITIALIZED;
    delete handle;
    return CUSPARSE_STATUS_SUCCESS;
}

CUSPARSE int cusparseGetVersion(SparseHandle *, int *version) {
    *version = CUSPARSE_VERSION;
    return CUSPARSE_STATUS_SUCCESS;
}

#define PROPERTY(Name, Type, field)                                \
    CUSPARSE int cusparseSet##Name(SparseHandle *handle, Type value) { \
        if (!handle) return CUSPARSE_STATUS_NOT_INITIALIZED;       \
        handle->field = value;                                     \
        return CUSPARSE_STATUS_SUCCESS;                            \
    }                                                              \
    CUSPARSE int cusparseGet##Name(SparseHandle *handle, Type *value) { \
        if (!handle) return CUSPARSE_STATUS_NOT_INITIALIZED;       \
        *value = handle->field;                                    \
        return CUSPARSE_STATUS_SUCCESS;                            \
    }
PROPERTY(Stream, void *, stream)
PROPERTY(PointerMode, int, pointer_mode)

CUSPARSE const char *cusparseGetErrorName(int status) {
    static const char *const NAMES[] = {
        "CUSPARSE_STATUS_SUCCESS",
        "CUSPARSE_STATUS_NOT_INITIALIZED",
        "CUSPARSE_STATUS_ALLOC_FAILED",
        "CUSPARSE_STATUS_INVALID_VALUE",
        "CUSPARSE_STATUS_ARCH_MISMATCH",
        "CUSPARSE_STATUS_MAPPING_ERROR",
        "CUSPARSE_STATUS_EXECUTION_FAILED",
        "CUSPARSE_STATUS_INTERNAL_ERROR",
        "CUSPARSE_STATUS_MATRIX_TYPE_NOT_SUPPORTED",
        "CUSPARSE_STATUS_ZERO_PIVOT",
        "CUSPARSE_STATUS_NOT_SUPPORTED",
        "CUSPARSE_STATUS_INSUFFICIENT_RESOURCES",
    };
    return status >= 0 && status <= CUSPARSE_STATUS_INSUFFICIENT_RESOURCES ? NAMES[status] : "unrecognized error code";
}
CUSPARSE const char *cusparseGetErrorString(int status) { return cusparseGetErrorName(status); }

CUSPARSE int cusparseCreateMatDescr(Description **description) {
    *description = new Description;
    return CUSPARSE_STATUS_SUCCESS;
}

CUSPARSE int cusparseDestroyMatDescr(Description *description) {
    delete description;
    return CUSPARSE_STATUS_SUCCESS;
}

#define FIELD(Name, field)                                                   \
    CUSPARSE int cusparseSetMat##Name(Description *description, int value) { \
        description->field = value;                                          \
        return CUSPARSE_STATUS_SUCCESS;                                      \
    }                                                                        \
    CUSPARSE int cusparseGetMat##Name(const Description *description) { return description->field; }
FIELD(Type, type)
FIELD(FillMode, fill)
FIELD(DiagType, diagonal)
FIELD(IndexBase, base)
