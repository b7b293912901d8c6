// SPDX-License-Identifier: BSD-3-Clause
// What CUDA C++ writes before declarations. Only functions that kernels call are kept (g++ -fwhole-program).
#pragma once
#define __CUDACC__
#define __CUDACC_RTC__
#define __CUDACC_VER_MAJOR__ 12
#define __CUDACC_VER_MINOR__ 9
#define __CUDA_ARCH__ 800

#define EMULATOR_EXPORT __attribute__((visibility("default"), externally_visible, used))

#define __host__
#define __device__
#define __global__
#define __constant__ EMULATOR_EXPORT
#define __managed__ EMULATOR_EXPORT
#define __shared__ static __attribute__((section("emulator_shared")))  // blocks run one after the other
#define __grid_constant__
#define __launch_bounds__(...)
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __align__(n) __attribute__((aligned(n)))
#define __builtin_align__(n) __align__(n)
