// DANE: which certificate is a server's, said by DNS where DNSSEC vouches for it. RFC 6698,
// RFC 7671, RFC 7673; CERT-8. Only for connections that we open.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/base/peer_identity.hpp"
#include "net/certificate.hpp"
#include "net/resolver.hpp"

namespace fedgate::net {

// What was found in DNS about the server that is connected to.
struct DaneQuestion {
    std::vector<TlsaRecord> records;  // empty: DANE does not decide
    std::string domain;               // the source domain
    std::string host;                 // its SRV target
};

// Of records, those that can be understood. RFC 7671 4: others count as if they were not there.
std::vector<TlsaRecord> usable_tlsa(std::span<const TlsaRecord>);

// Sets the DANE part of `peer`, which identify_peer() has filled for what was shown. Nothing
// changes when no record is usable.
void judge_dane(const DaneQuestion&, Shown, const PeerTerms&, WallTime now, PeerIdentity& peer);

}  // namespace fedgate::net
