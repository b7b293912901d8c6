// SPDX-License-Identifier: BSD-3-Clause
// The addresses of each device's memory: apart from the host's, and accessible only while work of the device runs.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <algorithm>

#include "memory.h"

namespace emulator {

namespace {
constexpr size_t HUGE_PAGE = (size_t)2 << 20, LEAST_RANGE = (size_t)64 << 30, GRAIN = 512;
// Larger memory is not filled, so that it costs the host nothing before it is used.
constexpr size_t POISON_LIMIT = (size_t)256 << 20;

struct Range {
    char *base = nullptr;
    size_t size = 0;
    std::map<size_t, size_t> free;  // offset and size of what is not allocated
};
Range ranges[MAX_DEVICES];
Devices opened = 0;
bool protection = true;

void protect(Devices devices, int access) {
    for (int i = 0; i < MAX_DEVICES; i++)
        if ((devices >> i & 1) && ranges[i].base && mprotect(ranges[i].base, ranges[i].size, access)) {
            perror("CUDA emulator: mprotect");
            abort();
        }
}

bool make_range(Range &range, int number) {
    if (range.base) return true;
    range.size = std::max(LEAST_RANGE, 2 * total_memory() / HUGE_PAGE * HUGE_PAGE);
    bool accessible = !protection || (opened >> number & 1);
    int access = accessible ? PROT_READ | PROT_WRITE : PROT_NONE;
    void *p = mmap(nullptr, range.size + HUGE_PAGE, access, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return false;
    range.base = (char *)(((size_t)p + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
    madvise(range.base, range.size, MADV_HUGEPAGE);  // far fewer entries for mprotect to change
    range.free[0] = range.size;
    return true;
}
}  // namespace

void open(Devices devices) {
    if (!protection || devices == opened) return;
    protect(devices & ~opened, PROT_READ | PROT_WRITE);
    protect(opened & ~devices, PROT_NONE);
    opened = devices;
}

int device_of_range(const void *address) {
    for (int i = 0; i < MAX_DEVICES; i++)
        if (ranges[i].base && (size_t)address - (size_t)ranges[i].base < ranges[i].size) return i;
    return -1;
}

// A gap follows each allocation, so that what reads past its end finds no numbers.
static size_t with_gap(size_t size) { return (size + GRAIN - 1) / GRAIN * GRAIN + GRAIN; }

char *reserve_addresses(int number, size_t size) {
    Range &range = ranges[number];
    if (!make_range(range, number)) return nullptr;
    size = with_gap(size);
    for (auto [offset, length] : range.free)
        if (length >= size) {
            range.free.erase(offset);
            if (length > size) range.free[offset + size] = length - size;
            open(opened | 1u << number);
            memset(range.base + offset + size - GRAIN, 0xff, GRAIN);
            return range.base + offset;
        }
    return nullptr;
}

void free_addresses(int number, char *address, size_t size) {
    Range &range = ranges[number];
    open(opened | 1u << number);
    if (size > POISON_LIMIT) madvise(address, size / 4096 * 4096, MADV_DONTNEED);
    fill_with_poison(address, size);
    auto here = range.free.emplace(address - range.base, with_gap(size)).first;
    if (auto next = std::next(here); next != range.free.end() && here->first + here->second == next->first) {
        here->second += next->second;
        range.free.erase(next);
    }
    if (here == range.free.begin()) return;
    if (auto before = std::prev(here); before->first + before->second == here->first) {
        before->second += here->second;
        range.free.erase(here);
    }
}

void fill_with_poison(void *address, size_t size) {
    if (size <= POISON_LIMIT) memset(address, 0xff, size);
}

}  // namespace emulator

using namespace emulator;

extern "C" {
// Whether a device's memory is inaccessible while none of its work runs.
EMULATOR_API void emulator_set_protection(int wanted) {
    Guard guard;
    open(0);
    protection = true;
    if (!wanted) protect(~0u, PROT_READ | PROT_WRITE);
    if (wanted) protect(~0u, PROT_NONE);
    protection = wanted;
}
}
