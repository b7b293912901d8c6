// SPDX-License-Identifier: BSD-3-Clause
// cublasLt: the product itself.
#include <string.h>

#include "algorithms.h"
#include "epilogue.h"

namespace emulator {
namespace {

struct Addresses {
    const char *a, *b, *c;
    char *d;
};

template <class Sum, class Out>
void compute(const Problem &p, const Addresses &at, Sum alpha, Sum beta, int parts) {
    for (int64_t i = 0; i < p.batch; i++) {
        Operand a = p.a, b = p.b;
        a.data = at.a + i * p.a_batch_step * bytes_of(p.type);
        b.data = at.b + i * p.b_batch_step * bytes_of(p.type);
        const Out *c = (const Out *)at.c + i * p.c.batch_step;
        Out *d = (Out *)at.d + i * p.d.batch_step, *bias = (Out *)p.bias + i * p.bias_batch_step;
        std::vector<Sum> values = product<Sum>(p.m, p.n, p.k, a, b, parts);
        for (int64_t y = 0; y < p.n; y++)
            for (int64_t x = 0; x < p.m; x++) {
                Sum &value = values[x + y * p.m];
                value = times(alpha, value);
                if (beta != Sum(0)) value += times(beta, (Sum)c[p.c.at(x, y)]);
            }
        if constexpr (!is_complex<Sum>) {
            bool bits = !(p.epilogue & (EPILOGUE_GELU | EPILOGUE_DGELU));
            int64_t aux_step = bits ? p.aux_batch_step / 8 : p.aux_batch_step * (int64_t)sizeof(Out);
            if (p.epilogue & (EPILOGUE_BGRADA | EPILOGUE_BGRADB)) sum_operand<Sum, Out>(p, a, b, bias);
            else if (p.epilogue != EPILOGUE_DEFAULT) apply_epilogue<Sum, Out>(p, values, bias, p.aux + i * aux_step);
        }
        for (int64_t y = 0; y < p.n; y++)
            for (int64_t x = 0; x < p.m; x++) d[p.d.at(x, y)] = (Out)values[x + y * p.m];
    }
}

// What an algorithm keeps in its workspace is garbage afterwards.
struct Workspace {
    void *address;
    int64_t bytes;
    void use() const {
        if (bytes) memset(address, 0xFF, bytes);
    }
};

template <class Sum, class Out>
cublasStatus_t queue(const Problem &p, const Addresses &at, const void *alpha, const void *beta, int parts,
                     Workspace workspace, void *stream) {
    bool on_gpu = p.scalars_on_gpu;
    Sum first = on_gpu ? Sum(0) : *(const Sum *)alpha, second = on_gpu ? Sum(0) : *(const Sum *)beta;
    auto work = [=] {
        workspace.use();
        compute<Sum, Out>(p, at, on_gpu ? *(const Sum *)alpha : first, on_gpu ? *(const Sum *)beta : second, parts);
    };
    return enqueue(stream, work) ? CUBLAS_STATUS_EXECUTION_FAILED : CUBLAS_STATUS_SUCCESS;
}

bool is_zero(const void *beta, int out_type) {
    bool wide = out_type == CUDA_R_64F || out_type == CUDA_C_64F, pair = out_type == CUDA_C_32F || out_type == CUDA_C_64F;
    for (int i = 0; i <= pair; i++)
        if (wide ? ((const double *)beta)[i] != 0 : ((const float *)beta)[i] != 0) return false;
    return true;
}

bool same_grid(const Grid &c, const Grid &d) {
    return c.row_step == d.row_step && c.col_step == d.col_step && c.batch_step == d.batch_step;
}

cublasStatus_t invalid(const char *why) { return refuse(CUBLAS_STATUS_INVALID_VALUE, why); }

// Without an algorithm the library takes the first that its search would give.
cublasStatus_t check_choice(const Problem &p, const Addresses &at, const cublasLtMatmulAlgo_t *algo,
                            const void *workspace, size_t workspace_bytes, const Algorithm **algorithm) {
    Choice choice{CHOICE_MAGIC, 0, {1, 1, 1, 1}};
    if (algo) memcpy(&choice, algo, sizeof choice);
    if (choice.magic != CHOICE_MAGIC || choice.number >= ALGORITHM_COUNT) return invalid("this is no algorithm");
    *algorithm = &ALGORITHMS[choice.number];
    const char *addresses[] = {at.a, at.b, at.c, at.d};
    for (int i = 0; i < 4; i++)
        if (!choice.alignments[i] || (uintptr_t)addresses[i] % choice.alignments[i])
            return invalid("a matrix is less aligned than the preference of the search promised");
    if ((uintptr_t)workspace % WORKSPACE_ALIGNMENT) return invalid("the workspace is not aligned to 256 bytes");
    int64_t needed = workspace_of(**algorithm, p);
    if (needed > (int64_t)(workspace ? workspace_bytes : 0)) return invalid("the workspace is too small");
    return CUBLAS_STATUS_SUCCESS;
}

}  // namespace
}  // namespace emulator

using namespace emulator;

CUBLASLT cublasStatus_t cublasLtMatmul(int *handle, Matmul *matmul, const void *alpha, const void *a, Layout *a_layout,
                                       const void *b, Layout *b_layout, const void *beta, const void *c,
                                       Layout *c_layout, void *d, Layout *d_layout, const cublasLtMatmulAlgo_t *algo,
                                       void *workspace, size_t workspace_bytes, void *stream) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    Problem p;
    if (cublasStatus_t status = describe(matmul, a_layout, b_layout, c_layout, d_layout, &p)) return status;
    if (!alpha || !beta || !a || !b || !d) return invalid("an address is missing");
    if (!c && (p.scalars_on_gpu || !is_zero(beta, p.out_type))) return invalid("C is missing, and beta is not 0");
    if (c == d && !same_grid(p.c, p.d)) return invalid("C and D are the same memory in different layouts");
    bool has_bias = p.epilogue & (EPILOGUE_BIAS | EPILOGUE_BGRAD | EPILOGUE_BGRADA | EPILOGUE_BGRADB);
    if (has_bias && !p.bias) return invalid("the epilogue's bias is missing");
    if (p.epilogue & EPILOGUE_AUX && !p.aux) return invalid("the epilogue's auxiliary matrix is missing");
    Addresses at{(const char *)a, (const char *)b, (const char *)c, (char *)d};
    const Algorithm *algorithm = nullptr;
    if (cublasStatus_t status = check_choice(p, at, algo, workspace, workspace_bytes, &algorithm)) return status;
    Workspace scratch{workspace, workspace_of(*algorithm, p)};
    auto start = [&](auto sum, auto out) {
        return queue<decltype(sum), decltype(out)>(p, at, alpha, beta, algorithm->parts, scratch, stream);
    };
    switch (p.out_type) {
        case CUDA_R_64F: return start(double(), double());
        case CUDA_C_32F: return start(Complex(), Complex());
        case CUDA_C_64F: return start(DoubleComplex(), DoubleComplex());
        case CUDA_R_16F: return start(float(), Half());
        case CUDA_R_16BF: return start(float(), BFloat16());
        default: return start(float(), float());
    }
}
