// SPDX-License-Identifier: BSD-3-Clause
// Running g++: program and prelude to assembly, and that to a shared library.
#include <ftw.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <functional>
#include <sstream>

#include "nvrtc.h"

namespace emulator {

namespace {
const std::string HOME = EMULATOR_HOME, PRELUDES = HOME + "/build/preludes";

// Only what kernels use is kept (-fwhole-program); products and sums are fused (-fexpensive-optimizations) where asked
// for; a choice between two numbers is not an instruction that flushes (-fno-if-conversion); signed integers wrap around as
// a GPU's do; a misaligned access ends the kernel.
const Texts FLAGS = {
    "-nostdinc", "-I" + HOME + "/include", "-w", "-fPIC", "-fvisibility=hidden", "-fwhole-program", "-fno-exceptions",
    "-fno-asynchronous-unwind-tables", "-mavx2", "-mfma", "-mf16c", "-O1", "-fexpensive-optimizations", "-fno-tree-vectorize",
    "-fno-if-conversion", "-fno-if-conversion2", "-fno-optimize-sibling-calls", "-fno-math-errno", "-fno-strict-aliasing",
    "-fwrapv", "-fsanitize=alignment", "-fsanitize-undefined-trap-on-error"};
const Texts LINK = {"-shared", "-nostdlib", "-s", "-x", "assembler"};
const Texts LIBRARIES = {"-x", "none", "-l:libm.so.6"};

// A folder that goes with all that is in it.
struct Folder {
    std::string path;
    Folder() {
        const char *place = getenv("TMPDIR");
        path = std::string(place ? place : "/tmp") + "/cuda-on-cpu-XXXXXX";
        if (!mkdtemp(&path[0])) path.clear();
    }
    ~Folder() {
        auto remove_one = [](const char *name, const struct stat *, int, struct FTW *) { return remove(name); };
        if (!path.empty()) nftw(path.c_str(), remove_one, 8, FTW_DEPTH | FTW_PHYS);
    }
};

std::string read(const std::string &path) {
    std::ifstream file(path, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}
void make_folders_of(const std::string &path) {
    for (size_t i = path.find('/', 1); i != std::string::npos; i = path.find('/', i + 1)) mkdir(path.substr(0, i).c_str(), 0777);
}
void write(const std::string &path, const std::string &text) {
    make_folders_of(path);
    std::ofstream(path, std::ios::binary) << text;
}
void append(Texts &to, const Texts &from) { to.insert(to.end(), from.begin(), from.end()); }

// Runs g++ with these arguments; what it says is added to the log.
bool run(Texts arguments, const std::string &output, std::string &log) {
    const char *compiler = getenv("CXX");
    arguments.insert(arguments.begin(), compiler ? compiler : "g++");
    append(arguments, {"-o", output});
    std::vector<char *> pointers;
    for (std::string &a : arguments) pointers.push_back(&a[0]);
    pointers.push_back(nullptr);
    std::string said = output + ".log";
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, said.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    posix_spawn_file_actions_adddup2(&files, 1, 2);
    pid_t process;
    int status = -1, error = posix_spawnp(&process, pointers[0], &files, nullptr, pointers.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    if (error)
        log += std::string("cannot run ") + pointers[0] + ": " + strerror(error) + "\n";
    else
        waitpid(process, &status, 0);
    log += read(said);
    unlink(said.c_str());
    return !error && status == 0;
}

std::string key(const Texts &texts) {
    std::string all;
    for (const std::string &text : texts) all += text + '\0';
    return std::to_string(std::hash<std::string>()(all));
}
std::string all_headers() {  // the text of what is in include/
    static thread_local std::string text;
    auto add = [](const char *name, const struct stat *, int kind, struct FTW *) {
        if (kind == FTW_F) text += read(name);
        return 0;
    };
    if (text.empty()) nftw((HOME + "/include").c_str(), add, 8, FTW_PHYS);
    return text;
}

// The prelude and the headers that a program begins with, compiled before for these flags. The prelude alone if that
// cannot be: then compiling the program says why.
std::string prelude(const Texts &flags, const Texts &includes) {
    std::string text = "#include \"" + HOME + "/include/prelude.h\"\n";
    for (const std::string &line : includes) text += line + "\n";
    Texts parts = flags;
    append(parts, {text, all_headers()});
    std::string header = PRELUDES + "/" + key(parts) + "/prelude.h", made = header + ".gch";
    if (!access(made.c_str(), R_OK)) return header;
    static std::atomic<unsigned> number{0};
    std::string own = "." + std::to_string(getpid()) + "." + std::to_string(number++), log;  // other threads do the same
    write(header + own, text);
    rename((header + own).c_str(), header.c_str());
    Texts arguments = {"-x", "c++-header", header};
    append(arguments, flags);
    if (!run(arguments, made + own, log)) return HOME + "/include/prelude.h";
    rename((made + own).c_str(), made.c_str());
    return header;
}
}  // namespace

Compiled compile(const std::string &text, const Texts &includes, const Options &options, const Headers &headers) {
    Folder folder;
    Compiled result;
    std::string program = folder.path + "/program.cpp", assembly = folder.path + "/program.s", library = folder.path + "/program.so";
    write(program, text);
    Texts flags = FLAGS;
    append(flags, options.flags);
    std::string first = prelude(flags, headers.empty() && options.definitions.empty() ? includes : Texts());
    for (auto &[name, content] : headers) write(folder.path + "/headers/" + name, content);
    Texts arguments = {"-include", first, "-I" + folder.path + "/headers", "-x", "c++", "-S", program};
    append(arguments, flags);
    if (!run(arguments, assembly, result.log)) return result;
    if (options.flush) write(assembly, flush_single_precision(read(assembly)));
    arguments = LINK;
    arguments.push_back(assembly);
    append(arguments, LIBRARIES);
    result.good = run(arguments, library, result.log);
    result.library = read(library);
    return result;
}

}  // namespace emulator
