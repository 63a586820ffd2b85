// A whole federation on the simulation: a Fedgate of several shards, a partner's XMPP server and a
// SIP pool, in one thread, from one seed. Product code on all sides of XMPP; the SIP pool is
// scripted (pool.hpp).
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "appliance/edge/edge.hpp"
#include "appliance/gateway/chat_state.hpp"
#include "appliance/gateway/gateway.hpp"
#include "appliance/gateway/receipt.hpp"
#include "appliance/link/client.hpp"
#include "appliance/link/passage.hpp"
#include "appliance/link/server.hpp"
#include "core/config/tree.hpp"
#include "core/run/shard.hpp"
#include "core/run/simulation.hpp"
#include "net/tls.hpp"
#include "tests/simulation/ledger.hpp"
#include "tests/simulation/pool.hpp"
#include "xml/stanza.hpp"
#include "xml/stanza_error.hpp"

namespace fedgate::simulation {

inline constexpr const char* kSipDomain = "sip.example";
inline constexpr const char* kXmppDomain = "xmpp.example";

using Settings = std::vector<std::pair<std::string, std::string>>;

inline std::unique_ptr<const rules::Snapshot> compile(const Settings& settings) {
    config::Tree tree;
    config::Problems problems;
    for (const auto& [key, value] : settings) tree.set(key, value, {}, problems);
    auto rules = rules::compile(tree, 1, problems);
    for (const config::Problem& problem : problems) {
        if (!problem.warning) std::fprintf(stderr, "%s\n", problem.line().c_str());
    }
    FEDGATE_CHECK(rules != nullptr);
    return rules;
}

// Both servers use the same kind of rules: each serves one domain and has the other as partner.
inline Settings server_rules(const char* our, const char* their) {
    return {{"federation.allow", "yes"},
            {"xmpp.listen", "0.0.0.0:5269"},
            {"xmpp.listen_tls", ""},
            {"xmpp.rate.connections_per_address", "none"},
            {"sip.listen", "tcp:0.0.0.0:5060"},
            {"sip.trusted", "0.0.0.0/0"},
            {std::string("domain/") + our + "/next_hop", "sip:10.99.0.1:5060;transport=tcp"},
            {std::string("partner/") + their + "/type", "federated"},
            {std::string("partner/") + their + "/sasl", "optional"},
            {std::string("partner/") + their + "/rate_bytes", "none"},
            {std::string("partner/") + their + "/rate_stanzas", "none"},
            {std::string("partner/") + their + "/rate_sender_messages", "none"},
            {"policy/global/federation_access", "yes"},
            {"policy/global/xmpp_access", "yes"}};
}

inline WallTime today() {
    return std::chrono::time_point_cast<WallTime::duration>(std::chrono::system_clock::now());
}

// What one server process is made of, on simulated loops.
class Server {
public:
    // What servers show: neighbours two different ones, by which nobody takes one for the other
    // (S2S-44). For the whole program: keys come from the kernel, and their sizes would show in a
    // trace.
    static const net::SelfSigned& certificate(Simulation::Node node) {
        const auto make = [] {
            auto self_signed = net::make_self_signed(
                {kSipDomain, kXmppDomain, "a.example", "b.example", "*.many.example"}, 3'650,
                SimulationSettings{}.wall_start);
            FEDGATE_CHECK(self_signed.has_value());
            return std::move(*self_signed);
        };
        static const std::array<net::SelfSigned, 2> all{make(), make()};
        return all[node % 2];
    }

    // `certified`: each server trusts the other's certificate.
    // `front`: makes what stands between the product and a loop, if anything does.
    using Front = std::function<std::unique_ptr<Loop>(SimulatedLoop&)>;
    static std::unique_ptr<Loop> no_front(SimulatedLoop&) { return nullptr; }
    Server(Simulation& simulation, Simulation::Node node, std::uint32_t shards, Settings settings,
           bool certified = false, std::size_t mailbox_bytes = limits::kMailboxBytes,
           Front front = no_front)
        : make_front_(std::move(front)),
          node_(node),
          mailbox_bytes_(mailbox_bytes),
          rules_(compile(settings)) {
        group_.emplace(shards, mailbox_bytes_);
        door_.emplace(shards);
        seats_.resize(shards);
        for (Seat& seat : seats_) {
            net::TlsConfig tls;
            tls.credentials.push_back(
                {{{}, certificate(node).certificate}, {{}, certificate(node).key}});
            if (certified) tls.ca = {{}, certificate(0).certificate + certificate(1).certificate};
            auto context = net::TlsContext::load(tls);
            FEDGATE_CHECK(context.has_value());
            seat.certificates.external = std::move(*context);
        }
        take_seats(simulation);
    }

    void knows(const std::string& domain, Simulation& simulation, Simulation::Node server) {
        known_.emplace_back(domain, simulation.address(server, 0));
        for (Seat& seat : seats_) tell(*seat.resolver, known_.back());
    }

    struct Seat {
        SimulatedLoop* loop = nullptr;
        std::unique_ptr<Loop> front;
        std::unique_ptr<Shard> shard;
        std::unique_ptr<net::SimulatedResolver> resolver;
        edge::Certificates certificates;
        std::unique_ptr<net::TlsContext> internal;
        std::unique_ptr<gateway::Gateway> gateway;
        std::unique_ptr<edge::Edge> edge;
        std::unique_ptr<link::Server> server;  // where the edge is alone, on the first
        std::unique_ptr<link::Passage> passage;
        std::unique_ptr<link::Client> client;  // where the gateway is
    };

    void start_edge(Seat& seat, link::GatewayDoor& door) {
        seat.edge = std::make_unique<edge::Edge>(
            *seat.shard, *rules_, *seat.resolver, seat.certificates, *door_, door,
            "a dialback secret of this server only " + std::to_string(node_));
        FEDGATE_CHECK(seat.edge->start().has_value());
    }
    // A process that has died knows nothing of its connections any more.
    void restart_edge(link::GatewayDoor& door) {
        FEDGATE_CHECK(seats_.size() == 1);
        seats_[0].edge.reset();
        door_.emplace(group_->count());
        start_edge(seats_[0], door);
    }
    // `prepare(shard, seat)`: before its gateway starts.
    void start_with_gateway(const std::function<void(std::uint32_t, Seat&)>& prepare =
                                [](std::uint32_t, Seat&) {}) {
        make_gateways(prepare);
        for (Seat& seat : seats_) {
            start_edge(seat, *seat.gateway);
            seat.gateway->attach(*seat.edge);
            FEDGATE_CHECK(seat.gateway->start().has_value());
        }
    }
    // Roles on their own: machines of one organisation, each with a name.
    static constexpr std::uint16_t kLinkPort = 23'456;
    struct Peer {
        std::string name;
        Simulation::Node node;
    };
    void start_edge_only(Simulation& simulation, const std::string& name,
                         const std::vector<std::string>& gateways) {
        Seat& first = seats_.front();
        first.internal = internal_tls(name);
        first.server = std::make_unique<link::Server>(
            *first.shard, *first.internal,
            link::ServerSettings{{simulation.address(node_, kLinkPort)}, gateways, name});
        for (Seat& seat : seats_) {
            seat.passage = std::make_unique<link::Passage>(*seat.shard, seat.server.get());
            start_edge(seat, *seat.passage);
        }
        first.server->attach(*first.edge);
        FEDGATE_CHECK(first.server->start().has_value());
    }
    // The first one of the edges is the better one.
    void start_gateway_only(Simulation& simulation, const std::string& name, std::uint16_t number,
                            const std::vector<Peer>& edges) {
        make_gateways([](std::uint32_t, Seat&) {}, number);
        link::ClientSettings settings;
        for (const Peer& edge : edges) {
            settings.edges.push_back(
                {edge.name, kLinkPort, static_cast<std::uint16_t>(settings.edges.size())});
        }
        settings.node = name;
        for (std::uint8_t& byte : settings.instance) {
            byte = static_cast<std::uint8_t>(simulation.random(256));
        }
        for (Seat& seat : seats_) {
            seat.internal = internal_tls(name);
            for (const Peer& edge : edges) {
                seat.resolver->add_address(edge.name, simulation.address(edge.node, 0));
            }
            seat.client = std::make_unique<link::Client>(*seat.shard, *seat.resolver,
                                                         *seat.internal, settings);
            seat.client->attach(*seat.gateway);
            seat.gateway->attach(*seat.client);
            FEDGATE_CHECK(seat.gateway->start().has_value());
            seat.client->start();
        }
    }

    // kill -9: others see their connections reset.
    void crash(Simulation& simulation) {
        simulation.kill(node_);
        const std::uint32_t shards = group_->count();
        for (Seat& seat : seats_) {
            seat.server.reset();
            seat.client.reset();
            seat.edge.reset();
            seat.passage.reset();
            seat.gateway.reset();
            seat.resolver.reset();
            seat.shard.reset();
        }
        group_.emplace(shards, mailbox_bytes_);
        door_.emplace(shards);
        take_seats(simulation);
        for (Seat& seat : seats_) {
            for (const auto& known : known_) tell(*seat.resolver, known);
        }
    }

    // Other rules from now on, as the control thread publishes them.
    void reload(const Settings& settings) {
        auto rules = compile(settings);
        for (Seat& seat : seats_) {
            if (seat.gateway) seat.gateway->reload(*rules);
            seat.edge->reload(*rules, seat.certificates);
        }
        rules_ = std::move(rules);
    }

    [[nodiscard]] std::vector<Seat>& seats() { return seats_; }
    [[nodiscard]] Simulation::Node node() const { return node_; }
    [[nodiscard]] std::uint64_t count(Counter counter) const { return group_->sum(counter); }
    std::string log() {
        std::string lines;
        for (std::uint32_t i = 0; i < group_->count(); ++i) group_->log(i).drain(lines);
        return lines;
    }

private:
    using Known = std::pair<std::string, SocketAddress>;

    void make_gateways(const std::function<void(std::uint32_t, Seat&)>& prepare,
                       std::uint16_t number = 0) {
        for (Seat& seat : seats_) {
            gateway::GatewayOptions options;
            options.secret.a = number;  // each process has its own
            options.host = "gw.sip.example";
            seat.gateway = std::make_unique<gateway::Gateway>(*seat.shard, *rules_, *seat.resolver,
                                                              nullptr, options);
            prepare(seat.shard->index(), seat);
        }
    }
    // By the name of a machine; its own authority, which all trust.
    static std::unique_ptr<net::TlsContext> internal_tls(const std::string& name) {
        static const std::map<std::string, net::SelfSigned> all = [] {
            std::map<std::string, net::SelfSigned> made;
            for (const char* one : {"edge1.int", "edge2.int", "gw1.int", "gw2.int"}) {
                auto certificate =
                    net::make_self_signed({one}, 3'650, SimulationSettings{}.wall_start);
                FEDGATE_CHECK(certificate.has_value());
                made.emplace(one, std::move(*certificate));
            }
            return made;
        }();
        net::TlsConfig tls;
        tls.credentials.push_back({{{}, all.at(name).certificate}, {{}, all.at(name).key}});
        for (const auto& [one, certificate] : all) tls.ca.text += certificate.certificate;
        auto context = net::TlsContext::load(tls);
        FEDGATE_CHECK(context.has_value());
        return std::move(*context);
    }

    void take_seats(Simulation& simulation) {
        for (std::uint32_t i = 0; i < seats_.size(); ++i) {
            Seat& seat = seats_[i];
            seat.loop = &simulation.make_loop(node_);
            seat.front = make_front_(*seat.loop);
            Loop* const seen = seat.front != nullptr ? seat.front.get() : seat.loop;
            seat.shard = std::make_unique<Shard>(*group_, i, *seen);
            seat.resolver = std::make_unique<net::SimulatedResolver>(*seat.loop);
        }
    }
    static void tell(net::SimulatedResolver& resolver, const Known& known) {
        const auto& [domain, address] = known;
        resolver.add_srv("_xmpp-server._tcp." + domain, {10, 0, 5269, "host." + domain});
        resolver.add_address("host." + domain, address);
    }

    Front make_front_;
    Simulation::Node node_;
    std::size_t mailbox_bytes_;
    std::unique_ptr<const rules::Snapshot> rules_;
    std::vector<Known> known_;
    std::optional<ShardGroup> group_;
    std::optional<edge::DoorGuard> door_;
    std::vector<Seat> seats_;
};

// The partner's users: where a gateway would be.
class Users final : public link::GatewayDoor {
public:
    explicit Users(Ledger& ledger) : ledger_(ledger) {}

    bool take_stanza(const link::FromPartner& from) override {
        const xml::StreamScope scope;
        if (busy) return false;
        const xml::Stanza stanza = xml::parse_stanza(from.stanza, scope);
        if (stanza.kind != xml::StanzaKind::kMessage) return true;
        const xml::Element body = stanza.root.child("body", xml::kServerNamespace);
        if (stanza.type == "error") {
            const auto error = xml::parse_stanza_error(stanza.root);
            ledger_.on_refused(std::string(stanza.id),
                               error ? std::string(xml::name_of(error->condition)) : "error");
            return true;
        }
        if (const auto received = stanza.root.child("received", gateway::kReceipts)) {
            ledger_.on_receipt(std::string(received.attribute("id")));
        } else if (!body) {
            on_typing(stanza);
        } else {
            const std::string text = text_of(body);
            ledger_.on_delivered(text.substr(0, text.find(' ')));
            if (stanza.root.child("request", gateway::kReceipts)) tell_received(stanza);
        }
        return true;
    }
    void on_outcome(const link::Outcome& outcome) override {
        const auto it = tickets.find(outcome.ticket);
        if (it == tickets.end()) return;
        if (!ledger_.entries.contains(it->second)) return;  // typing
        Ledger::Entry& entry = ledger_.entries.at(it->second);
        if (outcome.fate == link::Fate::kFailed) entry.never_left = true;
        if (outcome.fate == link::Fate::kInDoubt) entry.own_doubt = true;
    }

    std::map<link::Ticket, std::string> tickets;
    bool busy = false;           // their server takes nothing
    edge::Edge* edge = nullptr;  // their server's

private:
    static std::string text_of(const xml::Element& element) {
        char memory[4'096];
        Sink text(memory);
        element.text(text);
        return std::string(text.written());
    }
    void on_typing(const xml::Stanza& stanza) {
        const std::string thread = text_of(stanza.root.child("thread", xml::kServerNamespace));
        for (const Bytes state : {"composing", "active"}) {
            if (stanza.root.child(state, gateway::kChatStates)) {
                return ledger_.on_typing(thread, state == "composing");
            }
        }
        ledger_.on_delivered("neither text nor typing");
    }
    void tell_received(const xml::Stanza& stanza) {
        const std::string receipt = "<message from='" + std::string(stanza.to) + "' to='" +
                                    std::string(stanza.from) +
                                    "' type='chat'><received xmlns='urn:xmpp:receipts' id='" +
                                    std::string(stanza.id) + "'/></message>";
        FEDGATE_CHECK(edge->take_stanza(
            {link::make_ticket(0, kOfReceipts + ++receipts_), kXmppDomain, kSipDomain, receipt}));
    }

    static constexpr std::uint64_t kOfReceipts = 1'000'000'000;
    std::uint64_t receipts_ = 0;
    Ledger& ledger_;
};

struct WorldSettings {
    std::uint32_t shards = 2;
    Settings more = {};      // of Fedgate
    bool certified = false;  // the servers are proved by certificates (as of today), or by dialback
    bool both_ways = false;  // one stream for both directions (XEP-0288)
    std::size_t mailbox_bytes = limits::kMailboxBytes;  // between shards of Fedgate
    std::size_t window_bytes = SimulationSettings{}.window_bytes;
    Settings partner_more = {};
    Server::Front front = Server::no_front;  // of Fedgate
    bool split = false;    // Fedgate is two machines: `fedgate` is the gateway, `outer` the edge
    bool doubled = false;  // and two more: `fedgate2`, `outer2`
    std::uint32_t outer_shards = 1;
    bool sessions = false;  // the SIP side is of profile lync
};

struct Text {
    std::string more = {};  // behind its name: plain words
    bool asks = false;      // for a receipt
};

class World {
public:
    explicit World(std::uint64_t seed, const WorldSettings& settings = {})
        : simulation(
              {.seed = seed,
               .window_bytes = settings.window_bytes,
               .wall_start = settings.certified ? today() : SimulationSettings{}.wall_start}),
          seeded_(simulation.make_loop(simulation.make_node())),
          fedgate(simulation, simulation.make_node(), settings.shards,
                  with(with(with(server_rules(kSipDomain, kXmppDomain), settings.more),
                            bidi(kXmppDomain, settings.both_ways)),
                       profile(settings.sessions)),
                  settings.certified, settings.mailbox_bytes, settings.front),
          partner(simulation, simulation.make_node(), 1,
                  with(with(server_rules(kXmppDomain, kSipDomain), settings.partner_more),
                       bidi(kSipDomain, settings.both_ways)),
                  settings.certified),
          users(ledger),
          pool_node(simulation.make_node()),
          pool_loop_(simulation.make_loop(pool_node)),
          second_node(simulation.make_node()),
          second_loop_(simulation.make_loop(second_node)),
          pool() {
        net::seed_tls_from(&seeded_);
        if (settings.split) {
            const auto more = [&](std::uint32_t shards) {
                return std::make_unique<Server>(
                    simulation, simulation.make_node(), shards,
                    with(with(with(server_rules(kSipDomain, kXmppDomain), settings.more),
                              bidi(kXmppDomain, settings.both_ways)),
                         profile(settings.sessions)),
                    settings.certified, settings.mailbox_bytes);
            };
            outer = more(settings.outer_shards);
            if (settings.doubled) {
                fedgate2 = more(settings.shards);
                outer2 = more(1);
            }
            for (Server* edge : {outer.get(), outer2.get()}) {
                if (edge == nullptr) continue;
                edge->knows(kXmppDomain, simulation, partner.node());
                partner.knows(kSipDomain, simulation, edge->node());
                revive(*edge);
            }
            revive(fedgate);
            if (fedgate2 != nullptr) revive(*fedgate2);
        } else {
            fedgate.knows(kXmppDomain, simulation, partner.node());
            partner.knows(kSipDomain, simulation, fedgate.node());
            fedgate.start_with_gateway();
        }
        agents.in_sessions = settings.sessions;
        pool = make_pool(1);
        partner.start_edge(partner.seats()[0], users);
        users.edge = partner.seats()[0].edge.get();
    }
    ~World() { net::seed_tls_from(nullptr); }

    // XMPP user `i` writes to SIP user `i`.
    void send_to_sip(unsigned i, const Text& text = {}) {
        const std::string name = "x" + std::to_string(++serial_);
        ledger.add(name, true, std::to_string(i)).asks = text.asks;
        stanza_to_sip(i, name,
                      "<body>" + name + " from XMPP" + text.more + "</body>" +
                          (text.asks ? "<request xmlns='urn:xmpp:receipts'/>" : ""));
    }
    void send_to_xmpp(unsigned i, const Text& text = {}) {
        const std::string name = "s" + std::to_string(++serial_);
        Ledger::Entry& entry = ledger.add(name, false, std::to_string(i));
        entry.asks = text.asks && !agents.in_sessions;
        Pool* const node = node_of(i);
        const std::string words = name + " from SIP" + text.more;
        if (node != nullptr && agents.in_sessions) {
            return node->write(name, sip_uri(i), xmpp_uri(i), Pool::plain(words));
        }
        if (node == nullptr ||
            !node->try_send(name, {sip_uri(i), xmpp_uri(i),
                                   text.asks ? node->asking(name, sip_uri(i), xmpp_uri(i), words)
                                             : Pool::plain(words)})) {
            entry.never_left = true;
        }
    }
    // And shows that he types, or no more. Its name is its thread, and its Call-ID.
    void type_to_sip(unsigned i, bool composing) {
        const std::string name = "t" + std::to_string(++serial_);
        ledger.add_typing(name, true, std::to_string(i), composing);
        stanza_to_sip(i, name,
                      "<thread>" + name + "</thread><" + (composing ? "composing" : "active") +
                          " xmlns='http://jabber.org/protocol/chatstates'/>");
    }
    void type_to_xmpp(unsigned i, bool composing) {
        const std::string name = "t" + std::to_string(++serial_);
        ledger.add_typing(name, false, std::to_string(i), composing);
        Pool* const node = node_of(i);
        if (node == nullptr) return;
        static_cast<void>(
            node->try_send(name, {sip_uri(i), xmpp_uri(i), Pool::typing(composing), false}));
    }
    // Comes back without what it knew. What its users had not got rid of is theirs to tell.
    void restart_partner() {
        Server::Seat& seat = partner.seats()[0];
        seat.edge->stop_accepting();
        simulation.run_for([] { return false; }, 1ms);  // the listeners are gone
        seat.edge.reset();
        for (auto& [name, entry] : ledger.entries) {
            if (entry.to_sip && entry.delivered + entry.refused == 0) entry.own_doubt = true;
        }
        partner.restart_edge(users);
        users.edge = seat.edge.get();
    }
    // What it held is nobody's any more: in doubt, and no more than that.
    void crash_fedgate(Duration down) {
        for (auto& [name, entry] : ledger.entries) {
            if (entry.delivered + entry.refused == 0) entry.at_crash = true;
        }
        fedgate.crash(simulation);
        simulation.run_for([] { return false; }, down);
        fedgate.start_with_gateway();
    }
    // One of the machines, likewise, until revive().
    void kill(Server& machine) {
        for (auto& [name, entry] : ledger.entries) {
            if (entry.delivered + entry.refused == 0) entry.at_crash = true;
        }
        machine.crash(simulation);
    }
    // Split: by what it is.
    void revive(Server& machine) {
        if (&machine == outer.get() || &machine == outer2.get()) {
            return machine.start_edge_only(simulation,
                                           &machine == outer.get() ? "edge1.int" : "edge2.int",
                                           {"gw1.int", "gw2.int"});
        }
        std::vector<Server::Peer> edges{{"edge1.int", outer->node()}};
        if (outer2) edges.push_back({"edge2.int", outer2->node()});
        const bool first = &machine == &fedgate;
        machine.start_gateway_only(simulation, first ? "gw1.int" : "gw2.int", first ? 1 : 2, edges);
    }
    void restart_pool() {
        kill_node(1);
        start_node(1);
    }
    // Of two nodes each has half of the users first. A killed one resets its connections.
    void kill_node(unsigned number) {
        auto& node = number == 1 ? pool : second;
        Pool* const other = number == 1 ? second.get() : pool.get();
        node->end(other);
        simulation.run_for([] { return false; }, 1ms);
        node.reset();
    }
    void start_node(unsigned number) { (number == 1 ? pool : second) = make_pool(number); }
    // Runs until nothing is open any more.
    bool settle(Duration at_most = 120s) {
        return simulation.run_for([this] { return ledger.totals().open == 0; }, at_most);
    }

    // For a test that failed: what is open, and how everybody stands.
    std::string describe() {
        std::string text = "\nopen:";
        for (const auto& [name, entry] : ledger.entries) {
            if (entry.delivered + entry.refused == 0 && !entry.own_doubt && !entry.never_left &&
                !entry.at_crash)
                text += ' ' + name;
        }
        text += "\nfedgate:\n" + fedgate.log() + "partner:\n" + partner.log() + "counters:";
        for (const CounterInfo& info : counter_table()) {
            if (const auto value = fedgate.count(info.counter)) {
                text += ' ' + std::string(info.name) + '=' + std::to_string(value);
            }
        }
        for (Server* server : {&fedgate, &partner, outer.get(), fedgate2.get(), outer2.get()}) {
            if (server == nullptr) continue;
            if (server != &fedgate && server != &partner) text += "\nmachine:\n" + server->log();
            for (auto& seat : server->seats()) {
                if (seat.edge == nullptr) continue;
                for (const edge::StreamRow& row : seat.edge->rows()) {
                    text += "\n" + row.local + (row.inbound ? " <- " : " -> ") + row.peer + ' ' +
                            row.state + " stanzas " + std::to_string(row.stanzas) + " waiting " +
                            std::to_string(row.waiting);
                }
            }
        }
        return text + '\n';
    }

    Simulation simulation;

private:
    std::unique_ptr<Pool> make_pool(unsigned number) {
        std::vector<SocketAddress> gateways{simulation.address(fedgate.node(), kSipPort)};
        if (fedgate2) gateways.push_back(simulation.address(fedgate2->node(), kSipPort));
        return std::make_unique<Pool>(number == 1 ? pool_loop_ : second_loop_, ledger, gateways,
                                      agents, number);
    }
    static std::string sip_uri(unsigned i) {
        return "sip:s" + std::to_string(i) + "@" + kSipDomain;
    }
    static std::string xmpp_uri(unsigned i) {
        return "sip:u" + std::to_string(i) + "@" + kXmppDomain;
    }
    void stanza_to_sip(unsigned i, const std::string& name, const std::string& content) {
        const link::Ticket ticket = link::make_ticket(0, serial_);
        users.tickets[ticket] = name;
        FEDGATE_CHECK(users.edge->take_stanza(
            {ticket, kXmppDomain, kSipDomain,
             "<message from='u" + std::to_string(i) + "@" + kXmppDomain + "/home' to='s" +
                 std::to_string(i) + "@" + kSipDomain + "' id='" + name + "' type='chat'>" +
                 content + "</message>"}));
    }
    Pool* node_of(unsigned user) {
        Pool* const first = user % 2 == 0 ? pool.get() : second.get();
        return first != nullptr ? first : user % 2 == 0 ? second.get() : pool.get();
    }

    SimulatedLoop& seeded_;
    static Settings bidi(const std::string& their, bool on) {
        return {{"partner/" + their + "/bidi", on ? "yes" : "no"}};
    }
    static Settings profile(bool sessions) {
        return {{std::string("domain/") + kSipDomain + "/profile", sessions ? "lync" : "page"}};
    }
    static Settings with(Settings settings, const Settings& more) {
        settings.insert(settings.end(), more.begin(), more.end());
        return settings;
    }

public:
    Ledger ledger;
    Server fedgate;
    Server partner;
    std::unique_ptr<Server> outer;  // the edge, where it is a machine of its own
    std::unique_ptr<Server> fedgate2;
    std::unique_ptr<Server> outer2;
    Users users;
    Simulation::Node pool_node;

private:
    SimulatedLoop& pool_loop_;

public:
    Simulation::Node second_node;

private:
    SimulatedLoop& second_loop_;

public:
    UserAgents agents;
    std::unique_ptr<Pool> pool;
    std::unique_ptr<Pool> second;  // where a test has started it

private:
    std::uint64_t serial_ = 0;
};

}  // namespace fedgate::simulation
