#include "appliance/gateway/iq.hpp"

#include <string>

#include <gtest/gtest.h>

#include "xml/scope.hpp"

namespace fedgate::gateway {
namespace {

const xml::StreamScope kScope;
constexpr WallTime kNow{std::chrono::seconds(1'600'000'000)};  // Sun, 13 Sep 2020 12:26:40 GMT

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

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

}  // namespace
}  // namespace fedgate::gateway
