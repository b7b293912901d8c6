// SPDX-License-Identifier: BSD-3-Clause
// Recording what is queued on streams as a graph, and what may not be done meanwhile.
#include "graphs.h"
#include "streams.h"

namespace emulator {

namespace {
std::vector<std::weak_ptr<Capture>> captures;
thread_local CaptureMode thread_mode = CAPTURE_GLOBAL;
}  // namespace

std::shared_ptr<Capture> new_capture(Stream &origin, CaptureMode mode) {
    auto capture = std::make_shared<Capture>();
    capture->mode = mode;
    capture->thread = std::this_thread::get_id();
    capture->origin = &origin;
    captures.push_back(capture);
    return capture;
}

void break_captures(const std::function<bool(const Capture &)> &which) {
    for (size_t i = captures.size(); i--;) {
        auto capture = captures[i].lock();
        if (!capture || capture->ended)
            captures.erase(captures.begin() + i);
        else if (which(*capture))
            capture->broken = true;
    }
}

CudaError refused_by_capture() {
    if (thread_mode == CAPTURE_RELAXED || captures.empty()) return cudaSuccess;
    CudaError error = cudaSuccess;
    break_captures([&](const Capture &capture) {
        bool own = capture.thread == std::this_thread::get_id() && capture.mode != CAPTURE_RELAXED;
        bool forbidden = own || (thread_mode == CAPTURE_GLOBAL && capture.mode == CAPTURE_GLOBAL);
        if (forbidden) error = cudaErrorStreamCaptureUnsupported;
        return forbidden;
    });
    return error;
}

CudaError refused_by_stream(Stream &stream) {
    if (stream.capture) return stream.capture->broken ? cudaErrorStreamCaptureInvalidated : cudaSuccess;
    if (!stream.is_default() || captures.empty()) return cudaSuccess;
    for (auto &other : all_streams())  // the default stream would wait for this one
        if (other->device == stream.device && other->blocking() && other->capture) {
            other->capture->broken = true;
            return cudaErrorStreamCaptureImplicit;
        }
    return cudaSuccess;
}

int add_node(Stream &stream, Task task) {
    auto &nodes = stream.capture->graph.nodes;
    nodes.push_back({std::move(task), stream.last});
    return (int)nodes.size() - 1;
}

// Whether all that was recorded comes before the end of the stream in which the capture began.
static bool joined(const Capture &capture) {
    const auto &nodes = capture.graph.nodes;
    std::vector<bool> reached(nodes.size());
    for (int node : capture.origin->last) reached[node] = true;
    for (size_t i = nodes.size(); i--;)
        if (reached[i])
            for (int node : nodes[i].after) reached[node] = true;
    for (bool node : reached)
        if (!node) return false;
    return true;
}

static CudaError begin(Stream &stream, int mode) {
    if (mode < CAPTURE_GLOBAL || mode > CAPTURE_RELAXED) return cudaErrorInvalidValue;
    if (stream.is_default()) return cudaErrorStreamCaptureUnsupported;
    if (stream.capture) return cudaErrorIllegalState;
    stream.capture = new_capture(stream, (CaptureMode)mode);
    stream.last.clear();
    return cudaSuccess;
}

static CudaError end(Stream &stream, Graph **out) {
    auto capture = stream.capture;
    if (!capture) return cudaErrorIllegalState;
    if (capture->origin != &stream) {
        capture->broken = true;
        return cudaErrorStreamCaptureUnmatched;
    }
    if (capture->mode != CAPTURE_RELAXED && capture->thread != std::this_thread::get_id())
        return cudaErrorStreamCaptureWrongThread;
    bool complete = joined(*capture);
    capture->ended = true;
    for (auto &other : all_streams())
        if (other->capture == capture) other->capture.reset();
    if (capture->broken) return cudaErrorStreamCaptureInvalidated;
    if (!complete) return cudaErrorStreamCaptureUnjoined;
    *out = new_graph(std::move(capture->graph));
    return cudaSuccess;
}

template <class Body>
static CudaError with_stream(void *handle, Body body) {
    return call([&] {
        auto stream = stream_of(handle);
        return stream ? body(*stream) : cudaErrorInvalidResourceHandle;
    });
}

}  // namespace emulator

using namespace emulator;

extern "C" {
EMULATOR_API CudaError cudaStreamBeginCapture(void *handle, int mode) {
    return with_stream(handle, [&](Stream &stream) { return begin(stream, mode); });
}
EMULATOR_API CudaError cudaStreamEndCapture(void *handle, Graph **out) {
    *out = nullptr;
    return with_stream(handle, [&](Stream &stream) { return end(stream, out); });
}
EMULATOR_API CudaError cudaStreamIsCapturing(void *handle, CaptureStatus *out) {
    return with_stream(handle, [&](Stream &stream) {
        *out = !stream.capture ? CAPTURE_NONE : stream.capture->broken ? CAPTURE_INVALIDATED : CAPTURE_ACTIVE;
        return cudaSuccess;
    });
}
EMULATOR_API CudaError cudaThreadExchangeStreamCaptureMode(CaptureMode *mode) {
    return call([&] {
        if (*mode < CAPTURE_GLOBAL || *mode > CAPTURE_RELAXED) return cudaErrorInvalidValue;
        std::swap(*mode, thread_mode);
        return cudaSuccess;
    });
}
}
