// SPDX-License-Identifier: BSD-3-Clause
#pragma once
namespace cub {
// Combines a number of each thread of a block, in pairs; the first thread has the result, as in CUB.
template <class T, int THREADS>
struct BlockReduce {
    struct TempStorage {
        alignas(16) char bytes[THREADS * sizeof(T)];
    };
    T *shared;
    BlockReduce(TempStorage &storage) : shared((T *)storage.bytes) {}

    template <class Operation>
    T Reduce(T value, Operation combine) {
        int thread = (int)threadIdx.x;
        shared[thread] = value;
        __syncthreads();
        for (int n = THREADS; n > 1; n = (n + 1) / 2) {
            if (thread < n / 2) shared[thread] = combine(shared[thread], shared[thread + (n + 1) / 2]);
            __syncthreads();
        }
        return thread ? value : shared[0];
    }
    template <int ITEMS, class Operation>
    T Reduce(T (&items)[ITEMS], Operation combine) {
        T value = items[0];
        for (int j = 1; j < ITEMS; j++) value = combine(value, items[j]);
        return Reduce(value, combine);
    }
    template <class Input>
    T Sum(Input input) {
        return Reduce(input, [](T a, T b) { return (T)(a + b); });
    }
};
}  // namespace cub
