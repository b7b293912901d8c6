// SPDX-License-Identifier: BSD-3-Clause
// When queued work runs: an order that CUDA allows.
#pragma once
#include <vector>

namespace emulator {

enum class Order {
    NOW,    // as it is queued
    LATE,   // only when something waits for it: the longest delay that CUDA allows
    MAIN,   // the default streams at once, others late
    DRAWN,  // some of it, from any stream, drawn from a seed
};

Order order();
unsigned draw(unsigned below);
// 0, 1, …, n - 1: in a drawn order if the order is drawn.
std::vector<int> drawn_order(int n);
void set_order(const char *text);

}  // namespace emulator
