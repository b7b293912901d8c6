// SPDX-License-Identifier: BSD-3-Clause
// What the emulated libraries (cuBLAS, cublasLt, cuSPARSE, NCCL, Thrust, CUB) ask of the runtime.
#pragma once
#include <stddef.h>

#include <functional>
#include <utility>

#define EMULATOR_API __attribute__((visibility("default")))

namespace emulator {

using Work = std::function<void()>;

// The runtime's part of `enqueue`: queue work; and turn the user's addresses among some bytes into those at which work
// finds the memory.
EMULATOR_API int enqueue_work(void *stream, Work work);
EMULATOR_API void place_for_work(void *bytes, size_t size);

// Queue work on a stream (0 is the default stream), or record it as a node of the graph that the stream captures.
// Returns 0, or the cudaError_t that CUDA would return. The GPU's memory is accessible inside of `work` only. Pass a
// lambda that holds its pointers by value: a pointer that it reads elsewhere works too, but slowly.
template <class F>
int enqueue(void *stream, F work) {
    place_for_work(&work, sizeof work);
    return enqueue_work(stream, std::move(work));
}

// Queue work that may have to wait for another thread or process, as communication has: when its stream's turn comes,
// `poll` is called again and again, does what it can, and returns whether it is done. It finds memory by what
// `place_for_work` has made of its addresses. Not for a graph.
EMULATOR_API int enqueue_polled(void *stream, std::function<bool()> poll);

// Wait until this is so, while streams advance.
EMULATOR_API void wait_until(const std::function<bool()> &done);

// From now on streams advance also while this process calls nothing: work of another process waits for ours.
EMULATOR_API void advance_in_background();

// Wait for all that is queued on a stream, as a library does that returns a result to the host. Returns a cudaError_t.
EMULATOR_API int wait(void *stream);

// Say on stderr that something is not emulated, and keep the text for the message of the error that follows.
EMULATOR_API void not_emulated(const char *what);

}  // namespace emulator
