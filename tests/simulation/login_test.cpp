// A whole login, and one message each way, with the connection cut after every byte, broken, or
// gone silent; the names unanswered. Both ends are the product, so each login is tried in both
// roles. Afterwards nothing may be left behind, every message has its end, and the next login
// works.
#include <gtest/gtest.h>

#include "tests/simulation/house.hpp"

namespace fedgate::simulation {
namespace {

using Kind = StreamFault::Kind;

// One way in which two servers meet.
struct Way {
    const char* name;
    bool trusted;  // their certificates prove them, which also brings XEP-0198
    bool direct_tls;
    const char* tls;
    const char* sasl;
    const char* dialback;
};

constexpr Way kWays[] = {
    {"STARTTLS, EXTERNAL", true, false, "required", "required", "no"},
    {"STARTTLS, dialback", false, false, "required", "optional", "yes"},
    {"dialback in clear", false, false, "none", "none", "yes"},
    {"direct TLS, EXTERNAL", true, true, "required", "required", "no"},
    {"direct TLS, dialback", false, true, "required", "optional", "yes"},
};

class Login {
public:
    explicit Login(const Way& way)
        : way_(way), seeded_(simulation.make_loop(simulation.make_node())) {
        net::seed_tls_from(&seeded_);
        a = make(kSipDomain, kXmppDomain);
        b = make(kXmppDomain, kSipDomain);
        introduce(*a, kXmppDomain, *b);
        introduce(*b, kSipDomain, *a);
        open(*a, at_a, kSipDomain);
        open(*b, at_b, kXmppDomain);
        until([] { return false; }, 3s);
        timers_ = count_timers();
    }
    ~Login() { net::seed_tls_from(nullptr); }

    void send_both(link::Ticket ticket) {
        at_a.send(ticket, kXmppDomain);
        at_b.send(ticket, kSipDomain);
    }
    bool until(const std::function<bool()>& predicate, Duration time) {
        return simulation.run_for(predicate, time);
    }
    bool ended(link::Ticket ticket, Duration time) {
        return until([&] { return at_a.ended(ticket) && at_b.ended(ticket); }, time);
    }
    // What it was before the first connection: nothing stuck, nothing forgotten.
    bool quiet(Duration time) {
        return until(
            [&] {
                return count_timers() == timers_ && sockets(*a) == 1 && sockets(*b) == 1 &&
                       a->seats()[0].edge->drained() && b->seats()[0].edge->drained();
            },
            time);
    }
    std::string describe() {
        std::string text = "\ntimers at first " + std::to_string(timers_) + "\na:\n" + a->log() +
                           "b:\n" + b->log();
        for (Server* server : {a.get(), b.get()}) {
            text += std::string(server->seats()[0].edge->drained() ? "" : "not ") +
                    "drained, timers " + std::to_string(server->seats()[0].loop->timers().count()) +
                    " sockets " + std::to_string(sockets(*server)) + '\n';
            for (const edge::StreamRow& row : server->seats()[0].edge->rows()) {
                text += row.local + (row.inbound ? " <- " : " -> ") + row.peer + ' ' + row.state +
                        " waiting " + std::to_string(row.waiting) + '\n';
            }
        }
        return text;
    }
    static net::SimulatedResolver& names(Server& server) { return *server.seats()[0].resolver; }
    static std::size_t sockets(Server& server) { return server.seats()[0].loop->socket_count(); }

    Simulation simulation{{.seed = 11}};

private:
    std::unique_ptr<Server> make(const char* our, const char* their) {
        Settings settings = server_rules(our, their);
        const std::string partner = std::string("partner/") + their;
        settings.emplace_back(partner + "/tls", way_.tls);
        settings.emplace_back(partner + "/sasl", way_.sasl);
        settings.emplace_back(partner + "/dialback", way_.dialback);
        settings.emplace_back("xmpp.timeouts.inactivity", "20s");
        if (way_.direct_tls) {
            settings.emplace_back("xmpp.listen", "");
            settings.emplace_back("xmpp.listen_tls", "0.0.0.0:5270");
        }
        return std::make_unique<Server>(simulation, simulation.make_node(), 1, settings,
                                        way_.trusted);
    }
    void introduce(Server& who, const std::string& domain, Server& whom) {
        if (!way_.direct_tls) return who.knows(domain, simulation, whom.node());
        names(who).add_srv("_xmpps-server._tcp." + domain, {10, 0, 5270, "host." + domain});
        names(who).add_address("host." + domain, simulation.address(whom.node(), 0));
    }
    static void open(Server& server, House& house, const char* domain) {
        house.domain = domain;
        server.start_edge(server.seats()[0], house);
        house.edge = server.seats()[0].edge.get();
        house.loop = server.seats()[0].loop;
    }
    [[nodiscard]] std::size_t count_timers() const {
        return a->seats()[0].loop->timers().count() + b->seats()[0].loop->timers().count();
    }

    const Way& way_;
    SimulatedLoop& seeded_;
    std::size_t timers_ = 0;

public:
    House at_a;
    House at_b;
    std::unique_ptr<Server> a;
    std::unique_ptr<Server> b;
};

// One login with a fault; returns what is wrong, or nothing. `patience`: how long a partner may be
// out of reach afterwards.
std::string faulty_login(const Way& way, const std::function<void(Login&)>& hurt,
                         const std::function<void(Login&)>& heal, Duration patience) {
    Login login(way);
    hurt(login);
    login.send_both(1);
    if (!login.until([&] { return !login.at_a.fates[1].empty() && !login.at_b.fates[1].empty(); },
                     link::kFateWithin + 1s))
        return "no fate in time" + login.describe();
    if (!login.ended(1, 60s)) return "no end" + login.describe();
    for (const auto& [sender, receiver] :
         {std::pair(&login.at_a, &login.at_b), std::pair(&login.at_b, &login.at_a)}) {
        const std::string fault = fault_of(*sender, {receiver}, 1);
        if (!fault.empty()) return fault + " at " + sender->domain + login.describe();
    }
    if (!login.quiet(120s)) return "something is stuck" + login.describe();
    heal(login);
    // It works again.
    const auto works = [&](link::Ticket ticket) {
        login.send_both(ticket);
        return login.ended(ticket, 60s) &&
               login.at_a.count(ticket, link::Fate::kAcknowledged) == 1 &&
               login.at_b.count(ticket, link::Fate::kAcknowledged) == 1;
    };
    const Instant start = login.simulation.now();
    link::Ticket ticket = 2;
    while (!works(ticket)) {
        if (login.simulation.now() - start > patience)
            return "no login afterwards" + login.describe();
        login.until([] { return false; }, 1s);
        ++ticket;
    }
    for (const auto& [sender, receiver] :
         {std::pair(&login.at_a, &login.at_b), std::pair(&login.at_b, &login.at_a)}) {
        for (link::Ticket one = 1; one <= ticket; ++one) {
            const std::string fault = fault_of(*sender, {receiver}, one);
            if (!fault.empty()) return fault + " later, at " + sender->domain + login.describe();
        }
    }
    if (!login.quiet(120s)) return "something is stuck at the end" + login.describe();
    login.a->seats()[0].edge->stop_accepting();
    login.b->seats()[0].edge->stop_accepting();
    login.until([] { return false; }, 1s);
    if (Login::sockets(*login.a) + Login::sockets(*login.b) != 0) return "sockets are left";
    return {};
}

std::vector<StreamRecord> undisturbed(const Way& way) {
    std::vector<StreamRecord> records;
    const auto record = [&](Login& login) { login.simulation.record_streams(); };
    const auto keep = [&](Login& login) { records = login.simulation.stream_records(); };
    EXPECT_EQ(faulty_login(way, record, keep, {}), "") << way.name;
    return records;
}

// FEDGATE_EVERY_BYTE=1: minutes instead of seconds.
bool every_byte() { return std::getenv("FEDGATE_EVERY_BYTE") != nullptr; }

// Where to cut. In clear text: in each element and at its borders; under TLS, where nothing happens
// before a record is complete: in each record and at its borders.
std::vector<std::size_t> places(Bytes stream, bool direct_tls) {
    constexpr std::size_t kStride = 17;
    std::vector<std::size_t> all;
    const auto add = [&](std::size_t at) {
        if (at <= stream.size() && (all.empty() || all.back() < at)) all.push_back(at);
    };
    if (every_byte()) {
        for (std::size_t at = 0; at <= stream.size(); ++at) add(at);
        return all;
    }
    // A handshake record: 0x16 0x03. XML has no such byte.
    std::size_t tls = direct_tls ? 0 : std::min(stream.find("\x16\x03"), stream.size());
    for (std::size_t at = 0; at < tls; ++at) {
        if (at % kStride == 0 || stream[at] == '>' || (at > 0 && stream[at - 1] == '>')) add(at);
    }
    add(tls);
    while (tls + 5 <= stream.size()) {
        const auto byte = [&](std::size_t at) {
            return static_cast<std::size_t>(static_cast<unsigned char>(stream[tls + at]));
        };
        const std::size_t next = tls + 5 + (byte(3) << 8 | byte(4));
        for (const std::size_t at : {tls + 1, tls + 5, (tls + next) / 2, next - 1, next}) add(at);
        tls = next;
    }
    return all;
}

// A message in clear text whose id was changed on the way is another message: nobody can tell.
bool in_id(Bytes stream, std::size_t at) {
    const std::size_t begin = stream.find(" id='m");
    return begin != Bytes::npos && begin < at && at < stream.find('\'', begin + 6);
}

class EveryByte : public testing::TestWithParam<Way> {
protected:
    void try_all(Kind kind, Duration patience) {
        const Way& way = GetParam();
        const auto records = undisturbed(way);
        // Both sides log in at the same time: 0 and 1. 2 and 3 are for the questions.
        ASSERT_EQ(records.size(), way.dialback == Bytes("yes") ? 4U : 2U);
        unsigned wrongs = 0;
        for (std::size_t connection = 0; connection < records.size(); connection += 2) {
            for (const bool from_client : {true, false}) {
                const StreamRecord& record = records[connection];
                const Bytes bytes = from_client ? record.from_client : record.from_server;
                for (const std::size_t at : places(bytes, way.direct_tls)) {
                    if (kind == Kind::kGarbage && in_id(bytes, at)) continue;
                    const StreamFault fault{kind, connection, from_client, at};
                    const auto hurt = [&](Login& login) { login.simulation.inject(fault); };
                    const std::string wrong = faulty_login(way, hurt, [](Login&) {}, patience);
                    EXPECT_EQ(wrong, "")
                        << way.name << ": connection " << connection << ' '
                        << (from_client ? "->" : "<-") << " after " << at << " of " << bytes.size();
                    if (!wrong.empty() && ++wrongs == 5) return;
                }
            }
        }
    }
};

TEST_P(EveryByte, AReset) { try_all(Kind::kReset, 10s); }
TEST_P(EveryByte, AnEnd) { try_all(Kind::kEnd, 10s); }
TEST_P(EveryByte, ABlackHole) { try_all(Kind::kHole, 60s); }
// What is garbled in clear text may be an answer that holds for a minute (S2S-21).
TEST_P(EveryByte, Garbage) { try_all(Kind::kGarbage, 130s); }

// The names of either side, one of them or all, get no answer.
TEST_P(EveryByte, SilentNames) {
    const Way& way = GetParam();
    const std::vector<std::string> prefixes = {"_xmpp-server._tcp.", "_xmpps-server._tcp.", "host.",
                                               ""};
    for (unsigned set = 1; set < 16; ++set) {
        for (const unsigned who : {1U, 2U, 3U}) {
            const auto silence = [&](Login& login, bool silent) {
                for (std::size_t i = 0; i < prefixes.size(); ++i) {
                    if ((set >> i & 1) == 0) continue;
                    if ((who & 1) != 0)
                        login.names(*login.a).set_silent(prefixes[i] + kXmppDomain, silent);
                    if ((who & 2) != 0)
                        login.names(*login.b).set_silent(prefixes[i] + kSipDomain, silent);
                }
            };
            EXPECT_EQ(faulty_login(
                          way, [&](Login& login) { silence(login, true); },
                          [&](Login& login) { silence(login, false); }, 60s),
                      "")
                << way.name << ": names " << set << " of " << who;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Login, EveryByte, testing::ValuesIn(kWays), [](const auto& way) {
    std::string name = way.param.name;
    std::erase_if(name, [](char c) { return c == ' ' || c == ','; });
    return name;
});

}  // namespace
}  // namespace fedgate::simulation
