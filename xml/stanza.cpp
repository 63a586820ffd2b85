#include "xml/stanza.hpp"

#include <array>

#include "core/base/limits.hpp"
#include "xml/scan.hpp"
#include "xml/utf8.hpp"

namespace fedgate::xml {
namespace {

constexpr Bytes kCdataStart = "<![CDATA[";
constexpr Bytes kCdataEnd = "]]>";

Bytes between(const char* begin, const char* end) {
    return {begin, static_cast<std::size_t>(end - begin)};
}

const char* name_end(const char* p, const char* end) {
    while (p != end && *p != '=' && *p != '>' && *p != '/' && !is_space(*p)) ++p;
    return p;
}

enum class Tag : std::uint8_t { kNone, kOpen, kEmpty, kClose, kCdata };

// The next tag or CDATA section at or after p: `begin` at its '<', p behind it.
Tag next_tag(const char*& p, const char* end, const char*& begin) {
    begin = find_any<'<'>(p, end);
    if (end - begin < 2) return Tag::kNone;
    if (begin[1] == '!') {
        const std::size_t close = between(begin, end).find(kCdataEnd, kCdataStart.size());
        p = close == Bytes::npos ? end : begin + close + kCdataEnd.size();
        return Tag::kCdata;
    }
    const bool closing = begin[1] == '/';
    for (p = begin + 1; (p = find_any<'>', '\'', '"'>(p, end)) != end && *p != '>'; ++p) {
        const std::size_t quote = between(p, end).find(*p, 1);  // a value may hold '>'
        if (quote == Bytes::npos) return p = end, Tag::kNone;
        p += quote;
    }
    if (p == end) return Tag::kNone;
    const bool empty = p[-1] == '/';
    ++p;
    return closing ? Tag::kClose : empty ? Tag::kEmpty : Tag::kOpen;
}

// Behind the closing tag that matches a start tag that ends at p.
const char* skip_content(const char* p, const char* end, const char*& closing_tag) {
    for (std::size_t depth = 1; depth != 0;) {
        switch (next_tag(p, end, closing_tag)) {
            case Tag::kNone: return closing_tag = end;
            case Tag::kOpen: ++depth; break;
            case Tag::kClose: --depth; break;
            case Tag::kEmpty:
            case Tag::kCdata: break;
        }
    }
    return p;
}

// At '&': the character that the reference stands for; p behind it.
void write_reference(const char*& p, const char* end, Sink& sink) {
    struct Entity {
        Bytes name;
        char character;
    };
    constexpr Entity kEntities[] = {
        {"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
    const Bytes there = between(p, end);
    for (const Entity& entity : kEntities) {
        if (!there.starts_with(entity.name)) continue;
        sink.append(entity.character);
        p += entity.name.size();
        return;
    }
    std::uint32_t value = 0;
    const bool hex = there.starts_with("&#x");
    const char* digits = p + (hex ? 3 : 2);
    if (there.starts_with("&#")) {
        const auto result = std::from_chars(digits, end, value, hex ? 16 : 10);
        if (result.ec == std::errc() && result.ptr != end && *result.ptr == ';' &&
            is_xml_character(value)) {
            write_utf8(sink, value);
            p = result.ptr + 1;
            return;
        }
    }
    sink.append(*p++);  // the Framer lets no such thing through
}

}  // namespace

bool decode_text(Bytes raw, Sink& sink) {
    const char* p = raw.data();
    const char* const end = p + raw.size();
    while (p != end) {
        const char* const hit = find_any<'&', '\r', '<'>(p, end);
        sink.append(between(p, hit));
        p = hit;
        if (p == end) break;
        if (*p == '&') {
            write_reference(p, end, sink);
        } else if (*p == '\r') {  // XML 1.0 2.11
            sink.append('\n');
            p += end - p > 1 && p[1] == '\n' ? 2 : 1;
        } else if (between(p, end).starts_with(kCdataStart)) {
            const char* const inside = p + kCdataStart.size();
            const std::size_t size = between(inside, end).find(kCdataEnd);
            const char* const close = size == Bytes::npos ? end : inside + size;
            for (const char* from = inside; from != close;) {
                const char* const line = find_any<'\r'>(from, close);
                sink.append(between(from, line));
                from = line;
                if (from == close) break;
                sink.append('\n');
                from += close - from > 1 && from[1] == '\n' ? 2 : 1;
            }
            p = close == end ? end : close + kCdataEnd.size();
        } else {
            sink.append(*p++);
        }
    }
    return !sink.overflowed();
}

bool decode_attribute(Bytes raw, Sink& sink) {
    const char* p = raw.data();
    const char* const end = p + raw.size();
    while (p != end) {
        const char* const hit = find_any<'&', '\t', '\n', '\r'>(p, end);
        sink.append(between(p, hit));
        p = hit;
        if (p == end) break;
        if (*p == '&') {
            write_reference(p, end, sink);
        } else {  // XML 1.0 2.11, 3.3.3
            sink.append(' ');
            p += *p == '\r' && end - p > 1 && p[1] == '\n' ? 2 : 1;
        }
    }
    return !sink.overflowed();
}

Bytes attribute_value(Bytes raw, Sink& sink) {
    const char* const end = raw.data() + raw.size();
    if (find_any<'&', '\t', '\n', '\r'>(raw.data(), end) == end) return raw;
    const std::size_t before = sink.size();
    return decode_attribute(raw, sink) ? sink.written().substr(before) : Bytes();
}

Element::Element(Bytes framed, const StreamScope& scope, const Outline* outline)
    : root_(framed.data()),
      end_(framed.data() + framed.size()),
      scope_(&scope),
      outline_(outline),
      inherited_(scope.default_namespace()) {
    if (outline != nullptr) {
        begin_ = root_;
        set_name(outline->name);
    } else if (!framed.empty()) {
        open(framed.data());
    }
}

Element::Element(const Element& relative, const char* begin, const char* parent,
                 std::uint32_t depth, Bytes inherited_namespace)
    : parent_(parent),
      root_(relative.root_),
      end_(relative.end_),
      scope_(relative.scope_),
      inherited_(inherited_namespace),
      depth_(depth) {
    open(begin);
}

Element::Element(const Element& relative, std::uint32_t number, Bytes inherited_namespace)
    : parent_(relative.root_),
      root_(relative.root_),
      end_(relative.end_),
      scope_(relative.scope_),
      outline_(relative.outline_),
      inherited_(inherited_namespace),
      number_(number),
      depth_(1) {
    const Outline::Name& name = outlined()->name;
    begin_ = root_ + name.whole.offset - 1;
    set_name(name);
}

void Element::set_name(const Outline::Name& name) {
    const std::uint32_t before = name.prefix_size == 0 ? 0 : name.prefix_size + 1;
    name_ = begin_ + 1 + before;
    attributes_ = begin_ + 1 + name.whole.size;
    name_size_ = name.whole.size - before;
    prefix_size_ = name.prefix_size;
}

void Element::open(const char* begin) {
    begin_ = begin;
    const char* const name = begin + 1;
    const char* p = name;
    name_ = name;
    while (p < end_ && *p != '>' && *p != '/' && !is_space(*p)) {
        if (*p == ':' && name_ == name) name_ = p + 1;
        ++p;
    }
    attributes_ = p < end_ ? p : end_;
    if (name_ > attributes_) name_ = attributes_;
    name_size_ = static_cast<std::uint32_t>(attributes_ - name_);
    prefix_size_ = name_ == name || name > end_ ? 0 : static_cast<std::uint32_t>(name_ - name - 1);
}

Bytes Element::attribute(Bytes name) const {
    Attribute found;
    for (AttributeReader reader = attributes(); reader.next(found);) {
        if (found.name == name) return found.value;
    }
    return {};
}

bool Element::attribute(Bytes name, Sink& sink) const {
    const Bytes raw = attribute(name);
    return raw.data() != nullptr && decode_attribute(raw, sink);
}

Bytes Element::default_namespace() const {
    if (const Outline::Child* child = outlined()) {
        return child->has_default ? child->default_namespace.of(root_) : inherited_;
    }
    if (outline_ != nullptr) {
        return outline_->has_default ? outline_->default_namespace.of(root_) : inherited_;
    }
    const Bytes own = attribute("xmlns");
    return own.data() != nullptr ? own : inherited_;
}

Bytes Element::namespace_uri() const {
    return prefix_size_ == 0 ? default_namespace() : find_prefix();
}

// What the start tag declares this element's prefix to be.
Bytes Element::declared_at(const char* tag) const {
    const Bytes wanted = prefix();
    Attribute found;
    for (AttributeReader reader(name_end(tag + 1, end_), end_); reader.next(found);) {
        if (found.name.size() == wanted.size() + 6 && found.name.starts_with("xmlns:") &&
            found.name.ends_with(wanted)) {
            return found.value;
        }
    }
    return {};
}

// From the element outwards. Children and grandchildren of the framed element know all that is
// around them: there may be many, and to walk down to each would take the square of their number.
Bytes Element::find_prefix() const {
    Bytes uri = declared_at(begin_);
    if (uri.data() == nullptr && depth_ > 0) uri = declared_at(parent_);
    if (uri.data() == nullptr && depth_ > 2) uri = declared_around();
    if (uri.data() == nullptr && depth_ > 1) uri = declared_at(root_);
    return uri.data() != nullptr ? uri : scope_->find(prefix());
}

// Between the element around this one and the framed one, which are found by walking down again.
Bytes Element::declared_around() const {
    std::array<const char*, limits::kXmlDepth> around{};
    std::size_t depth = 0;
    const char* tag = nullptr;
    for (const char* p = root_; p < begin_;) {
        const Tag kind = next_tag(p, end_, tag);
        if (kind == Tag::kNone || tag >= begin_) break;
        if (kind == Tag::kOpen && depth < around.size()) around[depth++] = tag;
        if (kind == Tag::kClose && depth > 0) --depth;
    }
    Bytes uri;
    while (uri.data() == nullptr && depth > 1) uri = declared_at(around[--depth]);
    return uri;
}

const char* Element::content_begin(bool& empty_element) const {
    AttributeReader reader = attributes();
    for (Attribute skipped; reader.next(skipped);) {
    }
    empty_element = reader.empty_element();
    return reader.tag_end();
}

// The first element at or after p, unless a closing tag comes before.
Element Element::child_from(const char* p, const char* parent, std::uint32_t depth,
                            Bytes inherited_namespace) const {
    for (const char* tag = nullptr;;) {
        const Tag kind = next_tag(p, end_, tag);
        if (kind == Tag::kOpen || kind == Tag::kEmpty) {
            return {*this, tag, parent, depth, inherited_namespace};
        }
        if (kind != Tag::kCdata) return {};
    }
}

Element Element::first_child() const {
    if (begin_ == nullptr) return {};
    if (const Outline::Child* child = outlined()) {
        if (child->flat) return {};
        return child_from(root_ + child->content.offset, begin_, depth_ + 1, default_namespace());
    }
    if (outline_ != nullptr) {
        return outline_->child_count == 0 ? Element() : Element(*this, 0U, default_namespace());
    }
    Bytes inherited = inherited_;
    AttributeReader reader = attributes();
    for (Attribute found; reader.next(found);) {
        if (is_literal(found.name, "xmlns")) inherited = found.value;
    }
    return reader.empty_element() ? Element()
                                  : child_from(reader.tag_end(), begin_, depth_ + 1, inherited);
}

Element Element::next_sibling() const {
    if (begin_ == nullptr || begin_ == root_) return {};
    if (number_ != kNoNumber) {
        if (number_ + 1 != outline_->child_count) return {*this, number_ + 1, inherited_};
        if (outline_->complete) return {};
    }
    const Bytes whole = bytes();
    return child_from(whole.data() + whole.size(), parent_, depth_, inherited_);
}

ChildRange Element::children() const { return ChildRange(first_child()); }

Element Element::child(Bytes local, Bytes uri) const {
    for (const Element& found : children()) {
        if (found.is(local, uri)) return found;
    }
    return {};
}

bool Element::text(Sink& sink) const {
    if (begin_ == nullptr) return true;
    if (const Outline::Child* child = outlined(); child != nullptr && child->flat) {
        return decode_text(child->content.of(root_), sink);
    }
    bool empty = false;
    const char* p = content_begin(empty);
    while (!empty && p != end_) {
        const char* tag = nullptr;
        const char* const from = p;
        const Tag kind = next_tag(p, end_, tag);
        decode_text(between(from, tag), sink);
        if (kind == Tag::kNone || kind == Tag::kClose) break;
        if (kind == Tag::kCdata) decode_text(between(tag, p), sink);
        if (kind == Tag::kOpen) p = skip_content(p, end_, tag);
    }
    return !sink.overflowed();
}

Bytes Element::text_view(Sink& sink) const {
    if (const Outline::Child* child = outlined(); child != nullptr && child->plain) {
        return child->content.of(root_);
    }
    const std::size_t before = sink.size();
    text(sink);
    return sink.written().substr(before);
}

Bytes Element::bytes() const {
    if (begin_ == nullptr) return {};
    if (const Outline::Child* child = outlined()) return between(begin_, root_ + child->end);
    if (outline_ != nullptr) return between(begin_, end_);
    bool empty = false;
    const char* const content = content_begin(empty);
    const char* closing_tag = nullptr;
    return between(begin_, empty ? content : skip_content(content, end_, closing_tag));
}

Bytes Element::content() const {
    if (begin_ == nullptr) return {};
    if (const Outline::Child* child = outlined()) return child->content.of(root_);
    bool empty = false;
    const char* const content = content_begin(empty);
    if (empty) return {content, 0};
    const char* closing_tag = nullptr;
    skip_content(content, end_, closing_tag);
    return between(content, closing_tag);
}

Bytes stanza_kind_name(StanzaKind kind) {
    switch (kind) {
        case StanzaKind::kMessage: return "message";
        case StanzaKind::kPresence: return "presence";
        case StanzaKind::kIq: return "iq";
        case StanzaKind::kOther: break;
    }
    return {};
}

namespace {

void note_attribute(Stanza& stanza, Bytes& own_namespace, Bytes name, Bytes value) {
    if (is_literal(name, "from")) {
        stanza.from = value;
    } else if (is_literal(name, "to")) {
        stanza.to = value;
    } else if (is_literal(name, "id")) {
        stanza.id = value;
    } else if (is_literal(name, "type")) {
        stanza.type = value;
    } else if (is_literal(name, "xml:lang")) {
        stanza.lang = value;
    } else if (is_literal(name, "xmlns")) {
        own_namespace = value;
    }
}

}  // namespace

Stanza parse_stanza(Bytes framed, const StreamScope& scope, const Outline* outline) {
    Stanza stanza{StanzaKind::kOther, {}, {}, {}, {}, {}, Element(framed, scope, outline)};
    if (!stanza.root) return stanza;
    Bytes own_namespace = scope.default_namespace();
    if (outline != nullptr) {
        stanza.plain = outline->plain;
        for (std::uint32_t i = 0; i < outline->attribute_count; ++i) {
            const Outline::Attribute& found = outline->attributes[i];
            note_attribute(stanza, own_namespace, found.whole.of(framed.data()),
                           found.value.of(framed.data()));
        }
    } else {
        Attribute found;
        for (AttributeReader reader = stanza.root.attributes(); reader.next(found);)
            note_attribute(stanza, own_namespace, found.name, found.value);
    }
    if (!stanza.root.prefix().empty()) own_namespace = stanza.root.namespace_uri();
    if (own_namespace != kServerNamespace) return stanza;
    const Bytes name = stanza.root.name();
    stanza.kind = is_literal(name, "message")    ? StanzaKind::kMessage
                  : is_literal(name, "presence") ? StanzaKind::kPresence
                  : is_literal(name, "iq")       ? StanzaKind::kIq
                                                 : StanzaKind::kOther;
    return stanza;
}

StreamHeader parse_stream_header(Bytes framed, const StreamScope& scope) {
    StreamHeader header;
    const Element root(framed, scope);
    if (!root) return header;
    header.name = root.name();
    header.stream_namespace =
        root.prefix().empty() ? root.attribute("xmlns") : root.namespace_uri();
    struct Field {
        Bytes name;
        Bytes StreamHeader::* value;
    };
    constexpr Field kFields[] = {{"xmlns", &StreamHeader::default_namespace},
                                 {"from", &StreamHeader::from},
                                 {"to", &StreamHeader::to},
                                 {"id", &StreamHeader::id},
                                 {"version", &StreamHeader::version},
                                 {"xml:lang", &StreamHeader::lang}};
    Attribute found;
    for (AttributeReader reader = root.attributes(); reader.next(found);) {
        for (const Field& field : kFields) {
            if (found.name == field.name) header.*field.value = found.value;
        }
        if (found.name.starts_with("xmlns:") && found.value == kDialbackNamespace)
            header.dialback = true;
    }
    return header;
}

std::string self_contained(Bytes framed, const StreamScope& scope) {
    const Element element(framed, scope);
    const char* const behind_name = name_end(framed.data() + 1, framed.data() + framed.size());
    std::string text(framed.data(), behind_name);
    for (std::size_t i = 0; i < scope.count(); ++i) {
        const std::string name = "xmlns:" + std::string(scope.prefix(i));
        if (element.attribute(name).data() != nullptr) continue;  // it says otherwise
        const char quote = scope.uri(i).find('\'') == Bytes::npos ? '\'' : '"';  // as it came in
        text.append(" ").append(name).append("=") += quote;
        text.append(scope.uri(i)) += quote;
    }
    return text.append(behind_name, framed.data() + framed.size());
}

}  // namespace fedgate::xml
