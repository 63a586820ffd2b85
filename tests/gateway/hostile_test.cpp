// What peers do that they should not, and what ends badly: nobody else is harmed, nothing is lost
// in silence.
#include <gtest/gtest.h>

#include "appliance/gateway/gateway.hpp"
#include "appliance/gateway/sip_agent.hpp"
#include "appliance/gateway/sip_transport.hpp"
#include "tests/gateway/watch_scene.hpp"
#include "tests/gateway/world.hpp"
#include "tests/net/certificates.hpp"
#include "tests/text.hpp"

namespace fedgate::gateway {
namespace {

using test::RawPeer;
using test::World;

const test::Settings kNobodyTrusted = {{"sip.trusted", "192.0.2.0/24"}};

TEST(HostilePeer, WithoutTrustItHasFewPlacesForAShortTime) {  // SIP-30
    World world(kNobodyTrusted);
    SimulatedLoop* loop = nullptr;
    std::vector<std::unique_ptr<RawPeer>> peers;
    for (std::size_t i = 0; i < kSipUntrustedConnections + 50; ++i) {
        if (i % 25 == 0) loop = &world.simulation.make_loop(world.simulation.make_node());
        peers.push_back(std::make_unique<RawPeer>(*loop, world.sip_address()));
    }
    world.pass(2s);
    const auto closed = [&] {
        return std::ranges::count_if(peers, [](const auto& one) { return one->is_closed; });
    };
    EXPECT_EQ(closed(), 50);
    peers[0]->send(World::request("b1", "hello"));
    ASSERT_TRUE(world.until([&] { return has(peers[0]->received, "SIP/2.0 403 "); }, 2s));
    EXPECT_TRUE(world.until([&] { return closed() == static_cast<std::ptrdiff_t>(peers.size()); },
                            kSipUntrustedTime + 2s));
}

// Slow loris: a message has to end in time, however many bytes of it keep coming.
TEST(HostilePeer, AMessageHasToEnd) {
    World world;
    auto& loop = world.simulation.make_loop(world.simulation.make_node());
    const std::string request = World::request("b1", std::string(100, 'x'));
    const std::size_t header = request.find("\r\n\r\n") + 4;
    std::string too_long = request;
    too_long.replace(request.find("Length: 100"), 11, "Length: 900000");
    // At once up to here, then a byte each second: half a header section behind a keepalive, a
    // body, and the end of a header section with a body that is only skipped.
    const std::pair<std::string, std::size_t> drips[] = {
        {"\r\n\r\n" + request, 54}, {request, header}, {too_long, header}};
    const std::string whole = World::request("b2", "hello");
    for (const auto& [bytes, at_once] : drips) {
        RawPeer peer(loop, world.sip_address());
        RawPeer idle(loop, world.sip_address());
        idle.send(whole + "\r\n\r\n");
        peer.send(bytes.substr(0, at_once));
        for (std::size_t i = at_once; i < at_once + 31; ++i) {
            world.pass(1s);
            ASSERT_FALSE(peer.is_closed) << i;
            peer.send(bytes.substr(i, 1));
        }
        world.pass(2s);
        EXPECT_TRUE(peer.is_closed) << at_once;
        EXPECT_FALSE(idle.is_closed);
    }
}

// Its time begins with it, not with the one before.
TEST(HostilePeer, EachMessageHasItsOwnTime) {
    World world;
    RawPeer peer(world.simulation.make_loop(world.simulation.make_node()), world.sip_address());
    const std::string first = World::request("b1", "hello");
    std::string too_long = World::request("b2", "");
    too_long.replace(too_long.find("Length: 0"), 9, "Length: 900000");
    peer.send(first.substr(0, 100));
    world.pass(kSipMessageTime - 2s);
    peer.send(first.substr(100) + too_long + "some of it");
    world.pass(kSipMessageTime - 2s);
    EXPECT_FALSE(peer.is_closed);
    world.pass(4s);
    EXPECT_TRUE(peer.is_closed);
}

TEST(HostilePeer, ABodyThatIsTooLongCostsTheNextRequestNothing) {  // SIP-3
    World world;
    RawPeer peer(world.simulation.make_loop(world.simulation.make_node()), world.sip_address());
    const std::string body = World::request("b0", "hidden");
    std::string request = World::request("b1", "");
    request.replace(request.find("Length: 0"), 9, "Length: 100000");
    peer.send(request);
    ASSERT_TRUE(world.until([&] { return has(peer.received, "SIP/2.0 413 "); }));
    std::string filler = body;
    filler.resize(100'000, 'x');
    peer.send(filler + World::request("b2", "hello"));
    ASSERT_TRUE(world.until([&] { return has(peer.received, "SIP/2.0 200 "); }));
    EXPECT_FALSE(peer.is_closed);
    ASSERT_EQ(world.edge().stanzas.size(), 1u);
    EXPECT_TRUE(has(world.edge().stanzas[0], "hello"));
    // Nobody waits for a gigabyte.
    request.replace(request.find("Length: 100000"), 14, "Length: 1000000000");
    request.replace(request.find("z9hG4bKb1"), 9, "z9hG4bKb3");
    peer.received.clear();
    peer.send(request);
    ASSERT_TRUE(world.until([&] { return peer.is_closed; }));
    EXPECT_TRUE(has(peer.received, "SIP/2.0 413 "));
}

TEST(HostilePeer, ACertificateSpeaksForItsOwnDomainOnly) {  // SEC-1, SIP-32
    const auto& certificates = net::test::Certificates::get();
    auto ours = certificates.context({"chained"});
    auto theirs = certificates.context({"second"});
    const test::Settings settings = {
        {"sip.listen", "tls:0.0.0.0:5061"},
        {"sip.trusted", "192.0.2.0/24"},
        {"domain/other.example/next_hop", "sip:second.example:5070;transport=tls"}};
    for (const auto& [from, status] : {std::pair{"sip:romeo@other.example", "SIP/2.0 200 "},
                                       std::pair{"sip:romeo@sip.example", "SIP/2.0 403 "}}) {
        World world(settings, 1, ours.get());
        auto peer = world.peer("10.99.0.1:5070", theirs.get());
        peer->send_tls(world.sip_address(5061),
                       World::request("b1", "hello", "", "TLS", "sip:juliet@xmpp.example", from));
        ASSERT_TRUE(world.until([&] { return peer->responses.size() == 1; }))
            << from << world.log();
        EXPECT_TRUE(peer->responses[0].starts_with(status)) << from << peer->responses[0];
    }
}

// Another domain's pool that has seen the tags says nothing in the dialog, in nobody's name.
TEST(HostilePeer, ACertificateSpeaksInDialogsOfItsOwnDomainOnly) {  // SEC-1, SIP-32
    const auto& certificates = net::test::Certificates::get();
    auto ours = certificates.context({"chained"});
    auto theirs = certificates.context({"second"});
    const test::Settings settings = {
        {"sip.listen", "tls:0.0.0.0:5061 tcp:0.0.0.0:5060"},
        {"sip.trusted", "192.0.2.0/24 10.0.0.2"},
        {"domain/other.example/next_hop", "sip:second.example:5070;transport=tls"}};
    for (const bool watches : {false, true}) {
        test::WatchScene scene(settings, 1, nullptr, ours.get());
        auto stranger = scene.world.peer("10.99.0.9:5070", theirs.get());
        std::string in_dialog;
        if (watches) {
            in_dialog = scene.notify_text(scene.approved(), "active", {}, {}, "peer");
        } else {
            std::string request = World::request(
                "b0", "",
                "Event: presence\r\nContact: <sip:romeo@10.99.0.1:5070;transport=tcp>\r\n", "TCP",
                "sip:juliet@xmpp.example", "sip:romeo@sip.example", "SUBSCRIBE");
            scene.peer->send_tcp(scene.world.sip_address(), request);
            ASSERT_TRUE(scene.world.until([&] { return !scene.peer->responses.empty(); }));
            const std::string to = header_of(scene.peer->responses[0], "To");
            ASSERT_TRUE(has(to, ";tag=")) << scene.peer->responses[0];
            in_dialog = request;
            const std::size_t at = in_dialog.find("\r\nTo: ");
            in_dialog.replace(at, in_dialog.find("\r\n", at + 2) - at, "\r\nTo: " + to);
            const std::size_t cseq = in_dialog.find("\r\nCSeq: ") + 8;
            in_dialog.replace(cseq, in_dialog.find(' ', cseq) - cseq, "900");
        }
        for (const char* const name : {"sip.example", "other.example"}) {
            std::string forged = in_dialog;
            const std::size_t from = forged.find("sip:romeo@", forged.find("\r\nFrom: ")) + 10;
            forged.replace(from, forged.find_first_of(">;:", from) - from, name);
            const std::size_t via = forged.find("branch=z9hG4bK") + 14;
            forged.insert(via, std::string("f") + name[0]);
            const std::size_t before = stranger->responses.size();
            stranger->send_tls(scene.world.sip_address(5061), forged);
            ASSERT_TRUE(scene.world.until([&] { return stranger->responses.size() > before; }));
            EXPECT_TRUE(stranger->responses.back().starts_with("SIP/2.0 403 "))
                << watches << name << stranger->responses.back();
        }
        // Whose dialog it is speaks there.
        const std::size_t before = scene.peer->responses.size();
        const std::size_t via = in_dialog.find("branch=z9hG4bK") + 14;
        in_dialog.insert(via, "own");
        scene.peer->send_tcp(scene.world.sip_address(), in_dialog);
        ASSERT_TRUE(scene.world.until([&] { return scene.peer->responses.size() > before; }));
        EXPECT_TRUE(scene.peer->responses.back().starts_with("SIP/2.0 200 "))
            << scene.peer->responses.back();
    }
}

TEST(HostilePeer, AnswersToOldDatagramsMakeRoomForNewOnes) {  // SIP-10: timer J keeps each for 32 s
    World world(test::Settings{{"sip.rate.datagrams_per_address", "none"}});
    auto peer = world.peer();
    const std::size_t count = kServerTransactions + 500;
    for (std::size_t i = 0; i < count; ++i) {
        peer->send_udp(world.sip_address(),
                       World::request("u" + std::to_string(i), std::to_string(i), "", "UDP"));
        if (i % 100 == 0) world.pass(std::chrono::milliseconds(1));
    }
    ASSERT_TRUE(world.until([&] { return peer->responses.size() >= count; }, 5s))
        << peer->responses.size();
    EXPECT_EQ(world.edge().stanzas.size(), count);
    // The last one is still known.
    peer->send_udp(world.sip_address(), World::request("u" + std::to_string(count - 1),
                                                       std::to_string(count - 1), "", "UDP"));
    ASSERT_TRUE(world.until([&] { return peer->responses.size() == count + 1; }, 5s));
    EXPECT_EQ(world.edge().stanzas.size(), count);
}

// More answers than a connection may have unsent: the requests behind them wait.
TEST(HostilePeer, WhoAsksMuchAtOnceIsAnsweredAsHeReads) {
    World world;
    constexpr std::size_t kRequests = 3'000;
    std::string requests;
    for (std::size_t i = 0; i < kRequests; ++i) {
        requests += World::request("b" + std::to_string(i), "", {}, "TCP", "sip:gw.example",
                                   "sip:romeo@sip.example", "OPTIONS");
    }
    auto& loop = world.simulation.make_loop(world.simulation.make_node());
    RawPeer reader(loop, world.sip_address());
    RawPeer mute(loop, world.sip_address());
    ASSERT_TRUE(world.until([&] { return reader.is_open && mute.is_open; }));
    mute.stop_reading();
    reader.send(requests);
    mute.send(requests);
    const auto answers = [&] {
        std::size_t count = 0;
        for (std::size_t at = 0; (at = reader.received.find("SIP/2.0 200 ", at)) != Bytes::npos;
             ++at)
            ++count;
        return count;
    };
    EXPECT_TRUE(world.until([&] { return answers() == kRequests; }, kSipUnreadTime / 2))
        << answers();
    EXPECT_GT(reader.received.size(), 2 * kSipReadAnswerBytes);
    EXPECT_FALSE(reader.is_closed);
    EXPECT_FALSE(mute.is_closed);
    EXPECT_TRUE(world.until([&] { return mute.is_closed; }, kSipUnreadTime + 2s));
    EXPECT_FALSE(reader.is_closed);
}

// All that has waited for a partner's stream is answered in one turn, once that stands.
TEST(ManyRequests, AreAnsweredAtOnceAndTheirSenderStays) {
    World world;
    constexpr std::size_t kRequests = 3'000;
    world.edge().at_once = false;
    std::string requests;
    for (std::size_t i = 0; i < kRequests; ++i) {
        const std::string number = std::to_string(i);
        requests += World::request("c" + number, number);
    }
    auto& loop = world.simulation.make_loop(world.simulation.make_node());
    RawPeer sender(loop, world.sip_address());
    ASSERT_TRUE(world.until([&] { return sender.is_open; }));
    sender.send(requests);
    ASSERT_TRUE(world.until([&] { return world.edge().tickets.size() == kRequests; }, 2s))
        << world.edge().tickets.size();
    for (const link::Ticket ticket : world.edge().tickets) {
        world.edge().door->on_outcome({ticket, link::Fate::kWritten, link::Fault::kNone, false});
    }
    const auto answers = [&] {
        std::size_t count = 0;
        for (std::size_t at = 0; (at = sender.received.find("SIP/2.0 200 ", at)) != Bytes::npos;
             ++at)
            ++count;
        return count;
    };
    EXPECT_TRUE(world.until([&] { return answers() == kRequests; }, 2s)) << answers();
    EXPECT_FALSE(sender.is_closed);
}

TEST(MergedRequest, IsRefusedOnWhateverShardItComes) {  // SIP-11
    constexpr std::uint32_t kShards = 3;
    World world({}, kShards);
    std::vector<std::unique_ptr<test::SipPhone>> proxies;
    for (int i = 0; i < 6; ++i) {  // connections are spread over the shards
        proxies.push_back(world.peer(("10.99.0." + std::to_string(i + 1) + ":5070").c_str()));
        std::string request = World::request("same", "hello");
        request.replace(request.find("z9hG4bKsame"), 11, "z9hG4bKway" + std::to_string(i));
        proxies.back()->send_tcp(world.sip_address(), request);
        ASSERT_TRUE(world.until([&] { return proxies.back()->responses.size() == 1; }));
        EXPECT_TRUE(
            proxies.back()->responses[0].starts_with(i == 0 ? "SIP/2.0 200 " : "SIP/2.0 482 "));
    }
    std::size_t stanzas = 0;
    for (const auto& edge : world.edges) stanzas += edge->stanzas.size();
    EXPECT_EQ(stanzas, 1u);
}

TEST(HostilePeer, AHugeHeadAndAHugeContactDoNotMeet) {  // ERR-23, SIP-3
    World world(test::Settings{{"im.error_wait", "1000ms"}});
    RawPeer peer(world.simulation.make_loop(world.simulation.make_node()), world.sip_address());
    std::string request = World::request("b1", "hello");
    const std::string more =
        "Via: SIP/2.0/TCP h.example;branch=" + std::string(1'000, 'x') + "\r\n";
    for (int i = 0; i < 31; ++i) request.insert(request.find("Max-Forwards"), more);
    peer.send(request);
    ASSERT_TRUE(world.until([&] { return !world.edge().stanzas.empty(); })) << world.log();
    std::string local;
    for (int i = 0; i < 500; ++i) local += "\xC3\xBC";
    ASSERT_TRUE(
        world.give("<message from='juliet@xmpp.example/x' to='romeo@sip.example' id='b1' "
                   "type='error'><error type='cancel'>"
                   "<gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:" +
                   local + "@new.example</gone></error></message>"));
    ASSERT_TRUE(world.until([&] { return has(peer.received, "\r\n\r\n"); }));
    EXPECT_TRUE(peer.received.starts_with("SIP/2.0 301 ")) << peer.received.substr(0, 80);
    EXPECT_TRUE(has(peer.received, "Contact: <sip:%C3%BC%C3%BC"));
}

TEST(SipAnswer, WithoutRportGoesToThePortOfTheVia) {  // SIP-13, RFC 3261 18.2.2
    World world;
    auto peer = world.peer("10.99.0.1:5070");
    auto other_socket = world.peer("10.99.0.1:6000");
    std::string request = World::request("b1", "hello", "", "UDP");
    other_socket->send_udp(world.sip_address(), request);
    ASSERT_TRUE(world.until([&] { return peer->responses.size() == 1; }, 5s));
    request = World::request("b2", "again", "", "UDP");
    request.insert(request.find(";branch"), ";rport");
    other_socket->send_udp(world.sip_address(), request);
    ASSERT_TRUE(world.until([&] { return other_socket->responses.size() == 1; }, 5s));
    EXPECT_EQ(peer->responses.size(), 1u);
}

TEST(AssertedIdentity, IsNotUsedWhereAmongOthersIdIsPrivate) {  // SIP-33, RFC 3323 4.2
    World world;
    auto peer = world.peer();
    peer->send_tcp(
        world.sip_address(),
        World::request("b1", "hello",
                       "P-Asserted-Identity: <sip:real@sip.example>\r\nPrivacy: user; id\r\n"));
    ASSERT_TRUE(world.until([&] { return !world.edge().stanzas.empty(); }));
    EXPECT_TRUE(has(world.edge().stanzas[0], "from='romeo@sip.example'"))
        << world.edge().stanzas[0];
}

// ---- nothing is lost in silence

TEST(GatewayReload, TellsThoseWhoseDomainIsGone) {  // IM-17
    for (const std::uint32_t shards : {1u, 2u}) {
        World world({}, shards);
        auto peer = world.peer();
        peer->answer = [](const sip::Message&) { return 0; };
        for (int i = 0; i < 3; ++i)
            ASSERT_TRUE(world.give(World::message("a" + std::to_string(i), "hello")));
        ASSERT_TRUE(world.until([&] { return !peer->requests.empty(); }));
        const auto rules =
            test::compile({{"federation.allow", "yes"},
                           {"sip.trusted", "10.0.0.0/8"},
                           {"domain/other.example/next_hop", "sip:10.99.0.1:5070;transport=tcp"},
                           {"partner/xmpp.example/type", "federated"},
                           {"policy/global/federation_access", "yes"},
                           {"policy/global/xmpp_access", "yes"}});
        for (auto& gateway : world.gateways) gateway->reload(*rules);
        ASSERT_TRUE(world.give(World::message("a3", "hello")));  // the edge does not know yet
        std::string all;
        for (const auto& edge : world.edges) {
            for (const std::string& stanza : edge->stanzas) all += stanza + "\n";
        }
        EXPECT_TRUE(has(
            all, "id='a0' type='error'><error type='wait' by='sip.example'><remote-server-timeout"))
            << all;
        EXPECT_TRUE(has(
            all,
            "id='a1' type='error'><error type='cancel' by='sip.example'><remote-server-not-found"));
        EXPECT_TRUE(has(
            all,
            "id='a2' type='error'><error type='cancel' by='sip.example'><remote-server-not-found"));
        EXPECT_TRUE(has(
            all,
            "id='a3' type='error'><error type='cancel' by='sip.example'><remote-server-not-found"));
    }
}

TEST(GatewayNotice, AlsoForALongCallId) {  // IM-50
    World world;
    auto peer = world.peer();
    std::string request = World::request("b1", "hello");
    const std::string call_id(400, 'c');
    request.replace(request.find("call-b1"), 7, call_id);
    peer->send_tcp(world.sip_address(), request);
    ASSERT_TRUE(world.until([&] { return peer->responses.size() == 1; }));
    ASSERT_TRUE(world.give(
        "<message from='juliet@xmpp.example/x' to='romeo@sip.example' id='b1' type='error'><error "
        "type='cancel'>"
        "<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"));
    ASSERT_TRUE(world.until([&] { return peer->requests.size() == 1; })) << world.log();
    EXPECT_TRUE(has(peer->requests[0], "In-Reply-To: " + call_id));
}

TEST(GatewayToSip, ADomainThatWritesIsToldThatItCannot) {  // ERR-L7
    World world;
    ASSERT_TRUE(world.give(
        "<message from='xmpp.example' to='romeo@sip.example' id='a1'><body>news</body></message>"));
    ASSERT_EQ(world.edge().stanzas.size(), 1u);
    EXPECT_TRUE(has(world.edge().stanzas[0], "<jid-malformed"));
    ASSERT_TRUE(
        world.give("<message from='xmpp.example' to='romeo@sip.example' id='a2' type='headline'>"
                   "<body>news</body></message>"));  // IM-20
    EXPECT_EQ(world.edge().stanzas.size(), 1u);
}

TEST(GatewayDrain, TellsThoseWhoseMessagesItCouldNotEnd) {  // IM-17
    World world;
    auto peer = world.peer();
    peer->answer = [](const sip::Message&) { return 0; };
    for (int i = 0; i < 3; ++i)
        ASSERT_TRUE(world.give(World::message("a" + std::to_string(i), "hello")));
    ASSERT_TRUE(world.until([&] { return !peer->requests.empty(); }));
    world.gateway().drain();
    world.pass(5s);
    EXPECT_FALSE(world.gateway().drained());
    EXPECT_TRUE(world.edge().stanzas.empty());
    world.gateway().give_up();
    EXPECT_TRUE(world.gateway().drained());
    ASSERT_EQ(world.edge().stanzas.size(), 3u);
    EXPECT_TRUE(has(world.edge().stanzas[0], "id='a0'") &&
                has(world.edge().stanzas[0], "<remote-server-timeout"));
    EXPECT_TRUE(has(world.edge().stanzas[2], "id='a2'") &&
                has(world.edge().stanzas[2], "<resource-constraint"));
    EXPECT_EQ(world.count(Counter::kMessagesX2sInDoubt), 1u);
    EXPECT_EQ(world.count(Counter::kMessagesX2sRefused), 2u);
    EXPECT_EQ(peer->requests.size(), 1u);
}

}  // namespace
}  // namespace fedgate::gateway
