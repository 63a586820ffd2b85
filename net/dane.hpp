// DANE: which certificate is a server's, said by DNS where DNSSEC vouches for it. RFC 6698,
// RFC 7671, RFC 7673; CERT-8.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/base/peer_identity.hpp"
#include "net/certificate.hpp"
#include "net/resolver.hpp"

namespace fedgate::net {

// What was found in DNS: about the server that we are connected to, or, where somebody has
// connected to us, about all those of the domain that he says he is.
struct DaneQuestion {
    struct Server {
        std::string host;  // SRV target
        std::vector<TlsaRecord> records;
    };
    std::string domain;  // the source domain
    std::vector<Server> servers;
    bool withheld = false;  // there may be more, and DNS did not tell

    // False: nothing that can be understood was found, the chain decides.
    [[nodiscard]] bool decides() const { return withheld || !servers.empty(); }
};

// Of records, those that can be understood. RFC 7671 4: others count as if they were not there.
std::vector<TlsaRecord> usable_tlsa(std::span<const TlsaRecord>);

// Sets the DANE part of `peer`, which identify_peer() has filled for what was shown. Nothing
// changes when the question does not decide. All records are usable ones.
void judge_dane(const DaneQuestion&, Shown, const PeerTerms&, WallTime now, PeerIdentity& peer);

}  // namespace fedgate::net
