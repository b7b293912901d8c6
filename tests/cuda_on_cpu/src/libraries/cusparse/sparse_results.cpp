// SPDX-License-Identifier: BSD-3-Clause
// cuSPARSE: sums and products of sparse matrices. How many numbers the result holds is known only when the first
// half was computed, so the host waits for it there.
#include <map>

#include "sparse.h"

namespace emulator {
namespace {

// A result by rows, in the order of its columns.
template <class T>
using Rows = std::vector<std::map<int64_t, T>>;

template <class T>
void store(const Rows<T> &rows, const SparseMatrix &to) {
    int64_t i = 0;
    for (size_t row = 0; row < rows.size(); row++) {
        to.major.set(row, i + to.base);
        for (const auto &[col, value] : rows[row]) {
            to.minor.set(i, col + to.base);
            if (to.values) ((T *)to.values)[i] = value;
            i++;
        }
    }
    to.major.set(rows.size(), i + to.base);
}

SparseMatrix by_rows(int m, int n, int nnz, const Description *description, const void *values, const int *offsets,
                     const int *indices, int type) {
    return {CUSPARSE_FORMAT_CSR, m, n, nnz, {(void *)offsets, CUSPARSE_INDEX_32I},
            {(void *)indices, CUSPARSE_INDEX_32I}, description->base, (void *)values, type};
}

template <class T>
Rows<T> sum(const SparseMatrix &a, T alpha, const SparseMatrix &b, T beta) {
    Rows<T> rows(a.rows);
    a.each([&](int64_t i, int64_t j, int64_t k) { rows[i][j] += times(alpha, ((const T *)a.values)[k]); });
    b.each([&](int64_t i, int64_t j, int64_t k) { rows[i][j] += times(beta, ((const T *)b.values)[k]); });
    return rows;
}

template <class T>
Rows<T> multiply(const SparseMatrix &a, const SparseMatrix &b, T alpha) {
    Rows<T> rows(a.rows);
    a.each([&](int64_t i, int64_t p, int64_t k) {
        T scale = times(alpha, ((const T *)a.values)[k]);
        for (int64_t x = b.major[p] - b.base; x < b.major[p + 1] - b.base; x++)
            rows[i][b.minor[x] - b.base] += times(scale, ((const T *)b.values)[x]);
    });
    return rows;
}

int64_t count(const SparseMatrix &a, const SparseMatrix &b) {
    int64_t found = 0;
    std::vector<int64_t> seen(b.cols, -1);
    a.each([&](int64_t i, int64_t p, int64_t) {
        for (int64_t x = b.major[p] - b.base; x < b.major[p + 1] - b.base; x++) {
            int64_t &last = seen[b.minor[x] - b.base];
            found += last != i;
            last = i;
        }
    });
    return found;
}

}  // namespace
}  // namespace emulator

using namespace emulator;

CUSPARSE int cusparseXcsrgeam2Nnz(SparseHandle *handle, int m, int n, const Description *a_description, int a_nnz,
                                  const int *a_offsets, const int *a_indices, const Description *b_description,
                                  int b_nnz, const int *b_offsets, const int *b_indices,
                                  const Description *c_description, int *c_offsets, int *total, void *) {
    SparseMatrix a = by_rows(m, n, a_nnz, a_description, nullptr, a_offsets, a_indices, CUDA_R_32F);
    SparseMatrix b = by_rows(m, n, b_nnz, b_description, nullptr, b_offsets, b_indices, CUDA_R_32F);
    int base = c_description->base;
    auto work = [=] {
        std::vector<std::map<int64_t, bool>> rows(m);
        for (const SparseMatrix &x : {a, b}) x.each([&](int64_t i, int64_t j, int64_t) { rows[i][j] = true; });
        c_offsets[0] = base;
        for (int i = 0; i < m; i++) c_offsets[i + 1] = c_offsets[i] + (int)rows[i].size();
        *total = c_offsets[m] - base;
    };
    bool on_host = handle->pointer_mode == CUSPARSE_POINTER_MODE_HOST;
    return on_host ? queue_and_wait(handle, work) : queue(handle, work);
}

#define GEAM(X, T, TYPE)                                                                                              \
    CUSPARSE int cusparse##X##csrgeam2_bufferSizeExt(                                                                 \
        SparseHandle *, int, int, const T *, const Description *, int, const T *, const int *, const int *, const T *, \
        const Description *, int, const T *, const int *, const int *, const Description *, const T *, const int *,   \
        const int *, size_t *bytes) {                                                                                 \
        *bytes = BUFFER_BYTES;                                                                                        \
        return CUSPARSE_STATUS_SUCCESS;                                                                               \
    }                                                                                                                 \
    CUSPARSE int cusparse##X##csrgeam2(                                                                               \
        SparseHandle *handle, int m, int n, const T *alpha, const Description *a_description, int a_nnz,              \
        const T *a_values, const int *a_offsets, const int *a_indices, const T *beta,                                 \
        const Description *b_description, int b_nnz, const T *b_values, const int *b_offsets, const int *b_indices,   \
        const Description *c_description, T *c_values, int *c_offsets, int *c_indices, void *) {                      \
        SparseMatrix a = by_rows(m, n, a_nnz, a_description, a_values, a_offsets, a_indices, TYPE);                   \
        SparseMatrix b = by_rows(m, n, b_nnz, b_description, b_values, b_offsets, b_indices, TYPE);                   \
        SparseMatrix c = by_rows(m, n, 0, c_description, c_values, c_offsets, c_indices, TYPE);                       \
        Factor<T> first(handle, alpha), second(handle, beta);                                                         \
        return queue(handle, [=] { store(sum<T>(a, first.get(), b, second.get()), c); });                             \
    }
GEAM(S, float, CUDA_R_32F)
GEAM(D, double, CUDA_R_64F)
GEAM(C, Complex, CUDA_C_32F)
GEAM(Z, DoubleComplex, CUDA_C_64F)

CUSPARSE int cusparseSpGEMM_createDescr(int **descriptor) {
    *descriptor = new int(0);
    return CUSPARSE_STATUS_SUCCESS;
}

CUSPARSE int cusparseSpGEMM_destroyDescr(int *descriptor) {
    delete descriptor;
    return CUSPARSE_STATUS_SUCCESS;
}

CUSPARSE int cusparseSpGEMM_workEstimation(SparseHandle *, int op_a, int op_b, const void *, const SparseMatrix *a,
                                           const SparseMatrix *b, const void *, SparseMatrix *, int, int, int *,
                                           size_t *bytes, void *buffer) {
    if (op_a != CUSPARSE_OPERATION_N || op_b != CUSPARSE_OPERATION_N || a->format != CUSPARSE_FORMAT_CSR ||
        b->format != CUSPARSE_FORMAT_CSR)
        return CUSPARSE_STATUS_NOT_SUPPORTED;
    if (a->cols != b->rows) return CUSPARSE_STATUS_INVALID_VALUE;
    if (!buffer) *bytes = BUFFER_BYTES;
    return CUSPARSE_STATUS_SUCCESS;
}

// Without a buffer, its size is asked for. Afterwards the descriptor of C knows how many numbers C holds.
CUSPARSE int cusparseSpGEMM_compute(SparseHandle *handle, int, int, const void *, const SparseMatrix *a,
                                    const SparseMatrix *b, const void *, SparseMatrix *c, int, int, int *,
                                    size_t *bytes, void *buffer) {
    if (!buffer) {
        *bytes = BUFFER_BYTES;
        return CUSPARSE_STATUS_SUCCESS;
    }
    SparseMatrix left = *a, right = *b;
    return queue_and_wait(handle, [=] { c->nnz = count(left, right); });
}

CUSPARSE int cusparseSpGEMM_copy(SparseHandle *handle, int, int, const void *alpha, const SparseMatrix *a,
                                 const SparseMatrix *b, const void *beta, const SparseMatrix *c, int compute, int,
                                 int *) {
    SparseMatrix left = *a, right = *b, to = *c;
    return with_type(compute, [=](auto number) {
        using T = decltype(number);
        Factor<T> first(handle, alpha), second(handle, beta);
        if (second.now && second.value != T(0)) return (int)CUSPARSE_STATUS_NOT_SUPPORTED;
        return queue(handle, [=] { store(multiply<T>(left, right, first.get()), to); });
    });
}
