// Two edges face to face, each with a gateway that keeps what it is given.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/simulation/world.hpp"

namespace fedgate::simulation {

// A gateway that keeps what it is given.
struct Door final : link::GatewayDoor {
    struct Got {
        std::string domain;
        link::Proof proof;
        std::string stanza;
    };
    bool take_stanza(const link::FromPartner& from) override {
        if (!room) {
            ++refused;
            return false;
        }
        got.push_back({std::string(from.from_domain), from.proof, std::string(from.stanza)});
        answer(from);
        if (errors_go_to != nullptr && from.stanza.starts_with("<message")) refuse(from);
        return true;
    }
    void on_outcome(const link::Outcome& outcome) override { outcomes.push_back(outcome); }
    void on_partner(const link::PartnerNews& one) override {
        const auto domain = std::string(one.our_domain) + ' ' + std::string(one.their_domain);
        news.push_back({one.kind, one.fault, domain, std::string(one.why)});
    }
    [[nodiscard]] bool has(link::Ticket ticket, link::Fate fate) const {
        for (const link::Outcome& outcome : outcomes) {
            if (outcome.ticket == ticket && outcome.fate == fate) return true;
        }
        return false;
    }
    [[nodiscard]] link::Fault fault(link::Ticket ticket) const {
        for (const link::Outcome& outcome : outcomes) {
            if (outcome.ticket == ticket) return outcome.fault;
        }
        return link::Fault::kNone;
    }

    // What servers do: `to` answers a ping.
    void answer(const link::FromPartner& from) {
        const xml::StreamScope scope;
        const xml::Stanza stanza = xml::parse_stanza(from.stanza, scope);
        if (pings_go_to == nullptr || !stanza.root.child("ping", "urn:xmpp:ping")) return;
        ++pings;
        FEDGATE_CHECK(pings_go_to->take_stanza(
            {0, stanza.to, stanza.from,
             "<iq type='result' from='" + std::string(stanza.to) + "' to='" +
                 std::string(stanza.from) + "' id='" + std::string(stanza.id) + "'/>"}));
    }

    // As where the SIP user is not known.
    void refuse(const link::FromPartner& from) {
        const xml::StreamScope scope;
        const xml::Stanza stanza = xml::parse_stanza(from.stanza, scope);
        const std::string their(from.from_domain);
        FEDGATE_CHECK(errors_go_to->take_stanza(
            {0, "a.example", their,
             "<message type='error' from='" + std::string(stanza.to) + "' to='" +
                 std::string(stanza.from) + "' id='" + std::string(stanza.id) + "'><body>" +
                 std::string(error_bytes, 'e') + "</body></message>"}));
    }
    [[nodiscard]] std::ptrdiff_t messages(Bytes domain) const {
        return std::ranges::count_if(got, [domain](const Got& one) {
            return one.domain == domain && one.stanza.starts_with("<message");
        });
    }

    bool room = true;
    edge::Edge* errors_go_to = nullptr;
    std::size_t error_bytes = 100;
    edge::Edge* pings_go_to = nullptr;
    unsigned pings = 0;
    unsigned refused = 0;
    std::vector<Got> got;
    std::vector<link::Outcome> outcomes;
    struct News {
        link::PartnerNews::Kind kind;
        link::Fault fault;
        std::string domains;
        std::string why;
    };
    std::vector<News> news;
};

class EdgePair : public testing::Test {
protected:
    void start(Settings ours = {}, Settings theirs = {}, std::uint32_t shards = 1,
               bool certified = false) {
        Settings a = server_rules("a.example", "b.example");
        Settings b = server_rules("b.example", "a.example");
        a.insert(a.end(), ours.begin(), ours.end());
        b.insert(b.end(), theirs.begin(), theirs.end());
        a_ = std::make_unique<Server>(simulation_, simulation_.make_node(), shards, a, certified);
        b_ = std::make_unique<Server>(simulation_, simulation_.make_node(), 1, b, certified);
        a_->knows("b.example", simulation_, b_->node());
        b_->knows("a.example", simulation_, a_->node());
        for (auto& seat : a_->seats()) a_->start_edge(seat, door_a_);
        b_->start_edge(b_->seats()[0], door_b_);
    }
    edge::Edge& a(std::size_t shard = 0) { return *a_->seats()[shard].edge; }
    edge::Edge& b() { return *b_->seats()[0].edge; }

    bool send_from_a(link::Ticket ticket, const std::string& text = "hello") {
        return a().take_stanza({ticket, "a.example", "b.example",
                                "<message from='u@a.example' to='v@b.example' id='m'><body>" +
                                    text + "</body></message>"});
    }
    // Answers that were passed on; pings are as well.
    [[nodiscard]] std::ptrdiff_t results_at_a() const {
        return std::ranges::count_if(door_a_.got, [](const Door::Got& got) {
            return got.stanza.starts_with("<iq type='result'");
        });
    }
    bool until(const std::function<bool()>& predicate, Duration time = 40s) {
        return simulation_.run_for(predicate, time);
    }

    Simulation simulation_{{.seed = 5}};
    Door door_a_;
    Door door_b_;
    std::unique_ptr<Server> a_;
    std::unique_ptr<Server> b_;
};

}  // namespace fedgate::simulation
