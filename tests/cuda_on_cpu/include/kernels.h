// SPDX-License-Identifier: BSD-3-Clause
// How the runtime finds kernels and calls them.
#pragma once
#include "threads.h"

static void *emulator_dynamic_shared;
// The linker's names for the bounds of the __shared__ variables; zero if there are none.
extern "C" __attribute__((weak, visibility("hidden"))) char __start_emulator_shared, __stop_emulator_shared;

template <class T> struct emulator_plain { typedef T type; };
template <class T> struct emulator_plain<T &> { typedef T type; };

template <size_t... I> struct emulator_indices {};
template <auto function> struct emulator_call;
template <class... A, void (*function)(A...)>
struct emulator_call<function> {
    template <size_t... I>
    static void call(void **arguments, emulator_indices<I...>) {
        function(*(typename emulator_plain<A>::type *)arguments[I]...);
    }
    static void thread(void **arguments) { call(arguments, emulator_indices<__integer_pack(sizeof...(A))...>()); }
    static constexpr int count = sizeof...(A);
    static constexpr size_t sizes[sizeof...(A) + 1] = {sizeof(A)...};
};

#define EMULATOR_MODULE(flush)                                                                        \
    extern "C" EMULATOR_EXPORT emulator::Module emulator_module = {                                   \
        (emulator::Dim3 *)&emulator_thread,    (emulator::Dim3 *)&emulator_block,                     \
        (emulator::Dim3 *)&emulator_block_dim, (emulator::Dim3 *)&emulator_grid_dim,                  \
        &emulator_dynamic_shared, &__start_emulator_shared, &__stop_emulator_shared, flush, nullptr};
#define EMULATOR_KERNEL(symbol, alone, ...)                                                    \
    extern "C" EMULATOR_EXPORT const emulator::Kernel emulator_kernel_##symbol = {                    \
        #symbol, emulator_call<__VA_ARGS__>::thread, emulator_call<__VA_ARGS__>::count,               \
        emulator_call<__VA_ARGS__>::sizes, alone, &emulator_module};
