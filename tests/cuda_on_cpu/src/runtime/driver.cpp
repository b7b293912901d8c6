// SPDX-License-Identifier: BSD-3-Clause
// The driver API: contexts, launches, and what is known of a kernel.
#include <string.h>

#include <algorithm>

#include "modules.h"
#include "streams.h"

namespace emulator {

namespace {
constexpr size_t FIRST_CONTEXT = 0x100;  // the handle of device 0's context
constexpr size_t ALIGNMENT = 64;         // of an argument, at most

void copy_arguments(Launch &launch, void **arguments, Devices visible) {
    const Kernel &kernel = *launch.kernel;
    size_t size = 0;
    for (int i = 0; i < kernel.count; i++) size += (kernel.sizes[i] + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    launch.memory.resize(size + ALIGNMENT);
    char *at = (char *)(((size_t)launch.memory.data() + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    for (int i = 0; i < kernel.count; i++) {
        memcpy(at, arguments[i], kernel.sizes[i]);
        place_for_work(at, kernel.sizes[i], visible);
        launch.arguments.push_back(at);
        at += (kernel.sizes[i] + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
}

int resident_blocks(const Function &function, int threads, size_t dynamic_shared) {
    if (threads <= 0 || threads > THREADS_PER_BLOCK || dynamic_shared > function.max_dynamic_shared) return 0;
    int rounded = (threads + 31) / 32 * 32;
    int by_threads = std::min(THREADS_PER_PROCESSOR / rounded, BLOCKS_PER_PROCESSOR);
    return dynamic_shared ? std::min(by_threads, (int)(SHARED_BYTES_PROCESSOR / (dynamic_shared + 1024))) : by_threads;
}

CudaError check(const Dim3 &grid, const Dim3 &block, const Function &function, size_t dynamic_shared) {
    if (!grid.x || !grid.y || !grid.z || !block.x || !block.y || !block.z) return cudaErrorInvalidValue;
    if (grid.x > 2147483647u || grid.y > 65535 || grid.z > 65535) return cudaErrorInvalidValue;
    if (block.x > 1024 || block.y > 1024 || block.z > 64 || block.x * block.y * block.z > (unsigned)THREADS_PER_BLOCK)
        return cudaErrorInvalidValue;
    return dynamic_shared > function.max_dynamic_shared ? cudaErrorInvalidValue : cudaSuccess;
}

CudaError launch(void *handle, Dim3 grid, Dim3 block, size_t dynamic_shared, void *stream_handle, void **arguments) {
    Function *function = function_of(handle);
    auto stream = stream_of(stream_handle);
    if (!function || !stream) return cudaErrorInvalidResourceHandle;
    Device *here = &device(current_device());
    if (stream->device != here || function->module->device != here) return cudaErrorInvalidResourceHandle;
    CudaError error = check(grid, block, *function, dynamic_shared);
    if (error) return error;
    count(LAUNCHES);
    auto launch = std::make_shared<Launch>(Launch{function->kernel, grid, block, dynamic_shared, {}, {}});
    copy_arguments(*launch, arguments, visible_from(*here));
    return enqueue(*stream, {function->kernel->name, here, visible_from(*here), [launch] { run_kernel(*launch); }});
}

template <class Body>
CudaError with_function(void *handle, Body body) {
    return driver_call([&] {
        Function *function = function_of(handle);
        return function ? body(*function) : cudaErrorInvalidResourceHandle;
    });
}
}  // namespace

}  // namespace emulator

using namespace emulator;

extern "C" {
EMULATOR_API CudaError cuInit(unsigned) { return device_count() ? cudaSuccess : cudaErrorNoDevice; }
// Of tables that NVIDIA does not document there is none: its own nvrtc, used beside ours, then goes without its cache.
EMULATOR_API CudaError cuGetExportTable(const void **out, const void *) {
    *out = nullptr;
    return cudaErrorNotSupported;
}
EMULATOR_API CudaError cuDriverGetVersion(int *out) {
    *out = EMULATED_VERSION;
    return cudaSuccess;
}

// Each device has one context, and it always exists.
EMULATOR_API CudaError cuCtxGetCurrent(void **out) {
    *out = (void *)(FIRST_CONTEXT + current_device());
    return cudaSuccess;
}
EMULATOR_API CudaError cuCtxSetCurrent(void *context) {
    size_t number = (size_t)context - FIRST_CONTEXT;
    if (number >= (size_t)device_count()) return cudaErrorInvalidValue;
    set_current_device((int)number);
    return cudaSuccess;
}
EMULATOR_API CudaError cuCtxGetDevice(int *out) {
    *out = current_device();
    return cudaSuccess;
}
EMULATOR_API CudaError cuStreamGetCtx(void *handle, void **out) {
    return driver_call([&] {
        auto stream = stream_of(handle);
        if (!stream) return cudaErrorInvalidResourceHandle;
        *out = (void *)(FIRST_CONTEXT + stream->device->number);
        return cudaSuccess;
    });
}

EMULATOR_API CudaError cuLaunchKernel(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                                      unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                                      void *stream, void **arguments, void **extra) {
    if (extra) return emulator_not_emulated("cuLaunchKernel with packed arguments");
    return driver_call([&] {
        return launch(function, {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared, stream, arguments);
    });
}
// As another launch: a kernel cannot wait for other blocks, for what it would wait by is not compiled.
EMULATOR_API CudaError cuLaunchCooperativeKernel(void *handle, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                                                 unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                                                 void *stream, void **arguments) {
    return with_function(handle, [&](Function &function) {
        int resident = PROCESSORS * resident_blocks(function, (int)(block_x * block_y * block_z), shared);
        if ((size_t)grid_x * grid_y * grid_z > (size_t)resident) return cudaErrorCooperativeLaunchTooLarge;
        return launch(handle, {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared, stream, arguments);
    });
}

// What a compiler of a GPU would know of the kernel is not known: static shared memory counts as 0, registers as 32.
EMULATOR_API CudaError cuFuncGetAttribute(int *out, int attribute, void *handle) {
    return with_function(handle, [&](Function &function) {
        if (attribute < 0 || attribute > FUNCTION_SHARED_CARVEOUT) return cudaErrorInvalidValue;
        const int values[] = {THREADS_PER_BLOCK, 0, 0, 0, 32, 80, 80, 0, (int)function.max_dynamic_shared, -1};
        *out = values[attribute];
        return cudaSuccess;
    });
}
EMULATOR_API CudaError cuFuncSetAttribute(void *handle, int attribute, int value) {
    return with_function(handle, [&](Function &function) {
        if (attribute == FUNCTION_SHARED_CARVEOUT) return cudaSuccess;  // a hint
        if (attribute != FUNCTION_MAX_DYNAMIC_SHARED_BYTES || value < 0 || (size_t)value > SHARED_BYTES_OPTIN)
            return cudaErrorInvalidValue;
        function.max_dynamic_shared = value;
        return cudaSuccess;
    });
}

EMULATOR_API CudaError cuOccupancyMaxActiveBlocksPerMultiprocessor(int *out, void *handle, int threads, size_t shared) {
    return with_function(handle, [&](Function &function) {
        *out = resident_blocks(function, threads, shared);
        return cudaSuccess;
    });
}
EMULATOR_API CudaError cuOccupancyMaxPotentialBlockSize(int *grid, int *block, void *handle, size_t (*shared_of)(int),
                                                        size_t shared, int limit) {
    return with_function(handle, [&](Function &function) {
        *block = limit > 0 ? std::min(limit, THREADS_PER_BLOCK) : THREADS_PER_BLOCK;
        *grid = PROCESSORS * resident_blocks(function, *block, shared_of ? shared_of(*block) : shared);
        return cudaSuccess;
    });
}
}
