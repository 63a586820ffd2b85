// One source that floods has its 503 or silence; its neighbours have all the rest.
#include "appliance/gateway/sip_sources.hpp"

#include <gtest/gtest.h>

#include "appliance/gateway/sip_agent.hpp"
#include "net/address.hpp"
#include "tests/gateway/world.hpp"
#include "tests/net/certificates.hpp"

namespace fedgate::gateway {
namespace {

using test::World;

SocketAddress address(std::uint32_t number) {
    const auto part = [number](unsigned shift) { return std::to_string(number >> shift & 255); };
    return *net::parse_ip("10." + part(16) + "." + part(8) + "." + part(0), 5060);
}

int count(const std::vector<std::string>& responses, const char* start) {
    return static_cast<int>(std::ranges::count_if(
        responses, [start](const auto& one) { return one.starts_with(start); }));
}

std::string options(const std::string& branch) {
    return World::request(branch, "", "", "UDP", "sip:sip.example", "sip:romeo@sip.example",
                          "OPTIONS");
}

TEST(SipSources, KnowOneAddressEach) {
    SipSources sources(KeyMaker({1, 2}), {10, 1s}, Instant{});
    SipSource& first = sources.find(address(1), Instant{});
    EXPECT_EQ(&sources.find(net::with_port(address(1), 9), Instant{}), &first);
    EXPECT_NE(&sources.find(address(2), Instant{}), &first);
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(first.datagrams.take(1, Instant{}));
    EXPECT_FALSE(first.datagrams.take(1, Instant{}));
    EXPECT_TRUE(sources.find(address(2), Instant{}).datagrams.take(1, Instant{}));
    sources.set_rate({0, 1s}, Instant{});  // none
    EXPECT_TRUE(first.datagrams.take(1'000'000, Instant{}));
}

TEST(SipSources, MakeRoomForNewOnesButNotAtTheCostOfThoseWithSomething) {
    SipSources sources(KeyMaker({1, 2}), {10, 1s}, Instant{});
    for (std::uint32_t i = 0; i < kSipSources; ++i)
        sources.find(address(i), Instant{}).unanswered = 1;
    SipSource& others = sources.find(address(kSipSources), Instant{});
    EXPECT_EQ(&sources.find(address(kSipSources + 1), Instant{}), &others);  // shared
    SipSource& first = sources.find(address(0), Instant{});
    EXPECT_EQ(first.unanswered, 1u);
    for (std::uint32_t i = 1; i < kSipSources; ++i)
        sources.find(address(i), Instant{}).unanswered = 0;
    for (std::uint32_t i = 0; i < 3 * kSipSources; ++i) {
        EXPECT_NE(&sources.find(address(kSipSources + 1 + i), Instant{}), &others);
    }
    EXPECT_EQ(&sources.find(address(0), Instant{}), &first);
}

TEST(SipSources, StrangersAreToldLittle) {
    SipSources sources(KeyMaker({1, 2}), {10, 1s}, Instant{});
    const auto told = [&sources](const SocketAddress& from) {
        int times = 0;
        while (sources.may_refuse(from, Instant{})) ++times;
        return times;
    };
    EXPECT_EQ(told(address(1)), kSipRefusalsPerSecond);
    EXPECT_TRUE(sources.may_refuse(*net::parse_ip("2001:db8::1", 5060), Instant{}));
    EXPECT_EQ(told(*net::parse_ip("2001:db8::2", 5060)), kSipRefusalsPerSecond - 1);  // one /64
    int all = 0;
    for (std::uint32_t i = 2; i < 10'000; ++i) all += sources.may_refuse(address(i), Instant{});
    EXPECT_LE(all, kSipStrangerRefusalsPerSecond);
    EXPECT_TRUE(sources.may_refuse(address(1), Instant{} + 1s));
}

TEST(SipBudget, AFloodOfDatagramsIsRefusedAndThenNotAnswered) {
    World world(test::Settings{{"sip.rate.datagrams_per_address", "100/s"}});
    auto flooder = world.peer("10.99.0.1:5070");
    auto neighbour = world.peer("10.99.0.2:5070");
    for (int i = 0; i < 1'000; ++i) {
        flooder->send_udp(world.sip_address(), options("f" + std::to_string(i)));
    }
    neighbour->send_udp(world.sip_address(), options("n"));
    ASSERT_TRUE(world.until([&] { return neighbour->responses.size() == 1; }, 1s));
    EXPECT_TRUE(neighbour->responses[0].starts_with("SIP/2.0 200 "));
    world.pass(200ms);
    EXPECT_NEAR(count(flooder->responses, "SIP/2.0 200 "), 100, 10);
    EXPECT_NEAR(count(flooder->responses, "SIP/2.0 503 "), kSipRefusalsPerSecond, 3);
    EXPECT_NE(flooder->responses.back().find("\r\nRetry-After: 5\r\n"), std::string::npos);
    EXPECT_GT(world.count(Counter::kSipDatagramsDropped), 800u);
    // It can go on a second later.
    world.pass(2s);
    const auto before = count(flooder->responses, "SIP/2.0 200 ");
    flooder->send_udp(world.sip_address(), options("later"));
    EXPECT_TRUE(
        world.until([&] { return count(flooder->responses, "SIP/2.0 200 ") == before + 1; }, 1s));
}

TEST(SipBudget, ARequestThatComesAgainHasItsAnswerAlsoInAFlood) {  // SIP-11
    World world(test::Settings{{"sip.rate.datagrams_per_address", "2/s"}});
    auto peer = world.peer();
    for (int i = 0; i < 4; ++i) {
        peer->send_udp(world.sip_address(), World::request("same", "hello", "", "UDP"));
    }
    ASSERT_TRUE(world.until([&] { return peer->responses.size() == 4; }, 2s));
    EXPECT_EQ(count(peer->responses, "SIP/2.0 200 "), 4);
    EXPECT_EQ(world.edge().stanzas.size(), 1u);
}

TEST(SipBudget, StrangersCanNotMakeAReflectorOfUs) {  // SIP-30
    World world(test::Settings{{"sip.trusted", "192.0.2.0/24"}});
    auto stranger = world.peer();
    for (int i = 0; i < 2'000; ++i) {
        const std::string name = "s" + std::to_string(i);
        std::string bytes = i % 2 == 0 ? options(name) : World::request(name, "hello", "", "UDP");
        if (i % 3 == 0) bytes.replace(bytes.find("rds: 70"), 7, "rds: xx");
        stranger->send_udp(world.sip_address(), i % 5 == 0 ? "\r\n\r\n" + bytes : bytes);
    }
    world.pass(500ms);
    EXPECT_GE(stranger->responses.size(), kSipRefusalsPerSecond);
    EXPECT_LE(stranger->responses.size(), 2 * kSipRefusalsPerSecond);
    EXPECT_GT(count(stranger->responses, "SIP/2.0 403 "), 0);
    EXPECT_GT(count(stranger->responses, "SIP/2.0 400 "), 0);
    EXPECT_TRUE(world.edge().stanzas.empty());
}

TEST(SipBudget, WhoWaitsForTooManyAnswersIsToldSo) {
    World world(test::Settings{{"sip.rate.datagrams_per_address", "none"}});
    world.edge().at_once = false;  // the partner takes its time
    auto flooder = world.peer("10.99.0.1:5070");
    auto neighbour = world.peer("10.99.0.2:5070");
    const std::size_t more = 50;
    std::string all;
    for (std::size_t i = 0; i < kSipUnansweredPerSource + more; ++i) {
        all += World::request("f" + std::to_string(i), std::to_string(i));
        if (i % 500 != 0) continue;
        flooder->send_tcp(world.sip_address(), all);
        all.clear();
        world.pass(2ms);
    }
    flooder->send_tcp(world.sip_address(), all);
    ASSERT_TRUE(world.until([&] { return flooder->responses.size() == more; }, 2s))
        << flooder->responses.size();
    EXPECT_EQ(count(flooder->responses, "SIP/2.0 503 "), static_cast<int>(more));
    EXPECT_NE(flooder->responses[0].find("\r\nRetry-After: 5\r\n"), std::string::npos);
    neighbour->send_tcp(world.sip_address(), World::request("n", "hello"));
    EXPECT_TRUE(world.until(
        [&] { return world.edge().stanzas.size() == kSipUnansweredPerSource + 1; }, 1s));
    EXPECT_TRUE(neighbour->responses.empty());
}

TEST(SipBudget, BytesThatWaitAreCountedToo) {
    World world;
    world.edge().at_once = false;
    auto flooder = world.peer("10.99.0.1:5070");
    auto neighbour = world.peer("10.99.0.2:5070");
    std::string vias;  // they come back in each answer, so they are kept
    for (int i = 0; i < 20; ++i)
        vias += "Via: SIP/2.0/TCP h;branch=" + std::string(1'000, 'x') + "\r\n";
    for (int i = 0; i < 400 && flooder->responses.empty(); ++i) {
        flooder->send_tcp(world.sip_address(),
                          World::request("f" + std::to_string(i), std::to_string(i), vias));
        world.pass(1ms);
    }
    ASSERT_FALSE(flooder->responses.empty());
    EXPECT_TRUE(flooder->responses[0].starts_with("SIP/2.0 503 "))
        << flooder->responses[0].substr(0, 200) << world.log();
    EXPECT_LE(world.edge().stanzas.size() * 20'000, 2 * kSipTransactionBytesPerSource);
    const std::size_t before = world.edge().stanzas.size();
    neighbour->send_tcp(world.sip_address(), World::request("n", "hello", vias));
    EXPECT_TRUE(world.until([&] { return world.edge().stanzas.size() == before + 1; }, 1s));
}

TEST(SipBudget, AnAddressHasSoManyConnections) {
    World world;
    auto& loop = world.simulation.make_loop(world.simulation.make_node());
    std::vector<std::unique_ptr<test::RawPeer>> peers;
    for (std::size_t i = 0; i < kSipConnectionsPerSource + 10; ++i) {
        peers.push_back(std::make_unique<test::RawPeer>(loop, world.sip_address()));
        peers.back()->send(World::request(std::to_string(i), "hello"));
    }
    world.pass(1s);
    EXPECT_EQ(std::ranges::count_if(peers, [](const auto& one) { return !one->received.empty(); }),
              static_cast<std::ptrdiff_t>(kSipConnectionsPerSource));
    auto neighbour = world.peer("10.99.0.2:5070");
    neighbour->send_tcp(world.sip_address(), World::request("n", "hello"));
    EXPECT_TRUE(world.until([&] { return neighbour->responses.size() == 1; }, 1s));
    // Places come back.
    peers.clear();
    world.pass(1s);
    test::RawPeer again(loop, world.sip_address());
    again.send(World::request("again", "hello"));
    EXPECT_TRUE(world.until([&] { return !again.received.empty(); }, 1s));
}

// Also while they only might prove themselves, and when they do.
TEST(SipBudget, AnAddressHasSoManyTlsConnections) {
    const auto& certificates = net::test::Certificates::get();
    auto ours = certificates.context({"chained"});
    auto theirs = certificates.context({"second"});
    World world({{"sip.listen", "tls:0.0.0.0:5061"}}, 1, ours.get());
    auto& loop = world.simulation.make_loop(world.simulation.make_node());
    std::vector<std::unique_ptr<test::RawPeer>> peers;
    for (std::size_t i = 0; i < kSipConnectionsPerSource + 10; ++i)
        peers.push_back(std::make_unique<test::RawPeer>(loop, world.sip_address(5061)));
    world.pass(1s);
    EXPECT_EQ(std::ranges::count_if(peers, [](const auto& one) { return one->is_closed; }), 10);
}

// Those that prove themselves by a certificate are counted when they have.
TEST(SipBudget, ACertificateHasSoManyConnections) {
    const auto& certificates = net::test::Certificates::get();
    auto ours = certificates.context({"chained"});
    auto theirs = certificates.context({"second"});
    World world({{"sip.listen", "tls:0.0.0.0:5061"},
                 {"sip.trusted", "192.0.2.0/24"},
                 {"domain/sip.example/next_hop", "sip:second.example:5070;transport=tls"}},
                1, ours.get());
    std::vector<std::unique_ptr<test::SipPhone>> peers;
    auto& loop = world.simulation.make_loop(world.simulation.make_node());
    for (std::size_t i = 0; i < kSipConnectionsPerSource + 10; ++i) {
        const std::string own = "0.0.0.0:" + std::to_string(6'000 + i);
        peers.push_back(std::make_unique<test::SipPhone>(loop, own.c_str(), theirs.get()));
        peers.back()->send_tls(world.sip_address(5061),
                               World::request("c" + std::to_string(i), "hello", "", "TLS"));
        world.pass(100ms);
    }
    EXPECT_EQ(std::ranges::count_if(peers, [](const auto& one) { return !one->responses.empty(); }),
              static_cast<std::ptrdiff_t>(kSipConnectionsPerSource));
}

// One stranger that sits on all places for strangers would keep out whoever proves itself by a
// certificate.
TEST(SipBudget, AStrangerHasFewPlaces) {
    const auto& certificates = net::test::Certificates::get();
    auto ours = certificates.context({"chained"});
    auto theirs = certificates.context({"second"});
    World world({{"sip.listen", "tls:0.0.0.0:5061 tcp:0.0.0.0:5060"},
                 {"sip.trusted", "192.0.2.0/24"},
                 {"domain/sip.example/next_hop", "sip:second.example:5070;transport=tls"}},
                1, ours.get());
    auto& loop = world.simulation.make_loop(world.simulation.make_node());
    std::vector<std::unique_ptr<test::RawPeer>> strangers;
    for (std::size_t i = 0; i < kSipUntrustedConnections; ++i)
        strangers.push_back(std::make_unique<test::RawPeer>(loop, world.sip_address()));
    world.pass(100ms);
    auto peer = world.peer("10.99.0.1:5070", theirs.get());
    peer->send_tls(world.sip_address(5061), World::request("b1", "hello", "", "TLS"));
    ASSERT_TRUE(world.until([&] { return peer->responses.size() == 1; }, 2s)) << world.log();
    EXPECT_TRUE(peer->responses[0].starts_with("SIP/2.0 200 ")) << peer->responses[0];
    // Places come back.
    strangers.clear();
    world.pass(1s);
    test::RawPeer again(loop, world.sip_address());
    world.pass(1s);
    EXPECT_TRUE(again.is_open && !again.is_closed);
}

}  // namespace
}  // namespace fedgate::gateway
