// SPDX-License-Identifier: BSD-3-Clause
// printf and assert in kernels.
#pragma once
#include "threads.h"

extern "C" int fflush(void *);
template <class... A>
inline int printf(const char *format, A... arguments) {
    int length = __builtin_printf(format, arguments...);
    fflush(nullptr);
    return length;
}

#define EMULATOR_TEXT(x) #x
#define EMULATOR_TEXT_OF(x) EMULATOR_TEXT(x)
#ifdef NDEBUG
#define assert(condition) ((void)0)
#else
#define assert(condition) \
    ((condition) ? (void)0 : emulator_threads().trap("assert(" #condition ") in line " EMULATOR_TEXT_OF(__LINE__)))
#endif
