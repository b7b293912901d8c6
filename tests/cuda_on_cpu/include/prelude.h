// SPDX-License-Identifier: BSD-3-Clause
// CUDA C++ for g++: what every kernel finds defined, as nvrtc has it built in. What is missing here is a compile error
// that names it.
#pragma once
#include "stddef.h"
//
#include "../src/module.h"
#include "atomics.h"
#include "bits.h"
#include "flush.h"
#include "functions.h"
#include "intrinsics.h"
#include "kernels.h"
#include "memory.h"
#include "minimum.h"
#include "output.h"
#include "qualifiers.h"
#include "threads.h"
#include "types.h"

#define asm inline_ptx_is_not_emulated
