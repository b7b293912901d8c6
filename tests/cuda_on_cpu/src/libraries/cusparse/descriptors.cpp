// SPDX-License-Identifier: BSD-3-Clause
// cuSPARSE: descriptors of matrices and vectors.
#include "sparse.h"

using namespace emulator;

namespace {

template <class T>
int made(T **to, T value) {
    if (!to) return CUSPARSE_STATUS_INVALID_VALUE;
    *to = new T(value);
    return CUSPARSE_STATUS_SUCCESS;
}

bool wrong(int64_t rows, int64_t cols, int64_t nnz) {
    return rows < 0 || cols < 0 || nnz < 0 || (nnz > 0 && (rows == 0 || nnz / rows > cols));
}

}  // namespace

#define COMPRESSED(Name, FORMAT)                                                                                    \
    CUSPARSE int cusparseCreate##Name(SparseMatrix **to, int64_t rows, int64_t cols, int64_t nnz, void *offsets,    \
                                      void *indices, void *values, int offset_type, int index_type, int base,       \
                                      int type) {                                                                   \
        if (wrong(rows, cols, nnz)) return CUSPARSE_STATUS_INVALID_VALUE;                                           \
        Indices major{offsets, offset_type}, minor{indices, index_type};                                            \
        return made(to, SparseMatrix{FORMAT, rows, cols, nnz, major, minor, base, values, type});                   \
    }                                                                                                               \
    CUSPARSE int cusparse##Name##SetPointers(SparseMatrix *x, void *offsets, void *indices, void *values) {         \
        x->major.data = offsets, x->minor.data = indices, x->values = values;                                       \
        return CUSPARSE_STATUS_SUCCESS;                                                                             \
    }                                                                                                               \
    CUSPARSE int cusparse##Name##Get(const SparseMatrix *x, int64_t *rows, int64_t *cols, int64_t *nnz,             \
                                     void **offsets, void **indices, void **values, int *offset_type,               \
                                     int *index_type, int *base, int *type) {                                       \
        *rows = x->rows, *cols = x->cols, *nnz = x->nnz;                                                            \
        *offsets = x->major.data, *indices = x->minor.data, *values = x->values;                                    \
        *offset_type = x->major.type, *index_type = x->minor.type, *base = x->base, *type = x->type;                \
        return CUSPARSE_STATUS_SUCCESS;                                                                             \
    }
COMPRESSED(Csr, CUSPARSE_FORMAT_CSR)
COMPRESSED(Csc, CUSPARSE_FORMAT_CSC)

CUSPARSE int cusparseCreateCoo(SparseMatrix **to, int64_t rows, int64_t cols, int64_t nnz, void *row_of, void *col_of,
                               void *values, int index_type, int base, int type) {
    if (wrong(rows, cols, nnz)) return CUSPARSE_STATUS_INVALID_VALUE;
    Indices major{row_of, index_type}, minor{col_of, index_type};
    return made(to, SparseMatrix{CUSPARSE_FORMAT_COO, rows, cols, nnz, major, minor, base, values, type});
}

CUSPARSE int cusparseCooGet(const SparseMatrix *x, int64_t *rows, int64_t *cols, int64_t *nnz, void **row_of,
                            void **col_of, void **values, int *index_type, int *base, int *type) {
    int ignored;
    return cusparseCsrGet(x, rows, cols, nnz, row_of, col_of, values, index_type, &ignored, base, type);
}

CUSPARSE int cusparseDestroySpMat(SparseMatrix *x) {
    delete x;
    return CUSPARSE_STATUS_SUCCESS;
}

CUSPARSE int cusparseSpMatGetSize(const SparseMatrix *x, int64_t *rows, int64_t *cols, int64_t *nnz) {
    *rows = x->rows, *cols = x->cols, *nnz = x->nnz;
    return CUSPARSE_STATUS_SUCCESS;
}

CUSPARSE int cusparseSpMatGetFormat(const SparseMatrix *x, int *format) {
    *format = x->format;
    return CUSPARSE_STATUS_SUCCESS;
}

CUSPARSE int cusparseSpMatGetIndexBase(const SparseMatrix *x, int *base) {
    *base = x->base;
    return CUSPARSE_STATUS_SUCCESS;
}

CUSPARSE int cusparseCreateDnMat(DenseMatrix **to, int64_t rows, int64_t cols, int64_t leading, void *values, int type,
                                 int order) {
    if (rows < 0 || cols < 0 || leading < (order == CUSPARSE_ORDER_COL ? rows : cols))
        return CUSPARSE_STATUS_INVALID_VALUE;
    return made(to, DenseMatrix{rows, cols, leading, values, type, order});
}

CUSPARSE int cusparseDnMatGet(const DenseMatrix *x, int64_t *rows, int64_t *cols, int64_t *leading, void **values,
                              int *type, int *order) {
    *rows = x->rows, *cols = x->cols, *leading = x->leading, *values = x->values, *type = x->type, *order = x->order;
    return CUSPARSE_STATUS_SUCCESS;
}

CUSPARSE int cusparseDestroyDnMat(DenseMatrix *x) {
    delete x;
    return CUSPARSE_STATUS_SUCCESS;
}

CUSPARSE int cusparseCreateDnVec(DenseVector **to, int64_t size, void *values, int type) {
    return made(to, DenseVector{size, values, type});
}

CUSPARSE int cusparseDnVecGet(const DenseVector *x, int64_t *size, void **values, int *type) {
    *size = x->size, *values = x->values, *type = x->type;
    return CUSPARSE_STATUS_SUCCESS;
}

CUSPARSE int cusparseDestroyDnVec(DenseVector *x) {
    delete x;
    return CUSPARSE_STATUS_SUCCESS;
}

CUSPARSE int cusparseCreateSpVec(SparseVector **to, int64_t size, int64_t nnz, void *indices, void *values,
                                 int index_type, int base, int type) {
    return made(to, SparseVector{size, nnz, {indices, index_type}, base, values, type});
}

CUSPARSE int cusparseSpVecGet(const SparseVector *x, int64_t *size, int64_t *nnz, void **indices, void **values,
                              int *index_type, int *base, int *type) {
    *size = x->size, *nnz = x->nnz, *indices = x->indices.data, *values = x->values;
    *index_type = x->indices.type, *base = x->base, *type = x->type;
    return CUSPARSE_STATUS_SUCCESS;
}

CUSPARSE int cusparseDestroySpVec(SparseVector *x) {
    delete x;
    return CUSPARSE_STATUS_SUCCESS;
}

#define VALUES(Name, Type)                                             \
    CUSPARSE int cusparse##Name##GetValues(const Type *x, void **values) { \
        *values = x->values;                                           \
        return CUSPARSE_STATUS_SUCCESS;                                \
    }                                                                  \
    CUSPARSE int cusparse##Name##SetValues(Type *x, void *values) {    \
        x->values = values;                                            \
        return CUSPARSE_STATUS_SUCCESS;                                \
    }
VALUES(SpMat, SparseMatrix)
VALUES(DnMat, DenseMatrix)
VALUES(DnVec, DenseVector)
VALUES(SpVec, SparseVector)
