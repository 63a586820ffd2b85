// What a TLS peer has shown of itself: filled by net/tls after a handshake, judged by the pure
// engines (xml: RFC 6120 13.7, sip: RFC 5922). Plain data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/time.hpp"

namespace fedgate {

struct PeerIdentity {
    bool presented = false;    // a certificate was shown
    bool chain_valid = false;  // on the terms for this peer: CERT-5, CERT-6, CERT-7
    std::string fault;         // why not, as the rest of a sentence: "the certificate ..."
    std::vector<std::string> dns_names;   // SAN dNSName, as shown
    std::vector<std::string> srv_names;   // SAN id-on-dnsSRV (OID 1.3.6.1.5.5.7.8.7), as shown
    std::vector<std::string> xmpp_addrs;  // SAN id-on-xmppAddr (OID 1.3.6.1.5.5.7.8.5), as shown
    std::vector<std::string> uris;        // SAN URI, as shown
    std::string fingerprint_sha256;       // lower-case hex of the certificate
    std::string subject;                  // for people
    WallTime not_after{};                 // of the certificate

    // What TLSA records that DNSSEC vouches for say of it (CERT-8), as the server of one domain.
    enum class Dane : std::uint8_t {
        kNone,          // nothing: the chain decides
        kRefused,       // it is another's, whatever the chain says
        kServer,        // usage 3: it is the one, and its names and dates do not count
        kAnchor,        // usage 2: its chain is good, its names count
        kBesidesChain,  // usage 0 or 1: it is right, if the chain is valid, too
    };
    Dane dane = Dane::kNone;
    std::string dane_domain;              // for this domain only
    std::vector<std::string> dane_hosts;  // SRV targets that a certificate may be for, too
};

}  // namespace fedgate
