// SPDX-License-Identifier: BSD-3-Clause
// Memory that is allocated and freed in the order of a stream, from each device's default pool.
#include <algorithm>

#include "streams.h"

namespace emulator {

namespace {
struct Pool {
    Device *device;
    size_t used = 0, highest = 0;
    std::map<int, unsigned long long> settings;
};

Pool &pool_of(int number) {
    static Pool pools[MAX_DEVICES];
    pools[number].device = &device(number);
    return pools[number];
}
bool is_pool(const Pool *pool) {
    for (int i = 0; i < device_count(); i++)
        if (pool == &pool_of(i)) return true;
    return false;
}

CudaError take(void **out, size_t size, Pool &pool, void *handle) {
    auto stream = stream_of(handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    if (stream->capture) return (not_emulated("allocating memory in a captured stream"), cudaErrorNotSupported);
    *out = size ? allocate(*pool.device, size) : nullptr;
    if (!*out && size) return cudaErrorMemoryAllocation;
    pool.used += size;
    pool.highest = std::max(pool.highest, pool.used);
    return cudaSuccess;
}

CudaError give(void *address, void *handle) {
    auto stream = stream_of(handle);
    const Block *block = block_of(address);
    if (!stream) return cudaErrorInvalidResourceHandle;
    if (stream->capture) return (not_emulated("freeing memory in a captured stream"), cudaErrorNotSupported);
    if (!block || block->type != ON_DEVICE || block->registered || block->address != (size_t)address)
        return cudaErrorInvalidValue;
    size_t size = block->size;
    Pool *pool = &pool_of(block->device);
    return enqueue(*stream, {"freeing memory", stream->device, 0, [=] {
                                 if (release(address, ON_DEVICE)) pool->used -= std::min(size, pool->used);
                             }});
}

// Switches of how the pool reuses memory are kept, but change nothing; what it holds is what is in use.
CudaError get(Pool &pool, int attribute, void *out) {
    if (attribute < 1 || attribute > POOL_USED_HIGH) return cudaErrorInvalidValue;
    if (attribute < POOL_RELEASE_THRESHOLD)
        return (*(int *)out = pool.settings.count(attribute) ? (int)pool.settings[attribute] : 1, cudaSuccess);
    bool high = attribute == POOL_RESERVED_HIGH || attribute == POOL_USED_HIGH;
    *(unsigned long long *)out = attribute == POOL_RELEASE_THRESHOLD ? pool.settings[attribute]
                                 : high                              ? pool.highest
                                                                     : pool.used;
    return cudaSuccess;
}
CudaError set(Pool &pool, int attribute, const void *value) {
    if (attribute < 1 || attribute > POOL_USED_HIGH) return cudaErrorInvalidValue;
    if (attribute < POOL_RELEASE_THRESHOLD) return (pool.settings[attribute] = *(const int *)value, cudaSuccess);
    auto number = *(const unsigned long long *)value;
    if (attribute == POOL_RELEASE_THRESHOLD) return (pool.settings[attribute] = number, cudaSuccess);
    if (number || attribute == POOL_RESERVED || attribute == POOL_USED) return cudaErrorInvalidValue;
    pool.highest = pool.used;
    return cudaSuccess;
}
template <class Body>
CudaError with_pool(Pool *pool, Body body) {
    return call([&] { return is_pool(pool) ? body() : cudaErrorInvalidValue; });
}
}  // namespace

}  // namespace emulator

using namespace emulator;

extern "C" {
EMULATOR_API CudaError cudaMallocAsync(void **out, size_t size, void *stream) {
    return call([&] { return take(out, size, pool_of(current_device()), stream); });
}
EMULATOR_API CudaError cudaMallocFromPoolAsync(void **out, size_t size, Pool *pool, void *stream) {
    return with_pool(pool, [&] { return take(out, size, *pool, stream); });
}
EMULATOR_API CudaError cudaFreeAsync(void *address, void *stream) {
    return call([&] { return address ? give(address, stream) : cudaSuccess; });
}

EMULATOR_API CudaError cudaDeviceGetDefaultMemPool(Pool **out, int number) {
    if (number < 0 || number >= device_count()) return fail(cudaErrorInvalidDevice);
    return call([&] { return (*out = &pool_of(number), cudaSuccess); });
}
EMULATOR_API CudaError cudaDeviceGetMemPool(Pool **out, int number) { return cudaDeviceGetDefaultMemPool(out, number); }
EMULATOR_API CudaError cudaDeviceSetMemPool(int number, Pool *pool) {
    if (number < 0 || number >= device_count()) return fail(cudaErrorInvalidDevice);
    return with_pool(pool, [&] { return pool == &pool_of(number) ? cudaSuccess : cudaErrorInvalidValue; });
}
EMULATOR_API CudaError cudaMemPoolGetAttribute(Pool *pool, int attribute, void *out) {
    return with_pool(pool, [&] { return get(*pool, attribute, out); });
}
EMULATOR_API CudaError cudaMemPoolSetAttribute(Pool *pool, int attribute, void *value) {
    return with_pool(pool, [&] { return set(*pool, attribute, value); });
}
// The pool keeps nothing that it could give back.
EMULATOR_API CudaError cudaMemPoolTrimTo(Pool *pool, size_t) {
    return with_pool(pool, [] { return cudaSuccess; });
}
}
