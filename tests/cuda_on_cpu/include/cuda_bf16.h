// SPDX-License-Identifier: BSD-3-Clause
// bfloat16, the upper half of a float32. Kernels compute in float32.
#pragma once
struct __nv_bfloat16_raw {
    unsigned short x;
};
struct __nv_bfloat16 {
    __nv_bfloat16() = default;
    __nv_bfloat16(const __nv_bfloat16_raw &raw) : bits(raw.x) {}
    __nv_bfloat16(float v) {  // to the nearest, and to even of two
        unsigned u = __float_as_uint(v);
        bits = __builtin_isnan(v) ? 0x7fff : (unsigned short)((u + 0x7fff + (u >> 16 & 1)) >> 16);
    }
    operator float() const { return __uint_as_float((unsigned)bits << 16); }
    operator __nv_bfloat16_raw() const { return {bits}; }

  private:
    unsigned short bits;
};
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 b) { return __nv_bfloat16_raw(b).x; }
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short bits) { return __nv_bfloat16_raw{bits}; }
inline bool __hisnan(__nv_bfloat16 b) { return (__bfloat16_as_ushort(b) & 0x7fff) > 0x7f80; }
inline int __hisinf(__nv_bfloat16 b) { return (__bfloat16_as_ushort(b) & 0x7fff) == 0x7f80; }
