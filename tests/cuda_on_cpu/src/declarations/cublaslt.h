// SPDX-License-Identifier: BSD-3-Clause
// The types and numbers of cublasLt that its callers pass, from NVIDIA's documentation of cublasLt 12.
#pragma once
#include <stddef.h>

#include "cublas.h"

// Attributes of a product that the emulator reads. Others are kept, and refused if they are not the default.
enum {
    MATMUL_COMPUTE_TYPE = 0,
    MATMUL_SCALE_TYPE = 1,
    MATMUL_POINTER_MODE = 2,
    MATMUL_TRANSA = 3,
    MATMUL_TRANSB = 4,
    MATMUL_FILL_MODE = 6,
    MATMUL_EPILOGUE = 7,
    MATMUL_BIAS_POINTER = 8,
    MATMUL_BIAS_BATCH_STRIDE = 10,
    MATMUL_AUX_POINTER = 11,
    MATMUL_AUX_LD = 12,
    MATMUL_AUX_BATCH_STRIDE = 13,
    MATMUL_SM_COUNT_TARGET = 15,
    MATMUL_AUX_DATA_TYPE = 22,
    MATMUL_FAST_ACCUM = 25,
    MATMUL_BIAS_DATA_TYPE = 26,
};

enum {
    LAYOUT_TYPE = 0,
    LAYOUT_ORDER = 1,
    LAYOUT_ROWS = 2,
    LAYOUT_COLS = 3,
    LAYOUT_LD = 4,
    LAYOUT_BATCH_COUNT = 5,
    LAYOUT_BATCH_STRIDE = 6,
    LAYOUT_PLANE_OFFSET = 7,
    LAYOUT_BATCH_MODE = 8,
};
enum { ORDER_COL = 0, ORDER_ROW = 1 };

enum {
    PREFERENCE_SEARCH_MODE = 0,
    PREFERENCE_MAX_WORKSPACE_BYTES = 1,
    PREFERENCE_ALIGNMENT_A = 5,
    PREFERENCE_ALIGNMENT_B = 6,
    PREFERENCE_ALIGNMENT_C = 7,
    PREFERENCE_ALIGNMENT_D = 8,
};

// An epilogue is a sum of these.
enum {
    EPILOGUE_DEFAULT = 1,
    EPILOGUE_RELU = 2,
    EPILOGUE_BIAS = 4,
    EPILOGUE_DRELU = 8,
    EPILOGUE_BGRAD = 16,
    EPILOGUE_GELU = 32,
    EPILOGUE_DGELU = 64,
    EPILOGUE_AUX = 128,
    EPILOGUE_BGRADA = 256,
    EPILOGUE_BGRADB = 512,
};

struct cublasLtMatmulAlgo_t {
    uint64_t data[8];
};

struct cublasLtMatmulHeuristicResult_t {
    cublasLtMatmulAlgo_t algo;
    size_t workspace_size;
    int state;
    float waves_count;
    int reserved[4];
};

constexpr int WORKSPACE_ALIGNMENT = 256;
