// SPDX-License-Identifier: BSD-3-Clause
// Errors, and functions that are not emulated.
#include <stdio.h>

#include <string>

#include "runtime.h"

namespace emulator {

namespace {
thread_local CudaError last_error = cudaSuccess;
thread_local std::string not_emulated_text;  // what the calling thread asked for last that is not emulated

struct Text {
    CudaError error;
    const char *name, *driver_name, *text;
};
#define CUDA_TEXT(name, number, driver, text) {name, #name, driver, text},
const Text texts[] = {CUDA_ERRORS(CUDA_TEXT)};
#undef CUDA_TEXT

const Text *text_of(CudaError error) {
    for (const Text &text : texts)
        if (text.error == error) return &text;
    return nullptr;
}
const char *message(CudaError error) {
    if (error == cudaErrorNotSupported && !not_emulated_text.empty()) return not_emulated_text.c_str();
    const Text *text = text_of(error);
    return text ? text->text : "unrecognized error code";
}
}  // namespace

CudaError fail(CudaError error) {
    if (error) last_error = error;
    return error;
}

void not_emulated(const char *what) {
    not_emulated_text = std::string("not emulated: ") + what;
    fprintf(stderr, "CUDA emulator: %s\n", not_emulated_text.c_str());
}

}  // namespace emulator

using namespace emulator;

extern "C" {
EMULATOR_API CudaError emulator_not_emulated(const char *name) {
    not_emulated(name);
    return fail(cudaErrorNotSupported);
}

EMULATOR_API CudaError cudaGetLastError() {
    CudaError error = last_error;
    last_error = cudaSuccess;
    return error ? error : device_count() ? device(current_device()).broken : cudaSuccess;
}
EMULATOR_API CudaError cudaPeekAtLastError() {
    return last_error ? last_error : device_count() ? device(current_device()).broken : cudaSuccess;
}
EMULATOR_API const char *cudaGetErrorName(CudaError error) {
    const Text *text = text_of(error);
    return text ? text->name : "unrecognized error code";
}
EMULATOR_API const char *cudaGetErrorString(CudaError error) { return message(error); }

EMULATOR_API CudaError cuGetErrorName(CudaError error, const char **out) {
    const Text *text = text_of(error);
    *out = text ? text->driver_name : nullptr;
    return text ? cudaSuccess : cudaErrorInvalidValue;
}
EMULATOR_API CudaError cuGetErrorString(CudaError error, const char **out) {
    *out = text_of(error) ? message(error) : nullptr;
    return *out ? cudaSuccess : cudaErrorInvalidValue;
}
}
