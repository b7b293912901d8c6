// SPDX-License-Identifier: BSD-3-Clause
// Graphs that the user holds.
#pragma once
#include "streams.h"

namespace emulator {

Graph *new_graph(Graph graph);

}  // namespace emulator
