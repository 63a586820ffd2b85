// HTML of SIP bodies, as text that XML 1.0 can carry. Pure: bytes into a Sink.
#pragma once

#include "core/base/bytes.hpp"

namespace fedgate::gateway {

// IM-39: the plain rendition of an HTML text (UTF-8): br, p, div, li and the like break the line,
// entities are decoded, script and style vanish with their content, white space collapses.
void write_plain_of_html(Bytes html, Sink&);

// IM-39: well-formed content of an XHTML-IM body (XEP-0071): elements of the Integration Set, no
// attribute but href of a link that leads to a web page, an address or a JID. Everything else is
// left out, but for its text. False: it has no markup, the plain rendition says as much.
[[nodiscard]] bool write_xhtml_of_html(Bytes html, Sink&);

}  // namespace fedgate::gateway
