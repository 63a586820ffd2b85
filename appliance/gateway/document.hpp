// A small XML document in the body of a SIP message: isComposing, IMDN. The Framer is its guard: it
// must be well-formed UTF-8, not deep, without document type, comments and processing instructions.
#pragma once

#include "core/base/bytes.hpp"
#include "xml/framer.hpp"
#include "xml/stanza.hpp"

namespace fedgate::gateway {

constexpr std::size_t kDocumentBytesMax = 16'384;
constexpr std::size_t kDocumentDepthMax = 8;

// Visits each child of the root, which has that name and namespace. False: it is not such a
// document. The framer is reset first.
template <typename Visit>
[[nodiscard]] bool read_document(Bytes document, Bytes root, Bytes uri, xml::Framer& framer,
                                 Visit&& visit) {
    if (document.size() > kDocumentBytesMax) return false;
    framer.reset();
    framer.set_depth_max(kDocumentDepthMax);
    for (;;) {
        xml::Frame frame;
        if (framer.next(document, frame) != xml::FrameStatus::kDone) return false;
        document.remove_prefix(frame.consumed);
        if (frame.kind == xml::FrameKind::kStreamClose) return true;
        const xml::Element element(frame.bytes, framer.scope());
        if (frame.kind == xml::FrameKind::kElement) {
            visit(element);
        } else if (!element.is(root, uri)) {
            return false;
        }
    }
}

// The text of a child that is one word; empty: there is none, or it is longer than the memory.
[[nodiscard]] inline Bytes word_of(const xml::Element& element, Sink& memory) {
    const std::size_t begin = memory.size();
    if (!element.text(memory)) {
        memory.truncate(begin);
        return {};
    }
    Bytes word = memory.written().substr(begin);
    constexpr Bytes kBlank = " \t\r\n";
    while (!word.empty() && kBlank.find(word.front()) != Bytes::npos) word.remove_prefix(1);
    while (!word.empty() && kBlank.find(word.back()) != Bytes::npos) word.remove_suffix(1);
    return word;
}

}  // namespace fedgate::gateway
