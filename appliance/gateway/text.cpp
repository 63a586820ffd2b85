#include "appliance/gateway/text.hpp"

#include <algorithm>
#include <array>

#include "sip/uri.hpp"

namespace fedgate::gateway {
namespace {

using sip::equal_ignoring_case;

constexpr char32_t kReplacement = 0xFFFD;

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

constexpr bool is_alnum(char c) {
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z');
}

constexpr bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

// XML 1.0, production 2.
constexpr bool allowed_in_xml(char32_t c) {
    return c == 0x9 || c == 0xA || c == 0xD || (c >= 0x20 && c <= 0xD7FF) ||
           (c >= 0xE000 && c <= 0xFFFD) || (c >= 0x10000 && c <= 0x10FFFF);
}

// Windows-1252, 0x80..0x9F; 0 where the code is not assigned.
constexpr std::array<char16_t, 32> kWindows1252 = {
    0x20AC, 0,      0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0,      0x017D, 0,      0,      0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0,      0x017E, 0x0178};

// One character, or the replacement for the longest broken beginning (one for each, IM-24).
struct Decoded {
    char32_t c;
    std::size_t size;
};

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

struct Entity {
    Bytes name;
    char32_t c;
};

constexpr Entity kEntities[] = {
    {"amp", '&'},       {"lt", '<'},       {"gt", '>'},       {"quot", '"'},     {"apos", '\''},
    {"nbsp", 0xA0},     {"copy", 0xA9},    {"reg", 0xAE},     {"deg", 0xB0},     {"euro", 0x20AC},
    {"hellip", 0x2026}, {"ndash", 0x2013}, {"mdash", 0x2014}, {"lsquo", 0x2018}, {"rsquo", 0x2019},
    {"ldquo", 0x201C},  {"rdquo", 0x201D}, {"bull", 0x2022},  {"trade", 0x2122}, {"laquo", 0xAB},
    {"raquo", 0xBB},    {"auml", 0xE4},    {"ouml", 0xF6},    {"uuml", 0xFC},    {"Auml", 0xC4},
    {"Ouml", 0xD6},     {"Uuml", 0xDC},    {"szlig", 0xDF},   {"eacute", 0xE9},  {"egrave", 0xE8},
    {"agrave", 0xE0},   {"ccedil", 0xE7},
};

constexpr std::size_t kEntityNameBytes = 10;

// The entity that begins at text[0] == '&'; size 0 when there is none and the '&' is literal.
Decoded decode_entity(Bytes text) {
    const std::size_t end = text.substr(0, kEntityNameBytes + 2).find(';');
    if (end == Bytes::npos || end < 2) return {U'&', 0};
    Bytes name = text.substr(1, end - 1);
    if (name[0] != '#') {
        for (const Entity& entity : kEntities) {
            if (entity.name == name) return {entity.c, end + 1};
        }
        return {U'&', 0};
    }
    name.remove_prefix(1);
    int base = 10;
    if (!name.empty() && lower(name[0]) == 'x') {
        base = 16;
        name.remove_prefix(1);
    }
    std::uint32_t value = 0;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), value, base);
    if (name.empty() || parsed.ec != std::errc{} || parsed.ptr != name.data() + name.size()) {
        return {U'&', 0};
    }
    return {allowed_in_xml(value) ? static_cast<char32_t>(value) : kReplacement, end + 1};
}

constexpr Bytes kBreaking[] = {"br", "p",  "div", "li", "ul", "ol", "tr",  "table", "blockquote",
                               "h1", "h2", "h3",  "h4", "h5", "h6", "pre", "hr"};
constexpr Bytes kHidden[] = {"script", "style", "head", "title"};

bool one_of(std::span<const Bytes> names, Bytes name) {
    return std::ranges::any_of(names, [&](Bytes n) { return equal_ignoring_case(n, name); });
}

// Where the tag that begins at html[0] == '<' ends; quotes hide '>'.
std::size_t tag_end(Bytes html) {
    char quote = 0;
    for (std::size_t i = 1; i < html.size(); ++i) {
        if (quote != 0) {
            if (html[i] == quote) quote = 0;
        } else if (html[i] == '"' || html[i] == '\'') {
            quote = html[i];
        } else if (html[i] == '>') {
            return i + 1;
        }
    }
    return html.size();
}

Bytes tag_name(Bytes tag) {
    std::size_t begin = tag.size() > 1 && tag[1] == '/' ? 2 : 1;
    std::size_t end = begin;
    while (end < tag.size() && is_alnum(tag[end])) ++end;
    return tag.substr(begin, end - begin);
}

// Offset just after "</name ...>", or the end of the text.
std::size_t after_closing(Bytes html, Bytes name) {
    for (std::size_t at = html.find("</"); at != Bytes::npos; at = html.find("</", at + 2)) {
        if (equal_ignoring_case(tag_name(html.substr(at)), name)) {
            return at + tag_end(html.substr(at));
        }
    }
    return html.size();
}

// Collapses white space and line breaks while text is appended.
class PlainWriter {
public:
    explicit PlainWriter(Sink& out) : out_(out) {}

    void text(Bytes bytes) {
        if (empty_) {
            space_ = breaks_ = false;
        } else if (breaks_) {
            out_.append('\n');
        } else if (space_) {
            out_.append(' ');
        }
        empty_ = space_ = breaks_ = false;
        out_.append(bytes);
    }
    void space() { space_ = true; }
    void line_break(bool forced) {
        if (forced && breaks_ && !empty_) out_.append('\n');
        breaks_ = true;
    }

private:
    Sink& out_;
    bool empty_ = true;
    bool space_ = false;
    bool breaks_ = false;
};

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
            const auto stop = std::ranges::find_if(text, [](char c) {
                return static_cast<unsigned char>(c) >= 0x80 ||
                       (c < 0x20 && c != '\n' && c != '\t');
            });
            const auto run = static_cast<std::size_t>(stop - text.begin());
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

void write_plain_of_html(Bytes html, Sink& out) {
    PlainWriter plain(out);
    while (!html.empty()) {
        const char c = html[0];
        if (is_space(c)) {
            plain.space();
            html.remove_prefix(1);
        } else if (c == '&') {
            const Decoded entity = decode_entity(html);
            char bytes[4];
            Sink one{MutableBytes(bytes)};
            append_utf8(entity.c, one);
            plain.text(one.written());
            html.remove_prefix(std::max<std::size_t>(entity.size, 1));
        } else if (html.starts_with("<!--")) {
            const std::size_t end = html.find("-->", 4);
            html.remove_prefix(end == Bytes::npos ? html.size() : end + 3);
        } else if (c == '<' && html.size() > 1 &&
                   (is_alnum(html[1]) || html[1] == '/' || html[1] == '!')) {
            const Bytes tag = html.substr(0, tag_end(html));
            const Bytes name = tag_name(tag);
            html.remove_prefix(tag.size());
            if (one_of(kBreaking, name)) plain.line_break(equal_ignoring_case(name, "br"));
            if (tag[1] != '/' && one_of(kHidden, name))
                html.remove_prefix(after_closing(html, name));
        } else {
            std::size_t end = 1;
            while (end < html.size() && html[end] != '<' && html[end] != '&' &&
                   !is_space(html[end])) {
                ++end;
            }
            plain.text(html.substr(0, end));
            html.remove_prefix(end);
        }
    }
}

}  // namespace fedgate::gateway
