// The torture messages of RFC 4475 and RFC 5118, with the outcomes of SIP-40..SIP-53.
#include <filesystem>
#include <set>

#include <gtest/gtest.h>

#include "sip/request_checks.hpp"
#include "tests/sip/sip_support.hpp"

namespace fedgate::sip {
namespace {

using test::feed;

struct Row {
    const char* rule;
    const char* file;
    int datagram;      // 0: read; else the status of the refusal
    int checks;        // what check_request says of one that was read; 0: nothing
    const char* what;  // why it is refused; "" is not compared
};

constexpr MethodSet kAllowed = {Method::kAck,     Method::kBye,       Method::kCancel,
                                Method::kInvite,  Method::kMessage,   Method::kNotify,
                                Method::kOptions, Method::kSubscribe, Method::kRegister};

constexpr Row kRows[] = {
    {"SIP-40", "rfc4475/wsinv.dat", 0, 0, ""},
    {"SIP-40", "rfc4475/intmeth.dat", 0, 405, ""},
    {"SIP-40", "rfc4475/esc01.dat", 0, 0, ""},
    {"SIP-40", "rfc4475/escnull.dat", 0, 0,
     ""},  // the NUL is refused when the user is decoded: ADDR-23
    {"SIP-40", "rfc4475/esc02.dat", 0, 405, ""},
    {"SIP-40", "rfc4475/lwsdisp.dat", 0, 0, ""},
    {"SIP-40", "rfc4475/longreq.dat", 0, 0, ""},
    {"SIP-40", "rfc4475/semiuri.dat", 0, 0, ""},
    {"SIP-40", "rfc4475/transports.dat", 0, 0, ""},
    {"SIP-40", "rfc4475/unreason.dat", 0, 0, ""},
    {"SIP-40", "rfc4475/noreason.dat", 0, 0, ""},
    {"SIP-41", "rfc4475/dblreq.dat", 0, 0, ""},
    {"SIP-42", "rfc4475/mpart01.dat", 0, 0, ""},
    {"SIP-43", "rfc4475/badinv01.dat", 400, 0, "Via parameters"},
    {"SIP-43", "rfc4475/clerr.dat", 400, 0, "body shorter than Content-Length"},
    {"SIP-43", "rfc4475/ncl.dat", 400, 0, "bad Content-Length"},
    {"SIP-43", "rfc4475/scalar02.dat", 400, 0, "CSeq number"},
    {"SIP-43", "rfc4475/quotbal.dat", 400, 0, "To"},
    {"SIP-43", "rfc4475/ltgtruri.dat", 400, 0, "Request-URI"},
    {"SIP-43", "rfc4475/lwsruri.dat", 400, 0, "Request-URI"},
    {"SIP-43", "rfc4475/lwsstart.dat", 400, 0, "Request-URI"},
    {"SIP-43", "rfc4475/escruri.dat", 400, 0, "Request-URI with headers"},
    {"SIP-43", "rfc4475/baddn.dat", 400, 0, ""},
    {"SIP-43", "rfc4475/mismatch01.dat", 400, 0, "CSeq method mismatch"},
    {"SIP-43", "rfc4475/insuf.dat", 400, 0, "a required header field is missing"},
    {"SIP-43", "rfc4475/invut.dat", 0, 0, ""},  // 415 by the rules of bodies
    {"SIP-43", "rfc4475/mismatch02.dat", 400, 0, "CSeq method mismatch"},
    {"SIP-43", "rfc4475/trws.dat", 400, 0, "SIP version"},
    {"SIP-43", "rfc4475/baddate.dat", 0, 0, ""},
    {"SIP-44", "rfc4475/scalarlg.dat", 400, 0, "CSeq number"},
    {"SIP-44", "rfc4475/bigcode.dat", 400, 0, "status line"},
    {"SIP-45", "rfc4475/badvers.dat", 505, 0, "SIP version"},
    {"SIP-46", "rfc4475/unkscm.dat", 416, 0, "Request-URI"},
    {"SIP-46", "rfc4475/novelsc.dat", 416, 0, "Request-URI"},
    {"SIP-46", "rfc4475/unksm2.dat", 416, 0, "To"},
    {"SIP-47", "rfc4475/bext01.dat", 0, 420, ""},
    {"SIP-48", "rfc4475/badbranch.dat", 0, 0, ""},
    {"SIP-49", "rfc4475/multi01.dat", 400, 0, "header field repeated"},
    {"SIP-50", "rfc4475/mcl01.dat", 400, 0, "Content-Length repeated"},
    {"SIP-51", "rfc4475/zeromf.dat", 0, 0, ""},
    {"SIP-52", "rfc4475/inv2543.dat", 0, 0, ""},
    // Those without an id of their own: RFC 4475 says what is to be done.
    {"SIP-2", "rfc4475/badaspec.dat", 400, 0, "To"},
    {"SIP-2", "rfc4475/regbadct.dat", 400, 0, "Contact"},
    {"SIP-1", "rfc4475/bcast.dat", 0, 0, ""},
    {"SIP-1", "rfc4475/cparam01.dat", 0, 0, ""},
    {"SIP-1", "rfc4475/cparam02.dat", 0, 0, ""},
    {"SIP-1", "rfc4475/regescrt.dat", 0, 0, ""},
    {"SIP-1", "rfc4475/regaut01.dat", 0, 0, ""},
    {"SIP-1", "rfc4475/sdp01.dat", 0, 0, ""},
    {"SIP-53", "rfc5118/ipv6-good.sip", 0, 0, ""},
    {"SIP-53", "rfc5118/ipv6-bad.sip", 400, 0, "Request-URI"},
    {"SIP-53", "rfc5118/port-ambiguous.sip", 0, 0, ""},
    {"SIP-53", "rfc5118/port-unambiguous.sip", 0, 0, ""},
    {"SIP-53", "rfc5118/ipv6-via-delim.sip", 0, 0, ""},
    {"SIP-53", "rfc5118/ipv6-via-nodelim.sip", 0, 0, ""},
    {"SIP-53", "rfc5118/ipv6-in-sdp.sip", 0, 0, ""},
    {"SIP-53", "rfc5118/mult-ip-in-header.sip", 0, 0, ""},
    {"SIP-53", "rfc5118/mult-ip-in-sdp.sip", 0, 0, ""},
    {"SIP-53", "rfc5118/ipv4-mapped-ipv6.sip", 0, 0, ""},
    {"SIP-53", "rfc5118/ipv6-bug-abnf-3-colons.sip", 0, 0, ""},
};

std::string load(const char* file) {
    return test::read_file(std::string(FEDGATE_CORPUS) + "/" + file);
}

TEST(Corpus, EachFileHasARow) {
    std::set<std::string> rows;
    for (const Row& row : kRows) EXPECT_TRUE(rows.insert(row.file).second) << row.file;
    for (const char* folder : {"rfc4475", "rfc5118"}) {
        for (const auto& entry :
             std::filesystem::directory_iterator(std::string(FEDGATE_CORPUS) + "/" + folder)) {
            if (entry.path().extension() == ".md") continue;
            EXPECT_EQ(rows.count(std::string(folder) + "/" + entry.path().filename().string()), 1u)
                << entry.path();
        }
    }
}

TEST(Corpus, EachMessageHasItsOutcomeAsADatagram) {  // SIP-40..SIP-53
    for (const Row& row : kRows) {
        SCOPED_TRACE(std::string(row.rule) + " " + row.file);
        test::Read read(load(row.file));
        ASSERT_FALSE(read.buffer.empty());
        const Frame frame = read.datagram();
        EXPECT_EQ(frame.consumed, read.buffer.size());
        if (row.datagram != 0) {
            EXPECT_EQ(frame.kind, FrameKind::kMalformed);
            EXPECT_EQ(frame.status, row.datagram);
            if (*row.what != '\0') {
                EXPECT_STREQ(frame.reason, row.what);
            }
            EXPECT_EQ(read.message.answerable(), std::string(row.rule) != "SIP-44");
            continue;
        }
        EXPECT_EQ(frame.kind, FrameKind::kMessage) << frame.status << " " << frame.reason;
        if (read.message.is_request) {
            EXPECT_EQ(check_request(read.message, kAllowed), row.checks);
        }
    }
}

// The same code reads streams: what comes out must not depend on how the bytes came in.
TEST(Corpus, EachSplitPointOfAStreamGivesTheSame) {
    for (const Row& row : kRows) {
        SCOPED_TRACE(row.file);
        const std::string bytes = load(row.file);
        const std::vector<std::string> whole = feed(bytes, {});
        for (std::size_t cut = 1; cut < bytes.size(); ++cut)
            ASSERT_EQ(feed(bytes, {cut}), whole) << cut;
        std::vector<std::size_t> all;
        for (std::size_t cut = 1; cut < bytes.size(); ++cut) all.push_back(cut);
        EXPECT_EQ(feed(bytes, all), whole);
    }
}

TEST(Corpus, OnAStreamTheLengthDecides) {
    // SIP-43: clerr waits for what it was promised.
    EXPECT_TRUE(feed(load("rfc4475/clerr.dat"), {}).empty());
    EXPECT_EQ(feed(load("rfc4475/ncl.dat"), {}).at(0), "400 bad Content-Length close answer");
    EXPECT_EQ(feed(load("rfc4475/mcl01.dat"), {}).at(0),
              "400 Content-Length repeated close answer");  // SIP-50
    EXPECT_EQ(feed(load("rfc4475/inv2543.dat"), {}).at(0),
              "400 no Content-Length close answer");  // SIP-2
    // SIP-41: the second request is the next message.
    const auto two = feed(load("rfc4475/dblreq.dat"), {});
    ASSERT_EQ(two.size(), 3u);  // the second body is longer than it says: the rest is no message
    EXPECT_TRUE(two[0].starts_with("REGISTER sip:example.com|z9hG4bKkdjuw23492|")) << two[0];
    EXPECT_TRUE(two[1].starts_with("INVITE sip:joe@example.com|z9hG4bKkdjuw380234|")) << two[1];
    EXPECT_TRUE(two[2].ends_with(" close")) << two[2];
    // A message whose meaning is bad, but whose boundary is certain, does not end the stream.
    EXPECT_EQ(feed(load("rfc4475/mismatch01.dat"), {}).at(0), "400 CSeq method mismatch answer");
}

TEST(Corpus, WsinvIsReadInFull) {
    test::Read read(load("rfc4475/wsinv.dat"));
    ASSERT_EQ(read.datagram().kind, FrameKind::kMessage);
    const Message& m = read.message;
    EXPECT_EQ(m.method, Method::kInvite);
    EXPECT_EQ(m.to.uri.text, "sip:vivekg@chair-dnrc.example.com");
    EXPECT_EQ(m.to.tag, "1918181833n");
    EXPECT_EQ(m.from.display, R"("J Rosenberg \\\"")");
    EXPECT_EQ(m.from.uri.user, "jdrosen");
    EXPECT_EQ(m.from.tag, "98asjd8");
    EXPECT_EQ(m.max_forwards, 68u);
    EXPECT_EQ(m.cseq.number, 9u);
    EXPECT_EQ(m.cseq.method, Method::kInvite);
    EXPECT_EQ(m.via.transport, Transport::kUdp);
    EXPECT_EQ(m.via.sent_by.host, "192.0.2.2");
    EXPECT_EQ(m.via.branch, "390skdjuw");
    EXPECT_EQ(m.via_count, 3u);
    EXPECT_EQ(m.body.size(), 150u);
    ASSERT_NE(m.find(HeaderName::kSubject), nullptr);
    EXPECT_EQ(m.value(HeaderName::kSubject), "");
    EXPECT_EQ(m.headers()[8].value, "newfangled value continued newfangled value");
    const auto contact = parse_name_addr(m.value(HeaderName::kContact));
    ASSERT_TRUE(contact);
    EXPECT_EQ(contact->display, R"("Quoted string \"\"")");
    EXPECT_EQ(find_parameter(contact->params, "q").value, "0.33");
}

TEST(Corpus, TheOddButValidOnesKeepTheirParts) {
    test::Read intmeth(load("rfc4475/intmeth.dat"));
    ASSERT_EQ(intmeth.datagram().kind, FrameKind::kMessage);
    EXPECT_EQ(intmeth.message.method, Method::kUnknown);
    EXPECT_EQ(intmeth.message.method_name, "!interesting-Method0123456789_*+`.%indeed'~");
    EXPECT_EQ(intmeth.message.request_uri.user, "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*");
    EXPECT_EQ(intmeth.message.request_uri.at.host, "example.com");
    test::Read semiuri(load("rfc4475/semiuri.dat"));
    ASSERT_EQ(semiuri.datagram().kind, FrameKind::kMessage);
    EXPECT_EQ(semiuri.message.request_uri.user, "user;par=u%40example.net");
    test::Read longreq(load("rfc4475/longreq.dat"));
    ASSERT_EQ(longreq.datagram().kind, FrameKind::kMessage);
    EXPECT_EQ(longreq.message.via_count, 34u);
    test::Read noreason(load("rfc4475/noreason.dat"));
    ASSERT_EQ(noreason.datagram().kind, FrameKind::kMessage);
    EXPECT_EQ(noreason.message.status, 100);
    EXPECT_EQ(noreason.message.reason, "");
    // SIP-53: both forms of received.
    for (const char* file : {"rfc5118/ipv6-via-delim.sip", "rfc5118/ipv6-via-nodelim.sip"}) {
        test::Read read(load(file));
        ASSERT_EQ(read.datagram().kind, FrameKind::kMessage);
        EXPECT_EQ(read.message.via.received, "2001:db8::9:255");
        EXPECT_EQ(read.message.via.sent_by.host, "2001:db8::9:1");
    }
    // SIP-53: the port is only a port outside the brackets.
    test::Read ambiguous(load("rfc5118/port-ambiguous.sip"));
    ASSERT_EQ(ambiguous.datagram().kind, FrameKind::kMessage);
    EXPECT_EQ(ambiguous.message.request_uri.at.host, "2001:db8::10:5070");
    EXPECT_EQ(ambiguous.message.request_uri.at.port, 0);
    test::Read unambiguous(load("rfc5118/port-unambiguous.sip"));
    ASSERT_EQ(unambiguous.datagram().kind, FrameKind::kMessage);
    EXPECT_EQ(unambiguous.message.request_uri.at.port, 5070);
}

TEST(Corpus, Bext01NamesEachUnknownOption) {  // SIP-47
    test::Read read(load("rfc4475/bext01.dat"));
    ASSERT_EQ(read.datagram().kind, FrameKind::kMessage);
    char memory[200];
    Sink sink(memory);
    write_unsupported(sink, read.message);
    EXPECT_EQ(sink.written(), "Unsupported: nothingSupportsThis, nothingSupportsThisEither\r\n");
}

}  // namespace
}  // namespace fedgate::sip
