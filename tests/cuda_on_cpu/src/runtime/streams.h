// SPDX-License-Identifier: BSD-3-Clause
// Streams as queues of tasks, events as places in them, and graphs as tasks with dependencies.
#pragma once
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "memory.h"

namespace emulator {

struct Task {
    const char *name;
    Device *on;
    Devices visible;  // whose memory it may access
    Work work;
    bool calls_host = false;
};

struct Node {
    Task task;
    std::vector<int> after;  // the nodes that it depends on; they come before it
};
struct Graph {
    std::vector<Node> nodes;
};

struct Capture {
    Graph graph;
    CaptureMode mode;
    std::thread::id thread;
    Stream *origin;
    bool broken = false, ended = false;
};

// A place in a stream's queue.
struct Ticket {
    bool done = false;
    double milliseconds = 0;  // when it was reached
    std::shared_ptr<Stream> stream;
};
struct Item {
    Task task;                     // without work: none
    std::shared_ptr<Ticket> wait;  // reached before the task runs
    std::shared_ptr<Ticket> mark;  // reached when the task is done
    std::function<bool()> poll;    // in the place of work: see enqueue_polled
};

struct Stream : std::enable_shared_from_this<Stream> {
    Device *device;
    unsigned flags = 0;
    int priority = 0;
    bool destroyed = false;
    std::deque<Item> queue;
    bool running = false;              // a thread runs an item of it
    std::shared_ptr<Capture> capture;  // that records what is queued
    std::vector<int> last;             // in that graph: what the next node depends on
    bool is_default() const { return device->default_stream.get() == this; }
    bool blocking() const { return !is_default() && !(flags & STREAM_NON_BLOCKING); }
};

struct Event {
    Device *device;
    unsigned flags;
    std::shared_ptr<Ticket> ticket;
    std::shared_ptr<Capture> capture;  // it was last recorded in
    std::vector<int> after;            // the nodes of that capture
};

// The stream of a handle of the user, or null. 0 and 1 are the device's default stream, 2 is the thread's.
std::shared_ptr<Stream> stream_of(void *handle);
std::shared_ptr<Stream> new_stream(Device &device, unsigned flags, int priority);
const std::vector<std::shared_ptr<Stream>> &all_streams();

// Queues a task, or records it. Under the order "now" the task has run when this returns.
CudaError enqueue(Stream &stream, Task task);
CudaError enqueue_item(Stream &stream, Item item);
// Why a stream cannot be used now because of a capture.
CudaError refused_by_stream(Stream &stream);
// Whether what is queued has run when the call that queues it returns.
bool runs_at_once();
// What is queued on `stream` from now on runs after all that is queued on `other`, and on what that waits for.
void queue_after(Stream &stream, Stream &other);

// Runs the first item of a stream, and what it waits for. False if it waits for another thread or process.
bool step(Stream &stream);
// Steps streams that others may wait for, once each. Whether anything ran.
bool step_others();
// The same, and waits until it has run.
void advance(Stream &stream);
void drain(Stream &stream);
void drain_device(const Device &device);
void wait_for(const std::shared_ptr<Ticket> &ticket);

// Runs a task now. A fault in it breaks its device.
void perform(const Task &task);
// Runs a graph's tasks in an order that its dependencies allow.
void replay(const Graph &graph);

void break_captures(const std::function<bool(const Capture &)> &which);
std::shared_ptr<Capture> new_capture(Stream &origin, CaptureMode mode);
int add_node(Stream &stream, Task task);

}  // namespace emulator
