#include "sip/msrp_message.hpp"

#include <string>

#include <gtest/gtest.h>

#include "tests/sip/msrp_support.hpp"

namespace fedgate::sip {
namespace {

using test::kAlice;
using test::kBob;
using test::msrp_request;

MsrpUri uri(Bytes text) {
    const auto read = parse_msrp_uri(text);
    EXPECT_TRUE(read) << text;
    return read.value_or(MsrpUri{});
}

TEST(MsrpUri, IsReadInParts) {  // RFC 4975 6, 9
    const std::string text = "msrps://user@Host.example:9000/a.b-c_d~e+f=g/h;TCP;x=y";
    const MsrpUri read = uri(text);
    EXPECT_TRUE(read.secure);
    EXPECT_EQ(read.at.host, "Host.example");
    EXPECT_EQ(read.at.port, 9000);
    EXPECT_EQ(read.session, "a.b-c_d~e+f=g/h");
    EXPECT_EQ(read.transport, "TCP");
    EXPECT_EQ(read.text, text);
    EXPECT_EQ(uri("msrp://[2001:db8::1]:7/s;tcp").at.kind, HostKind::kIpv6);
    EXPECT_EQ(uri("msrp://h;tcp").session, "");
    EXPECT_EQ(uri("msrp://h;tcp").at.port, 0);
}

TEST(MsrpUri, WhatIsNotOneIsRefused) {
    for (const char* const text :
         {"", "msrp", "msrp:", "msrp://", "msrp://h", "msrp://h/s", "msrp://h/;tcp", "msrp://h/s;",
          "msrp://h/s;;tcp", "msrp://h/s;t-p", "msrp://h:0/s;tcp", "msrp://h:x/s;tcp",
          "msrp://[::1/s;tcp", "msrp://h :1/s;tcp", "sip:a@b;tcp", "msrp://h/s\r\n;tcp",
          "msrp://:1/s;tcp", "xmsrp://h/s;tcp"}) {
        EXPECT_FALSE(parse_msrp_uri(text)) << text;
    }
}

TEST(MsrpUri, IsComparedByTheRulesOfSection6) {  // RFC 4975 6.1
    const MsrpUri one = uri("msrp://host.example:8493/asfd34;tcp");
    struct Case {
        const char* other;
        bool same;
    };
    for (const Case& c : {Case{"msrp://host.example:8493/asfd34;tcp", true},
                          {"MSRP://HOST.example:8493/asfd34;TCP", true},
                          {"msrp://user@host.example:8493/asfd34;tcp", true},
                          {"msrp://host.example:8493/asfd34;tcp;more=x", true},
                          {"msrps://host.example:8493/asfd34;tcp", false},
                          {"msrp://other.example:8493/asfd34;tcp", false},
                          {"msrp://host.example:8494/asfd34;tcp", false},
                          {"msrp://host.example/asfd34;tcp", false},
                          {"msrp://host.example:8493/ASFD34;tcp", false},
                          {"msrp://host.example:8493;tcp", false},
                          {"msrp://host.example:8493/asfd34;sctp", false}}) {
        EXPECT_EQ(same_msrp_uri(one, uri(c.other)), c.same) << c.other;
    }
}

TEST(MsrpPath, IsUrisWithOneSpaceBetween) {
    const std::string text = "msrps://relay.example:9000/r;tcp " + kBob;
    const auto path = parse_msrp_path(text);
    ASSERT_TRUE(path);
    EXPECT_EQ(path->count, 2u);
    EXPECT_EQ(path->first.at.host, "relay.example");
    EXPECT_EQ(path->last.session, "9di4eae923wzd");
    for (const std::string& bad :
         {std::string(), kBob + " ", " " + kBob, kBob + "  " + kBob, kBob + " x"}) {
        EXPECT_FALSE(parse_msrp_path(bad)) << bad;
    }
    std::string many = kBob;
    for (std::size_t i = 1; i < limits::kMsrpPathUris; ++i) many += " " + kBob;
    EXPECT_TRUE(parse_msrp_path(many));
    EXPECT_FALSE(parse_msrp_path(many + " " + kBob));
}

TEST(MsrpMessage, AnIdentHasFourToThirtyTwoCharacters) {  // RFC 4975 9
    for (const std::string& good :
         {std::string("abcd"), std::string("0.-+%="), std::string(32, 'x')}) {
        EXPECT_TRUE(is_msrp_ident(good)) << good;
    }
    for (const std::string& bad :
         {std::string("abc"), std::string(33, 'x'), std::string(".abc"), std::string("ab c"),
          std::string("abc$"), std::string("abc\xc3\xa9")}) {
        EXPECT_FALSE(is_msrp_ident(bad)) << bad;
    }
}

// The header section of `text` up to its end-line.
MsrpFault read(const std::string& text, MsrpMessage& out) { return read_msrp_head(text, out); }

TEST(MsrpMessage, ASendIsRead) {  // RFC 4975 7.1, 11.6
    MsrpMessage message;
    const std::string head = msrp_request(
        "dkei38sd", "SEND",
        "message-id:  12339sdqwer \r\nByte-Range: 1-*/106\r\nSuccess-Report: YES\r\n"
        "Failure-Report: partial\r\nX-Other: a:b\r\nContent-Type: text/html;charset=\"x\"\r\n");
    EXPECT_EQ(read(head, message).status, 0);
    EXPECT_EQ(message.transaction, "dkei38sd");
    EXPECT_EQ(message.method, MsrpMethod::kSend);
    EXPECT_EQ(message.to.first.session, "9di4eae923wzd");
    EXPECT_EQ(message.from.text, kAlice);
    EXPECT_EQ(message.message_id, "12339sdqwer");
    EXPECT_EQ(message.range.first, 1u);
    EXPECT_FALSE(message.range.last);
    EXPECT_EQ(message.range.total, 106u);
    EXPECT_TRUE(message.success_report);
    EXPECT_EQ(message.failure_report, MsrpFailureReport::kPartial);
    EXPECT_EQ(message.content_type, "text/html;charset=\"x\"");
}

TEST(MsrpMessage, ReportsAndResponsesAreRead) {  // RFC 4975 7.1.2, 7.2, 11.6
    MsrpMessage message;
    EXPECT_EQ(
        read(msrp_request(
                 "dkei38sd", "REPORT",
                 "Message-ID: 12339sdqwer\r\nByte-Range: 1-106/106\r\nStatus: 000 200 OK\r\n"),
             message)
            .status,
        0);
    EXPECT_EQ(message.method, MsrpMethod::kReport);
    EXPECT_EQ(message.report_status, 200);
    EXPECT_EQ(message.range.last, 106u);
    EXPECT_FALSE(message.wants(200));  // RFC 4975 7.1.2: no answer to a REPORT
    EXPECT_EQ(read(msrp_request("d93kswow", "200 OK", ""), message).status, 0);
    EXPECT_EQ(message.method, MsrpMethod::kNone);
    EXPECT_EQ(message.status, 200);
    EXPECT_EQ(read(msrp_request("d93kswow", "481", ""), message).status, 0);
    EXPECT_EQ(message.status, 481);
    EXPECT_EQ(read(msrp_request("d93kswow", "NICKNAME", ""), message).status, 0);
    EXPECT_EQ(message.method, MsrpMethod::kOther);
    // A namespace that nobody knows.
    EXPECT_EQ(
        read(msrp_request("dkei38sd", "REPORT", "Message-ID: abcd\r\nStatus: 001 200\r\n"), message)
            .status,
        0);
    EXPECT_EQ(message.report_status, 0);
}

TEST(MsrpMessage, WantsTheAnswersItAsksFor) {  // SESS-23, RFC 4975 7.1.2
    struct Case {
        const char* line;
        bool good, bad;
    };
    for (const Case& c : {Case{"", true, true},
                          {"Failure-Report: yes\r\n", true, true},
                          {"Failure-Report: partial\r\n", false, true},
                          {"Failure-Report: no\r\n", false, false}}) {
        MsrpMessage message;
        EXPECT_EQ(read(msrp_request("abcd", "SEND", std::string("Message-ID: abcd\r\n") + c.line),
                       message)
                      .status,
                  0);
        EXPECT_EQ(message.wants(200), c.good) << c.line;
        EXPECT_EQ(message.wants(413), c.bad) << c.line;
    }
}

TEST(MsrpMessage, AWrongValueIsRefusedAndTheBoundaryHolds) {
    for (const char* const line :
         {"Message-ID: abc\r\n", "Message-ID: abcd\r\nMessage-ID: abcd\r\n", "",
          "Message-ID: abcd\r\nByte-Range: 0-1/1\r\n", "Message-ID: abcd\r\nByte-Range: 1-2\r\n",
          "Message-ID: abcd\r\nByte-Range: *-2/2\r\n", "Message-ID: abcd\r\nByte-Range: 1-2/-2\r\n",
          "Message-ID: abcd\r\nByte-Range: 1-2/99999999999999999999\r\n",
          "Message-ID: abcd\r\nSuccess-Report: perhaps\r\n",
          "Message-ID: abcd\r\nFailure-Report: \r\n",
          "Message-ID: abcd\r\nTo-Path: msrp://h/s;tcp\r\n",
          "Message-ID: abcd\r\nContent-Type:\r\n", "Message-ID: abcd\r\nStatus: 200 OK\r\n"}) {
        MsrpMessage message;
        const MsrpFault fault = read(msrp_request("abcd", "SEND", line), message);
        EXPECT_EQ(fault.status, 400) << line;
        EXPECT_FALSE(fault.close) << line;
        EXPECT_TRUE(message.wants(400)) << line;
    }
    MsrpMessage message;
    EXPECT_EQ(read(msrp_request("abcd", "REPORT", "Message-ID: abcd\r\n"), message).status, 400);
    EXPECT_EQ(
        read("MSRP abcd SEND\r\nTo-Path: " + kBob + "\r\nMessage-ID: abcd\r\n", message).status,
        400);
    EXPECT_FALSE(message.wants(400));  // nobody knows where to
}

TEST(MsrpMessage, WhatIsNoHeaderSectionEndsTheConnection) {
    for (const std::string& head :
         {std::string("MSRP abcd send\r\n"), std::string("MSRP abc SEND\r\n"),
          std::string("MSRP abcd\r\n"), std::string("MSRP abcd SEND more\r\n"),
          std::string("MSRP  abcd SEND\r\n"), std::string("MSRP abcd 099\r\n"),
          std::string("MSRP abcd 20\r\n"), std::string("msrp abcd SEND\r\n"),
          msrp_request("abcd", "SEND", " folded\r\n"), msrp_request("abcd", "SEND", "no colon\r\n"),
          msrp_request("abcd", "SEND", ": x\r\n"), msrp_request("abcd", "SEND", "1x: x\r\n"),
          msrp_request("abcd", "SEND", "x : x\r\n"), msrp_request("abcd", "SEND", "x: a\rb\r\n"),
          msrp_request("abcd", "SEND", std::string("x: a\0b\r\n", 8)),
          msrp_request("abcd", "SEND", "x: y")}) {
        MsrpMessage message;
        EXPECT_TRUE(read(head, message).close) << head;
    }
    std::string many;
    for (std::size_t i = 2; i < limits::kMsrpHeaders; ++i) many += "X: y\r\n";
    MsrpMessage message;
    EXPECT_FALSE(read(msrp_request("abcd", "SEND", many), message).close);
    EXPECT_TRUE(read(msrp_request("abcd", "SEND", many + "X: y\r\n"), message).close);
}

}  // namespace
}  // namespace fedgate::sip
