// SPDX-License-Identifier: BSD-3-Clause
// Reductions of a whole array and of rows of the same length.
#include "queue.h"

using namespace emulator;

namespace {

enum { SUM = 0, MIN = 1, MAX = 2, ARGMIN = 3, ARGMAX = 4, PROD = 7 };

template <class T>
struct Found {
    int index;
    T value;
};

// In halves, as many threads do, so the rounding errors grow with the logarithm of n.
template <class T>
Sum<T> add(const T *x, size_t n) {
    if (n > 64) return (Sum<T>)(add(x, n / 2) + add(x + n / 2, n - n / 2));
    Sum<T> sum(0);
    for (size_t i = 0; i < n; i++) sum = (Sum<T>)(sum + (Sum<T>)x[i]);
    return sum;
}

template <class T>
T multiply(const T *x, size_t n) {
    Sum<T> product(1);
    for (size_t i = 0; i < n; i++) product = (Sum<T>)times<Sum<T>>(product, (Sum<T>)x[i]);
    return (T)product;
}

// The first of the extreme numbers; NaN is more extreme than any.
template <class T>
size_t extreme(const T *x, size_t n, bool least) {
    size_t best = 0;
    for (size_t i = 1; i < n && !is_nan(x[best]); i++)
        if (is_nan(x[i]) || (least ? less(x[i], x[best]) : less(x[best], x[i]))) best = i;
    return best;
}

template <class T>
void reduce(int op, const T *x, size_t n, void *results, size_t at) {
    T &result = ((T *)results)[at];
    switch (op) {
        case SUM: result = (T)add(x, n); break;
        case PROD: result = multiply(x, n); break;
        case MIN:
        case MAX: result = x[extreme(x, n, op == MIN)]; break;
        case ARGMIN:
        case ARGMAX: {
            size_t i = extreme(x, n, op == ARGMIN);
            ((Found<T> *)results)[at] = {(int)i, x[i]};
        }
    }
}

void check(int op, bool of_rows) {
    bool known = op == SUM || op == MIN || op == MAX || op == PROD || (!of_rows && (op == ARGMIN || op == ARGMAX));
    if (!known) throw std::runtime_error("Unsupported operation");
}

}  // namespace

EMULATOR_API void cub_device_reduce(void *, size_t &, void *x, void *y, int n, CUstream_st *stream, int op, int type) {
    check(op, false);
    queue(stream, [=] { by_type(type, [=](auto *typed) { reduce(op, (decltype(typed))x, n, y, 0); }); });
}

EMULATOR_API void cub_device_segmented_reduce(void *, size_t &, void *x, void *y, int rows, int length,
                                              CUstream_st *stream, int op, int type) {
    check(op, true);
    queue(stream, [=] {
        by_type(type, [=](auto *typed) {
            for (int i = 0; i < rows; i++) reduce(op, (decltype(typed))x + (size_t)i * length, length, y, i);
        });
    });
}

EMULATOR_API size_t cub_device_reduce_get_workspace_size(void *, void *, int, CUstream_st *, int, int) {
    return WORKSPACE_BYTES;
}

EMULATOR_API size_t cub_device_segmented_reduce_get_workspace_size(void *, void *, int, int, CUstream_st *, int, int) {
    return WORKSPACE_BYTES;
}
