// Where does a stanza end? Cuts the bytes of one direction of an XMPP stream into the stream
// header, the elements below it and the closing tag, and is the only judge of well-formedness:
// whatever it gives out is well-formed, namespace-well-formed, UTF-8, and free of the XML that RFC
// 6120 11.1 forbids. One pass: it goes on where the bytes ended, whatever the cuts between calls.
//
// Owner: one direction of a stream. Thread: the owner's. It keeps offsets, not pointers: the input
// may move between calls. Limits: S2S-7 (depth, attributes, prefixes), set_element_bytes_max().
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/base/bytes.hpp"
#include "core/base/limits.hpp"
#include "xml/outline.hpp"
#include "xml/scan.hpp"
#include "xml/scope.hpp"

namespace fedgate::xml {

enum class FrameKind : std::uint8_t {
    kStreamOpen,   // start tag of the root; bytes without the XML declaration
    kElement,      // a whole child of the root
    kStreamClose,  // closing tag of the root
};

struct Frame {
    FrameKind kind = FrameKind::kElement;
    // An element uses a prefix that only the stream header declares: its bytes mean something else,
    // or nothing, on another stream.
    bool uses_stream_prefix = false;
    Bytes bytes;                       // into the input
    const Outline* outline = nullptr;  // of an element
    std::size_t consumed =
        0;  // drop so many bytes of input before the next call, with kNeedMore too
};

enum class FrameStatus : std::uint8_t { kDone, kNeedMore, kMalformed };

enum class XmlFault : std::uint8_t {
    kNone,
    kNotWellFormed,
    kRestrictedXml,
    kUnsupportedEncoding,
    kBadFormat,  // text or CDATA between stanzas, a root that ends in its own start tag
    kTooBig,
    kTooDeep,
    kTooManyAttributes,
    kTooManyPrefixes,
    kBadNamespacePrefix,
};

class Framer {
public:
    Framer();

    // `input` begins at the first byte that was not consumed and holds at least what it held at the
    // last call. White space between elements (keep-alives, RFC 6120 4.6.1) is only consumed.
    // kMalformed is final until reset().
    FrameStatus next(Bytes input, Frame& frame);

    [[nodiscard]] XmlFault fault() const { return fault_; }
    // The first header was seen and the stream is not closed.
    [[nodiscard]] bool open() const { return phase_ == Phase::kOpen; }
    // Bytes of one element or of the header; more is kTooBig as soon as byte max + 1 is there.
    void set_element_bytes_max(std::size_t max) { element_bytes_max_ = max; }
    // Levels below the root; more is kTooDeep. At most limits::kXmlDepth, which is the default.
    void set_depth_max(std::size_t max) { depth_max_ = std::min(max, limits::kXmlDepth); }
    // A new stream begins with the next byte (STARTTLS, SASL). The limit stays.
    void reset();
    // What the header declared; for Element and Stanza. Filled before the kStreamOpen frame is
    // given out.
    [[nodiscard]] const StreamScope& scope() const { return scope_; }

private:
    // kDeclaration: an XML declaration may still come; kProlog: only the root may.
    enum class Phase : std::uint8_t { kStart, kDeclaration, kProlog, kOpen, kClosed };
    // Where in a frame the bytes ended.
    enum class State : std::uint8_t {
        kBetween,
        kMarkup,
        kElementName,
        kInTag,
        kAttributeName,
        kEquals,
        kQuote,
        kValue,
        kEmptyTagEnd,
        kClosingName,
        kClosingEnd,
        kText,
        kCdata,
    };
    using Span = Outline::Span;
    using Name = Outline::Name;
    struct Declaration {
        Span prefix;
        Span uri;
        std::size_t depth = 0;
    };
    struct Step {  // where it stopped, and why; by value, so that the position stays in a register
        const char* p = nullptr;
        FrameStatus status = FrameStatus::kDone;
    };
    static constexpr std::size_t kRootNameBytes = 64;

    // Of the tag at hand.
    [[nodiscard]] Outline::Attribute& attribute(std::size_t index) {
        return outline_.attributes[attribute_base_ + index];
    }

    FrameStatus fail(XmlFault fault) {
        fault_ = fault;
        return FrameStatus::kMalformed;
    }
    FrameStatus enter(const char*& p, const char* end);
    FrameStatus declaration(const char*& p, const char* end);
    FrameStatus scan(const char* start, const char* end, Frame& frame);
    void begin_name(Name& name, std::uint32_t offset);
    Step qualified_name(Name& name, const char* start, const char* p, const char* end);
    bool attribute_named(const char* start, const char* p);
    XmlFault attribute_valued(const char* start, const char* p);
    Step character(const char* p, const char* end);
    Step reference(const char* p, const char* end);
    XmlFault check_prefixes(const char* start);
    [[nodiscard]] Bytes resolve(const char* start, Bytes prefix);
    XmlFault keep_header(const char* start);
    void leave_element();
    void end_start_tag(std::uint32_t offset);
    void end_child(std::uint32_t content_end, std::uint32_t end);

    StreamScope scope_;
    std::size_t element_bytes_max_ = 262'144;
    std::size_t depth_max_ = limits::kXmlDepth;
    FindSpecial find_;
    Phase phase_ = Phase::kStart;
    XmlFault fault_ = XmlFault::kNone;

    // Of the frame at hand.
    State state_ = State::kBetween;
    char quote_ = 0;
    bool spaced_ = false;    // white space before the next attribute was seen
    bool prefixed_ = false;  // the tag at hand has a prefix to look up
    bool uses_stream_prefix_ = false;
    bool has_default_ = false;
    std::size_t position_ = 0;  // the next byte to look at
    std::uint32_t mark_ =
        0;  // start of the name part or value at hand; bytes of a closing name seen
    std::size_t depth_ = 0;
    std::size_t attribute_base_ = 0;  // of the tag at hand, in the outline's
    std::size_t attribute_count_ = 0;
    std::size_t declaration_count_ = 0;
    std::uint64_t attribute_filter_ = 0;  // a clear bit: no attribute with such a name yet
    Span default_;                        // value of xmlns in the tag at hand
    std::uint32_t closing_ = 0;           // start of the closing tag at hand
    bool flat_ = false;                   // of the child at hand, as in its outline
    bool plain_ = false;
    Outline outline_;
    // As many as were ever needed at once: most streams need few, and many streams are idle.
    std::vector<Name> elements_;
    std::vector<Declaration> declarations_;
    std::array<char, kRootNameBytes> root_name_{};
    std::size_t root_name_size_ = 0;
};

}  // namespace fedgate::xml
