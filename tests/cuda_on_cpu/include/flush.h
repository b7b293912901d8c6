// SPDX-License-Identifier: BSD-3-Clause
// Flush to zero. The runtime sets it in the CPU (MXCSR) for modules that want it, and then float32 arithmetic flushes.
// These are for what no arithmetic instruction computes.
#pragma once

// x, or zero of its sign if x is subnormal and the module flushes.
inline float emulator_flushed(float x) {
    __asm__("vmulss %1, %0, %0" : "+x"(x) : "x"(1.0f));
    return x;
}
inline double emulator_flushed(double x) { return x; }

// x, rounded to its type, and not a part of a fused multiplication and addition.
template <class T>
inline T emulator_rounded(T x) {
    __asm__("" : "+x"(x));
    return x;
}
