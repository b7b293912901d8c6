// SPDX-License-Identifier: BSD-3-Clause
// Streams that advance by themselves, as a GPU's do, for work that other threads and processes wait for.
#include <atomic>
#include <chrono>
#include <thread>

#include "streams.h"

namespace emulator {

void wait_until(const std::function<bool()> &done) {
    Guard guard;
    while (!done())
        if (!step_others()) wait_a_moment();
}

namespace {
// Ends with the process, before its variables do.
class Background {
  public:
    ~Background() {
        ended = true;
        if (thread.joinable()) thread.join();
    }
    void begin() {
        if (!thread.joinable()) thread = std::thread([this] { run(); });
    }

  private:
    void run() {
        while (!ended) {
            {
                Guard guard;
                while (!ended && step_others()) continue;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }
    std::atomic<bool> ended{false};
    std::thread thread;
} background;
}  // namespace

void advance_in_background() {
    Guard guard;
    background.begin();
}

}  // namespace emulator
