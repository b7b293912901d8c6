// SPDX-License-Identifier: BSD-3-Clause
// Modules of compiled kernels: shared libraries that the emulated nvrtc makes.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "kernels.h"
#include "memory.h"
#include "modules.h"

namespace emulator {

namespace {
std::map<void *, std::shared_ptr<LoadedModule>> modules;
std::map<void *, std::unique_ptr<Function>> functions;

size_t image_size(const void *image) {  // the table of sections is an ELF file's last part
    const auto *header = (const Elf64_Ehdr *)image;
    if (memcmp(header->e_ident, ELFMAG, SELFMAG)) return 0;
    return header->e_shoff + (size_t)header->e_shnum * header->e_shentsize;
}

// dlopen takes a file that it knows by name for the same library, and numbers of open files come again: so each path is
// written in another way, with "./" or "/" for the bits of a counter.
std::string unique_path(int file) {
    static unsigned counter = 0;
    std::string path = "/proc/self/fd/";
    for (unsigned rest = counter++, bit = 0; bit < 24; bit++, rest /= 2) path += rest % 2 ? "./" : "/";
    return path + std::to_string(file);
}

void *load_library(const void *image, size_t size) {
    int file = memfd_create("kernels", MFD_CLOEXEC);
    if (file < 0) return nullptr;
    void *library = nullptr;
    if (write(file, image, size) == (ssize_t)size) library = dlopen(unique_path(file).c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) fprintf(stderr, "CUDA emulator: %s\n", dlerror());
    close(file);
    return library;
}

CudaError load(void **out, const void *image) {
    size_t size = image_size(image);
    void *library = size ? load_library(image, size) : nullptr;
    if (!library) return cudaErrorInvalidKernelImage;
    auto *module = (Module *)dlsym(library, "emulator_module");
    if (!module) {
        fprintf(stderr, "CUDA emulator: a module that the emulated nvrtc has not compiled\n");
        return cudaErrorInvalidKernelImage;
    }
    module->threads = thread_functions();
    auto loaded = std::make_shared<LoadedModule>(LoadedModule{library, module, &device(current_device())});
    *out = loaded.get();
    modules[*out] = loaded;
    return cudaSuccess;
}

std::shared_ptr<LoadedModule> module_of(void *handle) {
    auto it = modules.find(handle);
    return it == modules.end() ? nullptr : it->second;
}

CudaError find_function(void **out, const std::shared_ptr<LoadedModule> &module, const char *name) {
    void *kernel = dlsym(module->library, (std::string("emulator_kernel_") + name).c_str());
    if (!kernel) return cudaErrorSymbolNotFound;
    auto &function = functions[kernel];
    if (!function) function.reset(new Function{(const Kernel *)kernel, module});
    *out = kernel;
    return cudaSuccess;
}

// Variables of a module are the device's for all but their addresses: the host could read them.
CudaError find_variable(size_t *out, size_t *size, const LoadedModule &module, const char *name) {
    void *address = dlsym(module.library, name);
    Dl_info info;
    const ElfW(Sym) *symbol = nullptr;
    if (!address || !dladdr1(address, &info, (void **)&symbol, RTLD_DL_SYMENT) || !symbol)
        return cudaErrorSymbolNotFound;
    if (!block_of(address)) add_block({(size_t)address, symbol->st_size, ON_DEVICE, module.device->number, true});
    if (out) *out = (size_t)address;
    if (size) *size = symbol->st_size;
    return cudaSuccess;
}
}  // namespace

Function *function_of(void *handle) {
    auto it = functions.find(handle);
    return it == functions.end() || it->second->module->unloaded ? nullptr : it->second.get();
}

}  // namespace emulator

using namespace emulator;

extern "C" {
EMULATOR_API CudaError cuModuleLoadData(void **out, const void *image) {
    return driver_call([&] {
        CudaError error = refused_by_capture();
        return error ? error : load(out, image);
    });
}
EMULATOR_API CudaError cuModuleLoadDataEx(void **out, const void *image, unsigned, void *, void **) {
    return cuModuleLoadData(out, image);
}
// Its kernels can no longer be launched. The library stays, for queued launches and graphs may use it.
EMULATOR_API CudaError cuModuleUnload(void *handle) {
    return driver_call([&] {
        auto module = module_of(handle);
        if (!module) return cudaErrorInvalidResourceHandle;
        module->unloaded = true;
        modules.erase(handle);
        return cudaSuccess;
    });
}
EMULATOR_API CudaError cuModuleGetFunction(void **out, void *handle, const char *name) {
    return driver_call([&] {
        auto module = module_of(handle);
        return module ? find_function(out, module, name) : cudaErrorInvalidResourceHandle;
    });
}
EMULATOR_API CudaError cuModuleGetGlobal_v2(size_t *out, size_t *size, void *handle, const char *name) {
    return driver_call([&] {
        auto module = module_of(handle);
        return module ? find_variable(out, size, *module, name) : cudaErrorInvalidResourceHandle;
    });
}
}
