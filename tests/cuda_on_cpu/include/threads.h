// SPDX-License-Identifier: BSD-3-Clause
// The threads of a block: who they are, and how they wait for each other and exchange numbers.
#pragma once
#include "../src/module.h"
#include "types.h"

static uint3 emulator_thread, emulator_block;
static dim3 emulator_block_dim, emulator_grid_dim;
#define threadIdx emulator_thread
#define blockIdx emulator_block
#define blockDim emulator_block_dim
#define gridDim emulator_grid_dim
static const int warpSize = 32;

extern "C" emulator::Module emulator_module;
inline const emulator::Threads &emulator_threads() { return *emulator_module.threads; }

inline void __syncthreads() { emulator_threads().barrier_block(); }
inline void __syncwarp(unsigned mask = ~0u) { emulator_threads().barrier_warp(mask); }
[[noreturn]] inline void __trap() {
    emulator_threads().trap("__trap");
    __builtin_unreachable();
}
inline long long clock64() { return (long long)__builtin_ia32_rdtsc(); }
inline int clock() { return (int)clock64(); }

// Each lane of `mask` hands in a number, and gets what `read` makes of all.
template <class T, class Read>
inline auto emulator_exchange(unsigned mask, T value, Read read) {
    static_assert(sizeof(T) <= sizeof(unsigned long long), "lanes exchange numbers of at most 8 bytes");
    unsigned long long *slots = emulator_threads().slots();
    __builtin_memcpy(&slots[emulator_threads().lane()], &value, sizeof value);
    __syncwarp(mask);
    auto result = read(slots);
    __syncwarp(mask);
    return result;
}
template <class T>
inline T emulator_shuffle(unsigned mask, T value, int from) {
    return emulator_exchange(mask, value, [=](const unsigned long long *slots) {
        T result;
        __builtin_memcpy(&result, &slots[from & 31], sizeof result);
        return result;
    });
}
// Lanes are in groups of `width`; a lane outside of the own group is not read.
template <class T>
inline T __shfl_sync(unsigned mask, T value, int from, int width = 32) {
    int lane = emulator_threads().lane();
    return emulator_shuffle(mask, value, (lane & -width) | (from & (width - 1)));
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32) {
    int lane = emulator_threads().lane(), from = lane - (int)by;
    return emulator_shuffle(mask, value, from < (lane & -width) ? lane : from);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32) {
    int lane = emulator_threads().lane(), from = lane + (int)by;
    return emulator_shuffle(mask, value, from > (lane | (width - 1)) ? lane : from);
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32) {
    int lane = emulator_threads().lane(), from = lane ^ bits;
    return emulator_shuffle(mask, value, from > (lane | (width - 1)) ? lane : from);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
    return emulator_exchange(mask, (unsigned long long)(predicate != 0), [=](const unsigned long long *slots) {
        unsigned votes = 0;
        for (int i = 0; i < 32; i++) votes |= (unsigned)(mask >> i & slots[i] & 1) << i;
        return votes;
    });
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) == mask; }
