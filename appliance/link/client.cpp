// Which edges there are, the link to each, and who is there.
#include "appliance/link/client.hpp"

#include <algorithm>
#include <utility>

#include "appliance/link/client_link.hpp"
#include "core/base/limits.hpp"
#include "net/address.hpp"

namespace fedgate::link {

namespace {

// Whom an edge says later that he is there was on trial.
constexpr Duration kTakenBackAtOnce = 1s;
// Users who are of another site from now on: all that was sent before has so long to get away.
constexpr Duration kHeldForUsers = 500ms;

bool is_below(Bytes name, Bytes domain) {
    return name == domain || (name.size() > domain.size() && name.ends_with(domain) &&
                              name[name.size() - domain.size() - 1] == '.');
}

}  // namespace

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

}  // namespace fedgate::link
