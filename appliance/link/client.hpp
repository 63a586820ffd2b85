// The gateway's end of the link: it connects to each edge and stays connected, since partners may
// come in through any. It is the edge as the gateway of this shard sees it. What goes to a partner
// goes by one edge as long as that is there: of those of the first priority that has any, the one
// that its pair of domains is given to by weight. Whatever an edge had when it went, its sender is
// told; and with which partners it talked, the gateway. The users of a site with a route go by the
// pool that it names, as long as one of that is there.
//
// Order of life: make, attach(), start(), turns, drain(), destroy before the gateway.
// Thread: the shard's; each shard has links of its own, so that fates need no way between shards.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "appliance/link/again.hpp"
#include "appliance/link/channel.hpp"
#include "appliance/link/choice.hpp"
#include "appliance/link/link.hpp"
#include "appliance/link/row.hpp"
#include "appliance/link/tickets.hpp"
#include "appliance/link/topology.hpp"
#include "core/rules/snapshot.hpp"
#include "core/run/shard.hpp"
#include "net/resolver.hpp"
#include "net/tls.hpp"

namespace fedgate::link {

// Without any edge for longer than this, senders are told so; till then they wait.
constexpr Duration kEdgeAwaited = std::chrono::seconds(5);
static_assert(kEdgeAwaited < kFateWithin);

struct ClientSettings {
    struct Edge {
        // What it is dialled by, and the name in its certificate: an A-label. Without a port it is
        // a domain whose `_fedgate-link._tcp` records name edges, with priorities behind this one.
        std::string host;
        std::uint16_t port = 0;
        std::uint16_t priority = 0;  // lower is first
        std::uint16_t weight = 1;    // among those of one priority
        std::string pool{};          // that it is of, for routes; empty: none

        bool operator==(const Edge&) const = default;
    };
    std::vector<Edge> edges;
    // Of the pool, as names in their certificates. An edge may name these and no others, and one
    // alone is asked for nothing. Empty: no pool is known, and whatever an edge says holds.
    std::vector<std::string> gateways;
    std::string node;              // our name, for people
    Id instance{};                 // of the process: the same on all shards
    Topology* topology = nullptr;  // on the first shard; must outlive the client
};

class Client final : public EdgeDoor, TimerOwner {
public:
    // The resolver and the TLS context (tls.internal.*) must outlive it.
    Client(Shard&, net::Resolver&, net::TlsContext&, ClientSettings);
    ~Client();
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    void attach(GatewayDoor& gateway) { gateway_ = &gateway; }
    void start();
    // For connections from now on. One whose other end is not to be trusted any more is ended.
    void set_tls(net::TlsContext&);
    // Other edges: those that are new are dialled; the link to one that is gone gets nothing new,
    // and ends when all that is on its way has come to an end, at latest after kLetGoWithin.
    void set_edges(std::vector<ClientSettings::Edge>);
    void set_gateways(std::vector<std::string> names) { settings_.gateways = std::move(names); }
    // Whose routes hold from now on; it must outlive that. Null: no routes.
    void set_rules(const rules::Snapshot*);
    // Asks the edges to send nothing new.
    void drain();
    // They know, and what they had sent has been taken.
    [[nodiscard]] bool quiet() const;
    // Nothing waits, and the fate of all that was given is known.
    [[nodiscard]] bool settled() const;
    // Ends the links in order, for good; closed() when the edges have been told.
    void finish();
    [[nodiscard]] bool closed() const;

    [[nodiscard]] bool take_stanza(const ToPartner&) override;
    [[nodiscard]] bool has_others() const override;
    [[nodiscard]] bool is_anothers(std::uint64_t conversation) const override;
    void set_tenure(Tenure) override;
    [[nodiscard]] bool ask(const Request&) override;
    void answer(const Answer&) override;

    // Links that are up.
    [[nodiscard]] std::size_t up_count() const;
    // One for each edge.
    [[nodiscard]] std::vector<LinkRow> rows() const;
    // One for each site with a route, and one for all others.
    [[nodiscard]] std::vector<RouteRow> routes() const;

private:
    struct Wanted;
    struct Link;
    struct Service;
    // A pair of domains, and the edge that carries what goes from one to the other.
    struct Pair {
        Link* link = nullptr;    // null: none yet
        Link* stands = nullptr;  // has told that a stream stands
        std::uint64_t sent = 0;  // on that link, in its session
        std::uint32_t open = 0;  // tickets there without any fate
        Instant hold_until{};    // that link has a chance to get it all away
        Instant move_at{};       // not before that it has another one
    };

    // Requests on their way to other gateways, of some conversations: what follows goes the same
    // way, so that nothing is overtaken where edges and owners change.
    struct Asking {
        Link* link = nullptr;
        std::uint32_t count = 0;
    };
    static constexpr std::size_t kAskings = 1'024;
    // What there is of edges to use, for users of one site.
    struct Route {
        std::string site;
        std::string pool;  // the first choice; empty: as the priorities say
        std::string now;   // the pool or edge that is used; empty: none
        Instant since{};
    };

    void on_timer(Timer&) override;
    [[nodiscard]] bool on_frame(Link&, const Frame&);
    void on_up(Link&, bool resumed);
    void on_down(Link&, Bytes why);
    void on_returned(const Frame&, bool maybe_taken);
    void on_over(Link&);

    [[nodiscard]] std::vector<Wanted> wanted() const;
    void find_services();
    void find_edges();
    void adjust(Link&, const Wanted&);
    void leave_out(Link&);
    void identify_again(Link&);
    void let_go(Link&, Bytes why);
    void end_leaving();
    void look_again();
    void on_later();
    [[nodiscard]] bool is_done(Link&);
    void forget_gone();
    void note_routes();
    [[nodiscard]] std::string first_by_priority(const std::string& now) const;
    struct Way {
        Bytes pool;  // that comes first
        Bytes site;
    };
    [[nodiscard]] Way way_of(const ToPartner&) const;
    [[nodiscard]] bool all_went_by(const Link&, const ToPartner&);
    [[nodiscard]] bool carries(const Link&, Bytes our, Bytes their);
    void take_service(Service&, const net::DnsAnswer&);
    void note_who_is_there();
    [[nodiscard]] bool missed(Duration time) const {
        return edges_.missed_for(time, shard_.loop().now());
    }
    // `site`: of a user who is not of his domain's.
    [[nodiscard]] std::uint32_t pair_of(Bytes our, Bytes their, Bytes site = {});
    // Null: none is there.
    [[nodiscard]] Link* best_link(std::uint64_t what, Bytes pool = {}) const;
    [[nodiscard]] bool take_request(Link&, const Request&);
    void take_answer(const Link&, const Answer&);
    void on_taken_back(Link&);
    void take_gateway(Link&, const GatewayNews&);
    void tell_tenure(Link&) const;
    void note_others();
    [[nodiscard]] bool is_member(const std::string& gateway) const;
    // Null: what there is on its way by another link comes first.
    [[nodiscard]] Link* link_for(Pair&, Link& best);
    [[nodiscard]] bool take(const ToPartner&);  // false: not now
    [[nodiscard]] bool send(const ToPartner&, Link&, std::uint32_t pair);
    void owe(const ToPartner&);
    void take_outcome(const Link&, const Outcome&);
    void take_news(Link&, const PartnerNews&);
    void settle(Tickets::Entry&);
    void fail(const ToPartner&, Fault);
    void take_back(const ToPartner&, bool maybe_taken);
    void tell_partners_of(Link&);

    Shard& shard_;
    net::Resolver& resolver_;
    net::TlsContext* tls_;
    ClientSettings settings_;
    const rules::Snapshot* rules_ = nullptr;
    std::vector<Route> routes_;  // the first one: of all without
    GatewayDoor* gateway_ = nullptr;
    std::vector<std::unique_ptr<Link>> links_;
    std::vector<std::unique_ptr<Service>> services_;
    std::unordered_map<std::string, std::uint32_t>
        pair_numbers_;         // by "our their", or "our their site"
    std::vector<Pair> pairs_;  // the first one is of those that there is no room for
    std::vector<std::uint32_t> free_pairs_;
    std::string key_;  // scratch for look-ups
    Tickets tickets_;
    Tickets asked_;  // of other gateways; `about` the number of its Asking
    std::array<Asking, kAskings> askings_{};
    Tickets askers_;  // other gateways' requests, with their edges' tickets
    std::uint32_t last_serial_ = 0;
    Attendance edges_;
    Again<ToPartner> again_;
    Timer missed_;
    struct Later final : TimerOwner {
        explicit Later(Client& c) : client(c), timer(*this) {}
        void on_timer(Timer&) override { client.on_later(); }
        Client& client;
        Timer timer;
    } later_{*this};
    std::size_t standing_ = 0;  // as counted
    std::optional<Tenure> tenure_;
    bool others_hold_ = false;    // as the gateway was told
    Instant users_move_until_{};  // some are of other sites now
    bool started_ = false;
    bool draining_ = false;
    bool finished_ = false;
};

}  // namespace fedgate::link
