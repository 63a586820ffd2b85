// Who may open a connection to us at all: S2S-62, S2S-63, and the limits of features.md X7. One for
// all shards, or a limit would not hold for all of them together: a mutex guards it. So it is asked
// when a connection comes, proves itself or goes, and never on the message path. Owner: the
// program; it outlives the edges. Thread: any shard's.
#pragma once

#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/base/limits.hpp"
#include "core/base/token_bucket.hpp"
#include "core/rules/snapshot.hpp"
#include "net/address.hpp"

namespace fedgate::edge {

class DoorGuard {
public:
    explicit DoorGuard(std::uint32_t shards) : unauthenticated_of_(shards) {}

    enum class Refusal : std::uint8_t {
        kNone,
        kRate,
        kUnauthenticated,
        kAllUnauthenticated,
        kTotal,
        kTable,
        kPair,
        kPartner,
        kPartnerRate,
        kQuestionsOfAddress,
        kQuestions
    };

    // A connection came in to this shard. kNone: it counts from now on; leave() must follow.
    // kAllUnauthenticated: this shard has one at least, and when that leave()s, it may enter.
    Refusal enter(const rules::Settings::Xmpp&, std::uint32_t shard, const SocketAddress& peer,
                  Instant now);
    // It proved a domain of this partner. kNone: it counts among the partner's from now on.
    [[nodiscard]] Refusal authenticate(const rules::Settings::Xmpp&, const rules::Partner&,
                                       std::uint32_t shard, const SocketAddress& peer,
                                       const std::string& our, const std::string& their,
                                       Instant now);
    // It wants a dialback question asked of `their`, which makes us connect: as many as it may
    // connect itself, and as many as that domain may be asked for all who claim to be it. kNone:
    // it is in progress until answered().
    [[nodiscard]] Refusal ask(const rules::Settings::Xmpp&, const SocketAddress& peer,
                              const std::string& their, Instant now);
    void answered(const net::IpKey& peer);
    // It wants TLSA records looked for.
    [[nodiscard]] bool may_ask(const SocketAddress& peer, Instant now);
    // The rules have changed: their rates hold for everybody at once.
    void set_rates(const rules::Snapshot&, Instant now);
    // It is gone. The names are those given to authenticate(), empty if that never succeeded.
    void leave(std::uint32_t shard, const SocketAddress& peer, const std::string& our,
               const std::string& their);

    [[nodiscard]] std::uint32_t connections() const;
    // The key of the limit.
    [[nodiscard]] static const char* name_of(Refusal);
    // What the peer is told.
    [[nodiscard]] static const char* text_of(Refusal);

private:
    struct Address {
        std::uint32_t unauthenticated = 0;
        std::uint32_t connections = 0;
        std::uint32_t asked = 0;  // in progress
        TokenBucket rate;
        TokenBucket questions;
        Instant last{};
    };
    struct Pair {
        std::uint32_t connections = 0;
        std::string partner;  // that it counts for; the rules may have changed since
    };
    struct Partner {
        std::uint32_t connections = 0;
        TokenBucket rate;
        Instant last{};
    };
    struct Claimed {  // a domain that somebody said to be
        TokenBucket questions;
        Instant last{};
    };
    struct KeyHash {
        std::size_t operator()(const net::IpKey&) const;
    };

    void forget_quiet(Instant now);
    void no_longer_unauthenticated(std::uint32_t shard, Address*);

    mutable std::mutex mutex_;
    std::uint32_t connections_ = 0;
    std::uint32_t unauthenticated_ = 0;
    std::vector<std::uint32_t> unauthenticated_of_;  // each shard
    Instant forget_at_{};
    std::unordered_map<net::IpKey, Address, KeyHash> addresses_;
    std::unordered_map<std::string, Pair> pairs_;        // "our their"
    std::unordered_map<std::string, Partner> partners_;  // its domain; of one not listed: their
    std::unordered_map<std::string, Claimed> claimed_;   // their
};

}  // namespace fedgate::edge
