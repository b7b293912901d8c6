// SPDX-License-Identifier: BSD-3-Clause
// What is done to the sums of a product before they are stored: D = epilogue(alpha op(A) op(B) + beta C).
#pragma once
#include <math.h>

#include "problem.h"

namespace emulator {

// GELU by the hyperbolic tangent, which the real library uses, and its derivative.
template <class Sum>
Sum gelu(Sum x) {
    const Sum root = (Sum)0.7978845608028654, cubic = (Sum)0.044715;
    return x / 2 * (1 + tanh(root * (x + cubic * x * x * x)));
}
template <class Sum>
Sum gelu_derivative(Sum x) {
    const Sum root = (Sum)0.7978845608028654, cubic = (Sum)0.044715;
    Sum t = tanh(root * (x + cubic * x * x * x));
    return (1 + t) / 2 + x / 2 * (1 - t * t) * root * (1 + 3 * cubic * x * x);
}

// The bits of a mask, one for each row of D; they follow each other in bytes, the lowest bit first.
struct Bits {
    uint8_t *bytes;
    bool get(int64_t i) const { return bytes[i / 8] >> i % 8 & 1; }
    void set(int64_t i, bool on) const { bytes[i / 8] = (bytes[i / 8] & ~(1 << i % 8)) | on << i % 8; }
};

// Apply an epilogue to m x n sums in place. `bias` and `aux` are those of this product of the batch.
template <class Sum, class Out>
void apply_epilogue(const Problem &p, std::vector<Sum> &values, Out *bias, char *aux) {
    std::vector<Sum> totals(p.m, Sum(0));
    for (int64_t j = 0; j < p.n; j++) {
        Bits bits{(uint8_t *)aux + j * p.aux_leading / 8};
        Out *saved = (Out *)aux + j * p.aux_leading;
        for (int64_t i = 0; i < p.m; i++) {
            Sum &x = values[i + j * p.m];
            if (p.epilogue & EPILOGUE_BIAS) x += (Sum)bias[i];
            if (p.epilogue & EPILOGUE_RELU) {
                if (p.epilogue & EPILOGUE_AUX) bits.set(i, x > 0);
                x = x > 0 ? x : Sum(0);
            } else if (p.epilogue & EPILOGUE_GELU) {
                if (p.epilogue & EPILOGUE_AUX) saved[i] = (Out)x;
                x = gelu(x);
            } else if (p.epilogue & EPILOGUE_DRELU) {
                x = bits.get(i) ? x : Sum(0);
            } else if (p.epilogue & EPILOGUE_DGELU) {
                x *= gelu_derivative((Sum)saved[i]);
            }
            if (p.epilogue & EPILOGUE_BGRAD) totals[i] += x;
        }
    }
    if (p.epilogue & EPILOGUE_BGRAD)
        for (int64_t i = 0; i < p.m; i++) bias[i] = (Out)totals[i];
}

// BGRADA and BGRADB: the sums of an operand along k are its product with ones.
template <class Sum, class Out>
void sum_operand(const Problem &p, const Operand &a, const Operand &b, Out *bias) {
    bool of_a = p.epilogue & EPILOGUE_BGRADA;
    std::vector<Sum> ones(p.k, Sum(1));
    int type = std::is_same<Sum, double>::value ? CUDA_R_64F : CUDA_R_32F;
    std::vector<Sum> sums = of_a ? product<Sum>(p.m, 1, p.k, a, {ones.data(), type, p.k})
                                 : product<Sum>(1, p.n, p.k, {ones.data(), type, 1}, b);
    for (size_t i = 0; i < sums.size(); i++) bias[i] = (Out)sums[i];
}

}  // namespace emulator
