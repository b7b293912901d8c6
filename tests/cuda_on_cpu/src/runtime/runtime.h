// SPDX-License-Identifier: BSD-3-Clause
// The lock, errors, counters and devices of the emulated runtime.
#pragma once
#include <map>
#include <memory>
#include <set>

#include "declarations/runtime.h"
#include "emulator.h"

namespace emulator {

// Holds the lock that all functions of the runtime share. A thread may hold several: the first takes the lock, and the
// last gives it back and takes away the access to the devices' memory.
class Guard {
  public:
    Guard();
    ~Guard();
    Guard(const Guard &) = delete;
};

// Runs a host function of the user. Others may take the lock meanwhile; the function itself may not call CUDA.
void call_host_function(const Work &function);
// Gives the lock to other threads until one of them calls `notify_others`, or for about a millisecond.
void wait_for_others();
void wait_a_moment();
void notify_others();

enum Count {
    LAUNCHES,
    COPIES_FROM_HOST,
    COPIES_TO_HOST,
    COPIES_ON_DEVICE,
    WAITS,
    ALLOCATIONS,
    LIBRARY_CALLS,
    GRAPH_LAUNCHES,
    HOST_CALLBACKS,
    COUNTS
};
void count(Count what);

struct Stream;
struct Device {
    int number = 0;
    CudaError broken = cudaSuccess;  // what ended a kernel on it: every later call returns it
    std::set<int> peers;             // whose memory its kernels may use
    std::shared_ptr<Stream> default_stream;
    size_t used = 0;  // bytes allocated
    std::map<int, size_t> limits;
};

constexpr int MAX_DEVICES = 8;
constexpr size_t SHARED_BYTES = 48 << 10, SHARED_BYTES_OPTIN = 163 << 10, SHARED_BYTES_PROCESSOR = 164 << 10;
constexpr int PROCESSORS = 4, THREADS_PER_BLOCK = 1024, THREADS_PER_PROCESSOR = 2048, BLOCKS_PER_PROCESSOR = 32;

int device_count();
int current_device();
void set_current_device(int number);
Device &device(int number);
size_t total_memory();

// Why the calling thread may call nothing now: it runs a host function, there is no GPU, or its GPU is broken.
CudaError refusal();
// Remembers an error for cudaGetLastError, and returns it.
CudaError fail(CudaError error);
// Why a call that may wait for all streams, or may use the default stream, is not allowed while streams are captured.
CudaError refused_by_capture();

template <class Body>
CudaError driver_call(Body body) {
    Guard guard;
    CudaError error = refusal();
    return error ? error : body();
}
template <class Body>
CudaError call(Body body) {
    return fail(driver_call(body));
}
template <class Body>
CudaError call_outside_capture(Body body) {
    return call([&] {
        CudaError error = refused_by_capture();
        return error ? error : body();
    });
}

}  // namespace emulator

extern "C" CudaError emulator_not_emulated(const char *name);
