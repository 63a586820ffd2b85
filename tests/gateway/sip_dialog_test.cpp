// SUBSCRIBE and NOTIFY through the SIP user agent: which way those of ours go, inside and outside a
// dialog, and whose those of peers are.
#include <gtest/gtest.h>

#include "appliance/gateway/conversation.hpp"
#include "appliance/gateway/sip_agent.hpp"
#include "core/base/hash.hpp"
#include "tests/gateway/agents.hpp"
#include "tests/gateway/world.hpp"
#include "tests/text.hpp"

namespace fedgate::gateway {
namespace {

using test::Agents;
using test::kOurTag;
using test::only_options;
using test::Settings;
using test::World;

const Settings kTwoHops{{"domain/sip.example/next_hop",
                         "sip:10.99.0.1:5070;transport=tcp sip:10.99.0.2:5070;transport=tcp"}};

std::string first_line(const std::string& message) { return message.substr(0, message.find("\r")); }

// A SUBSCRIBE that has come by those proxies, and the dialog that it makes.
sip::Dialog dialog_of(const std::string& contact, const std::string& record_routes = {}) {
    std::string text =
        World::request("d", "", record_routes + "Contact: <" + contact + ">\r\n", "TCP",
                       "sip:juliet@xmpp.example", "sip:romeo@sip.example", "SUBSCRIBE");
    const auto message = std::make_unique<sip::Message>();
    const auto parsed =
        sip::parse_message(MutableBytes(text), sip::Carrier::kDatagram, 1'000, *message);
    FEDGATE_CHECK(parsed.verdict == sip::Verdict::kDone);
    auto dialog = sip::Dialog::from_request(*message, kOurTag);
    FEDGATE_CHECK(dialog.has_value());
    return std::move(*dialog);
}

TEST(SipDialog, ASubscribeOutsideOneFailsOver) {  // SIP-8, SIP-20
    Agents world(kTwoHops);
    auto first = world.peer("10.99.0.1:5070");
    auto second = world.peer("10.99.0.2:5070");
    first->answer = only_options(503);
    world.pass(100ms);
    world.subscribe();
    ASSERT_TRUE(world.ended());
    EXPECT_EQ(world.ends[0].status, 200);
    EXPECT_EQ(world.ends[0].cseq, 1U);
    EXPECT_EQ(world.ends[0].owner, 4'711U);
    EXPECT_EQ(world.ends[0].attempt, 3);
    ASSERT_EQ(first->requests.size(), 1U);
    ASSERT_EQ(second->requests.size(), 1U);
    for (const char* same : {"From", "To", "Call-ID", "CSeq", "Contact"}) {
        EXPECT_EQ(header_of(first->requests[0], same), header_of(second->requests[0], same))
            << same;
    }
    EXPECT_NE(header_of(first->requests[0], "Via"), header_of(second->requests[0], "Via"));
    EXPECT_EQ(header_of(first->requests[0], "Contact"),
              "<sip:juliet@gw.example:5060;transport=tcp>");
}

TEST(SipDialog, TheContactIsWhereWeListen) {  // SIP-20
    const auto contact = [](const Settings& settings) {
        Agents world(settings);
        world.pass(100ms);
        char memory[200];
        Sink sink{MutableBytes(memory)};
        world.agent().write_contact(sink, "juliet%20c", world.route());
        return std::string(sink.written());
    };
    EXPECT_EQ(contact({{"domain/sip.example/next_hop", "sip:10.99.0.1:5070;transport=udp"}}),
              "Contact: <sip:juliet%20c@gw.example:5060;transport=udp>\r\n");
    EXPECT_EQ(contact({{"sip.listen", "udp:0.0.0.0:5062"}}),  // not by tcp, as the next hop
              "Contact: <sip:juliet%20c@gw.example:5062;transport=udp>\r\n");
}

TEST(SipDialog, ALegOfThePoolIsTheOnlyWay) {  // SIP-9
    const std::string second_node = "sip:10.99.0.2:5070;transport=tcp";
    for (const std::string& routes :
         {std::string(), "Record-Route: <" + second_node + ";lr>, <sip:10.99.0.1:5070;lr>\r\n",
          "Record-Route: <" + second_node + ">\r\n"}) {  // the last one is a strict router
        Agents world(kTwoHops);
        auto first = world.peer("10.99.0.1:5070");
        auto second = world.peer("10.99.0.2:5070");
        world.pass(100ms);
        const std::string away = "sip:romeo@192.0.2.7:5060";
        sip::Dialog dialog = dialog_of(routes.empty() ? second_node : away, routes);
        for (int i = 0; i < 8; ++i) world.in_dialog(dialog);
        ASSERT_TRUE(world.ended(8));
        EXPECT_TRUE(first->requests.empty());
        ASSERT_EQ(second->requests.size(), 8U);
        EXPECT_EQ(world.ends[7].cseq, 8U);
        // A 503 and a broken connection are the dialog's: the other node is not asked.
        second->answer = only_options(503);
        world.in_dialog(dialog);
        ASSERT_TRUE(world.ended(9));
        EXPECT_EQ(world.ends[8].status, 503);
        EXPECT_TRUE(first->requests.empty());
        // Nor when it is known to be down: that is said at once.
        EXPECT_FALSE(world.route().is_up(*world.route().legs()[1]));
        world.in_dialog(dialog, RequestKind::kSubscribe);
        ASSERT_EQ(world.ends.size(), 10U);
        EXPECT_EQ(world.ends[9].status, 0);
        EXPECT_EQ(world.ends[9].fault, LocalFault::kUnreachable);
        EXPECT_TRUE(first->requests.empty());
        EXPECT_EQ(second->requests.size(), 9U);
    }
}

TEST(SipDialog, ANodeOfTwoTransportsIsOneNode) {  // SIP-9
    Agents world(Settings{{"domain/sip.example/next_hop",
                           "sip:10.99.0.1:5070;transport=tcp sip:10.99.0.2:5070;transport=tcp "
                           "sip:10.99.0.2:5070;transport=udp"}});
    auto first = world.peer("10.99.0.1:5070");
    auto second = world.peer("10.99.0.2:5070");
    world.pass(100ms);
    sip::Dialog dialog = dialog_of("sip:romeo@10.99.0.2:5070");
    world.in_dialog(dialog);
    ASSERT_TRUE(world.ended());
    EXPECT_TRUE(first->requests.empty());
    ASSERT_EQ(second->requests.size(), 1U);
    EXPECT_TRUE(has(second->requests[0], "\r\nVia: SIP/2.0/TCP "));
}

TEST(SipDialog, ALegThatFailsUnderWayIsNotReplaced) {  // SIP-9, SIP-8
    for (const bool silent : {false, true}) {
        Agents world(kTwoHops);
        auto first = world.peer("10.99.0.1:5070");
        auto second = world.peer("10.99.0.2:5070");
        if (silent) {  // suspect: with another target left a MESSAGE would go there after 4 s
            second->answer = [](const sip::Message&) { return 0; };
            world.pass(14'500ms);
            ASSERT_TRUE(world.route().legs()[1]->suspect);
        } else {
            second->answer = only_options(-1);
            world.pass(100ms);
        }
        sip::Dialog dialog = dialog_of("sip:romeo@10.99.0.2:5070");
        world.in_dialog(dialog);
        ASSERT_TRUE(world.ended(1, 40s));
        EXPECT_EQ(world.ends[0].status, 0);
        EXPECT_EQ(world.ends[0].fault, LocalFault::kInDoubt);
        EXPECT_TRUE(first->requests.empty());
        EXPECT_EQ(second->requests.size(), 1U);
    }
}

TEST(SipDialog, TheNameOfThePoolIsThePool) {  // SIP-9
    const std::map<std::string, std::string> names{{"pool.sip.example", "10.99.0.1"},
                                                   {"two.sip.example", "10.99.0.2"}};
    const Settings pool{
        {"domain/sip.example/next_hop",
         "sip:pool.sip.example:5070;transport=tcp sip:two.sip.example:5070;transport=tcp"}};
    Agents world(pool, names);
    auto first = world.peer("10.99.0.1:5070");
    auto second = world.peer("10.99.0.2:5070");
    // By the SIP domain: the pool, with fail-over. The look-up may still be under way.
    first->answer = only_options(503);
    sip::Dialog dialog = dialog_of("sip:romeo@192.0.2.7", "Record-Route: <sip:sip.example;lr>\r\n");
    world.in_dialog(dialog);
    ASSERT_TRUE(world.ended());
    EXPECT_EQ(world.ends[0].status, 200);
    EXPECT_EQ(first->requests.size(), 1U);
    ASSERT_EQ(second->requests.size(), 1U);
    // By the name of one configured node, before anything is known: that one.
    Agents fresh(pool, names);
    auto one = fresh.peer("10.99.0.1:5070");
    auto two = fresh.peer("10.99.0.2:5070");
    sip::Dialog to_two = dialog_of("sip:romeo@Two.SIP.example");
    for (int i = 0; i < 4; ++i) fresh.in_dialog(to_two);
    ASSERT_TRUE(fresh.ended(4));
    EXPECT_TRUE(one->requests.empty());
    EXPECT_EQ(two->requests.size(), 4U);
}

TEST(SipDialog, ElsewhereGoesThroughThePool) {  // SIP-9, SIP-16
    Agents world;
    auto pool = world.peer("10.99.0.1:5070");
    auto elsewhere = world.peer("10.99.0.9:5060");
    world.pass(100ms);
    const std::string target = "sip:romeo@10.99.0.9:5060;transport=tcp;ob";
    sip::Dialog bare = dialog_of(target);
    world.in_dialog(bare);
    sip::Dialog loose = dialog_of(target,
                                  "Record-Route: <sip:10.99.0.9;lr>;x=1\r\n"
                                  "Record-Route: <sip:10.99.0.1:5070;lr>\r\n");
    world.in_dialog(loose);
    sip::Dialog strict = dialog_of(target, "Record-Route: <sip:10.99.0.9>\r\n");
    world.in_dialog(strict);
    ASSERT_TRUE(world.ended(3));
    EXPECT_TRUE(elsewhere->requests.empty());
    EXPECT_EQ(elsewhere->options, 0);
    ASSERT_EQ(pool->requests.size(), 3U);
    EXPECT_EQ(first_line(pool->requests[0]), "NOTIFY " + target + " SIP/2.0");
    EXPECT_EQ(header_of(pool->requests[0], "Route"), "");
    EXPECT_EQ(first_line(pool->requests[1]), "NOTIFY " + target + " SIP/2.0");
    EXPECT_EQ(header_of(pool->requests[1], "Route"),
              "<sip:10.99.0.9;lr>;x=1, <sip:10.99.0.1:5070;lr>");
    EXPECT_EQ(first_line(pool->requests[2]), "NOTIFY sip:10.99.0.9 SIP/2.0");
    EXPECT_EQ(header_of(pool->requests[2], "Route"), "<" + target + ">");
    EXPECT_EQ(header_of(pool->requests[1], "To"), "<sip:romeo@sip.example>;tag=fd");
    EXPECT_EQ(header_of(pool->requests[1], "From"),
              "<sip:juliet@xmpp.example>;tag=" + std::string(kOurTag));
}

TEST(SipDialog, ADatagramHasItsSize) {  // SIP-7
    const std::string large(1'300, 'x');
    Agents world(Settings{{"domain/sip.example/next_hop",
                           "sip:10.99.0.1:5070;transport=udp sip:10.99.0.2:5070;transport=tcp"}});
    auto datagrams = world.peer("10.99.0.1:5070");
    auto stream = world.peer("10.99.0.2:5070");
    world.pass(100ms);
    sip::Dialog pinned = dialog_of("sip:romeo@10.99.0.1:5070");
    world.in_dialog(pinned);
    world.in_dialog(pinned, RequestKind::kNotify, large);
    ASSERT_TRUE(world.ended(2));
    EXPECT_EQ(datagrams->requests.size(), 1U);
    EXPECT_EQ(world.ends[0].fault, LocalFault::kTooLarge);  // at once
    EXPECT_EQ(world.ends[1].status, 200);
    sip::Dialog pool = dialog_of("sip:romeo@sip.example");
    world.in_dialog(pool, RequestKind::kNotify, large);
    ASSERT_TRUE(world.ended(3));
    EXPECT_EQ(world.ends[2].status, 200);
    EXPECT_EQ(stream->requests.size(), 1U);
}

TEST(SipDialog, AChallengeRaisesTheCseq) {  // SIP-30, RFC 3261 22.2
    Agents world(Settings{{"domain/sip.example/digest_user", "fedgate"},
                          {"domain/sip.example/digest_password", "secret"}});
    auto peer = world.peer("10.99.0.1:5070");
    peer->extra_headers = "WWW-Authenticate: Digest realm=\"pool\",nonce=\"n\"\r\n";
    peer->answer = [](const sip::Message& m) {
        if (m.method == sip::Method::kOptions) return 200;
        const auto hex = [](std::initializer_list<Bytes> parts) {
            const auto text = to_hex(md5(parts));
            return std::string(text.data(), text.size());
        };
        const std::string response =
            hex({hex({"fedgate:pool:secret"}),
                 ":n:", hex({sip::method_text(m.method), ":", m.request_uri_text})});
        const Bytes given = m.value(sip::HeaderName::kAuthorization);
        return given.find("response=\"" + response + "\"") != Bytes::npos ? 200 : 401;
    };
    world.pass(100ms);
    sip::Dialog dialog = dialog_of("sip:romeo@10.99.0.1:5070");
    world.in_dialog(dialog);
    ASSERT_TRUE(world.ended());
    EXPECT_EQ(world.ends[0].status, 200);
    EXPECT_EQ(world.ends[0].cseq, 2U);
    dialog.note_cseq(world.ends[0].cseq);
    world.in_dialog(dialog, RequestKind::kSubscribe);  // with what is known: no challenge
    ASSERT_TRUE(world.ended(2));
    EXPECT_EQ(world.ends[1].status, 200);
    EXPECT_EQ(world.ends[1].cseq, 3U);
    ASSERT_EQ(peer->requests.size(), 3U);
    EXPECT_EQ(header_of(peer->requests[0], "CSeq"), "1 NOTIFY");
    EXPECT_EQ(header_of(peer->requests[1], "CSeq"), "2 NOTIFY");
    EXPECT_EQ(header_of(peer->requests[2], "CSeq"), "3 SUBSCRIBE");
}

TEST(SipDialog, ARedirectionIsFollowedOutsideOnly) {  // SIP-9
    Agents world(kTwoHops);
    auto first = world.peer("10.99.0.1:5070");
    auto second = world.peer("10.99.0.2:5070");
    first->extra_headers = "Contact: <sip:romeo@10.99.0.2:5070>\r\n";
    first->answer = only_options(302);
    world.pass(100ms);
    sip::Dialog dialog = dialog_of("sip:romeo@10.99.0.1:5070");
    world.in_dialog(dialog, RequestKind::kSubscribe);
    ASSERT_TRUE(world.ended());
    EXPECT_EQ(world.ends[0].status, 302);
    EXPECT_TRUE(second->requests.empty());
    world.subscribe();
    ASSERT_TRUE(world.ended(2));
    EXPECT_EQ(world.ends[1].status, 200);
    EXPECT_EQ(world.ends[1].cseq, 2U);
    ASSERT_EQ(second->requests.size(), 1U);
    EXPECT_EQ(first_line(second->requests[0]), "SUBSCRIBE sip:romeo@10.99.0.2:5070 SIP/2.0");
    EXPECT_EQ(header_of(second->requests[0], "CSeq"), "2 SUBSCRIBE");
}

TEST(SipDialog, PresenceLeavesRoomForMessages) {
    Agents world;
    std::size_t count = 0;
    std::vector<ClientRequest*> all;
    for (;; ++count) {
        const auto kind = count % 2 == 0 ? RequestKind::kSubscribe : RequestKind::kNotify;
        ClientRequest* request = world.agent().make_request(world.route(), kind);
        if (request == nullptr) break;
        all.push_back(request);
    }
    EXPECT_EQ(count, kPresenceRequests);
    ClientRequest* message = world.agent().make_request(world.route());
    ASSERT_NE(message, nullptr);
    world.agent().release(*message);
    world.agent().release(*all.back());
    all.back() = world.agent().make_request(world.route(), RequestKind::kNotify);
    ASSERT_NE(all.back(), nullptr);
    for (ClientRequest* request : all) world.agent().release(*request);
}

// ---- those of peers

std::string subscribe(const std::string& branch, const std::string& more = {},
                      const std::string& uri = "sip:juliet@xmpp.example",
                      const std::string& transport = "TCP") {
    return World::request(branch, "",
                          "Event: presence\r\nContact: <sip:romeo@10.99.0.1:5070>\r\n" + more,
                          transport, uri, "sip:romeo@sip.example", "SUBSCRIBE");
}

std::string with_tag(std::string request, const std::string& tag) {
    return request.insert(request.find("\r\nCall-ID"), ";tag=" + tag);
}

std::string notify(const std::string& branch, const std::string& tag) {
    std::string request = subscribe(branch, "Subscription-State: active\r\n");
    for (std::size_t at = 0; (at = request.find("SUBSCRIBE", at)) != std::string::npos;) {
        request.replace(at, 9, "NOTIFY");
    }
    return tag.empty() ? request : with_tag(request, tag);
}

TEST(SipDialog, RecordRouteIsCopiedIntoAnAcceptance) {  // SIP-16, SIP-11
    const std::string routes =
        "Record-Route: <sip:a.example;lr>;x=1, <sip:b.example;lr>\r\nRecord-Route: <sip:c;lr>\r\n";
    Agents world;
    auto peer = world.peer("10.99.0.1:5070");
    const std::string request = subscribe("s1", routes, "sip:juliet@xmpp.example", "UDP");
    peer->send_udp(world.address(), request);
    ASSERT_TRUE(world.simulation.run_for([&] { return peer->responses.size() == 1; }, 1s));
    EXPECT_TRUE(peer->responses[0].starts_with("SIP/2.0 200 "));
    EXPECT_TRUE(has(peer->responses[0], "\r\n" + routes)) << peer->responses[0];
    EXPECT_TRUE(has(peer->responses[0], "\r\nExpires: 600\r\n"));
    EXPECT_TRUE(header_of(peer->responses[0], "To").ends_with(";tag=" + std::string(kOurTag)));
    // Again: the same answer, and nobody is asked.
    peer->send_udp(world.address(), request);
    ASSERT_TRUE(world.simulation.run_for([&] { return peer->responses.size() == 2; }, 1s));
    EXPECT_EQ(peer->responses[0], peer->responses[1]);
    EXPECT_EQ(world.taken.size(), 1U);
    // Not in what makes no dialog, or is in one.
    world.answer.status = 403;
    peer->send_udp(world.address(), subscribe("s2", routes, "sip:juliet@xmpp.example", "UDP"));
    ASSERT_TRUE(world.simulation.run_for([&] { return peer->responses.size() == 3; }, 1s));
    EXPECT_FALSE(has(peer->responses[2], "Record-Route")) << peer->responses[2];
    EXPECT_TRUE(has(peer->responses[2], "\r\nCSeq: 1 SUBSCRIBE\r\nExpires: 600\r\n"));
    world.answer.status = 200;
    peer->send_udp(world.address(),
                   with_tag(subscribe("s3", routes, "sip:juliet@xmpp.example", "UDP"), "mine"));
    ASSERT_TRUE(world.simulation.run_for([&] { return peer->responses.size() == 4; }, 1s));
    EXPECT_FALSE(has(peer->responses[3], "Record-Route")) << peer->responses[3];
    EXPECT_TRUE(header_of(peer->responses[3], "To").ends_with(">;tag=mine"));
}

TEST(SipDialog, WhatGoesOnGoesOnWhileDraining) {
    Agents world;
    auto peer = world.peer("10.99.0.1:5070");
    world.agent().set_draining();
    peer->send_tcp(world.address(), subscribe("s1"));
    peer->send_tcp(world.address(), with_tag(subscribe("s2"), std::string(kOurTag)));
    peer->send_tcp(world.address(), notify("n1", std::string(kOurTag)));
    ASSERT_TRUE(world.simulation.run_for([&] { return peer->responses.size() == 3; }, 1s));
    EXPECT_TRUE(peer->responses[0].starts_with("SIP/2.0 503 "));
    EXPECT_NE(header_of(peer->responses[0], "Retry-After"), "");
    EXPECT_TRUE(peer->responses[1].starts_with("SIP/2.0 200 "));
    EXPECT_TRUE(peer->responses[2].starts_with("SIP/2.0 200 "));
    EXPECT_EQ(world.taken.size(), 2U);
}

TEST(SipDialog, OnlyPresenceIsSubscribedTo) {                          // PRES-72, RFC 6665 8.2.1
    World world(Settings{{"policy/global/federation_access", "no"}});  // 489 comes first
    auto peer = world.peer();
    std::vector<std::string> events{"dialog", "Presence", "presence.winfo", ""};
    for (std::size_t i = 0; i < events.size(); ++i) {
        std::string request = subscribe("e" + std::to_string(i));
        const std::size_t at = request.find("Event: presence\r\n");
        request.replace(at, 17, events[i].empty() ? "" : "Event: " + events[i] + "\r\n");
        peer->send_tcp(world.sip_address(), request);
    }
    ASSERT_TRUE(world.until([&] { return peer->responses.size() == events.size(); }, 1s));
    for (const std::string& response : peer->responses) {
        EXPECT_TRUE(response.starts_with("SIP/2.0 489 ")) << response;
        EXPECT_EQ(header_of(response, "Allow-Events"), "presence");
    }
}

TEST(SipDialog, ASubscribeIsRefusedAsAMessageIs) {
    struct Row {
        const char* rule;
        const char* uri;
        const char* from;
        const char* status;
    };
    for (const Row& row : std::initializer_list<Row>{
             {"SIP-32", "sip:juliet@xmpp.example", "sip:romeo@other.example", "403 "},
             {"SEC-1", "sip:juliet@sip.example", "sip:romeo@sip.example", "403 "},
             {"ADDR-21", "sips:juliet@xmpp.example", "sip:romeo@sip.example", "480 "},
             {"ADDR-26", "sip:juliet@192.0.2.1", "sip:romeo@sip.example", "404 "}}) {
        World world;
        auto peer = world.peer();
        peer->send_tcp(world.sip_address(), World::request("s", "", "Event: presence\r\n", "TCP",
                                                           row.uri, row.from, "SUBSCRIBE"));
        ASSERT_TRUE(world.until([&] { return peer->responses.size() == 1; }, 1s)) << row.rule;
        EXPECT_TRUE(peer->responses[0].starts_with(std::string("SIP/2.0 ") + row.status))
            << row.rule << peer->responses[0];
        EXPECT_EQ(world.count(Counter::kMessagesS2xRefused), 0U);
    }
}

TEST(SipDialog, ADomainMayBePolled) {  // ADDR-29, PRES-69
    World world;
    auto peer = world.peer();
    peer->send_tcp(world.sip_address(), subscribe("s1", "Expires: 600\r\n", "sip:xmpp.example"));
    peer->send_tcp(world.sip_address(), subscribe("s2", "Expires: 0\r\n", "sip:xmpp.example"));
    ASSERT_TRUE(world.until([&] { return peer->requests.size() == 1; }, 5s)) << world.log();
    ASSERT_EQ(peer->responses.size(), 2U);
    EXPECT_TRUE(peer->responses[0].starts_with("SIP/2.0 404 ")) << peer->responses[0];
    EXPECT_TRUE(peer->responses[1].starts_with("SIP/2.0 200 ")) << peer->responses[1];
    EXPECT_EQ(header_of(peer->requests[0], "Subscription-State"), "terminated;reason=timeout");
    ASSERT_EQ(world.edge().stanzas.size(), 1U);
    EXPECT_TRUE(has(world.edge().stanzas[0], " to='xmpp.example'")) << world.edge().stanzas[0];
    EXPECT_TRUE(has(world.edge().stanzas[0], " type='probe'"));
}

// The tag that an answer gives names the shard that owns the pair, wherever the request came in;
// and what comes in the dialog finds it there, wherever that comes in.
TEST(SipDialog, OurTagNamesTheOwner) {  // SIP-20, SIP-22
    constexpr std::uint32_t kShards = 4;
    World world({}, kShards);
    auto pool = world.peer();
    const KeyMaker keys({7, 11});
    std::array<int, kShards> owned{};
    std::vector<std::unique_ptr<test::SipPhone>> peers;
    for (int i = 0; i < 16; ++i) {
        for (int k = 0; k < 2; ++k) {
            peers.push_back(world.peer(("10.99.0.9:" + std::to_string(6'000 + 2 * i + k)).c_str()));
        }
        const auto& peer = peers[peers.size() - 2];
        const std::string user = "juliet" + std::to_string(i);
        const std::string request =
            subscribe("s" + std::to_string(i), {}, "sip:" + user + "@xmpp.example");
        peer->send_tcp(world.sip_address(), request);
        ASSERT_TRUE(world.until([&] { return peer->responses.size() == 1; }, 2s));
        EXPECT_TRUE(peer->responses[0].starts_with("SIP/2.0 200 ")) << peer->responses[0];
        const std::string to = header_of(peer->responses[0], "To");
        const std::string tag = to.substr(to.find(";tag=") + 5);
        const auto core = sip::core_of_tag(tag);
        ASSERT_TRUE(core.has_value()) << to;
        const Key pair = keys.make({user, "xmpp.example", "romeo", "sip.example"});
        EXPECT_EQ(*core, Conversations::owner_of(pair, kShards));
        ++owned[*core];

        const auto& other = peers.back();
        std::string refresh = with_tag(request, tag);
        refresh.replace(refresh.find("CSeq: 1"), 7, "CSeq: 2");
        refresh.insert(refresh.find("z9hG4bK") + 7, "r");
        other->send_tcp(world.sip_address(), refresh);
        ASSERT_TRUE(world.until([&] { return other->responses.size() == 1; }, 2s));
        EXPECT_TRUE(other->responses[0].starts_with("SIP/2.0 200 ")) << other->responses[0];
    }
    for (const int count : owned) EXPECT_GT(count, 0);
}

TEST(SipDialog, AnotherTextIsNoTagOfOurs) {  // SIP-22
    Agents world;                            // one shard
    const std::string rest(24, 'a');
    EXPECT_EQ(world.agent().core_of("00000000" + rest), 0);
    EXPECT_EQ(world.agent().core_of(world.agent().make_tag(0).view()), 0);
    // Another process's, with more of them, whose dialog is here now.
    EXPECT_EQ(world.agent().core_of("00000001" + rest), 0);
    for (const std::string& tag : {"0000000g" + rest, "00000000" + rest + "a", std::string()}) {
        EXPECT_EQ(world.agent().core_of(tag), std::nullopt) << tag;
    }
}

TEST(SipDialog, OfNoDialogOfOursIsNothingKnown) {  // SIP-22, SIP-24
    World world({}, 4);
    auto peer = world.peer();
    const std::string rest(24, 'a');
    const std::vector<std::string> tags{"", "never-given", "00000003" + rest /* a shard of ours */,
                                        "00000004" + rest /* no such shard */,
                                        "00010000" + rest /* another node's */};
    int i = 0;
    for (const std::string& tag : tags) {
        peer->send_tcp(world.sip_address(), notify("n" + std::to_string(++i), tag));
        if (!tag.empty()) {
            peer->send_tcp(world.sip_address(), with_tag(subscribe("s" + std::to_string(i)), tag));
        }
    }
    ASSERT_TRUE(world.until([&] { return peer->responses.size() == 9; }, 2s)) << world.log();
    for (const std::string& response : peer->responses) {
        EXPECT_TRUE(response.starts_with("SIP/2.0 481 ")) << response;
    }
    EXPECT_TRUE(world.edge().stanzas.empty());
}

TEST(SipDialog, UntrustedPeersHaveNoDialogs) {  // SIP-30
    World world(Settings{{"sip.trusted", "10.77.0.0/16"},
                         {"domain/sip.example/next_hop", "sip:10.77.0.1:5070;transport=tcp"}});
    auto peer = world.peer("10.99.0.9:5070");
    peer->send_tcp(world.sip_address(), notify("n1", "00000000" + std::string(24, 'a')));
    peer->send_tcp(world.sip_address(), subscribe("s1"));
    ASSERT_TRUE(world.until([&] { return !peer->responses.empty(); }, 2s));
    for (const std::string& response : peer->responses) {
        EXPECT_TRUE(response.starts_with("SIP/2.0 403 ")) << response;
    }
}

}  // namespace
}  // namespace fedgate::gateway
