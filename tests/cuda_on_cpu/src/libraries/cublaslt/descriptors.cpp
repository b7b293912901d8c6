// SPDX-License-Identifier: BSD-3-Clause
#include "descriptors.h"

#include <string.h>

#include <algorithm>

namespace emulator {
namespace {

// As the real library 12.9 reports them, the undocumented numbers 16 and 38 included.
const std::vector<Attribute> MATMUL = {
    {0, 4, 0},  {1, 4, 0},  {2, 4, 0},   {3, 4, 0},  {4, 4, 0},  {5, 4, 0},  {6, 4, 2},  {7, 4, EPILOGUE_DEFAULT},
    {8, 8, 0},  {10, 8, 0}, {11, 8, 0},  {12, 8, 0}, {13, 8, 0}, {14, 8, 0}, {15, 4, 0}, {16, 4, 0},
    {17, 8, 0}, {18, 8, 0}, {19, 8, 0},  {20, 8, 0}, {21, 8, 0}, {22, 4, -1}, {23, 8, 0}, {24, 8, 0},
    {25, 1, 0}, {26, 4, -1}, {27, 4, 0}, {28, 4, 0}, {29, 8, 0}, {30, 8, 0}, {31, 4, 0}, {32, 4, 0},
    {33, 4, 0}, {34, 4, 0}, {35, 4, 0},  {36, 8, 0}, {37, 4, 0}, {38, 4, 0},
};
const std::vector<Attribute> LAYOUT = {
    {LAYOUT_TYPE, 4, 0},         {LAYOUT_ORDER, 4, 0},        {LAYOUT_ROWS, 8, 0},
    {LAYOUT_COLS, 8, 0},         {LAYOUT_LD, 8, 0},           {LAYOUT_BATCH_COUNT, 4, 1},
    {LAYOUT_BATCH_STRIDE, 8, 0}, {LAYOUT_PLANE_OFFSET, 8, 0}, {LAYOUT_BATCH_MODE, 4, 0},
};
const std::vector<Attribute> PREFERENCE = {
    {PREFERENCE_SEARCH_MODE, 4, 0},   {PREFERENCE_MAX_WORKSPACE_BYTES, 8, 0}, {3, 4, 7},
    {PREFERENCE_ALIGNMENT_A, 4, 256}, {PREFERENCE_ALIGNMENT_B, 4, 256},       {PREFERENCE_ALIGNMENT_C, 4, 256},
    {PREFERENCE_ALIGNMENT_D, 4, 256}, {9, 4, 0},                              {12, 8, -1},
};

}  // namespace

Matmul::Matmul() : Descriptor(MATMUL) {}
Layout::Layout() : Descriptor(LAYOUT) {}
Preference::Preference() : Descriptor(PREFERENCE) {}

int Descriptor::index(int number) const {
    for (size_t i = 0; i < attributes.size(); i++)
        if (attributes[i].number == number) return (int)i;
    return -1;
}

int Descriptor::changed(const std::vector<int> &known) const {
    for (size_t i = 0; i < attributes.size(); i++)
        if (values[i] != attributes[i].initial &&
            std::find(known.begin(), known.end(), attributes[i].number) == known.end())
            return attributes[i].number;
    return -1;
}

cublasStatus_t Descriptor::set(int number, const void *from, size_t size) {
    int i = index(number);
    if (i < 0 || !from || size != attributes[i].size) return CUBLAS_STATUS_INVALID_VALUE;
    if (size == 4) {
        int32_t narrow;
        memcpy(&narrow, from, size);
        values[i] = narrow;
    } else if (size == 1) {
        values[i] = *(const int8_t *)from;
    } else {
        memcpy(&values[i], from, size);
    }
    return CUBLAS_STATUS_SUCCESS;
}

// With a size of 0, only the size of the attribute is asked for.
cublasStatus_t Descriptor::get(int number, void *to, size_t size, size_t *written) const {
    int i = index(number);
    if (i < 0 || (size == 0 ? !written : !to || size != attributes[i].size)) return CUBLAS_STATUS_INVALID_VALUE;
    if (written) *written = attributes[i].size;
    memcpy(to, &values[i], size);
    return CUBLAS_STATUS_SUCCESS;
}

}  // namespace emulator

using namespace emulator;

#define DESCRIPTOR(Name, Type)                                                                                 \
    CUBLASLT cublasStatus_t cublasLt##Name##Destroy(Type *thing) {                                             \
        delete thing;                                                                                          \
        return CUBLAS_STATUS_SUCCESS;                                                                          \
    }                                                                                                          \
    CUBLASLT cublasStatus_t cublasLt##Name##SetAttribute(Type *thing, int number, const void *from, size_t size) { \
        return thing ? thing->set(number, from, size) : CUBLAS_STATUS_INVALID_VALUE;                           \
    }                                                                                                          \
    CUBLASLT cublasStatus_t cublasLt##Name##GetAttribute(Type *thing, int number, void *to, size_t size,       \
                                                         size_t *written) {                                    \
        return thing ? thing->get(number, to, size, written) : CUBLAS_STATUS_INVALID_VALUE;                    \
    }
DESCRIPTOR(MatmulDesc, Matmul)
DESCRIPTOR(MatrixLayout, Layout)
DESCRIPTOR(MatmulPreference, Preference)

CUBLASLT cublasStatus_t cublasLtMatmulDescCreate(Matmul **made, int compute, int scale) {
    if (!made) return CUBLAS_STATUS_INVALID_VALUE;
    *made = new Matmul;
    (*made)->put(MATMUL_COMPUTE_TYPE, compute);
    (*made)->put(MATMUL_SCALE_TYPE, scale);
    return CUBLAS_STATUS_SUCCESS;
}

CUBLASLT cublasStatus_t cublasLtMatrixLayoutCreate(Layout **made, int type, uint64_t rows, uint64_t cols, int64_t ld) {
    if (!made) return CUBLAS_STATUS_INVALID_VALUE;
    *made = new Layout;
    (*made)->put(LAYOUT_TYPE, type);
    (*made)->put(LAYOUT_ROWS, (int64_t)rows);
    (*made)->put(LAYOUT_COLS, (int64_t)cols);
    (*made)->put(LAYOUT_LD, ld);
    return CUBLAS_STATUS_SUCCESS;
}

CUBLASLT cublasStatus_t cublasLtMatmulPreferenceCreate(Preference **made) {
    if (!made) return CUBLAS_STATUS_INVALID_VALUE;
    *made = new Preference;
    return CUBLAS_STATUS_SUCCESS;
}
