// Small text helpers of this folder.
#pragma once

#include <string>
#include <string_view>

namespace fedgate::config {

[[nodiscard]] std::string_view trim(std::string_view);  // blanks, tabs, CR at both ends
[[nodiscard]] std::string lower_ascii(std::string_view);
// Valid UTF-8 without control characters.
[[nodiscard]] bool is_text(std::string_view);
// For messages: in quotes, cut at 64 bytes, with what can't be shown replaced by `?`.
[[nodiscard]] std::string in_quotes(std::string_view);

}  // namespace fedgate::config
