// Text in the forms that XML and SIP want: UTF-8, XML characters, line ends.
#pragma once

#include "core/base/bytes.hpp"

namespace fedgate::xml {

bool is_utf8(Bytes text);
// UTF-8 of XML 1.0 characters only (2.2): may stand in a stanza.
bool is_xml_text(Bytes text);
// IM-24: each invalid sequence and each character that XML 1.0 does not allow becomes one U+FFFD.
void write_xml_text(Sink& sink, Bytes text);
// IM-32: CRLF and lone CR -> LF.
void write_lf_lines(Sink& sink, Bytes text);
// IM-3: LF, lone CR and CRLF -> CRLF.
void write_crlf_lines(Sink& sink, Bytes text);

}  // namespace fedgate::xml
