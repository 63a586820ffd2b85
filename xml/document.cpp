#include "xml/document.hpp"

#include <algorithm>
#include <string>

#include "xml/scan.hpp"
#include "xml/text.hpp"

namespace fedgate::xml {
namespace {

constexpr Bytes kMark = "\xEF\xBB\xBF";
constexpr Bytes kCommentStart = "<!--";
constexpr Bytes kCdataStart = "<![CDATA[";
constexpr Bytes kXmlns = "xmlns:";
constexpr std::size_t kPrologBytes = 256;  // of mark and declaration; they need 58

Bytes between(const char* begin, const char* end) {
    return {begin, static_cast<std::size_t>(end - begin)};
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

// Mark and declaration. Null view: there is no end of it.
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

// Behind the CDATA section at `tag`.
const char* cdata_end(const char* tag, const char* end) {
    const std::size_t close = between(tag, end).find("]]>");
    return close == Bytes::npos ? end : tag + close + 3;
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
void mask_comments(std::string& text) {
    const Bytes view = text;
    std::size_t at = 0;
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

DocumentStatus Document::frame(Bytes prolog, Bytes rest, std::size_t bytes_max) {
    // The root is the one element of a stream whose header is ours.
    framer_.reset();
    framer_.set_element_bytes_max(bytes_max);
    Frame frame;
    char head_memory[kPrologBytes + 3];
    Sink head{MutableBytes(head_memory)};
    head.append(prolog);
    head.append("<d>");
    if (framer_.next(head.written(), frame) != FrameStatus::kDone ||
        framer_.next(rest, frame) != FrameStatus::kDone) {
        return status_of(framer_.fault());
    }
    if (frame.kind != FrameKind::kElement) return DocumentStatus::kNotWellFormed;
    root_ = frame.bytes;
    return DocumentStatus::kRead;
}

DocumentStatus Document::read(Bytes text, std::size_t bytes_max) {
    if (text.size() > bytes_max) return DocumentStatus::kTooLarge;
    const Bytes prolog = prolog_of(text);
    if (prolog.data() == nullptr) return DocumentStatus::kNotWellFormed;
    Bytes rest = text;
    rest.remove_prefix(prolog.size());
    rest.remove_prefix(misc_size(rest));
    if (rest.empty() || rest.front() != '<') return DocumentStatus::kNotWellFormed;
    DocumentStatus status = frame(prolog, rest, bytes_max);
    if (status == DocumentStatus::kNotWellFormed && framer_.fault() == XmlFault::kRestrictedXml) {
        masked_ = rest;
        mask_comments(masked_);
        status = frame(prolog, masked_, bytes_max);
    }
    if (status != DocumentStatus::kRead) return status;
    rest.remove_prefix(root_.size());
    return misc_size(rest) == rest.size() ? DocumentStatus::kRead : DocumentStatus::kNotWellFormed;
}

void Walker::restart() {
    at_ = element_.data();
    end_ = at_ + element_.size();
    depth_ = 0;
    levels_[0] = {{}, {}, end_, {}, {}, 0, false};
}

bool Walker::enter() {
    Level& around = levels_[depth_];
    while (!around.ended) {
        const char* const tag = find_any<'<'>(at_, end_);
        const bool closes = end_ - tag < 2 || tag[1] == '/';
        if (closes || depth_ + 1 == levels_.size()) {
            around.ended = true;
            const char* const close = find_any<'>'>(tag, end_);
            at_ = close == end_ ? end_ : close + 1;
        } else if (tag[1] == '!') {
            at_ = cdata_end(tag, end_);
        } else {
            open(tag);
            return true;
        }
    }
    return false;
}

void Walker::open(const char* tag) {
    const Level& around = levels_[depth_];
    Level& own = levels_[++depth_];
    own = around;
    const char* const name = tag + 1;
    const char* local = name;
    const char* p = name;
    for (; p != end_ && *p != '>' && *p != '/' && !is_space(*p); ++p) {
        if (*p == ':' && local == name) local = p + 1;
    }
    own.name = between(local, p);
    own.prefix = local == name ? Bytes() : between(name, local - 1);
    own.attributes = p;
    AttributeReader attributes(p, end_);
    for (Attribute found; attributes.next(found);) {
        if (is_literal(found.name, "xmlns")) {
            own.default_uri = found.value;
        } else if (is_literal(found.name, "xml:lang")) {
            own.language = found.value;
        } else if (found.name.starts_with(kXmlns) && own.prefixes < declarations_.size()) {
            found.name.remove_prefix(kXmlns.size());
            declarations_[own.prefixes++] = {found.name, found.value};
        }
    }
    at_ = attributes.tag_end();
    own.ended = attributes.empty_element();
}

void Walker::leave() {
    for (const std::size_t depth = depth_; depth_ != 0 && depth_ >= depth; --depth_) {
        while (enter()) {
        }
    }
}

Bytes Walker::namespace_uri() const {
    const Level& own = levels_[depth_];
    if (own.prefix.empty()) return own.default_uri;
    for (std::size_t i = own.prefixes; i-- > 0;) {
        if (declarations_[i].prefix == own.prefix) return declarations_[i].uri;
    }
    return own.prefix == "xml" ? kXmlNamespace : Bytes();
}

Bytes Walker::attribute(Bytes name) const {
    AttributeReader attributes(levels_[depth_].attributes, end_);
    for (Attribute found; attributes.next(found);) {
        if (found.name == name) return found.value;
    }
    return {};
}

bool Walker::attribute(Bytes name, Sink& sink) const {
    const Bytes raw = attribute(name);
    return raw.data() != nullptr && decode_attribute(raw, sink);
}

bool Walker::text(Sink& sink) {
    const Level& own = levels_[depth_];
    while (!own.ended) {
        const char* const tag = find_any<'<'>(at_, end_);
        decode_text(between(at_, tag), sink);
        at_ = tag;
        if (end_ - tag > 1 && tag[1] == '!') {
            at_ = cdata_end(tag, end_);
            decode_text(between(tag, at_), sink);
        } else if (enter()) {
            leave();
        }
    }
    return !sink.overflowed();
}

}  // namespace fedgate::xml
