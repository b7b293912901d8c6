// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include "kernels.h"

namespace emulator {

// The kernel of a handle of the user; null if there is none, or if its module is unloaded.
Function *function_of(void *handle);

}  // namespace emulator
