// SPDX-License-Identifier: BSD-3-Clause
// Types and numbers of NCCL 2, as far as they are used. Written from NVIDIA's documentation of its interface.
#pragma once
#include <stddef.h>

constexpr int NCCL_VERSION = 22501;  // the one that CuPy's wheel was compiled with
constexpr int NCCL_UNIQUE_ID_BYTES = 128;
constexpr int NCCL_SPLIT_NOCOLOR = -1;
constexpr unsigned NCCL_CONFIG_MAGIC = 0xcafebeef;

enum ncclResult_t {
    ncclSuccess = 0,
    ncclUnhandledCudaError = 1,
    ncclSystemError = 2,
    ncclInternalError = 3,
    ncclInvalidArgument = 4,
    ncclInvalidUsage = 5,
    ncclRemoteError = 6,
    ncclInProgress = 7,
};

enum ncclDataType_t : int {
    ncclInt8 = 0,
    ncclUint8 = 1,
    ncclInt32 = 2,
    ncclUint32 = 3,
    ncclInt64 = 4,
    ncclUint64 = 5,
    ncclFloat16 = 6,
    ncclFloat32 = 7,
    ncclFloat64 = 8,
    ncclBfloat16 = 9,
};

enum ncclRedOp_t : int { ncclSum = 0, ncclProd = 1, ncclMax = 2, ncclMin = 3, ncclAvg = 4 };

struct ncclUniqueId {
    char internal[NCCL_UNIQUE_ID_BYTES];
};

struct ncclConfig_t {  // what every version of it begins with
    size_t size;
    unsigned magic, version;
    int blocking;
};
