// SPDX-License-Identifier: BSD-3-Clause
// Counts of numbers between edges; the upper edge of a bin belongs to the next.
#include "queue.h"

using namespace emulator;

namespace {

// Call f with the bin of each number that lies in one.
template <class T, class Find>
void count(const T *x, size_t n, long long *counts, int bins, Find find) {
    std::fill(counts, counts + bins, 0);
    for (size_t i = 0; i < n; i++) {
        int64_t bin = find(x[i]);
        if (bin >= 0 && bin < bins) counts[bin]++;
    }
}

}  // namespace

// The edges are of the numbers' type, or double for integers.
EMULATOR_API void cub_device_histogram_range(void *, size_t &, void *x, void *y, int levels, void *edges, size_t n,
                                             CUstream_st *stream, int type) {
    queue(stream, [=] {
        by_type(type, [=](auto *typed) {
            using T = std::remove_pointer_t<decltype(typed)>;
            if constexpr (!is_complex<T>) {
                using Edge = std::conditional_t<std::is_integral<T>::value, double, T>;
                const Edge *first = (const Edge *)edges;
                count((const T *)x, n, (long long *)y, levels - 1, [=](T value) {
                    return std::upper_bound(first, first + levels, (Edge)value, less<Edge>) - first - 1;
                });
            }
        });
    });
}

EMULATOR_API void cub_device_histogram_even(void *, size_t &, void *x, void *y, int levels, int lower, int upper,
                                            size_t n, CUstream_st *stream, int type) {
    queue(stream, [=] {
        by_type(type, [=](auto *typed) {
            using T = std::remove_pointer_t<decltype(typed)>;
            if constexpr (std::is_integral<T>::value) {
                count((const T *)x, n, (long long *)y, levels - 1, [=](T value) -> int64_t {
                    if ((int64_t)value < lower || (int64_t)value >= upper) return -1;
                    return ((int64_t)value - lower) * (levels - 1) / ((int64_t)upper - lower);
                });
            }
        });
    });
}

EMULATOR_API size_t cub_device_histogram_range_get_workspace_size(void *, void *, int, void *, size_t, CUstream_st *,
                                                                  int) {
    return WORKSPACE_BYTES;
}

EMULATOR_API size_t cub_device_histogram_even_get_workspace_size(void *, void *, int, int, int, size_t, CUstream_st *,
                                                                 int) {
    return WORKSPACE_BYTES;
}
