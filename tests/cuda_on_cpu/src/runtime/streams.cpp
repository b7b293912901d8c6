// SPDX-License-Identifier: BSD-3-Clause
// Creating, waiting for and asking about streams.
#include "streams.h"

#include <algorithm>
#include <unordered_map>

namespace emulator {

namespace {
std::vector<std::shared_ptr<Stream>> streams;
std::unordered_map<void *, std::shared_ptr<Stream>> handles;

std::shared_ptr<Stream> stream_of_thread() {
    static thread_local std::map<int, std::shared_ptr<Stream>> own;
    auto &stream = own[current_device()];
    if (!stream) stream = new_stream(device(current_device()), 0, 0);
    return stream;
}

CudaError create(void **out, unsigned flags, int priority) {
    return call([&] {
        if (flags & ~STREAM_NON_BLOCKING) return cudaErrorInvalidValue;
        auto stream = new_stream(device(current_device()), flags, std::clamp(priority, -5, 0));
        *out = stream.get();
        handles[*out] = stream;
        return cudaSuccess;
    });
}

template <class Body>
CudaError with_stream(void *handle, Body body) {
    return call([&] {
        auto stream = stream_of(handle);
        return stream ? body(*stream) : cudaErrorInvalidResourceHandle;
    });
}

// A stream that is captured cannot be waited for or asked.
CudaError refused_to_wait(const Stream &stream) {
    if (stream.capture) {
        stream.capture->broken = true;
        return cudaErrorStreamCaptureUnsupported;
    }
    return refused_by_capture();
}
}  // namespace

const std::vector<std::shared_ptr<Stream>> &all_streams() { return streams; }

std::shared_ptr<Stream> new_stream(Device &on, unsigned flags, int priority) {
    auto done = [](const std::shared_ptr<Stream> &s) { return s->destroyed && s->queue.empty() && !s->running; };
    streams.erase(std::remove_if(streams.begin(), streams.end(), done), streams.end());
    auto stream = std::make_shared<Stream>();
    stream->device = &on;
    stream->flags = flags;
    stream->priority = priority;
    streams.push_back(stream);
    return stream;
}

std::shared_ptr<Stream> stream_of(void *handle) {
    if ((size_t)handle <= 1) return device(current_device()).default_stream;
    if ((size_t)handle == 2) return stream_of_thread();
    auto it = handles.find(handle);
    return it == handles.end() ? nullptr : it->second;
}

}  // namespace emulator

using namespace emulator;

extern "C" {
EMULATOR_API CudaError cudaStreamCreateWithPriority(void **out, unsigned flags, int priority) {
    return create(out, flags, priority);
}
EMULATOR_API CudaError cudaStreamCreateWithFlags(void **out, unsigned flags) { return create(out, flags, 0); }
EMULATOR_API CudaError cudaStreamCreate(void **out) { return create(out, 0, 0); }

// What is queued on it still runs.
EMULATOR_API CudaError cudaStreamDestroy(void *handle) {
    return with_stream(handle, [&](Stream &stream) {
        if (!handles.count(handle)) return cudaErrorInvalidResourceHandle;
        if (stream.capture && stream.capture->origin == &stream) stream.capture->ended = true;
        stream.destroyed = true;
        handles.erase(handle);
        return cudaSuccess;
    });
}

EMULATOR_API CudaError cudaStreamGetFlags(void *handle, unsigned *out) {
    return with_stream(handle, [&](Stream &stream) {
        *out = stream.flags;
        return cudaSuccess;
    });
}
EMULATOR_API CudaError cudaStreamGetPriority(void *handle, int *out) {
    return with_stream(handle, [&](Stream &stream) {
        *out = stream.priority;
        return cudaSuccess;
    });
}
EMULATOR_API CudaError cudaStreamGetDevice(void *handle, int *out) {
    return with_stream(handle, [&](Stream &stream) {
        *out = stream.device->number;
        return cudaSuccess;
    });
}
EMULATOR_API CudaError cudaDeviceGetStreamPriorityRange(int *least, int *greatest) {
    *least = 0;
    *greatest = -5;
    return cudaSuccess;
}

EMULATOR_API CudaError cudaStreamSynchronize(void *handle) {
    return with_stream(handle, [&](Stream &stream) {
        CudaError error = refused_to_wait(stream);
        if (error) return error;
        count(WAITS);
        drain(stream);
        return stream.device->broken;
    });
}

EMULATOR_API CudaError cudaStreamQuery(void *handle) {
    return with_stream(handle, [&](Stream &stream) {
        CudaError error = refused_to_wait(stream);
        if (error) return error;
        if (!stream.running && !step(stream)) step_others();  // so that asking again and again ends
        if (stream.device->broken) return stream.device->broken;
        return stream.running || !stream.queue.empty() ? cudaErrorNotReady : cudaSuccess;
    });
}

EMULATOR_API CudaError cudaLaunchHostFunc(void *handle, void (*function)(void *), void *data) {
    return with_stream(handle, [&](Stream &stream) {
        count(HOST_CALLBACKS);
        return enqueue(stream, {"a host function", stream.device, 0, [=] { function(data); }, true});
    });
}
EMULATOR_API CudaError cudaStreamAddCallback(void *handle, void (*function)(void *, CudaError, void *), void *data,
                                             unsigned flags) {
    return with_stream(handle, [&](Stream &stream) {
        if (flags) return cudaErrorInvalidValue;
        if (stream.capture) return refused_to_wait(stream);
        count(HOST_CALLBACKS);
        return enqueue(stream, {"a callback", stream.device, 0, [=] { function(handle, cudaSuccess, data); }, true});
    });
}
}
