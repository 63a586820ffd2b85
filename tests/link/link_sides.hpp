// Edges and gateways on machines of their own, over TLS on the simulated network.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "appliance/link/client.hpp"
#include "appliance/link/server.hpp"
#include "core/base/rendezvous.hpp"
#include "core/run/simulation.hpp"

namespace fedgate::link {

constexpr std::uint16_t kPort = 23'456;

inline const net::SelfSigned& certificate(const std::string& name) {
    static std::map<std::string, net::SelfSigned> all;
    auto at = all.find(name);
    if (at == all.end()) {
        auto made = net::make_self_signed({name}, 3'650, SimulationSettings{}.wall_start);
        FEDGATE_CHECK(made.has_value());
        at = all.emplace(name, std::move(*made)).first;
    }
    return at->second;
}

inline std::unique_ptr<net::TlsContext> tls_of(const std::string& name,
                                               const std::vector<std::string>& trusted) {
    net::TlsConfig config;
    config.credentials.push_back(
        {{{}, certificate(name).certificate}, {{}, certificate(name).key}});
    for (const std::string& one : trusted) config.ca.text += certificate(one).certificate;
    auto context = net::TlsContext::load(config);
    FEDGATE_CHECK(context.has_value());
    return std::move(*context);
}

inline const std::vector<std::string> kAll{"edge1.int", "edge2.int", "edge3.int", "gw1.int",
                                           "gw2.int"};

// A machine with one process, and one shard.
struct Machine {
    Machine(Simulation& simulation, const std::string& name,
            const std::vector<std::string>& trusted, std::optional<Simulation::Node> its_node = {})
        : node(its_node ? *its_node : simulation.make_node()),
          loop(simulation.make_loop(node)),
          shard(group, 0, loop),
          resolver(loop),
          tls(tls_of(name, trusted)) {}

    std::string log() {
        std::string lines;
        group.log(0).drain(lines);
        return lines;
    }

    Simulation::Node node;
    SimulatedLoop& loop;
    ShardGroup group{1};
    Shard shard;
    net::SimulatedResolver resolver;
    std::unique_ptr<net::TlsContext> tls;
};

// The machine of an edge, with partners that take everything and say so a little later.
struct EdgeSide final : EdgeDoor {
    EdgeSide(Simulation& simulation, const std::string& name,
             const std::vector<std::string>& gateways = {"gw1.int", "gw2.int"},
             const std::vector<std::string>& trusted = kAll,
             std::optional<Simulation::Node> node = {})
        : machine(simulation, name, trusted, node),
          server(machine.shard, *machine.tls,
                 {{simulation.address(machine.node, kPort)}, gateways, name}) {
        server.attach(*this);
        FEDGATE_CHECK(server.start().has_value());
    }

    bool take_stanza(const ToPartner& to) override {
        if (!room || budget == 0) return false;
        --budget;
        if (to.ticket == 0) {
            errors.emplace_back(to.stanza);
        } else {
            taken.emplace_back(to.stanza);
        }
        if (is_asked(to.ticket)) tickets.push_back(to.ticket);
        return true;
    }
    void tell(Fate fate, Fault fault = Fault::kNone) {
        for (const Ticket ticket : std::exchange(tickets, {})) {
            server.on_outcome({ticket, Fate::kWritten, Fault::kNone, fate != Fate::kWritten});
            if (fate != Fate::kWritten) server.on_outcome({ticket, fate, fault});
        }
    }
    // On the machine of one that was killed.
    EdgeSide(Simulation& simulation, const std::string& name, Simulation::Node node)
        : EdgeSide(simulation, name, {"gw1.int", "gw2.int"}, kAll, node) {}

    // A partner's user to ours.
    [[nodiscard]] bool send(const std::string& id, const std::string& user = "v") {
        return server.take_stanza(
            {"b.example", Proof::kDialbackTls,
             "<message from='u@b.example' to='" + user + "@a.example' id='" + id + "'/>"});
    }

    Machine machine;
    Server server;
    bool room = true;
    std::size_t budget = ~std::size_t{0};  // of stanzas that are taken
    std::vector<std::string> taken;
    std::vector<std::string> errors;
    std::vector<Ticket> tickets;
};

struct GatewaySide final : GatewayDoor {
    using Edges = std::vector<std::pair<std::string, const EdgeSide*>>;
    using Adjust = std::function<void(ClientSettings&, net::SimulatedResolver&)>;
    GatewaySide(Simulation& simulation, const std::string& name, const Edges& edges,
                const std::vector<std::string>& trusted = kAll, const Adjust& adjust = {},
                std::optional<Simulation::Node> node = {})
        : machine(simulation, name, trusted, node) {
        ClientSettings settings;
        std::uint16_t priority = 0;
        for (const auto& [host, edge] : edges) {
            settings.edges.push_back({host, kPort, priority++});
            machine.resolver.add_address(host, simulation.address(edge->machine.node, 0));
        }
        settings.node = name;
        if (adjust) adjust(settings, machine.resolver);
        machine.loop.fill_random({reinterpret_cast<char*>(settings.instance.data()), 16});
        client = std::make_unique<Client>(machine.shard, machine.resolver, *machine.tls, settings);
        client->attach(*this);
        client->start();
    }

    bool take_stanza(const FromPartner& from) override {
        ++offered;
        if (!room) return false;
        taken.emplace_back(from.stanza);
        proofs.insert(from.proof);
        domains.emplace(from.from_domain);
        return true;
    }
    void on_outcome(const Outcome& outcome) override { fates[outcome.ticket].push_back(outcome); }
    void on_edge_back() override { ++backs; }
    void on_others_hold(bool hold) override { others_hold = hold; }
    void on_partner(const PartnerNews& one) override {
        news.emplace_back(one.their_domain);
        kinds.push_back(one.kind);
    }

    // What a request says is what a partner is told.
    bool relay(Bytes bytes) {
        return client->take_stanza({make_ticket(0, ++relayed), "a.example", "b.example", bytes});
    }
    bool take_request(const Request& request) override {
        if (!room || (relays && !relay(request.bytes))) return false;
        if (relays) {
            client->answer({request.ticket, Answer::Kind::kAnswered, 200, 0, {}, {}, {}});
            return true;
        }
        requests.emplace_back(request.ticket, request.bytes);
        return true;
    }
    void on_answer(const Answer& answer) override {
        answers[answer.ticket] =
            answer.kind == Answer::Kind::kLost
                ? "lost"
                : std::to_string(answer.status) + ' ' + std::string(answer.headers);
    }

    [[nodiscard]] bool send(Ticket ticket, const std::string& their = "b.example") {
        return client->take_stanza(
            {ticket, "a.example", their, "<message id='" + std::to_string(ticket) + "'/>"});
    }
    [[nodiscard]] Fate last_fate(Ticket ticket) { return fates[ticket].back().fate; }
    [[nodiscard]] bool ended(Ticket ticket) {
        const auto& all = fates[ticket];
        return !all.empty() && (all.back().fate != Fate::kWritten || !all.back().acknowledges);
    }

    Machine machine;
    std::unique_ptr<Client> client;
    bool relays = false;
    std::uint64_t relayed = 0;
    bool room = true;
    std::size_t offered = 0;  // stanzas, those that found no room each time
    std::vector<std::string> taken;
    std::set<Proof> proofs;
    std::set<std::string> domains;
    std::map<Ticket, std::vector<Outcome>> fates;
    std::vector<std::string> news;
    std::vector<PartnerNews::Kind> kinds;
    unsigned backs = 0;
    bool others_hold = false;
    std::vector<std::pair<Ticket, std::string>> requests;
    std::map<Ticket, std::string> answers;
};

// With simulated time.
class LinkTest : public testing::Test {
protected:
    bool until(const std::function<bool()>& predicate, Duration time = 10s) {
        return simulation_.run_for(predicate, time);
    }
    void wait(Duration time) {
        simulation_.run_for([] { return false; }, time);
    }

    Simulation simulation_{{.seed = 5}};
};

}  // namespace fedgate::link
