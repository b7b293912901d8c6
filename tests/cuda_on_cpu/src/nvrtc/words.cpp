// SPDX-License-Identifier: BSD-3-Clause
// The words of C++ text.
#include <ctype.h>

#include "nvrtc.h"

namespace emulator {

namespace {
bool in_name(char c) { return isalnum((unsigned char)c) || c == '_'; }

// Where the comment, string, directive, name, number or sign that begins at `i` ends.
size_t end_of_comment(const std::string &text, size_t i) {
    size_t end = text[i + 1] == '/' ? text.find('\n', i) : text.find("*/", i + 2);
    if (end == std::string::npos) return text.size();
    return text[i + 1] == '/' ? end : end + 2;
}
size_t end_of_string(const std::string &text, size_t i) {
    char quote = text[i++];
    while (i < text.size() && text[i] != quote && text[i] != '\n') i += text[i] == '\\' ? 2 : 1;
    return i < text.size() ? i + 1 : text.size();
}
size_t end_of_directive(const std::string &text, size_t i) {
    for (; i < text.size() && text[i] != '\n'; i++)
        if (text[i] == '\\')
            i++;
        else if (text.compare(i, 2, "//") == 0 || text.compare(i, 2, "/*") == 0)
            return i;
    return i < text.size() ? i : text.size();
}
size_t end_of_name(const std::string &text, size_t i) {
    while (i < text.size() && in_name(text[i])) i++;
    return i;
}
}  // namespace

std::vector<Word> split_words(const std::string &text) {
    std::vector<Word> words;
    bool line_begins = true;
    for (size_t i = 0, end; i < text.size(); i = end) {
        end = i + 1;
        char c = text[i];
        if (c == '\n') line_begins = true;
        if (isspace((unsigned char)c)) continue;
        Word::Kind kind = Word::OTHER;
        if (text.compare(i, 2, "//") == 0 || text.compare(i, 2, "/*") == 0) {
            end = end_of_comment(text, i);
            continue;
        }
        if (c == '"' || c == '\'')
            kind = Word::STRING, end = end_of_string(text, i);
        else if (c == '#' && line_begins)
            kind = Word::DIRECTIVE, end = end_of_directive(text, i);
        else if (in_name(c))
            kind = isdigit((unsigned char)c) ? Word::OTHER : Word::NAME, end = end_of_name(text, i);
        line_begins = false;
        words.push_back({kind, i, end, text.substr(i, end - i)});
    }
    return words;
}

}  // namespace emulator
