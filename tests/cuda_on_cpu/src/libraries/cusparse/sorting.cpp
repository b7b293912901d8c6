// SPDX-License-Identifier: BSD-3-Clause
// cuSPARSE: sorting indices, and gathering numbers in the order that was found.
#include <algorithm>
#include <numeric>

#include "sparse.h"

using namespace emulator;

namespace {

// Move keys, and the permutation beside them if there is one, into the order of `less(i, j)`.
template <class Less>
void reorder(int from, int to, const std::vector<int *> &arrays, Less less) {
    std::vector<int> order(to - from), kept(to - from);
    std::iota(order.begin(), order.end(), from);
    std::stable_sort(order.begin(), order.end(), less);
    for (int *array : arrays) {
        if (!array) continue;
        for (int i = from; i < to; i++) kept[i - from] = array[order[i - from]];
        std::copy(kept.begin(), kept.end(), array + from);
    }
}

int sort_lines(SparseHandle *handle, int lines, const Description *description, const int *offsets, int *indices,
               int *permutation) {
    int base = description->base;
    return queue(handle, [=] {
        for (int line = 0; line < lines; line++)
            reorder(offsets[line] - base, offsets[line + 1] - base, {permutation, indices},
                    [=](int i, int j) { return indices[i] < indices[j]; });
    });
}

int sort_pairs(SparseHandle *handle, int nnz, int *first, int *second, int *permutation) {
    return queue(handle, [=] {
        std::vector<int> a(first, first + nnz), b(second, second + nnz);
        reorder(0, nnz, {permutation, first, second},
                [&](int i, int j) { return a[i] != a[j] ? a[i] < a[j] : b[i] < b[j]; });
    });
}

}  // namespace

#define BUFFER(Name)                                                                                     \
    CUSPARSE int cusparse##Name##_bufferSizeExt(SparseHandle *, int, int, int, const int *, const int *, \
                                                size_t *bytes) {                                         \
        *bytes = BUFFER_BYTES;                                                                           \
        return CUSPARSE_STATUS_SUCCESS;                                                                  \
    }
BUFFER(Xcsrsort)
BUFFER(Xcscsort)
BUFFER(Xcoosort)

CUSPARSE int cusparseCreateIdentityPermutation(SparseHandle *handle, int n, int *permutation) {
    return queue(handle, [=] { std::iota(permutation, permutation + n, 0); });
}

CUSPARSE int cusparseXcsrsort(SparseHandle *handle, int rows, int, int, const Description *description,
                              const int *offsets, int *indices, int *permutation, void *) {
    return sort_lines(handle, rows, description, offsets, indices, permutation);
}

CUSPARSE int cusparseXcscsort(SparseHandle *handle, int, int cols, int, const Description *description,
                              const int *offsets, int *indices, int *permutation, void *) {
    return sort_lines(handle, cols, description, offsets, indices, permutation);
}

CUSPARSE int cusparseXcoosortByRow(SparseHandle *handle, int, int, int nnz, int *rows, int *cols, int *permutation,
                                   void *) {
    return sort_pairs(handle, nnz, rows, cols, permutation);
}

CUSPARSE int cusparseXcoosortByColumn(SparseHandle *handle, int, int, int nnz, int *rows, int *cols, int *permutation,
                                      void *) {
    return sort_pairs(handle, nnz, cols, rows, permutation);
}

CUSPARSE int cusparseGather(SparseHandle *handle, const DenseVector *from, const SparseVector *to) {
    DenseVector y = *from;
    SparseVector x = *to;
    return with_type(x.type, [=](auto number) {
        using T = decltype(number);
        return queue(handle, [=] {
            for (int64_t i = 0; i < x.nnz; i++) ((T *)x.values)[i] = ((const T *)y.values)[x.indices[i] - x.base];
        });
    });
}
