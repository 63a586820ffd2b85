// Where traffic goes when a partner's servers die, and when they come back (DNS-7, DNS-8, DNS-9).
#include <set>

#include <gtest/gtest.h>

#include "tests/simulation/house.hpp"

namespace fedgate::simulation {
namespace {

// Ours, and a partner with two servers: the first one has priority.
class Failover : public testing::Test {
protected:
    void start(std::uint64_t seed = 3) {
        simulation_ = std::make_unique<Simulation>(SimulationSettings{.seed = seed});
        server_ = make(kSipDomain, kXmppDomain, users_);
        for (int i = 0; i < 2; ++i) far_[i] = make(kXmppDomain, kSipDomain, far_users_[i]);
        net::SimulatedResolver& names = *server_->seats()[0].resolver;
        for (int i = 0; i < 2; ++i) {
            const std::string host = "host" + std::to_string(i) + "." + kXmppDomain;
            names.add_srv(std::string("_xmpp-server._tcp.") + kXmppDomain,
                          {static_cast<std::uint16_t>(10 + 10 * i), 0, 5269, host});
            names.add_address(host, simulation_->address(far_[i]->node(), 0));
            far_[i]->knows(kSipDomain, *simulation_, server_->node());
        }
    }
    std::unique_ptr<Server> make(const char* our, const char* their, House& house) {
        Settings settings = server_rules(our, their);
        settings.emplace_back(std::string("partner/") + their + "/sasl", "required");
        settings.emplace_back(std::string("partner/") + their + "/dialback", "no");
        auto server =
            std::make_unique<Server>(*simulation_, simulation_->make_node(), 1, settings, true);
        house.domain = our;
        server->start_edge(server->seats()[0], house);
        house.edge = server->seats()[0].edge.get();
        house.loop = server->seats()[0].loop;
        return server;
    }
    void TearDown() override {
        for (link::Ticket ticket = 1; ticket < next_; ++ticket) {
            EXPECT_EQ(fault_of(users_, {&far_users_[0], &far_users_[1]}, ticket), "") << ticket;
        }
    }

    enum class Death { kRefuses, kSilent };
    void kill(int which, Death death) {
        const SocketAddress door = simulation_->address(far_[which]->node(), 5269);
        if (death == Death::kSilent) {
            simulation_->cut(server_->node(), far_[which]->node());
            return;
        }
        simulation_->refuse_connects(door, true);
        while (simulation_->break_connection(1)) {
        }
    }
    void revive(int which) {
        simulation_->refuse_connects(simulation_->address(far_[which]->node(), 5269), false);
        simulation_->heal(server_->node(), far_[which]->node());
    }

    link::Ticket send() {
        users_.send(next_, kXmppDomain);
        return next_++;
    }
    bool until(const std::function<bool()>& predicate, Duration time) {
        return simulation_->run_for(predicate, time);
    }
    // Ten messages a second, until it is so; how long it took.
    Duration traffic_until(const std::function<bool()>& predicate, Duration time) {
        const Instant start = simulation_->now();
        while (!predicate() && simulation_->now() - start < time) {
            send();
            static_cast<void>(until(predicate, 100ms));
        }
        return simulation_->now() - start;
    }
    [[nodiscard]] std::size_t got(int which) const { return far_users_[which].delivered.size(); }
    // More than now.
    std::function<bool()> more(int which) {
        return [this, which, before = got(which)] { return got(which) > before; };
    }
    void settle() {
        ASSERT_TRUE(until(
            [&] {
                for (link::Ticket ticket = 1; ticket < next_; ++ticket) {
                    if (!users_.ended(ticket)) return false;
                }
                return true;
            },
            60s));
    }

    std::unique_ptr<Simulation> simulation_;
    House users_;
    House far_users_[2];
    std::unique_ptr<Server> server_;
    std::unique_ptr<Server> far_[2];
    link::Ticket next_ = 1;
};

TEST_F(Failover, FromAServerThatRefusesWithinASecond) {  // DNS-7
    start();
    kill(0, Death::kRefuses);
    send();
    EXPECT_TRUE(until(more(1), 1s));
    settle();
}

TEST_F(Failover, FromABlackHoleWithinFiveSeconds) {  // DNS-6, DNS-7
    start();
    kill(0, Death::kSilent);
    send();
    EXPECT_TRUE(until(more(1), 5s));
    settle();
}

// Under traffic. Nobody is moved back while a stream stands: the next one goes to the better server
// again, once its 30 s are over (DNS-8).
TEST_F(Failover, TrafficMovesAndComesBack) {
    start();
    EXPECT_LT(traffic_until([&] { return got(0) >= 20; }, 10s), 4s);
    kill(0, Death::kRefuses);
    EXPECT_LT(traffic_until(more(1), 10s), 1s);
    EXPECT_EQ(server_->count(Counter::kXmppOutMoved), 1U);
    revive(0);
    const std::size_t before = got(0);
    traffic_until([] { return false; }, 35s);
    EXPECT_EQ(got(0), before);
    kill(1, Death::kRefuses);
    EXPECT_LT(traffic_until(more(0), 10s), 1s);
    revive(1);
    const std::size_t there = got(1);
    traffic_until([] { return false; }, 5s);
    while (simulation_->break_connection(1)) {
    }
    EXPECT_LT(traffic_until(more(0), 10s), 1s);  // both are there: the better one
    EXPECT_EQ(got(1), there);
    EXPECT_EQ(server_->count(Counter::kXmppOutMoved), 2U);
    settle();
}

TEST_F(Failover, WithoutAnyServerEverySenderIsTold) {  // DNS-8, DNS-9
    start();
    traffic_until([&] { return got(0) >= 5; }, 10s);
    kill(0, Death::kRefuses);
    kill(1, Death::kSilent);
    std::set<Instant> failures;
    std::uint64_t count = server_->count(Counter::kXmppOutFailed);
    traffic_until(
        [&] {
            if (server_->count(Counter::kXmppOutFailed) == count) return false;
            count = server_->count(Counter::kXmppOutFailed);
            failures.insert(simulation_->now());
            return false;
        },
        120s);
    settle();
    EXPECT_LE(users_.fate_after_max, link::kFateWithin + 1s);
    // One attempt every 2-4 s and what it takes itself, with jitter.
    EXPECT_GT(failures.size(), 15U);
    EXPECT_LT(failures.size(), 45U);
    std::set<Duration> gaps;
    for (auto at = failures.begin(); std::next(at) != failures.end(); ++at) {
        gaps.insert(*std::next(at) - *at);
    }
    EXPECT_GT(*gaps.rbegin() - *gaps.begin(), 500ms);
}

// Whichever it is, whatever the other one does meanwhile, whenever it is.
TEST_F(Failover, TrafficIsBackWithinFiveSecondsOfTheFirstReturn) {  // DNS-8
    for (const Death first : {Death::kRefuses, Death::kSilent}) {
        for (const Death second : {Death::kRefuses, Death::kSilent}) {
            for (const int returns : {0, 1}) {
                for (int phase = 0; phase < 8; ++phase) {
                    for (House& house : far_users_) house = {};
                    users_ = {};
                    next_ = 1;
                    far_[0].reset();
                    far_[1].reset();
                    server_.reset();
                    start(static_cast<std::uint64_t>(phase) + 10);
                    traffic_until([&] { return got(0) >= 3; }, 10s);
                    kill(0, first);
                    kill(1, second);
                    traffic_until([] { return false; }, 40s + phase * 700ms);
                    revive(returns);
                    EXPECT_LT(traffic_until(more(returns), 20s), 5s)
                        << returns << " returns, phase " << phase << ", first "
                        << static_cast<int>(first) << ", second " << static_cast<int>(second);
                    settle();
                }
            }
        }
    }
}

// A server that many partners share goes down and comes back at once.
class MassLoss : public testing::Test {
protected:
    static constexpr unsigned kDomains = 90;
    static std::string domain(unsigned i) { return "d" + std::to_string(i) + ".example"; }

    MassLoss() {
        Settings ours = server_rules(kSipDomain, kXmppDomain);
        Settings theirs = server_rules(kXmppDomain, kSipDomain);
        for (Settings* settings : {&ours, &theirs}) {
            settings->emplace_back("xmpp.limits.unauthenticated_per_address", "1000");
            settings->emplace_back("xmpp.limits.connections_per_partner", "1000");
            settings->emplace_back("xmpp.timeouts.inactivity", "3600s");
        }
        for (unsigned i = 0; i < kDomains; ++i) {
            const std::string partner = "partner/" + domain(i);
            ours.emplace_back(partner + "/type", "federated");
            ours.emplace_back(partner + "/sasl", "optional");
            theirs.emplace_back("domain/" + domain(i) + "/next_hop",
                                "sip:10.99.0.1:5060;transport=tcp");
        }
        server_ = make(ours, users_);
        far_ = make(theirs, far_users_);
        other_ = make(server_rules(kXmppDomain, kSipDomain), other_users_);
        users_.domain = kSipDomain;
        for (unsigned i = 0; i < kDomains; ++i)
            server_->knows(domain(i), simulation_, far_->node());
        server_->knows(kXmppDomain, simulation_, other_->node());
        for (Server* one : {far_.get(), other_.get()}) {
            one->knows(kSipDomain, simulation_, server_->node());
        }
    }
    std::unique_ptr<Server> make(const Settings& settings, House& house) {
        auto server = std::make_unique<Server>(simulation_, simulation_.make_node(), 1, settings);
        server->start_edge(server->seats()[0], house);
        house.edge = server->seats()[0].edge.get();
        house.loop = server->seats()[0].loop;
        return server;
    }
    void pass(Duration time) {
        simulation_.run_for([] { return false; }, time);
    }
    void send_to_all(Duration between) {
        for (unsigned i = 0; i < kDomains; ++i) {
            users_.send(next_++, domain(i));
            pass(between);
        }
    }
    [[nodiscard]] std::uint64_t streams() const {
        return server_->count(Counter::kXmppOutEstablished);
    }
    void lose_all() {
        while (simulation_.break_connection(1)) {
        }
        pass(10ms);
    }

    Simulation simulation_{{.seed = 4}};
    House users_, far_users_, other_users_;
    std::unique_ptr<Server> server_;
    std::unique_ptr<Server> far_;
    std::unique_ptr<Server> other_;
    link::Ticket next_ = 1;
};

TEST_F(MassLoss, ComesBackSpread) {  // DNS-9
    send_to_all(200ms);
    pass(2s);
    ASSERT_EQ(streams(), kDomains);
    const std::uint64_t opened = server_->count(Counter::kXmppOutOpened);
    lose_all();
    ASSERT_EQ(streams(), 0U);
    // Everybody goes on writing.
    std::uint64_t after[70] = {};
    for (unsigned second = 0; second < 70; ++second) {
        send_to_all(Duration(1s) / kDomains);
        after[second] = streams();
    }
    // The first fifty at once, then one in a second or two. Sooner only those whose own stream to
    // us is among the first fifty of the other side: they ask, and are answered.
    EXPECT_GE(after[3], 50U);
    EXPECT_LE(after[3], 65U);
    EXPECT_GE(after[30], 60U);
    EXPECT_LE(after[30], 85U);
    EXPECT_EQ(after[65], kDomains);
    pass(60s);
    EXPECT_EQ(server_->count(Counter::kXmppOutOpened), opened + kDomains);  // none a second time
    EXPECT_LE(users_.fate_after_max, link::kFateWithin + 1s);
    for (link::Ticket ticket = 1; ticket < next_; ++ticket) {
        EXPECT_EQ(fault_of(users_, {&far_users_}, ticket), "") << ticket;
    }
}

TEST_F(MassLoss, DelaysNobodyElse) {  // DNS-9
    const auto reaches_the_other = [&](Duration time) {
        const std::string name = "m" + std::to_string(next_);
        users_.send(next_++, kXmppDomain);
        return simulation_.run_for([&] { return other_users_.delivered.contains(name); }, time);
    };
    send_to_all(200ms);
    pass(2s);
    ASSERT_EQ(streams(), kDomains);
    lose_all();
    ASSERT_EQ(streams(), 0U);
    ASSERT_TRUE(reaches_the_other(500ms));
    lose_all();  // in the same second; one may be back in the moment that this takes
    EXPECT_TRUE(reaches_the_other(1s)) << server_->log();
}

}  // namespace
}  // namespace fedgate::simulation
