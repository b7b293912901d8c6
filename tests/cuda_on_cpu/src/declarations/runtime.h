// SPDX-License-Identifier: BSD-3-Clause
// The types and numbers of the CUDA runtime API and driver API that the emulated runtime uses.
#pragma once
#include <stddef.h>

#define EMULATED_VERSION 12090

// Name, number, the driver's name, text. The runtime and the driver share these numbers.
#define CUDA_ERRORS(X) \
    X(cudaSuccess, 0, "CUDA_SUCCESS", "no error") \
    X(cudaErrorInvalidValue, 1, "CUDA_ERROR_INVALID_VALUE", "invalid argument") \
    X(cudaErrorMemoryAllocation, 2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory") \
    X(cudaErrorInvalidConfiguration, 9, "CUDA_ERROR_INVALID_VALUE", "invalid configuration argument") \
    X(cudaErrorInvalidPitchValue, 12, "CUDA_ERROR_INVALID_VALUE", "invalid pitch argument") \
    X(cudaErrorInvalidMemcpyDirection, 21, "CUDA_ERROR_INVALID_VALUE", "invalid copy direction for memcpy") \
    X(cudaErrorInitializationError, 3, "CUDA_ERROR_NOT_INITIALIZED", "initialization error") \
    X(cudaErrorNoDevice, 100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected") \
    X(cudaErrorInvalidDevice, 101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal") \
    X(cudaErrorInvalidKernelImage, 200, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid") \
    X(cudaErrorUnsupportedLimit, 215, "CUDA_ERROR_UNSUPPORTED_LIMIT", "limit is not supported on this architecture") \
    X(cudaErrorPeerAccessUnsupported, 217, "CUDA_ERROR_PEER_ACCESS_UNSUPPORTED", \
      "peer access is not supported between these two devices") \
    X(cudaErrorOperatingSystem, 304, "CUDA_ERROR_OPERATING_SYSTEM", \
      "OS call failed or operation not supported on this OS") \
    X(cudaErrorInvalidResourceHandle, 400, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle") \
    X(cudaErrorIllegalState, 401, "CUDA_ERROR_ILLEGAL_STATE", \
      "the operation cannot be performed in the present state") \
    X(cudaErrorSymbolNotFound, 500, "CUDA_ERROR_NOT_FOUND", "named symbol not found") \
    X(cudaErrorNotReady, 600, "CUDA_ERROR_NOT_READY", "device not ready") \
    X(cudaErrorIllegalAddress, 700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered") \
    X(cudaErrorLaunchTimeout, 702, "CUDA_ERROR_LAUNCH_TIMEOUT", "the launch timed out and was terminated") \
    X(cudaErrorPeerAccessAlreadyEnabled, 704, "CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED", \
      "peer access is already enabled") \
    X(cudaErrorPeerAccessNotEnabled, 705, "CUDA_ERROR_PEER_ACCESS_NOT_ENABLED", "peer access has not been enabled") \
    X(cudaErrorAssert, 710, "CUDA_ERROR_ASSERT", "device-side assert triggered") \
    X(cudaErrorHostMemoryAlreadyRegistered, 712, "CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED", \
      "part or all of the requested memory range is already mapped") \
    X(cudaErrorHostMemoryNotRegistered, 713, "CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED", \
      "pointer does not correspond to a registered memory region") \
    X(cudaErrorMisalignedAddress, 716, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address") \
    X(cudaErrorLaunchFailure, 719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure") \
    X(cudaErrorCooperativeLaunchTooLarge, 720, "CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE", \
      "too many blocks in cooperative launch") \
    X(cudaErrorNotPermitted, 800, "CUDA_ERROR_NOT_PERMITTED", "operation not permitted") \
    X(cudaErrorNotSupported, 801, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported") \
    X(cudaErrorStreamCaptureUnsupported, 900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", \
      "operation not permitted when stream is capturing") \
    X(cudaErrorStreamCaptureInvalidated, 901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", \
      "operation failed due to a previous error during capture") \
    X(cudaErrorStreamCaptureMerge, 902, "CUDA_ERROR_STREAM_CAPTURE_MERGE", \
      "operation would result in a merge of separate capture sequences") \
    X(cudaErrorStreamCaptureUnmatched, 903, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", \
      "capture was not ended in the same stream as it began") \
    X(cudaErrorStreamCaptureUnjoined, 904, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "capturing stream has unjoined work") \
    X(cudaErrorStreamCaptureIsolation, 905, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION", \
      "dependency created on uncaptured work in another stream") \
    X(cudaErrorStreamCaptureImplicit, 906, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT", \
      "operation would make the legacy stream depend on a capturing blocking stream") \
    X(cudaErrorCapturedEvent, 907, "CUDA_ERROR_CAPTURED_EVENT", \
      "operation not permitted on an event last recorded in a capturing stream") \
    X(cudaErrorStreamCaptureWrongThread, 908, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD", \
      "attempt to terminate a thread-local capture sequence from another thread") \
    X(cudaErrorUnknown, 999, "CUDA_ERROR_UNKNOWN", "unknown error")

#define CUDA_ENUMERATOR(name, number, driver, text) name = number,
enum CudaError { CUDA_ERRORS(CUDA_ENUMERATOR) };  // CUresult too
#undef CUDA_ENUMERATOR

enum CopyKind { HOST_TO_HOST, HOST_TO_DEVICE, DEVICE_TO_HOST, DEVICE_TO_DEVICE, COPY_BY_ADDRESS };
enum MemoryType { PAGEABLE, PINNED, ON_DEVICE, MANAGED };  // cudaMemoryTypeUnregistered, …Host, …Device, …Managed
enum CaptureMode { CAPTURE_GLOBAL, CAPTURE_THREAD_LOCAL, CAPTURE_RELAXED };
enum CaptureStatus { CAPTURE_NONE, CAPTURE_ACTIVE, CAPTURE_INVALIDATED };
enum StreamFlag : unsigned { STREAM_NON_BLOCKING = 1 };
enum EventFlag : unsigned { EVENT_BLOCKING_SYNC = 1, EVENT_DISABLE_TIMING = 2, EVENT_INTERPROCESS = 4 };
enum HostRegisterFlag : unsigned { HOST_PORTABLE = 1, HOST_MAPPED = 2, HOST_WRITE_COMBINED = 4 };

struct PointerAttributes {  // cudaPointerAttributes
    int type, device;
    void *device_pointer, *host_pointer;
};

struct DeviceProperties {  // cudaDeviceProp of CUDA 12
    char name[256], uuid[16], luid[8];
    unsigned luid_device_node_mask;
    size_t total_global_memory, shared_memory_per_block;
    int registers_per_block, warp_size;
    size_t memory_pitch;
    int max_threads_per_block, max_threads[3], max_grid[3], clock_rate;
    size_t total_constant_memory;
    int major, minor;
    size_t texture_alignment, texture_pitch_alignment;
    int device_overlap, processors, kernel_timeout, integrated, can_map_host_memory, compute_mode;
    int textures[40];  // largest sizes of textures and surfaces
    size_t surface_alignment;
    int concurrent_kernels, ecc, pci_bus, pci_device, pci_domain, tcc_driver, async_engines, unified_addressing;
    int memory_clock_rate, memory_bus_width, l2_cache, persisting_l2_cache, max_threads_per_processor;
    int stream_priorities, global_l1_cache, local_l1_cache;
    size_t shared_memory_per_processor;
    int registers_per_processor, managed_memory, multi_gpu_board, multi_gpu_board_group, host_native_atomics;
    int single_to_double_ratio, pageable_memory_access, concurrent_managed_access, compute_preemption;
    int host_pointer_for_registered_memory, cooperative_launch, cooperative_multi_device_launch;
    size_t shared_memory_per_block_optin;
    int pageable_by_host_tables, direct_managed_access_from_host, max_blocks_per_processor, access_policy_window;
    size_t reserved_shared_memory_per_block;
    int host_register, sparse_arrays, host_register_read_only, timeline_semaphores, memory_pools;
    int rdma[4], deferred_mapping, ipc_events, cluster_launch, unified_function_pointers, reserved[63];
};

enum FunctionAttribute {  // CU_FUNC_ATTRIBUTE_…
    FUNCTION_MAX_THREADS,
    FUNCTION_SHARED_BYTES,
    FUNCTION_CONSTANT_BYTES,
    FUNCTION_LOCAL_BYTES,
    FUNCTION_REGISTERS,
    FUNCTION_PTX_VERSION,
    FUNCTION_BINARY_VERSION,
    FUNCTION_CACHE_MODE,
    FUNCTION_MAX_DYNAMIC_SHARED_BYTES,
    FUNCTION_SHARED_CARVEOUT,
};

enum PoolAttribute {  // cudaMemPoolAttr…; those before are switches of the pool's reuse
    POOL_RELEASE_THRESHOLD = 4,
    POOL_RESERVED,
    POOL_RESERVED_HIGH,
    POOL_USED,
    POOL_USED_HIGH,
};
