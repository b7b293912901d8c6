// SPDX-License-Identifier: BSD-3-Clause
// Atomic operations: one thread runs at a time, and none is interrupted.
#pragma once

#define EMULATOR_ATOMIC(name, T, value)  \
    inline T name(T *p, T x) {           \
        T old = *p;                      \
        *p = (T)(value);                 \
        return old;                      \
    }
#define EMULATOR_ATOMIC_INTEGERS(name, value)         \
    EMULATOR_ATOMIC(name, int, value)                 \
    EMULATOR_ATOMIC(name, unsigned, value)            \
    EMULATOR_ATOMIC(name, unsigned long long, value)
#define EMULATOR_ATOMIC_ALL_INTEGERS(name, value)     \
    EMULATOR_ATOMIC_INTEGERS(name, value)             \
    EMULATOR_ATOMIC(name, long long, value)

EMULATOR_ATOMIC_INTEGERS(atomicAdd, old + x)
EMULATOR_ATOMIC(atomicAdd, float, old + x)
EMULATOR_ATOMIC(atomicAdd, double, old + x)
EMULATOR_ATOMIC(atomicSub, int, old - x)
EMULATOR_ATOMIC(atomicSub, unsigned, old - x)
EMULATOR_ATOMIC_INTEGERS(atomicExch, x)
EMULATOR_ATOMIC(atomicExch, float, x)
EMULATOR_ATOMIC_ALL_INTEGERS(atomicMin, x < old ? x : old)
EMULATOR_ATOMIC_ALL_INTEGERS(atomicMax, old < x ? x : old)
EMULATOR_ATOMIC_ALL_INTEGERS(atomicAnd, old & x)
EMULATOR_ATOMIC_ALL_INTEGERS(atomicOr, old | x)
EMULATOR_ATOMIC_ALL_INTEGERS(atomicXor, old ^ x)
EMULATOR_ATOMIC(atomicInc, unsigned, old >= x ? 0 : old + 1)
EMULATOR_ATOMIC(atomicDec, unsigned, old == 0 || old > x ? x : old - 1)

#define EMULATOR_ATOMIC_CAS(T)                       \
    inline T atomicCAS(T *p, T expected, T x) {      \
        T old = *p;                                  \
        if (old == expected) *p = x;                 \
        return old;                                  \
    }
EMULATOR_ATOMIC_CAS(int)
EMULATOR_ATOMIC_CAS(unsigned)
EMULATOR_ATOMIC_CAS(unsigned short)
EMULATOR_ATOMIC_CAS(unsigned long long)
