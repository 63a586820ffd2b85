// INVITE through the SIP user agent, as client and as server: what is sent again and what is not,
// its ACKs and its CANCEL, who gets what comes late.
#include <gtest/gtest.h>

#include "tests/gateway/agents.hpp"
#include "tests/gateway/world.hpp"
#include "tests/text.hpp"

namespace fedgate::gateway {
namespace {

using test::Agents;
using test::kOurTag;
using test::Settings;
using test::SipPhone;
using test::World;

constexpr const char* kTransports[] = {"udp", "tcp"};

Settings one_hop(const std::string& transport) {
    return {{"sip.options_interval", "1h"},
            {"domain/sip.example/profile", "lync"},
            {"domain/sip.example/next_hop", "sip:10.99.0.1:5070;transport=" + transport}};
}
const Settings kTwoNodes{{"sip.options_interval", "1h"},
                         {"domain/sip.example/next_hop",
                          "sip:10.99.0.1:5070;transport=tcp sip:10.99.0.2:5070;transport=tcp"}};

// A phone that answers as this says, and nothing to an ACK or a CANCEL.
auto invites(int status) {
    return
        [status](const sip::Message& m) { return m.method == sip::Method::kInvite ? status : 0; };
}

std::string method_of_text(const std::string& message) {
    return message.substr(0, message.find(' '));
}

std::size_t how_many(const std::vector<std::string>& messages, const std::string& begin) {
    return static_cast<std::size_t>(std::ranges::count_if(
        messages, [&](const std::string& one) { return one.starts_with(begin + " "); }));
}

// What a user agent server says to a request of ours, by hand.
std::string response_to(const std::string& request, int status, const std::string& tag,
                        const std::string& more = {}) {
    return "SIP/2.0 " + std::to_string(status) + " X\r\nVia: " + header_of(request, "Via") +
           "\r\nFrom: " + header_of(request, "From") + "\r\nTo: " + header_of(request, "To") +
           (tag.empty() ? "" : ";tag=" + tag) + "\r\nCall-ID: " + header_of(request, "Call-ID") +
           "\r\nCSeq: " + header_of(request, "CSeq") + "\r\n" + more + "Content-Length: 0\r\n\r\n";
}

// One hop, over one transport.
struct Line {
    explicit Line(const std::string& over) : world(one_hop(over)), udp(over == "udp") {
        world.pass(100ms);
    }
    void say(const std::string& bytes) {
        udp ? phone->send_udp(world.address(), bytes) : phone->send_back(bytes);
        world.pass(50ms);
    }
    // To the newest request.
    void say(int status, const std::string& tag, const std::string& more = {}) {
        say(response_to(phone->requests.back(), status, tag, more));
    }
    // As a user agent client.
    void ask(const std::string& bytes) {
        udp ? phone->send_udp(world.address(), bytes) : phone->send_tcp(world.address(), bytes);
        world.pass(50ms);
    }
    [[nodiscard]] std::size_t sent(const std::string& method) const {
        return how_many(phone->requests, method);
    }
    [[nodiscard]] std::size_t told(const std::string& status) const {
        return how_many(phone->responses, "SIP/2.0 " + status);
    }

    Agents world;
    bool udp;
    std::unique_ptr<SipPhone> phone = world.peer("10.99.0.1:5070");
};

std::string invite_of(const char* branch, bool udp, const std::string& method = "INVITE") {
    return World::request(branch, "",
                          "Record-Route: <sip:10.99.0.1:5070;lr>\r\n"
                          "Contact: <sip:romeo@10.99.0.1:5070>\r\n",
                          udp ? "UDP" : "TCP", "sip:juliet@xmpp.example", "sip:romeo@sip.example",
                          method);
}

// The ACK or CANCEL of a request of a peer's: the same branch.
std::string companion(const std::string& request, const std::string& method,
                      const std::string& tag = {}) {
    std::string text = method + request.substr(request.find(' '));
    text.replace(text.find("CSeq: 1 "),
                 text.find("\r\n", text.find("CSeq: 1 ")) - text.find("CSeq"), "CSeq: 1 " + method);
    if (!tag.empty()) text.insert(text.find("\r\nCall-ID"), ";tag=" + tag);
    return text;
}

// ---- Client

TEST(SipInvite, AFailureGetsItsAckAsOftenAsItComes) {  // SIP-10, RFC 3261 17.1.1.3
    for (const char* over : kTransports) {
        Line line(over);
        line.phone->answer = invites(486);
        line.world.invite();
        ASSERT_TRUE(line.world.ended()) << over;
        EXPECT_EQ(line.world.ends[0].status, 486);
        EXPECT_EQ(line.world.agent().request_count(), 0U);  // released
        line.world.pass(100ms);
        ASSERT_EQ(line.phone->requests.size(), 2U) << over;
        const std::string invite = line.phone->requests[0];
        const std::string ack = line.phone->requests[1];
        EXPECT_TRUE(ack.starts_with("ACK sip:romeo@sip.example SIP/2.0\r\n")) << ack;
        for (const char* same : {"Via", "From", "Call-ID"}) {
            EXPECT_EQ(header_of(ack, same), header_of(invite, same)) << same;
        }
        EXPECT_EQ(header_of(ack, "To"), "<sip:romeo@sip.example>;tag=peer");
        EXPECT_EQ(header_of(ack, "CSeq"), "1 ACK");
        line.say(response_to(invite, 486, "peer"));
        line.say(response_to(invite, 486, "peer"));
        EXPECT_EQ(line.sent("ACK"), line.udp ? 3U : 1U) << over;  // on a stream nothing is lost
        EXPECT_EQ(line.phone->requests.back(), ack);
        line.world.pass(33s);  // timer D
        line.say(response_to(invite, 486, "peer"));
        EXPECT_EQ(line.sent("ACK"), line.udp ? 3U : 1U) << over;
        EXPECT_EQ(line.world.ends.size(), 1U);
        EXPECT_EQ(line.sent("INVITE"), 1U);
    }
}

TEST(SipInvite, ASuccessIsTheUsersToAcknowledge) {  // SESS-13, RFC 3261 13.2.2.4
    for (const char* over : kTransports) {
        Line line(over);
        line.phone->answer = invites(0);
        line.world.invite();
        line.world.pass(100ms);
        const std::string invite = line.phone->requests.at(0);
        const std::string contact = "Contact: <sip:romeo@10.99.0.1:5070>\r\n";
        line.say(response_to(invite, 200, "first", contact));
        ASSERT_EQ(line.world.ends.size(), 1U) << over;
        EXPECT_EQ(line.world.ends[0].status, 200);
        EXPECT_EQ(line.sent("ACK"), 0U);
        line.world.ack();
        line.world.pass(50ms);
        ASSERT_EQ(line.sent("ACK"), 1U) << over;
        const std::string ack = line.phone->requests.back();
        EXPECT_TRUE(ack.starts_with("ACK sip:romeo@10.99.0.1:5070 SIP/2.0\r\n")) << ack;
        EXPECT_EQ(header_of(ack, "CSeq"), "1 ACK");
        EXPECT_EQ(header_of(ack, "To"), "<sip:romeo@sip.example>;tag=first");
        EXPECT_NE(header_of(ack, "Via"), header_of(invite, "Via"));  // a transaction of its own
        EXPECT_TRUE(has(ack, line.udp ? "Via: SIP/2.0/UDP " : "Via: SIP/2.0/TCP ")) << ack;
        line.say(response_to(invite, 200, "first", contact));  // again
        // Of another branch of a fork, and from where only the pool has a way to (SIP-9).
        line.say(response_to(invite, 200, "second", "Contact: <sip:romeo@192.0.2.7>\r\n"));
        ASSERT_EQ(line.world.successes.size(), 2U) << over;
        EXPECT_TRUE(has(line.world.successes[0], ";tag=first\r\n"));
        EXPECT_TRUE(has(line.world.successes[1], ";tag=second\r\n"));
        line.world.ack();
        line.world.pass(50ms);
        EXPECT_EQ(header_of(line.phone->requests.back(), "To"),
                  "<sip:romeo@sip.example>;tag=second");
        EXPECT_TRUE(line.phone->requests.back().starts_with("ACK sip:romeo@192.0.2.7 "));
        EXPECT_EQ(line.world.ends.size(), 1U);
        EXPECT_EQ(line.sent("INVITE"), 1U);
    }
}

TEST(SipInvite, NobodyIsAskedForEverAndRingingHasAnEnd) {  // SIP-10, SIP-19
    Line silent("udp");
    silent.phone->answer = invites(0);
    silent.world.invite();
    silent.world.pass(31s);
    EXPECT_TRUE(silent.world.ends.empty());
    ASSERT_TRUE(silent.world.ended(1, 2s));
    EXPECT_EQ(silent.world.ends[0].fault, LocalFault::kInDoubt);
    EXPECT_EQ(silent.sent("INVITE"), 7U);  // timer A

    for (const char* over : kTransports) {
        Line line(over);
        line.phone->answer = invites(180);
        line.world.invite();
        line.world.pass(kRingingMax - 1s);
        EXPECT_EQ(line.phone->requests.size(), 1U) << over;  // no CANCEL, and not sent again
        line.world.pass(2s);
        ASSERT_EQ(line.sent("CANCEL"), line.udp ? 2U : 1U) << over;
        EXPECT_TRUE(line.world.ends.empty());
        line.say(response_to(line.phone->requests[0], 487, "peer"));
        ASSERT_EQ(line.world.ends.size(), 1U) << over;
        EXPECT_EQ(line.world.ends[0].status, 487);
        EXPECT_EQ(method_of_text(line.phone->requests.back()), "ACK");
    }
}

TEST(SipInvite, ACancelWaitsForAProvisional) {  // SIP-19, RFC 3261 9.1
    for (const char* over : kTransports) {
        Line line(over);
        line.phone->answer = invites(0);
        ClientRequest& request = line.world.invite();
        line.world.pass(100ms);
        const std::string invite = line.phone->requests.at(0);
        line.world.agent().cancel(request);
        line.world.agent().cancel(request);  // once is enough
        line.world.pass(200ms);
        EXPECT_EQ(line.sent("CANCEL"), 0U);
        line.say(response_to(invite, 100, ""));
        ASSERT_EQ(line.sent("CANCEL"), 1U) << over;
        const std::string cancel = line.phone->requests.back();
        EXPECT_TRUE(cancel.starts_with("CANCEL sip:romeo@sip.example SIP/2.0\r\n")) << cancel;
        for (const char* same : {"Via", "From", "To", "Call-ID"}) {
            EXPECT_EQ(header_of(cancel, same), header_of(invite, same)) << same;
        }
        EXPECT_EQ(header_of(cancel, "CSeq"), "1 CANCEL");
        line.world.pass(1s);  // over UDP it is sent until it is answered
        EXPECT_EQ(line.sent("CANCEL"), line.udp ? 2U : 1U) << over;
        line.say(response_to(cancel, 200, "proxy"));
        line.world.pass(5s);
        EXPECT_EQ(line.sent("CANCEL"), line.udp ? 2U : 1U) << over;
        EXPECT_TRUE(line.world.ends.empty());
        line.say(response_to(invite, 487, "peer"));
        ASSERT_EQ(line.world.ends.size(), 1U);
        EXPECT_EQ(line.world.ends[0].status, 487);
        EXPECT_EQ(line.sent("ACK"), 1U);
    }
}

TEST(SipInvite, ACancelMayComeTooLateOrToNoEnd) {  // SIP-19, RFC 3261 9.1
    for (const char* over : kTransports) {
        Line late(over);
        late.phone->answer = invites(180);
        ClientRequest& answered = late.world.invite();
        late.world.pass(100ms);
        late.world.agent().cancel(answered);
        late.say(response_to(late.phone->requests[0], 200, "peer"));
        ASSERT_EQ(late.world.ends.size(), 1U) << over;
        EXPECT_EQ(late.world.ends[0].status, 200);  // its user says BYE
        const std::size_t cancels = late.sent("CANCEL");
        late.world.pass(10s);
        EXPECT_EQ(late.sent("CANCEL"), cancels);

        Line unheard(over);
        unheard.phone->answer = invites(180);
        ClientRequest& request = unheard.world.invite();
        unheard.world.pass(10s);
        unheard.world.agent().cancel(request);
        unheard.world.pass(31s);
        EXPECT_TRUE(unheard.world.ends.empty());
        ASSERT_TRUE(unheard.world.ended(1, 2s)) << over;
        EXPECT_EQ(unheard.world.ends[0].fault, LocalFault::kInDoubt);
        EXPECT_EQ(unheard.world.agent().request_count(), 0U);
    }
    // Nobody has it yet: nobody is told.
    Agents world(one_hop("tcp"));  // no look-up has ended, nobody listens
    ClientRequest& request = world.invite();
    ASSERT_TRUE(world.ends.empty());
    world.agent().cancel(request);
    ASSERT_EQ(world.ends.size(), 1U);
    EXPECT_EQ(world.ends[0].fault, LocalFault::kTimeout);
    EXPECT_EQ(world.agent().request_count(), 0U);
}

TEST(SipInvite, ItFailsOverWithAnAckForEach) {  // SIP-8
    Agents world(kTwoNodes);
    auto first = world.peer("10.99.0.1:5070");
    auto second = world.peer("10.99.0.2:5070");
    first->answer = invites(503);
    second->answer = invites(200);
    world.pass(100ms);
    world.invite();
    ASSERT_TRUE(world.ended());
    world.pass(100ms);
    EXPECT_EQ(world.ends[0].status, 200);
    EXPECT_EQ(world.ends[0].cseq, 1U);
    ASSERT_EQ(first->requests.size(), 2U);
    ASSERT_EQ(second->requests.size(), 1U);
    EXPECT_EQ(method_of_text(first->requests[1]), "ACK");
    EXPECT_EQ(header_of(first->requests[1], "Via"), header_of(first->requests[0], "Via"));
    EXPECT_NE(header_of(first->requests[0], "Via"), header_of(second->requests[0], "Via"));
    for (const char* same : {"From", "To", "Call-ID", "CSeq"}) {
        EXPECT_EQ(header_of(first->requests[0], same), header_of(second->requests[0], same))
            << same;
    }
}

TEST(SipInvite, WhatIsCancelledGoesNowhereElse) {  // SIP-8, SIP-19
    for (const bool breaks : {false, true}) {
        Agents world(kTwoNodes);
        auto first = world.peer("10.99.0.1:5070");
        auto second = world.peer("10.99.0.2:5070");
        first->answer = invites(180);
        world.pass(100ms);
        ClientRequest& request = world.invite();
        world.pass(100ms);
        world.agent().cancel(request);
        breaks ? first->stop() : first->send_back(response_to(first->requests[0], 503, "peer"));
        ASSERT_TRUE(world.ended(1, 2s));
        EXPECT_EQ(world.ends[0].status, breaks ? 0 : 503);
        if (breaks) {
            EXPECT_EQ(world.ends[0].fault, LocalFault::kInDoubt);
        }
        world.pass(1s);
        EXPECT_TRUE(second->requests.empty());
    }
}

TEST(SipInvite, ACredentialIsShownAndAcknowledged) {  // SIP-30, RFC 3261 22.1
    Settings settings = one_hop("tcp");
    settings.push_back({"domain/sip.example/digest_user", "gw"});
    settings.push_back({"domain/sip.example/digest_password", "secret"});
    Agents world(settings);
    auto phone = world.peer("10.99.0.1:5070");
    int invitations = 0;
    phone->answer = [&](const sip::Message& m) {
        if (m.method != sip::Method::kInvite) return 0;
        return ++invitations == 1 ? 407 : 480;
    };
    phone->extra_headers =
        "Proxy-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=MD5\r\n";
    world.pass(100ms);
    world.invite();
    ASSERT_TRUE(world.ended());
    world.pass(100ms);
    EXPECT_EQ(world.ends[0].status, 480);
    EXPECT_EQ(world.ends[0].cseq, 2U);
    ASSERT_EQ(phone->requests.size(), 4U);
    EXPECT_EQ(header_of(phone->requests[1], "CSeq"), "1 ACK");
    EXPECT_FALSE(has(phone->requests[1], "Proxy-Authorization"));
    EXPECT_EQ(header_of(phone->requests[2], "CSeq"), "2 INVITE");
    EXPECT_EQ(header_of(phone->requests[3], "CSeq"), "2 ACK");
    EXPECT_FALSE(header_of(phone->requests[3], "Proxy-Authorization").empty());
    EXPECT_EQ(header_of(phone->requests[3], "Proxy-Authorization"),
              header_of(phone->requests[2], "Proxy-Authorization"));
}

TEST(SipInvite, ARedirectionIsAcknowledgedAndFollowed) {  // SIP-9
    Agents world(kTwoNodes);
    auto first = world.peer("10.99.0.1:5070");
    auto second = world.peer("10.99.0.2:5070");
    first->answer = invites(302);
    first->extra_headers = "Contact: <sip:romeo@10.99.0.2:5070;transport=tcp>\r\n";
    second->answer = invites(200);
    world.pass(100ms);
    world.invite();
    ASSERT_TRUE(world.ended());
    world.pass(100ms);
    EXPECT_EQ(world.ends[0].status, 200);
    EXPECT_EQ(world.ends[0].cseq, 2U);
    ASSERT_EQ(how_many(first->requests, "ACK"), 1U);
    ASSERT_EQ(second->requests.size(), 1U);
    EXPECT_TRUE(second->requests[0].starts_with("INVITE sip:romeo@10.99.0.2:5070;transport=tcp "))
        << second->requests[0];
}

TEST(SipInvite, WhoHasSaidThatItRingsIsWaitedFor) {  // SIP-8: not as one that is silent
    for (const bool rings : {true, false}) {
        Agents world(
            Settings{{"domain/sip.example/next_hop",
                      "sip:10.99.0.1:5070;transport=tcp sip:10.99.0.2:5070;transport=tcp"}});
        auto first = world.peer("10.99.0.1:5070");
        auto second = world.peer("10.99.0.2:5070");
        second->answer = [](const sip::Message& m) {
            return m.method == sip::Method::kOptions ? 200 : 0;
        };
        first->answer = [rings](const sip::Message& m) {
            return m.method == sip::Method::kInvite && rings ? 100 : 0;
        };
        world.pass(100ms);
        const RouteLeg& leg = *world.route().legs()[0];
        ASSERT_TRUE(world.simulation.run_for([&] { return leg.suspect; }, 20s));
        world.invite();
        world.pass(4'500ms);
        ASSERT_EQ(how_many(first->requests, "INVITE"), 1U);
        EXPECT_EQ(how_many(second->requests, "INVITE"), rings ? 0U : 1U);
    }
}

TEST(SipInvite, ThatRingLeaveRoomForOthers) {  // SESS-4
    Agents world;
    std::vector<ClientRequest*> all;
    while (ClientRequest* one = world.agent().make_request(world.route(), RequestKind::kInvite)) {
        all.push_back(one);
    }
    EXPECT_EQ(all.size(), kInviteRequests);
    ClientRequest* const message = world.agent().make_request(world.route());
    ASSERT_NE(message, nullptr);
    world.agent().release(*message);
    world.agent().release(*all.back());
    all.back() = world.agent().make_request(world.route(), RequestKind::kInvite);
    ASSERT_NE(all.back(), nullptr);
    for (ClientRequest* one : all) world.agent().release(*one);
}

TEST(SipInvite, GoingDownWeCancelWhatRings) {  // RFC 3261 9.1
    Line line("tcp");
    line.phone->answer = invites(180);
    line.world.invite();
    line.world.pass(100ms);
    line.world.agent().give_up();
    ASSERT_EQ(line.world.ends.size(), 1U);
    line.world.pass(50ms);
    EXPECT_EQ(line.sent("CANCEL"), 1U);
}

// ---- Server

TEST(SipInvite, TryingIsSaidAfter200ms) {  // SIP-19
    for (const char* over : kTransports) {
        Line line(over);
        line.world.answer.status = 0;
        const std::string invite = invite_of("i1", line.udp);
        line.ask(invite);
        ASSERT_EQ(line.world.taken.size(), 1U) << over;
        line.world.pass(100ms);
        EXPECT_TRUE(line.phone->responses.empty());
        line.world.pass(100ms);
        ASSERT_EQ(line.told("100"), 1U) << over;
        EXPECT_FALSE(has(line.phone->responses[0], "\r\nRecord-Route:"));
        line.world.pass(5s);
        EXPECT_EQ(line.phone->responses.size(), 1U);
        if (line.udp) {  // SIP-11
            line.ask(invite);
            EXPECT_EQ(line.told("100"), 2U);
        }
        EXPECT_EQ(line.world.taken.size(), 1U);
        line.world.agent().answer(line.world.taken[0].transaction, {486, {}});
        line.world.pass(50ms);
        EXPECT_EQ(line.told("486"), 1U) << over;
    }
}

TEST(SipInvite, ASuccessIsSaidUntilItsAckHasCome) {  // RFC 3261 13.3.1.4, SIP-16
    for (const char* over : kTransports) {
        Line line(over);
        line.world.answer.status = 0;
        const std::string invite = invite_of("i1", line.udp);
        line.ask(invite);
        const auto transaction = line.world.taken.at(0).transaction;
        line.world.agent().answer(transaction, {200, {}}, "Content-Type: application/sdp\r\n",
                                  "v=0\r\n");
        line.world.pass(50ms);
        ASSERT_EQ(line.phone->responses.size(), 1U) << over;
        const std::string success = line.phone->responses[0];
        EXPECT_TRUE(success.ends_with(
            "\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"))
            << success;
        EXPECT_EQ(header_of(success, "Record-Route"), "<sip:10.99.0.1:5070;lr>");
        EXPECT_EQ(header_of(success, "To"),
                  "<sip:juliet@xmpp.example>;tag=" + std::string(kOurTag));
        line.world.pass(3'600ms);  // T1, 2 T1, 4 T1
        EXPECT_EQ(line.told("200"), 4U) << over;
        EXPECT_EQ(line.phone->responses.back(), success);
        // A new branch: an ACK of a 2xx is a request of its own.
        line.ask(companion(invite_of("a1", line.udp), "ACK", std::string(kOurTag)));
        ASSERT_EQ(line.world.taken.size(), 2U) << over;
        EXPECT_TRUE(line.world.taken[1].bytes.starts_with("ACK "));
        line.world.agent().acknowledge(transaction);
        const std::size_t told = line.phone->responses.size();
        line.world.pass(10s);
        EXPECT_EQ(line.phone->responses.size(), told) << over;
        if (line.udp) {
            line.ask(invite);  // SIP-11
            EXPECT_EQ(line.world.taken.size(), 2U);
        }
        EXPECT_EQ(line.world.agent().transaction_count(), line.udp ? 1U : 0U) << over;
        line.world.pass(33s);
        EXPECT_EQ(line.world.agent().transaction_count(), 0U);
    }
}

TEST(SipInvite, AnAckThatNeverComesIsNotWaitedForForEver) {  // SIP-10, RFC 6026
    for (const int status : {200, 486}) {
        for (const char* over : kTransports) {
            Line line(over);
            line.world.answer.status = static_cast<std::uint16_t>(status);
            line.ask(invite_of("i1", line.udp));
            line.world.pass(33s);
            EXPECT_EQ(line.world.agent().transaction_count(), 0U) << over << status;
            EXPECT_EQ(line.told(std::to_string(status)),
                      status == 200 || line.udp ? 11U : 1U)  // timer G, and the 2xx alike
                << over << status;
        }
    }
}

TEST(SipInvite, TheAckOfAFailureEndsIt) {  // RFC 3261 17.2.1
    for (const char* over : kTransports) {
        Line line(over);
        line.world.answer.status = 486;
        const std::string invite = invite_of("i1", line.udp);
        line.ask(invite);
        line.world.pass(600ms);
        EXPECT_EQ(line.told("486"), line.udp ? 2U : 1U) << over;
        line.ask(companion(invite, "ACK", std::string(kOurTag)));
        line.world.pass(4s);
        EXPECT_EQ(line.told("486"), line.udp ? 2U : 1U) << over;
        EXPECT_EQ(line.world.taken.size(), 1U);  // it was the transaction's
        EXPECT_EQ(line.world.agent().transaction_count(), line.udp ? 1U : 0U) << over;
        line.world.pass(2s);  // timer I
        EXPECT_EQ(line.world.agent().transaction_count(), 0U) << over;
    }
}

TEST(SipInvite, ACancelEndsWhatIsNotAnswered) {  // SIP-19, RFC 3261 9.2
    for (const char* over : kTransports) {
        Line line(over);
        line.world.answer.status = 0;
        const std::string invite = invite_of("i1", line.udp);
        line.ask(invite);
        line.ask(companion(invite_of("other", line.udp), "CANCEL"));
        EXPECT_EQ(line.told("481"), 1U) << over;
        EXPECT_EQ(line.told("487"), 0U);
        line.ask(companion(invite, "CANCEL"));
        ASSERT_EQ(line.told("200"), 1U) << over;
        ASSERT_EQ(line.told("487"), 1U) << over;
        const auto& told = line.phone->responses;
        EXPECT_EQ(header_of(told[1], "CSeq"), "1 CANCEL");
        EXPECT_EQ(header_of(told[2], "CSeq"), "1 INVITE");
        EXPECT_EQ(header_of(told[1], "To"), header_of(told[2], "To"));
        // What its user says later is too late.
        line.world.agent().answer(line.world.taken.at(0).transaction, {200, {}});
        line.ask(companion(invite, "ACK", std::string(kOurTag)));
        line.world.pass(1s);
        EXPECT_EQ(line.told("200"), 1U) << over;
        EXPECT_EQ(line.world.taken.size(), 1U);
    }
}

TEST(SipInvite, ACancelOfWhatIsAnsweredChangesNothing) {  // SIP-19, RFC 3261 9.2
    Line line("tcp");
    const std::string invite = invite_of("i1", false);
    line.ask(invite);
    line.ask(companion(invite, "CANCEL"));
    EXPECT_EQ(line.told("200"), 2U);
    EXPECT_EQ(line.told("487"), 0U);
}

TEST(SipInvite, AnInviteThatNobodyAnswersHasAnEnd) {  // ERR-34
    Line line("tcp");
    line.world.answer.status = 0;
    line.ask(invite_of("i1", false));
    line.world.pass(31s);
    EXPECT_EQ(line.phone->responses.size(), 1U);  // 100
    line.world.pass(2s);
    EXPECT_EQ(line.told("504"), 1U);
}

TEST(SipInvite, AnAckIsNeverAnsweredAndAStrangersIsNotTaken) {  // SIP-30, RFC 3261 17
    for (const bool trusted : {true, false}) {
        Settings settings = one_hop("udp");
        if (!trusted) settings.push_back({"sip.trusted", "10.77.0.0/16"});
        Agents world(settings);
        auto phone = world.peer("10.99.0.9:5070");
        for (const std::string& tag : {std::string(kOurTag), std::string("x"), std::string()}) {
            phone->send_udp(world.address(), companion(invite_of("a1", true), "ACK", tag));
        }
        std::string bad = companion(invite_of("a2", true), "ACK", std::string(kOurTag));
        bad.erase(bad.find("From: "), bad.find("To: ") - bad.find("From: "));
        phone->send_udp(world.address(), bad);
        world.pass(1s);
        EXPECT_TRUE(phone->responses.empty()) << phone->responses[0];
        EXPECT_EQ(world.taken.size(), trusted ? 2U : 0U);  // without a tag it is of no dialog
    }
}

// ---- Engine

struct House {
    explicit House(std::uint32_t shards = 1)
        : world({{"sip.options_interval", "1h"},
                 {"domain/lync.example/profile", "lync"},
                 {"domain/lync.example/next_hop", "sip:10.99.0.1:5070;transport=tcp"}},
                shards) {}
    std::string ask(const std::string& request) {
        phone->responses.clear();
        phone->send_tcp(world.sip_address(), request);
        world.until([&] { return !phone->responses.empty(); }, 2s);
        return phone->responses.empty() ? std::string() : phone->responses[0];
    }
    static std::string request(const std::string& branch, const std::string& method,
                               const std::string& from = "sip:romeo@lync.example",
                               const std::string& tag = {}) {
        std::string text = World::request(branch, "", "Contact: <sip:romeo@10.99.0.1:5070>\r\n",
                                          "TCP", "sip:juliet@xmpp.example", from, method);
        if (!tag.empty()) text.insert(text.find("\r\nCall-ID"), ";tag=" + tag);
        return text;
    }

    World world;
    std::unique_ptr<SipPhone> phone = world.peer();
};

TEST(SipInvite, WhatIsOfferedFollowsTheProfiles) {  // IQ-13, IQ-14, SESS-46
    House house;
    const char* const allow =
        "\r\nAllow: ACK, BYE, CANCEL, INFO, INVITE, MESSAGE, NOTIFY, OPTIONS, SUBSCRIBE, "
        "UPDATE\r\n";
    EXPECT_TRUE(has(house.ask(House::request("o1", "OPTIONS")), allow));
    for (const char* method : {"PUBLISH", "REGISTER", "PRACK", "BENOTIFY"}) {
        const std::string response = house.ask(House::request("n", method));
        EXPECT_TRUE(response.starts_with("SIP/2.0 405 ")) << method << response;
        EXPECT_TRUE(has(response, allow)) << response;
    }
}

TEST(SipInvite, OfAPageDomainIsNotAcceptable) {  // SESS-1, SESS-12
    House house(4);
    const char* const page = "sip:romeo@sip.example";
    EXPECT_TRUE(house.ask(House::request("i1", "INVITE", page)).starts_with("SIP/2.0 488 "));
    EXPECT_TRUE(house.ask(House::request("r1", "REFER", page)).starts_with("SIP/2.0 403 "));
    EXPECT_TRUE(house.ask(House::request("r2", "REFER")).starts_with("SIP/2.0 603 "));
    EXPECT_TRUE(house.ask(House::request("i2", "INVITE", "sip:romeo@other.example"))
                    .starts_with("SIP/2.0 403 "));
    EXPECT_TRUE(house.world.edge().stanzas.empty());
}

// Where another gateway has the conversation: its answer, whose ACK goes there.
TEST(SipInvite, AnotherGatewaysAnswerIsSaidOnce) {  // SIP-11, SIP-22
    for (const bool udp : {false, true}) {
        House house;
        house.world.edge().is_others = true;
        std::string invite = House::request("i1", "INVITE");
        if (udp) invite.replace(invite.find("/TCP"), 4, "/UDP");
        const auto send = [&] {
            udp ? house.phone->send_udp(house.world.sip_address(), invite)
                : house.phone->send_tcp(house.world.sip_address(), invite);
            house.world.pass(50ms);
        };
        send();
        ASSERT_EQ(house.world.edge().asked.size(), 1U);
        EXPECT_EQ(house.world.edge().asked[0].second, invite);
        const std::string tag(32, 'b');
        house.world.gateway().on_answer({house.world.edge().asked[0].first,
                                         link::Answer::Kind::kAnswered, 200, 0, tag, "OK",
                                         "Content-Type: application/sdp\r\n", "v=0\r\n"});
        house.world.pass(10s);
        ASSERT_EQ(house.phone->responses.size(), 1U) << udp;
        const std::string& success = house.phone->responses[0];
        EXPECT_TRUE(success.starts_with("SIP/2.0 200 OK\r\n")) << success;
        EXPECT_EQ(header_of(success, "To"), "<sip:juliet@xmpp.example>;tag=" + tag);
        EXPECT_TRUE(success.ends_with(
            "\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"))
            << success;
        if (!udp) continue;
        send();  // the 200 was lost
        EXPECT_EQ(house.phone->responses.size(), 2U);
        EXPECT_EQ(house.world.edge().asked.size(), 1U);
    }
    House house;
    const std::string invite = House::request("i2", "INVITE", "sip:romeo@sip.example");
    ASSERT_TRUE(house.world.gateway().take_request({7, 1, invite}));
    EXPECT_EQ(house.world.edge().answers[7], 488U);  // of a page domain
}

TEST(SipInvite, NoSessionIsKnownByThatTag) {  // SIP-22
    House house(4);
    int number = 0;
    for (const char* core : {"00000000", "00000003", "00000007"}) {
        const std::string tag = core + std::string(24, 'a');
        for (const char* method : {"INVITE", "BYE", "INFO", "MESSAGE", "UPDATE", "REFER"}) {
            const std::string response = house.ask(House::request(
                "t" + std::to_string(++number), method, "sip:romeo@lync.example", tag));
            EXPECT_TRUE(response.starts_with("SIP/2.0 481 ")) << method << response;
        }
        EXPECT_EQ(house.ask(House::request("a" + std::to_string(++number), "ACK",
                                           "sip:romeo@lync.example", tag)),
                  "");
    }
    for (const char* method : {"BYE", "INFO", "UPDATE"}) {  // RFC 3261 15.1.2
        EXPECT_TRUE(house.ask(House::request("w", method)).starts_with("SIP/2.0 481 ")) << method;
    }
    // SIP-32: for whose domain nobody here speaks.
    const std::string tag = "00000000" + std::string(24, 'a');
    const char* const other = "sip:romeo@other.example";
    EXPECT_TRUE(house.ask(House::request("s", "BYE", other, tag)).starts_with("SIP/2.0 403 "));
    EXPECT_EQ(house.ask(House::request("k", "ACK", other, tag)), "");
}

}  // namespace
}  // namespace fedgate::gateway
