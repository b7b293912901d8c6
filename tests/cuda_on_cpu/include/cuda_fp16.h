// SPDX-License-Identifier: BSD-3-Clause
// float16, of which kernels store, convert and take apart numbers: they compute in float32.
#pragma once
struct __half_raw {
    unsigned short x;
};
struct __half {
    __half() = default;
    __half(const __half_raw &raw) : bits(raw.x) {}
    __half(float v) : bits((unsigned short)__builtin_ia32_vcvtps2ph(vector{v}, 0)[0]) {}
    explicit __half(double v) : __half(rounded_to_odd(v)) {}
    explicit __half(int v) : __half((double)v) {}
    explicit __half(unsigned v) : __half((double)v) {}
    explicit __half(long long v) : __half((double)v) {}
    explicit __half(unsigned long long v) : __half((double)v) {}
    operator float() const { return __builtin_ia32_vcvtph2ps(halves{(short)bits})[0]; }
    operator __half_raw() const { return {bits}; }

  private:
    typedef float vector __attribute__((vector_size(16)));
    typedef short halves __attribute__((vector_size(16)));
    unsigned short bits;

    // The float32 that float16 rounds as it would v: with its last bit set if v lies between two of them.
    static float rounded_to_odd(double v) {
        float nearest = (float)v;
        if ((double)nearest == v || v != v) return nearest;
        unsigned u = __float_as_uint(nearest);
        if (fabs((double)nearest) > fabs(v)) u--;
        return __uint_as_float(u | 1);
    }
};
typedef __half half;
inline unsigned short __half_as_ushort(__half h) { return __half_raw(h).x; }
inline __half __ushort_as_half(unsigned short bits) { return __half_raw{bits}; }
inline float __half2float(__half h) { return h; }
inline __half __float2half(float v) { return v; }
inline __half __float2half_rn(float v) { return v; }
inline __half __double2half(double v) { return __half(v); }
