// Which names of a certificate speak for a domain: the first line is the domain, each other one a
// name, its first letter says of which kind. Held against a second, plain reading of the rules.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/check.hpp"
#include "xml/certificate.hpp"

namespace {

using fedgate::Bytes;
using fedgate::PeerIdentity;
using fedgate::xml::covers;

std::string lower(std::string text) {
    for (char& c : text) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return text;
}

std::vector<std::string> split(const std::string& text, char at) {
    std::vector<std::string> parts(1);
    for (const char c : text) {
        if (c == at) {
            parts.emplace_back();
        } else {
            parts.back() += c;
        }
    }
    return parts;
}

// CERT-3: labels, without regard to case; a dot at the end of the presented name says nothing.
std::vector<std::string> labels(std::string name, bool presented) {
    if (presented && name.ends_with('.')) name.pop_back();
    return split(lower(name), '.');
}

bool plainly_equal(const std::string& presented, const std::string& domain) {
    if (presented.empty() || presented == ".") return false;
    return labels(presented, true) == labels(domain, false);
}

// CERT-4: `*` is one whole label, the first, with at least two behind it.
bool plainly_matches(const std::string& presented, const std::string& domain) {
    auto pattern = labels(presented, true);
    const auto wanted = labels(domain, false);
    if (pattern[0] != "*") {
        return presented.find('*') == std::string::npos && plainly_equal(presented, domain);
    }
    if (pattern.size() < 3 || pattern.size() != wanted.size() || wanted[0].empty()) return false;
    for (std::size_t i = 1; i < pattern.size(); ++i) {
        if (pattern[i] != wanted[i] || pattern[i].find('*') != std::string::npos) return false;
    }
    return true;
}

bool plainly_serves(const std::string& presented, const std::string& service,
                    const std::string& domain) {
    return presented.size() > service.size() &&
           lower(presented.substr(0, service.size() + 1)) == service + "." &&
           plainly_equal(presented.substr(service.size() + 1), domain);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const std::string text(reinterpret_cast<const char*>(bytes), size);
    const auto lines = split(text, '\n');
    const std::string domain = lower(lines[0]);  // as the engine gives it
    PeerIdentity peer;
    peer.presented = peer.chain_valid = true;
    bool plain = false, direct = false;
    for (std::size_t i = 1; i < lines.size() && i < 64; ++i) {
        if (lines[i].empty()) continue;
        const std::string name = lines[i].substr(1);
        switch (lines[i][0]) {
            case 's':
                peer.srv_names.push_back(name);
                plain |= plainly_serves(name, "_xmpp-server", domain);
                direct |= plainly_serves(name, "_xmpps-server", domain);
                break;
            case 'x':
                peer.xmpp_addrs.push_back(name);
                plain |=
                    name.find_first_of("@/") == std::string::npos && plainly_equal(name, domain);
                break;
            case 'u': peer.uris.push_back(name); break;
            default:
                peer.dns_names.push_back(name);
                FEDGATE_CHECK(fedgate::xml::dns_name_matches(name, domain) ==
                              plainly_matches(name, domain));
                plain |= plainly_matches(name, domain);
                break;
        }
    }
    plain = plain && !domain.empty();
    direct = direct && !domain.empty();
    FEDGATE_CHECK(covers(peer, domain, false) == plain);
    FEDGATE_CHECK(covers(peer, domain, true) == (plain || direct));
    peer.chain_valid = false;
    FEDGATE_CHECK(!covers(peer, domain, true));
    return 0;
}
