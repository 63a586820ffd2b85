#include "appliance/gateway/iq.hpp"

#include <string>

#include <gtest/gtest.h>

#include "tests/gateway/mapping.hpp"
#include "tests/text.hpp"
#include "xml/scope.hpp"

namespace fedgate::gateway {
namespace {

std::string iq(const std::string& type, const std::string& content, bool domain = true,
               const char* id = "i1") {
    const std::string text = "<iq from='a@x.example/r' to='sip.example' id='i1' type='" + type +
                             "'>" + content + "</iq>";
    IqContext context;
    context.from = "a@x.example/r";
    context.to = domain ? "sip.example" : "romeo@sip.example";
    context.id = id;
    context.to_domain = domain;
    context.now = kNow;
    context.uptime = 61s;
    char memory[4'096];
    Sink sink{MutableBytes(memory)};
    if (!answer_iq(xml::parse_stanza(text, kScope), context, sink)) return "nothing";
    return std::string(sink.written());
}

TEST(Iq, TheDomainAnswersWhatItKnows) {
    EXPECT_EQ(iq("get", "<ping xmlns='urn:xmpp:ping'/>"),
              "<iq from='sip.example' to='a@x.example/r' id='i1' type='result'></iq>");  // IQ-6
    const std::string info = iq("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>");
    EXPECT_TRUE(has(info, "<identity category='gateway' type='simple' name='Fedgate'/>"))
        << info;  // IQ-1
    EXPECT_TRUE(has(info, "<feature var='jid\\20escaping'/>"));
    EXPECT_TRUE(has(iq("get", "<query xmlns='http://jabber.org/protocol/disco#items'/>"),
                    "<query xmlns='http://jabber.org/protocol/disco#items'/>"));  // IQ-2
    EXPECT_TRUE(
        has(iq("get", "<query xmlns='jabber:iq:version'/>"), "<name>Fedgate</name>"));  // IQ-8
    EXPECT_TRUE(has(iq("get", "<time xmlns='urn:xmpp:time'/>"),
                    "<utc>2020-09-13T12:26:40Z</utc>"));                             // IQ-9
    EXPECT_TRUE(has(iq("get", "<query xmlns='jabber:iq:last'/>"), "seconds='61'"));  // IQ-9
}

TEST(Iq, TheRestIsRefusedAlike) {
    EXPECT_TRUE(has(iq("get", "<query xmlns='http://jabber.org/protocol/disco#info' node='n'/>"),
                    "<item-not-found"));  // IQ-5
    EXPECT_TRUE(
        has(iq("get", "<ping xmlns='urn:xmpp:ping'/>", false), "<service-unavailable"));  // IQ-7
    EXPECT_TRUE(has(iq("get", "<vCard xmlns='vcard-temp'/>"), "<service-unavailable"));   // IQ-10
    EXPECT_TRUE(has(iq("set", "<ping xmlns='urn:xmpp:ping'/>"), "<service-unavailable"));
    EXPECT_TRUE(
        has(iq("get", "<ping xmlns='urn:xmpp:ping'/>", true, ""), "<bad-request"));  // IQ-11
    EXPECT_TRUE(has(iq("get", ""), "<bad-request"));
    EXPECT_TRUE(has(iq("get", "<a xmlns='x'/><b xmlns='x'/>"), "<bad-request"));
    EXPECT_TRUE(has(iq("other", "<a xmlns='x'/>"), "<bad-request"));
    EXPECT_EQ(iq("result", ""), "nothing");  // IQ-12
    EXPECT_EQ(iq("error", ""), "nothing");
}

struct Who {
    bool bare = true;
    bool granted = false;
    bool announced = false;
    bool options = false;
};

std::string to_user(const std::string& content, const Who& who, const std::string& type = "get") {
    const std::string text = "<iq from='a@x.example/r' to='romeo@sip.example' id='i1' type='" +
                             type + "'>" + content + "</iq>";
    IqContext context;
    context.from = "a@x.example/r";
    context.to = who.bare ? "romeo@sip.example" : "romeo@sip.example/desk";
    context.id = "i1";
    context.to_bare = who.bare;
    context.watcher_granted = who.granted;
    context.announced = who.announced;
    context.receipts = context.markup = who.options;
    char memory[4'096];
    Sink sink{MutableBytes(memory)};
    EXPECT_TRUE(answer_iq(xml::parse_stanza(text, kScope), context, sink));
    return std::string(sink.written());
}

constexpr char kInfo[] = "<query xmlns='http://jabber.org/protocol/disco#info'/>";

TEST(Iq, AUserIsDescribedToWhoMaySeeHim) {  // IQ-3, IQ-4, RCPT-6
    const std::string front =
        "<iq from='romeo@sip.example' to='a@x.example/r' id='i1' type='result'>"
        "<query xmlns='http://jabber.org/protocol/disco#info'>";
    EXPECT_EQ(to_user(kInfo, {true, true}),
              front +
                  "<identity category='account' type='registered'/>"
                  "<feature var='http://jabber.org/protocol/disco#info'/></query></iq>");
    EXPECT_TRUE(has(to_user(kInfo, {false, true, true}),
                    "<identity category='client' type='pc' name='SIP'/>"
                    "<feature var='http://jabber.org/protocol/disco#info'/>"
                    "<feature var='http://jabber.org/protocol/chatstates'/></query>"));
    const std::string all = to_user(kInfo, {false, true, true, true});
    EXPECT_TRUE(has(all,
                    "<feature var='urn:xmpp:receipts'/>"
                    "<feature var='http://jabber.org/protocol/xhtml-im'/></query>"));
    EXPECT_TRUE(has(
        to_user("<query xmlns='http://jabber.org/protocol/disco#info' node='n'/>", {true, true}),
        "<item-not-found"));  // IQ-5
}

TEST(Iq, NothingTellsAStrangerWhetherAUserExists) {  // IQ-3, IQ-4, IQ-10, SEC-5
    const std::string refused = to_user("<vCard xmlns='vcard-temp'/>", {});
    EXPECT_TRUE(has(refused, "type='error'><error type='cancel'><service-unavailable "));
    EXPECT_EQ(to_user(kInfo, {}), refused);
    EXPECT_EQ(to_user(kInfo, {true, false, true}), refused);
    const std::string of_resource = to_user("<vCard xmlns='vcard-temp'/>", {false});
    EXPECT_EQ(to_user(kInfo, {false, true, false}), of_resource);  // one that nobody announced
    EXPECT_EQ(to_user(kInfo, {false, false, true}), of_resource);
    EXPECT_EQ(to_user("<query xmlns='http://jabber.org/protocol/disco#info' node='n'/>", {}),
              refused);
}

// S3, S5, S7: also for who may see him, on every address, and for the domain.
TEST(Iq, WhatIsNotCarriedIsRefusedAlike) {  // IQ-10
    for (const char* content :
         {"<vCard xmlns='vcard-temp'/>",
          "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:avatar:data'/>"
          "</pubsub>",
          "<jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' sid='a'/>",
          "<query xmlns='http://jabber.org/protocol/muc#owner'/>",
          "<query xmlns='jabber:iq:roster'/>", "<query xmlns='jabber:iq:private'/>",
          "<query xmlns='jabber:iq:register'/>", "<query xmlns='jabber:iq:search'/>",
          "<query xmlns='urn:xmpp:mam:2'/>", "<enable xmlns='urn:xmpp:carbons:2'/>",
          "<blocklist xmlns='urn:xmpp:blocking'/>",
          "<x xmlns='http://jabber.org/protocol/rosterx'/>", "<query xmlns='jabber:iq:version'/>",
          "<query xmlns='jabber:iq:last'/>", "<time xmlns='urn:xmpp:time'/>",
          "<ping xmlns='urn:xmpp:ping'/>",
          "<query xmlns='http://jabber.org/protocol/disco#items'/>",
          "<si xmlns='http://jabber.org/protocol/si'/>",
          "<command xmlns='http://jabber.org/protocol/commands' node='x'/>"}) {
        for (const char* type : {"get", "set"}) {
            const std::string refused = to_user(content, {}, type);
            EXPECT_TRUE(has(refused, "<error type='cancel'><service-unavailable ")) << content;
            EXPECT_EQ(to_user(content, {true, true, true, true}, type), refused) << content;
        }
    }
    for (const char* content : {"<vCard xmlns='vcard-temp'/>", "<query xmlns='jabber:iq:roster'/>",
                                "<query xmlns='urn:xmpp:mam:2'/>",
                                "<query xmlns='http://jabber.org/protocol/muc#owner'/>"}) {
        EXPECT_TRUE(has(iq("get", content), "<service-unavailable")) << content;
    }
}

}  // namespace
}  // namespace fedgate::gateway
