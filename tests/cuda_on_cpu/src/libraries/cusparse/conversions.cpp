// SPDX-License-Identifier: BSD-3-Clause
// cuSPARSE: from one format to another.
#include <algorithm>

#include "sparse.h"

using namespace emulator;

CUSPARSE int cusparseXcsr2coo(SparseHandle *handle, const int *offsets, int, int rows, int *row_of, int base) {
    return queue(handle, [=] {
        for (int row = 0; row < rows; row++)
            std::fill(row_of + offsets[row] - base, row_of + offsets[row + 1] - base, row + base);
    });
}

CUSPARSE int cusparseXcoo2csr(SparseHandle *handle, const int *row_of, int nnz, int rows, int *offsets, int base) {
    return queue(handle, [=] {
        for (int row = 0; row <= rows; row++)
            offsets[row] = (int)(std::lower_bound(row_of, row_of + nnz, row + base) - row_of) + base;
    });
}

CUSPARSE int cusparseCsr2cscEx2_bufferSize(SparseHandle *, int, int, int, const void *, const int *, const int *,
                                           void *, int *, int *, int, int, int, int, size_t *bytes) {
    *bytes = BUFFER_BYTES;
    return CUSPARSE_STATUS_SUCCESS;
}

CUSPARSE int cusparseCsr2cscEx2(SparseHandle *handle, int m, int n, int nnz, const void *values, const int *offsets,
                                const int *indices, void *to_values, int *to_offsets, int *to_indices, int type,
                                int action, int base, int, void *) {
    SparseMatrix from{CUSPARSE_FORMAT_CSR, m, n, nnz, {(void *)offsets, CUSPARSE_INDEX_32I},
                      {(void *)indices, CUSPARSE_INDEX_32I}, base, (void *)values, type};
    return with_type(type, [=](auto number) {
        using T = decltype(number);
        return queue(handle, [=] {
            std::vector<int> next(n + 1);
            from.each([&](int64_t, int64_t col, int64_t) { next[col + 1]++; });
            for (int col = 0; col < n; col++) next[col + 1] += next[col];
            for (int col = 0; col <= n; col++) to_offsets[col] = next[col] + base;
            from.each([&](int64_t row, int64_t col, int64_t i) {
                int to = next[col]++;
                to_indices[to] = (int)row + base;
                if (action == CUSPARSE_ACTION_NUMERIC) ((T *)to_values)[to] = ((const T *)values)[i];
            });
        });
    });
}

CUSPARSE int cusparseSparseToDense_bufferSize(SparseHandle *, const SparseMatrix *, const DenseMatrix *, int,
                                              size_t *bytes) {
    *bytes = BUFFER_BYTES;
    return CUSPARSE_STATUS_SUCCESS;
}

CUSPARSE int cusparseSparseToDense(SparseHandle *handle, const SparseMatrix *from, const DenseMatrix *to, int, void *) {
    SparseMatrix a = *from;
    DenseMatrix b = *to;
    return with_type(a.type, [=](auto number) {
        using T = decltype(number);
        return queue(handle, [=] {
            T *out = (T *)b.values;
            for (int64_t i = 0; i < b.rows; i++)
                for (int64_t j = 0; j < b.cols; j++) out[b.at(i, j)] = T(0);
            a.each([&](int64_t row, int64_t col, int64_t i) { out[b.at(row, col)] = ((const T *)a.values)[i]; });
        });
    });
}

namespace {

// Call f(line, other index, number) for each number that is not zero, in the order of a compressed format.
template <class T, class F>
void each_nonzero(const DenseMatrix &a, bool by_rows, F f) {
    for (int64_t line = 0; line < (by_rows ? a.rows : a.cols); line++)
        for (int64_t other = 0; other < (by_rows ? a.cols : a.rows); other++) {
            T x = ((const T *)a.values)[by_rows ? a.at(line, other) : a.at(other, line)];
            if (x != T(0)) f(line, other, x);
        }
}

}  // namespace

CUSPARSE int cusparseDenseToSparse_bufferSize(SparseHandle *, const DenseMatrix *, const SparseMatrix *, int,
                                              size_t *bytes) {
    *bytes = BUFFER_BYTES;
    return CUSPARSE_STATUS_SUCCESS;
}

// Afterwards the descriptor knows how many numbers are not zero, and the offsets are written.
CUSPARSE int cusparseDenseToSparse_analysis(SparseHandle *handle, const DenseMatrix *from, SparseMatrix *to, int,
                                            void *) {
    DenseMatrix a = *from;
    bool by_rows = to->format != CUSPARSE_FORMAT_CSC;
    return with_type(a.type, [=](auto number) {
        using T = decltype(number);
        return queue_and_wait(handle, [=] {
            std::vector<int64_t> offsets((by_rows ? a.rows : a.cols) + 1);
            each_nonzero<T>(a, by_rows, [&](int64_t line, int64_t, T) { offsets[line + 1]++; });
            for (size_t line = 1; line < offsets.size(); line++) offsets[line] += offsets[line - 1];
            to->nnz = offsets.back();
            if (to->format == CUSPARSE_FORMAT_COO) return;
            for (size_t line = 0; line < offsets.size(); line++) to->major.set(line, offsets[line] + to->base);
        });
    });
}

CUSPARSE int cusparseDenseToSparse_convert(SparseHandle *handle, const DenseMatrix *from, const SparseMatrix *to, int,
                                           void *) {
    DenseMatrix a = *from;
    SparseMatrix b = *to;
    return with_type(a.type, [=](auto number) {
        using T = decltype(number);
        return queue(handle, [=] {
            int64_t i = 0;
            each_nonzero<T>(a, b.format != CUSPARSE_FORMAT_CSC, [&](int64_t line, int64_t other, T x) {
                if (b.format == CUSPARSE_FORMAT_COO) b.major.set(i, line + b.base);
                b.minor.set(i, other + b.base);
                ((T *)b.values)[i++] = x;
            });
        });
    });
}
