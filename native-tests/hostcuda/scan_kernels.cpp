// scan_kernels.cpp -- reads a preprocessed .cu, writes it back with one HOSTCUDA_REGISTER line per extern "C" __global__ function
//
//   scan_kernels in.ii out.ii dynamic.txt [checked]     dynamic.txt gets the names of `extern __shared__` arrays
//
// With `checked` every use of another __shared__ variable goes through hostcuda_seen: g++ reports no access to a thread_local variable, nor to one element of
// it, whose place it knows.
// The spellings it looks for are what cuda_runtime_emulation.h makes of __global__, __launch_bounds__ and extern __shared__.
#include <algorithm>
#include <cctype>
#include <fstream>
#include <iostream>
#include <iterator>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace {
bool word(char c) { return isalnum(static_cast<unsigned char>(c)) || c == '_'; }

size_t pastSpace(const std::string& s, size_t i) {
  while (i < s.size()) {
    if (isspace(static_cast<unsigned char>(s[i]))) i++;
    else if (s[i] == '#' && (i == 0 || s[i - 1] == '\n')) while (i < s.size() && s[i] != '\n') i++;
    else break;
  }
  return i;
}

size_t pastWord(const std::string& s, size_t i) {
  while (i < s.size() && word(s[i])) i++;
  return i;
}

/** Past the brackets that open here, else past one character. */
size_t pastBrackets(const std::string& s, size_t i, const std::string& opening = "([{<", const std::string& closing = ")]}>") {
  int depth = 0;
  do {
    if (opening.find(s[i]) != std::string::npos) depth++;
    if (closing.find(s[i]) != std::string::npos) depth--;
    i++;
  } while (depth > 0 && i < s.size());
  return i;
}

size_t pastParentheses(const std::string& s, size_t open) { return pastBrackets(s, open, "(", ")"); }

/** The names that a declaration gives: of each declarator the last word before its lengths. */
std::vector<std::string> declared(const std::string& s, size_t from, size_t end) {
  std::vector<std::string> names;
  std::string last;
  for (size_t i = from; i <= end;) {
    if (i == end || s[i] == ',') {
      names.push_back(last);
      i++;
    } else if (word(s[i])) {
      size_t start = i;
      i = pastWord(s, i);
      last = s.substr(start, i - start);
    } else {
      i = s[i] == '#' ? pastSpace(s, i) : pastBrackets(s, i);
    }
  }
  return names;
}

/** Names of __shared__ variables in their scope as what hostcuda_seen gives. */
std::string withSharedSeen(std::string s) {
  const std::string local = "thread_local ";
  for (size_t at = s.find(local); at != std::string::npos; at = s.find(local, at + 1)) {
    size_t before = s.find_last_not_of(" \n", at - 1);
    if (word(s[at - 1]) || (before >= 5 && s.compare(before - 5, 6, "extern") == 0)) continue;
    size_t end = at;
    while (s[end] != ';') end = pastBrackets(s, end);
    std::string scope;
    std::vector<std::string> names = declared(s, at + local.size(), end);
    size_t close = end;
    for (int depth = 0; close < s.size() && depth >= 0; close++) depth += s[close] == '{' ? 1 : s[close] == '}' ? -1 : 0;
    for (size_t i = end; i < close;) {
      size_t start = i;
      if (!word(s[i])) {
        scope += s[i++];
        continue;
      }
      i = pastWord(s, i);
      std::string name = s.substr(start, i - start);
      bool member = s[start - 1] == '.' || (s[start - 1] == '>' && s[start - 2] == '-') || s[start - 1] == ':';
      scope += !member && std::find(names.begin(), names.end(), name) != names.end() ? "hostcuda_seen(" + name + ")" : name;
    }
    s.replace(end, close - end, scope);
    at = end;
  }
  return s;
}
}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) { std::cerr << "scan_kernels in.ii out.ii dynamic.txt [checked]\n"; return 2; }
  std::ifstream in(argv[1]);
  std::string s((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const std::string global = "__attribute__((hostcuda_global))", bounds = "__attribute__((hostcuda_bounds(";
  std::string tail;
  std::set<std::string> seen;
  for (size_t at = s.find(global); at != std::string::npos; at = s.find(global, at + 1)) {
    // the declaration's words up to the parameter list: extern "C" before or after the attribute, void, attributes, the name
    size_t from = s.find_last_of(";}", at);
    size_t brace = s.find_last_of("{", at);
    bool external = false;
    std::string before = s.substr(from == std::string::npos ? 0 : from + 1, at - (from == std::string::npos ? 0 : from + 1));
    if (before.find("extern \"C\"") != std::string::npos) external = true;
    (void)brace;
    size_t i = at + global.size();
    std::string limit = "()", name;
    for (;;) {
      i = pastSpace(s, i);
      if (i >= s.size()) break;
      if (s.compare(i, bounds.size(), bounds) == 0) {
        size_t open = i + bounds.size() - 1, end = pastParentheses(s, open);
        limit = s.substr(open, end - open);
        i = s.find("))", end) + 2;
      } else if (s.compare(i, 13, "__attribute__") == 0) {
        i = pastParentheses(s, s.find('(', i));
      } else if (s.compare(i, 10, "extern \"C\"") == 0) {
        external = true;
        i += 10;
      } else if (word(s[i])) {
        size_t end = pastWord(s, i);
        name = s.substr(i, end - i);
        i = end;
      } else {
        break;
      }
    }
    if (external && i < s.size() && s[i] == '(') {
      size_t after = pastSpace(s, pastParentheses(s, i));
      if (s[after] == '{' && seen.insert(name).second) tail += "HOSTCUDA_REGISTER(" + name + ", " + limit + ")\n";
    }
  }
  // the macro is gone after preprocessing, so its expansion is written here
  std::regex line("HOSTCUDA_REGISTER\\((\\w+), (.*)\\)\n");
  tail = std::regex_replace(tail, line,
      "static constexpr hostcuda::KernelEntry hostcuda_entry_$1 = hostcuda::Call<&$1>::entry(\"$1\", hostcuda::firstBound$2);\n"
      "__attribute__((section(\"hostcuda_kernels\"), used)) static const hostcuda::KernelEntry* const hostcuda_pointer_$1 = &hostcuda_entry_$1;\n");
  std::ofstream(argv[2]) << (argc > 4 && std::string(argv[4]) == "checked" ? withSharedSeen(s) : s) << "\n" << tail;

  std::ofstream dynamic(argv[3]);
  std::regex array("extern\\s+thread_local\\s[^;]*?(\\w+)\\s*\\[\\s*\\]");
  for (std::sregex_iterator m(s.begin(), s.end(), array), end; m != end; ++m) dynamic << (*m)[1] << "\n";
  return 0;
}
