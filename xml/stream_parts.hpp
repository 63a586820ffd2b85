// Small pieces that both directions of the stream engine use. Private to xml/stream*.cpp.
#pragma once

#include "core/base/bytes.hpp"
#include "core/base/limits.hpp"
#include "xml/jid.hpp"
#include "xml/stanza.hpp"

namespace fedgate::xml {

inline constexpr Bytes kTlsNamespace = "urn:ietf:params:xml:ns:xmpp-tls";
inline constexpr Bytes kSaslNamespace = "urn:ietf:params:xml:ns:xmpp-sasl";
inline constexpr Bytes kDialbackFeature = "urn:xmpp:features:dialback";
inline constexpr Bytes kSmNamespace = "urn:xmpp:sm:3";
inline constexpr Bytes kBidiFeature = "urn:xmpp:features:bidi";
inline constexpr Bytes kBidiNamespace = "urn:xmpp:bidi";
inline constexpr Bytes kLimitsNamespace = "urn:xmpp:stream-limits:0";
inline constexpr Bytes kClosingTag = "</stream:stream>";

// ADDR-2, CERT-3: the A-label form by which domains are compared; empty: not a domain.
inline Bytes to_domain(Bytes text, DomainBuffer& memory) {
    if (text.empty() || text.find_first_of("@/") != Bytes::npos) return {};
    Sink sink(memory);
    if (!domain_to_ascii(text, sink) || sink.overflowed()) return {};
    return sink.written();
}

// The same of a raw attribute value.
inline Bytes attribute_to_domain(Bytes raw, DomainBuffer& memory) {
    DomainBuffer decoded;
    Sink sink(decoded);
    return raw.empty() ? Bytes() : to_domain(attribute_value(raw, sink), memory);
}

// S2S-5: "1.0" and everything above; no version is 0.9.
inline bool is_version_1(Bytes version) {
    const std::size_t dot = version.find('.');
    if (dot == 0 || dot == Bytes::npos) return false;
    for (const char c : version.substr(0, dot)) {
        if (c < '0' || c > '9') return false;
    }
    return version.substr(0, dot).find_first_not_of('0') != Bytes::npos;
}

}  // namespace fedgate::xml
