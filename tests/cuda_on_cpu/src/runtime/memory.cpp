// SPDX-License-Identifier: BSD-3-Clause
// Allocating memory of devices and of the host.
#include "memory.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <algorithm>

#include "streams.h"

namespace emulator {

namespace {
std::map<size_t, Block> blocks;  // by address
}

const Block *block_of(const void *address) {
    auto after = blocks.upper_bound((size_t)address);
    if (after == blocks.begin()) return nullptr;
    const Block &block = std::prev(after)->second;
    return (size_t)address < block.address + block.size ? &block : nullptr;
}

void add_block(const Block &block) { blocks[block.address] = block; }

Devices visible_from(const Device &from) {
    Devices devices = 1u << from.number;
    for (int peer : from.peers) devices |= 1u << peer;
    return devices;
}

void *allocate(Device &on, size_t size) {
    if (size > total_memory() || on.used + size > total_memory()) return nullptr;
    char *address = reserve_addresses(on.number, size);
    if (!address) return nullptr;
    fill_with_poison(for_work(address, 1u << on.number), size);
    on.used += size;
    add_block({(size_t)address, size, ON_DEVICE, on.number, false});
    count(ALLOCATIONS);
    return address;
}

static void *allocate_on_host(size_t size, MemoryType type) {
    void *address = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (address == MAP_FAILED) return nullptr;
    fill_with_poison(address, size);
    add_block({(size_t)address, size, type, current_device(), false});
    count(ALLOCATIONS);
    return address;
}

bool release(void *address, MemoryType type) {
    auto it = blocks.find((size_t)address);
    if (it == blocks.end() || it->second.registered || it->second.type != type) return false;
    const Block &block = it->second;
    if (type == ON_DEVICE) {
        free_addresses(block.device, (char *)address, block.size);
        device(block.device).used -= block.size;
    } else {
        munmap(address, block.size);
    }
    blocks.erase(it);
    return true;
}

}  // namespace emulator

using namespace emulator;

extern "C" {
EMULATOR_API CudaError cudaMalloc(void **out, size_t size) {
    return call_outside_capture([&] {
        *out = size ? allocate(device(current_device()), size) : nullptr;
        return *out || !size ? cudaSuccess : cudaErrorMemoryAllocation;
    });
}

EMULATOR_API CudaError cudaFree(void *address) {
    return call_outside_capture([&] {
        if (!address) return cudaSuccess;
        const Block *block = block_of(address);
        if (!block) return cudaErrorInvalidValue;
        drain_device(device(block->device));
        return release(address, ON_DEVICE) || release(address, MANAGED) ? cudaSuccess : cudaErrorInvalidValue;
    });
}

static CudaError host_memory(void **out, size_t size, MemoryType type) {
    return call_outside_capture([&] {
        *out = size ? allocate_on_host(size, type) : nullptr;
        return *out || !size ? cudaSuccess : cudaErrorMemoryAllocation;
    });
}
EMULATOR_API CudaError cudaMallocHost(void **out, size_t size) { return host_memory(out, size, PINNED); }
EMULATOR_API CudaError cudaHostAlloc(void **out, size_t size, unsigned flags) {
    if (flags & ~(HOST_PORTABLE | HOST_MAPPED | HOST_WRITE_COMBINED)) return fail(cudaErrorInvalidValue);
    return host_memory(out, size, PINNED);
}
// Managed memory is the host's, and every device's.
EMULATOR_API CudaError cudaMallocManaged(void **out, size_t size, unsigned flags) {
    if (!size || (flags != 1 && flags != 2)) return fail(cudaErrorInvalidValue);
    return host_memory(out, size, MANAGED);
}

EMULATOR_API CudaError cudaFreeHost(void *address) {
    return call_outside_capture([&] {
        if (!address) return cudaSuccess;
        for (int i = 0; i < device_count(); i++) drain_device(device(i));
        return release(address, PINNED) ? cudaSuccess : cudaErrorInvalidValue;
    });
}

EMULATOR_API CudaError cudaHostRegister(void *address, size_t size, unsigned flags) {
    return call_outside_capture([&] {
        if (!address || !size || flags & ~(HOST_PORTABLE | HOST_MAPPED)) return cudaErrorInvalidValue;
        if (device_of_range(address) >= 0) return cudaErrorInvalidValue;
        if (block_of(address) || block_of((char *)address + size - 1)) return cudaErrorHostMemoryAlreadyRegistered;
        add_block({(size_t)address, size, PINNED, current_device(), true});
        return cudaSuccess;
    });
}
EMULATOR_API CudaError cudaHostUnregister(void *address) {
    return call_outside_capture([&] {
        auto it = blocks.find((size_t)address);
        if (it == blocks.end() || !it->second.registered || it->second.type != PINNED)
            return cudaErrorHostMemoryNotRegistered;
        for (int i = 0; i < device_count(); i++) drain_device(device(i));
        blocks.erase(it);
        return cudaSuccess;
    });
}
EMULATOR_API CudaError cudaHostGetDevicePointer(void **out, void *address, unsigned) {
    return call([&] {
        const Block *block = block_of(address);
        *out = address;
        return block && block->type == PINNED ? cudaSuccess : cudaErrorInvalidValue;
    });
}

EMULATOR_API CudaError cudaMemGetInfo(size_t *free, size_t *total) {
    return call_outside_capture([&] {
        *total = total_memory();
        *free = *total - std::min(*total, device(current_device()).used);
        return cudaSuccess;
    });
}

EMULATOR_API CudaError cudaPointerGetAttributes(PointerAttributes *out, const void *address) {
    return call([&] {
        const Block *block = block_of(address);
        void *p = (void *)address;
        *out = block ? PointerAttributes{block->type, block->device, p, block->type == ON_DEVICE ? nullptr : p}
                     : PointerAttributes{PAGEABLE, -2, nullptr, p};  // -2: cudaInvalidDeviceId
        return cudaSuccess;
    });
}

// Hints where managed memory lies do not change what is computed.
EMULATOR_API CudaError cudaMemPrefetchAsync(const void *address, size_t, int, void *) {
    return call(
        [&] { return block_of(address) && block_of(address)->type == MANAGED ? cudaSuccess : cudaErrorInvalidValue; });
}
EMULATOR_API CudaError cudaMemAdvise(const void *address, size_t, int, int) {
    return call(
        [&] { return block_of(address) && block_of(address)->type == MANAGED ? cudaSuccess : cudaErrorInvalidValue; });
}
}
