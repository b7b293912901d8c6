// SPDX-License-Identifier: BSD-3-Clause
// nvrtc's options.
#include <algorithm>

#include "nvrtc.h"

namespace emulator {

namespace {
// These change nothing that can be seen here: the architecture, debugging, speed, and what g++ does anyway.
const char *const WITHOUT_EFFECT[] = {
    "-arch", "--gpu-architecture", "--device-as-default-execution-space", "-default-device", "--pch", "-w", "--disable-warnings",
    "--device-debug", "-G", "--generate-line-info", "-lineinfo", "--maxrregcount", "-maxrregcount", "--restrict", "-restrict",
    "--extra-device-vectorization", "--builtin-move-forward", "--prec-div", "-prec-div", "--prec-sqrt", "-prec-sqrt"};

// The C++ that kernels may use. The prelude needs C++17.
std::string standard(const std::string &name) {
    if (name == "c++03" || name == "c++11" || name == "c++14" || name == "c++17") return "-std=gnu++17";
    return name == "c++20" ? "-std=gnu++20" : "";
}

std::string definition(std::string macro) {
    size_t equals = macro.find('=');
    if (equals == std::string::npos) return "#define " + macro + " 1\n";
    macro[equals] = ' ';
    return "#define " + macro + "\n";
}

// "true" or "false" as nvrtc spells it; an option without a value is true.
bool is_true(const std::string &value) { return value.empty() || value == "true"; }
}  // namespace

Options understand(const Texts &given) {
    Options options;
    std::string dialect = "-std=gnu++17", contraction = "fast";
    for (size_t i = 0; i < given.size(); i++) {
        std::string name = given[i], value;
        bool spelt_short = name.size() > 1 && name[0] == '-' && (name[1] == 'I' || name[1] == 'D' || name[1] == 'U');
        if (spelt_short) {
            bool apart = name.size() == 2 && i + 1 < given.size();
            value = apart ? given[++i] : name.substr(2);
            name.resize(2);
        }
        size_t equals = name.find('=');
        if (!spelt_short && equals != std::string::npos) value = name.substr(equals + 1), name.resize(equals);
        if (name == "-I" || name == "--include-path")
            options.flags.push_back("-I" + value);
        else if (name == "-D" || name == "--define-macro")
            options.definitions += definition(value);
        else if (name == "-U" || name == "--undefine-macro")
            options.definitions += "#undef " + value + "\n";
        else if ((name == "-std" || name == "--std") && !standard(value).empty())
            dialect = standard(value);
        else if (name == "-ftz" || name == "--ftz")
            options.flush = is_true(value);
        else if (name == "-fmad" || name == "--fmad")
            contraction = is_true(value) ? "fast" : "off";
        else if (name == "-use_fast_math" || name == "--use_fast_math")
            options.flush = true;
        else if (std::find(std::begin(WITHOUT_EFFECT), std::end(WITHOUT_EFFECT), name) == std::end(WITHOUT_EFFECT))
            options.error += "the option " + given[i] + " is not emulated\n";
    }
    options.flags.push_back(dialect);
    options.flags.push_back("-ffp-contract=" + contraction);
    return options;
}

}  // namespace emulator
