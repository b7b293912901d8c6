// SPDX-License-Identifier: BSD-3-Clause
// The functions of cupy.cuda.thrust, which CuPy compiles with Thrust: they replace those of the module.
#include <stddef.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "../../emulator.h"
#include "../types.h"

using namespace emulator;

namespace {

// An array as rows of its last axis.
struct Rows {
    explicit Rows(const std::vector<ptrdiff_t> &shape) : length(shape.back()) {
        for (size_t axis = 0; axis + 1 < shape.size(); axis++) count *= shape[axis];
    }
    ptrdiff_t count = 1, length;
};

template <class F>
void queue(intptr_t stream, F work) {
    if (enqueue((void *)stream, work)) throw std::runtime_error("Thrust: the work could not be queued");
}

// Sort indices, the equal ones in the order they have.
template <class T>
void sort_indices(size_t *index, size_t n, const T *keys) {
    std::stable_sort(index, index + n, [=](size_t i, size_t j) { return less(keys[i], keys[j]); });
}

}  // namespace

EMULATOR_API void thrust_sort(int type, void *data, size_t *, const std::vector<ptrdiff_t> &shape, intptr_t stream,
                              void *) {
    Rows rows(shape);
    queue(stream, [=] {
        by_type(type, [=](auto *typed) {
            auto *from = (decltype(typed))data;
            for (ptrdiff_t i = 0; i < rows.count; i++, from += rows.length)
                std::stable_sort(from, from + rows.length, [](auto &a, auto &b) { return less(a, b); });
        });
    });
}

EMULATOR_API void thrust_argsort(int type, size_t *index, void *data, void *, const std::vector<ptrdiff_t> &shape,
                                 intptr_t stream, void *) {
    Rows rows(shape);
    queue(stream, [=] {
        by_type(type, [=](auto *typed) {
            for (ptrdiff_t i = 0; i < rows.count; i++) {
                size_t *to = index + i * rows.length;
                std::iota(to, to + rows.length, 0);
                sort_indices(to, rows.length, (decltype(typed))data + i * rows.length);
            }
        });
    });
}

// The last key is the first that counts.
EMULATOR_API void thrust_lexsort(int type, size_t *index, void *keys, size_t count, size_t n, intptr_t stream, void *) {
    queue(stream, [=] {
        std::iota(index, index + n, 0);
        by_type(type, [=](auto *typed) {
            for (size_t key = 0; key < count; key++) sort_indices(index, n, (decltype(typed))keys + key * n);
        });
    });
}
