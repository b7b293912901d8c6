// SPDX-License-Identifier: BSD-3-Clause
#pragma once
namespace cub {
enum BlockLoadAlgorithm { BLOCK_LOAD_DIRECT };

// Each thread of a block loads ITEMS numbers that follow each other.
template <class T, int THREADS, int ITEMS, BlockLoadAlgorithm = BLOCK_LOAD_DIRECT>
struct BlockLoad {
    struct TempStorage {};
    BlockLoad(TempStorage &) {}
    template <class Iterator, class Default>
    void Load(Iterator from, T (&items)[ITEMS], int valid, Default otherwise) {
        for (int j = 0; j < ITEMS; j++) {
            int k = (int)threadIdx.x * ITEMS + j;
            items[j] = k < valid ? (T)from[k] : (T)otherwise;
        }
    }
};
}  // namespace cub
