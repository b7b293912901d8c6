// SPDX-License-Identifier: BSD-3-Clause
// One rank's view of its communicator.
#pragma once
#include <chrono>
#include <memory>

#include "../../emulator.h"
#include "clique.h"

#define NCCL extern "C" EMULATOR_API

extern "C" int cudaSetDevice(int number);
extern "C" int cudaGetDevice(int *number);
extern "C" int cudaGetDeviceCount(int *count);

namespace emulator {

// Waiting ends with an error after this time: what NVIDIA's library waits for then never comes.
constexpr std::chrono::seconds PATIENCE(120), PATIENCE_AFTER_ERROR(10);

struct Communicator {
    std::shared_ptr<Clique> clique;
    int rank, ranks, device;
    uint64_t issued = 0;  // collective calls
    std::atomic<int> unfinished{0};  // calls of any kind
    Shared &shared() const { return *clique->shared; }
    Member &self() const { return shared().members[rank]; }
    State state() const { return (State)self().state.load(); }
};

// The communicator of a handle of the user; null if it has been destroyed or aborted, or never was one.
std::shared_ptr<Communicator> communicator_of(void *handle);

// Another device is the calling thread's current one as long as this lives.
class OnDevice {
  public:
    explicit OnDevice(int number) {
        cudaGetDevice(&before);
        cudaSetDevice(number);
    }
    ~OnDevice() { cudaSetDevice(before); }

  private:
    int before = 0;
};

// Groups of calls, for each thread.
bool in_group();
// Runs at the end of the group, or now without one.
ncclResult_t at_end_of_group(std::function<ncclResult_t()> work);
// Forgets the calls of a group that has not begun.
void forget_calls();
// Remembers a call's error for the end of the group, and returns it.
ncclResult_t remembered(ncclResult_t error);

}  // namespace emulator
