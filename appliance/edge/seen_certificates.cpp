#include "appliance/edge/seen_certificates.hpp"

#include <algorithm>

#include "core/base/limits.hpp"
#include "core/rules/snapshot.hpp"
#include "xml/certificate.hpp"

namespace fedgate::edge {
namespace {

bool is_partner(const rules::Snapshot& rules, Bytes their) {
    const rules::Partner* partner = rules.partner(their);
    // Below a pattern anybody may call himself a domain.
    return partner != nullptr && partner->lists(their);
}

}  // namespace

void SeenCertificates::note(const rules::Snapshot& rules, Bytes their, const PeerIdentity& peer,
                            bool direct_tls, WallTime now) {
    const bool counts = xml::covers(peer, their, direct_tls) &&
                        peer.dane != PeerIdentity::Dane::kServer && is_partner(rules, their);
    if (!counts) return;
    std::string name(their);
    rows_[name] = {name, peer.not_after, now};
    if (rows_.size() <= limits::kSeenCertificates) return;
    const auto last =
        std::ranges::max_element(rows_, {}, [](const auto& row) { return row.second.not_after; });
    rows_.erase(last);
}

void SeenCertificates::recheck(const rules::Snapshot& rules) {
    std::erase_if(rows_, [&rules](const auto& row) { return !is_partner(rules, row.first); });
}

std::vector<SeenCertificate> SeenCertificates::rows() const {
    std::vector<SeenCertificate> rows;
    rows.reserve(rows_.size());
    for (const auto& [their, row] : rows_) rows.push_back(row);
    return rows;
}

}  // namespace fedgate::edge
