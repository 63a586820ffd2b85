// The network as one sees it from this machine: names, and what an XMPP server says to whoever
// comes. For fedctl, on a loop of its own: no core of the daemon has to do with it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/peer_identity.hpp"
#include "net/resolver.hpp"
#include "net/tls.hpp"

namespace fedgate::admin {

// How far a visit came.
struct Greeting {
    bool connected = false;       // TCP
    bool answered = false;        // with a stream, for the domain that was asked for
    bool starttls = false;        // it offers TLS
    bool insists = false;         // on TLS
    bool clear_dialback = false;  // server dialback without TLS is offered
    bool secured = false;
    bool external = false;  // after that: SASL EXTERNAL is offered
    bool dialback = false;  // server dialback is
    bool cut = false;       // the time for all was over before it came to an end
    std::string why;        // it came no further: the rest of a sentence that begins with a name
    std::string tls;        // `TLSv1.3 TLS_AES_128_GCM_SHA256`
    PeerIdentity peer;      // judged by the roots that were given
};

struct OutsideOptions {
    net::ResolverOptions resolver;
    // Instead of one that asks the network. Null from it: it can't.
    std::function<std::unique_ptr<net::Resolver>(Loop&)> make_resolver;
    net::TlsCredential own;  // shown to servers; empty: one made for the purpose
    net::PemSource ca;       // the roots that servers are judged by
};

class Outside {
public:
    static constexpr Duration kLookUp = std::chrono::seconds(5);
    static constexpr Duration kVisit = std::chrono::seconds(8);

    // Null: `why` is a sentence.
    static std::unique_ptr<Outside> make(const OutsideOptions&, std::string& why);
    ~Outside();

    // Nothing waits longer than until then: from there on nothing is found.
    void set_end(std::chrono::steady_clock::time_point end);
    [[nodiscard]] bool over() const;

    // Each waits for its end, at most so long as said above.
    [[nodiscard]] net::DnsAnswer look_up(const std::string& name, net::DnsType);
    [[nodiscard]] std::vector<SocketAddress> addresses_of(const std::string& host);
    // As a server of `our` (empty: it does not say) that comes to one of `their`. Nothing is proved
    // to it.
    [[nodiscard]] Greeting visit(const SocketAddress&, const std::string& our,
                                 const std::string& their, bool direct_tls);
    // Who is there, under that name; nothing is said.
    [[nodiscard]] Greeting knock(const SocketAddress&, const std::string& name, bool tls);

private:
    struct State;
    [[nodiscard]] Greeting go(const SocketAddress&, const std::string& our,
                              const std::string& their, bool direct_tls, bool silent);
    explicit Outside(std::unique_ptr<State>);
    std::unique_ptr<State> state_;
};

}  // namespace fedgate::admin
