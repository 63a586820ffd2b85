// Who may open a connection to us at all: S2S-62, S2S-63, and the limits of features.md X7. One for
// all shards, or a limit would not hold for all of them together: a mutex guards it. So it is asked
// when a connection comes, proves itself or goes, and never on the message path. Owner: the
// program; it outlives the edges. Thread: any shard's.
#pragma once

#include <atomic>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/base/limits.hpp"
#include "core/base/token_bucket.hpp"
#include "core/rules/snapshot.hpp"
#include "net/address.hpp"

namespace fedgate::edge {

// A full pair of domains (S2S-62), or partner, has room for a new stream when one of its streams
// was silent for so long: it is dead, as a rule, and nobody has noticed yet. Longer than the pause
// between the signs of life of a server that gives any (a minute): those that live drive each other
// out never.
constexpr Duration kGivesWayAfter = std::chrono::seconds(90);

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
    struct StreamName {
        std::uint32_t shard = 0;
        std::uint64_t number = 0;  // of the shard's own
    };
    struct Pair;
    // Of a stream among those of its pair. It is the guard's, until leave().
    struct Place {
        Place(const StreamName& s, std::pair<const std::string, Pair>& p, Instant now)
            : stream(s), pair(p), heard_at(now) {}
        const StreamName stream;
        std::pair<const std::string, Pair>& pair;
        std::atomic<Instant> heard_at;  // the stream's shard writes it, whoever comes reads it
        std::list<Place>::iterator self;
        bool given_way = false;
    };
    using Places = std::vector<Place*>;
    struct Admission {
        Refusal refusal = Refusal::kNone;
        Place* place = nullptr;               // kNone
        std::optional<StreamName> gives_way;  // it has lost its place to this one, and is to end
    };
    // It proved a domain of this partner. kNone: it counts among the partner's from now on.
    [[nodiscard]] Admission authenticate(const rules::Settings::Xmpp&, const rules::Partner&,
                                         const StreamName&, const SocketAddress& peer,
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
    // It is gone. The place is that of authenticate(), null if that never succeeded.
    void leave(std::uint32_t shard, const SocketAddress& peer, const Place*);

    [[nodiscard]] std::uint32_t connections() const;
    // The key of the limit.
    [[nodiscard]] static const char* name_of(Refusal);
    // What the peer is told.
    [[nodiscard]] static const char* text_of(Refusal);

    struct Pair {  // only the guard looks inside
        Places places;
        std::string partner;  // that it counts for; the rules may have changed since
    };

private:
    struct Address {
        std::uint32_t unauthenticated = 0;
        std::uint32_t connections = 0;
        std::uint32_t asked = 0;  // in progress
        TokenBucket rate;
        TokenBucket questions;
        Instant last{};
    };
    struct Partner {
        Places places;
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
    [[nodiscard]] static Place* longest_silent(const Places&, Instant now);
    void uncount(const Place&);

    mutable std::mutex mutex_;
    std::uint32_t connections_ = 0;
    std::uint32_t unauthenticated_ = 0;
    std::vector<std::uint32_t> unauthenticated_of_;  // each shard
    Instant forget_at_{};
    std::unordered_map<net::IpKey, Address, KeyHash> addresses_;
    std::unordered_map<std::string, Pair> pairs_;        // "our their"
    std::list<Place> places_;                            // those too that have given way
    std::unordered_map<std::string, Partner> partners_;  // its domain; of one not listed: their
    std::unordered_map<std::string, Claimed> claimed_;   // their
};

}  // namespace fedgate::edge
