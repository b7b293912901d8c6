// SPDX-License-Identifier: BSD-3-Clause
// The devices: how many there are, which one a thread uses, and what they say of themselves.
#include <stdio.h>
#include <string.h>

#include "streams.h"

namespace emulator {

namespace {
int devices_wanted = 1;
bool peers_allowed = true;
size_t memory_wanted = (size_t)8 << 30;
thread_local int current = 0;
}  // namespace

int device_count() { return devices_wanted; }
int current_device() { return current; }
void set_current_device(int number) { current = number; }
size_t total_memory() { return memory_wanted; }

Device &device(int number) {
    static Device devices[MAX_DEVICES];
    Device &found = devices[number];
    if (!found.default_stream) {
        found.number = number;
        found.default_stream = new_stream(found, 0, 0);
    }
    return found;
}

static bool exists(int number) { return number >= 0 && number < device_count(); }

struct Attribute {
    int number, value;
};
static const Attribute attributes[] = {
    // clang-format off
    {1, THREADS_PER_BLOCK}, {2, THREADS_PER_BLOCK}, {3, THREADS_PER_BLOCK}, {4, 64},  // of a block; in x, y, z
    {5, 2147483647}, {6, 65535}, {7, 65535},  // blocks of a grid in x, y, z
    {8, SHARED_BYTES}, {9, 65536}, {10, 32}, {11, 2147483647},  // shared, constant; warp; pitch
    {12, 65536}, {13, 1410000}, {14, 512}, {15, 1}, {16, PROCESSORS}, {19, 1},  // registers, kHz, textures, overlap
    {31, 1}, {36, 1215000}, {37, 5120}, {38, 41943040},  // concurrency, kHz, bus, cache
    {39, THREADS_PER_PROCESSOR}, {40, 3}, {41, 1}, {51, 32},  // engines, one address space, pitch
    {75, 8}, {76, 0}, {78, 1}, {79, 1}, {80, 1},  // capability 8.0, priorities, caches
    {81, SHARED_BYTES_PROCESSOR}, {82, 65536}, {83, 1}, {87, 2}, {89, 1}, {90, 1},  // managed memory
    {95, 1}, {97, SHARED_BYTES_OPTIN}, {99, 1}, {106, BLOCKS_PER_PROCESSOR}, {111, 1024}, {115, 1},
    // clang-format on
};

}  // namespace emulator

using namespace emulator;

extern "C" {
EMULATOR_API void emulator_set_devices(int n) {
    devices_wanted = n < MAX_DEVICES ? n : MAX_DEVICES;
    if (current >= devices_wanted) current = 0;
}
EMULATOR_API void emulator_set_peers(int allowed) {
    Guard guard;
    peers_allowed = allowed;
    for (int i = 0; i < MAX_DEVICES; i++) device(i).peers.clear();
}
EMULATOR_API void emulator_set_memory(size_t bytes) { memory_wanted = bytes; }

EMULATOR_API CudaError cudaRuntimeGetVersion(int *out) {
    *out = EMULATED_VERSION;
    return cudaSuccess;
}
EMULATOR_API CudaError cudaDriverGetVersion(int *out) { return cudaRuntimeGetVersion(out); }
EMULATOR_API CudaError cudaGetDeviceCount(int *out) {
    *out = device_count();
    return *out ? cudaSuccess : fail(cudaErrorNoDevice);
}
EMULATOR_API CudaError cudaGetDevice(int *out) {
    *out = current;
    return device_count() ? cudaSuccess : fail(cudaErrorNoDevice);
}
EMULATOR_API CudaError cudaSetDevice(int number) {
    if (!device_count()) return fail(cudaErrorNoDevice);
    if (!exists(number)) return fail(cudaErrorInvalidDevice);
    current = number;
    return cudaSuccess;
}
EMULATOR_API CudaError cudaDeviceSynchronize() {
    return call([] {
        CudaError error = cudaSuccess;
        Device &here = device(current);
        break_captures([&](const Capture &capture) {
            bool inside = capture.origin->device == &here;
            if (inside) error = cudaErrorStreamCaptureUnsupported;
            return inside;
        });
        if (error) return error;
        count(WAITS);
        drain_device(here);
        return here.broken;
    });
}

EMULATOR_API CudaError cudaDeviceCanAccessPeer(int *out, int from, int to) {
    if (!exists(from) || !exists(to)) return fail(cudaErrorInvalidDevice);
    *out = from != to && peers_allowed;
    return cudaSuccess;
}
EMULATOR_API CudaError cudaDeviceEnablePeerAccess(int peer, unsigned flags) {
    return call([&] {
        if (flags) return cudaErrorInvalidValue;
        if (!exists(peer) || peer == current) return cudaErrorInvalidDevice;
        if (!peers_allowed) return cudaErrorPeerAccessUnsupported;
        return device(current).peers.insert(peer).second ? cudaSuccess : cudaErrorPeerAccessAlreadyEnabled;
    });
}
EMULATOR_API CudaError cudaDeviceDisablePeerAccess(int peer) {
    return call([&] { return device(current).peers.erase(peer) ? cudaSuccess : cudaErrorPeerAccessNotEnabled; });
}

EMULATOR_API CudaError cudaDeviceGetAttribute(int *out, int attribute, int number) {
    if (!exists(number)) return fail(cudaErrorInvalidDevice);
    if (attribute <= 0 || attribute > 200) return fail(cudaErrorInvalidValue);
    *out = attribute == 33 ? number + 1 : 0;  // the bus; what is not listed is not there
    for (const Attribute &known : attributes)
        if (known.number == attribute) *out = known.value;
    return cudaSuccess;
}

EMULATOR_API CudaError cudaGetDeviceProperties_v2(DeviceProperties *out, int number) {
    if (!exists(number)) return fail(cudaErrorInvalidDevice);
    auto value = [&](int attribute) {
        int found = 0;
        cudaDeviceGetAttribute(&found, attribute, number);
        return found;
    };
    *out = DeviceProperties{};
    snprintf(out->name, sizeof out->name, "CUDA emulator");
    memcpy(out->uuid, "CUDA emulator", 13);
    out->uuid[15] = (char)number;
    out->total_global_memory = total_memory();
    out->shared_memory_per_block = SHARED_BYTES;
    out->shared_memory_per_block_optin = SHARED_BYTES_OPTIN;
    out->shared_memory_per_processor = SHARED_BYTES_PROCESSOR;
    out->reserved_shared_memory_per_block = value(111);
    out->registers_per_block = out->registers_per_processor = value(12);
    out->warp_size = value(10);
    out->memory_pitch = value(11);
    out->max_threads_per_block = value(1);
    for (int i = 0; i < 3; i++) out->max_threads[i] = value(2 + i), out->max_grid[i] = value(5 + i);
    out->clock_rate = value(13);
    out->total_constant_memory = value(9);
    out->major = value(75);
    out->minor = value(76);
    out->texture_alignment = value(14);
    out->texture_pitch_alignment = value(51);
    out->device_overlap = value(15);
    out->processors = value(16);
    out->can_map_host_memory = value(19);
    out->concurrent_kernels = value(31);
    out->pci_bus = value(33);
    out->async_engines = value(40);
    out->unified_addressing = value(41);
    out->memory_clock_rate = value(36);
    out->memory_bus_width = value(37);
    out->l2_cache = value(38);
    out->max_threads_per_processor = value(39);
    out->max_blocks_per_processor = value(106);
    out->stream_priorities = value(78);
    out->global_l1_cache = value(79);
    out->local_l1_cache = value(80);
    out->managed_memory = value(83);
    out->single_to_double_ratio = value(87);
    out->concurrent_managed_access = value(89);
    out->compute_preemption = value(90);
    out->cooperative_launch = value(95);
    out->host_register = value(99);
    out->memory_pools = value(115);
    return cudaSuccess;
}

EMULATOR_API CudaError cudaDeviceGetPCIBusId(char *out, int length, int number) {
    if (!exists(number)) return fail(cudaErrorInvalidDevice);
    snprintf(out, length, "0000:%02x:00.0", number + 1);
    return cudaSuccess;
}
EMULATOR_API CudaError cudaDeviceGetByPCIBusId(int *out, const char *text) {
    unsigned bus = 0;
    if (sscanf(text, "%*x:%x:", &bus) != 1 || !exists((int)bus - 1)) return fail(cudaErrorInvalidValue);
    *out = (int)bus - 1;
    return cudaSuccess;
}

// Limits are kept, but change nothing: a thread's stack is always 128 KiB.
static const size_t default_limits[] = {1024, 1 << 20, 8 << 20, 2, 2048, 64, 0};
EMULATOR_API CudaError cudaDeviceGetLimit(size_t *out, int limit) {
    return call([&] {
        if (limit < 0 || limit > 6) return cudaErrorUnsupportedLimit;
        auto &set = device(current).limits;
        *out = set.count(limit) ? set[limit] : default_limits[limit];
        return cudaSuccess;
    });
}
EMULATOR_API CudaError cudaDeviceSetLimit(int limit, size_t value) {
    return call([&] {
        if (limit < 0 || limit > 6) return cudaErrorUnsupportedLimit;
        device(current).limits[limit] = value;
        return cudaSuccess;
    });
}

// There is no profiler to start or stop: results do not depend on it.
EMULATOR_API CudaError cudaProfilerStart() { return cudaSuccess; }
EMULATOR_API CudaError cudaProfilerStop() { return cudaSuccess; }
}
