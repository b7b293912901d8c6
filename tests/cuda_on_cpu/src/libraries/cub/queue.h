// SPDX-License-Identifier: BSD-3-Clause
// What the functions of cupy.cuda.cub share. CuPy compiles them with CUB; these replace those of the module.
#pragma once
#include <stddef.h>

#include <algorithm>

#include "../../emulator.h"
#include "../types.h"

struct CUstream_st;  // its name is part of the functions' symbols

namespace emulator {

constexpr size_t WORKSPACE_BYTES = 1;  // CuPy allocates it; it is not used

template <class F>
void queue(CUstream_st *stream, F work) {
    if (enqueue(stream, work)) throw std::runtime_error("CUB: the work could not be queued");
}

// In which type CuPy's kernels add, so that half does not stop growing at 2048.
template <class T>
using Sum = std::conditional_t<std::is_same<T, Half>::value, float, T>;

}  // namespace emulator
