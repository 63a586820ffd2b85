#include "xml/certificate.hpp"

#include "xml/jid.hpp"

namespace fedgate::xml {

namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

// CERT-3: case does not count, nor does the root's dot.
bool equal_names(Bytes presented, Bytes domain) {
    if (presented.ends_with('.')) presented.remove_suffix(1);
    if (presented.size() != domain.size() || presented.empty()) return false;
    for (std::size_t i = 0; i < domain.size(); ++i) {
        if (lower(presented[i]) != lower(domain[i])) return false;
    }
    return true;
}

// CERT-3: it may be written in U-labels.
bool address_matches(Bytes presented, Bytes domain) {
    if (equal_names(presented, domain)) return true;
    char memory[limits::kJidPartBytes];
    Sink sink(memory);
    return domain_to_ascii(presented, sink) && sink.written() == domain;
}

bool srv_name_matches(Bytes presented, Bytes service, Bytes domain) {
    if (presented.size() <= service.size() || presented[service.size()] != '.') return false;
    return equal_names(presented.substr(0, service.size()), service) &&
           equal_names(presented.substr(service.size() + 1), domain);
}

// So that its owner finds it.
std::string details_of(const PeerIdentity& peer) {
    constexpr std::size_t kSubjectBytesTold = 100;
    if (peer.subject.empty()) return {};
    return " (subject " + peer.subject.substr(0, kSubjectBytesTold) + ", valid until " +
           readable_day(peer.not_after) + ")";
}

}  // namespace

bool dns_name_matches(Bytes presented, Bytes domain) {
    // CERT-4: `*` stands for exactly one whole label, and at least two labels follow it; it is
    // never a letter.
    if (!presented.starts_with("*."))
        return presented.find('*') == Bytes::npos && equal_names(presented, domain);
    const Bytes suffix = presented.substr(2);
    if (suffix.find('*') != Bytes::npos) return false;
    const std::size_t inner_dot = suffix.find('.');
    if (inner_dot == Bytes::npos || inner_dot + 1 >= suffix.size()) return false;
    const std::size_t first_label = domain.find('.');
    if (first_label == Bytes::npos || first_label == 0) return false;
    return equal_names(suffix, domain.substr(first_label + 1));
}

bool covers(const PeerIdentity& peer, Bytes domain, bool direct_tls) {
    using Dane = PeerIdentity::Dane;
    if (!peer.presented || domain.empty()) return false;
    // CERT-8: what TLSA says, it says of one domain.
    const Dane dane = peer.dane_domain == domain ? peer.dane : Dane::kNone;
    if (dane == Dane::kRefused) return false;
    if (dane == Dane::kServer) return true;
    if (!peer.chain_valid && dane != Dane::kAnchor) return false;
    for (const std::string& name : peer.srv_names) {
        if (srv_name_matches(name, "_xmpp-server", domain)) return true;
        if (direct_tls && srv_name_matches(name, "_xmpps-server", domain)) return true;
    }
    for (const std::string& name : peer.dns_names) {
        if (dns_name_matches(name, domain)) return true;
        if (dane == Dane::kNone) continue;
        for (const std::string& host : peer.dane_hosts) {
            if (dns_name_matches(name, host)) return true;
        }
    }
    for (const std::string& address : peer.xmpp_addrs) {
        // CERT-2: the domain's own address only; a user's certificate does not speak for its
        // domain.
        if (address.find_first_of("@/") != std::string::npos) continue;
        if (address_matches(address, domain)) return true;
    }
    return false;
}

std::string why_not_covered(const PeerIdentity& peer, Bytes domain) {
    if (!peer.presented) return "no certificate was shown";
    if (!peer.chain_valid || peer.dane == PeerIdentity::Dane::kRefused)
        return "the certificate " + peer.fault + details_of(peer);
    constexpr std::size_t kNamesTold = 4;
    constexpr std::size_t kNameBytesTold = 60;  // a log's line must hold them all
    std::string names;
    std::size_t count = 0;
    for (const auto* list : {&peer.dns_names, &peer.srv_names, &peer.xmpp_addrs}) {
        for (const std::string& name : *list) {
            if (++count > kNamesTold) continue;
            names.append(names.empty() ? "" : ", ").append(name, 0, kNameBytesTold);
            if (name.size() > kNameBytesTold) names += "...";
        }
    }
    if (count > kNamesTold) names += " and " + std::to_string(count - kNamesTold) + " more";
    if (names.empty()) names = "no domain";  // CERT-2: the common name does not count
    return "the certificate names " + names + ": not " + std::string(domain) + details_of(peer);
}

}  // namespace fedgate::xml
