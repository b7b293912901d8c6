// SPDX-License-Identifier: BSD-3-Clause
// As in nvrtc there are no headers of the host: kernels find these words defined.
#pragma once
#define NULL __null
typedef __SIZE_TYPE__ size_t;
typedef __PTRDIFF_TYPE__ ptrdiff_t;
namespace std {
using ::ptrdiff_t;
using ::size_t;

template <class T>
class initializer_list {  // the compiler makes these, from an address and a size
    const T *first;
    size_t length;

  public:
    constexpr initializer_list() : first(nullptr), length(0) {}
    constexpr size_t size() const { return length; }
    constexpr const T *begin() const { return first; }
    constexpr const T *end() const { return first + length; }
};
}  // namespace std
