// What tests ask of texts most.
#pragma once

#include <string>
#include <string_view>

namespace fedgate {

inline bool has(std::string_view text, std::string_view part) { return text.contains(part); }

// The value of that header of a SIP message; empty: it has none.
inline std::string header_of(const std::string& message, const std::string& name) {
    const std::size_t at = message.find("\r\n" + name + ": ");
    if (at == std::string::npos) return {};
    const std::size_t begin = at + name.size() + 4;
    return message.substr(begin, message.find("\r\n", begin) - begin);
}

inline std::string body_of(const std::string& message) {
    return message.substr(message.find("\r\n\r\n") + 4);
}

}  // namespace fedgate
