// The gateway on one shard: XMPP stanzas from partners become SIP requests, and the other way
// round. It wires net, xml and sip; the mapping rules are in address, errors, message and iq.
// Owner: the program, one for each shard. Thread: the shard's. Nothing here blocks.
//
// Order of life: make one for each shard, attach() the edge of the same shard, start(), turns of
// the loop, drain(), turns until drained(), destroy before the shard, the resolver and the TLS
// context.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "appliance/gateway/seen_users.hpp"
#include "appliance/gateway/subscription_quota.hpp"
#include "appliance/gateway/trial.hpp"
#include "appliance/link/link.hpp"
#include "appliance/store/store.hpp"
#include "core/base/error.hpp"
#include "core/rules/snapshot.hpp"
#include "core/run/shard.hpp"
#include "net/resolver.hpp"
#include "net/tls.hpp"
#include "sip/transaction.hpp"
#include "sip/transaction_key.hpp"

namespace fedgate::gateway {

struct GatewayOptions {
    std::string host;       // what Via says where sip.listen has no address of its own: FQDN or IP
    sip::KeySecret secret;  // random; the same on all shards of the process
    sip::TransactionTiming timing{};
    SubscriptionQuota* subscriptions = nullptr;  // the process's; null: the gateway has its own
};

// For `fedctl ports`.
struct PortRow {
    bool listening = false;  // else established or being set up
    std::string transport;   // udp, tcp, tls
    std::string local;       // address:port
    std::string peer;        // empty for a listener
    std::string purpose;     // "listener", "from SIP peer", "next hop of sip.example"
    std::string
        verdict;  // "trusted by address", "trusted by certificate", "refused", "connecting", ...
};

// For `fedctl status`.
struct TargetRow {
    std::string domain;  // whose next hop it is
    std::string target;  // host:port
    std::string transport;
    std::string address;  // resolved, or empty
    bool up = false;
    bool suspect = false;          // up, but silent
    bool mute = false;             // to OPTIONS only, and has always been: that says nothing
    Duration since{};              // it was found up or down, ago
    const char* why = "";          // down, or suspect; lives for ever
    Duration held{};               // Retry-After: not asked for so long
    std::uint32_t pending = 0;     // requests without a final response
    std::uint64_t answered = 0;    // requests
    std::uint64_t unanswered = 0;  // that went elsewhere, or ended
};

struct GatewayStatus {
    std::size_t conversations = 0;
    std::size_t client_transactions = 0;
    std::size_t server_transactions = 0;
    std::size_t held_bytes = 0;  // requests in flight or queued, stored responses
    std::size_t reserved_bytes = 0;
    std::size_t watches = 0;   // XMPP user -> SIP contact
    std::size_t watchers = 0;  // SIP user -> XMPP contact
    bool draining = false;
};

// The shard that owns a pair, and all that is known of it. Bare JIDs, enforced.
[[nodiscard]] std::uint32_t owner_shard(const sip::KeySecret&, Bytes xmpp_jid, Bytes sip_jid,
                                        std::uint32_t shards);

class Tracer;

class Gateway final : public link::GatewayDoor {
public:
    // `sip_tls`: null without tls.sip.*: no TLS listener or next hop is served. All references must
    // outlive the gateway; the snapshot until reload().
    Gateway(Shard&, const rules::Snapshot&, net::Resolver&, net::TlsContext* sip_tls,
            const GatewayOptions&);
    ~Gateway();
    Gateway(const Gateway&) = delete;
    Gateway& operator=(const Gateway&) = delete;

    // Where stanzas for partners go. Before start().
    void attach(link::EdgeDoor&);
    // Where subscriptions are kept, which then come back by on_restored() of store_user(). Before
    // start(); without it nothing outlives the process.
    void attach_store(store::Door&);
    [[nodiscard]] store::User& store_user();
    // Opens the listeners of sip.listen. What can't be opened is logged; the first such error is
    // returned.
    Result<void> start();
    // Acts at once, but for sip.listen.
    void reload(const rules::Snapshot&);
    void set_tls(net::TlsContext* sip_tls);
    // Refuses what is new (stanzas: resource-constraint; SIP: 503 with Retry-After), ends what is
    // pending.
    void drain();
    [[nodiscard]] bool drained() const;
    // The time to drain is over: whoever still waits for a SIP server is told so, before the edge
    // goes.
    void give_up();

    // link::GatewayDoor. Outcomes reach the shard that is in their ticket.
    [[nodiscard]] bool take_stanza(const link::FromPartner&) override;
    void on_outcome(const link::Outcome&) override;
    void on_partner(const link::PartnerNews&) override;
    void on_edge_back() override;
    void on_others_hold(bool) override;
    [[nodiscard]] bool take_request(const link::Request&) override;
    void on_answer(const link::Answer&) override;

    [[nodiscard]] std::vector<PortRow> ports() const;
    [[nodiscard]] std::vector<TargetRow> targets() const;
    [[nodiscard]] GatewayStatus status() const;
    [[nodiscard]] std::vector<SeenUser> seen_users() const;
    [[nodiscard]] Tracer& tracer();
    // Ends soon after, well or not; trial() says how, until kTrials more have begun.
    [[nodiscard]] TrialStart begin_trial(const TrialOrder&);
    [[nodiscard]] TrialRow trial(std::uint64_t id) const;

    class Engine;  // its inside: engine.hpp

private:
    std::unique_ptr<Engine> engine_;
};

}  // namespace fedgate::gateway
