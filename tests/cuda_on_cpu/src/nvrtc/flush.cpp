// SPDX-License-Identifier: BSD-3-Clause
// Flush to zero as a GPU has it. The runtime sets it for all arithmetic of the CPU (MXCSR), but a GPU flushes float32
// only: so it is taken back around float64 arithmetic, and around functions of the host's libraries.
#include <set>
#include <sstream>

#include "nvrtc.h"

namespace emulator {

namespace {
const char CONSTANTS[] = R"(
	.section .rodata
	.align 4
emulator_plain:
	.long 0x1f80
emulator_flushing:
	.long 0x9fc0
emulator_one:
	.long 0x3f800000
)";

bool begins(const std::string &s, const char *with) { return s.rfind(with, 0) == 0; }
bool ends(const std::string &s, const char *with) {
    std::string w = with;
    return s.size() >= w.size() && s.compare(s.size() - w.size(), w.size(), w) == 0;
}

struct Instruction {
    std::string name, operands;
};
Instruction parse(const std::string &line) {
    std::istringstream words(line);
    Instruction i;
    words >> i.name;
    std::getline(words >> std::ws, i.operands);
    return i;
}

// Whether it computes, rather than moves, selects or combines bits.
bool computes(const std::string &name) {
    for (const char *operation : {"add", "sub", "mul", "div", "sqrt", "min", "max", "round", "cmp", "comis", "ucomis", "fm", "fnm"})
        if (begins(name, operation) || begins(name, (std::string("v") + operation).c_str())) return true;
    return false;
}
bool of_double(const std::string &name) { return computes(name) && (ends(name, "sd") || ends(name, "pd")); }
// Conversions between the two flush: they read or make a float32.
bool of_single(const std::string &name) {
    bool converts = name.find("cvt") != std::string::npos;
    return ((computes(name) || converts) && (ends(name, "ss") || ends(name, "ps"))) || name.find("ss2s") != std::string::npos;
}
bool leaves(const Instruction &i) { return i.name[0] == 'j' || begins(i.name, "call") || begins(i.name, "ret") || begins(i.name, "ud2"); }
// A negation; with the same operand twice it is the number zero.
bool negates(const Instruction &i) {
    if (i.name != "vxorps" && i.name != "xorps") return false;
    std::istringstream words(i.operands);
    std::string a, b;
    words >> a >> b;
    return a != b;
}
std::string result_of(const Instruction &i) { return i.operands.substr(i.operands.rfind('%')); }

class Writer {
    std::ostringstream out;
    bool plain = false;

    void set(bool wanted) {
        if (plain != wanted) out << (wanted ? "\tldmxcsr\temulator_plain(%rip)\n" : "\tldmxcsr\temulator_flushing(%rip)\n");
        plain = wanted;
    }

  public:
    std::set<std::string> own;  // functions of this module

    void line(const std::string &text) {
        if (text[0] != '\t' || text[1] == '.') {  // a label, or a directive
            if (text[0] != '\t') set(false);
            out << text << '\n';
            return;
        }
        Instruction i = parse(text);
        std::string callee = i.operands.substr(0, i.operands.find('@'));
        bool calls_library = begins(i.name, "call") && callee[0] != '*' && !own.count(callee);
        if (of_double(i.name) || calls_library)
            set(true);
        else if (of_single(i.name) || leaves(i))
            set(false);
        out << text << '\n';
        if (!negates(i)) return;
        set(false);
        out << "\tvmulss\temulator_one(%rip), " << result_of(i) << ", " << result_of(i) << '\n';
    }
    std::string text() const { return out.str() + CONSTANTS; }
};
}  // namespace

std::string flush_single_precision(const std::string &assembly) {
    Writer writer;
    std::istringstream labels(assembly), lines(assembly);
    for (std::string line; std::getline(labels, line);)
        if (!line.empty() && line.back() == ':') writer.own.insert(line.substr(0, line.size() - 1));
    for (std::string line; std::getline(lines, line);) {
        if (line.empty()) continue;
        writer.line(line);
    }
    return writer.text();
}

}  // namespace emulator
