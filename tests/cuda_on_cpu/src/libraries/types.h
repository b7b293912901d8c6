// SPDX-License-Identifier: BSD-3-Clause
// The numbers by which CuPy names types to its own compiled modules, and the order of their values.
#pragma once
#include <stdint.h>

#include <stdexcept>

#include "numbers.h"

namespace emulator {

// Call f with a null pointer to the type.
template <class F>
void by_type(int type, F f) {
    switch (type) {
        case 0: return f((int8_t *)nullptr);
        case 1: return f((uint8_t *)nullptr);
        case 2: return f((int16_t *)nullptr);
        case 3: return f((uint16_t *)nullptr);
        case 4: return f((int32_t *)nullptr);
        case 5: return f((uint32_t *)nullptr);
        case 6: return f((int64_t *)nullptr);
        case 7: return f((uint64_t *)nullptr);
        case 8: return f((Half *)nullptr);
        case 9: return f((float *)nullptr);
        case 10: return f((double *)nullptr);
        case 11: return f((Complex *)nullptr);
        case 12: return f((DoubleComplex *)nullptr);
        case 13: return f((bool *)nullptr);
        default: throw std::runtime_error("Unsupported dtype ID");
    }
}

template <class T>
bool is_nan(const T &x) {
    if constexpr (is_complex<T>) return is_nan(x.real()) || is_nan(x.imag());
    else if constexpr (std::is_same<T, Half>::value) return is_nan((float)x);
    else return x != x;
}

// NumPy's order: NaN is the last; complex numbers by their real parts, then by their imaginary parts.
template <class T>
bool less(const T &a, const T &b) {
    if constexpr (is_complex<T>) {
        bool nan_a = is_nan(a), nan_b = is_nan(b);
        if (nan_a != nan_b) return nan_b;
        if (nan_a && is_nan(a.real()) != is_nan(b.real())) return is_nan(b.real());
        if (nan_a && is_nan(a.imag()) != is_nan(b.imag())) return is_nan(b.imag());
        return less(a.real(), b.real()) || (!less(b.real(), a.real()) && less(a.imag(), b.imag()));
    } else if constexpr (std::is_same<T, Half>::value) {
        return less((float)a, (float)b);
    } else {
        return is_nan(a) ? false : is_nan(b) || a < b;
    }
}

}  // namespace emulator
