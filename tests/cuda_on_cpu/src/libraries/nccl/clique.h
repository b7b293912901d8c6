// SPDX-License-Identifier: BSD-3-Clause
// What the ranks of a communicator share: a file in memory, so that they can be threads or processes.
#pragma once
#include <stdint.h>

#include <atomic>
#include <memory>
#include <string>

#include "../../declarations/nccl.h"

namespace emulator {

constexpr int MAX_RANKS = 64;

enum Operation : int { ALL_REDUCE, REDUCE, BROADCAST, REDUCE_SCATTER, ALL_GATHER, SEND, RECEIVE };

// What a call says that must be the same on every rank; a sender's and a receiver's only have type and count.
struct Call {
    Operation operation;
    int type, reduction, root;
    size_t count;
    int group, place;  // how many calls of the communicator its group has, and which of them it is
};

enum State : int { ABSENT, JOINED, DESTROYED, ABORTED };

struct Member {
    std::atomic<int> state, device, process;
    std::atomic<uint64_t> arrived, finished;  // how many collective calls
    Call calls[2];                            // the latest two
};

// Messages from one rank to another, one after the other.
struct Channel {
    std::atomic<uint64_t> sent, received;
    Call call;  // of the sender
};

struct Shared {
    std::atomic<int> ranks, joined, error;
    std::atomic<bool> talks;  // a thread has written `text`
    char text[1024];          // what went wrong first
    Member members[MAX_RANKS];
    Channel channels[MAX_RANKS][MAX_RANKS];
};

// Bytes of the file, accessible as long as this object lives; null where there is no memory.
class Window {
  public:
    Window(int file, size_t offset, size_t size);
    ~Window();
    Window(const Window &) = delete;
    char *data = nullptr;

  private:
    void *start = nullptr;
    size_t length = 0;
};

class Clique {
  public:
    // A name for a new file; empty if there is no memory for one.
    static std::string create();
    // Opens it; null if there is no such file.
    static std::shared_ptr<Clique> open(const std::string &name);
    ~Clique();

    // The memory for a rank's part of a collective call, and for a message.
    std::unique_ptr<Window> part(int rank, uint64_t call, size_t size) const;
    std::unique_ptr<Window> message(int from, int to, size_t size) const;

    // Remember an error, say what it is, and let all ranks know. The first one counts.
    ncclResult_t fail(ncclResult_t error, const char *format, ...) __attribute__((format(printf, 3, 4)));
    ncclResult_t error() const { return (ncclResult_t)shared->error.load(); }
    // All ranks have it: its name is forgotten.
    void forget_name() const;

    Shared *const shared;
    const std::string name;

  private:
    Clique(std::string name, int file, Shared *shared) : shared(shared), name(std::move(name)), file(file) {}
    const int file;
};

// Say on stderr what is wrong with a call.
ncclResult_t refuse(ncclResult_t error, const char *format, ...) __attribute__((format(printf, 2, 3)));

}  // namespace emulator
