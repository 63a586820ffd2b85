// What only the Lync dialect has (features.md A15): its typing, and its header fields Ms-*. Pure.
#pragma once

#include <cstdint>
#include <optional>

#include "appliance/gateway/key.hpp"
#include "core/base/bytes.hpp"
#include "core/base/error.hpp"
#include "sip/message.hpp"
#include "xml/framer.hpp"

namespace fedgate::gateway {

// SESS-44: typing, in the body of an INFO. True: he types. Empty: it is not such a document.
constexpr Bytes kKeyboardActivityType = "application/xml";
[[nodiscard]] std::optional<bool> parse_keyboard_activity(Bytes document, xml::Framer&);
void write_keyboard_activity(bool active, Sink&);

// SESS-41: the whole header line.
void write_ms_conversation_id(const Key& of_thread, Sink&);

// ms-diagnostics, or what of it leaves an enterprise, ms-diagnostics-public (MS-OCER 2.2.1):
//     1034;reason="Previous hop ...";source="sip.corp.example"
struct Diagnostics {
    std::uint32_t code = 0;
    Bytes reason;  // as written, without its quotes; empty: none
    Bytes source;  // the server that says so; empty: none, as in the public one
};
[[nodiscard]] Result<Diagnostics> parse_diagnostics(Bytes value);
// Of a response, the inner one first.
[[nodiscard]] std::optional<Diagnostics> find_diagnostics(const sip::Message&);
// The whole header line of the public one, which goes to a Lync domain with a refusal.
void write_diagnostics_public(std::uint32_t code, Bytes reason, Sink&);

}  // namespace fedgate::gateway
