// SPDX-License-Identifier: BSD-3-Clause
// The lock of the runtime, and its counters.
#include <pthread.h>

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "memory.h"

extern "C" {
// How often the emulated GPUs were asked for what, by `Count`.
EMULATOR_API long emulator_counts[emulator::COUNTS] = {};
}

namespace emulator {

namespace {
std::mutex lock;
std::condition_variable_any others;
thread_local int depth = 0;
thread_local bool in_host_function = false;
bool forked = false;  // this process is a fork of one that has GPUs: it has none itself, as with CUDA
const int watches_forks = pthread_atfork(nullptr, nullptr, [] { forked = true; });
}  // namespace

Guard::Guard() {
    if (!depth++) lock.lock();
}
Guard::~Guard() {
    if (depth == 1) {
        open(0);
        lock.unlock();
    }
    depth--;
}

void count(Count what) { emulator_counts[what]++; }

void call_host_function(const Work &function) {
    open(0);
    int held = depth;
    depth = 0;
    in_host_function = true;
    lock.unlock();
    function();
    lock.lock();
    in_host_function = false;
    depth = held;
}

template <class Wait>
static void release(Wait wait) {
    open(0);
    int held = depth;
    depth = 0;
    wait();
    depth = held;
}
void wait_for_others() {
    release([] { others.wait(lock); });
}
void wait_a_moment() {
    release([] { others.wait_for(lock, std::chrono::milliseconds(1)); });
}
void notify_others() { others.notify_all(); }

CudaError refusal() {
    if (forked) return cudaErrorInitializationError;
    if (in_host_function) return cudaErrorNotPermitted;
    if (!device_count()) return cudaErrorNoDevice;
    if (current_device() >= device_count()) return cudaErrorInvalidDevice;
    return device(current_device()).broken;
}

}  // namespace emulator
