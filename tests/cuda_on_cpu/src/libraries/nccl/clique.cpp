// SPDX-License-Identifier: BSD-3-Clause
// The shared file of a communicator.
#include "clique.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mutex>
#include <set>

namespace emulator {

namespace {
constexpr size_t REGION = (size_t)1 << 36, PAGE = 4096;  // of a sparse file: what is not written takes no memory
constexpr size_t HEAD = (sizeof(Shared) + PAGE - 1) / PAGE * PAGE;

// Names of files that this process has made and that not all ranks have opened yet.
class Names {
  public:
    void add(const std::string &name) {
        std::lock_guard guard(lock);
        names.insert(name);
    }
    void remove(const std::string &name) {
        std::lock_guard guard(lock);
        shm_unlink(name.c_str());
        names.erase(name);
    }
    ~Names() {
        for (auto &name : names) shm_unlink(name.c_str());
    }

  private:
    std::mutex lock;
    std::set<std::string> names;
} unopened;

void say(const char *text) { fprintf(stderr, "CUDA emulator: NCCL: %s\n", text); }
}  // namespace

Window::Window(int file, size_t offset, size_t size) {
    if (posix_fallocate(file, offset, size)) return;
    length = size;
    start = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, offset);
    if (start != MAP_FAILED) data = (char *)start;
}
Window::~Window() {
    if (data) munmap(start, length);
}

std::string Clique::create() {
    static std::atomic<unsigned> number{0};
    char name[64];
    snprintf(name, sizeof name, "/cuda-emulator-nccl-%d-%u-%08x", getpid(), number++, (unsigned)random());
    int file = shm_open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
    bool made = file >= 0 && !ftruncate(file, HEAD);
    if (file >= 0) ::close(file);
    if (!made) return "";
    unopened.add(name);
    return name;
}

std::shared_ptr<Clique> Clique::open(const std::string &name) {
    int file = shm_open(name.c_str(), O_RDWR | O_CLOEXEC, 0);
    if (file < 0) return nullptr;
    void *head = mmap(nullptr, HEAD, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (head == MAP_FAILED) return ::close(file), nullptr;
    return std::shared_ptr<Clique>(new Clique(name, file, (Shared *)head));
}

Clique::~Clique() {
    munmap(shared, HEAD);
    ::close(file);
}

void Clique::forget_name() const { unopened.remove(name); }

std::unique_ptr<Window> Clique::part(int rank, uint64_t call, size_t size) const {
    return std::make_unique<Window>(file, HEAD + REGION * (rank * 2 + call % 2), size);
}
std::unique_ptr<Window> Clique::message(int from, int to, size_t size) const {
    return std::make_unique<Window>(file, HEAD + REGION * (2 * MAX_RANKS + from * MAX_RANKS + to), size);
}

ncclResult_t Clique::fail(ncclResult_t error, const char *format, ...) {
    char text[sizeof shared->text];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (!shared->talks.exchange(true)) {
        strcpy(shared->text, text);
        shared->error = error;
        say(text);
    }
    return this->error() ? this->error() : error;
}

ncclResult_t refuse(ncclResult_t error, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    say(text);
    return error;
}

}  // namespace emulator
