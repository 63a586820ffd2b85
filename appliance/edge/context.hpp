// What every stream of one shard's edge stands on. Owner: the Edge. Thread: the shard's.
#pragma once

#include <string>
#include <type_traits>
#include <vector>

#include "appliance/edge/certificates.hpp"
#include "appliance/edge/failures.hpp"
#include "appliance/edge/mass_loss.hpp"
#include "appliance/edge/seen_certificates.hpp"
#include "appliance/link/link.hpp"
#include "core/rules/snapshot.hpp"
#include "core/run/shard.hpp"
#include "net/connection.hpp"
#include "net/resolver.hpp"
#include "net/tls.hpp"
#include "xml/stream.hpp"

namespace fedgate::edge {

// `id` of our pings: this and a number.
constexpr Bytes kPingId = "fedgate-ping-";

// Room in the input buffer of a connection besides one stanza of the largest size.
constexpr std::size_t kInputSlackBytes = 16'384;
constexpr Duration kWriteTimeout = 30s;  // S2S-66: unsent bytes without progress
constexpr Duration kUnreadRetry = 50ms;  // how soon to look again whether our answers have gone
constexpr Duration kMailboxRetry = 1ms;  // and again when another shard's mailbox was full

// A record between shards, as the bytes that it is; views into it.
template <typename Record>
[[nodiscard]] Bytes bytes_of(const Record& record) {
    static_assert(std::is_trivially_copyable_v<Record>);
    return {reinterpret_cast<const char*>(&record), sizeof record};
}

struct Context {
    Context(Shard& on, net::Resolver& names, link::GatewayDoor& door)
        : shard(on),
          loop(on.loop()),
          stats(on.stats()),
          log(on.log()),
          resolver(names),
          gateway(door),
          mass_loss(on.count()) {}

    Shard& shard;
    Loop& loop;
    Stats& stats;
    Log& log;
    net::Resolver& resolver;
    link::GatewayDoor& gateway;
    const rules::Snapshot* rules = nullptr;      // swapped whole at a reload
    const Certificates* certificates = nullptr;  // swapped whole
    xml::StreamSettings settings;
    Failures failures;
    SeenCertificates seen;
    MassLoss mass_loss;
    std::size_t errors_waiting_bytes = 0;  // in the queues of this shard

    // features.md A5, as the stream engine wants it. `their` empty: the peer has not said who it
    // is, so the answer is what some partner may do.
    [[nodiscard]] xml::StreamPolicy stream_policy(Bytes our, Bytes their) const;
    [[nodiscard]] xml::Served serves(Bytes our) const;
    [[nodiscard]] net::TlsContext& tls() const { return *certificates->external; }
    // CERT-1: by which the certificate of this domain is judged; `their` empty: not known yet.
    [[nodiscard]] net::PeerTerms terms(Bytes their) const {
        return certificates->terms(their.empty() ? nullptr : rules->partner(their),
                                   rules->settings.revocation);
    }
    // CERT-8: do TLSA records say which certificate is this partner's? Without an anchor DNSSEC
    // vouches for nothing.
    [[nodiscard]] bool asks_dane(Bytes their) const;
    // N15: the least that may be agreed on with the server of this domain.
    [[nodiscard]] net::TlsFloor tls_floor(Bytes their) const;
    // The partner's last failure from now on. `peer`: its address, or empty.
    void note_failure(FailureKind, bool inbound, Bytes their, std::string peer, std::string text);
    // What went wrong with a partner, or somebody who says he is one: an event, and the partner's
    // last failure from now on. `connection` null: none stood.
    void tell(EventId, FailureKind, bool inbound, Bytes their, const net::Connection* connection,
              std::string text);
    // C8: a stream with them stands.
    void note_certificate(Bytes their, const net::Connection&, bool direct_tls);
    // S2S-17: how long a stream of ours may be silent before a space. In time for what the partner
    // bears (XEP-0478).
    [[nodiscard]] Duration space_pause(const xml::StreamLimits& theirs) const;
    // Nobody else learns of it.
    void tell_answer_lost(Bytes our, Bytes their);
    // What settings follow from the rules.
    void apply_rules();

    std::vector<std::string> ours;  // the domains of ours under these rules
    std::vector<std::string> gone;  // S2S-4: under earlier ones; the oldest first
};

}  // namespace fedgate::edge
