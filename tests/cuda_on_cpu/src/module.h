// SPDX-License-Identifier: BSD-3-Clause
// What a compiled module of kernels and the runtime that launches it know of each other.
#pragma once
#include <stddef.h>

namespace emulator {

struct Dim3 {
    unsigned x, y, z;
};

// What the threads of a block ask of the runtime.
struct Threads {
    void (*barrier_block)();               // __syncthreads
    void (*barrier_warp)(unsigned mask);   // __syncwarp: the lanes in mask wait for each other
    unsigned long long *(*slots)();        // 32 numbers that the lanes of the running thread's warp share
    int (*lane)();                         // of the running thread, 0 to 31
    void (*trap)(const char *why);         // end the kernel with an error; does not return
};

// One for each module, exported as `emulator_module`. The runtime fills in `threads` when it loads the module, and
// the other variables before it runs a thread.
struct Module {
    Dim3 *thread, *block, *block_dim, *grid_dim;
    void **dynamic_shared;
    char *shared, *shared_end;             // the __shared__ variables of a known size
    int flush;                             // compiled with -ftz=true: subnormal float32 are zero
    const Threads *threads;
};

// One for each __global__ function, exported as `emulator_kernel_<symbol>`.
struct Kernel {
    const char *name;
    void (*thread)(void **arguments);      // runs the kernel as one thread
    int count;                             // of the arguments
    const size_t *sizes;                   // of the arguments, in bytes
    int alone;                             // 1: one thread computes what all do; 2: no thread needs another; 0: neither
    Module *module;
};

}  // namespace emulator
