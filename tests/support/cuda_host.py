"""The macros of a CUDA text for C++ on the host.

The lanes of a warp are coroutines that wait for each other when they exchange numbers. Warps run one after the other.
An access of several items at once must be aligned, as on a GPU.
"""

HOST = """
#define DLARRAY_HOST
#include <math.h>
#include <string.h>
#include <ucontext.h>
#define KERNEL static void
#define DEVICE static inline
static long long WARP, WARPS;
static int LANE;
#define INF __builtin_inf()
#define OTHER_LANE(x, distance) other_lane(x, distance)

static ucontext_t warp_context, lane_contexts[32];
static char stacks[32][1 << 16], exchanged[2][32][8];
static int exchanges[32];
static void (*body)(const void *);
static const void *argument;
static void lane() { const int me = LANE; body(argument); exchanges[me] = -1; }
template <class T> static T other_lane(T x, int distance) {
    const int me = LANE;
    char (*now)[8] = exchanged[exchanges[me]++ & 1];
    memcpy(now[me], &x, sizeof x);
    swapcontext(&lane_contexts[me], &warp_context);
    memcpy(&x, now[me ^ distance], sizeof x);
    return x;
}
// Each warp is a block of its own.
static bool last_block(unsigned *count) {
    static bool last;
    other_lane(0, 0);  // until all lanes are here
    if (LANE == 0) { last = *count == WARPS - 1; *count = last ? 0 : *count + 1; }
    other_lane(0, 0);
    return last;
}
// Whether all lanes have exchanged equally often.
static bool exchanging_warp() {
    for (int i = 0; i < 32; ++i) {
        exchanges[i] = 0;
        getcontext(&lane_contexts[i]);
        lane_contexts[i].uc_stack.ss_sp = stacks[i];
        lane_contexts[i].uc_stack.ss_size = sizeof stacks[i];
        lane_contexts[i].uc_link = &warp_context;
        makecontext(&lane_contexts[i], lane, 0);
    }
    for (;;) {
        for (LANE = 0; LANE < 32; ++LANE) swapcontext(&warp_context, &lane_contexts[LANE]);
        for (int i = 1; i < 32; ++i) if (exchanges[i] != exchanges[0]) return false;
        if (exchanges[0] < 0) return true;
    }
}
static int run(void (*kernel)(const void *), const void *given, long long warps, bool exchange) {
    body = kernel; argument = given; WARPS = warps < 0 ? -warps : warps;
    for (long long i = 0; i < WARPS; ++i) {
        WARP = warps < 0 ? WARPS - 1 - i : i;
        if (!exchange) for (LANE = 0; LANE < 32; ++LANE) kernel(given);
        else if (!exchanging_warp()) return 1;
    }
    return 0;
}
"""

LAUNCH = """
extern "C" int {prefix}launch_{name}(const {scope}Head *head, long long warps) {{
    return run([](const void *given) {{ {scope}{name}(*(const {scope}Head *)given); }}, head, warps, {exchange});
}}
"""

# As on a GPU, nothing is contracted, integers wrap, and memory has no type.
COMPILER = [
    *("gcc", "-O0", "-std=c++14", "-fPIC", "-w", "-ffp-contract=off", "-fwrapv", "-fno-strict-aliasing"),
    *("-fsanitize=alignment", "-fsanitize-undefined-trap-on-error"),
]
