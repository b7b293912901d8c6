// SPDX-License-Identifier: BSD-3-Clause
// min, max, abs and their relatives, with a GPU's rules for NaN, zeros and subnormal numbers.
#pragma once
#include "flush.h"

// A NaN is ignored unless both are, and -0 is smaller than 0.
template <class T>
inline T emulator_smaller(T a, T b) {
    a = emulator_flushed(a);
    b = emulator_flushed(b);
    if (a == b) return __builtin_signbit(a) ? a : b;
    return b != b || a < b ? a : b;
}
template <class T>
inline T emulator_larger(T a, T b) {
    a = emulator_flushed(a);
    b = emulator_flushed(b);
    if (a == b) return __builtin_signbit(a) ? b : a;
    return b != b || a > b ? a : b;
}
inline float fminf(float a, float b) { return emulator_smaller(a, b); }
inline float fmaxf(float a, float b) { return emulator_larger(a, b); }
inline float fmin(float a, float b) { return emulator_smaller(a, b); }
inline float fmax(float a, float b) { return emulator_larger(a, b); }
inline double fmin(double a, double b) { return emulator_smaller(a, b); }
inline double fmax(double a, double b) { return emulator_larger(a, b); }

inline float min(float a, float b) { return emulator_smaller(a, b); }
inline float max(float a, float b) { return emulator_larger(a, b); }
inline double min(double a, double b) { return emulator_smaller(a, b); }
inline double max(double a, double b) { return emulator_larger(a, b); }
inline double min(float a, double b) { return emulator_smaller((double)a, b); }
inline double max(float a, double b) { return emulator_larger((double)a, b); }
inline double min(double a, float b) { return emulator_smaller(a, (double)b); }
inline double max(double a, float b) { return emulator_larger(a, (double)b); }

#define EMULATOR_INTEGERS(A, B, R)                                      \
    inline R min(A a, B b) { return (R)b < (R)a ? (R)b : (R)a; }        \
    inline R max(A a, B b) { return (R)a < (R)b ? (R)b : (R)a; }
#define EMULATOR_SIGNED(T)                           \
    EMULATOR_INTEGERS(T, T, T)                       \
    EMULATOR_INTEGERS(unsigned T, unsigned T, unsigned T) \
    EMULATOR_INTEGERS(T, unsigned T, unsigned T)     \
    EMULATOR_INTEGERS(unsigned T, T, unsigned T)
EMULATOR_SIGNED(int)
EMULATOR_SIGNED(long)
EMULATOR_SIGNED(long long)

inline float fabsf(float x) { return emulator_flushed(__builtin_fabsf(x)); }
inline float fabs(float x) { return fabsf(x); }
inline double fabs(double x) { return __builtin_fabs(x); }
inline float abs(float x) { return fabsf(x); }
inline double abs(double x) { return __builtin_fabs(x); }
inline int abs(int x) { return __builtin_abs(x); }
inline long abs(long x) { return __builtin_labs(x); }
inline long long abs(long long x) { return __builtin_llabs(x); }
inline long long llabs(long long x) { return __builtin_llabs(x); }
