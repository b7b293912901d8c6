// SPDX-License-Identifier: BSD-3-Clause
// Mathematical functions: the host's, which may differ from a GPU's in the last bits. Those of float32 take subnormal
// numbers for zero, and return zero for them, where the module flushes.
#pragma once
#include "flush.h"

#define EMULATOR_FUNCTION(name)                                                                       \
    inline float name##f(float x) { return emulator_flushed(__builtin_##name##f(emulator_flushed(x))); } \
    inline float name(float x) { return name##f(x); }                                                    \
    inline double name(double x) { return __builtin_##name(x); }
EMULATOR_FUNCTION(acos)
EMULATOR_FUNCTION(acosh)
EMULATOR_FUNCTION(asin)
EMULATOR_FUNCTION(asinh)
EMULATOR_FUNCTION(atan)
EMULATOR_FUNCTION(atanh)
EMULATOR_FUNCTION(cbrt)
EMULATOR_FUNCTION(ceil)
EMULATOR_FUNCTION(cos)
EMULATOR_FUNCTION(cosh)
EMULATOR_FUNCTION(erf)
EMULATOR_FUNCTION(erfc)
EMULATOR_FUNCTION(exp)
EMULATOR_FUNCTION(exp10)
EMULATOR_FUNCTION(exp2)
EMULATOR_FUNCTION(expm1)
EMULATOR_FUNCTION(floor)
EMULATOR_FUNCTION(j0)
EMULATOR_FUNCTION(j1)
EMULATOR_FUNCTION(lgamma)
EMULATOR_FUNCTION(log)
EMULATOR_FUNCTION(log10)
EMULATOR_FUNCTION(log1p)
EMULATOR_FUNCTION(log2)
EMULATOR_FUNCTION(logb)
EMULATOR_FUNCTION(nearbyint)
EMULATOR_FUNCTION(rint)
EMULATOR_FUNCTION(round)
EMULATOR_FUNCTION(sin)
EMULATOR_FUNCTION(sinh)
EMULATOR_FUNCTION(sqrt)
EMULATOR_FUNCTION(tan)
EMULATOR_FUNCTION(tanh)
EMULATOR_FUNCTION(tgamma)
EMULATOR_FUNCTION(trunc)
EMULATOR_FUNCTION(y0)
EMULATOR_FUNCTION(y1)

#define EMULATOR_FUNCTION_OF_TWO(name)                                                             \
    inline float name##f(float x, float y) {                                                       \
        return emulator_flushed(__builtin_##name##f(emulator_flushed(x), emulator_flushed(y)));    \
    }                                                                                           \
    inline float name(float x, float y) { return name##f(x, y); }                                     \
    inline double name(double x, double y) { return __builtin_##name(x, y); }                         \
    inline double name(float x, double y) { return __builtin_##name(x, y); }                          \
    inline double name(double x, float y) { return __builtin_##name(x, y); }
EMULATOR_FUNCTION_OF_TWO(atan2)
EMULATOR_FUNCTION_OF_TWO(fdim)
EMULATOR_FUNCTION_OF_TWO(fmod)
EMULATOR_FUNCTION_OF_TWO(hypot)
EMULATOR_FUNCTION_OF_TWO(nextafter)
EMULATOR_FUNCTION_OF_TWO(pow)
EMULATOR_FUNCTION_OF_TWO(remainder)

// Integers and bits; nothing of these flushes.
#define EMULATOR_PARTS(T, suffix)                                                         \
    inline T copysign(T x, T y) { return __builtin_copysign##suffix(x, y); }              \
    inline T frexp(T x, int *exponent) { return __builtin_frexp##suffix(x, exponent); }   \
    inline T ldexp(T x, int exponent) { return __builtin_ldexp##suffix(x, exponent); }    \
    inline T scalbn(T x, int exponent) { return __builtin_scalbn##suffix(x, exponent); }  \
    inline T modf(T x, T *whole) { return __builtin_modf##suffix(x, whole); }             \
    inline T fma(T x, T y, T z) { return __builtin_fma##suffix(x, y, z); }                \
    inline T pow(T x, int y) { return pow(x, (T)y); }                                \
    inline int ilogb(T x) { return __builtin_ilogb##suffix(x); }                          \
    inline long lrint(T x) { return __builtin_lrint##suffix(x); }                         \
    inline long lround(T x) { return __builtin_lround##suffix(x); }                       \
    inline long long llrint(T x) { return __builtin_llrint##suffix(x); }                  \
    inline long long llround(T x) { return __builtin_llround##suffix(x); }                \
    inline void sincos(T x, T *s, T *c) { *s = sin(x), *c = cos(x); }                \
    inline bool isnan(T x) { return __builtin_isnan(x); }                            \
    inline bool isinf(T x) { return __builtin_isinf(x); }                            \
    inline bool isfinite(T x) { return __builtin_isfinite(x); }                      \
    inline bool isnormal(T x) { return __builtin_isnormal(x); }                      \
    inline bool signbit(T x) { return __builtin_signbit(x); }
EMULATOR_PARTS(float, f)
EMULATOR_PARTS(double, )
inline float copysignf(float x, float y) { return copysign(x, y); }
inline float frexpf(float x, int *exponent) { return frexp(x, exponent); }
inline float ldexpf(float x, int exponent) { return ldexp(x, exponent); }
inline float scalbnf(float x, int exponent) { return scalbn(x, exponent); }
inline float modff(float x, float *whole) { return modf(x, whole); }
inline float fmaf(float x, float y, float z) { return fma(x, y, z); }
inline void sincosf(float x, float *s, float *c) { sincos(x, s, c); }

inline double nan(const char *) { return __builtin_nan(""); }
inline float nanf(const char *) { return __builtin_nanf(""); }

// What a GPU has and the host has not: float32 by way of float64.
inline double rsqrt(double x) { return 1 / sqrt(x); }
inline double rcbrt(double x) { return 1 / cbrt(x); }
inline double normcdf(double x) { return 0.5 * erfc(-x * 0.70710678118654752440); }
inline double erfcx(double x) { return x < 25 ? exp(x * x) * erfc(x) : 0.56418958354775628695 / x * (1 - 0.5 / (x * x)); }
inline double sinpi(double x) { return sin(3.14159265358979323846 * fmod(x, 2.0)); }
inline double cospi(double x) { return cos(3.14159265358979323846 * fmod(x, 2.0)); }
#define EMULATOR_BY_DOUBLE(name)                                  \
    inline float name##f(float x) { return (float)name((double)x); } \
    inline float name(float x) { return name##f(x); }
EMULATOR_BY_DOUBLE(rsqrt)
EMULATOR_BY_DOUBLE(rcbrt)
EMULATOR_BY_DOUBLE(normcdf)
EMULATOR_BY_DOUBLE(erfcx)
EMULATOR_BY_DOUBLE(sinpi)
EMULATOR_BY_DOUBLE(cospi)
