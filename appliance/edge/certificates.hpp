// What one shard's edge shows to partners, and what it believes them by. Made on the control
// thread; each part is swapped for a newer one when that could be read.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "core/rules/snapshot.hpp"
#include "net/certificate.hpp"
#include "net/revocation.hpp"
#include "net/tls.hpp"

namespace fedgate::edge {

struct Certificates {
    std::unique_ptr<net::TlsContext> external;  // this shard's; its roots judge who has no others
    // Immutable, and the same for all shards.
    std::map<std::string, std::shared_ptr<const net::TrustStore>> by_ca;  // path: partner/*/ca
    std::shared_ptr<const net::RevocationLists> revoked;                  // may be null
    std::uint64_t generation = 0;                                         // counts the loads

    // Takes the parts that `next` has, and keeps the others.
    void take(Certificates next) {
        if (next.external != nullptr) external = std::move(next.external);
        by_ca = std::move(next.by_ca);
        revoked = std::move(next.revoked);
        generation = next.generation;
    }

    // `partner` null: not known yet, or nobody's.
    [[nodiscard]] net::PeerTerms terms(const rules::Partner* partner, rules::Revocation how) const {
        net::PeerTerms terms{.roots = external->roots(),
                             .revoked = revoked.get(),
                             .revocation = static_cast<net::Revocation>(how),
                             .generation = generation};
        if (partner == nullptr) return terms;
        if (!partner->ca.empty()) {
            const auto found = by_ca.find(partner->ca);
            terms.roots = found != by_ca.end() ? found->second.get() : nullptr;
        }
        terms.strict_usage = partner->strict_usage;
        terms.pins = partner->pins;
        return terms;
    }
};
static_assert(static_cast<int>(rules::Revocation::kHard) ==
              static_cast<int>(net::Revocation::kHard));

}  // namespace fedgate::edge
