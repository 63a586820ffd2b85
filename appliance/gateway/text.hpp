// Text of SIP bodies: charsets and transfer encodings, all into UTF-8 that XML 1.0 can carry.
// Pure: bytes into a Sink. A Sink that overflows means "too big", which the caller answers.
#pragma once

#include <cstdint>
#include <optional>

#include "core/base/bytes.hpp"

namespace fedgate::gateway {

enum class Charset : std::uint8_t { kUtf8, kLatin1, kWindows1252, kUtf16 };

// IM-24: the charsets that we read; nothing for any other. An empty name is UTF-8 (IM-32).
[[nodiscard]] std::optional<Charset> find_charset(Bytes name);

// IM-24: valid UTF-8 made only of characters that XML 1.0 allows; each broken sequence and each
// character not allowed becomes one U+FFFD. IM-32: CRLF and CR become LF.
void write_clean(Charset, Bytes text, Sink&);

// SIP-5. False: not what the encoding allows.
[[nodiscard]] bool decode_base64(Bytes, Sink&);
[[nodiscard]] bool decode_quoted_printable(Bytes, Sink&);

constexpr char32_t kReplacement = 0xFFFD;
// XML 1.0, production 2.
constexpr bool allowed_in_xml(char32_t c) {
    return c == 0x9 || c == 0xA || c == 0xD || (c >= 0x20 && c <= 0xD7FF) ||
           (c >= 0xE000 && c <= 0xFFFD) || (c >= 0x10000 && c <= 0x10FFFF);
}

// Without the white space of XML around it.
[[nodiscard]] Bytes trim_space(Bytes);
// IM-8: [A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*
[[nodiscard]] bool is_language_tag(Bytes);
// IM-36: of a Content-Language value; empty: the first one is none.
[[nodiscard]] Bytes first_language_tag(Bytes list);

// Appends one character as UTF-8.
void append_utf8(char32_t, Sink&);

}  // namespace fedgate::gateway
