// What an administrator asks of the process, gathered from its shards.
#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "appliance/gateway/tracer.hpp"
#include "appliance/main/node.hpp"
#include "appliance/main/placement.hpp"
#include "net/address.hpp"

namespace fedgate {

namespace {

// An edge that a gateway dials is named with its port.
bool is_dialled(const admin::Link& link) { return link.peer.find(':') != std::string::npos; }

std::vector<edge::StreamRow> edge_rows(Worker& worker) {
    return worker.edge() ? worker.edge()->rows() : std::vector<edge::StreamRow>();
}

}  // namespace

template <typename Row, typename Collect>
std::optional<std::vector<Row>> Node::gather_all(Collect collect) {
    // Counted: a shard that answers too late still has somewhere to write.
    auto rows = std::make_shared<std::vector<std::vector<Row>>>(workers_.size());
    if (!on_every_shard(
            [rows, collect](std::uint32_t i, Worker& worker) { (*rows)[i] = collect(worker); })) {
        return std::nullopt;
    }
    std::vector<Row> all;
    for (auto& some : *rows) {
        std::move(some.begin(), some.end(), std::back_inserter(all));
    }
    return all;
}

std::string Node::remark_of_unbound() {
    std::vector<std::uint32_t> unbound;
    int why = 0;
    for (std::uint32_t i = 0; i < cores(); ++i) {
        const int refused = workers_[i]->cpus_refused();
        if (refused == 0) continue;
        unbound.push_back(i);
        why = refused;
    }
    return remark_of_refusal(unbound, why);
}

admin::Status Node::status() {
    admin::Status status;
    status.threads = cores();
    status.streams_in = group_->sum(Counter::kXmppInEstablished);
    status.streams_out = group_->sum(Counter::kXmppOutEstablished);
    status.sip_connections =
        group_->sum(Counter::kSipInConnections) + group_->sum(Counter::kSipOutConnections);
    status.msrp_connections =
        group_->sum(Counter::kMsrpInConnections) + group_->sum(Counter::kMsrpOutConnections);
    if (!rules_->settings.federation_allow) {
        status.remarks.emplace_back("federation.allow is off: nothing passes");
    }
    std::ranges::move(certificates_.remarks(wall_now()), std::back_inserter(status.remarks));
    std::ranges::move(remarks_of_placement(rules_->settings, cores(), usable_cpus()),
                      std::back_inserter(status.remarks));
    if (std::string unbound = remark_of_unbound(); !unbound.empty())
        status.remarks.push_back(std::move(unbound));
    std::ranges::copy(unknown_groups_, std::back_inserter(status.remarks));
    for (const CertificateLoader::Expiry& one : certificates_.expiries()) {
        status.certificates.push_back({one.purposes, one.file, one.at});
    }
    if (drain_ != Drain::kNo) status.remarks.emplace_back("draining: no new work is taken");
    if (store_) {
        const store::Status store = store_->status();
        status.store = {store.name,        store.restoring, store.rows,  store.waiting,
                        store.last_commit, store.failing,   store.shares};
        std::ranges::copy(store.remarks, std::back_inserter(status.remarks));
    }
    status.links = links();
    status.routes = routes();
    if (rules_->settings.link.joined != joined_ && edge_ && gateway_) {
        status.remarks.emplace_back(kJoinsLater);
    }
    if (by_link() && std::ranges::none_of(status.links, &admin::Link::active)) {
        status.remarks.emplace_back(cut_off_ ? "no gateway is connected: nothing gets through, and "
                                               "partners are not let in"
                                    : edge_  ? "no gateway is connected: nothing gets through"
                                             : "no edge is connected: nothing gets through");
    }
    add_nodes(status);
    status.next_hops = next_hops();
    for (const admin::NextHop& hop : status.next_hops) {
        if (hop.state != "down") continue;
        status.remarks.push_back("SIP next hop " + hop.name + " (" + hop.address + ") of " +
                                 hop.domain + " is down: " + hop.why);
    }
    return status;
}

// Every core has its own view; a hop is as the one that finds it best does.
std::vector<admin::NextHop> Node::next_hops() {
    const auto seconds = [](Duration time) {
        return static_cast<std::uint64_t>(
            std::chrono::duration_cast<std::chrono::seconds>(time).count());
    };
    const auto badness = [](const admin::NextHop& hop) {
        return hop.state == "up" ? 0 : hop.state == "down" ? 3 : hop.mute ? 1 : 2;
    };
    std::map<std::array<std::string, 3>, admin::NextHop> hops;
    for (const gateway::TargetRow& row : gather<gateway::TargetRow>([](Worker& worker) {
             return worker.gateway() ? worker.gateway()->targets()
                                     : std::vector<gateway::TargetRow>();
         })) {
        admin::NextHop one;
        one.domain = row.domain;
        one.name = row.transport + ' ' + row.target;
        one.address = row.address;
        one.state = !row.up ? "down" : row.suspect ? "suspect" : "up";
        one.mute = row.up && row.suspect && row.mute;
        one.since_s = seconds(row.since);
        one.why = row.why;
        one.retry_s = seconds(row.held);
        one.pending = row.pending;
        one.answered = row.answered;
        one.unanswered = row.unanswered;
        admin::NextHop& hop = hops[{one.domain, one.name, one.address}];
        one.pending += hop.pending;
        one.answered += hop.answered;
        one.unanswered += hop.unanswered;
        if (hop.state.empty() || badness(one) < badness(hop)) {
            hop = one;
        } else {
            std::tie(hop.pending, hop.answered, hop.unanswered) =
                std::tie(one.pending, one.answered, one.unanswered);
        }
    }
    std::vector<admin::NextHop> all;
    for (auto& [key, hop] : hops) all.push_back(std::move(hop));
    return all;
}

std::vector<admin::Port> Node::ports() {
    std::map<std::pair<std::string, std::string>, admin::Port> ports;  // by service and address
    const auto port = [&](const std::string& service, const std::string& side,
                          const std::string& protocol, const std::string& address,
                          const std::string& owner) -> admin::Port& {
        admin::Port& one = ports[{service, address}];
        one.service = service;
        one.side = side;
        one.protocol = protocol;
        one.address = address;
        one.owner = owner;
        return one;
    };
    const rules::Settings& settings = rules_->settings;
    const std::string closed =
        cut_off_ ? "closed, since no gateway is connected: partners go to another edge"
                 : "not open";
    if (edge_) {
        for (const config::Address& address : settings.xmpp.listen) {
            port("xmpp", "external", "tcp", address.text, "edge").fault = closed;
        }
        for (const config::Address& address : settings.xmpp.listen_tls) {
            port("xmpp-tls", "external", "tls", address.text, "edge").fault = closed;
        }
    }
    if (gateway_) {
        for (const config::SipListen& listen : settings.sip.listen) {
            const std::string protocol(config::name_of(listen.transport));
            port("sip/" + protocol, "internal", protocol, listen.address.text, "gateway").fault =
                "not open";
        }
        const rules::Settings::Sip::Msrp& msrp = settings.sip.msrp;
        for (std::uint32_t i = 0; i < cores() && !msrp.listen.text.empty(); ++i) {
            port("msrp", "internal", msrp.tls ? "tls" : "tcp", msrp.at(i).text, "gateway").fault =
                "not open";
        }
    }
    const auto count = [](admin::Port& one, bool inbound) {
        ++(inbound ? one.inbound : one.outbound);
    };
    const auto find = [&](const std::string& service, const std::string& local,
                          bool inbound) -> admin::Port* {
        admin::Port* any = nullptr;
        const std::string number = local.substr(local.rfind(':') + 1);
        for (auto& [key, one] : ports) {
            if (one.service != service) continue;
            if (one.address == local || !inbound) return &one;
            if (one.address.substr(one.address.rfind(':') + 1) == number) any = &one;
        }
        return any;
    };
    for (const edge::StreamRow& row : gather<edge::StreamRow>(edge_rows)) {
        const bool direct = row.listening && row.tls == "direct";
        admin::Port* one = find(direct ? "xmpp-tls" : "xmpp", row.local, row.inbound);
        if (one == nullptr && row.inbound) one = find("xmpp-tls", row.local, true);
        if (one == nullptr) continue;
        if (row.listening) {
            one->listening = true;
            one->fault.clear();
        } else if (row.state == "established") {
            count(*one, row.inbound);
        }
    }
    for (const gateway::PortRow& row : gather<gateway::PortRow>([](Worker& worker) {
             return worker.gateway() ? worker.gateway()->ports() : std::vector<gateway::PortRow>();
         })) {
        const bool inbound = row.purpose.starts_with("from");
        const bool msrp = row.transport.starts_with("msrp");
        admin::Port* one =
            find(msrp ? "msrp" : "sip/" + row.transport, row.local, row.listening || inbound);
        if (one == nullptr) continue;
        if (row.listening) {
            one->listening = true;
            one->fault.clear();
        } else {
            count(*one, inbound);
        }
    }
    std::vector<admin::Port> all;
    for (auto& [key, one] : ports) all.push_back(std::move(one));
    add_link_ports(all);
    return all;
}

// Of a shard; a peer has one for each of a gateway's shards.
std::vector<link::LinkRow> Node::link_rows() {
    return gather<link::LinkRow>([](Worker& worker) {
        std::vector<link::LinkRow> rows;
        if (worker.server()) rows = worker.server()->rows();
        if (worker.client()) std::ranges::move(worker.client()->rows(), std::back_inserter(rows));
        return rows;
    });
}

void Node::add_link_ports(std::vector<admin::Port>& ports) {
    const rules::Settings& settings = rules_->settings;
    if (!by_link()) return;
    const std::vector<admin::Link> links = this->links();
    if (edge_) {
        const auto listening = gather<std::string>([](Worker& worker) {
            std::vector<std::string> all;
            if (!worker.server()) return all;
            for (const SocketAddress& one : worker.server()->listening()) {
                all.push_back(net::format_address(one));
            }
            return all;
        });
        for (const config::Address& address : settings.link.listen) {
            admin::Port& one = ports.emplace_back();
            one.address = address.text;
            one.owner = "edge";
            one.listening = std::ranges::find(listening, address.text) != listening.end() ||
                            (address.port == 0 && !listening.empty());
            if (!one.listening) one.fault = "not open";
        }
        if (!settings.link.listen.empty()) {  // which of several, a connection does not say
            for (const admin::Link& link : links) {
                if (!is_dialled(link)) ports.back().inbound += link.standing;
            }
        }
    }
    if (gateway_) {
        for (const admin::Link& link : links) {
            if (!is_dialled(link)) continue;
            admin::Port& one = ports.emplace_back();
            one.address = link.peer;
            one.owner = "gateway";
            one.dialled = true;
            one.outbound = link.standing;
            one.fault = link.why;
        }
    }
    for (admin::Port& one : ports) {
        if (!one.service.empty()) continue;
        one.service = "link";
        one.side = "internal";
        one.protocol = "tls";
    }
}

// All cores' links with one peer together: it is as most of them see it at best.
std::vector<admin::Link> Node::links() {
    std::vector<admin::Link> links;
    for (const link::LinkRow& row : link_rows()) {
        auto at = std::ranges::find(links, row.peer, &admin::Link::peer);
        if (at == links.end()) {
            links.emplace_back();
            at = links.end() - 1;
            at->peer = row.peer;
        }
        ++at->count;
        at->standing += row.up ? 1 : 0;
        at->active = at->active || row.active;
        if (!row.address.empty()) at->address = row.address;
        if (!row.node.empty()) at->node = row.node;
        if (!row.why.empty()) at->why = row.why;
        at->since_s = std::max(
            at->since_s, static_cast<std::uint64_t>(
                             std::chrono::duration_cast<std::chrono::seconds>(row.since).count()));
    }
    return links;
}

// Each core has links of its own: a route is as the one that sees it worst does.
std::vector<admin::Route> Node::routes() {
    std::vector<admin::Route> routes;
    for (const link::RouteRow& row : gather<link::RouteRow>([](Worker& worker) {
             return worker.client() ? worker.client()->routes() : std::vector<link::RouteRow>();
         })) {
        const admin::Route one{
            row.site, row.first, row.now,
            static_cast<std::uint64_t>(
                std::chrono::duration_cast<std::chrono::seconds>(row.since).count()),
            row.missing};
        const auto at = std::ranges::find(routes, row.site, &admin::Route::site);
        if (at == routes.end()) {
            routes.push_back(one);
        } else if (at->now == at->first &&
                   (one.now != one.first || one.missing.size() > at->missing.size())) {
            *at = one;
        }
    }
    return routes;
}

std::string Node::why_no_streams() {
    if (edge_) return {};
    std::string text = "this process is a gateway alone; the streams are at its edges";
    const char* before = ": ";
    for (const auto& edge : rules_->settings.link.edges) {
        text += std::exchange(before, ", ") + edge.host;
    }
    return text;
}

std::vector<admin::StreamRow> Node::streams() {
    std::vector<admin::StreamRow> rows;
    for (edge::StreamRow& row : gather<edge::StreamRow>(edge_rows)) {
        if (row.listening) continue;
        admin::StreamRow one;
        one.outbound = !row.inbound;
        one.our_domain = std::move(row.our);
        one.their_domain = std::move(row.their);
        one.state = std::move(row.state);
        one.proof = std::move(row.proof);
        one.tls = std::move(row.tls);
        one.address = std::move(row.peer);
        one.age_s = row.age_s;
        one.idle_s = row.idle_s;
        one.both_ways = row.both_ways;
        one.retry_s = row.retry_s;
        (row.inbound ? one.stanzas_in : one.stanzas_out) = row.stanzas;
        (row.inbound ? one.stanzas_out : one.stanzas_in) = row.stanzas_back;
        rows.push_back(std::move(one));
    }
    return rows;
}

// A ping of the domain: an answer, if there is one, is nobody's.
void Node::open_stream(const std::string& our, const std::string& their) {
    if (!edge_ || workers_.empty()) return;
    Worker* const worker = workers_.front().get();
    static_cast<void>(group_->post(0, [worker, our, their](Shard&) {
        const std::string ping = "<iq type='get' id='fedgate-doctor' from='" + our + "' to='" +
                                 their + "'><ping xmlns='urn:xmpp:ping'/></iq>";
        if (worker->edge() == nullptr) return;
        static_cast<void>(worker->edge()->take_stanza({link::kForNow, our, their, ping}));
    }));
}

// Every shard is asked: which one has the pair, they know.
std::uint64_t Node::begin_trial(const admin::TrialOrder& order, std::string& why) {
    using gateway::TrialStart;
    if (!gateway_) return AdminHost::begin_trial(order, why);
    const gateway::TrialOrder own{++trials_, order.to_sip, order.ours, order.theirs, order.text};
    const auto starts = gather<TrialStart>(
        [own](Worker& worker) { return std::vector{worker.gateway()->begin_trial(own)}; });
    const auto is = [&starts](TrialStart one) {
        return std::ranges::find(starts, one) != starts.end();
    };
    // A core is late: whether it was sent, trial() tells. Refused, it would be sent twice.
    if (is(TrialStart::kBegun) || starts.empty()) return own.id;
    why = is(TrialStart::kAnothers)
              ? "another gateway has the conversation of these two: try it there"
          : is(TrialStart::kNoAddress) ? "one of the two addresses can't be one of XMPP"
                                       : "no core has the conversation of these two";
    return 0;
}

std::optional<admin::Trial> Node::trial(std::uint64_t id) {
    for (gateway::TrialRow& row : gather<gateway::TrialRow>([id](Worker& worker) {
             return worker.gateway() ? std::vector{worker.gateway()->trial(id)}
                                     : std::vector<gateway::TrialRow>();
         })) {
        if (row.id != id || id == 0) continue;
        return admin::Trial{row.age,
                            row.taken,
                            row.acknowledged,
                            row.received,
                            row.status,
                            row.taken_after,
                            row.acknowledged_after,
                            row.received_after,
                            std::move(row.fault)};
    }
    return std::nullopt;
}

std::vector<admin::FailureRow> Node::failures() {
    std::map<std::pair<std::string, bool>, admin::FailureRow> rows;  // the latest of all cores
    for (edge::LastFailure& one : gather<edge::LastFailure>([](Worker& worker) {
             return worker.edge() ? worker.edge()->failures() : std::vector<edge::LastFailure>();
         })) {
        admin::FailureRow& row = rows[{one.their, !one.inbound}];
        row.count += one.count;
        if (one.at < row.at) continue;
        row.their_domain = std::move(one.their);
        row.outbound = !one.inbound;
        row.kind = edge::name_of(one.kind);
        row.at = one.at;
        row.address = std::move(one.peer);
        row.text = std::move(one.text);
    }
    std::vector<admin::FailureRow> all;
    for (auto& [key, row] : rows) all.push_back(std::move(row));
    return all;
}

std::optional<std::vector<admin::SeenUser>> Node::seen_users() {
    auto found = gather_all<gateway::SeenUser>([](Worker& worker) {
        return worker.gateway() ? worker.gateway()->seen_users() : std::vector<gateway::SeenUser>();
    });
    if (!found) return std::nullopt;
    std::map<std::string, WallTime> latest;  // of all cores
    for (gateway::SeenUser& one : *found) {
        WallTime& at = latest[std::move(one.address)];
        at = std::max(at, one.at);
    }
    std::vector<admin::SeenUser> all;
    for (const auto& [address, at] : latest) all.push_back({address, at});
    return all;
}

// Whoever asks is not the only one who should know.
std::vector<admin::PartnerCertificate> Node::partner_certificates() {
    std::map<std::string, admin::PartnerCertificate> rows;  // the latest of all cores
    for (edge::SeenCertificate& one : gather<edge::SeenCertificate>([](Worker& worker) {
             return worker.edge() ? worker.edge()->seen_certificates()
                                  : std::vector<edge::SeenCertificate>();
         })) {
        admin::PartnerCertificate& row = rows[one.their];
        if (one.seen_at < row.seen_at) continue;
        row = {std::move(one.their), one.not_after, one.seen_at};
    }
    std::vector<admin::PartnerCertificate> all;
    const WallTime now = wall_now();
    for (auto& [their, row] : rows) {
        if (partner_notices_.is_due(their, row.not_after, now)) {
            note(EventId::kPartnerCertificateExpires, {{"partner", their},
                                                       {"expires", readable_day(row.not_after)},
                                                       {"days", days_between(now, row.not_after)}});
        }
        all.push_back(std::move(row));
    }
    if (!all.empty())
        partner_notices_.keep([&rows](const std::string& their) { return rows.contains(their); });
    return all;
}

std::string Node::start_trace(const admin::TraceWish& wish) {
    const gateway::TraceFilter filter{wish.partner, wish.user};
    const bool started = on_every_shard([filter, time = wish.time](std::uint32_t, Worker& worker) {
        if (worker.gateway() != nullptr) worker.gateway()->tracer().start(filter, time);
    });
    return started ? "" : "the cores do not answer now; try again";
}

void Node::stop_trace() {
    static_cast<void>(on_every_shard([](std::uint32_t, Worker& worker) {
        if (worker.gateway() != nullptr) worker.gateway()->tracer().stop();
    }));
}

std::vector<admin::TracedRow> Node::take_trace(std::uint64_t& missed) {
    std::vector<admin::TracedRow> rows;
    const auto all = gather<gateway::TraceTaken>([](Worker& worker) {
        std::vector<gateway::TraceTaken> one;
        if (worker.gateway() != nullptr) one.push_back(worker.gateway()->tracer().take());
        return one;
    });
    if (all.empty()) ++missed;  // a core was too late, and what the others had is gone
    const auto now = std::chrono::system_clock::now();
    for (const gateway::TraceTaken& taken : all) {
        missed += taken.missed;
        for (const gateway::TraceRow& row : taken.rows) {
            rows.push_back(
                {std::chrono::floor<std::chrono::milliseconds>(now - (taken.now - row.at)),
                 row.xmpp, row.in, row.from, row.to, row.what, row.stanza_id, row.call_id, row.cseq,
                 row.peer, row.note});
        }
    }
    std::ranges::stable_sort(rows, {}, &admin::TracedRow::at);
    return rows;
}

std::vector<admin::Counter> Node::counters() {
    std::vector<admin::Counter> counters;
    for (const CounterInfo& info : counter_table()) {
        counters.push_back({std::string(info.name), group_->sum(info.counter), info.current,
                            std::string(info.description)});
    }
    for (const CommitCount& one : commit_counts_) {
        counters.push_back(
            {one.name, one.count, false, std::string(event_info(one.event).english.sentence)});
    }
    return counters;
}
void Node::add_nodes(admin::Status& status) {
    if (!desk_) return;
    status.nodes.push_back({node_name_, true, held_.in_force, held_.why});
    for (link::NodeRow& row : gather<link::NodeRow>([](Worker& worker) {
             return worker.topology() ? worker.topology()->rows() : std::vector<link::NodeRow>();
         })) {
        if (row.node == node_name_) continue;  // its own edge, where both roles are here
        status.nodes.push_back({std::move(row.node), false, row.in_force, std::move(row.why)});
    }
    for (const admin::NodeCommit& one : status.nodes) {
        if (one.here || one.why.empty()) continue;
        status.remarks.push_back("node " + one.node + " has commit " +
                                 std::to_string(one.in_force) +
                                 " in force, not the newest: " + one.why);
    }
    if (secret_differs_) {
        status.remarks.emplace_back(
            "xmpp.dialback.secret is not what other edges use: they can't verify our keys");
    }
}

}  // namespace fedgate
