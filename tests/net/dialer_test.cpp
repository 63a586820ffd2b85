#include "net/dialer.hpp"

#include <gtest/gtest.h>

#include "tests/net/loops.hpp"

namespace fedgate::net {
namespace {

// Connects from the first node; servers stand on others. All time is virtual.
struct DialerTest : testing::Test, DialerOwner, ConnectionOwner, FinderOwner, SocketOwner {
    void SetUp() override {
        here = simulation.make_node();
        loop = &simulation.make_loop(here);
        there = simulation.make_node();
        server_loop = &simulation.make_loop(there);
        resolver = std::make_unique<SimulatedResolver>(*loop);
        dialer = std::make_unique<Dialer>(*loop, *resolver, *this, &pool);
    }
    void TearDown() override {
        dialer.reset();
        finder.reset();
        connection.reset();
        resolver.reset();
        run([] { return false; }, 1s);
    }
    template <typename Predicate>
    bool run(Predicate&& predicate, Duration at_most = 60s) {
        return simulation.run_for(predicate, at_most);
    }
    void serve(const SocketAddress& address) { ASSERT_TRUE(server_loop->listen(address, *this)); }
    void dial(Lookup lookup) {
        dialed = failed = 0;
        dialer->start(std::move(lookup), *this, {65'536, 65'536});
        EXPECT_EQ(dialed + failed, 0);
        ASSERT_TRUE(run([this] { return dialed + failed > 0; }));
    }

    // DialerOwner
    void on_dialed(Dialer&, std::unique_ptr<Connection> c, const Target& target) override {
        ++dialed;
        connection = std::move(c);
        reached = target;
    }
    void on_dial_failed(Dialer&, DialFault why, Error error, Instant when) override {
        ++failed;
        fault = why;
        last = error;
        retry_at = when;
        if (destroy_when_failed) dialer.reset();
    }
    // ConnectionOwner
    std::size_t on_data(Connection&, MutableBytes input) override { return input.size(); }
    void on_closed(Connection&, Error) override {}
    // FinderOwner
    void on_found(Finder&, LookupStatus how, std::vector<Target> targets, Duration time) override {
        ++found;
        status = how;
        list = std::move(targets);
        ttl = time;
    }
    // SocketOwner
    void on_accept(Socket, Socket accepted, const SocketAddress&) override {
        server_loop->adopt(accepted, *this);
        ++accepted_count;
    }
    void on_end(Socket socket, int) override { server_loop->close(socket); }

    Simulation simulation{SimulationSettings{}};
    Simulation::Node here{}, there{};
    SimulatedLoop* loop = nullptr;
    SimulatedLoop* server_loop = nullptr;
    TargetPool pool;
    std::unique_ptr<SimulatedResolver> resolver;
    std::unique_ptr<Dialer> dialer;
    std::unique_ptr<Finder> finder;
    std::unique_ptr<Connection> connection;
    Target reached;
    int dialed = 0, failed = 0, found = 0, accepted_count = 0;
    DialFault fault{};
    Error last{};
    Instant retry_at{};
    LookupStatus status{};
    std::vector<Target> list;
    Duration ttl{};
    bool destroy_when_failed = false;
};

// DNS-1, DNS-2.
TEST_F(DialerTest, WalksSrvTargets) {
    serve(simulation.address(there, 5270));
    resolver->add_srv("_xmpps-server._tcp.example.org", {1, 0, 5270, "good.example"});
    resolver->add_srv("_xmpp-server._tcp.example.org", {0, 0, 5269, "dead.example"});
    resolver->add_address("good.example", simulation.address(there, 0));
    resolver->add_address("dead.example", simulation.address(there, 0));  // nobody on 5269
    dial(Lookup::xmpp("example.org"));
    ASSERT_EQ(dialed, 1);
    EXPECT_EQ(reached.host, "good.example");
    EXPECT_EQ(reached.transport, Transport::kTls);
    EXPECT_TRUE(same_address(connection->peer_address(), simulation.address(there, 5270)));
    EXPECT_TRUE(dialer->busy());
    dialer->succeeded();
    EXPECT_FALSE(dialer->busy());
    // DNS-8: the dead one is not tried again now.
    resolver->add_address("dead.example", simulation.address(there, 0));
    const Instant start = loop->now();
    dial(Lookup::xmpp("example.org"));
    ASSERT_EQ(dialed, 1);
    EXPECT_LT(loop->now() - start, 1s);
    dialer->succeeded();
}

// DNS-4, ERR-40: neither SRV nor address.
TEST_F(DialerTest, TellsNoDomainFromDnsFailureFromUnreachable) {
    dial(Lookup::xmpp("nothing.example"));
    EXPECT_EQ(failed, 1);
    EXPECT_EQ(fault, DialFault::kNoDomain);

    resolver->set_failing("_xmpps-server._tcp.broken.example", DnsStatus::kFailed);
    resolver->set_failing("_xmpp-server._tcp.broken.example", DnsStatus::kFailed);
    resolver->set_failing("broken.example", DnsStatus::kFailed);
    dial(Lookup::xmpp("broken.example"));
    EXPECT_EQ(fault, DialFault::kDnsFailed);

    resolver->add_srv("_xmpp-server._tcp.none.example", {0, 0, 0, ""});  // DNS-3
    dial(Lookup::xmpp("none.example"));
    EXPECT_EQ(fault, DialFault::kNoDomain);

    resolver->add_address("refusing.example", simulation.address(there, 0));
    dial(Lookup::xmpp("refusing.example"));  // DNS-4: its own address, port 5269
    EXPECT_EQ(fault, DialFault::kUnreachable);
    EXPECT_EQ(last.code, Errc::kRefused);
    // DNS-8: worth another try in 2-4 s, not before.
    EXPECT_GE(retry_at, loop->now() + 1s);
    EXPECT_LE(retry_at, loop->now() + 4s);
    dial(Lookup::xmpp("refusing.example"));
    EXPECT_EQ(fault, DialFault::kUnreachable);
    serve(simulation.address(there, 5269));
    ASSERT_TRUE(run([this] { return loop->now() >= retry_at; }) || true);
    dial(Lookup::xmpp("refusing.example"));
    EXPECT_EQ(dialed, 1);
    dialer->succeeded();
}

// DNS-6: families raced, 250 ms apart, 3 s for each address.
TEST_F(DialerTest, RacesAddresses) {
    const auto hole = simulation.make_node();
    ASSERT_TRUE(simulation.make_loop(hole).listen(simulation.address(hole, 5269), *this));
    simulation.cut(here, hole);
    serve(simulation.address(there, 5269));
    resolver->add_address("example.org", simulation.address(hole, 0));
    resolver->add_address("example.org", simulation.address(there, 0));
    const Instant start = loop->now();
    dial(Lookup::fixed("example.org", 5269, Transport::kTcp));
    ASSERT_EQ(dialed, 1);
    EXPECT_GE(loop->now() - start, 250ms);
    EXPECT_LT(loop->now() - start, 400ms);
    dialer->succeeded();

    resolver->clear("example.org");
    resolver->add_address("example.org", simulation.address(hole, 0));
    const Instant again = loop->now();
    dial(Lookup::fixed("example.org", 5269, Transport::kTcp));
    EXPECT_EQ(fault, DialFault::kUnreachable);
    EXPECT_EQ(last.code, Errc::kTimeout);
    EXPECT_GE(loop->now() - again, 3s);
    EXPECT_LT(loop->now() - again, 3200ms);
}

// DNS-6: at most eight addresses for each attempt.
TEST_F(DialerTest, BoundsTheAttempt) {
    const auto hole = simulation.make_node();
    ASSERT_TRUE(simulation.make_loop(hole).listen(simulation.address(hole, 5269), *this));
    simulation.cut(here, hole);
    for (int i = 0; i < 20; ++i) resolver->add_address("many.example", simulation.address(hole, 0));
    const Instant start = loop->now();
    dial(Lookup::fixed("many.example", 5269, Transport::kTcp));
    EXPECT_EQ(failed, 1);
    EXPECT_LE(loop->now() - start, 3s + 8 * 250ms);

    resolver->set_delay(40s);
    const Instant slow = loop->now();
    dial(Lookup::xmpp("slow.example"));
    EXPECT_EQ(fault, DialFault::kTimeout);
    EXPECT_GE(loop->now() - slow, 30s);
    EXPECT_LT(loop->now() - slow, 31s);
}

// DNS-6: the whole set-up has 30 s, also when each target opens and then disappoints.
TEST_F(DialerTest, TheWholeSetUpHasItsTime) {
    serve(simulation.address(there, 5269));
    for (std::uint16_t i = 0; i < 8; ++i) {
        const std::string host = "t" + std::to_string(i) + ".example";
        resolver->add_srv("_xmpp-server._tcp.example.org", {i, 0, 5269, host});
        resolver->add_address(host, simulation.address(there, 0));
    }
    const Instant start = loop->now();
    dial(Lookup::xmpp("example.org"));
    int mute = 0;
    while (failed == 0) {
        ++mute;
        run([] { return false; }, 10s);  // S2S-60: no stream header
        connection.reset();
        const int before = dialed;
        dialer->next({Errc::kTimeout, 0, "test"});
        ASSERT_TRUE(run([&] { return dialed > before || failed > 0; }));
    }
    EXPECT_EQ(mute, 3);
    EXPECT_EQ(fault, DialFault::kTimeout);
    EXPECT_LT(loop->now() - start, 31s);
    // Those that were asked are skipped: the next attempt goes on behind them.
    dial(Lookup::xmpp("example.org"));
    EXPECT_EQ(reached.host, "t3.example");
    dialer->succeeded();
}

// DNS-6: IPv6 first, IPv4 250 ms later; a refusal does not wait for that.
TEST_F(DialerTest, RacesTheFamilies) {
    const SocketAddress v6 = *parse_ip("2001:db8::5", 5269);
    const auto six = simulation.make_node();
    ASSERT_TRUE(simulation.make_loop(six).listen(v6, *this));
    serve(simulation.address(there, 5269));
    resolver->add_address("both.example", simulation.address(there, 0));
    resolver->add_address("both.example", *parse_ip("2001:db8::5", 0));
    const Lookup both = Lookup::fixed("both.example", 5269, Transport::kTcp);
    dial(both);
    ASSERT_EQ(dialed, 1);
    EXPECT_TRUE(same_address(connection->peer_address(), v6));
    dialer->succeeded();
    simulation.cut(here, six);
    Instant start = loop->now();
    dial(both);
    ASSERT_EQ(dialed, 1);
    EXPECT_TRUE(same_address(connection->peer_address(), simulation.address(there, 5269)));
    EXPECT_GE(loop->now() - start, 250ms);
    EXPECT_LT(loop->now() - start, 400ms);
    dialer->succeeded();
    simulation.heal(here, six);
    simulation.refuse_connects(v6, true);
    start = loop->now();
    dial(both);
    ASSERT_EQ(dialed, 1);
    EXPECT_LT(loop->now() - start, 100ms);
    dialer->succeeded();
    simulation.refuse_connects(v6, false);

    // X2: there may be no IPv4 at all.
    resolver->add_address("six.example", *parse_ip("2001:db8::5", 0));
    dial(Lookup::xmpp("six.example"));
    ASSERT_EQ(dialed, 1);
    EXPECT_TRUE(same_address(connection->peer_address(), v6));
    dialer->succeeded();
}

// DNS-4: SRV leads nowhere: the domain's own address is not tried instead.
TEST_F(DialerTest, SrvThatFailsIsNotReplacedByTheDomainsAddress) {
    serve(simulation.address(there, 5269));
    resolver->add_address("example.org", simulation.address(there, 0));
    resolver->add_srv("_xmpp-server._tcp.example.org", {0, 0, 5000, "dead.example"});
    resolver->add_srv("_xmpp-server._tcp.example.org", {0, 0, 5269, "nameless.example"});
    resolver->add_address("dead.example", simulation.address(there, 0));
    dial(Lookup::xmpp("example.org"));
    EXPECT_EQ(failed, 1);
    EXPECT_EQ(fault, DialFault::kUnreachable);
    EXPECT_EQ(accepted_count, 0);
}

// The next target within 1 s of a refusal and 5 s of a black hole, however many addresses it has.
TEST_F(DialerTest, FailsOverInTime) {
    const auto hole = simulation.make_node();
    ASSERT_TRUE(simulation.make_loop(hole).listen(simulation.address(hole, 5269), *this));
    serve(simulation.address(there, 5269));
    resolver->add_srv("_xmpp-server._tcp.example.org", {1, 0, 5269, "first.example"});
    resolver->add_srv("_xmpp-server._tcp.example.org", {2, 0, 5269, "second.example"});
    for (int i = 0; i < 8; ++i) resolver->add_address("first.example", simulation.address(hole, 0));
    resolver->add_address("second.example", simulation.address(there, 0));
    simulation.refuse_connects(simulation.address(hole, 5269), true);
    Instant start = loop->now();
    dial(Lookup::xmpp("example.org"));
    ASSERT_EQ(dialed, 1);
    EXPECT_EQ(reached.host, "second.example");
    EXPECT_LT(loop->now() - start, 1s);
    dialer->succeeded();
    simulation.refuse_connects(simulation.address(hole, 5269), false);
    simulation.cut(here, hole);
    pool = {};
    start = loop->now();
    dial(Lookup::xmpp("example.org"));
    ASSERT_EQ(dialed, 1);
    EXPECT_EQ(reached.host, "second.example");
    EXPECT_LT(loop->now() - start, 5s);
    dialer->succeeded();
}

// Nor may a name that nobody answers for hold up the targets behind it.
TEST_F(DialerTest, ATargetWhoseNameIsNotAnsweredIsPassedOver) {
    struct Slow final : Resolver {
        explicit Slow(Resolver& r) : behind(r) {}
        QueryId query(const std::string& name, DnsType type, ResolverOwner& owner) override {
            if (name.ends_with("silent.example")) return {99, ++count};
            return behind.query(name, type, owner);
        }
        void cancel(QueryId id) override {
            if (id.index != 99) behind.cancel(id);
        }
        Resolver& behind;
        std::uint32_t count = 0;
    } slow(*resolver);
    dialer = std::make_unique<Dialer>(*loop, slow, *this, &pool);
    serve(simulation.address(there, 5269));
    resolver->add_srv("_xmpp-server._tcp.example.org", {1, 0, 5269, "silent.example"});
    resolver->add_srv("_xmpp-server._tcp.example.org", {2, 0, 5269, "second.example"});
    resolver->add_address("second.example", simulation.address(there, 0));
    const Instant start = loop->now();
    dial(Lookup::xmpp("example.org"));
    ASSERT_EQ(dialed, 1);
    EXPECT_EQ(reached.host, "second.example");
    EXPECT_LT(loop->now() - start, 5s);
    dialer->succeeded();
    // Nor a service that it is not asked about often.
    struct Half final : Resolver {
        explicit Half(Resolver& r) : behind(r) {}
        QueryId query(const std::string& name, DnsType type, ResolverOwner& owner) override {
            if (name.starts_with("_xmpps-server.")) return {99, ++count};
            return behind.query(name, type, owner);
        }
        void cancel(QueryId id) override {
            if (id.index != 99) behind.cancel(id);
        }
        Resolver& behind;
        std::uint32_t count = 0;
    } half(*resolver);
    dialer = std::make_unique<Dialer>(*loop, half, *this);
    resolver->add_srv("_xmpp-server._tcp.half.example", {1, 0, 5269, "second.example"});
    const Instant again = loop->now();
    dial(Lookup::xmpp("half.example"));
    ASSERT_EQ(dialed, 1);
    EXPECT_LT(loop->now() - again, 3s);
    dialer.reset();
}

// A name may lead anywhere, but not to what is no machine: the kernel takes 0.0.0.0 for our own.
TEST_F(DialerTest, AddressesOfNobodyAreNotTried) {
    serve(simulation.address(there, 5269));
    for (const char* none : {"0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1"})
        resolver->add_address("odd.example", *parse_ip(none, 0));
    dial(Lookup::xmpp("odd.example"));
    EXPECT_EQ(fault, DialFault::kNoDomain);
    resolver->add_address("odd.example", simulation.address(there, 0));
    pool = {};
    dial(Lookup::xmpp("odd.example"));
    ASSERT_EQ(dialed, 1);
    dialer->succeeded();
}

// DNS-6: a thousand targets without an address cost a bounded number of questions.
TEST_F(DialerTest, AFloodOfTargetsIsBounded) {
    struct Counting final : Resolver {
        explicit Counting(Resolver& r) : behind(r) {}
        QueryId query(const std::string& name, DnsType type, ResolverOwner& owner) override {
            ++count;
            return behind.query(name, type, owner);
        }
        void cancel(QueryId id) override { behind.cancel(id); }
        Resolver& behind;
        int count = 0;
    } counting(*resolver);
    dialer = std::make_unique<Dialer>(*loop, counting, *this, &pool);
    for (std::uint16_t i = 0; i < 1'000; ++i) {
        resolver->add_srv("_xmpp-server._tcp.evil.example", {1, 0, 1, "t" + std::to_string(i)});
    }
    dial(Lookup::xmpp("evil.example"));
    EXPECT_EQ(failed, 1);
    EXPECT_EQ(fault, DialFault::kUnreachable);
    EXPECT_EQ(counting.count, 2 + 8 * 2);
    dialer.reset();
}

// DNS-8: all targets are black holes; whichever returns first, traffic is back within 5 s.
TEST_F(DialerTest, WhicheverReturnsFirstIsFound) {
    constexpr std::uint16_t kTargets = 5;
    std::vector<Simulation::Node> nodes;
    for (std::uint16_t i = 0; i < kTargets; ++i) {
        nodes.push_back(simulation.make_node());
        ASSERT_TRUE(simulation.make_loop(nodes.back())
                        .listen(simulation.address(nodes.back(), 5269), *this));
        const std::string host = "t" + std::to_string(i) + ".example";
        resolver->add_srv("_xmpp-server._tcp.example.org", {i, 0, 5269, host});
        resolver->add_address(host, simulation.address(nodes.back(), 0));
    }
    const auto cut_all = [&] {
        for (const auto node : nodes) simulation.cut(here, node);
    };
    for (const bool refusing : {false, true}) {
        for (std::size_t first = 0; first < kTargets; ++first) {
            pool = {};
            if (refusing) {
                for (const auto node : nodes)
                    simulation.refuse_connects(simulation.address(node, 5269), true);
            } else {
                cut_all();
            }
            dial(Lookup::xmpp("example.org"));
            EXPECT_EQ(failed, 1);
            // The same again, as traffic does it, until this one is there again.
            const Instant returns = loop->now() + 20s + 700ms * first;
            bool healed = false;
            dialed = 0;
            Instant last_start{};
            while (dialed == 0 && loop->now() < returns + 20s) {
                if (!dialer->busy() && loop->now() >= retry_at) {
                    dialer->start(Lookup::xmpp("example.org"), *this, {65'536, 65'536});
                    EXPECT_GE(loop->now() - last_start, 2s);  // and not asked more often than that
                    last_start = loop->now();
                }
                run([] { return false; }, 100ms);
                if (!healed && loop->now() >= returns) {
                    healed = true;
                    simulation.heal(here, nodes[first]);
                    simulation.refuse_connects(simulation.address(nodes[first], 5269), false);
                }
            }
            ASSERT_EQ(dialed, 1);
            EXPECT_EQ(reached.host, "t" + std::to_string(first) + ".example");
            EXPECT_LT(loop->now() - returns, 5s) << first << refusing;
            dialer->succeeded();
            connection.reset();
            for (const auto node : nodes) {
                simulation.heal(here, node);
                simulation.refuse_connects(simulation.address(node, 5269), false);
            }
        }
    }
}

// CERT-8, RFC 7673 3: TLSA counts where SRV, address and itself are secure.
TEST_F(DialerTest, TlsaIsToldWhereDnssecVouchesForAllOfIt) {
    const std::string srv = "_xmpp-server._tcp.example.org";
    const std::string tlsa = "_5300._tcp.host.example";
    serve(simulation.address(there, 5300));
    resolver->add_srv(srv, {1, 0, 5300, "host.example"});
    resolver->add_address("host.example", simulation.address(there, 0));
    resolver->add_tlsa(tlsa, {3, 1, 1, std::string(32, 'x')});
    const auto reach = [&](const char* domain) {
        pool = {};
        dial(Lookup::xmpp(domain, {.dane = true}));
        if (dialed == 1) dialer->succeeded();
        return dialed == 1 ? static_cast<int>(reached.tlsa.size()) : -1;
    };
    EXPECT_EQ(reach("example.org"), 0);
    resolver->set_secure(tlsa);
    EXPECT_EQ(reach("example.org"), 0);
    resolver->set_secure(srv);
    EXPECT_EQ(reach("example.org"), 0);  // the address could be anybody's
    resolver->set_secure("host.example");
    EXPECT_EQ(reach("example.org"), 1);
    EXPECT_EQ(reached.tlsa[0].data, std::string(32, 'x'));
    pool = {};
    dial(Lookup::xmpp("example.org"));  // partner/*/dane = no
    EXPECT_TRUE(reached.tlsa.empty());
    dialer->succeeded();

    // Kept from us: the server is not used, as if there was none.
    for (const DnsStatus how : {DnsStatus::kFailed, DnsStatus::kBogus}) {
        resolver->set_failing(tlsa, how);
        EXPECT_EQ(reach("example.org"), -1);
        EXPECT_EQ(fault, DialFault::kUnreachable);
        EXPECT_EQ(last.code, Errc::kCertificate);
    }
    // Securely absent: PKIX as ever.
    resolver->clear(tlsa);
    resolver->set_secure(tlsa);
    EXPECT_EQ(reach("example.org"), 0);

    // No SRV, which is secure as well: the domain is the server.
    serve(simulation.address(there, 5269));
    resolver->add_address("alone.example", simulation.address(there, 0));
    resolver->add_tlsa("_5269._tcp.alone.example", {3, 1, 1, std::string(32, 'y')});
    resolver->set_secure("alone.example");
    resolver->set_secure("_5269._tcp.alone.example");
    resolver->set_secure("_xmpp-server._tcp.alone.example");
    EXPECT_EQ(reach("alone.example"), 0);
    resolver->set_secure("_xmpps-server._tcp.alone.example");
    EXPECT_EQ(reach("alone.example"), 1);
}

// D8.
TEST_F(DialerTest, AForgedAnswerIsRefusedAndSaidSo) {
    serve(simulation.address(there, 5269));
    resolver->add_address("forged.example", simulation.address(there, 0));
    resolver->set_failing("_xmpp-server._tcp.forged.example", DnsStatus::kBogus);
    dial(Lookup::xmpp("forged.example"));
    EXPECT_EQ(fault, DialFault::kBogus);
    EXPECT_STREQ(last.where, "DNSSEC: a forged answer");
    resolver->add_srv("_xmpp-server._tcp.other.example", {1, 0, 5269, "host.other.example"});
    resolver->set_failing("host.other.example", DnsStatus::kBogus);
    dial(Lookup::xmpp("other.example"));
    EXPECT_EQ(fault, DialFault::kBogus);
    EXPECT_EQ(accepted_count, 0);
}

// DNS-7: a connection that opened but did not work out: the next target, in the same attempt.
TEST_F(DialerTest, GoesOnAfterTheOwnerFoundAFault) {
    serve(simulation.address(there, 1));
    serve(simulation.address(there, 2));
    resolver->add_srv("_xmpp-server._tcp.example.org", {1, 0, 1, "one.example"});
    resolver->add_srv("_xmpp-server._tcp.example.org", {2, 0, 2, "two.example"});
    resolver->add_address("one.example", simulation.address(there, 0));
    resolver->add_address("two.example", simulation.address(there, 0));
    dial(Lookup::xmpp("example.org"));
    EXPECT_EQ(reached.host, "one.example");
    connection.reset();
    dialer->next({Errc::kTls, 0, "test"});
    EXPECT_EQ(dialed, 1);
    ASSERT_TRUE(run([this] { return dialed == 2; }));
    EXPECT_EQ(reached.host, "two.example");
    connection.reset();
    dialer->next({Errc::kTls, 0, "test"});
    ASSERT_TRUE(run([this] { return failed == 1; }));
    EXPECT_EQ(fault, DialFault::kUnreachable);
    EXPECT_EQ(last.code, Errc::kTls);
}

TEST_F(DialerTest, MayBeDestroyedAtAnyTime) {
    resolver->add_address("refusing.example", simulation.address(there, 0));
    dialer->start(Lookup::xmpp("refusing.example"), *this, {1'024, 1'024});
    dialer.reset();
    run([] { return false; }, 1s);
    EXPECT_EQ(dialed + failed, 0);
    dialer = std::make_unique<Dialer>(*loop, *resolver, *this);
    destroy_when_failed = true;
    dial(Lookup::xmpp("refusing.example"));
    EXPECT_EQ(failed, 1);
    EXPECT_EQ(dialer, nullptr);
}

// SIP-6: all addresses of all targets, in order.
TEST_F(DialerTest, FinderListsAddresses) {
    finder = std::make_unique<Finder>(*loop, *resolver, *this);
    resolver->add_srv("_sip._udp.pool.example", {2, 0, 5060, "b.example"});
    resolver->add_srv("_sip._udp.pool.example", {1, 0, 5070, "a.example"});
    resolver->add_address("a.example", *parse_ip("10.0.0.1", 0));
    resolver->add_address("a.example", *parse_ip("2001:db8::1", 0));
    resolver->add_address("b.example", *parse_ip("10.0.0.2", 0));
    const Transport udp[] = {Transport::kUdp};
    finder->start(Lookup::sip("pool.example", 0, udp));
    EXPECT_EQ(found, 0);
    ASSERT_TRUE(run([this] { return found == 1; }));
    EXPECT_EQ(status, LookupStatus::kFound);
    std::vector<std::string> addresses;
    for (const Target& target : list) addresses.push_back(format_address(target.address));
    EXPECT_EQ(addresses,
              (std::vector<std::string>{"[2001:db8::1]:5070", "10.0.0.1:5070", "10.0.0.2:5060"}));
    EXPECT_GE(ttl, 30s);

    finder->start(Lookup::sip("127.0.0.1", 5060, udp));
    ASSERT_TRUE(run([this] { return found == 2; }));
    ASSERT_EQ(list.size(), 1u);
    finder->start(Lookup::sip("nothing.example", 5060, udp));
    ASSERT_TRUE(run([this] { return found == 3; }));
    EXPECT_EQ(status, LookupStatus::kNoDomain);
    resolver->set_failing("broken.example", DnsStatus::kFailed);
    finder->start(Lookup::sip("broken.example", 5060, udp));
    ASSERT_TRUE(run([this] { return found == 4; }));
    EXPECT_EQ(status, LookupStatus::kFailed);
}

TEST_F(DialerTest, FinderFollowsNaptr) {  // SIP-6
    finder = std::make_unique<Finder>(*loop, *resolver, *this);
    resolver->add_naptr("corp.example", {1, 2, "s", "SIP+D2T", "tcp.host.example"});
    resolver->add_naptr("corp.example", {1, 1, "s", "SIPS+D2T", "tls.host.example"});
    resolver->add_srv("tcp.host.example", {0, 0, 5060, "two.host.example"});
    resolver->add_srv("tls.host.example", {0, 0, 5071, "one.host.example"});
    resolver->add_address("one.host.example", *parse_ip("10.0.0.1", 0));
    resolver->add_address("one.host.example", *parse_ip("0.0.0.0", 0));
    resolver->add_address("one.host.example", *parse_ip("224.0.0.1", 0));
    const Transport streams[] = {Transport::kTls, Transport::kTcp};
    finder->start(Lookup::sip("corp.example", 0, streams, true));
    ASSERT_TRUE(run([this] { return found == 1; }));
    ASSERT_EQ(list.size(), 1u);
    EXPECT_EQ(format_address(list[0].address), "10.0.0.1:5071");
    EXPECT_EQ(list[0].transport, Transport::kTls);

    resolver->add_naptr("round.example", {1, 1, "s", "SIPS+D2T", "round.example"});
    resolver->add_naptr("round.example", {0, 1, "", "SIPS+D2T", "round.example"});
    resolver->add_address("round.example", *parse_ip("10.0.0.3", 0));
    finder->start(Lookup::sip("round.example", 0, streams, true));
    ASSERT_TRUE(run([this] { return found == 2; }));
    ASSERT_EQ(list.size(), 1u);
    EXPECT_EQ(format_address(list[0].address), "10.0.0.3:5061");
}

}  // namespace
}  // namespace fedgate::net
