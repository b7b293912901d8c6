// SPDX-License-Identifier: BSD-3-Clause
// The descriptors of cublasLt: numbered attributes, each of its own size.
#pragma once
#include <vector>

#include "../../declarations/cublaslt.h"
#include "../../emulator.h"

#define CUBLASLT extern "C" EMULATOR_API

namespace emulator {

struct Attribute {
    int number;
    size_t size;
    int64_t initial;
};

class Descriptor {
public:
    explicit Descriptor(const std::vector<Attribute> &attributes) : attributes(attributes) {
        for (const Attribute &each : attributes) values.push_back(each.initial);
    }
    // As the real library does: any value is accepted here, but only of the attribute's own size.
    cublasStatus_t set(int number, const void *from, size_t size);
    cublasStatus_t get(int number, void *to, size_t size, size_t *written) const;
    void put(int number, int64_t value) { values[index(number)] = value; }
    int64_t operator[](int number) const { return values[index(number)]; }
    // The first attribute that was changed and is not among `known`; -1 if there is none.
    int changed(const std::vector<int> &known) const;

private:
    const std::vector<Attribute> &attributes;
    std::vector<int64_t> values;
    int index(int number) const;  // -1 if there is no such attribute
};

struct Matmul : Descriptor {
    Matmul();
};
struct Layout : Descriptor {
    Layout();
};
struct Preference : Descriptor {
    Preference();
};

}  // namespace emulator
