// Views over one element that the Framer has cut: nothing is copied, children are looked for when
// asked. Made for well-formed input; on other input the answers are arbitrary but stay inside the
// bytes. Lifetime: views point into the framed bytes and the scope, and live as long as those.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/base/bytes.hpp"
#include "xml/outline.hpp"
#include "xml/scan.hpp"
#include "xml/scope.hpp"
#include "xml/utf8.hpp"

namespace fedgate::xml {

// Character data as written -> the characters: references, CDATA, line ends to LF (XML 1.0 2.11).
// False when the sink has overflowed.
bool decode_text(Bytes raw, Sink& sink);
// Attribute value as written -> the characters: references, white space to SP (XML 1.0 3.3.3).
bool decode_attribute(Bytes raw, Sink& sink);
// The value without a copy where nothing needs decoding; else decoded into `sink`. Null view: no
// room.
Bytes attribute_value(Bytes raw, Sink& sink);

struct Attribute {
    Bytes name;   // as written, with prefix
    Bytes value;  // raw
};

// Walks over the attributes of a start tag. In line: each stanza's are walked several times on its
// way.
class AttributeReader {
public:
    AttributeReader(const char* begin, const char* end) : at_(begin), end_(end) {}
    [[gnu::always_inline]] bool next(Attribute& attribute) {
        const char* p = at_;
        while (p != end_ && is_space(*p)) ++p;
        at_ = end_;
        if (p == end_) return false;
        if (*p == '>' || *p == '/') {
            empty_element_ = *p == '/';
            at_ = empty_element_ && end_ - p > 1 ? p + 2 : p + 1;
            return false;
        }
        const char* const name = p;
        while (p != end_ && *p != '=') ++p;  // names are short and much the same each time
        if (p == end_) return false;
        const char* behind = p++;
        while (behind != name && is_space(behind[-1])) --behind;
        while (p != end_ && is_space(*p)) ++p;
        if (p == end_) return false;
        const bool apostrophe = *p++ == '\'';
        const char* const quote = apostrophe ? find_any<'\''>(p, end_) : find_any<'"'>(p, end_);
        if (quote == end_) return false;
        attribute = {Bytes(name, static_cast<std::size_t>(behind - name)),
                     Bytes(p, static_cast<std::size_t>(quote - p))};
        at_ = quote + 1;
        return true;
    }
    // After next() was false: behind the tag's '>'.
    [[nodiscard]] const char* tag_end() const { return at_; }
    [[nodiscard]] bool empty_element() const { return empty_element_; }

private:
    const char* at_;
    const char* end_;
    bool empty_element_ = false;
};

class ChildRange;

class Element {
public:
    Element() = default;
    // The element that `framed` (Frame::bytes) is. Of Element::bytes() too, but what the elements
    // around it declare is not known then. With an outline of it (Frame::outline) it does not look
    // at its children again.
    Element(Bytes framed, const StreamScope& scope, const Outline* outline = nullptr);

    explicit operator bool() const { return begin_ != nullptr; }

    [[nodiscard]] Bytes name() const { return {name_, name_size_}; }  // local part
    [[nodiscard]] Bytes prefix() const {
        return prefix_size_ == 0 ? Bytes() : Bytes(begin_ + 1, prefix_size_);
    }
    // A namespace name is compared as it is written: one that hides behind references is unknown.
    [[nodiscard]] Bytes namespace_uri() const;
    [[nodiscard]] bool is(Bytes local, Bytes uri) const {
        return name() == local && namespace_uri() == uri;
    }

    // The raw value of the attribute with this name as written ("xml:lang"); null view: no such
    // one.
    [[nodiscard]] Bytes attribute(Bytes name) const;
    // Decoded; false when there is none or no room.
    bool attribute(Bytes name, Sink& sink) const;
    [[nodiscard]] AttributeReader attributes() const { return {attributes_, end_}; }

    // Child elements, text skipped: for (Element child : element.children()).
    [[nodiscard]] ChildRange children() const;
    [[nodiscard]] Element first_child() const;
    [[nodiscard]] Element next_sibling() const;
    // The first child of that name; false Element: none.
    [[nodiscard]] Element child(Bytes local, Bytes uri) const;

    // The element's own character data, decoded; that of its children is skipped. False: no room.
    bool text(Sink& sink) const;
    // The same, without a copy where it is written as it is meant; else in `sink`, as far as it has
    // room.
    [[nodiscard]] Bytes text_view(Sink& sink) const;
    [[nodiscard]] Bytes bytes() const;    // the whole element, as on the wire
    [[nodiscard]] Bytes content() const;  // between its tags, as on the wire

private:
    // At `begin`, in the element whose start tag is at `parent`.
    Element(const Element& relative, const char* begin, const char* parent, std::uint32_t depth,
            Bytes inherited_namespace);
    // The child of that number of the outlined element.
    Element(const Element& relative, std::uint32_t number, Bytes inherited_namespace);
    void open(const char* begin);
    void set_name(const Outline::Name& name);
    [[nodiscard]] const Outline::Child* outlined() const {
        return number_ == kNoNumber ? nullptr : &outline_->children[number_];
    }
    [[nodiscard]] Bytes default_namespace() const;
    [[nodiscard]] Element child_from(const char* p, const char* parent, std::uint32_t depth,
                                     Bytes inherited_namespace) const;
    [[nodiscard]] const char* content_begin(bool& empty_element) const;
    [[nodiscard]] Bytes find_prefix() const;
    [[nodiscard]] Bytes declared_at(const char* tag) const;
    [[nodiscard]] Bytes declared_around() const;

    const char* begin_ = nullptr;  // at '<'
    const char* name_ = nullptr;
    const char* attributes_ = nullptr;  // behind the name
    const char* parent_ = nullptr;      // at the '<' of the element around it
    const char* root_ = nullptr;        // start of the framed bytes
    const char* end_ = nullptr;         // end of the framed bytes
    static constexpr std::uint32_t kNoNumber = UINT32_MAX;

    const StreamScope* scope_ = nullptr;
    const Outline* outline_ = nullptr;  // of the framed element
    Bytes inherited_;                   // default namespace around this element
    std::uint32_t number_ = kNoNumber;  // of this one in the outline
    std::uint32_t name_size_ = 0;
    std::uint32_t prefix_size_ = 0;
    std::uint32_t depth_ = 0;  // 0: the framed element
};

class ChildRange {
public:
    class Iterator {
    public:
        explicit Iterator(Element element) : element_(element) {}
        const Element& operator*() const { return element_; }
        Iterator& operator++() {
            element_ = element_.next_sibling();
            return *this;
        }
        bool operator!=(const Iterator& other) const {
            return static_cast<bool>(element_) != static_cast<bool>(other.element_);
        }

    private:
        Element element_;
    };
    explicit ChildRange(Element first) : first_(first) {}
    [[nodiscard]] Iterator begin() const { return Iterator(first_); }
    [[nodiscard]] Iterator end() const { return Iterator(Element()); }

private:
    Element first_;
};

// kOther: not one of the three, or not in the stream's content namespace jabber:server.
enum class StanzaKind : std::uint8_t { kMessage, kPresence, kIq, kOther };
Bytes stanza_kind_name(StanzaKind kind);  // "message"; kOther: null

// What routing needs, from the start tag only. Values are raw: attribute_value() decodes where
// there are references. Null views: attribute absent.
struct Stanza {
    StanzaKind kind = StanzaKind::kOther;
    Bytes from, to, id, type, lang;
    Element root;
    bool plain = false;  // none of the values needs decoding

    [[nodiscard]] Bytes decoded(Bytes raw, Sink& sink) const {
        return plain ? raw : attribute_value(raw, sink);
    }
};
Stanza parse_stanza(Bytes framed, const StreamScope& scope, const Outline* outline = nullptr);

// The attributes of a kStreamOpen frame, raw. Null views: attribute absent.
struct StreamHeader {
    Bytes name;              // local part of the root: "stream"
    Bytes stream_namespace;  // of the root's prefix
    Bytes default_namespace;
    Bytes from, to, id, version, lang;
    bool dialback = false;  // some prefix is declared as jabber:server:dialback
};
StreamHeader parse_stream_header(Bytes framed, const StreamScope& scope);

// The same element with the prefixes declared that only its stream's header declares (RFC 6120
// 4.8.5), so that it means the same anywhere. For the few elements with Frame::uses_stream_prefix.
[[nodiscard]] std::string self_contained(Bytes framed, const StreamScope& scope);

}  // namespace fedgate::xml
