// SPDX-License-Identifier: BSD-3-Clause
// nvrtc's interface. The "cubin" of a program is a shared library for the CPU.
#include <string.h>

#include <algorithm>
#include <exception>

#include "emulator.h"
#include "nvrtc.h"

namespace {
using namespace emulator;

enum Result { SUCCESS = 0, INVALID_INPUT = 3, INVALID_OPTION = 5, COMPILATION = 6, NO_NAMES_BEFORE_COMPILATION = 9, INVALID_NAME = 10 };

struct Program {
    std::string source, name, log, library;
    Headers headers;
    Texts expressions;  // such as "scale<float>": instances of templates
    Texts symbols;      // the kernels that they are
};

// The program with the tables that the runtime reads.
std::string complete(const Source &source, const Program &program, const Options &options) {
    std::string text = options.definitions + "#line 1 \"" + program.name + "\"\n" + source.text + "\n#line 1 \"kernels\"\n";
    auto table = [&](const std::string &symbol, const std::string &function) {
        text += "EMULATOR_KERNEL(" + symbol + ", " + std::to_string(source.alone) + ", " + function + ")\n";
    };
    text += options.flush ? "EMULATOR_MODULE(1)\n" : "EMULATOR_MODULE(0)\n";
    for (const std::string &kernel : source.kernels) table(kernel, "&" + kernel);
    for (size_t i = 0; i < program.symbols.size(); i++) table(program.symbols[i], "(" + program.expressions[i] + ")");
    return text;
}

Result compile_program(Program &program, const Texts &given) {
    Options options = understand(given);
    program.log = options.error;
    if (!options.error.empty()) return INVALID_OPTION;
    if (program.source.empty()) return SUCCESS;  // CuPy asks for the PTX of it, to learn the compiler's version
    Source source = read_source(program.source);
    program.symbols.clear();
    for (size_t i = 0; i < program.expressions.size(); i++) program.symbols.push_back("expression_" + std::to_string(i));
    Compiled compiled = compile(complete(source, program, options), source.includes, options, program.headers);
    program.log = compiled.log;
    program.library = compiled.library;
    return compiled.good ? SUCCESS : COMPILATION;
}
}  // namespace

extern "C" {
EMULATOR_API const char *nvrtcGetErrorString(Result result) {
    switch (result) {
        case SUCCESS: return "NVRTC_SUCCESS";
        case INVALID_INPUT: return "NVRTC_ERROR_INVALID_INPUT";
        case INVALID_OPTION: return "NVRTC_ERROR_INVALID_OPTION";
        case COMPILATION: return "NVRTC_ERROR_COMPILATION";
        case NO_NAMES_BEFORE_COMPILATION: return "NVRTC_ERROR_NO_LOWERED_NAMES_BEFORE_COMPILATION";
        case INVALID_NAME: return "NVRTC_ERROR_NAME_EXPRESSION_NOT_VALID";
    }
    return "NVRTC_ERROR_UNKNOWN";
}
EMULATOR_API Result nvrtcVersion(int *major, int *minor) {
    *major = 12;
    *minor = 9;
    return SUCCESS;
}
EMULATOR_API Result nvrtcGetNumSupportedArchs(int *count) {
    *count = 1;
    return SUCCESS;
}
EMULATOR_API Result nvrtcGetSupportedArchs(int *architectures) {
    architectures[0] = 80;
    return SUCCESS;
}
EMULATOR_API Result nvrtcCreateProgram(Program **out, const char *source, const char *name, int count, const char *const *headers,
                                       const char *const *names) {
    if (!out || !source) return INVALID_INPUT;
    *out = new Program{source, name && *name ? name : "default_program", {}, {}, {}, {}, {}};
    for (int i = 0; i < count; i++) (*out)->headers.push_back({names[i], headers[i]});
    return SUCCESS;
}
EMULATOR_API Result nvrtcDestroyProgram(Program **program) {
    delete *program;
    *program = nullptr;
    return SUCCESS;
}
EMULATOR_API Result nvrtcAddNameExpression(Program *program, const char *expression) {
    program->expressions.push_back(expression);
    return SUCCESS;
}
EMULATOR_API Result nvrtcGetLoweredName(Program *program, const char *expression, const char **name) {
    if (program->library.empty()) return NO_NAMES_BEFORE_COMPILATION;
    auto found = std::find(program->expressions.begin(), program->expressions.end(), expression);
    if (found == program->expressions.end()) return INVALID_NAME;
    *name = program->symbols[found - program->expressions.begin()].c_str();
    return SUCCESS;
}
EMULATOR_API Result nvrtcCompileProgram(Program *program, int count, const char *const *options) {
    return compile_program(*program, Texts(options, options + count));
}
EMULATOR_API Result nvrtcGetProgramLogSize(Program *program, size_t *size) {
    *size = program->log.size() + 1;
    return SUCCESS;
}
EMULATOR_API Result nvrtcGetProgramLog(Program *program, char *log) {
    memcpy(log, program->log.c_str(), program->log.size() + 1);
    return SUCCESS;
}
EMULATOR_API Result nvrtcGetCUBINSize(Program *program, size_t *size) {
    *size = program->library.size();
    return SUCCESS;
}
EMULATOR_API Result nvrtcGetCUBIN(Program *program, char *library) {
    memcpy(library, program->library.data(), program->library.size());
    return SUCCESS;
}
EMULATOR_API Result nvrtcGetPTXSize(Program *program, size_t *size) {
    *size = program->library.size() + 1;
    return SUCCESS;
}
EMULATOR_API Result nvrtcGetPTX(Program *program, char *ptx) {
    memcpy(ptx, program->library.c_str(), program->library.size() + 1);
    return SUCCESS;
}
}
