// The words of a command line of fedctl: options apart from the rest, and what was meant by one
// that is not known.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "appliance/admin/json.hpp"

namespace fedgate::admin {

[[nodiscard]] bool is_one_of(std::span<const std::string_view> known, std::string_view typed);
// "there is no verb 'prots'; did you mean ports? (fedctl help)"
[[nodiscard]] std::string unknown(const std::string& what, const std::string& typed,
                                  std::span<const std::string_view> known);

// At commas and blanks.
[[nodiscard]] std::vector<std::string> split(const std::string& text);
[[nodiscard]] std::string joined(const std::vector<std::string>& items,
                                 std::string_view between = ", ");

// Options that take what follows, and the words around them.
struct Words {
    std::map<std::string, std::string> options;  // `--for` -> `1h`
    std::set<std::string> flags;                 // those of them that take nothing
    std::vector<std::string> words;
};

// `rest`: an action and what is behind it. `known`: "--comment=" takes a value, "--extra+="
// several, which are joined by commas, "--dry-run" takes none. False: `why`.
[[nodiscard]] bool cut_words(const std::vector<std::string>& rest,
                             std::span<const std::string_view> known, Words&, std::string& why);
// As members of a request: those without a value are true.
void add_options(Json& request, const Words&);

}  // namespace fedgate::admin
