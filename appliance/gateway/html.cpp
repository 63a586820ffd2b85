#include "appliance/gateway/html.hpp"

#include <algorithm>
#include <charconv>

#include "appliance/gateway/text.hpp"
#include "sip/uri.hpp"

namespace fedgate::gateway {
namespace {

using sip::equal_ignoring_case;

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

constexpr bool is_alnum(char c) {
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z');
}

constexpr bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

struct Decoded {
    char32_t c;
    std::size_t size;
};

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

}  // namespace

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
