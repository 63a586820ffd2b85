// Two edges of three shards each, proved by certificates, under load, while connections break:
// sessions are resumed (XEP-0198, S2S-16), and every message comes once or is refused.
#include <map>

#include <gtest/gtest.h>

#include "tests/simulation/world.hpp"

namespace fedgate::simulation {
namespace {

// What is behind one of the two edges: counts what comes and what becomes of what was sent.
struct Side final : link::GatewayDoor {
    struct Sent {
        unsigned written = 0, acknowledged = 0, in_doubt = 0, failed = 0, delivered = 0;
    };

    bool take_stanza(const link::FromPartner& from) override {
        const xml::StreamScope scope;
        const xml::Stanza stanza = xml::parse_stanza(from.stanza, scope);
        if (stanza.kind != xml::StanzaKind::kMessage) return true;
        if (simulation != nullptr && simulation->random(100) < busy_percent) return false;
        const link::Ticket ticket = std::stoull(std::string(stanza.id));
        Sent& one = other->sent.at(ticket);
        ++one.delivered;
        if (one.in_doubt > 0) ++late;
        if (ticket < last) ++disordered;
        last = ticket;
        return true;
    }
    void on_outcome(const link::Outcome& outcome) override {
        Sent& one = sent.at(outcome.ticket);
        switch (outcome.fate) {
            case link::Fate::kWritten: ++one.written; break;
            case link::Fate::kAcknowledged: ++one.acknowledged; break;
            case link::Fate::kInDoubt: ++one.in_doubt; break;
            case link::Fate::kFailed: ++one.failed; break;
        }
    }

    struct Totals {
        unsigned sent = 0, delivered = 0, in_doubt = 0, failed = 0, open = 0, wrong = 0;
    };
    // `wrong`: doubled, lost, or told otherwise than it is.
    [[nodiscard]] Totals totals() const {
        Totals sum;
        for (const auto& [ticket, one] : sent) {
            ++sum.sent;
            sum.in_doubt += one.in_doubt;
            sum.failed += one.failed;
            sum.delivered += one.delivered;
            const unsigned ends = one.acknowledged + one.in_doubt + one.failed;
            if (ends == 0) ++sum.open;
            const bool good = ends <= 1 && one.delivered <= 1 && one.written <= 1 &&
                              (one.acknowledged == 0 || one.delivered == 1) &&
                              (one.failed == 0 || one.delivered + one.written == 0);
            if (!good) ++sum.wrong;
        }
        return sum;
    }

    Simulation* simulation = nullptr;
    Side* other = nullptr;
    unsigned busy_percent = 0;
    std::map<link::Ticket, Sent> sent;
    link::Ticket last = 0;
    unsigned disordered = 0;
    unsigned late = 0;  // came after its sender was told that it is in doubt
};

class Resume : public testing::Test {
protected:
    void start(std::uint64_t seed, std::uint32_t shards, Settings ours = {}, Settings theirs = {}) {
        simulation_ =
            std::make_unique<Simulation>(SimulationSettings{.seed = seed, .wall_start = today()});
        const auto make = [&](const char* our, const char* their, const Settings& more) {
            Settings settings = server_rules(our, their);
            settings.insert(settings.end(), more.begin(), more.end());
            return std::make_unique<Server>(*simulation_, simulation_->make_node(), shards,
                                            settings, true);
        };
        a_ = make("a.example", "b.example", ours);
        b_ = make("b.example", "a.example", theirs);
        a_->knows("b.example", *simulation_, b_->node());
        b_->knows("a.example", *simulation_, a_->node());
        for (auto& seat : a_->seats()) a_->start_edge(seat, in_a_);
        for (auto& seat : b_->seats()) b_->start_edge(seat, in_b_);
        in_a_.simulation = in_b_.simulation = simulation_.get();
        in_a_.other = &in_b_;
        in_b_.other = &in_a_;
    }
    void TearDown() override {
        a_.reset();
        b_.reset();
    }
    void send(bool from_a, std::size_t bytes = 20) {
        Server& server = from_a ? *a_ : *b_;
        const std::string our = from_a ? "a.example" : "b.example";
        const std::string their = from_a ? "b.example" : "a.example";
        // On the first shard, which asks the one where the stream is.
        const link::Ticket ticket = link::make_ticket(0, ++serial_);
        (from_a ? in_a_ : in_b_).sent[ticket];
        ASSERT_TRUE(server.seats()[0].edge->take_stanza(
            {ticket, our, their,
             "<message from='u@" + our + "' to='v@" + their + "' id='" + std::to_string(ticket) +
                 "'><body>" + std::string(bytes, 'x') + "</body></message>"}));
    }
    [[nodiscard]] bool settled() const {
        return in_a_.totals().open == 0 && in_b_.totals().open == 0;
    }
    bool until(const std::function<bool()>& predicate, Duration time = 40s) {
        return simulation_->run_for(predicate, time);
    }
    void pass(Duration time) {
        until([] { return false; }, time);
    }
    std::string log() { return "\na:\n" + a_->log() + "b:\n" + b_->log(); }

    void restart_b() {
        for (auto& seat : b_->seats()) seat.edge->stop_accepting();
        pass(1ms);  // the listeners are gone
        for (auto& seat : b_->seats()) seat.edge.reset();
        for (auto& seat : b_->seats()) b_->start_edge(seat, in_b_);
    }
    // Messages under way in both directions.
    void fill(unsigned count) {
        send(true);
        send(false);
        ASSERT_TRUE(until([&] {
            return in_a_.totals().delivered == 1 && in_b_.totals().delivered == 1;
        })) << log();
        for (unsigned i = 0; i < count; ++i) {
            send(true);
            send(false);
        }
        pass(200us);
    }

    std::unique_ptr<Simulation> simulation_;
    Side in_a_;
    Side in_b_;
    std::unique_ptr<Server> a_;
    std::unique_ptr<Server> b_;
    std::uint64_t serial_ = 0;
};

TEST_F(Resume, WhatABrokenConnectionCarriedArrivesOnTheNext) {
    start(1, 1);
    send(true);
    ASSERT_TRUE(until([&] { return in_a_.totals().delivered == 1; })) << log();
    ASSERT_TRUE(simulation_->break_connection(1));
    for (int i = 0; i < 100; ++i) send(true);
    ASSERT_TRUE(until([&] { return settled(); })) << log();
    const auto totals = in_a_.totals();
    EXPECT_EQ(totals.delivered, 101u);
    EXPECT_EQ(totals.in_doubt + totals.failed + totals.wrong, 0u) << log();
    EXPECT_EQ(a_->count(Counter::kXmppOutResumed), 1u);
    EXPECT_EQ(b_->count(Counter::kXmppInResumed), 1u);
}

// Breaks at random bytes, both ways, while gateways are busy now and then.
// And refuse nothing either, where logins get through.
TEST_F(Resume, NothingIsRefusedWhereLoginsGetThrough) {
    for (std::uint64_t seed = 600; seed < 606; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        in_a_ = Side();
        in_b_ = Side();
        start(seed, 3);
        for (unsigned round = 0; round < 20; ++round) {
            for (unsigned i = 0; i < 200; ++i) {
                send(true, simulation_->random(100));
                send(false, simulation_->random(100));
            }
            pass(1s);
            static_cast<void>(simulation_->break_connection(1));
        }
        EXPECT_TRUE(until([&] { return settled(); }, 60s)) << log();
        for (const Side* side : {&in_a_, &in_b_}) {
            const auto totals = side->totals();
            EXPECT_EQ(totals.delivered, totals.sent);
            EXPECT_EQ(totals.wrong + totals.in_doubt + side->disordered, 0u);
        }
        TearDown();
        if (HasFailure()) return;
    }
}

TEST_F(Resume, BrokenConnectionsDoubleNothingAndLeaveNothingInDoubt) {
    std::uint64_t resumed = 0;
    for (std::uint64_t seed = 500; seed < 512; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        in_a_ = Side();
        in_b_ = Side();
        start(seed, 3);
        in_a_.busy_percent = in_b_.busy_percent = 5;
        for (unsigned round = 0; round < 25; ++round) {
            for (unsigned i = 0; i < 12; ++i) {
                send(true, simulation_->random(400));
                send(false, simulation_->random(400));
            }
            static_cast<void>(simulation_->break_connection(6'000));
            pass(std::chrono::milliseconds(simulation_->random(800)));
        }
        EXPECT_TRUE(until([&] { return settled(); }, 60s)) << log();
        for (const Side* side : {&in_a_, &in_b_}) {
            const auto totals = side->totals();
            EXPECT_EQ(totals.open, 0u);
            EXPECT_EQ(totals.wrong, 0u);
            EXPECT_EQ(totals.in_doubt, 0u);
            EXPECT_EQ(totals.delivered + totals.failed, totals.sent);
            EXPECT_GT(totals.delivered, totals.sent / 3);  // logins break too
            EXPECT_EQ(side->disordered, 0u);
        }
        resumed += a_->count(Counter::kXmppOutResumed) + b_->count(Counter::kXmppOutResumed);
        if (HasFailure()) std::fputs(log().c_str(), stderr);
        TearDown();
        if (HasFailure()) return;
    }
    EXPECT_GT(resumed, 60u);
}

// A partner that has forgotten the session says so: in doubt at once, and never sent again.
TEST_F(Resume, ARestartedPartnerLeavesDoubtNotDoubles) {
    start(2, 3);
    fill(0);
    pass(6s);  // acknowledged
    in_b_.busy_percent = 100;
    for (unsigned i = 0; i < 100; ++i) send(true);
    pass(1s);  // all is written, nothing handled
    restart_b();
    in_b_.busy_percent = 0;
    ASSERT_TRUE(until([&] { return in_a_.totals().open == 0; }, 10s)) << log();
    const auto totals = in_a_.totals();
    EXPECT_EQ(totals.in_doubt, 100u);
    EXPECT_EQ(totals.delivered, 1u);
    EXPECT_EQ(totals.wrong + in_b_.late, 0u);
    send(true);  // and goes on
    ASSERT_TRUE(until([&] { return in_a_.totals().open == 0; }, 10s)) << log();
    EXPECT_EQ(in_a_.totals().delivered, 2u);
}

// Both ends of the old streams still look alive to the one that is asked, on whatever shard.
TEST_F(Resume, ABlackHoleThatHealsInTimeIsNoDoubt) {
    for (std::uint64_t seed = 20; seed < 24; ++seed) {
        in_a_ = Side();
        in_b_ = Side();
        start(seed, 3);
        fill(50);
        simulation_->cut(a_->node(), b_->node());
        for (unsigned i = 0; i < 50; ++i) {
            send(true);
            send(false);
        }
        pass(38s);
        simulation_->heal(a_->node(), b_->node());
        EXPECT_TRUE(until([&] { return settled(); }, 12s)) << log();
        for (const Side* side : {&in_a_, &in_b_}) {
            const auto totals = side->totals();
            EXPECT_EQ(totals.wrong + totals.in_doubt + totals.failed, 0u) << log();
            EXPECT_EQ(totals.delivered, totals.sent);
        }
        TearDown();
        if (HasFailure()) return;
    }
}

// Nobody hears of it later than its sender can be told. What was under way may still come, once.
TEST_F(Resume, ALongBlackHoleIsDoubtInTime) {
    start(30, 3);
    fill(1);
    simulation_->cut(a_->node(), b_->node());
    pass(1ms);
    for (unsigned i = 0; i < 50; ++i) send(true);
    pass(link::kDoubtWithin + 5s);
    EXPECT_EQ(in_a_.totals().open, 0u) << log();
    EXPECT_GE(in_a_.totals().in_doubt, 50u);
    simulation_->heal(a_->node(), b_->node());
    pass(100s);
    send(true);
    ASSERT_TRUE(until([&] { return in_a_.totals().open == 0; })) << log();
    EXPECT_EQ(in_a_.totals().wrong, 0u);
}

TEST_F(Resume, ADeadPartnerIsDoubtInTime) {
    start(31, 3);
    in_b_.busy_percent = 100;
    send(true);
    ASSERT_TRUE(until([&] { return in_a_.sent.begin()->second.written == 1; }));
    simulation_->kill(b_->node());
    pass(40s);
    send(true);  // no stream: refused soon
    ASSERT_TRUE(until([&] { return in_a_.totals().open == 0; }, 15s)) << log();
    EXPECT_EQ(in_a_.totals().in_doubt, 1u);
    EXPECT_EQ(in_a_.totals().failed, 1u);
    EXPECT_EQ(in_a_.totals().wrong, 0u);
}

// A stanza that the partner breaks under does not become a storm of connections.
TEST_F(Resume, ConnectionsThatBringNothingArePaused) {
    start(33, 3);
    in_b_.busy_percent = 100;
    send(true);
    ASSERT_TRUE(until([&] { return in_a_.sent.begin()->second.written == 1; }));
    const Instant begin = simulation_->now();
    ASSERT_TRUE(simulation_->break_connection(1));
    while (simulation_->now() - begin < 30s) {
        const std::uint64_t resumed = b_->count(Counter::kXmppInResumed);
        if (!until([&] { return b_->count(Counter::kXmppInResumed) != resumed; }, 10s)) break;
        until([&] { return a_->count(Counter::kXmppOutResumed) > resumed; }, 10ms);
        static_cast<void>(simulation_->break_connection(1));
    }
    EXPECT_GE(b_->count(Counter::kXmppInResumed), 3u);
    EXPECT_LE(b_->count(Counter::kXmppInResumed), 10u);
    in_b_.busy_percent = 0;
    EXPECT_TRUE(until([&] { return in_a_.totals().open == 0; }, 20s)) << log();
    EXPECT_EQ(in_a_.totals().delivered, 1u);
}

// What is kept for resumption is bounded: the rest waits, and is not lost.
TEST_F(Resume, KeptBytesAreBounded) {
    start(32, 1, {{"xmpp.queue.bytes", "64KiB"}});
    fill(0);
    in_b_.busy_percent = 100;
    for (unsigned i = 0; i < 100; ++i) send(true, 1'000);
    pass(3s);
    unsigned written = 0;
    for (const auto& [ticket, one] : in_a_.sent) written += one.written;
    EXPECT_GT(written, 50u);
    EXPECT_LE(written, 64u);
    ASSERT_TRUE(simulation_->break_connection(1));
    in_b_.busy_percent = 0;
    ASSERT_TRUE(until([&] { return settled(); })) << log();
    EXPECT_EQ(in_a_.totals().wrong, 0u);
    EXPECT_EQ(in_a_.totals().delivered, 101u) << log();
}

// The same with gateway and SIP: whatever breaks, no doubt comes from the streams between servers.
TEST(ResumeWithGateway, NoMessageIsInDoubtForABrokenStream) {
    std::uint64_t resumed = 0;
    for (std::uint64_t seed = 700; seed < 706; ++seed) {
        World world(seed, {.shards = 3, .certified = true});
        world.ledger.allowed_refusals = 4;
        for (unsigned round = 0; round < 40; ++round) {
            for (unsigned i = 0; i < 5; ++i) {
                world.send_to_sip(i);
                world.send_to_xmpp(i);
            }
            static_cast<void>(world.simulation.break_connection(4'000));
            world.simulation.run_for([] { return false; }, 300ms);
        }
        world.settle(200s);
        const auto totals = world.ledger.totals();
        EXPECT_EQ(totals.open, 0U) << "seed " << seed << world.describe();
        EXPECT_EQ(totals.doubled, 0U) << "seed " << seed;
        EXPECT_EQ(totals.disordered, 0U) << "seed " << seed;
        EXPECT_EQ(world.fedgate.count(Counter::kMessagesS2xInDoubt), 0U) << "seed " << seed;
        for (const auto& [name, entry] : world.ledger.entries) {
            EXPECT_FALSE(entry.to_sip && entry.own_doubt) << name << ", seed " << seed;
        }
        resumed += world.fedgate.count(Counter::kXmppOutResumed) +
                   world.partner.count(Counter::kXmppOutResumed);
    }
    EXPECT_GT(resumed, 20U);
}

}  // namespace
}  // namespace fedgate::simulation
