#include "sip/request_checks.hpp"

#include <gtest/gtest.h>

#include "tests/sip/sip_support.hpp"

namespace fedgate::sip {
namespace {

std::uint16_t check(const std::string& method, const std::string& more) {
    test::Read read(test::crlf(
        method + " sip:b@h SIP/2.0\nVia: SIP/2.0/TCP h\nFrom: <sip:a@h>;tag=1\nTo: <sip:b@h>\n" +
        "Call-ID: c\nCSeq: 1 " + method + "\nContent-Length: 0\n" + more + "\n"));
    EXPECT_EQ(read.parse(Carrier::kStream).parsed.verdict, Verdict::kDone) << read.parsed.reason;
    return check_request(read.message, {Method::kMessage, Method::kOptions, Method::kCancel});
}

TEST(RequestChecks, SayWhatRfc3261Asks) {
    EXPECT_EQ(check("MESSAGE", ""), 0);
    EXPECT_EQ(check("INVITE", ""), 405);
    EXPECT_EQ(check("NEW", ""), 405);  // SIP-2
    EXPECT_EQ(check("ACK", ""), 0);
    EXPECT_EQ(check("MESSAGE", "Max-Forwards: 0\n"), 483);  // SIP-17
    EXPECT_EQ(check("OPTIONS", "Max-Forwards: 0\n"), 0);    // SIP-51
    EXPECT_EQ(check("MESSAGE", "Require: 100rel\n"), 420);  // SIP-18, IM-51
    EXPECT_EQ(check("MESSAGE", "Require: gruu, , GRUU\n"), 0);
    EXPECT_EQ(check("MESSAGE", "Require: gruu\nRequire: x\n"), 420);
    EXPECT_EQ(check("CANCEL", "Require: x\n"), 0);
    EXPECT_EQ(check("MESSAGE", "Proxy-Require: x\n"), 0);  // IM-51
}

TEST(RequestChecks, AllowNamesTheMethods) {
    char memory[100];
    Sink sink(memory);
    write_allow(sink, {Method::kMessage, Method::kOptions});
    EXPECT_EQ(sink.written(), "Allow: MESSAGE, OPTIONS\r\n");
}

}  // namespace
}  // namespace fedgate::sip
