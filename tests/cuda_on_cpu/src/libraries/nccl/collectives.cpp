// SPDX-License-Identifier: BSD-3-Clause
// NCCL: the calls that communicate are checked, and queued on their streams.
#include <map>

#include "calls.h"
#include "reductions.h"

extern "C" int cudaPointerGetAttributes(void *out, const void *address);

namespace emulator {

namespace {
struct Pending {
    std::shared_ptr<Communicator> own;
    Request request;
    void *stream;
};
thread_local std::vector<Pending> pending;  // of the group, or one call

struct Attributes {
    int type, device;
    void *on_device, *on_host;
};
constexpr int ON_DEVICE = 2;

ncclResult_t check_memory(const Communicator &own, const char *what, const void *address) {
    Attributes found;
    if (cudaPointerGetAttributes(&found, address) || found.type != ON_DEVICE)
        return refuse(ncclInvalidArgument, "%s %p is not memory of a device", what, address);
    if (found.device != own.device)
        return refuse(ncclInvalidArgument, "%s lies on device %d, and the communicator's is %d", what, found.device,
                      own.device);
    return ncclSuccess;
}

// Where the two overlap, the result is defined only for the places that NVIDIA documents.
ncclResult_t check_overlap(const Communicator &own, const Request &request) {
    const char *source = request.source, *target = request.target;
    size_t width = bytes_of(request.call.type), bytes = request.call.count * width;
    size_t in = request.numbers_in(own.ranks) * width, out = request.numbers_out(own.ranks) * width;
    if (!source || !target || source + in <= target || target + out <= source) return ncclSuccess;
    const char *expected = request.call.operation == REDUCE_SCATTER ? source + own.rank * bytes : source;
    if (request.call.operation == ALL_GATHER) expected = source - own.rank * bytes;
    if (target == expected) return ncclSuccess;
    return refuse(ncclInvalidUsage, "%s: the buffers overlap, and not in place", described(request.call).c_str());
}

ncclResult_t check(const Communicator &own, const Request &request) {
    const Call &call = request.call;
    if (call.root < 0 || call.root >= own.ranks)
        return refuse(ncclInvalidArgument, "invalid root or peer %d of %d", call.root, own.ranks);
    if (!bytes_of(call.type)) return refuse(ncclInvalidArgument, "invalid type %d", call.type);
    if (!is_reduction(call.reduction)) return refuse(ncclInvalidArgument, "invalid reduction %d", call.reduction);
    if (own.clique->error()) return refuse(own.clique->error(), "a call after an error: abort the communicator");
    if (!call.count) return ncclSuccess;
    bool reads = call.operation != RECEIVE && (call.operation != BROADCAST || own.rank == call.root);
    bool writes = call.operation != SEND && (call.operation != REDUCE || own.rank == call.root);
    ncclResult_t error = reads ? check_memory(own, "the send buffer", request.source) : ncclSuccess;
    if (!error && writes) error = check_memory(own, "the receive buffer", request.target);
    return error ? error : check_overlap(own, request);
}

ncclResult_t queue(Pending &call) {
    OnDevice device(call.own->device);
    bool message = call.request.call.operation == SEND || call.request.call.operation == RECEIVE;
    place_for_work(&call.request.source, sizeof(char *));
    place_for_work(&call.request.target, sizeof(char *));
    auto progress = std::make_shared<Progress>(call.own, call.request, message ? 0 : call.own->issued++);
    call.own->unfinished++;
    if (!enqueue_polled(call.stream, [progress] { return progress->poll(); })) return ncclSuccess;
    call.own->unfinished--;
    return ncclUnhandledCudaError;
}

// Messages of a group proceed together: a sender may not wait for the end of its own receiving.
bool poll_all(std::vector<std::shared_ptr<Progress>> &left) {
    for (size_t i = left.size(); i--;)
        if (left[i]->poll()) left.erase(left.begin() + i);
    return left.empty();
}

ncclResult_t queue_messages(std::vector<Pending> &calls) {
    OnDevice device(calls[0].own->device);
    std::vector<std::shared_ptr<Progress>> all;
    for (auto &call : calls) {
        if (call.stream != calls[0].stream)
            return refuse(ncclInvalidUsage, "not emulated: messages of a communicator's group in several streams");
        place_for_work(&call.request.source, sizeof(char *));
        place_for_work(&call.request.target, sizeof(char *));
        all.insert(all.begin(), std::make_shared<Progress>(call.own, call.request, 0));
        call.own->unfinished++;
    }
    if (!enqueue_polled(calls[0].stream, [all]() mutable { return poll_all(all); })) return ncclSuccess;
    calls[0].own->unfinished -= (int)calls.size();
    return ncclUnhandledCudaError;
}

// Outside of a group, one thread may drive one rank only: the library's own set-up waits for the others.
ncclResult_t check_thread(const std::vector<Pending> &calls) {
    static thread_local std::map<std::string, int> driven;
    if (calls.size() != 1) return ncclSuccess;
    auto [known, added] = driven.emplace(calls[0].own->clique->name, calls[0].own->rank);
    if (added || known->second == calls[0].own->rank) return ncclSuccess;
    return refuse(ncclInvalidUsage, "one thread calls for rank %d and rank %d outside of a group, which may hang",
                  known->second, calls[0].own->rank);
}

// Queues the calls of a group.
ncclResult_t begin() {
    auto calls = std::exchange(pending, {});
    if (ncclResult_t error = check_thread(calls)) return error;
    std::map<Communicator *, std::vector<Pending>> messages;
    std::map<Communicator *, int> collectives, places;
    auto is_message = [](const Pending &call) { return call.request.call.operation >= SEND; };
    for (auto &call : calls) is_message(call) ? (void)messages[call.own.get()].push_back(call)
                                              : (void)collectives[call.own.get()]++;
    for (auto &call : calls) {
        if (is_message(call)) continue;
        call.request.call.group = collectives[call.own.get()];
        call.request.call.place = places[call.own.get()]++;
        if (ncclResult_t error = queue(call)) return error;
    }
    for (auto &of : messages)
        if (ncclResult_t error = queue_messages(of.second)) return error;
    return ncclSuccess;
}

ncclResult_t call(void *handle, Operation operation, const void *source, void *target, size_t count, int type,
                  int reduction, int root, void *stream) {
    auto own = communicator_of(handle);
    if (!own) return remembered(refuse(ncclInvalidArgument, "the communicator is destroyed, aborted, or none"));
    Request request{{operation, type, reduction, root, count, 1, 0}, (const char *)source, (char *)target};
    if (ncclResult_t error = check(*own, request)) return remembered(error);
    if (!count) return ncclSuccess;
    bool first = pending.empty();
    pending.push_back({own, request, stream});
    return first ? at_end_of_group(begin) : ncclSuccess;
}
}  // namespace

void forget_calls() { pending.clear(); }

}  // namespace emulator

using namespace emulator;

NCCL ncclResult_t ncclAllReduce(const void *in, void *out, size_t count, int type, int reduction, void *handle,
                                void *stream) {
    return call(handle, ALL_REDUCE, in, out, count, type, reduction, 0, stream);
}
NCCL ncclResult_t ncclReduce(const void *in, void *out, size_t count, int type, int reduction, int root, void *handle,
                             void *stream) {
    return call(handle, REDUCE, in, out, count, type, reduction, root, stream);
}
NCCL ncclResult_t ncclBroadcast(const void *in, void *out, size_t count, int type, int root, void *handle,
                                void *stream) {
    return call(handle, BROADCAST, in, out, count, type, ncclSum, root, stream);
}
NCCL ncclResult_t ncclBcast(void *buffer, size_t count, int type, int root, void *handle, void *stream) {
    return ncclBroadcast(buffer, buffer, count, type, root, handle, stream);
}
NCCL ncclResult_t ncclReduceScatter(const void *in, void *out, size_t count, int type, int reduction, void *handle,
                                    void *stream) {
    return call(handle, REDUCE_SCATTER, in, out, count, type, reduction, 0, stream);
}
NCCL ncclResult_t ncclAllGather(const void *in, void *out, size_t count, int type, void *handle, void *stream) {
    return call(handle, ALL_GATHER, in, out, count, type, ncclSum, 0, stream);
}
NCCL ncclResult_t ncclSend(const void *in, size_t count, int type, int peer, void *handle, void *stream) {
    return call(handle, SEND, in, nullptr, count, type, ncclSum, peer, stream);
}
NCCL ncclResult_t ncclRecv(void *out, size_t count, int type, int peer, void *handle, void *stream) {
    return call(handle, RECEIVE, nullptr, out, count, type, ncclSum, peer, stream);
}
