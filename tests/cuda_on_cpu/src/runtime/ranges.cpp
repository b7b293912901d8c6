// SPDX-License-Identifier: BSD-3-Clause
// The addresses of each device's memory: apart from the host's, which cannot access them.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "memory.h"

namespace emulator {

namespace {
constexpr size_t LEAST_RANGE = (size_t)64 << 30, GRAIN = 512, PAGE = 4096;
// Larger memory is not filled, so that it costs the host nothing before it is used.
constexpr size_t POISON_LIMIT = (size_t)256 << 20;

// The same memory at two places: the user knows the addresses from `base`, where access is denied; work of the device
// uses those from `alias`. Denying and allowing access around each piece of work instead doubles the time of tests.
struct Range {
    char *base = nullptr, *alias = nullptr;
    size_t size = 0;
    std::map<size_t, size_t> free;  // offset and size of what is not allocated
};
Range ranges[MAX_DEVICES];
Devices opened = 0;  // where access is allowed also from `base`
bool protection = true;

void protect(Devices devices, int access) {
    for (int i = 0; i < MAX_DEVICES; i++)
        if ((devices >> i & 1) && ranges[i].base && mprotect(ranges[i].base, ranges[i].size, access)) {
            perror("CUDA emulator: mprotect");
            abort();
        }
}

char *map(int file, size_t size, int access) {
    void *p = mmap(nullptr, size, access, MAP_SHARED | MAP_NORESERVE, file, 0);
    if (p == MAP_FAILED) return nullptr;
    madvise(p, size, MADV_DONTFORK);
    return (char *)p;
}

bool make_range(Range &range, int number) {
    if (range.base) return true;
    size_t size = std::max(LEAST_RANGE, 2 * total_memory());
    int file = memfd_create("device memory", MFD_CLOEXEC);
    bool accessible = !protection || (opened >> number & 1);
    bool sized = file >= 0 && !ftruncate(file, size);
    range.alias = sized ? map(file, size, PROT_READ | PROT_WRITE) : nullptr;
    range.base = range.alias ? map(file, size, accessible ? PROT_READ | PROT_WRITE : PROT_NONE) : nullptr;
    if (file >= 0) close(file);
    if (!range.base) return false;
    range.size = size;
    range.free[0] = size;
    return true;
}

bool holds(const char *start, size_t size, const void *address) {
    return start && (size_t)address - (size_t)start < size;
}
}  // namespace

void open(Devices devices) {
    if (!protection || devices == opened) return;
    protect(devices & ~opened, PROT_READ | PROT_WRITE);
    protect(opened & ~devices, PROT_NONE);
    opened = devices;
}
bool is_open(int number) { return !protection || (opened >> number & 1); }

int device_of_range(const void *address) {
    for (int i = 0; i < MAX_DEVICES; i++)
        if (holds(ranges[i].base, ranges[i].size, address) || holds(ranges[i].alias, ranges[i].size, address)) return i;
    return -1;
}

void *for_work(const void *address, Devices visible) {
    for (int i = 0; i < MAX_DEVICES; i++)
        if ((visible >> i & 1) && holds(ranges[i].base, ranges[i].size, address))
            return ranges[i].alias + ((char *)address - ranges[i].base);
    return (void *)address;
}
void place_for_work(void *bytes, size_t size, Devices visible) {
    for (char *at = (char *)bytes; at + sizeof(void *) <= (char *)bytes + size; at += sizeof(void *)) {
        void *value;
        memcpy(&value, at, sizeof value);
        value = for_work(value, visible);
        memcpy(at, &value, sizeof value);
    }
}
const void *for_user(const void *address) {
    for (const Range &range : ranges)
        if (holds(range.alias, range.size, address)) return range.base + ((char *)address - range.alias);
    return address;
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
            memset(range.alias + offset + size - GRAIN, 0xff, GRAIN);
            return range.base + offset;
        }
    return nullptr;
}

void free_addresses(int number, char *address, size_t size) {
    Range &range = ranges[number];
    fill_with_poison(range.alias + (address - range.base), size);
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
    if (size <= POISON_LIMIT)
        memset(address, 0xff, size);
    else  // the host has its memory back
        madvise((void *)(((size_t)address + PAGE - 1) / PAGE * PAGE), (size - PAGE) / PAGE * PAGE, MADV_REMOVE);
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
