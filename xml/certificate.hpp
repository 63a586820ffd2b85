// Does a certificate speak for an XMPP domain? RFC 6120 13.7, RFC 6125; CERT-1..CERT-4.
#pragma once

#include <string>

#include "core/base/bytes.hpp"
#include "core/base/peer_identity.hpp"

namespace fedgate::xml {

// `domain`: A-label, lower case. True only for a valid chain, or where DANE says so. `direct_tls`
// also admits _xmpps-server SRV names. The subject's CN is never looked at.
bool covers(const PeerIdentity&, Bytes domain, bool direct_tls);

// Why it does not, for the administrator: a sentence without a full stop.
std::string why_not_covered(const PeerIdentity&, Bytes domain);

// One presented name against a domain; exposed for the certificate tools.
bool dns_name_matches(Bytes presented, Bytes domain);

}  // namespace fedgate::xml
