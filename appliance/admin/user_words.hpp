// `fedctl policy ...` and `fedctl user ...`: their words as requests.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "appliance/admin/json.hpp"

namespace fedgate::admin {

// Reads a file, `-` is standard input. False: `why` goes on from the file's name.
using ReadInput = std::function<bool(const std::string& file, std::string& text, std::string& why)>;

enum class WordsOutcome { kGood, kUsage, kFailed };

// `verb`: policy or user; `rest`: what is behind it.
[[nodiscard]] WordsOutcome user_request(const std::string& verb,
                                        const std::vector<std::string>& rest, const ReadInput&,
                                        Json& request, std::string& why);

// Addresses of a text, for a grant: the first word of each line; what begins with # is none.
[[nodiscard]] std::vector<std::string> addresses_of(const std::string& text);
// Rows for an import.
[[nodiscard]] bool rows_of(const std::string& text, Json& request, std::string& why);

}  // namespace fedgate::admin
