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
