// UTF-8 (RFC 3629) one character at a time, and the character classes of XML 1.0 and its names.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/base/bytes.hpp"

namespace fedgate::xml {

struct Utf8Character {
    enum class Status : std::uint8_t { kValid, kTruncated, kInvalid };
    Status status = Status::kInvalid;
    // kValid: bytes of the character. kInvalid: bytes to skip as one fault (the longest start of a
    // well-formed sequence, at least 1; Unicode 3.9, "maximal subpart").
    std::uint8_t size = 1;
    char32_t value = 0;
};

// p < end. kTruncated: the bytes up to `end` are the start of a valid character.
constexpr Utf8Character decode_utf8(const char* p, const char* end) {
    using Status = Utf8Character::Status;
    const auto byte = [p](int i) { return static_cast<unsigned char>(p[i]); };
    const unsigned char lead = byte(0);
    if (lead < 0x80) return {Status::kValid, 1, lead};
    if (lead < 0xC2 || lead > 0xF4) return {};
    const int size = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    // The second byte is narrower where overlong forms, surrogates or values over U+10FFFF begin.
    const unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    char32_t value = lead & (0x7F >> size);
    for (int i = 1; i < size; ++i) {
        if (p + i == end) return {Status::kTruncated, static_cast<std::uint8_t>(i), 0};
        const unsigned char next = byte(i);
        if (next < (i == 1 ? low : 0x80) || next > (i == 1 ? high : 0xBF)) {
            return {Status::kInvalid, static_cast<std::uint8_t>(i), 0};
        }
        value = value << 6 | (next & 0x3F);
    }
    return {Status::kValid, static_cast<std::uint8_t>(size), value};
}

inline void write_utf8(Sink& sink, char32_t c) {
    char bytes[4];
    std::size_t size = 0;
    const auto put = [&](char32_t value) { bytes[size++] = static_cast<char>(value); };
    if (c < 0x80) {
        put(c);
    } else if (c < 0x800) {
        put(0xC0 | c >> 6);
        put(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        put(0xE0 | c >> 12);
        put(0x80 | (c >> 6 & 0x3F));
        put(0x80 | (c & 0x3F));
    } else {
        put(0xF0 | c >> 18);
        put(0x80 | (c >> 12 & 0x3F));
        put(0x80 | (c >> 6 & 0x3F));
        put(0x80 | (c & 0x3F));
    }
    sink.append(Bytes(bytes, size));
}

// XML 1.0 2.2, production 2.
constexpr bool is_xml_character(char32_t c) {
    return c < 0x20 ? c == '\t' || c == '\n' || c == '\r'
                    : c < 0xD800 || (c > 0xDFFF && c < 0xFFFE) || (c > 0xFFFF && c < 0x110000);
}

constexpr bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

// Names without colon (Namespaces in XML 1.0), ASCII part.
enum NameClass : std::uint8_t { kNotName = 0, kNameCharacter = 1, kNameStart = 2 };
inline constexpr std::array<std::uint8_t, 128> kNameClass = [] {
    std::array<std::uint8_t, 128> table{};
    for (std::size_t c = 'a'; c <= 'z'; ++c)
        table[c] = table[c - 'a' + 'A'] = kNameCharacter | kNameStart;
    for (std::size_t c = '0'; c <= '9'; ++c) table[c] = kNameCharacter;
    table['-'] = table['.'] = kNameCharacter;
    table['_'] = kNameCharacter | kNameStart;
    return table;
}();

// The same for any byte: those beyond ASCII are not looked at here.
inline constexpr std::array<bool, 256> kNameByte = [] {
    std::array<bool, 256> table{};
    for (std::size_t c = 0; c < kNameClass.size(); ++c) table[c] = kNameClass[c] != kNotName;
    return table;
}();

// XML 1.0 2.3, productions 4 and 4a, without the colon.
constexpr bool is_name_start(char32_t c) {
    struct Range {
        char32_t first, last;
    };
    constexpr Range kRanges[] = {{0xC0, 0xD6},     {0xD8, 0xF6},     {0xF8, 0x2FF},
                                 {0x370, 0x37D},   {0x37F, 0x1FFF},  {0x200C, 0x200D},
                                 {0x2070, 0x218F}, {0x2C00, 0x2FEF}, {0x3001, 0xD7FF},
                                 {0xF900, 0xFDCF}, {0xFDF0, 0xFFFD}, {0x10000, 0xEFFFF}};
    if (c < 0x80) return (kNameClass[c] & kNameStart) != 0;
    for (const Range& range : kRanges) {
        if (c >= range.first && c <= range.last) return true;
    }
    return false;
}
constexpr bool is_name_character(char32_t c) {
    if (c < 0x80) return kNameClass[c] != kNotName;
    return is_name_start(c) || c == 0xB7 || (c >= 0x300 && c <= 0x36F) || c == 0x203F ||
           c == 0x2040;
}

}  // namespace fedgate::xml
