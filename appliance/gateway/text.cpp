#include "appliance/gateway/text.hpp"

#include <array>

#include "appliance/gateway/character.hpp"
#include "sip/message.hpp"
#include "sip/uri.hpp"
#include "xml/scan.hpp"
#include "xml/utf8.hpp"

namespace fedgate::gateway {
namespace {

using sip::equal_ignoring_case;

// Windows-1252, 0x80..0x9F; 0 where the code is not assigned.
constexpr std::array<char16_t, 32> kWindows1252 = {
    0x20AC, 0,      0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0,      0x017D, 0,      0,      0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0,      0x017E, 0x0178};

// One character, or the replacement for the longest broken beginning (one for each, IM-24).
Decoded decode_utf8(Bytes text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned lead = byte(0);
    if (lead < 0x80) return {lead, 1};
    std::size_t size = 0;
    unsigned low = 0x80;
    unsigned high = 0xBF;
    char32_t c = 0;
    if (lead >= 0xC2 && lead <= 0xDF) {
        size = 2;
        c = lead & 0x1F;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        size = 3;
        c = lead & 0x0F;
        if (lead == 0xE0) low = 0xA0;   // no overlong form
        if (lead == 0xED) high = 0x9F;  // no surrogate
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        size = 4;
        c = lead & 0x07;
        if (lead == 0xF0) low = 0x90;
        if (lead == 0xF4) high = 0x8F;
    } else {
        return {kReplacement, 1};
    }
    for (std::size_t i = 1; i < size; ++i) {
        if (i == text.size() || byte(i) < low || byte(i) > high) return {kReplacement, i};
        c = (c << 6) | (byte(i) & 0x3F);
        low = 0x80;
        high = 0xBF;
    }
    return {c, size};
}

Decoded decode_utf16(Bytes text, bool big_endian) {
    const auto unit = [&](std::size_t i) {
        const auto first = static_cast<unsigned char>(text[i]);
        const auto second = static_cast<unsigned char>(text[i + 1]);
        return static_cast<char32_t>(big_endian ? (first << 8) | second : (second << 8) | first);
    };
    if (text.size() < 2) return {kReplacement, text.size()};
    const char32_t first = unit(0);
    if (first < 0xD800 || first > 0xDFFF) return {first, 2};
    if (first > 0xDBFF || text.size() < 4) return {kReplacement, 2};
    const char32_t second = unit(2);
    if (second < 0xDC00 || second > 0xDFFF) return {kReplacement, 2};
    return {0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00), 4};
}

Decoded decode_one(Charset charset, Bytes text, bool big_endian) {
    switch (charset) {
        case Charset::kUtf8: return decode_utf8(text);
        case Charset::kUtf16: return decode_utf16(text, big_endian);
        case Charset::kLatin1: return {static_cast<unsigned char>(text[0]), 1};
        case Charset::kWindows1252: break;
    }
    const auto byte = static_cast<unsigned char>(text[0]);
    if (byte < 0x80 || byte > 0x9F) return {byte, 1};
    const char32_t mapped = kWindows1252[byte - 0x80u];
    return {mapped == 0 ? kReplacement : mapped, 1};
}

int base64_value(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    const char l = lower(c);
    return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

}  // namespace

void append_utf8(char32_t c, Sink& out) {
    const auto tail = [&](unsigned shift) {
        out.append(static_cast<char>(0x80u | ((c >> shift) & 0x3Fu)));
    };
    if (c < 0x80) {
        out.append(static_cast<char>(c));
    } else if (c < 0x800) {
        out.append(static_cast<char>(0xC0u | (c >> 6)));
        tail(0);
    } else if (c < 0x10000) {
        out.append(static_cast<char>(0xE0u | (c >> 12)));
        tail(6);
        tail(0);
    } else {
        out.append(static_cast<char>(0xF0u | (c >> 18)));
        tail(12);
        tail(6);
        tail(0);
    }
}

std::optional<Charset> find_charset(Bytes name) {
    struct Row {
        Bytes name;
        Charset charset;
    };
    static constexpr Row kRows[] = {
        {"", Charset::kUtf8},         {"utf-8", Charset::kUtf8},
        {"utf8", Charset::kUtf8},     {"us-ascii", Charset::kUtf8},
        {"ascii", Charset::kUtf8},    {"iso-8859-1", Charset::kLatin1},
        {"latin1", Charset::kLatin1}, {"windows-1252", Charset::kWindows1252},
        {"utf-16", Charset::kUtf16},
    };
    for (const Row& row : kRows) {
        if (equal_ignoring_case(row.name, name)) return row.charset;
    }
    return std::nullopt;
}

void write_clean(Charset charset, Bytes text, Sink& out) {
    bool big_endian = true;  // RFC 2781 4.3: without a mark
    if (charset == Charset::kUtf16 && text.size() >= 2) {
        if (text.starts_with("\xFF\xFE")) big_endian = false;
        if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF")) text.remove_prefix(2);
    }
    while (!text.empty()) {
        if (charset != Charset::kUtf16) {  // a run of plain ASCII at once
            const char* const end = text.data() + text.size();
            const char* stop = text.data();
            while ((stop = xml::find_special(stop, end, '\n', '\n', '\n')) != end &&
                   (*stop == '\n' || *stop == '\t')) {
                ++stop;
            }
            const auto run = static_cast<std::size_t>(stop - text.data());
            out.append(text.substr(0, run));
            text.remove_prefix(run);
            if (text.empty()) return;
        }
        auto [c, size] = decode_one(charset, text, big_endian);
        text.remove_prefix(size);
        if (c == '\r') {
            const Bytes line_feed = charset != Charset::kUtf16 ? Bytes("\n")
                                    : big_endian               ? Bytes("\0\n", 2)
                                                               : Bytes("\n\0", 2);
            if (text.starts_with(line_feed)) text.remove_prefix(line_feed.size());
            c = '\n';
        }
        append_utf8(allowed_in_xml(c) ? c : kReplacement, out);
    }
}

bool decode_base64(Bytes text, Sink& out) {
    std::uint32_t bits = 0;
    unsigned count = 0;
    unsigned padding = 0;
    for (const char c : text) {
        if (is_space(c)) continue;
        if (c == '=') {
            if (++padding > 2) return false;
            continue;
        }
        const int value = base64_value(c);
        if (value < 0 || padding > 0) return false;
        bits = (bits << 6) | static_cast<std::uint32_t>(value);
        count += 6;
        if (count >= 8) {
            count -= 8;
            out.append(static_cast<char>((bits >> count) & 0xFFu));
        }
    }
    return count != 6;  // one digit alone carries no byte
}

bool decode_quoted_printable(Bytes text, Sink& out) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '=') {
            out.append(text[i]);
            continue;
        }
        std::size_t next = i + 1;  // soft line break: "=" blanks CRLF
        while (next < text.size() && (text[next] == ' ' || text[next] == '\t')) ++next;
        if (next < text.size() && text[next] == '\r') ++next;
        if (next == text.size() || text[next] == '\n') {
            i = next;
            continue;
        }
        if (i + 2 >= text.size()) return false;
        const int high = hex_value(text[i + 1]);
        const int low = hex_value(text[i + 2]);
        if (high < 0 || low < 0) return false;
        out.append(static_cast<char>(high * 16 + low));
        i += 2;
    }
    return true;
}

Bytes trim_space(Bytes text) {
    const char* begin = text.data();
    const char* end = begin + text.size();
    while (begin != end && xml::is_space(*begin)) ++begin;
    while (begin != end && xml::is_space(end[-1])) --end;
    return {begin, static_cast<std::size_t>(end - begin)};
}

bool is_language_tag(Bytes tag) {
    std::size_t run = 0;
    bool first = true;
    for (const char c : tag) {
        if (c == '-') {
            if (run == 0) return false;
            run = 0;
            first = false;
        } else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                   (!first && c >= '0' && c <= '9')) {
            if (++run > 8) return false;
        } else {
            return false;
        }
    }
    return run > 0;
}

Bytes first_language_tag(Bytes list) {
    Bytes tag;
    if (!sip::take_item(list, tag) || !is_language_tag(tag)) return {};
    return tag;
}

}  // namespace fedgate::gateway
