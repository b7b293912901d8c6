// SPDX-License-Identifier: BSD-3-Clause
// Sums, products, maxima, minima and averages over ranks, each operation rounded to the type.
#include "reductions.h"

#include "../numbers.h"

namespace emulator {

namespace {
struct Type {
    size_t bytes;
    const char *name;
};
constexpr Type TYPES[] = {{1, "int8"},    {1, "uint8"},   {4, "int32"},   {4, "uint32"},  {8, "int64"},
                          {8, "uint64"},  {2, "float16"}, {4, "float32"}, {8, "float64"}, {2, "bfloat16"}};
bool known(int type) { return type >= ncclInt8 && type <= ncclBfloat16; }

template <class F>
void by_type(int type, F f) {
    switch (type) {
        case ncclInt8: return f((int8_t *)nullptr);
        case ncclUint8: return f((uint8_t *)nullptr);
        case ncclInt32: return f((int32_t *)nullptr);
        case ncclUint32: return f((uint32_t *)nullptr);
        case ncclInt64: return f((int64_t *)nullptr);
        case ncclUint64: return f((uint64_t *)nullptr);
        case ncclFloat16: return f((Half *)nullptr);
        case ncclFloat32: return f((float *)nullptr);
        case ncclFloat64: return f((double *)nullptr);
        case ncclBfloat16: return f((BFloat16 *)nullptr);
    }
}

template <class T>
T combined(int reduction, T a, T b) {
    switch (reduction) {
        case ncclProd: return T(a * b);
        case ncclMax: return a > b ? a : b;
        case ncclMin: return a < b ? a : b;
        default: return T(a + b);  // the average is divided at the end
    }
}
}  // namespace

size_t bytes_of(int type) { return known(type) ? TYPES[type].bytes : 0; }
const char *name_of(int type) { return known(type) ? TYPES[type].name : "no type"; }
bool is_reduction(int reduction) { return reduction >= ncclSum && reduction <= ncclAvg; }

void reduce(int type, int reduction, void *total, const void *next, size_t count) {
    by_type(type, [=](auto *none) {
        using T = std::remove_pointer_t<decltype(none)>;
        auto *a = (T *)total;
        auto *b = (const T *)next;
        for (size_t i = 0; i < count; i++) a[i] = combined<T>(reduction, a[i], b[i]);
    });
}

void finish(int type, int reduction, void *total, size_t count, int ranks) {
    if (reduction != ncclAvg) return;
    by_type(type, [=](auto *none) {
        using T = std::remove_pointer_t<decltype(none)>;
        auto *a = (T *)total;
        for (size_t i = 0; i < count; i++) a[i] = T(a[i] / T(ranks));
    });
}

}  // namespace emulator
