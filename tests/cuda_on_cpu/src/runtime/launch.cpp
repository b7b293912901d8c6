// SPDX-License-Identifier: BSD-3-Clause
// Running the blocks of a launch.
#include <string.h>
#include <xmmintrin.h>

#include "kernels.h"
#include "order.h"

namespace emulator {

namespace {
constexpr unsigned FLUSH = 0x8040;  // MXCSR: subnormal results and operands are zero
constexpr int FEW_THREADS = 7;
bool every_thread = false;

void run_threads_alone(const Launch &launch, unsigned n) {
    Module &module = *launch.kernel->module;
    *module.grid_dim = {1, 1, 1};
    *module.block_dim = {n, 1, 1};
    *module.block = {0, 0, 0};
    for (int i : drawn_order((int)n)) {
        *module.thread = {(unsigned)i, 0, 0};
        launch.kernel->thread(const_cast<void **>(launch.arguments.data()));
    }
}

void run_blocks(const Launch &launch) {
    Module &module = *launch.kernel->module;
    const Dim3 &grid = launch.grid;
    *module.grid_dim = grid;
    *module.block_dim = launch.block;
    std::vector<char> shared(launch.dynamic_shared + 16);
    *module.dynamic_shared = (void *)(((size_t)shared.data() + 15) / 16 * 16);
    for (int i : drawn_order((int)(grid.x * grid.y * grid.z))) {
        memset(shared.data(), 0xff, shared.size());
        memset(module.shared, 0xff, module.shared_end - module.shared);
        run_block(launch, {i % grid.x, i / grid.x % grid.y, i / grid.x / grid.y});
    }
}
}  // namespace

void run_kernel(const Launch &launch) {
    unsigned floating_point = _mm_getcsr();
    if (launch.kernel->module->flush) _mm_setcsr(floating_point | FLUSH);
    // A kernel that only loops over its elements computes the same with any number of threads.
    const Dim3 &grid = launch.grid, &block = launch.block;
    if (every_thread || !launch.kernel->alone)
        run_blocks(launch);
    else if (launch.kernel->alone == 1)
        run_threads_alone(launch, order() == Order::DRAWN ? FEW_THREADS : 1);
    else
        run_threads_alone(launch, grid.x * grid.y * grid.z * block.x * block.y * block.z);
    _mm_setcsr(floating_point);
}

}  // namespace emulator

extern "C" {
// Whether every thread runs also where one could do the work of all.
EMULATOR_API void emulator_set_exact(int wanted) {
    emulator::Guard guard;
    emulator::every_thread = wanted;
}
}
