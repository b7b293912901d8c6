// SPDX-License-Identifier: BSD-3-Clause
// Arithmetic with a rounding of its own, and conversions. Rounding up and down is not emulated.
#pragma once
#include "functions.h"

inline float __fadd_rn(float a, float b) { return emulator_rounded(a + b); }
inline float __fsub_rn(float a, float b) { return emulator_rounded(a - b); }
inline float __fmul_rn(float a, float b) { return emulator_rounded(a * b); }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __frcp_rn(float a) { return 1 / a; }
inline float __fsqrt_rn(float a) { return sqrtf(a); }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __dadd_rn(double a, double b) { return emulator_rounded(a + b); }
inline double __dsub_rn(double a, double b) { return emulator_rounded(a - b); }
inline double __dmul_rn(double a, double b) { return emulator_rounded(a * b); }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __drcp_rn(double a) { return 1 / a; }
inline double __dsqrt_rn(double a) { return sqrt(a); }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }

// Approximations on a GPU; here as exact as the functions.
inline float __fdividef(float a, float b) { return a / b; }
inline float __frsqrt_rn(float a) { return rsqrtf(a); }
#define __expf(x) expf(x)
#define __exp10f(x) exp10f(x)
#define __logf(x) logf(x)
#define __log2f(x) log2f(x)
#define __log10f(x) log10f(x)
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)
#define __tanf(x) tanf(x)
#define __powf(x, y) powf(x, y)
inline float __saturatef(float x) { return x > 1 ? 1 : x > 0 ? x : 0; }

inline int __float2int_rn(float x) { return (int)rintf(x); }
inline int __float2int_rz(float x) { return (int)x; }
inline int __float2int_rd(float x) { return (int)floorf(x); }
inline int __float2int_ru(float x) { return (int)ceilf(x); }
inline unsigned __float2uint_rn(float x) { return (unsigned)rintf(x); }
inline long long __float2ll_rn(float x) { return (long long)rintf(x); }
inline int __double2int_rn(double x) { return (int)rint(x); }
inline int __double2int_rz(double x) { return (int)x; }
inline long long __double2ll_rn(double x) { return (long long)rint(x); }
inline long long __double2ll_rz(double x) { return (long long)x; }
inline float __double2float_rn(double x) { return (float)x; }
inline float __int2float_rn(int x) { return (float)x; }
inline float __uint2float_rn(unsigned x) { return (float)x; }
inline float __ll2float_rn(long long x) { return (float)x; }
inline double __int2double_rn(int x) { return x; }
inline double __ll2double_rn(long long x) { return (double)x; }
