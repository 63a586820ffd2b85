// What will prove two domains to each other, from what a partner's server offers: xml::Stream's
// decision, before there is a stream. Pure.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/rules/negotiation.hpp"

namespace fedgate::admin {

// What their server offers to who comes as we do.
struct Offer {
    bool tls = false;           // STARTTLS, or TLS from the first byte on
    bool tls_required = false;  // it does not go on without
    bool secured = false;       // the handshake came to its end
    bool certificate = false;   // theirs, and it proves the domain
    bool external = false;      // SASL EXTERNAL: our certificate is good for them
    bool dialback = false;
    bool clear_dialback = false;  // dialback without TLS
};

struct Forecast {
    std::uint8_t method =
        0;  // of rules::method: how we prove ourselves to them. 0: no stream comes up
    std::string_view proof;  // of them to us, as fedctl streams says it
    std::string_view why;    // no stream: a sentence
};

[[nodiscard]] Forecast forecast(const rules::Negotiation&, const Offer&);
// The safest setting with which a stream comes up. Null: none does.
[[nodiscard]] const rules::Negotiation* safest(const Offer&);

}  // namespace fedgate::admin
