// What modern chat has and SIP has not becomes text that reads well: corrections (XEP-0308),
// reactions (XEP-0444), links to files (XEP-0066, XEP-0363). Pure.
#pragma once

#include "core/base/bytes.hpp"
#include "xml/stanza.hpp"

namespace fedgate::gateway {

constexpr Bytes kCorrections = "urn:xmpp:message-correct:0";
constexpr Bytes kReactions = "urn:xmpp:reactions:0";
constexpr Bytes kOutOfBand = "jabber:x:oob";

// A correction reads as people write one by hand: a star before the text. The text that it corrects
// stands on the other side already, and can't be taken back; without a mark it would seem to be
// said twice. A star needs no language, so it suits any text that it stands before.
constexpr Bytes kCorrectionMark = "* ";

// "Reacted with 👍"; nothing for a set that is empty, which takes a reaction back.
void write_reactions(const xml::Element& reactions, Sink&);

// Behind a text, that is from `text_begin` on in the sink: a line for each link that is not in the
// text, with its description; of the first few.
void write_links(const xml::Stanza&, std::size_t text_begin, Sink&);

// Does it carry a text that only the other's client can read (SEC-7)? What only sets up keys says
// nothing to a person.
[[nodiscard]] bool is_encrypted_text(const xml::Element&);

}  // namespace fedgate::gateway
