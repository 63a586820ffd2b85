#include <gtest/gtest.h>

#include "sip/message.hpp"

namespace fedgate::sip {
namespace {

TEST(HeaderValues, ListsAreCutAtCommasOutsideQuotesAndBrackets) {  // SIP-1
    Bytes list = R"("a, \"b" <sip:x,y@h>;q=1 , <sip:z@h>,, c ,)";
    Bytes item;
    const char* const wanted[] = {R"("a, \"b" <sip:x,y@h>;q=1)", "<sip:z@h>", "", "c", ""};
    for (const char* const one : wanted) {
        ASSERT_TRUE(take_item(list, item)) << one;
        EXPECT_EQ(item, one);
    }
    EXPECT_FALSE(take_item(list, item));
    Bytes open = "\"a, b";
    ASSERT_TRUE(take_item(open, item));
    EXPECT_EQ(item, "\"a, b");
    EXPECT_FALSE(take_item(open, item));
    Bytes one = "a";
    ASSERT_TRUE(take_item(one, item));
    EXPECT_EQ(item, "a");
    EXPECT_FALSE(take_item(one, item));
}

TEST(HeaderValues, NameAddrWithAndWithoutBrackets) {  // SIP-1
    const auto full = parse_name_addr("\"B \\\" o\" <sip:b;x@h;gr=1>;tag=7;q");
    ASSERT_TRUE(full);
    EXPECT_EQ(full->display, "\"B \\\" o\"");
    EXPECT_EQ(full->uri.user, "b;x");
    EXPECT_EQ(find_parameter(full->uri.params, "gr").value, "1");
    EXPECT_EQ(full->tag, "7");
    const auto bare = parse_name_addr("sip:b@h ; tag = 7");
    ASSERT_TRUE(bare);
    EXPECT_EQ(bare->uri.text, "sip:b@h");
    EXPECT_EQ(bare->tag, "7");
    EXPECT_TRUE(parse_name_addr("J\xc3\xbcrgen K. <sip:b@h>"));
    for (const char* const bad :
         {"", "<>", "<sip:b@h", "sip:b@h?x=y", "sip:b@h,", "a, b <sip:b@h>", "\"a <sip:b@h>",
          "<sip:b@h>x", "<sip:b@h>;", "<sip:b@h>;;a", "\"a\" b <sip:b@h>", "\"a\""}) {
        EXPECT_FALSE(parse_name_addr(bad)) << bad;
    }
    char memory[16];
    Sink sink(memory);
    unquote(full->display, sink);
    EXPECT_EQ(sink.written(), "B \" o");
}

TEST(HeaderValues, ViaInAllItsForms) {
    const auto via = parse_via(
        "SIP / 2.0 / tls  [2001:db8::1] : 99 ;branch=z9hG4bKx;rport=5;received=[::1];alias");
    ASSERT_TRUE(via);
    EXPECT_EQ(via->transport, Transport::kTls);
    EXPECT_EQ(via->sent_by.host, "2001:db8::1");
    EXPECT_EQ(via->sent_by.port, 99);
    EXPECT_EQ(via->rport, 5);
    EXPECT_EQ(via->received, "::1");
    EXPECT_TRUE(find_parameter(via->params, "alias"));
    for (const char* const bad :
         {"", "SIP/2.0/TCP", "SIP/2.0/TCPh", "SIP/2.0 TCP h", "SIP/2.0/TCP h;", "SIP/2.0/TCP h x",
          "SIP/2.0/TCP h;branch=", "SIP/2.0/TCP h;rport=x", "SIP/2.0/TCP h;received=x y",
          "SIP/2.0/TCP h;received=[::1", "SIP/2.0/TCP h;received=::1]", "SIP/2.0/TCP h:0",
          "SIP/2.0/TCP h : x", "SIP/2.0/ h"}) {
        EXPECT_FALSE(parse_via(bad)) << bad;
    }
}

TEST(HeaderValues, ContentType) {
    const auto type = parse_content_type("multipart/mixed ; boundary=\"a b\"; charset=utf-8");
    ASSERT_TRUE(type);
    EXPECT_TRUE(type->is("multipart", "MIXED"));
    EXPECT_EQ(type->boundary, "a b");
    EXPECT_EQ(type->charset, "utf-8");
    for (const char* const bad :
         {"", "text", "text/", "/plain", "text/plain;", "text/plain x", "text/plain;a=\"b"}) {
        EXPECT_FALSE(parse_content_type(bad)) << bad;
    }
}

TEST(HeaderValues, SecondsStopAtTheMaximum) {  // SIP-2
    EXPECT_EQ(parse_seconds("60"), 60u);
    EXPECT_EQ(parse_seconds("120 (busy);duration=60"), 120u);
    EXPECT_EQ(parse_seconds("4294967295"), UINT32_MAX);
    EXPECT_EQ(parse_seconds("4294967296"), UINT32_MAX);
    EXPECT_EQ(parse_seconds("949302838503028349304023988"), UINT32_MAX);
    EXPECT_FALSE(parse_seconds("-1"));
    EXPECT_FALSE(parse_seconds(""));
    EXPECT_FALSE(parse_seconds("1x"));
}

TEST(HeaderValues, Event) {  // SIP-23
    EXPECT_EQ(parse_event("presence")->package, "presence");
    EXPECT_EQ(parse_event(" presence.winfo ; x=y ; ID = 7 ")->package, "presence.winfo");
    EXPECT_EQ(parse_event(" presence.winfo ; x=y ; ID = 7 ")->id, "7");
    // RFC 6665 8.2.1: byte by byte; an id never matches none.
    EXPECT_EQ(*parse_event("presence;id=7"), *parse_event("presence;a;id=7"));
    EXPECT_NE(*parse_event("presence;id=7"), *parse_event("presence"));
    EXPECT_NE(*parse_event("presence;id=a"), *parse_event("presence;id=A"));
    EXPECT_NE(*parse_event("presence"), *parse_event("Presence"));
    for (const char* const bad : {"", ";id=7", "presence x", "presence;id", "presence;id=\"7\"",
                                  "presence;id=1;id=2", "presence,dialog", "presence;"}) {
        EXPECT_FALSE(parse_event(bad)) << bad;
    }
}

TEST(HeaderValues, SubscriptionState) {
    const auto active = parse_subscription_state("Active ; expires = 600;x=\"y\"");
    ASSERT_TRUE(active);
    EXPECT_TRUE(active->is("active"));
    EXPECT_EQ(active->expires, 600u);
    EXPECT_FALSE(active->retry_after);
    const auto ended =
        parse_subscription_state("terminated;reason=probation;retry-after=99999999999");
    ASSERT_TRUE(ended);
    EXPECT_EQ(ended->reason, "probation");
    EXPECT_EQ(ended->retry_after, UINT32_MAX);
    EXPECT_FALSE(ended->expires);
    EXPECT_EQ(parse_subscription_state("waiting")->state, "waiting");
    for (const char* const bad :
         {"", ";expires=1", "active;expires", "active;expires=", "active;expires=-1",
          "active;expires=1x", "active;expires=\"1\"", "active;expires=1;expires=2",
          "active;retry-after=x", "terminated;reason", "terminated;reason=a;reason=b",
          "terminated;reason=\"a\"", "active pending", "active,pending", "active;"}) {
        EXPECT_FALSE(parse_subscription_state(bad)) << bad;
    }
}

TEST(HeaderValues, Route) {  // SIP-16
    const auto route = parse_route("\"P\" <sip:p.example;lr>;x=1");
    ASSERT_TRUE(route);
    EXPECT_EQ(route->uri.text, "sip:p.example;lr");
    EXPECT_EQ(route->params, "x=1");
    EXPECT_TRUE(parse_route("<sips:[::1]:5061;lr>"));
    for (const char* const bad : {"", "sip:p.example;lr", "<tel:+1>", "<sip:p?x=y>", "<sip:p>x",
                                  "<sip:p>, <sip:q>", "<sip:>", "*"}) {
        EXPECT_FALSE(parse_route(bad)) << bad;
    }
}

TEST(HeaderValues, Cseq) {
    EXPECT_EQ(parse_cseq("2147483647 MESSAGE")->number, 0x7fff'ffffu);
    EXPECT_EQ(parse_cseq("0009 \t NEW")->method, Method::kUnknown);
    for (const char* const bad : {"", "1", "1 ", "MESSAGE", "2147483648 A", "1 A B", "1 A;"}) {
        EXPECT_FALSE(parse_cseq(bad)) << bad;
    }
}

}  // namespace
}  // namespace fedgate::sip
