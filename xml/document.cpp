#include "xml/document.hpp"

#include <algorithm>
#include <string>

// One block of nodes. A usual document has some 50 nodes and attributes of 50 to 100 bytes.
#define RAPIDXML_STATIC_POOL_SIZE (12 << 10)
#define RAPIDXML_DYNAMIC_POOL_SIZE (64 << 10)
#include <rapidxml/rapidxml.hpp>

#include "xml/framer.hpp"
#include "xml/stanza.hpp"
#include "xml/text.hpp"

namespace fedgate::xml {
namespace {

using RapidNode = rapidxml::xml_node<char>;

constexpr Bytes kMark = "\xEF\xBB\xBF";
constexpr Bytes kCommentStart = "<!--";
constexpr Bytes kCdataStart = "<![CDATA[";
constexpr std::size_t kPrologBytes = 256;  // of mark and declaration; they need 58

Bytes name_of(const RapidNode* node) { return {node->name(), node->name_size()}; }

// Element that is `node`, or follows it.
const RapidNode* element_from(const RapidNode* node) {
    while (node != nullptr && node->type() != rapidxml::node_element) node = node->next_sibling();
    return node;
}

DocumentStatus status_of(XmlFault fault) {
    switch (fault) {
        case XmlFault::kTooBig:
        case XmlFault::kTooDeep:
        case XmlFault::kTooManyAttributes:
        case XmlFault::kTooManyPrefixes: return DocumentStatus::kTooLarge;
        default: return DocumentStatus::kNotWellFormed;
    }
}

// Mark and declaration, which RapidXML need not see. Null view: there is no end of it.
Bytes prolog_of(Bytes text) {
    std::size_t at = text.starts_with(kMark) ? kMark.size() : 0;
    const Bytes rest = text.substr(at);
    if (rest.starts_with("<?xml") && rest.size() > 5 && is_space(rest[5])) {
        const std::size_t close = rest.find("?>");
        if (close == Bytes::npos) return {};
        at += close + 2;
    }
    return at <= kPrologBytes ? text.substr(0, at) : Bytes();
}

// Bytes of the comment at the front; 0: it has no proper end (XML 1.0 2.5: no "--" inside).
std::size_t comment_size(Bytes text) {
    const std::size_t dashes = text.find("--", kCommentStart.size());
    if (dashes == Bytes::npos || !text.substr(dashes + 2).starts_with('>')) return 0;
    return dashes + 3;
}

// White space and comments at the front.
std::size_t misc_size(Bytes text) {
    std::size_t at = 0;
    for (;;) {
        while (at < text.size() && is_space(text[at])) ++at;
        if (!text.substr(at).starts_with(kCommentStart)) return at;
        const std::size_t size = comment_size(text.substr(at));
        if (size == 0) return at;
        at += size;
    }
}

// XMPP has no comments, so Framer takes none: each becomes an empty element that nobody knows, of
// the same size, which may stand where a comment may.
void mask_comments(std::string& text, std::size_t at) {
    const Bytes view = text;
    while ((at = view.find("<!", at)) != Bytes::npos) {
        const Bytes rest = view.substr(at);
        std::size_t size = 2;
        if (rest.starts_with(kCdataStart)) {
            size = std::min(rest.find("]]>"), rest.size());
        } else if (rest.starts_with(kCommentStart) && (size = comment_size(rest)) != 0) {
            std::fill_n(text.begin() + static_cast<std::ptrdiff_t>(at), size, ' ');
            text[at] = '<';
            text[at + 1] = '_';
            text[at + size - 2] = '/';
            text[at + size - 1] = '>';
        } else if (size == 0) {
            return;  // not well-formed, as Framer will say
        }
        at += size;
    }
}

}  // namespace

struct Document::Tree {
    Framer framer;
    std::string text;
    rapidxml::xml_document<char> document;
};

Document::Document() : tree_(std::make_unique_for_overwrite<Tree>()) {}
Document::~Document() = default;

DocumentStatus Document::read(Bytes text, std::size_t bytes_max) {
    tree_->document.clear();
    if (text.size() > bytes_max) return DocumentStatus::kTooLarge;
    const Bytes prolog = prolog_of(text);
    if (prolog.data() == nullptr) return DocumentStatus::kNotWellFormed;
    const std::size_t begin = prolog.size() + misc_size(text.substr(prolog.size()));

    // The root is the one element of a stream whose header is ours.
    Framer& framer = tree_->framer;
    framer.reset();
    framer.set_element_bytes_max(bytes_max);
    Frame frame;
    char head_memory[kPrologBytes + 3];
    Sink head{MutableBytes(head_memory)};
    head.append(prolog);
    head.append("<d>");
    if (framer.next(head.written(), frame) != FrameStatus::kDone) return status_of(framer.fault());
    tree_->text = text;
    mask_comments(tree_->text, begin);
    const Bytes rest = Bytes(tree_->text).substr(begin);
    if (!rest.starts_with('<')) return DocumentStatus::kNotWellFormed;
    if (framer.next(rest, frame) != FrameStatus::kDone) return status_of(framer.fault());
    if (frame.kind != FrameKind::kElement) return DocumentStatus::kNotWellFormed;
    const std::size_t end = begin + frame.consumed;
    if (end + misc_size(text.substr(end)) != text.size()) return DocumentStatus::kNotWellFormed;

    tree_->text.resize(end);
    try {
        tree_->document.parse<rapidxml::parse_non_destructive>(tree_->text.data() + begin);
    } catch (const rapidxml::parse_error&) {
        return DocumentStatus::kNotWellFormed;
    }
    return DocumentStatus::kRead;
}

Node Document::root() const { return Node(element_from(tree_->document.first_node())); }

Bytes Node::name() const {
    const Bytes whole = name_of(node_);
    const std::size_t colon = whole.find(':');
    return colon == Bytes::npos ? whole : whole.substr(colon + 1);
}

Bytes Node::namespace_uri() const {
    const Bytes whole = name_of(node_);
    const std::size_t colon = whole.find(':');
    const Bytes prefix = colon == Bytes::npos ? Bytes() : whole.substr(0, colon);
    constexpr Bytes kXmlns = "xmlns";
    const std::size_t size = kXmlns.size() + (prefix.empty() ? 0 : 1 + prefix.size());
    for (const RapidNode* node = node_; node != nullptr; node = node->parent()) {
        for (const auto* a = node->first_attribute(); a != nullptr; a = a->next_attribute()) {
            const Bytes name(a->name(), a->name_size());
            if (name.size() == size && name.starts_with(kXmlns) && name.ends_with(prefix) &&
                (prefix.empty() || name[kXmlns.size()] == ':')) {
                return {a->value(), a->value_size()};
            }
        }
    }
    return prefix == "xml" ? kXmlNamespace : Bytes();
}

Bytes Node::attribute(Bytes name) const {
    const auto* found = node_->first_attribute(name.data(), name.size());
    return found == nullptr ? Bytes() : Bytes(found->value(), found->value_size());
}

bool Node::attribute(Bytes name, Sink& sink) const {
    const Bytes raw = attribute(name);
    return raw.data() != nullptr && decode_attribute(raw, sink);
}

Bytes Node::language() const {
    for (const RapidNode* node = node_; node != nullptr; node = node->parent()) {
        const Bytes language = Node(node).attribute("xml:lang");
        if (language.data() != nullptr) return language;
    }
    return {};
}

Node Node::first_child() const { return Node(element_from(node_->first_node())); }

Node Node::next_sibling() const { return Node(element_from(node_->next_sibling())); }

Node Node::child(Bytes local, Bytes uri) const {
    for (const Node& node : *this) {
        if (node.is(local, uri)) return node;
    }
    return {};
}

bool Node::text(Sink& sink) const {
    for (const RapidNode* node = node_->first_node(); node; node = node->next_sibling()) {
        const Bytes raw(node->value(), node->value_size());
        if (node->type() == rapidxml::node_data) decode_text(raw, sink);
        if (node->type() == rapidxml::node_cdata) write_lf_lines(sink, raw);
    }
    return !sink.overflowed();
}

}  // namespace fedgate::xml
