// SPDX-License-Identifier: BSD-3-Clause
// NCCL: making communicators, asking about them, and ending them.
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "communicator.h"

namespace emulator {

namespace {
std::mutex lock;
std::map<void *, std::shared_ptr<Communicator>> communicators;

using Clock = std::chrono::steady_clock;

// Takes a place in the clique. The others are not waited for.
ncclResult_t join(std::shared_ptr<Communicator> *out, int ranks, const ncclUniqueId &id, int rank) {
    if (ranks < 1 || rank < 0 || rank >= ranks)
        return refuse(ncclInvalidArgument, "invalid rank requested: %d of %d", rank, ranks);
    if (ranks > MAX_RANKS) return refuse(ncclSystemError, "not emulated: more than %d ranks", MAX_RANKS);
    int device = 0, devices = 0;
    if (cudaGetDeviceCount(&devices) || cudaGetDevice(&device)) return ncclUnhandledCudaError;
    auto clique = Clique::open(std::string(id.internal, strnlen(id.internal, sizeof id.internal)));
    if (!clique) return refuse(ncclSystemError, "no communicator waits for ranks under this unique id");
    Shared &shared = *clique->shared;
    int expected = 0;
    if (!shared.ranks.compare_exchange_strong(expected, ranks) && expected != ranks)
        return clique->fail(ncclInternalError, "mismatch in the number of ranks: %d and %d", expected, ranks);
    Member &member = shared.members[rank];
    member.device = device;
    member.process = getpid();
    int absent = ABSENT;
    if (!member.state.compare_exchange_strong(absent, JOINED))
        return clique->fail(ncclInternalError, "rank %d of %d has joined already", rank, ranks);
    *out = std::make_shared<Communicator>();
    (*out)->clique = clique;
    (*out)->rank = rank;
    (*out)->ranks = ranks;
    (*out)->device = device;
    if (++shared.joined == ranks) clique->forget_name();
    return ncclSuccess;
}

ncclResult_t meet(const Communicator &own) {
    Shared &shared = own.shared();
    auto end = Clock::now() + PATIENCE;
    while (shared.joined < own.ranks && !shared.error) {
        if (Clock::now() > end)
            return own.clique->fail(ncclSystemError, "%d of %d ranks have joined in %lld seconds", shared.joined.load(),
                                    own.ranks, (long long)PATIENCE.count());
        std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    if (shared.error) return own.clique->error();
    for (int i = 0; i < own.ranks; i++) {
        for (int j = 0; j < i; j++)
            if (shared.members[i].device == shared.members[j].device)
                return own.clique->fail(ncclInvalidUsage, "Duplicate GPU detected: rank %d and rank %d both on device %d",
                                        j, i, shared.members[i].device.load());
        if (shared.members[i].process != getpid()) advance_in_background();
    }
    return ncclSuccess;
}

void *add(const std::shared_ptr<Communicator> &communicator) {
    std::lock_guard guard(lock);
    communicators[communicator.get()] = communicator;
    return communicator.get();
}

ncclResult_t create(void **out, int ranks, ncclUniqueId id, int rank) {
    if (!out) return remembered(refuse(ncclInvalidArgument, "the address for the communicator is null"));
    *out = nullptr;
    std::shared_ptr<Communicator> made;
    ncclResult_t error = join(&made, ranks, id, rank);
    if (error) return remembered(error);
    return at_end_of_group([=] {
        ncclResult_t wrong = meet(*made);
        if (!wrong) *out = add(made);
        return wrong;
    });
}

std::shared_ptr<Communicator> take(void *handle) {
    std::lock_guard guard(lock);
    auto found = communicators.find(handle);
    if (found == communicators.end()) return nullptr;
    auto communicator = found->second;
    communicators.erase(found);
    return communicator;
}

// The work that is left is waited for, which abort ends at once.
ncclResult_t leave(void *handle, State how) {
    if (!handle) return ncclSuccess;
    auto communicator = take(handle);
    if (!communicator) return refuse(ncclInvalidArgument, "the communicator has already been destroyed");
    if (how == ABORTED) communicator->self().state = ABORTED;
    OnDevice device(communicator->device);
    auto end = Clock::now() + PATIENCE;
    wait_until([&] { return communicator->unfinished == 0 || Clock::now() > end; });
    if (how == DESTROYED) communicator->self().state = DESTROYED;
    return ncclSuccess;
}

template <class Question>
ncclResult_t ask(void *handle, int *out, Question question) {
    auto communicator = communicator_of(handle);
    if (!communicator || !out) return refuse(ncclInvalidArgument, "the communicator, or the address, is invalid");
    *out = question(*communicator);
    return ncclSuccess;
}
}  // namespace

std::shared_ptr<Communicator> communicator_of(void *handle) {
    std::lock_guard guard(lock);
    auto found = communicators.find(handle);
    return found == communicators.end() ? nullptr : found->second;
}

}  // namespace emulator

using namespace emulator;

NCCL ncclResult_t ncclGetVersion(int *version) {
    if (!version) return ncclInvalidArgument;
    *version = NCCL_VERSION;
    return ncclSuccess;
}

NCCL const char *ncclGetErrorString(ncclResult_t error) {
    switch (error) {
        case ncclSuccess: return "no error";
        case ncclUnhandledCudaError: return "unhandled cuda error (run with NCCL_DEBUG=INFO for details)";
        case ncclSystemError: return "unhandled system error (run with NCCL_DEBUG=INFO for details)";
        case ncclInternalError: return "internal error - please report this issue to the NCCL developers";
        case ncclInvalidArgument: return "invalid argument (run with NCCL_DEBUG=WARN for details)";
        case ncclInvalidUsage: return "invalid usage (run with NCCL_DEBUG=WARN for details)";
        case ncclRemoteError: return "remote process exited or there was a network error";
        case ncclInProgress: return "NCCL operation in progress";
    }
    return "unknown result code";
}

NCCL ncclResult_t ncclGetUniqueId(ncclUniqueId *out) {
    if (!out) return ncclInvalidArgument;
    std::string name = Clique::create();
    if (name.empty()) return refuse(ncclSystemError, "no shared memory can be made: %s", strerror(errno));
    memset(out, 0, sizeof *out);
    memcpy(out->internal, name.data(), name.size());
    return ncclSuccess;
}

NCCL ncclResult_t ncclCommInitRankConfig(void **out, int ranks, ncclUniqueId id, int rank, ncclConfig_t *config) {
    if (config && config->magic != NCCL_CONFIG_MAGIC)
        return remembered(refuse(ncclInvalidArgument, "the configuration was not initialized"));
    if (config && config->blocking == 0)
        return remembered(refuse(ncclInvalidUsage, "not emulated: a communicator that does not block"));
    return create(out, ranks, id, rank);
}

NCCL ncclResult_t ncclCommInitRank(void **out, int ranks, ncclUniqueId id, int rank) {
    return create(out, ranks, id, rank);
}

NCCL ncclResult_t ncclCommInitAll(void **out, int count, const int *devices) {
    int known = 0;
    cudaGetDeviceCount(&known);
    ncclUniqueId id;
    if (!out || count < 1) return refuse(ncclInvalidArgument, "%d communicators were asked for", count);
    if (ncclResult_t error = ncclGetUniqueId(&id)) return error;
    std::vector<std::shared_ptr<Communicator>> made(count);
    for (int i = 0; i < count; i++) {
        int device = devices ? devices[i] : i;
        if (device < 0 || device >= known) return refuse(ncclInvalidArgument, "invalid device %d of %d", device, known);
        OnDevice on(device);
        if (ncclResult_t error = join(&made[i], count, id, i)) return error;
    }
    if (ncclResult_t error = meet(*made[0])) return error;
    for (int i = 0; i < count; i++) out[i] = add(made[i]);
    return ncclSuccess;
}

NCCL ncclResult_t ncclCommDestroy(void *handle) { return leave(handle, DESTROYED); }
NCCL ncclResult_t ncclCommAbort(void *handle) { return leave(handle, ABORTED); }

NCCL ncclResult_t ncclCommGetAsyncError(void *handle, ncclResult_t *out) {
    int error = ncclSuccess;
    ncclResult_t refused = ask(handle, &error, [](const Communicator &c) { return (int)c.clique->error(); });
    if (out) *out = (ncclResult_t)error;
    return out ? refused : ncclInvalidArgument;
}
NCCL ncclResult_t ncclCommCount(void *handle, int *out) {
    return ask(handle, out, [](const Communicator &c) { return c.ranks; });
}
NCCL ncclResult_t ncclCommUserRank(void *handle, int *out) {
    return ask(handle, out, [](const Communicator &c) { return c.rank; });
}
NCCL ncclResult_t ncclCommCuDevice(void *handle, int *out) {
    return ask(handle, out, [](const Communicator &c) { return c.device; });
}

NCCL ncclResult_t ncclCommSplit(void *, int, int, void **out, ncclConfig_t *) {
    if (out) *out = nullptr;
    return refuse(ncclInternalError, "not emulated: ncclCommSplit");
}
