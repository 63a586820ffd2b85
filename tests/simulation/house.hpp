// The users of one server, for tests that look at single messages.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <map>
#include <string>
#include <vector>

#include "tests/simulation/world.hpp"

namespace fedgate::simulation {

// The users of one server, and a gateway that answers pings.
struct House final : link::GatewayDoor {
    bool take_stanza(const link::FromPartner& from) override {
        const xml::StreamScope scope;
        const xml::Stanza stanza = xml::parse_stanza(from.stanza, scope);
        if (stanza.kind == xml::StanzaKind::kMessage) ++delivered[std::string(stanza.id)];
        if (stanza.kind == xml::StanzaKind::kIq && stanza.type == "get") {
            const std::string answer = "<iq type='result' from='" + std::string(stanza.to) +
                                       "' to='" + std::string(stanza.from) + "' id='" +
                                       std::string(stanza.id) + "'/>";
            FEDGATE_CHECK(edge->take_stanza({0, stanza.to, from.from_domain, answer}));
        }
        return true;
    }
    void on_outcome(const link::Outcome& outcome) override {
        fates[outcome.ticket].push_back(outcome.fate);
        if (outcome.fate == link::Fate::kFailed || outcome.fate == link::Fate::kWritten) {
            fate_after_max = std::max(fate_after_max, loop->now() - sent_at[outcome.ticket]);
        }
    }
    [[nodiscard]] std::size_t count(link::Ticket ticket, link::Fate fate) {
        return static_cast<std::size_t>(std::ranges::count(fates[ticket], fate));
    }
    // Nothing more is to come for it.
    [[nodiscard]] bool ended(link::Ticket ticket) {
        return !fates[ticket].empty() && fates[ticket].back() != link::Fate::kWritten;
    }
    void send(link::Ticket ticket, const std::string& to) {
        const std::string name = "m" + std::to_string(ticket);
        sent_at[ticket] = loop->now();
        FEDGATE_CHECK(edge->take_stanza({ticket, domain, to,
                                         "<message from='u@" + domain + "' to='v@" + to + "' id='" +
                                             name + "'><body>x</body></message>"}));
    }

    std::string domain;
    edge::Edge* edge = nullptr;
    std::map<std::string, unsigned> delivered;
    std::map<link::Ticket, std::vector<link::Fate>> fates;
    std::map<link::Ticket, Instant> sent_at;
    Duration fate_after_max{};  // the longest that a sender has waited for a first word
    SimulatedLoop* loop = nullptr;
};

// The law, for a message that was sent, and got by one of those, or not. Empty: it is kept.
inline std::string fault_of(House& sender, std::initializer_list<House*> receivers,
                            link::Ticket ticket) {
    unsigned delivered = 0;
    for (House* one : receivers) delivered += one->delivered["m" + std::to_string(ticket)];
    const std::size_t failed = sender.count(ticket, link::Fate::kFailed);
    const std::size_t doubts = sender.count(ticket, link::Fate::kInDoubt);
    const std::size_t sure = sender.count(ticket, link::Fate::kAcknowledged);
    const std::size_t written = sender.count(ticket, link::Fate::kWritten);
    if (delivered > 1) return "delivered twice";
    if (failed + doubts + sure != 1) return "not one end";
    if (written != doubts + sure) return "written, or not?";
    if (failed == 1 && delivered != 0) return "refused, and delivered";
    if (sure == 1 && delivered != 1) return "acknowledged, and not delivered";
    return {};
}

}  // namespace fedgate::simulation
