// SPDX-License-Identifier: BSD-3-Clause
// When the tasks in the queues of streams run.
#include <chrono>

#include "order.h"
#include "streams.h"

namespace emulator {

namespace {
double milliseconds() {
    auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration<double, std::milli>(now).count();
}

void follow(Stream &stream, Stream &other) {
    if (other.queue.empty() && !other.running) return;
    auto ticket = std::make_shared<Ticket>();
    ticket->stream = other.shared_from_this();
    other.queue.push_back({{}, nullptr, ticket});
    stream.queue.push_back({{}, ticket, nullptr});
}

// The default stream and the blocking streams of a device wait for each other.
void follow_default(Stream &stream) {
    if (stream.blocking()) follow(stream, *stream.device->default_stream);
    if (!stream.is_default()) return;
    for (auto &other : all_streams())
        if (other->device == stream.device && other->blocking()) follow(stream, *other);
}

// For a while one stream is faster than the others; besides, a few items of any stream run.
struct Pace {
    unsigned calls = 0;
    std::weak_ptr<Stream> favourite;
} pace;

std::vector<std::shared_ptr<Stream>> streams_with_work() {
    std::vector<std::shared_ptr<Stream>> found;
    for (auto &stream : all_streams())
        if (!stream->queue.empty()) found.push_back(stream);
    return found;
}

int polled = 0;  // items with `poll` in all queues

// Runs what is queued, unless it waits for another thread or process.
void run_queue(Stream &stream) {
    auto kept = stream.shared_from_this();
    for (;;) {
        while (stream.running) wait_for_others();
        if (!step(stream)) return;
    }
}

void run_drawn() {
    auto streams = streams_with_work();
    if (pace.calls++ % 16 == 0 && !streams.empty()) pace.favourite = streams[draw(streams.size())];
    if (auto favourite = pace.favourite.lock()) run_queue(*favourite);
    for (unsigned n = draw(4); n; n--)
        if (streams = streams_with_work(); !streams.empty()) step(*streams[draw(streams.size())]);
}

// Runs the first item of a stream. False if it waits for another thread or process; then it stays the first.
bool run_first(Stream &stream) {
    Item &first = stream.queue.front();
    while (first.wait && !first.wait->done) {
        auto other = first.wait->stream;  // running the item forgets it
        if (!step(*other)) return false;
    }
    if (first.poll) {
        bool done = stream.device->broken;
        perform({first.task.name, first.task.on, first.task.visible, [&] { done = first.poll(); }});
        if (!done && !stream.device->broken) return false;
        polled--;
    }
    Item item = std::move(first);
    stream.queue.pop_front();
    if (item.task.work) perform(item.task);
    if (item.mark) {
        item.mark->milliseconds = milliseconds();
        item.mark->done = true;
        item.mark->stream.reset();
    }
    return true;
}

bool polls(const Stream &stream) {
    for (auto &item : stream.queue)
        if (item.poll) return true;
    return false;
}
}  // namespace

void queue_after(Stream &stream, Stream &other) {
    follow_default(other);
    follow(stream, other);
}

bool runs_at_once() { return order() == Order::NOW && !polled; }

CudaError enqueue_item(Stream &stream, Item item) {
    if (runs_at_once() && !item.poll) {
        stream.queue.push_back(std::move(item));
        run_queue(stream);
        return cudaSuccess;
    }
    follow_default(stream);
    polled += item.poll != nullptr;
    stream.queue.push_back(std::move(item));
    if (order() == Order::DRAWN) run_drawn();
    if (order() == Order::NOW || (order() == Order::MAIN && stream.is_default())) run_queue(stream);
    while (order() == Order::NOW && step_others()) continue;
    return cudaSuccess;
}

CudaError enqueue(Stream &stream, Task task) {
    CudaError error = refused_by_stream(stream);
    if (error) return error;
    if (stream.capture) {
        stream.last = {add_node(stream, std::move(task))};
        return cudaSuccess;
    }
    return enqueue_item(stream, {std::move(task), nullptr, nullptr, nullptr});
}

bool step(Stream &stream) {
    auto kept = stream.shared_from_this();
    if (stream.running || stream.queue.empty()) return false;
    stream.running = true;
    bool ran = run_first(stream);
    stream.running = false;
    if (ran) notify_others();
    return ran;
}

// Under the order "now" all that can run, under others what another thread or process may wait for.
bool step_others() {
    bool ran = false;
    for (auto &stream : streams_with_work())
        if (order() == Order::NOW || polls(*stream)) ran = step(*stream) || ran;
    return ran;
}

void advance(Stream &stream) {
    auto kept = stream.shared_from_this();
    while (stream.running) wait_for_others();
    while (!stream.queue.empty() && !step(stream))
        if (!step_others()) wait_a_moment();
}

void drain(Stream &stream) {
    auto kept = stream.shared_from_this();
    while (stream.running || !stream.queue.empty()) advance(stream);
}

void drain_device(const Device &device) {
    auto streams = all_streams();
    for (auto &stream : streams)
        if (stream->device == &device) drain(*stream);
}

void wait_for(const std::shared_ptr<Ticket> &ticket) {
    while (!ticket->done) {
        auto stream = ticket->stream;  // running the item forgets it
        advance(*stream);
    }
}

void place_for_work(void *bytes, size_t size) {
    if (device_count()) place_for_work(bytes, size, visible_from(device(current_device())));
}

int enqueue_work(void *handle, Work work) {  // for libraries
    return call([&] {
        auto stream = stream_of(handle);
        if (!stream || stream->device->number != current_device()) return cudaErrorInvalidResourceHandle;
        count(LIBRARY_CALLS);
        return enqueue(*stream,
                       {"a library's function", stream->device, visible_from(*stream->device), std::move(work)});
    });
}

int enqueue_polled(void *handle, std::function<bool()> poll) {  // for libraries
    return call([&] {
        auto stream = stream_of(handle);
        if (!stream || stream->device->number != current_device()) return cudaErrorInvalidResourceHandle;
        if (stream->capture) return (not_emulated("communication in a graph"), cudaErrorNotSupported);
        CudaError error = refused_by_stream(*stream);
        if (error) return error;
        count(LIBRARY_CALLS);
        Task task{"communication", stream->device, visible_from(*stream->device), nullptr};
        return enqueue_item(*stream, {std::move(task), nullptr, nullptr, std::move(poll)});
    });
}

int wait(void *handle) {  // for libraries
    return call([&] {
        auto stream = stream_of(handle);
        if (!stream) return cudaErrorInvalidResourceHandle;
        CudaError error = refused_by_capture();
        if (error) return error;
        count(WAITS);
        drain(*stream);
        return stream->device->broken;
    });
}

}  // namespace emulator

using namespace emulator;

extern "C" {
// "now", "late", "main", or a number: a seed. What is queued runs first.
EMULATOR_API void emulator_set_order(const char *text) {
    Guard guard;
    for (int i = 0; i < device_count(); i++) drain_device(device(i));
    set_order(text);
    pace = {};
}
}
