// A whole federation on the simulation: a Fedgate of several shards, a partner's XMPP server and a
// SIP pool, in one thread, from one seed. Product code on all sides of XMPP; the SIP pool is
// scripted here.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "appliance/edge/edge.hpp"
#include "appliance/gateway/gateway.hpp"
#include "core/config/tree.hpp"
#include "core/run/shard.hpp"
#include "core/run/simulation.hpp"
#include "net/connection.hpp"
#include "net/tls.hpp"
#include "sip/framer.hpp"
#include "sip/writer.hpp"
#include "tests/simulation/ledger.hpp"
#include "xml/stanza.hpp"
#include "xml/stanza_error.hpp"

namespace fedgate::simulation {

inline constexpr const char* kSipDomain = "sip.example";
inline constexpr const char* kXmppDomain = "xmpp.example";
inline constexpr std::uint16_t kSipPort = 5060;

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
    Server(Simulation& simulation, Simulation::Node node, std::uint32_t shards, Settings settings,
           bool certified = false, std::size_t mailbox_bytes = limits::kMailboxBytes)
        : node_(node), mailbox_bytes_(mailbox_bytes), rules_(compile(settings)) {
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
        std::unique_ptr<Shard> shard;
        std::unique_ptr<net::SimulatedResolver> resolver;
        edge::Certificates certificates;
        std::unique_ptr<gateway::Gateway> gateway;
        std::unique_ptr<edge::Edge> edge;
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
        for (Seat& seat : seats_) {
            gateway::GatewayOptions options;
            options.host = "gw.sip.example";
            seat.gateway = std::make_unique<gateway::Gateway>(*seat.shard, *rules_, *seat.resolver,
                                                              nullptr, options);
            prepare(seat.shard->index(), seat);
        }
        for (Seat& seat : seats_) {
            start_edge(seat, *seat.gateway);
            seat.gateway->attach(*seat.edge);
            FEDGATE_CHECK(seat.gateway->start().has_value());
        }
    }

    // kill -9: others see their connections reset.
    void crash(Simulation& simulation) {
        simulation.kill(node_);
        const std::uint32_t shards = group_->count();
        for (Seat& seat : seats_) {
            seat.edge.reset();
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

    void take_seats(Simulation& simulation) {
        for (std::uint32_t i = 0; i < seats_.size(); ++i) {
            Seat& seat = seats_[i];
            seat.loop = &simulation.make_loop(node_);
            seat.shard = std::make_unique<Shard>(*group_, i, *seat.loop);
            seat.resolver = std::make_unique<net::SimulatedResolver>(*seat.loop);
        }
    }
    static void tell(net::SimulatedResolver& resolver, const Known& known) {
        const auto& [domain, address] = known;
        resolver.add_srv("_xmpp-server._tcp." + domain, {10, 0, 5269, "host." + domain});
        resolver.add_address("host." + domain, address);
    }

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
        if (stanza.type == "error") {
            const auto error = xml::parse_stanza_error(stanza.root);
            ledger_.on_refused(std::string(stanza.id),
                               error ? std::string(xml::name_of(error->condition)) : "error");
            return true;
        }
        char memory[4096];
        Sink body(memory);
        stanza.root.child("body", xml::kServerNamespace).text(body);
        ledger_.on_delivered(std::string(body.written().substr(0, body.written().find(' '))));
        return true;
    }
    void on_outcome(const link::Outcome& outcome) override {
        const auto it = tickets.find(outcome.ticket);
        if (it == tickets.end()) return;
        Ledger::Entry& entry = ledger_.entries.at(it->second);
        if (outcome.fate == link::Fate::kFailed) entry.never_left = true;
        if (outcome.fate == link::Fate::kInDoubt) entry.own_doubt = true;
    }

    std::map<link::Ticket, std::string> tickets;
    bool busy = false;  // their server takes nothing

private:
    Ledger& ledger_;
};

// The SIP users' agents, behind all nodes of the pool: a request that came before, by whichever
// node, they know by its Call-ID, From tag and CSeq (RFC 3261 8.2.2.2).
struct UserAgents {
    [[nodiscard]] bool knows(const sip::Message& request) {
        const bool is_new =
            seen.insert(std::string(request.call_id) + '|' + std::string(request.from.tag) + '|' +
                        std::to_string(request.cseq.number))
                .second;
        if (!is_new) ++again;
        return !is_new;
    }
    std::set<std::string> seen;
    unsigned again = 0;
};

// A node of the SIP pool: answers MESSAGE as told, and sends.
class Pool final : public net::ConnectionOwner, SocketOwner {
public:
    Pool(SimulatedLoop& loop, Ledger& ledger, const SocketAddress& gateway, UserAgents& agents,
         unsigned number)
        : loop_(loop), ledger_(ledger), gateway_(gateway), agents_(agents) {
        auto listener = loop_.listen(listen_address(kSipPort, number), *this);
        FEDGATE_CHECK(listener.has_value());
        listener_ = *listener;
    }
    ~Pool() {
        if (!ended_) loop_.close(listener_);
    }
    // Before it is destroyed while the loop runs on, which has a last word on its sockets. A user
    // agent that ends has failed its transactions itself; one whose node does goes to `other`, with
    // a new branch and all else the same.
    void end(Pool* other = nullptr) {
        ended_ = true;
        loop_.close(listener_);
        for (const auto& [name, sent] : std::exchange(pending_, {})) {
            if (other == nullptr || !other->try_send(name, sent)) {
                ledger_.entries.at(name).own_doubt = true;
            }
        }
        out_.reset();
        in_.clear();
        framers_.clear();
    }

    static SocketAddress listen_address(std::uint16_t port, unsigned number = 1);

    void send(const std::string& name, const std::string& from, const std::string& to,
              const std::string& text) {
        if (!try_send(name, {from, to, text})) ledger_.entries.at(name).never_left = true;
    }
    struct Sent {
        std::string from;
        std::string to;
        std::string text;
    };
    [[nodiscard]] bool try_send(const std::string& name, const Sent& sent) {
        if (!out_) {
            auto connection = net::Connection::connect(loop_, *this, {65'536, 1 << 20}, gateway_);
            FEDGATE_CHECK(connection.has_value());
            out_ = std::move(*connection);
        }
        char memory[4096];
        Sink sink(memory);
        const std::string branch = "z9hG4bK" + name + "x" + std::to_string(++serial_);
        sip::RequestHead head;
        head.method = "MESSAGE";
        head.uri = sent.to;
        head.via.transport = sip::Transport::kTcp;
        head.via.host = "pool.sip.example";
        head.via.port = kSipPort;
        head.via.branch = branch;
        const std::string tag = "t" + name;
        head.from = {.display = {}, .uri = sent.from, .tag = tag};
        head.to = {.display = {}, .uri = sent.to, .tag = {}};
        head.call_id = name;
        sip::write_request_head(sink, head);
        sip::write_body(sink, "text/plain", sent.text);
        FEDGATE_CHECK(!sink.overflowed());
        if (!out_->write(sink.written())) return false;
        pending_[name] = sent;
        return true;
    }

    std::uint16_t answer = 200;
    std::uint16_t answer_again = 200;  // to what its user agent knows
    bool silent = false;               // no answer to MESSAGE
    bool deaf = false;                 // nor to anything else

private:
    void on_accept(Socket, Socket connection, const SocketAddress& peer) override {
        in_.push_back(std::make_unique<net::Connection>(
            loop_, *this, net::ConnectionLimits{65'536, 1 << 20}, connection, peer));
        framers_.emplace(in_.back().get(), sip::Framer(65'536));
    }
    std::size_t on_data(net::Connection& connection, MutableBytes input) override {
        auto& framer = framers_.try_emplace(&connection, 65'536).first->second;
        std::size_t consumed = 0;
        for (;;) {
            const sip::Frame frame = framer.next(input.subspan(consumed), message_);
            if (frame.kind == sip::FrameKind::kNeedMore) return consumed;
            FEDGATE_CHECK(frame.kind != sip::FrameKind::kMalformed);
            if (frame.kind == sip::FrameKind::kPing) static_cast<void>(connection.write("\r\n"));
            if (frame.kind == sip::FrameKind::kMessage) on_message(connection);
            consumed += frame.consumed;
        }
    }
    void on_message(net::Connection& connection) {
        if (!message_.is_request) {
            const std::string name(message_.call_id);
            if (message_.status >= 200) {
                pending_.erase(name);
                if (!ledger_.entries.contains(name)) return;
                if (message_.status < 300) ledger_.entries.at(name).accepted = true;
                if (message_.status >= 300) {
                    ledger_.on_refused(name, std::to_string(message_.status));
                }
            }
            return;
        }
        if (deaf) return;
        std::uint16_t status = 200;
        if (message_.method == sip::Method::kMessage) {
            if (silent) return;
            const bool known = answer < 300 && agents_.knows(message_);  // else it gets no further
            status = known ? answer_again : answer;
            if (const sip::Header* about = message_.find(sip::HeaderName::kInReplyTo)) {
                status = 200;
                ledger_.on_refused(std::string(about->value), "notice");  // IM-50
            } else if (status < 300 && !known) {
                ledger_.on_delivered(std::string(message_.body.substr(0, message_.body.find(' '))));
            }
        }
        char memory[2048];
        Sink sink(memory);
        sip::ResponseHead head;
        head.status = status;
        head.to_tag = "pool";
        sip::write_response_head(sink, message_, head);
        sip::write_no_body(sink);
        static_cast<void>(connection.write(sink.written()));
    }
    void on_closed(net::Connection& connection, Error) override {
        framers_.erase(&connection);
        if (out_.get() == &connection) {
            out_.reset();
            fail_pending();
            return;
        }
        std::erase_if(in_, [&](const auto& one) { return one.get() == &connection; });
    }
    // So does one whose connection breaks.
    void fail_pending() {
        for (const auto& [name, sent] : pending_) ledger_.entries.at(name).own_doubt = true;
        pending_.clear();
    }

    SimulatedLoop& loop_;
    Ledger& ledger_;
    SocketAddress gateway_;
    Socket listener_;
    std::vector<std::unique_ptr<net::Connection>> in_;
    std::unique_ptr<net::Connection> out_;
    std::map<net::Connection*, sip::Framer> framers_;
    UserAgents& agents_;
    struct InOrder {  // of their numbers: who sends them again does so in the order they had
        bool operator()(const std::string& a, const std::string& b) const {
            return a.size() != b.size() ? a.size() < b.size() : a < b;
        }
    };
    std::map<std::string, Sent, InOrder> pending_;
    sip::Message message_;
    unsigned serial_ = 0;
    bool ended_ = false;
};

inline SocketAddress Pool::listen_address(std::uint16_t port, unsigned number) {
    auto address =
        net::parse_address("10.99.0." + std::to_string(number) + ":" + std::to_string(port));
    FEDGATE_CHECK(address.has_value());
    return *address;
}

struct WorldSettings {
    std::uint32_t shards = 2;
    Settings more = {};      // of Fedgate
    bool certified = false;  // the servers are proved by certificates (as of today), or by dialback
    bool both_ways = false;  // one stream for both directions (XEP-0288)
    std::size_t mailbox_bytes = limits::kMailboxBytes;  // between shards of Fedgate
    std::size_t window_bytes = SimulationSettings{}.window_bytes;
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
                  with(with(server_rules(kSipDomain, kXmppDomain), settings.more),
                       bidi(kXmppDomain, settings.both_ways)),
                  settings.certified, settings.mailbox_bytes),
          partner(simulation, simulation.make_node(), 1,
                  with(server_rules(kXmppDomain, kSipDomain), bidi(kSipDomain, settings.both_ways)),
                  settings.certified),
          users(ledger),
          pool_node(simulation.make_node()),
          pool_loop_(simulation.make_loop(pool_node)),
          second_node(simulation.make_node()),
          second_loop_(simulation.make_loop(second_node)),
          pool(make_pool(1)) {
        net::seed_tls_from(&seeded_);
        fedgate.knows(kXmppDomain, simulation, partner.node());
        partner.knows(kSipDomain, simulation, fedgate.node());
        fedgate.start_with_gateway();
        partner.start_edge(partner.seats()[0], users);
    }
    ~World() { net::seed_tls_from(nullptr); }

    // XMPP user `i` writes to SIP user `i`; `more`: behind the name, plain words.
    void send_to_sip(unsigned i, const std::string& more = {}) {
        const std::string name = "x" + std::to_string(++serial_);
        ledger.add(name, true, std::to_string(i));
        const link::Ticket ticket = link::make_ticket(0, serial_);
        users.tickets[ticket] = name;
        const std::string stanza = "<message from='u" + std::to_string(i) + "@" + kXmppDomain +
                                   "/home' to='s" + std::to_string(i) + "@" + kSipDomain +
                                   "' id='" + name + "' type='chat'><body>" + name + " from XMPP" +
                                   more + "</body></message>";
        FEDGATE_CHECK(
            partner.seats()[0].edge->take_stanza({ticket, kXmppDomain, kSipDomain, stanza}));
    }
    void send_to_xmpp(unsigned i, const std::string& more = {}) {
        const std::string name = "s" + std::to_string(++serial_);
        Ledger::Entry& entry = ledger.add(name, false, std::to_string(i));
        Pool* const node = node_of(i);
        if (node == nullptr) {
            entry.never_left = true;
            return;
        }
        node->send(name, "sip:s" + std::to_string(i) + "@" + kSipDomain,
                   "sip:u" + std::to_string(i) + "@" + kXmppDomain, name + " from SIP" + more);
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
        for (Server* server : {&fedgate, &partner}) {
            for (auto& seat : server->seats()) {
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
        return std::make_unique<Pool>(number == 1 ? pool_loop_ : second_loop_, ledger,
                                      simulation.address(fedgate.node(), kSipPort), agents, number);
    }
    Pool* node_of(unsigned user) {
        Pool* const first = user % 2 == 0 ? pool.get() : second.get();
        return first != nullptr ? first : user % 2 == 0 ? second.get() : pool.get();
    }

    SimulatedLoop& seeded_;
    static Settings bidi(const std::string& their, bool on) {
        return {{"partner/" + their + "/bidi", on ? "yes" : "no"}};
    }
    static Settings with(Settings settings, const Settings& more) {
        settings.insert(settings.end(), more.begin(), more.end());
        return settings;
    }

public:
    Ledger ledger;
    Server fedgate;
    Server partner;
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
