#include "net/dane.hpp"

#include <algorithm>

#include "core/base/hash.hpp"

namespace fedgate::net {
namespace {

enum Usage : std::uint8_t { kPkixAnchor, kPkixServer, kDaneAnchor, kDaneServer };
constexpr std::size_t kRecordsMax = 16;  // of one server; more are not looked at

// RFC 6698 2.1.2, 2.1.3.
bool matches(const TlsaRecord& record, const Certificate& certificate) {
    const Bytes selected = record.selector == 0 ? certificate.der : certificate.key.info;
    const auto is_digest = [&record](const auto& digest) {
        return std::ranges::equal(record.data, digest, {},
                                  [](char c) { return static_cast<std::uint8_t>(c); });
    };
    switch (record.matching) {
        case 0: return record.data == selected;
        case 1: return is_digest(sha256({selected}));
        case 2: return is_digest(sha512({selected}));
        default: return false;
    }
}

bool is_usable(const TlsaRecord& record) {
    if (record.usage > kDaneServer || record.selector > 1) return false;
    switch (record.matching) {
        case 0: return !record.data.empty() && record.data.size() <= kCertificateBytesMax;
        case 1: return record.data.size() == sizeof(Sha256Digest);
        case 2: return record.data.size() == sizeof(Sha512Digest);
        default: return false;
    }
}

// Is the chain good when nothing but `root` is trusted, on the same terms otherwise?
bool leads_to(Bytes root, const Shown& shown, PeerTerms terms, WallTime now) {
    const auto store = TrustStore::of({std::string(root)});
    if (!store) return false;
    terms.roots = &*store;
    terms.pins = {};
    return fault_of_chain(shown, terms, now).empty();
}

// An authority that the record names, shown in the chain or, for usage 2, in the record itself.
bool anchored(const TlsaRecord& record, const Shown& shown, std::span<const Certificate> roots,
              const PeerTerms& terms, WallTime now) {
    for (const Bytes der : shown.chain.subspan(1)) {
        const auto above = parse_certificate(der);
        if (above && matches(record, *above) && leads_to(der, shown, terms, now)) return true;
    }
    for (const Certificate& root : roots) {
        if (matches(record, root) && leads_to(root.der, shown, terms, now)) return true;
    }
    const bool holds_it =
        record.usage == kDaneAnchor && record.selector == 0 && record.matching == 0;
    return holds_it && leads_to(record.data, shown, terms, now);
}

PeerIdentity::Dane judge_server(std::span<const TlsaRecord> records, const Certificate& server,
                                const Shown& shown, const PeerTerms& terms, WallTime now,
                                bool chain_valid) {
    using Dane = PeerIdentity::Dane;
    const auto roots =
        terms.roots != nullptr ? terms.roots->roots() : std::span<const Certificate>();
    const auto any = [&](std::uint8_t usage, auto&& holds) {
        return std::ranges::any_of(records, [&](const TlsaRecord& record) {
            return record.usage == usage && holds(record);
        });
    };
    const auto is_server = [&](const TlsaRecord& r) { return matches(r, server); };
    if (any(kDaneServer, is_server) && has_strong_key(server)) return Dane::kServer;
    if (any(kDaneAnchor, [&](const TlsaRecord& r) { return anchored(r, shown, {}, terms, now); }))
        return Dane::kAnchor;
    const bool besides =
        chain_valid && (any(kPkixServer, is_server) || any(kPkixAnchor, [&](const TlsaRecord& r) {
                            return anchored(r, shown, roots, terms, now);
                        }));
    return besides ? Dane::kBesidesChain : Dane::kRefused;
}

}  // namespace

std::vector<TlsaRecord> usable_tlsa(std::span<const TlsaRecord> records) {
    std::vector<TlsaRecord> usable;
    for (const TlsaRecord& record : records) {
        if (usable.size() < kRecordsMax && is_usable(record)) usable.push_back(record);
    }
    return usable;
}

void judge_dane(const DaneQuestion& question, Shown shown, const PeerTerms& terms, WallTime now,
                PeerIdentity& peer) {
    if (!question.decides()) return;
    using Dane = PeerIdentity::Dane;
    peer.dane = Dane::kRefused;
    peer.dane_domain = question.domain;
    peer.dane_hosts.clear();
    shown.chain = shown.chain.first(std::min(shown.chain.size(), kChainCertificatesMax));
    const auto shown_first = shown.chain.empty() ? failure(Errc::kNotFound, "no certificate")
                                                 : parse_certificate(shown.chain[0]);
    for (const DaneQuestion::Server& server : question.servers) {
        const Dane dane = shown_first ? judge_server(server.records, *shown_first, shown, terms,
                                                     now, peer.chain_valid)
                                      : Dane::kRefused;
        if (dane == Dane::kRefused) continue;
        peer.dane_hosts.push_back(server.host);
        // Enumerated from the one that asks for least.
        if (peer.dane == Dane::kRefused || dane < peer.dane) peer.dane = dane;
    }
    // CERT-7: a partner whose certificate is pinned does not exchange it by DNS.
    if (!terms.pins.empty() && peer.dane != Dane::kRefused) peer.dane = Dane::kBesidesChain;
    if (peer.dane == Dane::kRefused) {
        peer.fault = question.withheld ? "can't be checked: DNS does not tell the TLSA records"
                                       : "is not one that the TLSA records of the domain name";
    }
}

}  // namespace fedgate::net
