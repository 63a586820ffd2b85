// Who sends us SIP, and how much of this shard each may take: so one that floods us has its 503 or
// silence, and its neighbours have all the rest. A source is an address, also for TLS: the nodes of
// a pool share a certificate, and one of them may run wild without the others. Those without trust
// have no record each, only a share in what all of them may take. Each shard counts for itself:
// what is guarded is a core's time and memory, and the kernel keeps one sender's datagrams on one
// shard. Owner: sip_transport. Thread: the shard's. No memory is taken after the start but for new
// sources.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "appliance/gateway/key.hpp"
#include "core/base/slab.hpp"
#include "core/base/token_bucket.hpp"
#include "core/rules/snapshot.hpp"
#include "core/run/socket_address.hpp"

namespace fedgate::gateway {

struct ServerTransaction;

constexpr std::size_t kSipSources = 4'096;  // of one shard; those beyond share one record
// Of one source, on each shard. Connections more are closed; requests more are answered 503.
constexpr std::size_t kSipConnectionsPerSource = 448;  // half of the places
constexpr std::size_t kSipUnansweredPerSource = 4'096;
constexpr std::size_t kSipAnsweredPerSource = 8'192;  // then its own oldest one is forgotten
constexpr std::uint16_t kSipBusySeconds = 5;          // Retry-After of their 503
constexpr std::size_t kSipTransactionBytesPerSource = 8 << 20;  // what they keep
// Over UDP a sender's address proves nothing: to each address we give only so many refusals that
// nobody has to pay for, and to all strangers together. Beyond that: silence.
constexpr double kSipRefusalsPerSecond = 20;
constexpr double kSipStrangerRefusalsPerSecond = 500;
constexpr double kSipStrangerHandshakesPerSecond = 20;  // TLS, of one address without trust
constexpr std::size_t kSipConnectionsPerStranger = 32;  // of kSipUntrustedConnections
constexpr std::size_t kSipStrangers = 1'024;  // places; strangers that meet in one share it

// What one trusted address has of this shard.
struct SipSource {
    TokenBucket datagrams;
    TokenBucket refusals;
    std::size_t connections = 0;
    std::size_t unanswered = 0;
    std::size_t answered = 0;
    std::size_t bytes = 0;  // of both
    ServerTransaction* oldest_answered = nullptr;
    ServerTransaction* newest_answered = nullptr;
    Key key;

    [[nodiscard]] bool is_idle() const {
        return connections == 0 && unanswered == 0 && answered == 0;
    }
};

class SipSources {
public:
    SipSources(KeyMaker, rules::Rate datagrams, Instant now);

    void set_rate(rules::Rate datagrams, Instant now);
    // Of a trusted address.
    [[nodiscard]] SipSource& find(const SocketAddress&, Instant now);
    // May this stranger be answered once more?
    [[nodiscard]] bool may_refuse(const SocketAddress&, Instant now);
    // May it connect, be it only to hear that it may not?
    [[nodiscard]] bool may_connect(const SocketAddress&) const;
    void count_connection(const SocketAddress&, bool begins);
    // May it try to prove itself by a certificate?
    [[nodiscard]] bool may_shake_hands(const SocketAddress&, Instant now);

private:
    struct Stranger {
        TokenBucket refusals;
        TokenBucket handshakes;
        std::size_t connections = 0;
    };
    [[nodiscard]] Key key_of(const SocketAddress&) const;
    [[nodiscard]] std::size_t place_of(const SocketAddress&) const;
    [[nodiscard]] Stranger& stranger(const SocketAddress& address) {
        return strangers_[place_of(address)];
    }
    void fill(SipSource&, Instant now) const;
    void free_an_idle_one();

    KeyMaker keys_;
    rules::Rate rate_;
    Slab<SipSource> sources_;
    sip::KeyIndex<Handle<SipSource>> index_;
    SipSource others_;
    std::uint32_t hand_ = 0;  // where the search for an idle one goes on
    std::vector<Stranger> strangers_;
    TokenBucket all_strangers_;
};

}  // namespace fedgate::gateway
