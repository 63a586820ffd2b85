// IQs that servers exchange among themselves, as pings: whether anybody is there. They keep no
// stream open that nobody else uses (S2S-18).
#pragma once

#include "xml/stanza.hpp"

namespace fedgate::edge {

// The raw value of an attribute is a JID without local part and resource.
[[nodiscard]] bool is_domain(Bytes raw);
// Both addresses are.
[[nodiscard]] bool is_between_servers(const xml::Stanza&);
[[nodiscard]] bool is_between_servers(Bytes stanza);
// An answer that says nothing but that somebody is there, as that to a ping.
[[nodiscard]] bool is_empty_answer(Bytes stanza);

}  // namespace fedgate::edge
