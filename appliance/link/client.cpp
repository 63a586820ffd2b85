#include "appliance/link/client.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <tuple>
#include <utility>

#include "appliance/link/peer.hpp"
#include "core/base/limits.hpp"
#include "net/address.hpp"
#include "net/dialer.hpp"
#include "xml/jid.hpp"
#include "xml/stanza.hpp"

namespace fedgate::link {

namespace {

// An edge that is away is tried again after the first of these, then twice that, up to the last.
constexpr Duration kRedialFirst = 50ms;
constexpr Duration kRedialMax = 2s;
// From the connection to the end of the handshake.
constexpr Duration kHandshakeWithin = 3s;
// What goes to a partner moves to a better edge when all of it has left the other one. It is held
// back for that for the first of these times, and if that was too short not again for the second.
constexpr Duration kHeldToMove = 200ms;
constexpr Duration kMoveAgain = 2s;
// Edges that SRV records name are asked for anew at latest after this.
constexpr Duration kAskService = 60s;
// Whom a domain names that is new in the configuration may be known this much later; till then an
// edge that the configuration does not name any more keeps its link.
constexpr Duration kServiceAwaited = 30s;
// Whom an edge says later that he is there was on trial.
constexpr Duration kTakenBackAtOnce = 1s;
// Users who are of another site from now on: all that was sent before has so long to get away.
constexpr Duration kHeldForUsers = 500ms;

bool same_address(const SocketAddress& one, const SocketAddress& other) {
    return net::format_address(one) == net::format_address(other);
}

bool is_below(Bytes name, Bytes domain) {
    return name == domain || (name.size() > domain.size() && name.ends_with(domain) &&
                              name[name.size() - domain.size() - 1] == '.');
}

}  // namespace

// An edge that there should be a link to. By host and port it is one, in whatever ways it is named.
struct Client::Wanted {
    std::string host;
    std::uint16_t port;
    std::uint32_t rank;  // lower is first
    std::uint16_t weight;
    std::string pool;
    std::string domain;              // whose records name it; empty: it is configured
    std::vector<std::string> names;  // one of which its certificate has
};

// The link to one edge, and the way to it.
struct Client::Link final : ChannelOwner, net::DialerOwner, net::ConnectionOwner, TimerOwner {
    Link(Client& c, Wanted w)
        : client(c),
          host(std::move(w.host)),
          port(w.port),
          rank(w.rank),
          weight(w.weight),
          pool(std::move(w.pool)),
          domain(std::move(w.domain)),
          names(std::move(w.names)),
          dialer(c.shard_.loop(), c.resolver_, *this, &addresses),
          timer(*this),
          since(c.shard_.loop().now()),
          channel(c.shard_.loop(), *this,
                  {Role::kGateway, c.settings_.node, c.settings_.instance,
                   static_cast<std::uint16_t>(c.shard_.index())}) {}

    bool on_frame(Channel&, const Frame& frame) override { return client.on_frame(*this, frame); }
    void on_up(Channel&, bool resumed) override { client.on_up(*this, resumed); }
    void on_down(Channel&, Bytes reason) override { client.on_down(*this, reason); }
    void on_returned(Channel&, const Frame& frame, bool maybe_taken) override {
        client.on_returned(frame, maybe_taken);
    }
    void on_over(Channel&) override { client.on_over(*this); }
    void on_room(Channel&) override {
        owed.tell_again();
        client.tell_tenure(*this);
        topology.on_room();
        client.again_.give();
    }
    void on_drain(Channel&) override { client.note_who_is_there(); }

    void dial() {
        if (instance != Id{} &&
            is_twin([this](const Link& other) { return other.instance == instance; })) {
            return;
        }
        addresses.set({});  // when it is tried again is said here alone
        dialer.start(net::Lookup::fixed(host, port, net::Transport::kTcp, {.allow_literal = true}),
                     *this, kLinkConnection);
    }
    void dial_later() {
        if (client.finished_ || (!listed && !channel.session().resumable())) return;
        client.shard_.loop().timers().arm(timer, client.shard_.loop().now() + pause);
        pause = std::min(2 * pause, kRedialMax);
    }
    void on_dialed(net::Dialer&, std::unique_ptr<net::Connection> dialed,
                   const net::Target&) override {
        dialer.succeeded();
        connection = std::move(dialed);
        if (reaches_twin()) return;
        connection->start_tls_client(*client.tls_, host, kLinkAlpn);
        client.shard_.loop().timers().arm(timer, client.shard_.loop().now() + kHandshakeWithin);
    }
    void on_dial_failed(net::Dialer&, net::DialFault fault, Error last, Instant) override {
        tell_down(why_not_reached(fault, last));
        // Its process has died: nobody goes on with its sessions.
        if (last.code == Errc::kRefused) channel.give_up();
        dial_later();
    }
    void on_secured(net::Connection& secured) override {
        const Known known = identify(secured, names);
        if (known.name.empty()) {
            tell_refused("it " + known.fault);
            connection.reset();
            return dial_later();
        }
        if (reaches_twin()) return;
        timer.cancel();
        reached = secured.peer_address();
        channel.dialled(std::move(connection));
    }
    // Another link goes to the same process by another name, or still goes there: two would end
    // each other's sessions, by turns. This one is tried again later.
    template <typename Same>
    [[nodiscard]] bool is_twin(Same same) {
        for (const auto& other : client.links_) {
            const Channel& its = other->channel;
            if (other.get() == this || (its.connection() == nullptr && !its.session().resumable()))
                continue;
            if (!same(*other)) continue;
            tell_refused("it is " + other->host + ", which is linked already");
            dial_later();
            return true;
        }
        return false;
    }
    [[nodiscard]] bool reaches_twin() {
        const SocketAddress& address = connection->peer_address();
        if (!is_twin([&](const Link& other) { return same_address(other.reached, address); })) {
            return false;
        }
        connection.reset();
        return true;
    }
    std::size_t on_data(net::Connection&, MutableBytes) override { return 0; }
    void on_closed(net::Connection&, Error) override {
        tell_down("the connection broke");
        connection.reset();
        dial_later();
    }
    void on_timer(Timer&) override {
        if (connection == nullptr) return dial();
        tell_down("the handshake took too long");
        connection.reset();
        dial_later();
    }
    // Once as long as it is for the same reason: it is tried often.
    void tell_refused(const std::string& reason) {
        client.shard_.stats().add(Counter::kLinkRefused);
        told_down = true;
        if (std::exchange(why, reason) == reason) return;
        client.shard_.log().event(EventId::kLinkRefused, {{"peer", host}, {"reason", reason}});
    }
    // Once for each time that it is away: it is tried often.
    void tell_down(Bytes reason) {
        why = reason;
        if (std::exchange(told_down, true)) return;
        client.shard_.log().event(EventId::kLinkDown, {{"peer", host}, {"reason", reason}});
    }
    // Takes what is new, now or as soon as it is back.
    [[nodiscard]] bool there() const { return !leaving && (channel.open() || channel.returning()); }
    [[nodiscard]] const std::string& place() const { return pool.empty() ? host : pool; }
    [[nodiscard]] bool idle() const {
        return channel.session().state() == Session::State::kDown && !channel.returning() &&
               connection == nullptr && !dialer.busy();
    }

    Client& client;
    const std::string host;
    std::uint16_t port;
    std::uint32_t rank;  // lower is first
    std::uint16_t weight;
    std::string pool;
    bool leaving = false;  // it is to end
    Instant leaves_until{};
    std::string leaves_why;
    bool listed = true;              // else it serves out the connection that it has
    std::string domain;              // whose records name it; empty: it is configured
    std::vector<std::string> names;  // one of which its certificate has
    Trial trial;
    net::TargetPool addresses;
    net::Dialer dialer;
    std::unique_ptr<net::Connection> connection;  // until its peer has proved itself
    Timer timer;                                  // to dial, or for the handshake
    Duration pause = kRedialFirst;
    bool told_down = false;
    Instant since;  // up or down
    std::string why;
    SocketAddress reached{};
    Id instance{};                   // of the process that was there last
    bool lived = false;              // it was the same one before this session
    Instant began{};                 // that
    std::uint32_t serial = 0;        // of its session, in tickets_
    std::string own_name;            // by which the edge knows us
    std::set<std::string> gateways;  // that are there, as it says
    Tenure others = Tenure::kLost;   // the best of them at the store
    std::optional<Tenure> tenure_told;
    Channel channel;
    Owed<Channel> owed{channel};
    TopologyPeer topology{client.settings_.topology, channel, host};
};

// Edges that SRV records of a domain name. While nobody answers, those that are known stay.
struct Client::Service final : net::ResolverOwner, TimerOwner {
    Service(Client& c, const ClientSettings::Edge& e)
        : client(c),
          settings(e),
          awaited_until(c.shard_.loop().now() + kServiceAwaited),
          timer(*this) {}
    ~Service() { client.resolver_.cancel(query); }

    void ask() {
        query = client.resolver_.query("_fedgate-link._tcp." + settings.host, net::DnsType::kSrv,
                                       *this);
    }
    void on_resolved(net::QueryId, const net::DnsAnswer& answer) override {
        query = {};
        answered = answered || (answer.status != net::DnsStatus::kFailed &&
                                answer.status != net::DnsStatus::kBogus);
        client.take_service(*this, answer);
        client.shard_.loop().timers().arm(
            timer, client.shard_.loop().now() + std::min(answer.ttl, kAskService));
    }
    void on_timer(Timer&) override { ask(); }
    [[nodiscard]] bool awaited() const {
        return !answered && client.shard_.loop().now() < awaited_until;
    }

    Client& client;
    const ClientSettings::Edge settings;
    const Instant awaited_until;
    net::QueryId query;
    std::vector<Wanted> edges;
    bool answered = false;
    bool told = false;  // that it names none
    Timer timer;
};

Client::Client(Shard& shard, net::Resolver& resolver, net::TlsContext& tls, ClientSettings settings)
    : shard_(shard),
      resolver_(resolver),
      tls_(&tls),
      settings_(std::move(settings)),
      pairs_(1),
      edges_(shard.loop().now()),
      again_(shard.loop(), [this](const ToPartner& to) { return take(to); }),
      missed_(*this) {
    find_services();
    find_edges();
    routes_.push_back({"", "", "", shard_.loop().now()});
}

Client::~Client() = default;

void Client::start() {
    started_ = true;
    for (auto& link : links_) link->dial();
    for (auto& service : services_) service->ask();
}

// In the order of the configuration; one that is named in several ways is as its best one says.
std::vector<Client::Wanted> Client::wanted() const {
    std::vector<Wanted> all;
    const auto add = [&all](Wanted next) {
        const auto at = std::ranges::find_if(all, [&next](const Wanted& one) {
            return one.host == next.host && one.port == next.port;
        });
        if (at == all.end()) return all.push_back(std::move(next));
        std::vector<std::string> names = at->names;
        names.insert(names.end(), next.names.begin(), next.names.end());
        if (next.rank < at->rank) *at = std::move(next);
        at->names = std::move(names);
    };
    for (const ClientSettings::Edge& edge : settings_.edges) {
        if (edge.port == 0) continue;
        const std::uint32_t rank = std::uint32_t{edge.priority} << 16;
        add({edge.host, edge.port, rank, edge.weight, edge.pool, "", {edge.host}});
    }
    for (const auto& service : services_) {
        for (const Wanted& one : service->edges) add(one);
    }
    return all;
}

void Client::find_services() {
    for (const ClientSettings::Edge& edge : settings_.edges) {
        const auto same = [&edge](const auto& one) { return one->settings == edge; };
        if (edge.port != 0 || std::ranges::any_of(services_, same)) continue;
        services_.push_back(std::make_unique<Service>(*this, edge));
        if (started_) services_.back()->ask();
    }
}

// Links to those that are wanted. What is there already stays as it is.
void Client::find_edges() {
    if (finished_) return;
    std::vector<Wanted> wants = wanted();
    const auto same = [](const auto& one, const auto& other) {
        return one.host == other.host && one.port == other.port;
    };
    const auto link_to = [&](const Wanted& one) {
        return std::ranges::any_of(links_, [&](const auto& link) { return same(*link, one); });
    };
    const auto is_wanted = [&](const Link& link) {
        return std::ranges::any_of(wants, [&](const Wanted& one) { return same(one, link); });
    };
    // At another port from now on: it is the same edge, and the link that stands is as good.
    for (const Wanted& one : wants) {
        if (link_to(one)) continue;
        const auto at = std::ranges::find_if(links_, [&](const auto& link) {
            return link->host == one.host && !link->leaving && !is_wanted(*link);
        });
        if (at != links_.end()) (*at)->port = one.port;
    }
    for (auto& link : links_) {
        if (!link->leaving && !is_wanted(*link)) leave_out(*link);
    }
    for (Wanted& one : wants) {
        const auto at =
            std::ranges::find_if(links_, [&](const auto& link) { return same(*link, one); });
        if (at != links_.end()) {
            if (!(*at)->leaving) adjust(**at, one);  // else it comes anew when that has ended
        } else if (one.domain.empty() || links_.size() < limits::kLinkEdges) {
            links_.push_back(std::make_unique<Link>(*this, std::move(one)));
            if (started_) links_.back()->dial();
        }
    }
}

void Client::adjust(Link& link, const Wanted& wanted) {
    link.rank = wanted.rank;
    link.weight = wanted.weight;
    link.pool = wanted.pool;
    link.domain = wanted.domain;
    link.listed = true;
    if (link.names != wanted.names) {
        link.names = wanted.names;
        identify_again(link);
    }
    if (started_ && link.idle() && !link.timer.armed()) link.dial();
}

// What DNS does not name any more serves out the connection that it has; what the configuration
// does not name is let go, when it is known whom a new domain of it names, or DNS does not say.
void Client::leave_out(Link& link) {
    const auto names_it = [&](const auto& one) { return one->settings.host == link.domain; };
    if (!link.domain.empty() && std::ranges::any_of(services_, names_it)) {
        link.listed = false;
    } else if (std::ranges::none_of(services_, [](const auto& one) { return one->awaited(); })) {
        let_go(link, "it does not use this edge any more");
    }
}

void Client::set_edges(std::vector<ClientSettings::Edge> edges) {
    if (draining_ || edges == settings_.edges) return;
    settings_.edges = std::move(edges);
    std::erase_if(services_, [&](const auto& service) {
        return std::ranges::find(settings_.edges, service->settings) == settings_.edges.end();
    });
    find_services();
    find_edges();
    end_leaving();
    note_who_is_there();
}

void Client::let_go(Link& link, Bytes why) {
    if (std::exchange(link.leaving, true)) return;
    link.listed = false;
    link.leaves_why = why;
    link.leaves_until = shard_.loop().now() + kLetGoWithin;
    link.timer.cancel();
    link.channel.drain();
    shard_.loop().timers().arm(later_.timer, shard_.loop().now());
}

// Nothing is on its way by it, either way.
bool Client::is_done(Link& link) {
    const Session& session = link.channel.session();
    if (!session.resumable() || shard_.loop().now() >= link.leaves_until) return true;
    return link.channel.up() && session.quiet() && session.settled() && link.owed.empty() &&
           !tickets_.any_of(link.serial) && !asked_.any_of(link.serial) &&
           !askers_.any_of(link.serial);
}

void Client::end_leaving() {
    for (auto& link : links_) {
        if (!link->leaving || !is_done(*link)) continue;
        link->connection.reset();
        link->channel.end(EndCode::kDone, link->leaves_why);
    }
    forget_gone();
    find_edges();
    look_again();
}

// For links that leave, for those whose trial ends, and for domains that are not waited for any
// more.
void Client::look_again() {
    const Instant now = shard_.loop().now();
    Instant at = kNever;
    for (const auto& link : links_) {
        if (link->leaving) at = std::min(at, now + kLookAtLeaving);
        if (link->there() && !link->trial.passed(now)) at = std::min(at, link->trial.until());
    }
    for (const auto& service : services_) {
        if (service->awaited()) at = std::min(at, service->awaited_until);
    }
    if (at != kNever) shard_.loop().timers().arm(later_.timer, at);
}

void Client::on_later() {
    end_leaving();
    note_routes();
}

void Client::forget_gone() {
    const auto is_gone = [](const Link& link) {
        return link.leaving ? !link.channel.session().resumable() && link.channel.closed()
                            : !link.listed && link.idle();
    };
    std::erase_if(links_, [&](const auto& link) { return is_gone(*link); });
}

void Client::set_tls(net::TlsContext& tls) {
    tls_ = &tls;
    for (auto& link : links_) identify_again(*link);
}

void Client::identify_again(Link& link) {
    if (!link.channel.up()) return;
    const Known known = link.channel.identify_again(tls_->terms(), link.names);
    if (!known.name.empty()) return;
    link.tell_refused("it " + known.fault);
    link.channel.end(EndCode::kRefused, "it " + known.fault);
}

// Pairs keep the edge that they have until all that went there has a fate. Who is of another site
// from now on may be of another pair, too: for a moment that one waits for the one that he was of.
void Client::set_rules(const rules::Snapshot* rules) {
    const rules::Snapshot* const before = std::exchange(rules_, rules);
    const bool users = (before != nullptr && before->users_have_sites()) ||
                       (rules != nullptr && rules->users_have_sites());
    if (users && before != nullptr) users_move_until_ = shard_.loop().now() + kHeldForUsers;
    std::vector<Route> routes{{routes_.front()}};
    for (const rules::Site& site : rules != nullptr ? rules->sites() : std::vector<rules::Site>()) {
        if (site.route.empty()) continue;
        const auto at = std::ranges::find(routes_, site.name, &Route::site);
        routes.push_back(at != routes_.end() ? *at : Route{site.name, "", "", shard_.loop().now()});
        routes.back().pool = site.route;
    }
    routes_ = std::move(routes);
    note_routes();
}

void Client::note_routes() {
    for (Route& route : routes_) {
        const Link* const best = best_link(0, route.pool);
        const std::string now = best != nullptr ? best->place() : "";
        if (now == route.now) continue;
        const std::string before = std::exchange(route.now, now);
        route.since = shard_.loop().now();
        if (route.site.empty() || shard_.index() != 0) continue;
        shard_.log().event(EventId::kRouteMoved, {{"site", route.site},
                                                  {"first", route.pool},
                                                  {"before", before.empty() ? "none" : before},
                                                  {"now", now.empty() ? "none" : now}});
    }
}

// Whether it is there or not; of several, `now`.
std::string Client::first_by_priority(const std::string& now) const {
    const Link* first = nullptr;
    for (const auto& link : links_) {
        if (link->leaving || (first != nullptr && link->rank > first->rank)) continue;
        if (first == nullptr || link->rank < first->rank || link->place() == now) {
            first = link.get();
        }
    }
    return first != nullptr ? first->place() : std::string();
}

std::vector<RouteRow> Client::routes() const {
    std::vector<RouteRow> rows;
    for (const Route& route : routes_) {
        RouteRow& row = rows.emplace_back();
        row.site = route.site;
        row.first = route.pool;
        row.now = route.now;
        row.since = shard_.loop().now() - route.since;
        if (row.first.empty()) row.first = first_by_priority(route.now);
        const Instant now = shard_.loop().now();
        for (const auto& link : links_) {
            if (link->leaving || link->place() != row.first) continue;
            if (link->there() && link->trial.passed(now)) continue;
            row.missing.push_back(link->host + ": " +
                                  (link->there()        ? "on trial, since it came and went"
                                   : link->channel.up() ? "draining"
                                   : link->why.empty()  ? "not tried yet"
                                                        : link->why));
        }
    }
    return rows;
}

void Client::drain() {
    draining_ = true;
    for (auto& link : links_) link->channel.drain();
}

// Who may be trusted does not hang on what DNS says: a certificate has the domain's name, or the
// edge's, if that is below the domain or DNSSEC vouches for the record (RFC 6125 1.8, 6.2.1).
void Client::take_service(Service& service, const net::DnsAnswer& answer) {
    if (draining_) return;
    if (!answer.srv.empty()) service.edges.clear();
    for (const net::SrvRecord& record : answer.srv) {
        if (record.target.empty()) continue;
        std::vector<std::string> names{service.settings.host};
        if (answer.secure || is_below(record.target, service.settings.host)) {
            names.push_back(record.target);
        }
        service.edges.push_back({record.target, record.port,
                                 std::uint32_t{service.settings.priority} << 16 | record.priority,
                                 record.weight, service.settings.pool, service.settings.host,
                                 std::move(names)});
    }
    if (answer.srv.empty() && !std::exchange(service.told, true)) {
        shard_.log().event(EventId::kLinkDown,
                           {{"peer", service.settings.host}, {"reason", "names no edge"}});
    }
    service.told = answer.srv.empty();
    find_edges();
    forget_gone();
    note_who_is_there();
}

bool Client::quiet() const {
    return std::ranges::all_of(links_,
                               [](const auto& link) { return link->channel.session().quiet(); });
}

bool Client::settled() const {
    return tickets_.count() == 0 && asked_.count() == 0 && askers_.count() == 0 && again_.empty() &&
           std::ranges::all_of(links_, [](const auto& link) {
               return !link->channel.up() ||
                      (link->owed.empty() && link->channel.session().settled());
           });
}

void Client::finish() {
    finished_ = true;
    for (auto& link : links_) {
        link->timer.cancel();
        link->connection.reset();
        link->channel.end(EndCode::kDone, "it was stopped");
    }
}

bool Client::closed() const {
    return std::ranges::all_of(links_, [](const auto& link) { return link->channel.closed(); });
}

std::vector<LinkRow> Client::rows() const {
    const auto is_used = [this](const Link& link) {
        return std::ranges::any_of(routes_, [&](const Route& route) {
            const Link* const best = best_link(0, route.pool);
            return best != nullptr && best->pool == link.pool && best->rank == link.rank;
        });
    };
    std::vector<LinkRow> rows;
    for (const auto& link : links_) {
        const net::Connection* const connection = link->channel.connection();
        rows.push_back(
            {link->host + ':' + std::to_string(link->port), link->channel.session().peer().node,
             connection != nullptr ? net::format_address(connection->peer_address())
                                   : std::string(),
             static_cast<std::uint16_t>(shard_.index()), link->channel.up(),
             link->there() && link->channel.open() && is_used(*link),
             shard_.loop().now() - link->since, link->channel.up() ? std::string() : link->why});
    }
    return rows;
}

std::size_t Client::up_count() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(links_, [](const auto& link) { return link->channel.up(); }));
}

void Client::on_up(Link& link, bool resumed) {
    if (!resumed) {
        link.serial = ++last_serial_;
        link.trial.on_up(shard_.loop().now());
        link.gateways.clear();
        const Id before = std::exchange(link.instance, link.channel.session().peer().instance);
        link.lived = before == link.instance;
        link.began = shard_.loop().now();
        link.others = Tenure::kLost;
        link.tenure_told.reset();
        tell_tenure(link);
    }
    link.owed.tell_again();
    link.pause = kRedialFirst;
    link.told_down = false;
    link.why.clear();
    link.since = shard_.loop().now();
    shard_.stats().add(Counter::kLinkOpened);
    note_who_is_there();
    look_again();
    link.topology.on_up(resumed);
    shard_.log().event(EventId::kLinkUp, {{"peer", link.host}});
}

void Client::on_down(Link& link, Bytes why) {
    link.since = shard_.loop().now();
    link.tell_down(why);
    note_who_is_there();
    link.dial_later();
}

void Client::note_who_is_there() {
    const std::size_t up = up_count();
    shard_.stats().add(Counter::kLinkStanding, up - std::exchange(standing_, up));
    edges_.note(std::ranges::any_of(links_, [](const auto& link) { return link->there(); }),
                shard_.loop().now());
    note_others();
    if (edges_.none()) {
        shard_.loop().timers().arm(missed_, edges_.none_since() + kEdgeAwaited);
    }
    note_routes();
}

// What may wait for longer is none of those whose senders are told.
void Client::on_timer(Timer&) {
    if (!missed(kEdgeAwaited)) return;
    again_.take_out([](const ToPartner& to) { return !may_wait_long(to.ticket); },
                    [this](const ToPartner& to) { fail(to, Fault::kUnreachable); });
}

bool Client::on_frame(Link& link, const Frame& frame) {
    if (const auto* from = std::get_if<FromPartner>(&frame)) {
        if (!gateway_->take_stanza(*from)) return false;
        shard_.stats().add(Counter::kLinkStanzasFromPartners);
    }
    if (const auto* outcome = std::get_if<Outcome>(&frame)) take_outcome(link, *outcome);
    if (const auto* news = std::get_if<PartnerNews>(&frame)) take_news(link, *news);
    if (const auto* news = std::get_if<GatewayNews>(&frame)) take_gateway(link, *news);
    if (const auto* news = std::get_if<StoreNews>(&frame)) {
        link.others = news->tenure;
        note_others();
    }
    if (const auto* request = std::get_if<Request>(&frame)) return take_request(link, *request);
    if (const auto* answer = std::get_if<Answer>(&frame)) take_answer(link, *answer);
    link.topology.on_frame(frame);
    return true;
}

void Client::take_gateway(Link& link, const GatewayNews& news) {
    switch (news.kind) {
        case GatewayNews::Kind::kYou: link.own_name.assign(news.name); break;
        case GatewayNews::Kind::kThere:
            if (link.gateways.size() < limits::kLinkParts) link.gateways.emplace(news.name);
            if (news.name == link.own_name) on_taken_back(link);
            break;
        case GatewayNews::Kind::kGone: link.gateways.erase(std::string(news.name)); break;
    }
}

void Client::set_tenure(Tenure tenure) {
    tenure_ = tenure;
    for (const auto& link : links_) tell_tenure(*link);
}

void Client::tell_tenure(Link& link) const {
    const Session& session = link.channel.session();
    if (!session.resumable() || session.peer().minor < kStoreMinor) return;
    if (!link.owed.empty() || link.tenure_told == tenure_) return;
    link.tenure_told = tenure_;
    link.owed.tell(StoreNews{*tenure_});
}

// What an edge said that is not connected may be over.
void Client::note_others() {
    const bool hold = std::ranges::any_of(links_, [](const auto& link) {
        return link->channel.up() && link->others == Tenure::kHeld;
    });
    if (std::exchange(others_hold_, hold) != hold) gateway_->on_others_hold(hold);
}

// The edge gives us what is ours from now on, which others may have been given meanwhile.
void Client::on_taken_back(Link& link) {
    const bool was_on_trial = shard_.loop().now() - link.began > kTakenBackAtOnce;
    const bool was_apart = std::exchange(link.lived, false);
    if (settings_.gateways.size() != 1 && (was_apart || was_on_trial)) gateway_->on_edge_back();
}

bool Client::is_member(const std::string& gateway) const {
    return settings_.gateways.empty() ||
           std::ranges::find(settings_.gateways, gateway) != settings_.gateways.end();
}

bool Client::has_others() const {
    const auto has_some = [this](const auto& link) {
        return std::ranges::any_of(link->gateways, [&](const std::string& name) {
            return name != link->own_name && is_member(name);
        });
    };
    return asked_.count() > 0 || std::ranges::any_of(links_, has_some);
}

// As the edge that would be asked chooses; if that has no connection now, it is waited for.
bool Client::is_anothers(std::uint64_t conversation) const {
    if (askings_[mix(conversation) % kAskings].count > 0) return true;
    const Link* const link = best_link(conversation);
    if (link == nullptr) return false;
    const std::size_t slot = slot_of(conversation);
    const std::string* owner = nullptr;
    for (const std::string& name : link->gateways) {
        if (!is_member(name)) continue;
        if (owner == nullptr || score_of(name, slot) > score_of(*owner, slot)) owner = &name;
    }
    return owner != nullptr && is_member(link->own_name) && *owner != link->own_name;
}

bool Client::ask(const Request& request) {
    const auto number = static_cast<std::uint32_t>(mix(request.conversation) % kAskings);
    Asking& asking = askings_[number];
    if (asking.count == 0) asking.link = best_link(request.conversation);
    if (asking.link == nullptr || !asking.link->channel.open() || !fits(request)) return false;
    const std::uint64_t own = asked_.add(request.ticket, asking.link->serial, number);
    if (own == 0) return false;
    if (asking.link->channel.send(Request{own, request.conversation, request.bytes})) {
        ++asking.count;
        return true;
    }
    asked_.remove(own);
    return false;
}

void Client::take_answer(const Link& link, const Answer& answer) {
    const auto asked = asked_.take(
        answer.ticket, [&](const Tickets::Entry& one) { return one.link == link.serial; });
    if (!asked) return;
    --askings_[asked->about].count;
    gateway_->on_answer(answer.as(asked->theirs));
}

// It never waits for room: what is behind it may be what makes room for others.
bool Client::take_request(Link& link, const Request& request) {
    if (link.owed.size() >= limits::kLinkOutcomes) return false;  // who asks does not listen
    if (settings_.gateways.size() == 1) {                         // there is nobody who could ask
        link.owed.tell(refused(request.ticket));
        return true;
    }
    const std::uint64_t own = askers_.add(request.ticket, link.serial);
    if (own != 0 && gateway_->take_request({own, request.conversation, request.bytes})) return true;
    if (own != 0 && askers_.find(own) != nullptr) askers_.remove(own);
    link.owed.tell(busy(request.ticket));
    return true;
}

void Client::answer(const Answer& answer) {
    const auto asker = askers_.take(answer.ticket);
    if (!asker) return;  // who has asked, or his edge, is gone
    const auto at =
        std::ranges::find_if(links_, [&](const auto& link) { return link->serial == asker->link; });
    if (at != links_.end()) (*at)->owed.tell(answer.as(asker->theirs));
}

void Client::take_outcome(const Link& link, const Outcome& outcome) {
    Tickets::Entry* entry = tickets_.find(outcome.ticket);
    if (entry == nullptr || entry->link != link.serial) return;
    settle(*entry);
    Outcome told = outcome;
    told.ticket = entry->theirs;
    if (outcome.fate != Fate::kWritten || !outcome.acknowledges) tickets_.remove(outcome.ticket);
    gateway_->on_outcome(told);
}

// It has a fate: what follows may go another way.
void Client::settle(Tickets::Entry& entry) {
    Pair& pair = pairs_[std::exchange(entry.about, 0)];
    if (pair.open > 0) --pair.open;
}

// What becomes of a stream of an edge that carries nothing to him says nothing of the way to him.
void Client::take_news(Link& link, const PartnerNews& news) {
    using Kind = PartnerNews::Kind;
    Pair& pair = pairs_[pair_of(news.our_domain, news.their_domain)];
    if (news.kind == Kind::kUp) pair.stands = &link;
    if (news.kind == Kind::kBroke || news.kind == Kind::kDown) {
        if (pair.stands == &link) pair.stands = nullptr;
        if (!carries(link, news.our_domain, news.their_domain)) return;
    }
    gateway_->on_partner(news);
}

bool Client::carries(const Link& link, Bytes our, Bytes their) {
    const Pair& pair = pairs_[pair_of(our, their)];
    if (pair.link == nullptr || pair.link == &link) return true;
    if (rules_ == nullptr || !rules_->users_have_sites()) return false;
    return std::ranges::any_of(rules_->sites(), [&](const rules::Site& site) {
        key_.assign(our).append(1, ' ').append(their).append(1, ' ').append(site.name);
        const auto at = pair_numbers_.find(key_);
        return at != pair_numbers_.end() && pairs_[at->second].link == &link;
    });
}

// At the bound, those that nothing is on its way of are forgotten. 0: no room.
std::uint32_t Client::pair_of(Bytes our, Bytes their, Bytes site) {
    key_.assign(our).append(1, ' ').append(their);
    if (!site.empty()) key_.append(1, ' ').append(site);
    const auto at = pair_numbers_.find(key_);
    if (at != pair_numbers_.end()) return at->second;
    if (free_pairs_.empty() && pairs_.size() > limits::kLinkPairs) {
        std::erase_if(pair_numbers_, [this](const auto& entry) {
            if (pairs_[entry.second].open > 0) return false;
            pairs_[entry.second] = {};
            free_pairs_.push_back(entry.second);
            return true;
        });
        if (free_pairs_.empty()) return 0;
    }
    std::uint32_t number = static_cast<std::uint32_t>(pairs_.size());
    if (free_pairs_.empty()) {
        pairs_.emplace_back();
    } else {
        number = free_pairs_.back();
        free_pairs_.pop_back();
    }
    pair_numbers_.emplace(key_, number);
    return number;
}

Client::Link* Client::best_link(std::uint64_t what, Bytes pool) const {
    if (links_.size() == 1) return links_[0]->there() ? links_[0].get() : nullptr;
    const Instant now = shard_.loop().now();
    Link* best = nullptr;
    std::tuple<bool, bool, bool, std::uint32_t, double> best_score;  // the lowest one
    for (const auto& link : links_) {
        if (!link->there()) continue;
        const bool other = !pool.empty() && link->pool != pool;
        const std::tuple its{!link->trial.passed(now), !link->listed, other, link->rank,
                             -weighted_score(link->host, link->weight, what)};
        if (best != nullptr && its >= best_score) continue;
        best = link.get();
        best_score = its;
    }
    return best;
}

Client::Link* Client::link_for(Pair& pair, Link& best) {
    if (pair.link == nullptr || pair.link == &best) return &best;
    Link& old = *pair.link;
    if (old.channel.returning()) return nullptr;
    const Session& session = old.channel.session();
    if (pair.open == 0 && session.acknowledged(Lane::kStanzas) >= pair.sent) return &best;
    const Instant now = shard_.loop().now();
    if (now >= pair.move_at) {
        pair.hold_until = now + kHeldToMove;
        pair.move_at = pair.hold_until + kMoveAgain;
    }
    if (now < pair.hold_until) return nullptr;
    return old.channel.open() ? &old : &best;
}

// By which pool its sender goes first, and of which site he is, if that is not his domain's.
Client::Way Client::way_of(const ToPartner& to) const {
    if (rules_ == nullptr || !rules_->has_routes()) return {};
    const rules::SipDomain* const domain = rules_->sip_domain(to.our_domain);
    if (domain == nullptr) return {};
    const rules::Site* const common = rules_->site_of({}, *domain);
    const rules::Site* own = common;
    if (rules_->users_have_sites()) {
        const xml::StreamScope scope;
        const xml::Stanza stanza = xml::parse_stanza(to.stanza, scope);
        std::array<char, xml::kJidBytes> decoded;
        Sink text{MutableBytes(decoded)};
        const auto from = xml::split_jid(stanza.decoded(stanza.from, text));
        std::array<char, limits::kJidPartBytes> memory;
        Sink user{MutableBytes(memory)};
        if (from) xml::unescape_local(from->local, user);
        own = rules_->site_of(user.written(), *domain);
    }
    if (own == nullptr) return {};
    return {own->route, own != common ? Bytes(own->name) : Bytes()};
}

// Nothing of this pair of domains is on its way by another edge, whosever it is.
bool Client::all_went_by(const Link& best, const ToPartner& to) {
    const auto went = [&](Bytes site) {
        const Pair& pair = pairs_[pair_of(to.our_domain, to.their_domain, site)];
        if (pair.link == nullptr || pair.link == &best) return true;
        return pair.open == 0 &&
               pair.link->channel.session().acknowledged(Lane::kStanzas) >= pair.sent;
    };
    return went({}) && std::ranges::all_of(rules_->sites(), [&](const rules::Site& site) {
               return went(site.name);
           });
}

bool Client::take_stanza(const ToPartner& to) {
    if (!fits(to)) {
        fail(to, Fault::kTooLong);
        return true;
    }
    if (!missed(kEdgeAwaited)) return again_.empty() && take(to);
    owe(to);
    return true;
}

// What is owed waits for longer, and nothing that may not wait stands behind it.
void Client::owe(const ToPartner& to) {
    if (!may_wait_long(to.ticket) || !again_.push(to)) fail(to, Fault::kUnreachable);
}

bool Client::take(const ToPartner& to) {
    const Way way = way_of(to);
    Link* const best = best_link(fnv1a(to.their_domain, fnv1a(to.our_domain)), way.pool);
    if (best == nullptr) {
        if (!missed(kLateNewsKept)) return false;
        fail(to, Fault::kUnreachable);
        return true;
    }
    if (shard_.loop().now() < users_move_until_ && !all_went_by(*best, to)) return false;
    const std::uint32_t number = pair_of(to.our_domain, to.their_domain, way.site);
    Link* const link = number != 0 ? link_for(pairs_[number], *best) : best;
    return link != nullptr && link->channel.open() && send(to, *link, number);
}

bool Client::send(const ToPartner& to, Link& link, std::uint32_t number) {
    Ticket ticket = to.ticket;
    if (is_asked(ticket)) {
        ticket = tickets_.add(to.ticket, link.serial, number);
        if (ticket == 0) return false;
    }
    if (!link.channel.send(ToPartner{ticket, to.our_domain, to.their_domain, to.stanza})) {
        if (is_asked(ticket)) tickets_.remove(ticket);
        return false;
    }
    shard_.stats().add(Counter::kLinkStanzasToPartners);
    if (number == 0) return true;
    Pair& pair = pairs_[number];
    if (pair.link != &link) {
        pair.link = &link;
        pair.open = 0;
        pair.move_at = {};
    }
    pair.sent = link.channel.session().sent(Lane::kStanzas);
    if (is_asked(ticket)) ++pair.open;
    return true;
}

void Client::fail(const ToPartner& to, Fault fault) {
    if (is_asked(to.ticket)) return gateway_->on_outcome({to.ticket, Fate::kFailed, fault});
    if (to.ticket == kForNow) return;
    shard_.stats().add(Counter::kXmppAnswersLost);
    shard_.log().event(EventId::kAnswerLost,
                       {{"partner", to.their_domain}, {"domain", to.our_domain}});
}

void Client::on_returned(const Frame& frame, bool maybe_taken) {
    if (const auto* to = std::get_if<ToPartner>(&frame)) take_back(*to, maybe_taken);
}

// By the ticket: what its sender can be told of is in doubt; an answer is said again, and what must
// not be said twice is not (link.hpp).
void Client::take_back(const ToPartner& to, bool maybe_taken) {
    ToPartner again = to;
    if (is_asked(to.ticket)) {
        Tickets::Entry* entry = tickets_.find(to.ticket);
        if (entry == nullptr) return;
        settle(*entry);
        again.ticket = entry->theirs;
        tickets_.remove(to.ticket);
        if (maybe_taken) {
            return gateway_->on_outcome({again.ticket, Fate::kInDoubt, Fault::kUnreachable});
        }
    } else if (to.ticket != 0 && maybe_taken) {
        return;
    }
    if (missed(kEdgeAwaited)) return owe(again);
    if (!again_.push(again)) fail(again, Fault::kUnreachable);
}

// What the edge has taken and not told the fate of.
void Client::on_over(Link& link) {
    link.trial.on_over(shard_.loop().now());
    note_who_is_there();  // it was there as long as it might have gone on
    tickets_.remove_all_of(link.serial, [this](Ticket theirs) {
        gateway_->on_outcome({theirs, Fate::kInDoubt, Fault::kUnreachable});
    });
    askers_.remove_all_of(link.serial, [](Ticket) {});
    asked_.remove_if([&link](const Tickets::Entry& entry) { return entry.link == link.serial; },
                     [this](const Tickets::Entry& entry) {
                         --askings_[entry.about].count;
                         gateway_->on_answer({entry.theirs, Answer::Kind::kLost});
                     });
    link.owed.clear();
    link.gateways.clear();
    link.topology.on_over();
    tell_partners_of(link);
}

// The streams to partners that it had are gone, too.
void Client::tell_partners_of(Link& link) {
    std::set<std::string> told;
    for (const auto& [names, number] : pair_numbers_) {
        Pair& pair = pairs_[number];
        if (pair.link != &link && pair.stands != &link) continue;
        told.insert(names.substr(0, names.find(' ', names.find(' ') + 1)));
        if (pair.stands == &link) pair.stands = nullptr;
        if (pair.link != &link) continue;
        pair.link = nullptr;
        pair.open = 0;
    }
    const auto kind = edges_.none() ? PartnerNews::Kind::kDown : PartnerNews::Kind::kBroke;
    for (const Bytes names : told) {
        const std::size_t space = names.find(' ');
        gateway_->on_partner({kind, Fault::kUnreachable, names.substr(0, space),
                              names.substr(space + 1), "an edge has gone"});
    }
}

}  // namespace fedgate::link
