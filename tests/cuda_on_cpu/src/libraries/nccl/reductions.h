// SPDX-License-Identifier: BSD-3-Clause
// Arrays of numbers of NCCL's types, and how they are reduced.
#pragma once
#include <stddef.h>

#include "../../declarations/nccl.h"

namespace emulator {

// The bytes of a number; 0 for a type that there is not.
size_t bytes_of(int type);
const char *name_of(int type);
bool is_reduction(int reduction);
// total = total ∘ next, for so many numbers.
void reduce(int type, int reduction, void *total, const void *next, size_t count);
// What is left to do when all ranks' numbers are reduced: the average of so many.
void finish(int type, int reduction, void *total, size_t count, int ranks);

}  // namespace emulator
