// SPDX-License-Identifier: BSD-3-Clause
// Copying and filling memory.
#include <stdio.h>
#include <string.h>

#include "streams.h"

namespace emulator {

namespace {
// Memory of so many rows, each `pitch` bytes after the one before.
struct Area {
    void *address;
    size_t pitch;
};
struct Copy {
    Area target, source;
    size_t width, height;
    size_t extent(const Area &area) const { return area.pitch * (height - 1) + width; }
};

bool on_device(const Block *block) { return block && (block->type == ON_DEVICE || block->type == MANAGED); }
bool on_host(const Block *block) { return !block || block->type != ON_DEVICE; }
bool pageable(const Block *block) { return !block || block->type == PAGEABLE; }
bool inside(const Block *block, const void *address, size_t size) {
    return !block || (size_t)address + size <= block->address + block->size;
}
Devices owners(const Block *block) { return block && block->type == ON_DEVICE ? 1u << block->device : 0; }
const char *place(const Block *block) { return on_host(block) ? "on the host" : "on a device"; }

CudaError check(const Copy &copy, int kind, const Block *target, const Block *source) {
    if (kind < HOST_TO_HOST || kind > COPY_BY_ADDRESS) return cudaErrorInvalidMemcpyDirection;
    if (copy.height > 1 && (copy.width > copy.target.pitch || copy.width > copy.source.pitch))
        return cudaErrorInvalidPitchValue;
    bool to_host = kind == HOST_TO_HOST || kind == DEVICE_TO_HOST,
         from_host = kind == HOST_TO_HOST || kind == HOST_TO_DEVICE;
    bool right = kind == COPY_BY_ADDRESS ||
                 ((to_host ? on_host : on_device)(target) && (from_host ? on_host : on_device)(source));
    if (!right) {
        fprintf(stderr, "CUDA emulator: a copy of kind %d, but its target is %s, its source %s\n", kind, place(target),
                place(source));
        return cudaErrorInvalidValue;
    }
    if (!inside(target, copy.target.address, copy.extent(copy.target)) ||
        !inside(source, copy.source.address, copy.extent(copy.source))) {
        fprintf(stderr, "CUDA emulator: a copy of %zu bytes goes past the end of what is allocated\n",
                copy.extent(copy.target));
        return cudaErrorInvalidValue;
    }
    return cudaSuccess;
}

void run(const Copy &copy) {
    for (size_t i = 0; i < copy.height; i++)
        memmove((char *)copy.target.address + i * copy.target.pitch,
                (char *)copy.source.address + i * copy.source.pitch, copy.width);
}

// In a default stream, a copy between two devices waits for both, and both wait for it.
CudaError enqueue_between_devices(Stream &stream, Task task) {
    Devices others = task.visible & ~(1u << stream.device->number);
    bool waits = stream.is_default() && !stream.capture;
    for (int i = 0; waits && i < device_count(); i++)
        if (others >> i & 1) queue_after(stream, *device(i).default_stream);
    CudaError error = enqueue(stream, std::move(task));
    for (int i = 0; waits && i < device_count(); i++)
        if (others >> i & 1) queue_after(*device(i).default_stream, stream);
    return error;
}

// What is in pageable memory now is what arrives, although the copy may run later.
Work with_source_kept(const Copy &copy) {
    auto kept = std::make_shared<std::string>((const char *)copy.source.address, copy.extent(copy.source));
    return [=] {
        Copy from_kept = copy;
        from_kept.source.address = kept->data();
        run(from_kept);
    };
}

CudaError enqueue(Stream &stream, const Copy &copy, int kind) {
    const Block *target = block_of(copy.target.address), *source = block_of(copy.source.address);
    bool from_host = on_host(source), to_host = on_host(target);
    if (from_host != to_host) count(from_host ? COPIES_FROM_HOST : COPIES_TO_HOST);
    if (!from_host && !to_host) count(COPIES_ON_DEVICE);
    if (!copy.width || !copy.height) return cudaSuccess;
    CudaError error = check(copy, kind, target, source);
    if (error) return error;
    Copy placed = copy;
    placed.target.address = for_work(copy.target.address, owners(target));
    placed.source.address = for_work(copy.source.address, owners(source));
    bool keep = pageable(source) && !runs_at_once() && !stream.capture;
    Work work = keep ? with_source_kept(placed) : [placed] { run(placed); };
    error =
        enqueue_between_devices(stream, {"a copy", stream.device, owners(target) | owners(source), std::move(work)});
    if (error || stream.capture) return error;
    if (pageable(target)) {  // as CUDA does: it cannot be written while the host runs on
        drain(stream);
        return stream.device->broken;
    }
    return cudaSuccess;
}

CudaError copy_in_stream(void *handle, const Copy &copy, int kind) {
    return call([&] {
        auto stream = stream_of(handle);
        return stream ? enqueue(*stream, copy, kind) : cudaErrorInvalidResourceHandle;
    });
}
CudaError copy_and_wait(const Copy &copy, int kind) {
    return call_outside_capture([&] {
        auto stream = stream_of(nullptr);
        CudaError error = enqueue(*stream, copy, kind);
        if (error) return error;
        drain(*stream);
        return stream->device->broken;
    });
}
Copy line(void *target, const void *source, size_t size) { return {{target, size}, {(void *)source, size}, size, 1}; }
Copy rectangle(void *target, size_t target_pitch, const void *source, size_t source_pitch, size_t width,
               size_t height) {
    return {{target, target_pitch}, {(void *)source, source_pitch}, width, height};
}
bool known(int number) { return number >= 0 && number < device_count(); }

CudaError fill(Stream &stream, void *address, int value, size_t size) {
    const Block *block = block_of(address);
    if (!size) return cudaSuccess;
    if (!block || !inside(block, address, size)) return cudaErrorInvalidValue;
    void *placed = for_work(address, owners(block));
    return enqueue(stream, {"a fill", stream.device, owners(block), [=] { memset(placed, value, size); }});
}
}  // namespace

}  // namespace emulator

using namespace emulator;

extern "C" {
EMULATOR_API CudaError cudaMemcpyAsync(void *target, const void *source, size_t size, int kind, void *stream) {
    return copy_in_stream(stream, line(target, source, size), kind);
}
EMULATOR_API CudaError cudaMemcpy(void *target, const void *source, size_t size, int kind) {
    return copy_and_wait(line(target, source, size), kind);
}
EMULATOR_API CudaError cudaMemcpyPeerAsync(void *target, int to, const void *source, int from, size_t size,
                                           void *stream) {
    if (!known(to) || !known(from)) return fail(cudaErrorInvalidDevice);
    return copy_in_stream(stream, line(target, source, size), COPY_BY_ADDRESS);
}
EMULATOR_API CudaError cudaMemcpyPeer(void *target, int to, const void *source, int from, size_t size) {
    if (!known(to) || !known(from)) return fail(cudaErrorInvalidDevice);
    return copy_and_wait(line(target, source, size), COPY_BY_ADDRESS);
}
EMULATOR_API CudaError cudaMemcpy2DAsync(void *target, size_t target_pitch, const void *source, size_t source_pitch,
                                         size_t width, size_t height, int kind, void *stream) {
    return copy_in_stream(stream, rectangle(target, target_pitch, source, source_pitch, width, height), kind);
}
EMULATOR_API CudaError cudaMemcpy2D(void *target, size_t target_pitch, const void *source, size_t source_pitch,
                                    size_t width, size_t height, int kind) {
    return copy_and_wait(rectangle(target, target_pitch, source, source_pitch, width, height), kind);
}

EMULATOR_API CudaError cudaMemsetAsync(void *address, int value, size_t size, void *handle) {
    return call([&] {
        auto stream = stream_of(handle);
        return stream ? fill(*stream, address, value, size) : cudaErrorInvalidResourceHandle;
    });
}
EMULATOR_API CudaError cudaMemset(void *address, int value, size_t size) {
    return call_outside_capture([&] { return fill(*stream_of(nullptr), address, value, size); });
}
}
