// The network as one sees it from this machine: names, and what an XMPP server says to whoever
// comes. For fedctl, on a loop of its own: no core of the daemon has to do with it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/peer_identity.hpp"
#include "net/resolver.hpp"

namespace fedgate::admin {

// How far a visit came.
struct Greeting {
    bool connected = false;  // TCP
    bool answered = false;   // with a stream, for the domain that was asked for
    bool starttls = false;   // it offers TLS
    bool secured = false;
    bool external = false;  // after that: SASL EXTERNAL is offered
    bool dialback = false;  // server dialback is
    std::string why;        // it came no further: the rest of a sentence that begins with a name
    std::string tls;        // `TLSv1.3 TLS_AES_128_GCM_SHA256`
    PeerIdentity peer;      // judged by the roots that were given
};

struct OutsideOptions {
    net::ResolverOptions resolver;
    std::string certificate, key;  // shown to servers; empty: one made for the purpose
    std::string ca;                // PEM file with the roots that servers are judged by
};

class Outside {
public:
    static constexpr Duration kLookUp = std::chrono::seconds(5);
    static constexpr Duration kVisit = std::chrono::seconds(8);

    // Null: `why` is a sentence.
    static std::unique_ptr<Outside> make(const OutsideOptions&, std::string& why);
    ~Outside();

    // Each waits for its end, at most so long as said above.
    [[nodiscard]] net::DnsAnswer look_up(const std::string& name, net::DnsType);
    [[nodiscard]] std::vector<SocketAddress> addresses_of(const std::string& host);
    // As a server of `our` (empty: it does not say) that comes to one of `their`. Nothing is proved
    // to it.
    [[nodiscard]] Greeting visit(const SocketAddress&, const std::string& our,
                                 const std::string& their, bool direct_tls);

private:
    struct State;
    explicit Outside(std::unique_ptr<State>);
    std::unique_ptr<State> state_;
};

}  // namespace fedgate::admin
