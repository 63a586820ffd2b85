#include "sip/msrp_writer.hpp"

#include <array>
#include <string>

#include <gtest/gtest.h>

#include "tests/sip/msrp_support.hpp"

namespace fedgate::sip {
namespace {

using test::kAlice;
using test::kBob;

template <typename Write>
std::string written(Write write) {
    std::array<char, 4'096> memory;
    Sink sink(memory);
    write(sink);
    EXPECT_FALSE(sink.overflowed());
    return std::string(sink.written());
}

TEST(MsrpWriter, ASendHasItsTrueByteRange) {  // SESS-22, SESS-24, RFC 4975 11.1
    MsrpSend send{"d93kswow", kBob, kAlice, "12339sdqwer"};
    send.content_type = "text/plain";
    send.body = "Hi, I'm Alice!";
    send.total = 14;
    const std::string head = "MSRP d93kswow SEND\r\nTo-Path: " + kBob + "\r\nFrom-Path: " + kAlice +
                             "\r\nMessage-ID: 12339sdqwer\r\n";
    const std::string body = "Content-Type: text/plain\r\n\r\nHi, I'm Alice!\r\n-------d93kswow";
    EXPECT_EQ(written([&](Sink& out) { write_msrp_send(out, send); }),
              head + "Byte-Range: 1-14/14\r\n" + body + "$\r\n");
    send.failure_report = MsrpFailureReport::kNo;
    send.success_report = true;
    send.first = 5;
    send.total = 99;
    send.flag = MsrpFlag::kMore;
    EXPECT_EQ(written([&](Sink& out) { write_msrp_send(out, send); }),
              head + "Byte-Range: 5-18/99\r\nSuccess-Report: yes\r\nFailure-Report: no\r\n" + body +
                  "+\r\n");
}

TEST(MsrpWriter, AnEmptySendHasNoBody) {  // SESS-21
    const MsrpSend send{"d93kswow", kBob, kAlice, "12339sdqwer"};
    EXPECT_TRUE(
        written([&](Sink& out) {
            write_msrp_send(out, send);
        }).ends_with("Message-ID: 12339sdqwer\r\nByte-Range: 1-0/0\r\n-------d93kswow$\r\n"));
}

TEST(MsrpWriter, AReportIsWrittenAsTheExampleIs) {  // RCPT-2, RFC 4975 11.6
    EXPECT_EQ(written([&](Sink& out) {
                  write_msrp_report(out, {"dkei38sd", kAlice, kBob, "12339sdqwer", 106, 200});
              }),
              "MSRP dkei38sd REPORT\r\nTo-Path: " + kAlice + "\r\nFrom-Path: " + kBob +
                  "\r\nMessage-ID: 12339sdqwer\r\nByte-Range: 1-106/106\r\nStatus: 000 200 OK\r\n"
                  "-------dkei38sd$\r\n");
}

TEST(MsrpWriter, AnAnswerGoesToThePreviousHopOfASend) {  // RFC 4975 7.2
    const std::string relay = "msrp://relay.example:2855/r;tcp";
    for (const bool is_send : {true, false}) {
        MsrpMessage request;
        const std::string head = "MSRP abcd " + std::string(is_send ? "SEND" : "NICKNAME") +
                                 "\r\nTo-Path: " + kBob + "\r\nFrom-Path: " + relay + " " + kAlice +
                                 "\r\nMessage-ID: abcd\r\n";
        ASSERT_EQ(read_msrp_head(head, request).status, 0);
        EXPECT_EQ(
            written([&](Sink& out) { write_msrp_response(out, request, is_send ? 200 : 501); }),
            "MSRP abcd " + std::string(is_send ? "200 OK" : "501 Unknown Method") +
                "\r\nTo-Path: " + (is_send ? relay : relay + " " + kAlice) +
                "\r\nFrom-Path: " + kBob + "\r\n-------abcd$\r\n");
    }
}

TEST(MsrpWriter, FindsAnEndLineInABody) {  // RFC 4975 7.1
    EXPECT_TRUE(has_msrp_end_line("a\r\n-------abcd$\r\n", "abcd"));
    EXPECT_TRUE(has_msrp_end_line("--------abcd", "abcd"));
    EXPECT_FALSE(has_msrp_end_line("-------abc", "abcd"));
    EXPECT_FALSE(has_msrp_end_line("------abcd", "abcd"));
    EXPECT_FALSE(has_msrp_end_line("", "abcd"));
}

}  // namespace
}  // namespace fedgate::sip
