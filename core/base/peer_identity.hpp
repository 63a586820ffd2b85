// What a TLS peer has shown of itself: filled by net/tls after a handshake, judged by the pure
// engines (xml: RFC 6120 13.7, sip: RFC 5922). Plain data.
#pragma once

#include <string>
#include <vector>

namespace fedgate {

struct PeerIdentity {
    bool presented = false;    // a certificate was shown
    bool chain_valid = false;  // chain to a configured root, validity, strength (CERT-5, CERT-6)
    std::string fault;         // why the chain is not valid; for people
    std::vector<std::string> dns_names;   // SAN dNSName, as shown
    std::vector<std::string> srv_names;   // SAN id-on-dnsSRV (OID 1.3.6.1.5.5.7.8.7), as shown
    std::vector<std::string> xmpp_addrs;  // SAN id-on-xmppAddr (OID 1.3.6.1.5.5.7.8.5), as shown
    std::vector<std::string> uris;        // SAN URI, as shown
    std::string fingerprint_sha256;       // lower-case hex of the certificate
    std::string subject;                  // for people
};

}  // namespace fedgate
