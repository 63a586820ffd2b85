// Until when the certificates are good by which partners were known in streams, for `fedctl partner
// show`, metrics and events. One of each shard's edge. Bounded by limits::kSeenCertificates.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/base/bytes.hpp"
#include "core/base/peer_identity.hpp"
#include "core/base/time.hpp"

namespace fedgate::rules {
class Snapshot;
}

namespace fedgate::edge {

struct SeenCertificate {
    std::string their;
    WallTime not_after{};
    WallTime seen_at{};
};

class SeenCertificates {
public:
    // In a stream that stands. Who is only discovered leaves no row, and neither does a certificate
    // whose dates don't count: one that proves nothing or somebody else (his hoster, where dialback
    // has proved him), or that TLSA records name.
    void note(const rules::Snapshot&, Bytes their, const PeerIdentity&, bool direct_tls,
              WallTime now);
    // The rules have changed: forgets those who are no partners any more.
    void recheck(const rules::Snapshot&);

    [[nodiscard]] std::vector<SeenCertificate> rows() const;

private:
    std::map<std::string, SeenCertificate> rows_;  // by their domain
};

}  // namespace fedgate::edge
