// SPDX-License-Identifier: BSD-3-Clause
// Handles and descriptors of cuSPARSE, and how its functions queue their work.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include <utility>
#include <vector>

#include "../../declarations/cublas.h"
#include "../../declarations/cusparse.h"
#include "../../emulator.h"
#include "../numbers.h"

#define CUSPARSE extern "C" EMULATOR_API

namespace emulator {

struct SparseHandle {
    void *stream = nullptr;
    int pointer_mode = CUSPARSE_POINTER_MODE_HOST;
};

// What older functions are told of a matrix.
struct Description {
    int type = 0, fill = 0, diagonal = 0, base = 0;
};

// The buffer that a function asks for, though the emulated ones need none.
constexpr size_t BUFFER_BYTES = 256;

// An array of int32 or int64.
struct Indices {
    void *data;
    int type;
    int64_t operator[](int64_t i) const {
        return type == CUSPARSE_INDEX_64I ? ((const int64_t *)data)[i] : ((const int32_t *)data)[i];
    }
    void set(int64_t i, int64_t value) const {
        if (type == CUSPARSE_INDEX_64I) ((int64_t *)data)[i] = value;
        else ((int32_t *)data)[i] = (int32_t)value;
    }
};

// `major`: offsets of rows (CSR) or columns (CSC), or the row of each number (COO). `minor`: the other index of each.
struct SparseMatrix {
    int format;
    int64_t rows, cols, nnz;
    Indices major, minor;
    int base;
    void *values;
    int type;

    // Call f(row, column, position) for each number.
    template <class F>
    void each(F f) const {
        if (format == CUSPARSE_FORMAT_COO) {
            for (int64_t i = 0; i < nnz; i++) f(major[i] - base, minor[i] - base, i);
            return;
        }
        bool by_rows = format == CUSPARSE_FORMAT_CSR;
        for (int64_t line = 0; line < (by_rows ? rows : cols); line++)
            for (int64_t i = major[line] - base; i < major[line + 1] - base; i++) {
                int64_t other = minor[i] - base;
                by_rows ? f(line, other, i) : f(other, line, i);
            }
    }
};

struct DenseMatrix {
    int64_t rows, cols, leading;
    void *values;
    int type, order;
    int64_t at(int64_t i, int64_t j) const { return order == CUSPARSE_ORDER_COL ? i + j * leading : i * leading + j; }
};

struct DenseVector {
    int64_t size;
    void *values;
    int type;
};

struct SparseVector {
    int64_t size, nnz;
    Indices indices;
    int base;
    void *values;
    int type;
};

template <class F>
int queue(SparseHandle *handle, F work) {
    if (!handle) return CUSPARSE_STATUS_NOT_INITIALIZED;
    return enqueue(handle->stream, std::move(work)) ? CUSPARSE_STATUS_EXECUTION_FAILED : CUSPARSE_STATUS_SUCCESS;
}

// The same where the host needs a result.
template <class F>
int queue_and_wait(SparseHandle *handle, F work) {
    if (int status = queue(handle, std::move(work))) return status;
    return wait(handle->stream) ? CUSPARSE_STATUS_EXECUTION_FAILED : CUSPARSE_STATUS_SUCCESS;
}

// Call f with a number of the type that a cudaDataType_t names.
template <class F>
int with_type(int type, F f) {
    switch (type) {
        case CUDA_R_32F: return f(float());
        case CUDA_R_64F: return f(double());
        case CUDA_C_32F: return f(Complex());
        case CUDA_C_64F: return f(DoubleComplex());
        default: return CUSPARSE_STATUS_NOT_SUPPORTED;
    }
}

// A factor passed by its address, which is read at once on the host and when the work runs on the GPU.
template <class T>
struct Factor {
    Factor(const SparseHandle *handle, const void *address)
        : address((const T *)address), now(handle->pointer_mode == CUSPARSE_POINTER_MODE_HOST) {
        if (now) value = *this->address;
    }
    T get() const { return now ? value : *address; }

    const T *address;
    bool now;
    T value = T(0);
};

}  // namespace emulator
