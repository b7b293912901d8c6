// SPDX-License-Identifier: BSD-3-Clause
// cublasLt: handles, versions, names of errors, and the search for algorithms.
#include <string.h>

#include "algorithms.h"

using namespace emulator;

CUBLASLT size_t cublasLtGetVersion() { return CUBLAS_VERSION; }
CUBLASLT size_t cublasLtGetCudartVersion() { return 12090; }

CUBLASLT const char *cublasLtGetStatusName(int status) {
    switch (status) {
        case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
        case CUBLAS_STATUS_NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
        case CUBLAS_STATUS_ALLOC_FAILED: return "CUBLAS_STATUS_ALLOC_FAILED";
        case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
        case CUBLAS_STATUS_ARCH_MISMATCH: return "CUBLAS_STATUS_ARCH_MISMATCH";
        case CUBLAS_STATUS_MAPPING_ERROR: return "CUBLAS_STATUS_MAPPING_ERROR";
        case CUBLAS_STATUS_EXECUTION_FAILED: return "CUBLAS_STATUS_EXECUTION_FAILED";
        case CUBLAS_STATUS_INTERNAL_ERROR: return "CUBLAS_STATUS_INTERNAL_ERROR";
        case CUBLAS_STATUS_NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
        case CUBLAS_STATUS_LICENSE_ERROR: return "CUBLAS_STATUS_LICENSE_ERROR";
        default: return "unrecognized status";
    }
}
CUBLASLT const char *cublasLtGetStatusString(int status) { return cublasLtGetStatusName(status); }

CUBLASLT cublasStatus_t cublasLtCreate(int **handle) {
    if (!handle) return CUBLAS_STATUS_INVALID_VALUE;
    *handle = new int(0);
    return CUBLAS_STATUS_SUCCESS;
}

CUBLASLT cublasStatus_t cublasLtDestroy(int *handle) {
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}

CUBLASLT cublasStatus_t cublasLtMatmulAlgoGetHeuristic(int *handle, Matmul *matmul, Layout *a, Layout *b, Layout *c,
                                                       Layout *d, Preference *preference, int most,
                                                       cublasLtMatmulHeuristicResult_t *results, int *found) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (!preference || most <= 0 || !results || !found) return CUBLAS_STATUS_INVALID_VALUE;
    *found = 0;
    Problem problem;
    if (cublasStatus_t status = describe(matmul, a, b, c, d, &problem)) return status;
    if ((*preference)[PREFERENCE_SEARCH_MODE]) return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "this mode of searching");
    uint64_t most_workspace = (*preference)[PREFERENCE_MAX_WORKSPACE_BYTES];
    for (int i = 0; i < ALGORITHM_COUNT && *found < most; i++) {
        uint64_t workspace = workspace_of(ALGORITHMS[i], problem);
        if (workspace > most_workspace || ALGORITHMS[i].parts > problem.k) continue;
        cublasLtMatmulHeuristicResult_t &result = results[(*found)++];
        memset(&result, 0, sizeof result);
        Choice choice{CHOICE_MAGIC, (uint32_t)i, {}};
        for (int x = 0; x < 4; x++) choice.alignments[x] = (*preference)[PREFERENCE_ALIGNMENT_A + x];
        memcpy(&result.algo, &choice, sizeof choice);
        result.workspace_size = workspace;
        result.waves_count = 1;
    }
    return *found ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}
