// SPDX-License-Identifier: BSD-3-Clause
// Faults: in a task they end it with an error, as on a GPU; the host's own go to the handler that was there before.
#undef _FORTIFY_SOURCE  // its longjmp takes a jump from a thread's own stack for a mistake
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xmmintrin.h>

#include "kernels.h"
#include "streams.h"

namespace emulator {

namespace {
const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
struct sigaction before[NSIG];  // the handlers that ours replaced

thread_local sigjmp_buf *landing = nullptr;  // where the running task is left
thread_local CudaError reason;
thread_local const char *running;
thread_local Devices visible;  // to the running task

// The handler needs a stack of its own: the fault may be that a thread's stack is used up.
struct AlternateStack {
    static constexpr size_t SIZE = 64 << 10;
    void *memory = nullptr;
    AlternateStack() {
        stack_t current;
        if (sigaltstack(nullptr, &current) || !(current.ss_flags & SS_DISABLE)) return;
        memory = mmap(nullptr, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        stack_t ours = {};
        ours.ss_sp = memory;
        ours.ss_size = SIZE;
        sigaltstack(&ours, nullptr);
    }
    ~AlternateStack() {
        stack_t current;
        if (!memory || sigaltstack(nullptr, &current) || current.ss_sp != memory) return;
        stack_t none = {};
        none.ss_flags = SS_DISABLE;
        sigaltstack(&none, nullptr);
        munmap(memory, SIZE);
    }
};

void say(const char *text) {  // as a handler of signals may
    if (write(STDERR_FILENO, text, strlen(text)) < 0) return;
}

CudaError error_of(int signal) {
    return signal == SIGSEGV  ? cudaErrorIllegalAddress
           : signal == SIGFPE ? cudaErrorLaunchFailure
                              : cudaErrorMisalignedAddress;
}

void describe(int signal, const void *address, bool writes) {
    char text[256];
    int owner = device_of_range(address);
    char whose[32] = "of the host";
    if (owner >= 0) snprintf(whose, sizeof whose, "of device %d", owner);
    address = for_user(address);
    const char *verb = writes ? "wrote" : "read";
    if (!landing && owner < 0) return;
    if (!landing)
        snprintf(text, sizeof text, "CUDA emulator: the host %s %p %s\n", verb, address, whose);
    else if (signal == SIGSEGV)
        snprintf(text, sizeof text, "CUDA emulator: %s %s %p %s, which it cannot access\n", running, verb, address,
                 whose);
    else if (signal == SIGFPE)
        snprintf(text, sizeof text,
                 "CUDA emulator: %s divided an integer by zero: a GPU computes an unspecified number\n", running);
    else
        snprintf(text, sizeof text, "CUDA emulator: %s used a misaligned address\n", running);
    say(text);
}

// Work may use the user's addresses: they become accessible until it is done.
bool opened_for_work(const void *address) {
    int owner = device_of_range(address);
    if (!landing || owner < 0 || !(visible >> owner & 1) || is_open(owner)) return false;
    open(visible);
    return true;
}

void handle(int signal, siginfo_t *info, void *context) {
    if (signal == SIGSEGV && opened_for_work(info->si_addr)) return;
    const auto &registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    describe(signal, info->si_addr, signal == SIGSEGV && registers[REG_ERR] & 2);
    if (landing) {
        reason = error_of(signal);
        siglongjmp(*landing, 1);
    }
    sigaction(signal, &before[signal], nullptr);  // the instruction faults again, then for the handler before ours
    if (info->si_code <= 0) raise(signal);        // sent by a process: nothing faults again
}

void install_handlers() {  // again before each task: others, such as faulthandler, may have installed theirs since
    for (int signal : signals) {
        struct sigaction current;
        sigaction(signal, nullptr, &current);
        if (current.sa_sigaction == handle) return;
        before[signal] = current;
        struct sigaction ours = {};
        ours.sa_sigaction = handle;
        ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
        sigaction(signal, &ours, nullptr);
    }
}
}  // namespace

void end_task(CudaError error, const char *why) {
    if (!landing) {
        fprintf(stderr, "CUDA emulator: a thread of a kernel outside of a kernel: %s\n", why);
        abort();
    }
    fprintf(stderr, "CUDA emulator: %s: %s\n", running, why);
    reason = error;
    siglongjmp(*landing, 1);
}

void perform(const Task &task) {
    if (task.on->broken) return;
    if (task.calls_host) return call_host_function(task.work);
    static thread_local AlternateStack stack;
    install_handlers();
    open(0);
    sigjmp_buf here;
    unsigned floating_point = _mm_getcsr();
    sigjmp_buf *outer = landing;
    const char *outer_name = running;
    Devices outer_visible = visible;
    landing = &here;
    running = task.name;
    visible = task.visible;
    if (!sigsetjmp(here, 0)) {
        task.work();
    } else {
        _mm_setcsr(floating_point);
        abandon_block();
        task.on->broken = reason;
    }
    landing = outer;
    running = outer_name;
    visible = outer_visible;
}

}  // namespace emulator
