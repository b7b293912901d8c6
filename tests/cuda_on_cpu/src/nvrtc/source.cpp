// SPDX-License-Identifier: BSD-3-Clause
// What g++ cannot see in CUDA C++: which functions are kernels, which variables the host finds, and memory whose size
// the launch gives.
#include <algorithm>
#include <map>
#include <set>

#include "nvrtc.h"

namespace emulator {

namespace {
const std::set<std::string> ASKS_FOR_THREADS = {
    "threadIdx", "blockIdx", "blockDim", "gridDim", "warpSize", "__shared__", "__syncthreads", "__syncwarp", "__shfl_sync",
    "__shfl_up_sync", "__shfl_down_sync", "__shfl_xor_sync", "__ballot_sync", "__any_sync", "__all_sync", "clock", "clock64"};
const std::set<std::string> WITH_PARENTHESES = {"__launch_bounds__", "__align__", "__attribute__", "alignas"};

class Reader {
    const std::string &text;
    std::vector<Word> words;
    std::vector<std::pair<size_t, std::string>> insertions;
    std::vector<std::pair<std::pair<size_t, size_t>, std::string>> replacements;
    struct Scope {
        bool outermost, c_names;  // nothing but namespaces around it; in an extern "C"
    };
    std::vector<Scope> scopes = {{true, false}};
    bool is_template = false, c_name = false, is_namespace = false;  // of the declaration that is being read
    std::set<std::string> kernel_macros;  // words that stand for __global__ and more
    std::set<std::string> c_macros;       // of these, with extern "C"
    Source source;

    bool is(size_t i, const char *word) const { return i < words.size() && words[i].text == word; }

    // The index after the parentheses that begin at i; i if none do.
    size_t after_parentheses(size_t i) const {
        if (!is(i, "(")) return i;
        int depth = 0;
        for (; i < words.size(); i++) {
            depth += is(i, "(") - is(i, ")");
            if (!depth) return i + 1;
        }
        return i;
    }

    void directive(const Word &word) {
        std::vector<Word> parts = split_words(word.text.substr(1));
        for (const Word &part : parts) one_thread = one_thread && part.text != "return";  // perhaps a kernel's
        if (parts.size() < 3 || parts[0].text != "define" || parts[1].end == parts[2].begin) return;
        std::set<std::string> body;
        for (size_t i = 2; i < parts.size(); i++) body.insert(parts[i].text);
        if (!body.count("__global__")) return;
        kernel_macros.insert(parts[1].text);
        if (body.count("\"C\"")) c_macros.insert(parts[1].text);
    }

    void scope_opens() {
        const Scope &outer = scopes.back();
        scopes.push_back({outer.outermost && (is_namespace || c_name), outer.c_names || (c_name && !is_namespace)});
        declaration_ends();
    }
    void scope_closes() {
        if (scopes.size() > 1) scopes.pop_back();
        declaration_ends();
    }
    void declaration_ends() { is_template = c_name = is_namespace = false; }

    // Whether the kernel that begins at i is nothing but loops over its elements, and one thread can run them all: no
    // `return` ends the work of a thread, and nothing is kept from one element to the next.
    bool is_loops(size_t i) const {
        while (i < words.size() && !is(i, "{")) i++;
        int depth = 0;
        bool in_loop = false;
        for (; i < words.size(); i++) {
            depth += is(i, "{") - is(i, "}");
            if (!depth) return true;
            if (is(i, "return")) return false;
            in_loop = in_loop || is(i, "CUPY_FOR");
            if (!in_loop && !is(i, "{") && !is(i, ";") && words[i].kind != Word::DIRECTIVE) return false;
        }
        return true;
    }

    // A kernel's name is the first that parentheses follow, except for attributes.
    void kernel(size_t i) {
        one_thread = one_thread && is_loops(i);
        if (is_template || !(c_name || scopes.back().c_names || c_macros.count(words[i].text))) return;
        while (++i < words.size() && !is(i, ";") && !is(i, "{"))
            if (WITH_PARENTHESES.count(words[i].text))
                i = after_parentheses(i + 1) - 1;
            else if (words[i].kind == Word::NAME && is(i + 1, "(")) {
                if (!is(after_parentheses(i + 1), ";")) source.kernels.insert(words[i].text);  // else it is declared only
                return;
            }
    }

    // A __device__ variable keeps its name; of functions only those stay that kernels call.
    void device(size_t i) {
        if (!scopes.back().outermost || is_template) return;
        size_t begin = words[i].begin;
        while (++i < words.size() && !is(i, "(") && !is(i, "{") && !is(i, "operator") && !is(i, "__constant__"))
            if (WITH_PARENTHESES.count(words[i].text))
                i = after_parentheses(i + 1) - 1;
            else if (is(i, ";") || is(i, "=") || is(i, "["))
                return insertions.push_back({begin, "EMULATOR_EXPORT "});
    }

    // `extern __shared__ T name[];` becomes a name for the memory of the launch.
    bool shared(size_t i) {
        std::string type, name;
        bool found = false;
        size_t k = i + 1;
        for (; k < words.size() && !is(k, ";") && !is(k, "{") && !is(k, "("); k++)
            if (is(k, "__shared__"))
                found = true;
            else if (WITH_PARENTHESES.count(words[k].text))
                k = after_parentheses(k + 1) - 1;
            else if (!is(k, "[") && !is(k, "]")) {
                if (!name.empty()) type += name + (name == ":" ? "" : " ");
                name = words[k].text;
            }
        if (!found || !is(k, ";")) return false;
        type += "*const &";
        replacements.push_back({{words[i].begin, words[k].begin}, type + name + " = (" + type + ")emulator_dynamic_shared"});
        return true;
    }

    void name(size_t i) {
        const std::string &word = words[i].text;
        if (word == "extern" && is(i + 1, "\"C\""))
            c_name = true;
        else if (word == "extern")
            shared(i);
        else if (word == "template")
            is_template = true;
        else if (word == "namespace")
            is_namespace = true;
        else if (word == "__global__" || kernel_macros.count(word))
            kernel(i);
        else if (word == "__device__")
            device(i);
        else if (word == "CUPY_FOR")
            loops = true;
        threads = threads || ASKS_FOR_THREADS.count(word);
    }
    bool loops = false, threads = false, one_thread = true;

    std::string rewritten() const {
        auto edits = replacements;
        for (auto &[at, what] : insertions) edits.push_back({{at, at}, what});
        std::sort(edits.begin(), edits.end());
        std::string result;
        size_t from = 0;
        for (auto &[where, what] : edits) {
            result += text.substr(from, where.first - from) + what;
            result += std::string(std::count(text.begin() + where.first, text.begin() + where.second, '\n'), '\n');
            from = where.second;
        }
        return result + text.substr(from);
    }

  public:
    explicit Reader(const std::string &text) : text(text), words(split_words(text)) {}
    Source read() {
        bool begins = true;
        for (size_t i = 0; i < words.size(); i++) {
            const Word &word = words[i];
            begins = begins && word.kind == Word::DIRECTIVE && word.text.rfind("#include <cupy/", 0) == 0;
            if (begins) source.includes.push_back(word.text);
            if (word.kind == Word::DIRECTIVE)
                directive(word);
            else if (word.kind == Word::NAME)
                name(i);
            else if (word.text == "{")
                scope_opens();
            else if (word.text == "}")
                scope_closes();
            else if (word.text == ";")
                declaration_ends();
        }
        source.text = rewritten();
        source.alone = !loops || threads ? 0 : one_thread ? 1 : 2;
        return source;
    }
};
}  // namespace

Source read_source(const std::string &text) { return Reader(text).read(); }

}  // namespace emulator
