// SPDX-License-Identifier: BSD-3-Clause
// Sums and products of all numbers up to each.
#include "queue.h"

using namespace emulator;

namespace {

enum { CUMSUM = 5, CUMPROD = 6 };

}  // namespace

EMULATOR_API void cub_device_scan(void *, size_t &, void *x, void *y, int n, CUstream_st *stream, int op, int type) {
    if (op != CUMSUM && op != CUMPROD) throw std::runtime_error("Unsupported operation");
    queue(stream, [=] {
        by_type(type, [=](auto *typed) {
            using T = std::remove_pointer_t<decltype(typed)>;
            Sum<T> total(op == CUMPROD);
            for (int i = 0; i < n; i++) {
                Sum<T> next = (Sum<T>)((T *)x)[i];
                total = op == CUMPROD ? (Sum<T>)times<Sum<T>>(total, next) : (Sum<T>)(total + next);
                ((T *)y)[i] = (T)total;
            }
        });
    });
}

EMULATOR_API size_t cub_device_scan_get_workspace_size(void *, void *, int, CUstream_st *, int, int) {
    return WORKSPACE_BYTES;
}
