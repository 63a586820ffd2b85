// Writes XML into a Sink: ask the Sink once at the end whether all had room. Values come in decoded
// and are escaped here; names come from literals of ours and are written as they are.
#pragma once

#include <initializer_list>

#include "core/base/bytes.hpp"
#include "xml/stanza.hpp"

namespace fedgate::xml {

// Character data: & < > and CR. The text must be of XML characters (text.hpp makes it so).
void write_text(Sink& sink, Bytes text);
// Attribute value: also ' " TAB LF, so that it survives normalisation.
void write_attribute_value(Sink& sink, Bytes value);
// " name='value'"; nothing at all for a null view.
void write_attribute(Sink& sink, Bytes name, Bytes value);

// <name a='b'>, <name a='b'/>, </name>, <name a='b'>text</name>
void write_start(Sink& sink, Bytes name, std::initializer_list<Attribute> attributes = {});
void write_empty(Sink& sink, Bytes name, std::initializer_list<Attribute> attributes = {});
void write_end(Sink& sink, Bytes name);
void write_element(Sink& sink, Bytes name, std::initializer_list<Attribute> attributes, Bytes text);

}  // namespace fedgate::xml
