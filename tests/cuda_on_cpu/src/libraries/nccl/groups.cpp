// SPDX-License-Identifier: BSD-3-Clause
// NCCL: groups of calls, which begin together at the end of the group.
#include <utility>
#include <vector>

#include "communicator.h"

namespace emulator {

namespace {
thread_local int depth = 0;
thread_local ncclResult_t first_error = ncclSuccess;
thread_local std::vector<std::function<ncclResult_t()>> waiting;
}  // namespace

bool in_group() { return depth > 0; }

ncclResult_t at_end_of_group(std::function<ncclResult_t()> work) {
    if (!in_group()) return work();
    waiting.push_back(std::move(work));
    return ncclSuccess;
}

ncclResult_t remembered(ncclResult_t error) {
    if (in_group() && error && !first_error) first_error = error;
    return error;
}

}  // namespace emulator

using namespace emulator;

NCCL ncclResult_t ncclGroupStart() {
    depth++;
    return ncclSuccess;
}

// With an error in one of its calls, none of a group begins.
NCCL ncclResult_t ncclGroupEnd() {
    if (!depth) return refuse(ncclInvalidUsage, "ncclGroupEnd without ncclGroupStart");
    if (--depth) return ncclSuccess;
    auto error = std::exchange(first_error, ncclSuccess);
    auto works = std::exchange(waiting, {});
    for (auto &work : works)
        if (ncclResult_t found = error ? error : work()) error = found;
    forget_calls();
    return error;
}
