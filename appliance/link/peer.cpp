#include "appliance/link/peer.hpp"

#include <algorithm>

namespace fedgate::link {

namespace {

bool same_name(Bytes a, Bytes b) {
    return std::ranges::equal(a, b, [](char x, char y) {
        const auto lower = [](char c) {
            return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
        };
        return lower(x) == lower(y);
    });
}

// Whose certificate it is, cut to what a line of the log has room for.
std::string of(const PeerIdentity& peer) {
    constexpr std::size_t kShown = 160;
    std::string names;
    for (const std::string& name : peer.dns_names) names += (names.empty() ? "" : ", ") + name;
    if (names.empty()) names = peer.subject;
    if (names.empty()) return {};
    return " (" + names.substr(0, kShown) + ")";
}

}  // namespace

Bytes why_not_reached(net::DialFault fault, const Error& last) {
    switch (fault) {
        case net::DialFault::kNoDomain: return "can't be reached: its name has no address";
        case net::DialFault::kDnsFailed: return "can't be reached: DNS does not answer";
        case net::DialFault::kBogus: return "can't be reached: DNSSEC refuses its address";
        case net::DialFault::kUnreachable:
        case net::DialFault::kTimeout: break;
    }
    switch (last.code) {
        case Errc::kRefused: return "can't be reached: connection refused";
        case Errc::kTimeout: return "can't be reached: it does not answer";
        default: return "can't be reached";
    }
}

Known identify(const net::Connection& connection, std::span<const std::string> names) {
    if (Bytes(connection.tls_version()) != "TLSv1.3") return {{}, "does not speak TLS 1.3"};
    const PeerIdentity& peer = connection.peer();
    if (!peer.presented) return {{}, "shows no certificate"};
    if (!peer.chain_valid) {
        return {{}, "shows a certificate that is not valid here: it " + peer.fault + of(peer)};
    }
    for (const std::string& name : names) {
        for (const std::string& shown : peer.dns_names) {
            if (same_name(name, shown)) return {name, ""};
        }
    }
    return {{}, "shows a certificate for another name" + of(peer)};
}

}  // namespace fedgate::link
