// SPDX-License-Identifier: BSD-3-Clause
// What a handle of cuBLAS holds, and how its functions queue their work.
#pragma once
#include <stdint.h>

#include <utility>

#include "../../declarations/cublas.h"
#include "../../emulator.h"
#include "../numbers.h"

#define CUBLAS extern "C" EMULATOR_API

namespace emulator {

struct BlasHandle {
    void *stream = nullptr;
    int pointer_mode = CUBLAS_POINTER_MODE_HOST;
    int math = CUBLAS_DEFAULT_MATH;
    bool scalars_on_host() const { return pointer_mode == CUBLAS_POINTER_MODE_HOST; }
};

// A factor that the caller passed by its address: on the host it is read at once, on the GPU when the work runs.
template <class T>
class Scalar {
public:
    Scalar(const BlasHandle *handle, const void *address)
        : address((const T *)address), now(handle->scalars_on_host()) {
        if (now) value = *this->address;
    }
    T get() const { return now ? value : *address; }

private:
    const T *address;
    bool now;
    T value = T(0);
};

// A vector with an increment; a negative one begins at its end, as in BLAS.
template <class T>
class Strided {
public:
    Strided(T *data, int64_t n, int64_t step) : data(step < 0 ? data + (1 - n) * step : data), step(step) {}
    T &operator[](int64_t i) const { return data[i * step]; }

private:
    T *data;
    int64_t step;
};

template <class F>
cublasStatus_t queue(BlasHandle *handle, F work) {
    return enqueue(handle->stream, std::move(work)) ? CUBLAS_STATUS_EXECUTION_FAILED : CUBLAS_STATUS_SUCCESS;
}

// The same for a result that goes to the host if the handle's pointers are there: then the call waits for it.
template <class F>
cublasStatus_t queue_result(BlasHandle *handle, F work) {
    cublasStatus_t status = queue(handle, std::move(work));
    if (status == CUBLAS_STATUS_SUCCESS && handle->scalars_on_host() && wait(handle->stream))
        return CUBLAS_STATUS_EXECUTION_FAILED;
    return status;
}

}  // namespace emulator
