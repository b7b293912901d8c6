// SPDX-License-Identifier: BSD-3-Clause
// Events: places in the queue of a stream that streams and the host wait for, and the dependencies of a captured graph.
#include <unordered_map>

#include "streams.h"

namespace emulator {

namespace {
std::unordered_map<void *, std::shared_ptr<Event>> events;

template <class Body>
CudaError with_event(void *handle, Body body) {
    return call([&] {
        auto it = events.find(handle);
        if (it == events.end()) return cudaErrorInvalidResourceHandle;
        auto event = it->second;
        return body(*event);
    });
}

// The host cannot wait for or ask about an event that is only a place in a graph.
CudaError refused_to_wait(const Event &event) {
    if (event.capture) {
        if (!event.capture->ended) event.capture->broken = true;
        return cudaErrorCapturedEvent;
    }
    return refused_by_capture();
}

CudaError record(Event &event, Stream &stream) {
    if (event.device != stream.device) return cudaErrorInvalidResourceHandle;
    CudaError error = refused_by_stream(stream);
    if (error) return error;
    event.ticket = nullptr;
    event.capture = stream.capture;
    if (stream.capture) {
        event.after = stream.last;
        return cudaSuccess;
    }
    event.ticket = std::make_shared<Ticket>();
    event.ticket->stream = stream.shared_from_this();
    return enqueue_item(stream, {{}, nullptr, event.ticket});
}

// The stream becomes part of the capture in which the event was recorded, or depends on one more of its nodes.
CudaError join(Stream &stream, const Event &event) {
    if (event.capture->ended) return cudaErrorCapturedEvent;
    if (event.capture->broken) return cudaErrorStreamCaptureInvalidated;
    if (stream.is_default()) {
        event.capture->broken = true;
        return cudaErrorStreamCaptureImplicit;
    }
    if (stream.capture && stream.capture != event.capture) {
        stream.capture->broken = event.capture->broken = true;
        return cudaErrorStreamCaptureMerge;
    }
    if (!stream.capture) stream.last.clear();
    stream.capture = event.capture;
    for (int node : event.after) {
        bool known = false;
        for (int other : stream.last) known = known || other == node;
        if (!known) stream.last.push_back(node);
    }
    return cudaSuccess;
}

CudaError wait_in_stream(Stream &stream, const Event &event) {
    if (event.capture) return join(stream, event);
    CudaError error = refused_by_stream(stream);
    if (error || !event.ticket) return error;
    if (stream.capture) {
        stream.capture->broken = true;
        return cudaErrorStreamCaptureIsolation;
    }
    return event.ticket->done ? cudaSuccess : enqueue_item(stream, {{}, event.ticket, nullptr});
}
}  // namespace

}  // namespace emulator

using namespace emulator;

extern "C" {
EMULATOR_API CudaError cudaEventCreateWithFlags(void **out, unsigned flags) {
    return call([&] {
        if (flags & EVENT_INTERPROCESS) return (not_emulated("cudaEventInterprocess"), cudaErrorNotSupported);
        if (flags & ~(EVENT_BLOCKING_SYNC | EVENT_DISABLE_TIMING)) return cudaErrorInvalidValue;
        auto event = std::make_shared<Event>(Event{&device(current_device()), flags, {}, {}, {}});
        *out = event.get();
        events[*out] = event;
        return cudaSuccess;
    });
}
EMULATOR_API CudaError cudaEventCreate(void **out) { return cudaEventCreateWithFlags(out, 0); }
EMULATOR_API CudaError cudaEventDestroy(void *handle) {
    return call([&] { return events.erase(handle) ? cudaSuccess : cudaErrorInvalidResourceHandle; });
}

EMULATOR_API CudaError cudaEventRecord(void *handle, void *stream_handle) {
    return with_event(handle, [&](Event &event) {
        auto stream = stream_of(stream_handle);
        return stream ? record(event, *stream) : cudaErrorInvalidResourceHandle;
    });
}

EMULATOR_API CudaError cudaStreamWaitEvent(void *stream_handle, void *handle, unsigned flags) {
    return with_event(handle, [&](Event &event) {
        auto stream = stream_of(stream_handle);
        if (!stream) return cudaErrorInvalidResourceHandle;
        if (flags) return (not_emulated("cudaEventWaitExternal"), cudaErrorNotSupported);
        return wait_in_stream(*stream, event);
    });
}

EMULATOR_API CudaError cudaEventSynchronize(void *handle) {
    return with_event(handle, [](Event &event) {
        CudaError error = refused_to_wait(event);
        if (error) return error;
        count(WAITS);
        if (event.ticket) wait_for(event.ticket);
        return event.device->broken;
    });
}

EMULATOR_API CudaError cudaEventQuery(void *handle) {
    return with_event(handle, [](Event &event) {
        CudaError error = refused_to_wait(event);
        if (error) return error;
        auto ticket = event.ticket;
        auto stream = ticket ? ticket->stream : nullptr;
        if (stream && !stream->running && !step(*stream)) step_others();  // so that asking again and again ends
        if (event.device->broken) return event.device->broken;
        return !ticket || ticket->done ? cudaSuccess : cudaErrorNotReady;
    });
}

EMULATOR_API CudaError cudaEventElapsedTime(float *out, void *from, void *to) {
    return with_event(from, [&](Event &first) {
        return with_event(to, [&](Event &second) {
            if (first.device != second.device || (first.flags | second.flags) & EVENT_DISABLE_TIMING)
                return cudaErrorInvalidResourceHandle;
            if (!first.ticket || !second.ticket) return cudaErrorInvalidResourceHandle;
            if (!first.ticket->done || !second.ticket->done) return cudaErrorNotReady;
            *out = (float)(second.ticket->milliseconds - first.ticket->milliseconds);
            return cudaSuccess;
        });
    });
}
}
