#include "appliance/gateway/html.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "appliance/gateway/character.hpp"
#include "appliance/gateway/text.hpp"
#include "sip/uri.hpp"
#include "xml/writer.hpp"

namespace fedgate::gateway {
namespace {

using sip::equal_ignoring_case;

constexpr bool is_alnum(char c) {
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z');
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

// The pieces of an HTML text, to a writer. What is hidden, and comments, are left out.
template <typename Writer>
void walk(Bytes html, Writer&& writer) {
    while (!html.empty()) {
        const char c = html[0];
        if (is_space(c)) {
            writer.space(c);
            html.remove_prefix(1);
        } else if (c == '&') {
            const Decoded entity = decode_entity(html);
            char bytes[4];
            Sink one{MutableBytes(bytes)};
            append_utf8(entity.c, one);
            writer.text(one.written());
            html.remove_prefix(std::max<std::size_t>(entity.size, 1));
        } else if (html.starts_with("<!--")) {
            const std::size_t end = html.find("-->", 4);
            html.remove_prefix(end == Bytes::npos ? html.size() : end + 3);
        } else if (c == '<' && html.size() > 1 &&
                   (is_alnum(html[1]) || html[1] == '/' || html[1] == '!' || html[1] == '?')) {
            const Bytes tag = html.substr(0, tag_end(html));
            const Bytes name = tag_name(tag);
            html.remove_prefix(tag.size());
            if (tag[1] != '/' && one_of(kHidden, name)) {
                html.remove_prefix(after_closing(html, name));
            } else {
                writer.tag(tag, name);
            }
        } else {
            std::size_t end = 1;
            while (end < html.size() && html[end] != '<' && html[end] != '&' &&
                   !is_space(html[end])) {
                ++end;
            }
            writer.text(html.substr(0, end));
            html.remove_prefix(end);
        }
    }
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
    void space(char) { space_ = true; }
    void tag(Bytes, Bytes name) {
        if (!one_of(kBreaking, name)) return;
        const bool forced = equal_ignoring_case(name, "br");
        if (forced && breaks_ && !empty_) out_.append('\n');
        breaks_ = true;
    }

private:
    Sink& out_;
    bool empty_ = true;
    bool space_ = false;
    bool breaks_ = false;
};

// ---- XHTML-IM

enum class Kind : std::uint8_t { kInline, kParagraph, kContainer, kList, kItem, kVoid };

struct Tag {
    Bytes html;
    Bytes xhtml;  // XEP-0071 7.8, the Integration Set
    Kind kind;
};
constexpr Tag kTags[] = {
    {"a", "a", Kind::kInline},
    {"b", "strong", Kind::kInline},
    {"blockquote", "blockquote", Kind::kContainer},
    {"br", "br", Kind::kVoid},
    {"cite", "cite", Kind::kInline},
    {"code", "code", Kind::kInline},
    {"div", "p", Kind::kParagraph},
    {"em", "em", Kind::kInline},
    {"h1", "h1", Kind::kParagraph},
    {"h2", "h2", Kind::kParagraph},
    {"h3", "h3", Kind::kParagraph},
    {"h4", "h4", Kind::kParagraph},
    {"h5", "h5", Kind::kParagraph},
    {"h6", "h6", Kind::kParagraph},
    {"hr", "br", Kind::kVoid},
    {"i", "em", Kind::kInline},
    {"li", "li", Kind::kItem},
    {"ol", "ol", Kind::kList},
    {"p", "p", Kind::kParagraph},
    {"pre", "pre", Kind::kParagraph},
    {"q", "q", Kind::kInline},
    {"span", "span", Kind::kInline},
    {"strong", "strong", Kind::kInline},
    {"tr", "br", Kind::kVoid},
    {"ul", "ul", Kind::kList},
};

const Tag* find_tag(Bytes name) {
    const auto* tag = std::ranges::find_if(
        kTags, [&](const Tag& t) { return equal_ignoring_case(t.html, name); });
    return tag != std::end(kTags) ? tag : nullptr;
}

// The value of an attribute of a tag as it is written in HTML, without its quotes.
Bytes raw_attribute(Bytes tag, Bytes wanted) {
    std::size_t i = 1;
    const auto skip = [&](auto&& which) {
        const std::size_t begin = i;
        while (i < tag.size() && which(tag[i])) ++i;
        return tag.substr(begin, i - begin);
    };
    const auto blank = [](char c) { return is_space(c) || c == '/'; };
    const auto bare = [](char c) { return !is_space(c) && c != '>'; };
    skip([](char c) { return is_alnum(c); });
    while (i < tag.size() && tag[i] != '>') {
        skip(blank);
        const Bytes name = skip([&](char c) { return bare(c) && c != '=' && c != '/'; });
        skip(is_space);
        Bytes value;
        if (i < tag.size() && tag[i] == '=') {
            ++i;
            skip(is_space);
            if (i < tag.size() && (tag[i] == '"' || tag[i] == '\'')) {
                const char quote = tag[i++];
                value = skip([&](char c) { return c != quote; });
                ++i;
            } else {
                value = skip(bare);
            }
        } else if (name.empty()) {
            break;
        }
        if (equal_ignoring_case(name, wanted)) return value;
    }
    return {};
}

// A link that may be shown, decoded; empty: it is not one, or not of a scheme that only leads
// somewhere.
Bytes link_of(Bytes tag, Sink& memory) {
    for (Bytes raw = raw_attribute(tag, "href"); !raw.empty();) {
        const Decoded one = raw[0] == '&' ? decode_entity(raw) : Decoded{0, 0};
        if (one.size != 0) {
            append_utf8(one.c, memory);
        } else {
            memory.append(raw[0]);
        }
        raw.remove_prefix(std::max<std::size_t>(one.size, 1));
    }
    if (memory.overflowed()) return {};
    Bytes link = memory.written();
    while (!link.empty() && is_space(link.front())) link.remove_prefix(1);
    while (!link.empty() && is_space(link.back())) link.remove_suffix(1);
    constexpr Bytes kSchemes[] = {"http://", "https://", "mailto:", "xmpp:"};
    const bool known = std::ranges::any_of(kSchemes, [&](Bytes scheme) {
        return link.size() > scheme.size() &&
               equal_ignoring_case(link.substr(0, scheme.size()), scheme);
    });
    const bool clean = std::ranges::all_of(
        link, [](char c) { return static_cast<unsigned char>(c) > 0x20 && c != 0x7F; });
    return known && clean ? link : Bytes();
}

// Writes only what is in the table, and closes all that it opens.
class XhtmlWriter {
public:
    explicit XhtmlWriter(Sink& out) : out_(out) {}

    [[nodiscard]] bool marked() const { return marked_; }
    void space(char c) { out_.append(c == '\f' || c == '\r' ? ' ' : c); }
    void text(Bytes bytes) { xml::write_text(out_, bytes); }
    void tag(Bytes tag, Bytes name) {
        const Tag* known = find_tag(name);
        if (known == nullptr) return;
        if (tag[1] == '/') return close(known->xhtml);
        switch (known->kind) {
            case Kind::kVoid: return line_break();
            case Kind::kParagraph:
            case Kind::kContainer:
            case Kind::kList: leave_paragraph(); break;
            case Kind::kItem:
                if (!leave_item()) return line_break();
                break;
            case Kind::kInline: break;
        }
        open(*known, tag);
    }
    void finish() {
        while (depth_ > 0) pop();
    }

private:
    static constexpr std::size_t kDepthMax = 16;
    static constexpr std::size_t kLinkBytes = 2'048;

    void open(const Tag& known, Bytes tag) {
        if (depth_ == kDepthMax) return;  // its content is written all the same
        if (known.xhtml == "a") {
            char link_memory[kLinkBytes];
            Sink memory{MutableBytes(link_memory)};
            const Bytes link = link_of(tag, memory);
            if (link.empty()) return;
            xml::write_start(out_, "a", {{"href", link}});
        } else {
            xml::write_start(out_, known.xhtml);
        }
        marked_ = true;
        open_[depth_++] = &known;
    }
    void line_break() {
        xml::write_empty(out_, "br");
        marked_ = true;
    }
    void pop() { xml::write_end(out_, open_[--depth_]->xhtml); }
    void pop_to(std::size_t depth) {
        while (depth_ > depth) pop();
    }
    void close(Bytes xhtml) {
        for (std::size_t i = depth_; i-- > 0;) {
            if (open_[i]->xhtml == xhtml) return pop_to(i);
        }
    }
    // A block ends the paragraph before it.
    void leave_paragraph() {
        for (std::size_t i = depth_; i-- > 0;) {
            const Kind kind = open_[i]->kind;
            if (kind == Kind::kParagraph) return pop_to(i);
            if (kind != Kind::kInline) return;
        }
    }
    // False: there is no list.
    bool leave_item() {
        for (std::size_t i = depth_; i-- > 0;) {
            if (open_[i]->kind == Kind::kList) {
                pop_to(i + 1);
                return true;
            }
        }
        return false;
    }

    Sink& out_;
    std::array<const Tag*, kDepthMax> open_{};
    std::size_t depth_ = 0;
    bool marked_ = false;
};

}  // namespace

void write_plain_of_html(Bytes html, Sink& out) { walk(html, PlainWriter(out)); }

bool write_xhtml_of_html(Bytes html, Sink& out) {
    XhtmlWriter writer(out);
    walk(html, writer);
    writer.finish();
    return writer.marked();
}

}  // namespace fedgate::gateway
