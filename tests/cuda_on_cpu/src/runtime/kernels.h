// SPDX-License-Identifier: BSD-3-Clause
// Kernels of loaded modules, and how they run.
#pragma once
#include <memory>
#include <vector>

#include "module.h"
#include "runtime.h"

namespace emulator {

struct LoadedModule {
    void *library;
    Module *module;
    Device *device;
    bool unloaded = false;
};

struct Function {
    const Kernel *kernel;
    std::shared_ptr<LoadedModule> module;
    size_t max_dynamic_shared = SHARED_BYTES;
};

struct Launch {
    const Kernel *kernel;
    Dim3 grid, block;
    size_t dynamic_shared;
    std::vector<char> memory;       // the arguments, copied
    std::vector<void *> arguments;  // where each is in it
};

// Runs all threads of a launch, one after the other.
void run_kernel(const Launch &launch);
// Runs the threads of one block, which may wait for each other.
void run_block(const Launch &launch, Dim3 index);
// Forgets the threads of a block that a fault has ended.
void abandon_block();
const Threads *thread_functions();
bool runs_every_thread();

// Ends the task that the calling thread runs: its device is broken by this error. Does not return.
[[noreturn]] void end_task(CudaError error, const char *why);

}  // namespace emulator
