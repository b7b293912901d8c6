// SPDX-License-Identifier: BSD-3-Clause
#include "problem.h"

#include <stdio.h>
#include <stdlib.h>

namespace emulator {
namespace {

constexpr int BIAS_ALIGNMENT = 16;

cublasStatus_t invalid(const char *why) { return refuse(CUBLAS_STATUS_INVALID_VALUE, why); }
cublasStatus_t unsupported(const char *why) { return refuse(CUBLAS_STATUS_NOT_SUPPORTED, why); }

cublasStatus_t check_layout(const Layout &layout) {
    int64_t order = layout[LAYOUT_ORDER], rows = layout[LAYOUT_ROWS], cols = layout[LAYOUT_COLS];
    if (order != ORDER_COL && order != ORDER_ROW) return unsupported("only column and row orders are emulated");
    if (rows <= 0 || cols <= 0) return invalid("a matrix is empty");
    if (layout[LAYOUT_LD] < (order == ORDER_COL ? rows : cols)) return invalid("a leading dimension is too small");
    if (layout[LAYOUT_BATCH_COUNT] < 1) return invalid("a batch is empty");
    if (layout.changed({0, 1, 2, 3, 4, 5, 6}) >= 0) return unsupported("an attribute of a layout is not emulated");
    return CUBLAS_STATUS_SUCCESS;
}

Rounding rounding_of(int compute) {
    switch (compute) {
        case CUBLAS_COMPUTE_32F_FAST_TF32: return Rounding::tf32;
        case CUBLAS_COMPUTE_32F_FAST_16F: return Rounding::half;
        case CUBLAS_COMPUTE_32F_FAST_16BF: return Rounding::bfloat16;
        default: return Rounding::none;
    }
}

// The combinations of the documentation's table for matrices in column-major or row-major order.
bool types_fit(int compute, int scale, int in, int out) {
    switch (compute) {
        case CUBLAS_COMPUTE_32F:
        case CUBLAS_COMPUTE_32F_PEDANTIC:
            if (scale == CUDA_C_32F) return in == CUDA_C_32F && out == in;
            if (scale != CUDA_R_32F) return false;
            if (in == CUDA_R_16F || in == CUDA_R_16BF) return out == in || out == CUDA_R_32F;
            return in == CUDA_R_32F && out == in;
        case CUBLAS_COMPUTE_32F_FAST_16F:
        case CUBLAS_COMPUTE_32F_FAST_16BF:
        case CUBLAS_COMPUTE_32F_FAST_TF32:
            return (scale == CUDA_R_32F || scale == CUDA_C_32F) && in == scale && out == scale;
        case CUBLAS_COMPUTE_64F:
        case CUBLAS_COMPUTE_64F_PEDANTIC:
            return (scale == CUDA_R_64F || scale == CUDA_C_64F) && in == scale && out == scale;
        default: return false;
    }
}

bool known(int epilogue) {
    switch (epilogue) {
        case EPILOGUE_DEFAULT:
        case EPILOGUE_RELU:
        case EPILOGUE_RELU | EPILOGUE_AUX:
        case EPILOGUE_BIAS:
        case EPILOGUE_RELU | EPILOGUE_BIAS:
        case EPILOGUE_RELU | EPILOGUE_AUX | EPILOGUE_BIAS:
        case EPILOGUE_DRELU | EPILOGUE_AUX:
        case EPILOGUE_DRELU | EPILOGUE_AUX | EPILOGUE_BGRAD:
        case EPILOGUE_GELU:
        case EPILOGUE_GELU | EPILOGUE_AUX:
        case EPILOGUE_GELU | EPILOGUE_BIAS:
        case EPILOGUE_GELU | EPILOGUE_AUX | EPILOGUE_BIAS:
        case EPILOGUE_DGELU | EPILOGUE_AUX:
        case EPILOGUE_DGELU | EPILOGUE_AUX | EPILOGUE_BGRAD:
        case EPILOGUE_BGRADA:
        case EPILOGUE_BGRADB: return true;
        default: return false;
    }
}

cublasStatus_t check_epilogue(const Matmul &matmul, const Problem &p) {
    if (!known(p.epilogue)) return invalid("there is no such epilogue");
    if (p.epilogue == EPILOGUE_DEFAULT) return CUBLAS_STATUS_SUCCESS;
    if (p.type == CUDA_C_32F || p.type == CUDA_C_64F) return unsupported("an epilogue of complex numbers");
    if (p.type == CUDA_R_64F && p.epilogue & (EPILOGUE_GELU | EPILOGUE_DGELU)) return unsupported("GELU of float64");
    for (int attribute : {MATMUL_BIAS_DATA_TYPE, MATMUL_AUX_DATA_TYPE})
        if (matmul[attribute] != -1 && matmul[attribute] != p.out_type)
            return unsupported("a bias or auxiliary matrix of another type than D");
    if (p.d.row_step != 1) return unsupported("an epilogue of rows in order");
    if ((uintptr_t)p.bias % BIAS_ALIGNMENT) return unsupported("the bias is not aligned to 16 bytes");
    if (!(p.epilogue & EPILOGUE_AUX)) return CUBLAS_STATUS_SUCCESS;
    int multiple = p.epilogue & (EPILOGUE_GELU | EPILOGUE_DGELU) ? 8 : 128;
    if ((uintptr_t)p.aux % BIAS_ALIGNMENT) return unsupported("the auxiliary matrix is not aligned to 16 bytes");
    if (p.aux_leading < p.m || p.aux_leading % multiple || p.aux_batch_step % multiple)
        return invalid("the auxiliary matrix's leading dimension is too small, or not such a multiple as it must be");
    return CUBLAS_STATUS_SUCCESS;
}

// In row-major memory lies the transposed matrix.
Operand operand(const Layout &layout, int64_t operation, int compute) {
    bool transposed = (operation != CUBLAS_OP_N) != (layout[LAYOUT_ORDER] == ORDER_ROW);
    int type = (int)layout[LAYOUT_TYPE];
    return {nullptr, type, layout[LAYOUT_LD], transposed, operation == CUBLAS_OP_C, rounding_of(compute)};
}

Grid grid(const Layout &layout) {
    int64_t leading = layout[LAYOUT_LD], batch_step = layout[LAYOUT_BATCH_STRIDE];
    return layout[LAYOUT_ORDER] == ORDER_COL ? Grid{1, leading, batch_step} : Grid{leading, 1, batch_step};
}

}  // namespace

cublasStatus_t refuse(cublasStatus_t status, const char *why) {
    const char *level = getenv("CUBLASLT_LOG_LEVEL");
    if (level && atoi(level) > 0) fprintf(stderr, "[cublasLt][emulated][Error] %s\n", why);
    return status;
}

cublasStatus_t describe(const Matmul *matmul, const Layout *a, const Layout *b, const Layout *c, const Layout *d,
                        Problem *p) {
    if (!matmul || !a || !b || !c || !d) return invalid("a descriptor is missing");
    const Matmul &x = *matmul;
    for (const Layout *layout : {a, b, c, d})
        if (cublasStatus_t status = check_layout(*layout)) return status;
    int64_t ta = x[MATMUL_TRANSA], tb = x[MATMUL_TRANSB];
    if (ta < CUBLAS_OP_N || ta > CUBLAS_OP_C || tb < CUBLAS_OP_N || tb > CUBLAS_OP_C) return invalid("an operation");
    auto rows = [](const Layout &layout, int64_t t) { return layout[t == CUBLAS_OP_N ? LAYOUT_ROWS : LAYOUT_COLS]; };
    auto cols = [](const Layout &layout, int64_t t) { return layout[t == CUBLAS_OP_N ? LAYOUT_COLS : LAYOUT_ROWS]; };
    p->m = rows(*a, ta), p->k = cols(*a, ta), p->n = cols(*b, tb), p->batch = (*d)[LAYOUT_BATCH_COUNT];
    if (rows(*b, tb) != p->k) return invalid("the shapes of A and B do not fit");
    for (const Layout *layout : {c, d})
        if ((*layout)[LAYOUT_ROWS] != p->m || (*layout)[LAYOUT_COLS] != p->n) return invalid("the shape of C or D");
    for (const Layout *layout : {a, b, c})
        if ((*layout)[LAYOUT_BATCH_COUNT] != p->batch) return invalid("batches of different sizes");
    p->compute = (int)x[MATMUL_COMPUTE_TYPE], p->type = (int)(*a)[LAYOUT_TYPE], p->out_type = (int)(*d)[LAYOUT_TYPE];
    if ((*b)[LAYOUT_TYPE] != p->type || (*c)[LAYOUT_TYPE] != p->out_type ||
        !types_fit(p->compute, (int)x[MATMUL_SCALE_TYPE], p->type, p->out_type))
        return unsupported("these types together");
    if (x.changed({0, 1, 2, 3, 4, 7, 8, 10, 11, 12, 13, MATMUL_SM_COUNT_TARGET, 22, MATMUL_FAST_ACCUM, 26}) >= 0)
        return unsupported("an attribute of a product is not emulated");
    int64_t mode = x[MATMUL_POINTER_MODE];
    if (mode != CUBLAS_POINTER_MODE_HOST && mode != CUBLAS_POINTER_MODE_DEVICE) return unsupported("a pointer mode");
    p->scalars_on_gpu = mode == CUBLAS_POINTER_MODE_DEVICE;
    p->a = operand(*a, ta, p->compute), p->b = operand(*b, tb, p->compute);
    p->a_batch_step = (*a)[LAYOUT_BATCH_STRIDE], p->b_batch_step = (*b)[LAYOUT_BATCH_STRIDE];
    p->c = grid(*c), p->d = grid(*d);
    p->epilogue = (int)x[MATMUL_EPILOGUE];
    p->bias = (char *)x[MATMUL_BIAS_POINTER], p->aux = (char *)x[MATMUL_AUX_POINTER];
    p->bias_batch_step = x[MATMUL_BIAS_BATCH_STRIDE];
    p->aux_leading = x[MATMUL_AUX_LD], p->aux_batch_step = x[MATMUL_AUX_BATCH_STRIDE];
    return check_epilogue(x, *p);
}

}  // namespace emulator
