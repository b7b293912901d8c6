// SPDX-License-Identifier: BSD-3-Clause
// The steps from a program in CUDA C++ to a shared library that the runtime loads.
#pragma once
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace emulator {

using Texts = std::vector<std::string>;
using Headers = std::vector<std::pair<std::string, std::string>>;  // name and text

// What the options of nvrtc mean to g++.
struct Options {
    Texts flags;
    std::string definitions;  // of macros, as text: they must not change the prelude
    bool flush = false;  // subnormal float32 are zero
    std::string error;   // names an option that is not understood; empty if all are
};
Options understand(const Texts &options);

// A program, ready for g++.
struct Source {
    std::string text;               // lines have the numbers that they had
    Texts includes;                 // the lines "#include <cupy/...>" that it begins with: headers that do not change
    std::set<std::string> kernels;  // the functions that the host finds by name
    int alone;                      // as Kernel::alone in module.h
};
Source read_source(const std::string &text);

struct Word {
    enum Kind { NAME, STRING, DIRECTIVE, OTHER } kind;
    size_t begin, end;  // where it is in the text
    std::string text;
};
// The words of C++ text, without comments. A directive of the preprocessor is one word, a sign one of its own.
std::vector<Word> split_words(const std::string &text);

// The assembly text of a module that flushes, with float64 left as it is, and float32 flushed also where it is negated.
std::string flush_single_precision(const std::string &assembly);

struct Compiled {
    std::string library, log;
    bool good = false;
};
Compiled compile(const std::string &text, const Texts &includes, const Options &options, const Headers &headers);

}  // namespace emulator
