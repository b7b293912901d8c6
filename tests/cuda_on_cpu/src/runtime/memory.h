// SPDX-License-Identifier: BSD-3-Clause
// Which memory belongs to which device, and when it can be accessed.
#pragma once
#include "runtime.h"

namespace emulator {

using Devices = unsigned;  // a set of devices, one bit each

struct Block {
    size_t address, size;
    MemoryType type;
    int device;
    bool registered;  // the user's own memory, made known by cudaHostRegister or as a variable of a module
};

// The block that holds an address, or null.
const Block *block_of(const void *address);
void add_block(const Block &block);
// Device memory of at least so many bytes, filled with 0xFF; null if there is not enough.
void *allocate(Device &device, size_t size);
// Frees what starts at the address. False if nothing does.
bool release(void *address, MemoryType type);

// Makes exactly these devices' memory accessible at the user's addresses: for work that has them not from its arguments
// but from tables of pointers.
void open(Devices devices);
bool is_open(int device);
// The address at which work that sees these devices finds what the user knows by `address`; the same for all addresses
// among some bytes, such as pointers in a structure; and the other way round.
void *for_work(const void *address, Devices visible);
void place_for_work(void *bytes, size_t size, Devices visible);
const void *for_user(const void *address);
// The device and its peers, as a kernel on it sees them.
Devices visible_from(const Device &device);

// Addresses of a device, `size` bytes of them: `reserve` returns null if they are used up.
char *reserve_addresses(int device, size_t size);
void free_addresses(int device, char *address, size_t size);
// The device to whose range an address belongs, or -1.
int device_of_range(const void *address);
void fill_with_poison(void *address, size_t size);

}  // namespace emulator
