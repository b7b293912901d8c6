// SPDX-License-Identifier: BSD-3-Clause
// cuSPARSE: a matrix by rows without its small numbers.
#include "sparse.h"

namespace emulator {
namespace {

template <class T>
bool is_kept(T x, T tolerance) {
    return std::abs(x) > std::real(tolerance);
}

template <class T>
int count(SparseHandle *handle, int rows, const Description *description, const T *values, const int *offsets,
          int *per_row, int *total, T tolerance) {
    int base = description->base;
    auto work = [=] {
        int sum = 0;
        for (int row = 0; row < rows; row++) {
            per_row[row] = 0;
            for (int i = offsets[row] - base; i < offsets[row + 1] - base; i++)
                per_row[row] += is_kept(values[i], tolerance);
            sum += per_row[row];
        }
        *total = sum;
    };
    bool on_host = handle->pointer_mode == CUSPARSE_POINTER_MODE_HOST;
    return on_host ? queue_and_wait(handle, work) : queue(handle, work);
}

template <class T>
int compress(SparseHandle *handle, int rows, const Description *description, const T *values, const int *indices,
             const int *offsets, const int *per_row, T *to_values, int *to_indices, int *to_offsets, T tolerance) {
    int base = description->base;
    return queue(handle, [=] {
        int to = 0;
        to_offsets[0] = base;
        for (int row = 0; row < rows; row++) {
            for (int i = offsets[row] - base; i < offsets[row + 1] - base; i++) {
                if (!is_kept(values[i], tolerance)) continue;
                to_indices[to] = indices[i];
                to_values[to++] = values[i];
            }
            to_offsets[row + 1] = to_offsets[row] + per_row[row];
        }
    });
}

}  // namespace
}  // namespace emulator

using namespace emulator;

#define COMPRESS(X, T)                                                                                                \
    CUSPARSE int cusparse##X##nnz_compress(SparseHandle *handle, int rows, const Description *description,            \
                                           const T *values, const int *offsets, int *per_row, int *total,             \
                                           T tolerance) {                                                             \
        return count(handle, rows, description, values, offsets, per_row, total, tolerance);                          \
    }                                                                                                                 \
    CUSPARSE int cusparse##X##csr2csr_compress(SparseHandle *handle, int rows, int, const Description *description,   \
                                               const T *values, const int *indices, const int *offsets, int,          \
                                               const int *per_row, T *to_values, int *to_indices, int *to_offsets,    \
                                               T tolerance) {                                                         \
        return compress(handle, rows, description, values, indices, offsets, per_row, to_values, to_indices,          \
                        to_offsets, tolerance);                                                                       \
    }
COMPRESS(S, float)
COMPRESS(D, double)
COMPRESS(C, Complex)
COMPRESS(Z, DoubleComplex)
