"""The beginning of every printed text: the macros and functions that kernels use."""

__all__ = ["PRELUDE"]

PRELUDE = """
#define KERNEL extern "C" __global__ void __launch_bounds__(256)
#define DEVICE static __device__ __forceinline__
#define WARP ((long long)((blockIdx.x * (unsigned long long)blockDim.x + threadIdx.x) >> 5))
#define WARPS ((long long)((gridDim.x * (unsigned long long)blockDim.x) >> 5))
#define LANE ((int)(threadIdx.x & 31u))
#define INF __longlong_as_double(0x7ff0000000000000LL)
#define OTHER_LANE(x, distance) __shfl_xor_sync(0xffffffffu, x, distance)
// True in the first warp of the last block that gets here: all other blocks have done their reads and writes by then.
// The count is 0 before and after.
DEVICE bool last_block(unsigned *count) {
    __shared__ bool last;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) last = atomicInc(count, gridDim.x - 1) == gridDim.x - 1;
    __syncthreads();
    __threadfence();
    return last && threadIdx.x < 32;
}
template <class T> DEVICE T plus(T a, T b) { return a + b; }
template <class T> DEVICE T larger(T a, T b) { return (a >= b || a != a) ? a : b; }
template <class T> DEVICE T smaller(T a, T b) { return (a <= b || a != a) ? a : b; }
template <class U, class T> DEVICE U bits(T x) { union { T from; U to; } both = {x}; return both.to; }
// A shift by the width or more, or by a negative count, leaves only the sign: for C's operators that is undefined.
template <class T> DEVICE bool within(T n) {
    return sizeof(T) > 4 ? (unsigned long long)n < 8 * sizeof(T) : (unsigned int)n < 8 * sizeof(T);
}
template <class T> DEVICE T shifted_left(T x, T n) {
    if (!within(n)) return (T)0;
    return sizeof(T) > 4 ? (T)((unsigned long long)x << n) : (T)((unsigned int)x << n);
}
template <class T> DEVICE T shifted_right(T x, T n) { return within(n) ? (T)(x >> n) : x < 0 ? (T)-1 : (T)0; }
// The number of lanes that share so many items: a power of two.
DEVICE int lanes_for(long long items) {
    int lanes = 1;
    while (lanes < items && lanes < 32) lanes *= 2;
    return lanes;
}
// Combines x of the lanes at distances from (included) to (excluded), the lower lane's first: all get the same bits.
template <class T, T combine(T, T)> DEVICE T across(T x, int from, int to) {
    for (int d = 1; d < 32; d *= 2)
        if (from <= d && d < to) {
            const T other = OTHER_LANE(x, d);
            x = LANE & d ? combine(other, x) : combine(x, other);
        }
    return x;
}
// Neighbours at a multiple of their size are one access.
template <class T, int N> struct alignas(N * sizeof(T)) Whole { T part[N]; };
template <int N, class T> DEVICE bool aligned(const T *p) { return (unsigned long long)p % (N * sizeof(T)) == 0; }
template <class T, int N> DEVICE void load(T (&x)[N], const T *from) {
    const Whole<T, N> all = *(const Whole<T, N> *)from;
    for (int p = 0; p < N; ++p) x[p] = all.part[p];
}
template <class T, int N> DEVICE void store(T *to, const T (&x)[N]) {
    Whole<T, N> all;
    for (int p = 0; p < N; ++p) all.part[p] = x[p];
    *(Whole<T, N> *)to = all;
}
template <class T, int N> DEVICE void load(T (&x)[N], const T *from, int parts) {
    for (int p = 0; p < N; ++p) x[p] = p < parts ? from[p] : (T)0;
}
template <class T, int N> DEVICE void store(T *to, const T (&x)[N], int parts) {
    for (int p = 0; p < N; ++p) if (p < parts) to[p] = x[p];
}
"""
