// SPDX-License-Identifier: BSD-3-Clause
// The numbers that the libraries compute with, beside C++'s own: half, bfloat16, and complex.
#pragma once
#include <stdint.h>
#include <string.h>

#include <complex>
#include <type_traits>

namespace emulator {

using Complex = std::complex<float>;
using DoubleComplex = std::complex<double>;

inline uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

inline float from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

// float32 with its lowest bits rounded away, to the nearest; between two, to the even one.
inline float drop_bits(float x, int count) {
    uint32_t bits = bits_of(x);
    if ((bits & 0x7f800000) == 0x7f800000) return x;
    uint32_t half = (1u << (count - 1)) - 1;
    bits += half + (bits >> count & 1);
    return from_bits(bits & ~((1u << count) - 1));
}

struct BFloat16 {
    uint16_t bits;

    BFloat16() = default;
    BFloat16(float x) : bits(x != x ? 0x7fff : bits_of(drop_bits(x, 16)) >> 16) {}
    operator float() const { return from_bits((uint32_t)bits << 16); }
};

struct Half {
    uint16_t bits;

    Half() = default;
    Half(float x) {
        uint32_t all = bits_of(x), size = all & 0x7fffffff;
        uint16_t sign = all >> 16 & 0x8000;
        if (size > 0x7f800000) {
            bits = 0x7fff;
        } else if (size >= 0x477ff000) {  // rounds to 65536 or more
            bits = sign | 0x7c00;
        } else if (size < 0x38800000) {   // subnormal in half: adding 0.5 leaves multiples of 2^-24
            bits = sign | (bits_of(from_bits(size) + 0.5f) - 0x3f000000);
        } else {
            bits = sign | (bits_of(drop_bits(from_bits(size), 13)) - 0x38000000) >> 13;
        }
    }
    operator float() const {
        uint32_t sign = (uint32_t)(bits & 0x8000) << 16, size = bits & 0x7fff;
        if (size >= 0x7c00) return from_bits(sign | 0x7f800000 | (size & 0x3ff) << 13);
        if (size >= 0x400) return from_bits(sign | ((size << 13) + 0x38000000));
        return from_bits(sign | bits_of(size * 0x1p-24f));
    }
};

template <class T>
constexpr bool is_complex = std::is_same<T, Complex>::value || std::is_same<T, DoubleComplex>::value;

template <class T>
T conjugate(T x) {
    if constexpr (is_complex<T>) return std::conj(x);
    else return x;
}

// a b without the C++ library's treatment of infinities, which no GPU has.
template <class T>
T times(T a, T b) {
    if constexpr (is_complex<T>)
        return T(a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real());
    else if constexpr (std::is_same<T, bool>::value) return a && b;
    else return a * b;
}

}  // namespace emulator
