// SPDX-License-Identifier: BSD-3-Clause
// The emulated algorithms: each sums in its own number of parts, so each rounds in its own way.
#pragma once
#include "problem.h"

namespace emulator {

struct Algorithm {
    int parts;
    bool in_workspace;  // the parts' sums lie there, as with the real library's "split-K"
};
constexpr Algorithm ALGORITHMS[] = {{1, false}, {2, false}, {4, true}, {8, true}};
constexpr int ALGORITHM_COUNT = sizeof ALGORITHMS / sizeof *ALGORITHMS;

// What lies in a cublasLtMatmulAlgo_t.
struct Choice {
    uint32_t magic, number;
    uint32_t alignments[4];  // that were promised of A, B, C and D
};
constexpr uint32_t CHOICE_MAGIC = 0xC0B1A5;

inline int64_t workspace_of(const Algorithm &algorithm, const Problem &p) {
    return algorithm.in_workspace ? algorithm.parts * p.m * p.n * p.batch * bytes_of(p.out_type) : 0;
}

}  // namespace emulator
