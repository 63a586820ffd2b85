// Typing and receipts through the gateway, and what they never do (SEC-2).
#include <gtest/gtest.h>

#include "appliance/gateway/engine.hpp"
#include "tests/gateway/world.hpp"
#include "tests/text.hpp"

namespace fedgate::gateway {
namespace {

using test::Settings;
using test::World;

std::string between(const std::string& text, const std::string& before, const std::string& behind) {
    const std::size_t at = text.find(before);
    if (at == std::string::npos) return "none";
    const std::size_t begin = at + before.size();
    return text.substr(begin, text.find(behind, begin) - begin);
}

std::string state(const std::string& name) {
    return "<" + name + " xmlns='http://jabber.org/protocol/chatstates'/>";
}

std::string chat_stanza(const std::string& content,
                        const std::string& attributes = " type='chat'") {
    return "<message from='juliet@xmpp.example/balcony' to='romeo@sip.example'" + attributes + ">" +
           content + "</message>";
}

std::string is_composing(const std::string& what, const std::string& more = "") {
    return "<?xml version='1.0' encoding='UTF-8'?><isComposing "
           "xmlns='urn:ietf:params:xml:ns:im-iscomposing'><state>" +
           what + "</state>" + more + "</isComposing>";
}

class Chat : public testing::Test {
protected:
    explicit Chat(const Settings& more = {}, std::uint32_t shards = 1)
        : world_(more, shards), peer_(world_.peer()) {}

    // A MESSAGE of romeo; the status that it gets.
    std::string sip(const std::string& body, const std::string& type = "text/plain",
                    const std::string& headers = {}) {
        const std::string name = "b" + std::to_string(++sent_);
        const std::size_t before = peer_->responses.size();
        peer_->send_tcp(world_.sip_address(),
                        World::request(name, body, "Content-Type: " + type + "\r\n" + headers));
        EXPECT_TRUE(world_.until([&] { return peer_->responses.size() > before; }));
        return peer_->responses.back().substr(8, 3);
    }
    std::string sip_types(const std::string& what, const std::string& more = "") {
        return sip(is_composing(what, more), "application/im-iscomposing+xml");
    }
    void xmpp(const std::string& content, const std::string& attributes = " type='chat' id='x1'") {
        EXPECT_TRUE(world_.give(chat_stanza(content, attributes)));
        world_.pass(1s);
    }
    [[nodiscard]] std::vector<std::string>& stanzas() { return world_.edge().stanzas; }
    // Of the isComposing requests that arrived: "active idle".
    [[nodiscard]] std::string typing_seen() const {
        std::string seen;
        for (const std::string& request : peer_->requests) {
            if (!has(request, "\r\nContent-Type: application/im-iscomposing+xml\r\n")) continue;
            seen += (seen.empty() ? "" : " ") + between(request, "<state>", "</state>");
        }
        return seen;
    }

    World world_;
    std::unique_ptr<test::SipPhone> peer_;
    int sent_ = 0;
};

TEST_F(Chat, TypingOfTheSipUserIsShownToWhoShowsHis) {  // CS-1, CS-6, CS-7, CS-11, CS-12, IM-43
    EXPECT_EQ(sip_types("active"), "200");
    EXPECT_EQ(sip("hello"), "200");
    ASSERT_EQ(stanzas().size(), 1u);  // juliet has shown nothing yet
    EXPECT_FALSE(has(stanzas()[0], "chatstates"));
    xmpp("<body>hi</body>" + state("active") + "<thread>t1</thread>");
    EXPECT_EQ(stanzas().size(), 1u);
    EXPECT_EQ(sip_types("active"), "200");
    ASSERT_EQ(stanzas().size(), 2u);
    EXPECT_TRUE(
        stanzas()[1].starts_with("<message from='romeo@sip.example' to='juliet@xmpp.example' id='"))
        << stanzas()[1];
    EXPECT_TRUE(has(stanzas()[1],
                    "' type='chat'><thread>call-b3</thread>" + state("composing") + "</message>"))
        << stanzas()[1];
    EXPECT_EQ(sip_types("active"), "200");  // a refresh: nothing new
    EXPECT_EQ(stanzas().size(), 2u);
    EXPECT_EQ(sip_types("idle"), "200");
    ASSERT_EQ(stanzas().size(), 3u);
    EXPECT_TRUE(has(stanzas()[2], state("active")));
    // A text says that it is over, and carries the state itself.
    EXPECT_EQ(sip_types("active"), "200");
    EXPECT_EQ(sip("there"), "200");
    ASSERT_EQ(stanzas().size(), 5u);
    EXPECT_TRUE(has(stanzas()[4], "<body>there</body><thread>call-b7</thread>" + state("active")));
    EXPECT_EQ(sip_types("idle"), "200");
    world_.pass(10min);
    EXPECT_EQ(stanzas().size(), 5u);
    EXPECT_EQ(peer_->requests.size(), 1u);  // none of it comes back
}

TEST_F(Chat, TypingThatIsNotSaidAgainIsOver) {  // CS-6
    xmpp("<body>hi</body>" + state("active"));
    EXPECT_EQ(sip_types("active", "<refresh>60</refresh>"), "200");
    world_.pass(50s);
    EXPECT_EQ(sip_types("active", "<refresh>60</refresh>"), "200");
    world_.pass(58s);
    EXPECT_EQ(stanzas().size(), 1u);
    world_.pass(5s);
    ASSERT_EQ(stanzas().size(), 2u);
    EXPECT_TRUE(has(stanzas()[1], state("active"))) << stanzas()[1];
    EXPECT_TRUE(has(stanzas()[1], "from='romeo@sip.example' to='juliet@xmpp.example'"));
    EXPECT_TRUE(has(stanzas()[1], "<thread>call-b1</thread>"));
    world_.pass(10min);
    EXPECT_EQ(stanzas().size(), 2u);
    EXPECT_EQ(sip_types("active"), "200");
    EXPECT_EQ(stanzas().size(), 3u);
    world_.pass(119s);
    EXPECT_EQ(stanzas().size(), 3u);
    world_.pass(3s);
    EXPECT_EQ(stanzas().size(), 4u);  // the default
}

// Its start is lost, and nothing is kept of it; its end is told when there is room, unless a text
// has told it.
TEST_F(Chat, TypingThatFindsNoRoomNeverComesLate) {  // CS-6
    xmpp("<body>hi</body>" + state("active"));
    world_.edge().refuse = 1;
    EXPECT_EQ(sip_types("active"), "200");
    EXPECT_EQ(sip("hello"), "200");
    world_.pass(10min);
    ASSERT_EQ(stanzas().size(), 1u);
    EXPECT_TRUE(has(stanzas()[0], "<body>hello</body>"));
    EXPECT_EQ(sip_types("active"), "200");
    world_.edge().refuse = 3;
    EXPECT_EQ(sip_types("idle"), "200");
    world_.pass(1s);
    ASSERT_EQ(stanzas().size(), 3u);
    EXPECT_TRUE(has(stanzas()[1], state("composing")));
    EXPECT_TRUE(has(stanzas()[2], state("active")));
    world_.pass(10min);
    EXPECT_EQ(stanzas().size(), 3u);
}

TEST_F(Chat, TypingOfTheXmppUserIsToldToWhoTellsHis) {  // CS-1..CS-5, CS-8..CS-10
    xmpp("<body>hi</body>" + state("active"));
    xmpp(state("composing"));
    EXPECT_EQ(typing_seen(), "");
    EXPECT_EQ(sip_types("idle"), "200");
    xmpp(state("composing") + "<thread>t1</thread>");
    const std::string request = peer_->requests.back();
    EXPECT_TRUE(has(request, "\r\nContent-Type: application/im-iscomposing+xml\r\n")) << request;
    EXPECT_TRUE(has(request, "\r\nCall-ID: t1\r\n"));
    EXPECT_TRUE(has(request, "From: <sip:juliet@xmpp.example;gr=balcony>;tag="));
    EXPECT_TRUE(request.ends_with(
        "\r\n\r\n<isComposing xmlns='urn:ietf:params:xml:ns:im-iscomposing'><state>active</state>"
        "<contenttype>text/plain</contenttype><refresh>120</refresh></isComposing>"));
    xmpp(state("composing"));
    xmpp(state("paused"));
    xmpp(state("inactive"));
    EXPECT_EQ(typing_seen(), "active idle");
    xmpp(state("composing"));
    xmpp(state("gone"));
    xmpp("<body>x</body>" + state("active"));  // says it itself
    xmpp(state("active"));
    EXPECT_EQ(typing_seen(), "active idle active");
    EXPECT_TRUE(stanzas().empty());
}

TEST_F(Chat, TypingEndsWhereItIsNotUnderstood) {  // CS-9
    peer_->answer = [](const sip::Message& m) {
        return has(std::string(m.bytes), "im-iscomposing+xml") ? 415 : 200;
    };
    EXPECT_EQ(sip_types("idle"), "200");
    for (int i = 0; i < 5; ++i) {
        xmpp(state("composing"));
        xmpp(state("paused"));
        EXPECT_EQ(sip_types("idle"), "200");
    }
    EXPECT_EQ(typing_seen(), "active");
    EXPECT_TRUE(stanzas().empty());
    xmpp("<body>x</body>");
    EXPECT_TRUE(has(peer_->requests.back(), "\r\n\r\nx"));
}

TEST_F(Chat, TypingWaitsForTextsAndNoTextWaitsForLong) {  // GEN-5, CS-9
    EXPECT_EQ(sip_types("idle"), "200");
    int status = 0;
    peer_->answer = [&](const sip::Message& m) {
        return m.method == sip::Method::kMessage ? status : 200;
    };
    xmpp("<body>one</body>");
    xmpp(state("composing"));
    xmpp(state("paused"));
    xmpp(state("composing"));
    xmpp("<body>two</body>");
    xmpp(state("composing"));
    ASSERT_EQ(peer_->requests.size(), 1u);  // one at a time
    status = 200;
    world_.pass(40s);
    ASSERT_EQ(peer_->requests.size(), 3u);
    EXPECT_TRUE(peer_->requests[1].ends_with("\r\n\r\ntwo"));
    EXPECT_EQ(typing_seen(), "active");  // the last one only, behind all texts

    // Nobody answers it: what waits behind it has its time all the same.
    stanzas().clear();
    status = 0;
    EXPECT_TRUE(world_.give(chat_stanza(state("paused"))));
    EXPECT_TRUE(world_.give(chat_stanza("<body>three</body>", " type='chat' id='x1'")));
    world_.pass(27s);
    EXPECT_TRUE(stanzas().empty());
    status = 200;
    world_.pass(10s);
    EXPECT_TRUE(peer_->requests.back().ends_with("\r\n\r\nthree")) << peer_->requests.back();
    EXPECT_TRUE(stanzas().empty());
    xmpp(state("composing"));  // not again before romeo types
    EXPECT_EQ(typing_seen(), "active idle");
}

TEST_F(Chat, TypingIsNoReasonForErrors) {  // SEC-2
    EXPECT_EQ(sip_types("idle"), "200");
    for (const int status : {404, 486, 500, 603}) {
        peer_->answer = [status](const sip::Message& m) {
            return m.method == sip::Method::kMessage ? status : 200;
        };
        xmpp(state("composing"));
        xmpp(state("paused"));
    }
    peer_->stop();
    xmpp(state("composing"));
    world_.pass(2min);
    EXPECT_TRUE(stanzas().empty());
    // Nor where it is not allowed, and when too many come.
    for (int i = 0; i < 500; ++i) {
        EXPECT_TRUE(world_.give(chat_stanza(state(i % 2 == 0 ? "composing" : "paused"))));
    }
    EXPECT_TRUE(world_.give("<message from='juliet@xmpp.example/b' to='sip.example' id='1'>" +
                            state("composing") + "</message>"));
    world_.gateway().drain();
    xmpp(state("composing"));
    EXPECT_TRUE(world_.give(chat_stanza("<received xmlns='urn:xmpp:receipts' id='x'/>")));
    EXPECT_TRUE(stanzas().empty()) << stanzas()[0];
    EXPECT_TRUE(world_.give(chat_stanza("<body>x</body>", " id='a1'")));
    EXPECT_EQ(stanzas().size(), 1u);  // a text gets its answer
}

TEST_F(Chat, AStormOfTypingHurtsNoText) {  // SEC-2, SEC-3, GEN-5
    xmpp(state("active"));
    for (int i = 0; i < 100; ++i) EXPECT_EQ(sip_types(i % 2 == 0 ? "active" : "idle"), "200");
    EXPECT_EQ(stanzas().size(), 100u);
    stanzas().clear();
    EXPECT_EQ(sip("still here"), "200");
    EXPECT_EQ(stanzas().size(), 1u);
    peer_->answer = [](const sip::Message& m) {
        return m.method == sip::Method::kMessage ? 0 : 200;
    };
    for (int i = 0; i < 15; ++i) {
        EXPECT_TRUE(world_.give(chat_stanza(state("composing"))));
        EXPECT_TRUE(world_.give(chat_stanza(state("paused"))));
        world_.pass(200ms);
    }
    EXPECT_EQ(typing_seen(), "active");  // one is pending, one waits, the others are gone
    EXPECT_EQ(world_.count(Counter::kMessagesX2sRefused), 0u);
    peer_->answer = [](const sip::Message&) { return 200; };
    xmpp("<body>and here</body>", " id='a1'");
    world_.pass(40s);
    EXPECT_TRUE(peer_->requests.back().ends_with("and here"));
    EXPECT_EQ(world_.count(Counter::kMessagesX2sDelivered), 1u);
    EXPECT_EQ(world_.gateway().status().client_transactions, 0u);
}

TEST_F(Chat, WhatIsNoIsComposingIs400) {  // IM-43
    EXPECT_EQ(sip("<isComposing/>", "application/im-iscomposing+xml"), "400");
    EXPECT_EQ(sip("", "application/im-iscomposing+xml"), "200");  // IM-48
    EXPECT_EQ(sip("x", "message/imdn+xml"), "400");
    EXPECT_TRUE(stanzas().empty());
}

TEST_F(Chat, AReceiptOfNothingLeadsNowhere) {  // RCPT-5, RCPT-6, SEC-2
    xmpp("<body>hi</body><request xmlns='urn:xmpp:receipts'/>");
    EXPECT_TRUE(has(peer_->requests.at(0), "\r\nContent-Type: text/plain;charset=UTF-8\r\n"));
    xmpp("<received xmlns='urn:xmpp:receipts' id='nothing'/>");
    xmpp("<received xmlns='urn:xmpp:receipts'/>");
    xmpp("<displayed xmlns='urn:xmpp:chat-markers:0' id='nothing'/>");
    EXPECT_EQ(sip("<imdn xmlns='urn:ietf:params:xml:ns:imdn'><message-id>a</message-id>"
                  "<delivery-notification><status><delivered/></status></delivery-notification>"
                  "</imdn>",
                  "message/imdn+xml"),
              "200");
    EXPECT_EQ(peer_->requests.size(), 1u);
    EXPECT_TRUE(stanzas().empty());
}

// ---- a SIP user who asks for receipts

std::string cpim(const std::string& headers, const std::string& type, const std::string& body) {
    return "From: <im:romeo@sip.example>\r\nTo: <im:juliet@xmpp.example>\r\n"
           "DateTime: 2020-09-13T12:26:40Z\r\nNS: imdn <urn:ietf:params:imdn>\r\n" +
           headers + "\r\nContent-Type: " + type + "\r\n\r\n" + body;
}

class Asked : public Chat {
protected:
    // The id of the chat_stanza that he leads to.
    std::string ask(const std::string& wanted) {
        EXPECT_EQ(sip(cpim("imdn.Message-ID: 34jk324j\r\nimdn.Disposition-Notification: " + wanted +
                               "\r\n",
                           "text/plain", "hello"),
                      "message/cpim"),
                  "200");
        EXPECT_TRUE(has(stanzas().back(), "<body>hello</body>"));
        return between(stanzas().back(), " id='", "'");
    }
    static std::string received(const std::string& id) {
        return "<received xmlns='urn:xmpp:receipts' id='" + id + "'/>";
    }
    static std::string displayed(const std::string& id) {
        return "<displayed xmlns='urn:xmpp:chat-markers:0' id='" + id + "'/>";
    }
};

TEST_F(Asked, GetsOneFromTheXmppUser) {  // IM-42, RCPT-2, RCPT-4, RCPT-8
    const std::string id = ask("positive-delivery, display");
    EXPECT_TRUE(has(stanzas()[0], "<request xmlns='urn:xmpp:receipts'/>"));
    EXPECT_TRUE(has(stanzas()[0], "<markable xmlns='urn:xmpp:chat-markers:0'/>"));
    xmpp(received(id));
    ASSERT_EQ(peer_->requests.size(), 1u);
    const std::string request = peer_->requests[0];
    EXPECT_TRUE(has(request, "MESSAGE sip:romeo@sip.example SIP/2.0\r\n"));
    EXPECT_TRUE(has(request, "\r\nContent-Type: message/cpim\r\n"));
    EXPECT_TRUE(has(request,
                    "\r\nContent-Type: message/imdn+xml\r\n"
                    "Content-Disposition: notification\r\n"));
    EXPECT_TRUE(has(request,
                    "<message-id>34jk324j</message-id>"
                    "<datetime>2020-09-13T12:26:40Z</datetime>"
                    "<delivery-notification><status><delivered/></status>"));
    EXPECT_FALSE(has(request, "Disposition-Notification"));  // SEC-2
    xmpp(displayed(id));
    ASSERT_EQ(peer_->requests.size(), 2u);
    EXPECT_TRUE(has(peer_->requests[1], "<display-notification><status><displayed/></status>"));
    EXPECT_EQ(stanzas().size(), 1u);
}

TEST_F(Asked, GetsOnlyWhatHeAskedFor) {  // RCPT-6, RCPT-8
    const std::string id = ask("positive-delivery");
    EXPECT_FALSE(has(stanzas()[0], "<markable"));
    xmpp(displayed(id));
    xmpp(received(id), " type='error' id='x1'");
    xmpp(received(id), " type='groupchat' id='x1'");
    EXPECT_TRUE(world_.give("<message from='mallory@xmpp.example' to='romeo@sip.example'>" +
                            received(id) + "</message>"));
    world_.pass(1s);
    EXPECT_TRUE(peer_->requests.empty());
    const std::string other = ask("negative-delivery");
    EXPECT_FALSE(has(stanzas().back(), "<request"));
    xmpp(received(other));
    EXPECT_TRUE(peer_->requests.empty());
    // As a marker it is a receipt as well.
    xmpp("<received xmlns='urn:xmpp:chat-markers:0' id='" + id + "'/>");
    EXPECT_EQ(peer_->requests.size(), 1u);
    // Asking without a name for it is asking for nothing.
    EXPECT_EQ(sip(cpim("imdn.Disposition-Notification: positive-delivery\r\n", "text/plain", "x"),
                  "message/cpim"),
              "200");
    EXPECT_FALSE(has(stanzas().back(), "<request"));
}

TEST_F(Asked, IsToldOfAFailureByAnImdn) {  // IM-50
    for (const bool asked : {true, false}) {
        const std::string id =
            ask(asked ? "positive-delivery, negative-delivery" : "positive-delivery");
        xmpp(
            "<error type='wait'><recipient-unavailable "
            "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
            " type='error' id='" + id + "'");
        const std::string notice = peer_->requests.back();
        EXPECT_EQ(has(notice, "<message-id>34jk324j</message-id>"), asked) << notice;
        EXPECT_EQ(has(notice, "<delivery-notification><status><failed/></status>"), asked);
        EXPECT_EQ(has(notice, "could not be delivered: recipient-unavailable."), !asked);
        xmpp("<error type='wait'/>", " type='error' id='" + id + "'");  // once
    }
    EXPECT_EQ(peer_->requests.size(), 2u);
}

// ---- a SIP domain whose agents take IMDN

class Imdn : public Chat {
protected:
    Imdn() : Chat({{"domain/sip.example/imdn", "yes"}}) {}

    // The imdn.Message-ID of a message of juliet.
    std::string ask(const std::string& attributes = " type='chat' id='x1'") {
        xmpp("<body>hello</body><request xmlns='urn:xmpp:receipts'/>", attributes);
        return between(peer_->requests.back(), "\r\nimdn.Message-ID: ", "\r\n");
    }
    std::string tell(const std::string& id, const std::string& what,
                     const std::string& kind = "delivery", const std::string& from = "romeo") {
        std::string request =
            World::request("i" + std::to_string(++sent_),
                           cpim("imdn.Message-ID: own\r\n", "message/imdn+xml",
                                "<imdn xmlns='urn:ietf:params:xml:ns:imdn'><message-id>" + id +
                                    "</message-id><datetime>2020-09-13T12:26:40Z</datetime><" +
                                    kind + "-notification><status><" + what + "/></status></" +
                                    kind + "-notification></imdn>"),
                           "Content-Type: message/cpim\r\n", "TCP", "sip:juliet@xmpp.example",
                           "sip:" + from + "@sip.example");
        const std::size_t before = peer_->responses.size();
        peer_->send_tcp(world_.sip_address(), request);
        EXPECT_TRUE(world_.until([&] { return peer_->responses.size() > before; }));
        return peer_->responses.back().substr(8, 3);
    }
};

TEST_F(Imdn, BringsTheReceiptOfItsStanza) {  // RCPT-1, RCPT-3, RCPT-7
    const std::string id = ask();
    const std::string request = peer_->requests.at(0);
    EXPECT_TRUE(has(request, "\r\nContent-Type: message/cpim\r\n")) << request;
    EXPECT_TRUE(has(request,
                    "From: <sip:juliet@xmpp.example;gr=balcony>\r\n"
                    "To: <sip:romeo@sip.example>\r\nDateTime: "));
    EXPECT_TRUE(has(request, "\r\nNS: imdn <urn:ietf:params:imdn>\r\n"));
    EXPECT_TRUE(has(request, "\r\nimdn.Disposition-Notification: positive-delivery, "));
    EXPECT_TRUE(
        request.ends_with("Content-Type: text/plain;charset=UTF-8\r\n"
                          "Content-Length: 5\r\n\r\nhello"));
    EXPECT_TRUE(stanzas().empty());  // RCPT-5: a 200 is none
    EXPECT_EQ(tell(id, "delivered"), "200");
    ASSERT_EQ(stanzas().size(), 1u);
    EXPECT_TRUE(stanzas()[0].starts_with(
        "<message from='romeo@sip.example' to='juliet@xmpp.example/balcony' id='"))
        << stanzas()[0];
    EXPECT_TRUE(stanzas()[0].ends_with(
        "' type='chat'><received xmlns='urn:xmpp:receipts' id='x1'/></message>"));
    EXPECT_FALSE(has(stanzas()[0], " id='x1' type"));  // a fresh one
    EXPECT_EQ(tell(id, "displayed", "display"), "200");
    EXPECT_EQ(tell(id, "delivered", "delivery", "mallory"), "200");  // was not the other
    EXPECT_EQ(stanzas().size(), 1u);
    EXPECT_EQ(tell(ask(" id='x2'"), "delivered"), "200");
    EXPECT_FALSE(has(stanzas().back(), " type="));  // as the original
    EXPECT_EQ(peer_->requests.size(), 2u);
}

TEST_F(Imdn, IsAskedForOnlyWhereItWasWanted) {  // RCPT-6
    EXPECT_EQ(ask(" type='chat'"), "none");     // without id
    EXPECT_EQ(ask(" type='headline' id='x1'"), "none");
    EXPECT_EQ(ask(" type='chat' id='" + std::string(300, 'x') + "'"), "none");  // a bound
    xmpp("<body>hello</body>");
    EXPECT_FALSE(has(peer_->requests.back(), "cpim"));
    EXPECT_EQ(peer_->requests.size(), 4u);
}

TEST_F(Imdn, BringsAFailureThatIsNoNewsNoMore) {  // RCPT-8
    const std::string id = ask();
    EXPECT_EQ(tell(id, "forbidden"), "200");
    EXPECT_EQ(tell(id, "processed", "processing"), "200");
    EXPECT_TRUE(stanzas().empty());
    EXPECT_EQ(tell(id, "failed"), "200");
    ASSERT_EQ(stanzas().size(), 1u);
    EXPECT_TRUE(has(stanzas()[0], "to='juliet@xmpp.example/balcony' id='x1' type='error'"))
        << stanzas()[0];
    EXPECT_TRUE(has(stanzas()[0], "<error type='wait' by='sip.example'><recipient-unavailable "));
    world_.pass(60s);
    EXPECT_EQ(tell(id, "failed"), "200");
    EXPECT_EQ(stanzas().size(), 1u);
    EXPECT_EQ(tell(id, "delivered"), "200");  // that may come whenever she reads it
    EXPECT_EQ(stanzas().size(), 2u);
}

TEST(ReceiptOn200, IsOneWhereThePoolAnswersEndToEnd) {  // RCPT-5, RCPT-7, IM-16
    World world(Settings{{"domain/sip.example/receipt_on_200", "yes"}});
    auto peer = world.peer();
    int status = 200;
    peer->answer = [&](const sip::Message& m) {
        return m.method == sip::Method::kMessage ? status : 200;
    };
    const std::string asking = "<body>x</body><request xmlns='urn:xmpp:receipts'/>";
    EXPECT_TRUE(world.give(chat_stanza(asking, " type='chat' id='x1'")));
    EXPECT_TRUE(world.give(chat_stanza("<body>x</body>", " id='x2'")));
    world.pass(1s);
    ASSERT_EQ(world.edge().stanzas.size(), 1u);
    EXPECT_TRUE(world.edge().stanzas[0].ends_with(
        "' type='chat'><received xmlns='urn:xmpp:receipts' id='x1'/></message>"));
    EXPECT_TRUE(
        has(world.edge().stanzas[0], "from='romeo@sip.example' to='juliet@xmpp.example/balcony'"));
    status = 202;
    EXPECT_TRUE(world.give(chat_stanza(asking, " id='x3'")));
    world.pass(1s);
    EXPECT_EQ(world.edge().stanzas.size(), 1u);
    status = 404;
    EXPECT_TRUE(world.give(chat_stanza(asking, " id='x4'")));
    world.pass(1s);
    ASSERT_EQ(world.edge().stanzas.size(), 2u);
    EXPECT_TRUE(has(world.edge().stanzas[1], "type='error'"));
}

TEST(ChatOnManyShards, FindsTheConversation) {
    World world({}, 4);
    auto peer = world.peer();
    const auto all = [&] {
        std::size_t count = 0;
        for (const auto& edge : world.edges) count += edge->stanzas.size();
        return count;
    };
    for (std::uint32_t shard = 0; shard < 4; ++shard) {
        EXPECT_TRUE(world.give(chat_stanza(state("active")), shard));
        world.pass(1s);
        peer->send_tcp(world.sip_address(),
                       World::request("a" + std::to_string(shard), is_composing("active"),
                                      "Content-Type: application/im-iscomposing+xml\r\n"));
        ASSERT_TRUE(world.until([&] { return all() == 2 * shard + 1; }));
        peer->send_tcp(world.sip_address(), World::request("t" + std::to_string(shard), "x"));
        ASSERT_TRUE(world.until([&] { return all() == 2 * shard + 2; }));
    }
}

TEST_F(Chat, WhatWasEncryptedIsNeverSilence) {  // SEC-7
    xmpp("<encrypted xmlns='eu.siacs.conversations.axolotl'><payload>x</payload></encrypted>");
    ASSERT_EQ(stanzas().size(), 1u);
    EXPECT_TRUE(has(stanzas()[0], "<not-acceptable ")) << stanzas()[0];
    EXPECT_TRUE(has(stanzas()[0], "encrypted end to end"));
    xmpp("<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>");  // S5
    ASSERT_EQ(stanzas().size(), 2u);
    EXPECT_TRUE(has(stanzas()[1], "<service-unavailable "));
    EXPECT_TRUE(peer_->requests.empty());
}

TEST(HtmlOut, IsAnOption) {  // IM-11
    const std::string content =
        "<body>a b</body><html xmlns='http://jabber.org/protocol/xhtml-im'><body "
        "xmlns='http://www.w3.org/1999/xhtml'>a <em>b</em></body></html>";
    for (const bool on : {false, true}) {
        World world(Settings{{"domain/sip.example/html_out", on ? "alternative" : "none"}});
        auto peer = world.peer();
        EXPECT_TRUE(world.give(chat_stanza(content)));
        ASSERT_TRUE(world.until([&] { return peer->requests.size() == 1; }));
        EXPECT_EQ(has(peer->requests[0], "<em>b</em>"), on) << peer->requests[0];
    }
}

}  // namespace
}  // namespace fedgate::gateway
