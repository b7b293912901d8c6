// SPDX-License-Identifier: BSD-3-Clause
// Calls that communicate: what each does on one rank when its stream's turn has come.
#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "communicator.h"

namespace emulator {

using Clock = std::chrono::steady_clock;

// A call of the user, with addresses at which the work finds the memory.
struct Request {
    Call call;
    const char *source;
    char *target;

    // How many numbers a rank sends and receives.
    size_t numbers_in(int ranks) const;
    size_t numbers_out(int ranks) const;
};

std::string described(const Call &call);

// Work in a stream, which is polled until it is done.
class Progress {
  public:
    Progress(std::shared_ptr<Communicator> own, const Request &request, uint64_t number)
        : own(std::move(own)), request(request), number(number) {}
    bool poll();

  private:
    bool poll_collective();
    bool poll_send();
    bool poll_receive();
    bool arrive();
    bool all_arrived();
    bool compare();
    void compute();
    void late();
    bool give_up();

    std::shared_ptr<Communicator> own;
    Request request;
    uint64_t number;  // of the collective call
    bool arrived = false;
    Clock::time_point begun{}, failed{};
};

}  // namespace emulator
