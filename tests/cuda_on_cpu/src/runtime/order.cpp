// SPDX-License-Identifier: BSD-3-Clause
// The order in which queued work runs.
#include "order.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <numeric>
#include <utility>

namespace emulator {

namespace {
Order chosen = Order::NOW;
uint64_t state;
}  // namespace

Order order() { return chosen; }

unsigned draw(unsigned below) {  // a linear congruential generator: the same numbers on every machine
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33) % below;
}

std::vector<int> drawn_order(int n) {
    std::vector<int> numbers(n);
    std::iota(numbers.begin(), numbers.end(), 0);
    if (chosen == Order::DRAWN)
        for (int i = n - 1; i > 0; i--) std::swap(numbers[i], numbers[draw(i + 1)]);
    return numbers;
}

void set_order(const char *text) {
    chosen = !strcmp(text, "now")    ? Order::NOW
             : !strcmp(text, "late") ? Order::LATE
             : !strcmp(text, "main") ? Order::MAIN
                                     : Order::DRAWN;
    state = strtoull(text, nullptr, 10) * 2654435761u + 1;
}

}  // namespace emulator
