// SPDX-License-Identifier: BSD-3-Clause
// The threads of a block: each has a stack, one runs at a time, and it runs until it waits for others.
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <algorithm>

#include "kernels.h"
#include "order.h"

// Saves where the caller is in *save, and goes on where `load` was saved.
extern "C" void emulator_switch(void **save, void *load);
__asm__(R"(
.text
.globl emulator_switch
.hidden emulator_switch
.type emulator_switch,@function
emulator_switch:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret
.size emulator_switch,.-emulator_switch
)");

namespace emulator {

namespace {
constexpr size_t STACK = 128 << 10, GUARD_PAGE = 4096;
constexpr int SAVED_REGISTERS = 6, WARP = 32;

enum State { READY, AT_BLOCK_BARRIER, AT_WARP_BARRIER, DONE };
struct Fiber {
    void *stack_pointer;
    char *stack = nullptr;
    State state = DONE;
    unsigned mask;  // the lanes for which it waits
    Dim3 index;
    int number;
};

std::vector<char *> spare_stacks;
std::vector<Fiber> fibers;  // of the block that runs
Fiber *running = nullptr;
void *scheduler;
const Launch *launch_running;
unsigned long long lane_slots[THREADS_PER_BLOCK / WARP][WARP];

char *take_stack() {
    if (spare_stacks.empty()) {
        void *p = mmap(nullptr, STACK + GUARD_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                       -1, 0);
        if (p == MAP_FAILED) end_task(cudaErrorMemoryAllocation, "no memory for the stack of a thread");
        mprotect(p, GUARD_PAGE, PROT_NONE);
        return (char *)p;
    }
    char *stack = spare_stacks.back();
    spare_stacks.pop_back();
    return stack;
}

void run_thread() {  // where a fiber begins
    launch_running->kernel->thread(const_cast<void **>(launch_running->arguments.data()));
    running->state = DONE;
    void *nowhere;
    emulator_switch(&nowhere, scheduler);
}

void start(Fiber &fiber) {
    fiber.stack = take_stack();
    fiber.state = READY;
    void **top = (void **)(fiber.stack + GUARD_PAGE + STACK - 64);
    *--top = nullptr;  // the return address of run_thread, which never returns
    *--top = (void *)run_thread;
    for (int i = 0; i < SAVED_REGISTERS; i++) *--top = nullptr;
    fiber.stack_pointer = top;
}

void resume(Fiber &fiber) {
    fiber.state = READY;
    running = &fiber;
    *launch_running->kernel->module->thread = fiber.index;
    emulator_switch(&scheduler, fiber.stack_pointer);
    running = nullptr;
    if (fiber.state != DONE) return;
    spare_stacks.push_back(fiber.stack);
    fiber.stack = nullptr;
}

void pause(State state, unsigned mask) {
    if (!running) end_task(cudaErrorLaunchFailure, "a thread that runs alone waits for others");
    running->state = state;
    running->mask = mask;
    emulator_switch(&running->stack_pointer, scheduler);
}
void wait_for_block() { pause(AT_BLOCK_BARRIER, 0); }
void wait_for_warp(unsigned mask) {
    if (running && !(mask >> running->number % WARP & 1))
        end_task(cudaErrorLaunchFailure, "a thread is not in the mask of its own warp operation");
    pause(AT_WARP_BARRIER, mask);
}
unsigned long long *slots() { return lane_slots[running ? running->number / WARP : 0]; }
int lane() { return running ? running->number % WARP : 0; }
void trap(const char *why) { end_task(strncmp(why, "assert", 6) ? cudaErrorLaunchFailure : cudaErrorAssert, why); }

// The threads of a warp that wait for each other and are all there; empty if there are none.
std::vector<Fiber *> complete_group(int warp, int n, const std::vector<int> &order) {
    auto first = fibers.begin() + warp * WARP, last = fibers.begin() + std::min(n, (warp + 1) * WARP);
    for (auto one = first; one != last; ++one) {
        if (one->state != AT_WARP_BARRIER) continue;
        auto absent = [&](const Fiber &other) {
            bool awaited = one->mask >> other.number % WARP & 1;
            return awaited && other.state != DONE && !(other.state == AT_WARP_BARRIER && other.mask == one->mask);
        };
        if (std::any_of(first, last, absent)) continue;
        std::vector<Fiber *> group;
        for (int i : order)
            if (i / WARP == warp && fibers[i].state == AT_WARP_BARRIER && fibers[i].mask == one->mask)
                group.push_back(&fibers[i]);
        return group;
    }
    return {};
}

bool run_warps(int n, const std::vector<int> &order) {
    bool any = false;
    for (int warp = 0; warp * WARP < n; warp++)
        for (;;) {
            std::vector<Fiber *> group = complete_group(warp, n, order);
            if (group.empty()) break;
            any = true;
            for (Fiber *fiber : group) fiber->state = READY;
            for (Fiber *fiber : group) resume(*fiber);
        }
    return any;
}

[[noreturn]] void report_deadlock(int n) {
    int at_block = 0, at_warp = 0;
    unsigned mask = 0;
    for (int i = 0; i < n; i++) {
        at_block += fibers[i].state == AT_BLOCK_BARRIER;
        at_warp += fibers[i].state == AT_WARP_BARRIER;
        if (fibers[i].state == AT_WARP_BARRIER) mask = fibers[i].mask;
    }
    char text[200];
    snprintf(text, sizeof text,
             "its threads wait for each other for ever: %d of %d in __syncthreads, %d in an operation of a warp (mask "
             "0x%08x)",
             at_block, n, at_warp, mask);
    end_task(cudaErrorLaunchTimeout, text);
}

const Threads functions = {wait_for_block, wait_for_warp, slots, lane, trap};
}  // namespace

const Threads *thread_functions() { return &functions; }

void abandon_block() {
    for (Fiber &fiber : fibers) {
        if (fiber.stack) spare_stacks.push_back(fiber.stack);
        fiber.stack = nullptr;
        fiber.state = DONE;
    }
    running = nullptr;
}

void run_block(const Launch &launch, Dim3 index) {
    const Dim3 &size = launch.block;
    int n = (int)(size.x * size.y * size.z);
    *launch.kernel->module->block = index;
    launch_running = &launch;
    if ((int)fibers.size() < n) fibers.resize(n);
    std::vector<int> order = drawn_order(n);
    for (int i : order) fibers[i].state = READY;
    for (int i : order) {
        Fiber &fiber = fibers[i];
        fiber.number = i;
        fiber.index = {i % size.x, i / size.x % size.y, i / size.x / size.y};
        start(fiber);
        resume(fiber);
    }
    for (;;) {
        bool progress = run_warps(n, order);
        auto in = [&](State state) {
            return std::count_if(fibers.begin(), fibers.begin() + n, [=](const Fiber &f) { return f.state == state; });
        };
        if (in(DONE) == n) return;
        if (!in(AT_WARP_BARRIER)) {
            for (int i : order)  // all are in __syncthreads, or done
                if (fibers[i].state != DONE) resume(fibers[i]);
        } else if (!progress) {
            report_deadlock(n);
        }
    }
}

}  // namespace emulator
