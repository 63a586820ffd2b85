// HTML of SIP bodies, as text that XML 1.0 can carry. Pure: bytes into a Sink.
#pragma once

#include "core/base/bytes.hpp"

namespace fedgate::gateway {

// IM-39: the plain rendition of an HTML text (UTF-8): br, p, div, li and the like break the line,
// entities are decoded, script and style vanish with their content, white space collapses.
void write_plain_of_html(Bytes html, Sink&);

}  // namespace fedgate::gateway
