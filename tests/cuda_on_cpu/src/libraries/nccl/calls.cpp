// SPDX-License-Identifier: BSD-3-Clause
// Calls that communicate. A rank writes its part into shared memory, and computes when all parts are there.
#include "calls.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "reductions.h"

namespace emulator {

namespace {
const char *const NAMES[] = {"AllReduce", "Reduce", "Broadcast", "ReduceScatter", "AllGather", "Send", "Recv"};
constexpr unsigned char POISON = 0xff;

bool same(const Call &a, const Call &b) {
    return a.operation == b.operation && a.type == b.type && a.reduction == b.reduction && a.root == b.root &&
           a.count == b.count && a.group == b.group && a.place == b.place;
}
bool is_dead(const Member &member) { return kill(member.process, 0) && errno == ESRCH; }
}  // namespace

std::string described(const Call &call) {
    char text[160];
    int used = snprintf(text, sizeof text, "%s of %zu %s", NAMES[call.operation], call.count, name_of(call.type));
    if (call.operation == REDUCE || call.operation == BROADCAST)
        used += snprintf(text + used, sizeof text - used, ", root %d", call.root);
    if (call.reduction) used += snprintf(text + used, sizeof text - used, ", reduction %d", call.reduction);
    if (call.group > 1) snprintf(text + used, sizeof text - used, ", %d of a group of %d", call.place + 1, call.group);
    return text;
}

size_t Request::numbers_in(int ranks) const { return call.operation == REDUCE_SCATTER ? call.count * ranks : call.count; }
size_t Request::numbers_out(int ranks) const { return call.operation == ALL_GATHER ? call.count * ranks : call.count; }

bool Progress::poll() {
    if (own->state() == ABORTED || (own->clique->error() && give_up())) {
        if (request.target) memset(request.target, POISON, request.numbers_out(own->ranks) * bytes_of(request.call.type));
        own->unfinished--;
        return true;
    }
    if (own->clique->error()) return false;  // until the communicator is aborted
    if (begun == Clock::time_point{}) begun = Clock::now();
    Operation operation = request.call.operation;
    bool done = operation == SEND ? poll_send() : operation == RECEIVE ? poll_receive() : poll_collective();
    if (done) own->unfinished--;
    if (!done && Clock::now() - begun > PATIENCE) late();
    return done;
}

void Progress::late() {
    own->clique->fail(ncclSystemError, "rank %d has waited for %lld seconds in %s", own->rank,
                      (long long)PATIENCE.count(), described(request.call).c_str());
}

// On a GPU the work would wait until the program aborts the communicator. Here it ends after a while, with NaN.
bool Progress::give_up() {
    if (failed == Clock::time_point{}) failed = Clock::now();
    if (Clock::now() - failed < PATIENCE_AFTER_ERROR) return false;
    refuse(ncclInternalError, "rank %d waits in %s after an error, and nothing aborts it: its numbers are NaN", own->rank,
           described(request.call).c_str());
    return true;
}

// Collective calls

bool Progress::poll_collective() {
    if (!arrived && !(arrived = arrive())) return false;
    if (!all_arrived() || !compare()) return false;
    compute();
    own->self().finished = number + 1;
    return true;
}

bool Progress::arrive() {
    Member &self = own->self();
    if (self.finished < number) return false;  // the communicator's call before, in another stream
    size_t size = request.numbers_in(own->ranks) * bytes_of(request.call.type);
    bool gives = request.call.operation != BROADCAST || own->rank == request.call.root;
    auto part = own->clique->part(own->rank, number, size);
    if (!part->data) return own->clique->fail(ncclSystemError, "no shared memory for %zu bytes", size), false;
    if (gives) memcpy(part->data, request.source, size);
    self.calls[number % 2] = request.call;
    self.arrived = number + 1;
    return true;
}

bool Progress::all_arrived() {
    bool all = true;
    for (int i = 0; i < own->ranks; i++) {
        const Member &member = own->shared().members[i];
        if (member.arrived > number) continue;
        all = false;
        if (member.state != JOINED || is_dead(member))
            own->clique->fail(ncclRemoteError, "rank %d waits in %s, but rank %d has %s", own->rank,
                              described(request.call).c_str(), i,
                              member.state == ABORTED     ? "aborted its communicator"
                              : member.state == DESTROYED ? "destroyed its communicator"
                                                          : "died");
    }
    return all;
}

bool Progress::compare() {
    for (int i = 0; i < own->ranks; i++) {
        const Call &theirs = own->shared().members[i].calls[number % 2];
        if (same(theirs, request.call)) continue;
        own->clique->fail(ncclInvalidUsage,
                          "call %llu differs between ranks: rank %d has %s, rank %d has %s. A GPU would hang or compute"
                          " wrong numbers",
                          (unsigned long long)number, own->rank, described(request.call).c_str(), i,
                          described(theirs).c_str());
        return false;
    }
    return true;
}

void Progress::compute() {
    const Call &call = request.call;
    size_t width = bytes_of(call.type), bytes = call.count * width;
    size_t sent = request.numbers_in(own->ranks) * width;
    if (call.operation == REDUCE && own->rank != call.root) return;
    size_t offset = call.operation == REDUCE_SCATTER ? own->rank * bytes : 0;
    if (call.operation == BROADCAST) {
        memcpy(request.target, own->clique->part(call.root, number, sent)->data, bytes);
        return;
    }
    for (int i = 0; i < own->ranks; i++) {
        auto part = own->clique->part(i, number, sent);
        if (call.operation == ALL_GATHER)
            memcpy(request.target + i * bytes, part->data, bytes);
        else if (!i)
            memcpy(request.target, part->data + offset, bytes);
        else
            reduce(call.type, call.reduction, request.target, part->data + offset, call.count);
    }
    if (call.operation != ALL_GATHER) finish(call.type, call.reduction, request.target, call.count, own->ranks);
}

// Messages

// A sender's work ends when the receiver has taken the message.
bool Progress::poll_send() {
    Channel &channel = own->shared().channels[own->rank][request.call.root];
    if (!arrived) {
        if (channel.received < channel.sent) return false;
        size_t size = request.call.count * bytes_of(request.call.type);
        auto window = own->clique->message(own->rank, request.call.root, size);
        if (!window->data) return own->clique->fail(ncclSystemError, "no shared memory for %zu bytes", size), false;
        memcpy(window->data, request.source, size);
        channel.call = request.call;
        number = ++channel.sent;
        arrived = true;
    }
    return channel.received >= number;
}

bool Progress::poll_receive() {
    Channel &channel = own->shared().channels[request.call.root][own->rank];
    if (channel.sent == channel.received) return false;
    const Call &theirs = channel.call;
    if (theirs.count != request.call.count || theirs.type != request.call.type) {
        own->clique->fail(ncclInvalidUsage, "rank %d has %s from rank %d, which has %s", own->rank,
                          described(request.call).c_str(), request.call.root, described(theirs).c_str());
        return false;
    }
    size_t size = request.call.count * bytes_of(request.call.type);
    memcpy(request.target, own->clique->message(request.call.root, own->rank, size)->data, size);
    channel.received++;
    return true;
}

}  // namespace emulator
