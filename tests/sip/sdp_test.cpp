#include "sip/sdp.hpp"

#include <string>

#include <gtest/gtest.h>

#include "tests/text.hpp"

namespace fedgate::sip {
namespace {

constexpr Bytes kHead =
    "v=0\r\no=- 0 0 IN IP4 192.0.2.1\r\ns=session\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n";
// RFC 4975 8.6, with its line ends.
constexpr Bytes kMsrp =
    "v=0\r\no=alice 2890844557 2890844559 IN IP4 alicepc.example.com\r\ns= -\r\n"
    "c=IN IP4 alicepc.example.com\r\nt=0 0\r\nm=message 7394 TCP/MSRP *\r\n"
    "a=accept-types:message/cpim text/plain text/html\r\na=max-size:8000\r\n"
    "a=path:msrp://alicepc.example.com:7394/2s93i93idj;tcp\r\n";

std::string lync(Bytes media) { return std::string(kHead).append(media); }

// What parse_sdp says of it; empty: it is one.
std::string refused(Bytes text) {
    Sdp sdp;
    const auto parsed = parse_sdp(text, sdp);
    return parsed ? "" : parsed.error().where;
}

// The index of the picked line, or why there is none.
std::string picked(Bytes text, SessionKind kind) {
    Sdp sdp;
    const auto parsed = parse_sdp(text, sdp);
    if (!parsed) return std::string("no SDP: ") + parsed.error().where;
    const auto index = pick_message(sdp, kind);
    return index ? std::to_string(*index) : index.error().where;
}

template <typename Write>
std::string written(Write&& write) {
    char memory[4'096];
    Sink sink{MutableBytes(memory)};
    write(sink);
    EXPECT_FALSE(sink.overflowed());
    return std::string(sink.written());
}

TEST(Sdp, TheOfferOfTheLyncDialect) {  // SESS-40
    Sdp sdp;
    const std::string text = lync(
        "m=message 5060 sip null\r\na=accept-types:text/plain text/html multipart/alternative\r\n"
        "a=x-unknown\r\n");
    ASSERT_TRUE(parse_sdp(text, sdp));
    EXPECT_EQ(sdp.id, "0");
    EXPECT_EQ(sdp.version, "0");
    EXPECT_EQ(sdp.connection, "192.0.2.1");
    ASSERT_EQ(sdp.media_count, 1u);
    const SdpMedia& media = sdp.media()[0];
    EXPECT_EQ(media.media, "message");
    EXPECT_EQ(media.port, 5'060);
    EXPECT_EQ(media.proto, "sip");
    EXPECT_EQ(media.formats, "null");
    EXPECT_EQ(media.connection, "192.0.2.1");
    EXPECT_EQ(media.accept_types, "text/plain text/html multipart/alternative");
    EXPECT_TRUE(find_attribute(media.lines, "x-unknown"));
    EXPECT_FALSE(find_attribute(media.lines, "x-unk"));
    EXPECT_EQ(picked(text, SessionKind::kLync), "0");
}

TEST(Sdp, TheExampleOfMsrp) {  // RFC 4975 8
    Sdp sdp;
    ASSERT_TRUE(parse_sdp(kMsrp, sdp));
    EXPECT_EQ(sdp.origin, "alice 2890844557 2890844559 IN IP4 alicepc.example.com");
    EXPECT_EQ(sdp.version, "2890844559");
    const SdpMedia& media = sdp.media()[0];
    EXPECT_EQ(media.path, "msrp://alicepc.example.com:7394/2s93i93idj;tcp");
    EXPECT_EQ(media.max_size, 8'000u);
    EXPECT_EQ(media.setup, Setup::kNone);
    EXPECT_FALSE(media.new_connection);
    EXPECT_FALSE(over_tls(media));
    EXPECT_EQ(picked(kMsrp, SessionKind::kMsrp), "0");
}

TEST(Sdp, AttributesOfMsrpOverOtherConnections) {  // RFC 4145, RFC 6135
    Sdp sdp;
    const std::string text = lync(
        "m=message 9 TCP/TLS/MSRP *\nc=IN IP6 2001:db8::1/64\na=setup:actpass\n"
        "a=connection:new\na=accept-types:*\na=accept-wrapped-types:text/plain\n"
        "a=path:msrps://[2001:db8::1]:9/s;tcp\na=max-size:99999999999999999999999\n");
    ASSERT_TRUE(parse_sdp(text, sdp));
    const SdpMedia& media = sdp.media()[0];
    EXPECT_EQ(media.connection, "2001:db8::1");
    EXPECT_EQ(media.setup, Setup::kActpass);
    EXPECT_TRUE(media.new_connection);
    EXPECT_EQ(media.accept_wrapped_types, "text/plain");
    EXPECT_EQ(media.max_size, 0u);  // no bound
    EXPECT_TRUE(over_tls(media));
    EXPECT_TRUE(pick_message(sdp, SessionKind::kMsrp));
    EXPECT_TRUE(pick_message(sdp, SessionKind::kMsrp, true));
    EXPECT_FALSE(pick_message(sdp, SessionKind::kMsrp, false));
    EXPECT_EQ(answer_to(media.setup), Setup::kPassive);
    EXPECT_EQ(answer_to(Setup::kPassive), Setup::kActive);
    EXPECT_EQ(answer_to(Setup::kNone), Setup::kNone);
}

TEST(Sdp, BothLineEndsNoLastOneAndAnEmptyLineBehind) {
    for (const char* const end : {"\r\n", "\n"}) {
        std::string text;
        for (const char* const line : {"v=0", "o=- 1 2 IN IP4 h", "s=", "t=0 0"}) {
            text.append(line).append(end);
        }
        EXPECT_EQ(refused(text), "");
        EXPECT_EQ(refused(text + end), "");
        EXPECT_EQ(refused(text + "m=message 1 sip null"), "");
        EXPECT_EQ(refused(text + end + "m=message 1 sip null"), "SDP line");
    }
}

TEST(Sdp, TypesThatNobodyKnowsAreSkippedBehindTheFirstThree) {
    EXPECT_EQ(refused(lync("x=y\r\nm=message 1 sip null\r\ny=z\r\na=b\r\n")), "");
    EXPECT_EQ(refused("x=y\r\n" + lync("")), "SDP order");
}

TEST(Sdp, WrongOrderAndGarbageAreRefused) {  // RFC 8866 5
    struct Case {
        const char* text;
        const char* why;
    };
    static constexpr Case kCases[] = {
        {"", "SDP without t="},
        {"v=0\r\n", "SDP without t="},
        {"v=1\r\n", "SDP version"},
        {"o=- 0 0 IN IP4 h\r\nv=0\r\n", "SDP order"},
        {"v=0\r\ns=x\r\n", "SDP order"},
        {"v=0\r\no=- 0 0 IN IP4 h\r\nt=0 0\r\n", "SDP order"},
        {"v=0\r\nv=0\r\n", "SDP order"},
        {"v=0\r\no=- 0 0 IN IP4 h\r\ns=x\r\na=b\r\nt=0 0\r\n", "SDP order"},
        {"v=0\r\no=- 0 0 IN IP4 h\r\ns=x\r\nc=IN IP4 h\r\nc=IN IP4 h\r\n", "SDP order"},
        {"v=0\r\no=- 0 0 IN IP4 h\r\ns=x\r\nm=message 1 sip null\r\n", "SDP without t="},
        {"v=0\r\no=- 0 0 IN IP4\r\n", "SDP o="},
        {"v=0\r\no=- a 0 IN IP4 h\r\n", "SDP o="},
        {"v=0\r\no=- 0 0 IN IP4 h more\r\n", "SDP o="},
        {"v=0\r\no=- 0 0 IN IP4 h\r\ns=x\r\nc=IN IP4\r\n", "SDP c="},
        {"v=0\r\no=- 0 0 IN IP4 h\r\ns=x\r\nc=IN IP4 /1\r\n", "SDP c="},
        {"hello", "SDP line"},
        {"v=0\r\no=- 0 0 IN IP4 h\rs=x\r\n", "SDP line"},
        {"=0\r\n", "SDP line"},
        {"1=0\r\n", "SDP line"},
    };
    for (const Case& one : kCases) EXPECT_EQ(refused(one.text), one.why) << one.text;
    EXPECT_EQ(refused(std::string("v=0\0\r\n", 6)), "SDP line");
    for (const char* const media :
         {"m=message", "m=message x sip null", "m=message 65536 sip null", "m=message -1 sip null",
          "m=message 1", "m=message 1 sip", "m=message 1 sip ", "m=message 1x sip null",
          "m=message 1/ sip null", "m=message 1/x sip null", "m=mess@ge 1 sip null", "m="}) {
        EXPECT_EQ(refused(lync(media)), "SDP m=") << media;
    }
    for (const char* const attribute : {"a=", "a=:x", "a=max-size:x", "a=max-size", "a=a b:c"}) {
        EXPECT_EQ(refused(lync("m=message 1 sip null\r\n").append(attribute)), "SDP a=")
            << attribute;
    }
    EXPECT_EQ(refused(lync("m=message 1 sip null\r\nt=0 0\r\n")), "SDP order");
    EXPECT_EQ(refused(lync("m=message 1 sip null\r\na=b\r\nc=IN IP4 h\r\n")), "SDP order");
}

TEST(Sdp, Bounds) {
    std::string text = lync("");
    for (std::size_t i = 0; i < limits::kSdpMedia; ++i) text += "m=audio 1 RTP/AVP 0\r\n";
    EXPECT_EQ(refused(text), "");
    EXPECT_EQ(refused(text + "m=audio 1 RTP/AVP 0\r\n"), "SDP m= lines");
    const std::string large = lync("a=" + std::string(limits::kSdpBytes, 'x'));
    EXPECT_EQ(refused(large), "SDP size");
    EXPECT_EQ(refused(large.substr(0, limits::kSdpBytes)), "");
}

TEST(Sdp, EverySplitPointIsRefusedOrRead) {
    const std::string text = lync("m=message 1 sip null\r\na=accept-types:text/plain\r\n");
    for (std::size_t size = 0; size < text.size(); ++size) {
        Sdp sdp;
        if (!parse_sdp(text.substr(0, size), sdp)) continue;
        EXPECT_LE(sdp.media_count, 1u);
    }
}

TEST(Sdp, TheFirstAcceptableMessageIsPicked) {  // SESS-11
    const std::string text = lync(
        "m=audio 49170 RTP/AVP 0\r\nm=message 0 sip null\r\nm=message 5060 TCP/MSRP *\r\n"
        "m=message 5060 sip null\r\nm=message 5061 sip null\r\n");
    EXPECT_EQ(picked(text, SessionKind::kLync), "3");
    EXPECT_EQ(picked(text, SessionKind::kMsrp), "m=message of another protocol");
}

TEST(Sdp, OtherFormsOfTheLyncLine) {  // SESS-40
    for (const char* const media :
         {"m=x-ms-message 5060 sip null", "m=message 5060 sip sip:romeo@corp.example",
          "m=x-ms-message 5060 sip SIP:romeo@corp.example", "m=message 5060 SIP null",
          "m=message 5060 sip null\r\na=accept-types:text/html text/*",
          "m=message 5060 sip null\r\na=accept-types:text/rtf text/PLAIN"}) {
        EXPECT_EQ(picked(lync(media), SessionKind::kLync), "0") << media;
    }
    struct Case {
        const char* media;
        const char* why;
    };
    static constexpr Case kCases[] = {
        {"", "no m=message"},
        {"m=audio 49170 RTP/AVP 0\r\nm=video 1 RTP/AVP 31", "no m=message"},
        {"m=applicationsharing 1 TCP/RTP/AVP 127", "no m=message"},
        {"m=message 0 sip null", "m=message with port 0"},
        {"m=message 5060 sip", "no SDP: SDP m="},
        {"m=message 5060 sip *", "m=message without null or a SIP URI"},
        {"m=message 5060 sip null\r\na=accept-types:text/rtf", "accept-types without text/plain"},
    };
    for (const Case& one : kCases) {
        EXPECT_EQ(picked(lync(one.media), SessionKind::kLync), one.why) << one.media;
    }
}

TEST(Sdp, WhatMsrpNeeds) {  // SESS-20, RFC 4975 8
    const auto of = [](Bytes proto, Bytes path, Bytes types) {
        return picked(lync(std::string("m=message 7394 ")
                               .append(proto)
                               .append(" *\r\na=path:")
                               .append(path)
                               .append("\r\na=accept-types:")
                               .append(types)),
                      SessionKind::kMsrp);
    };
    EXPECT_EQ(of("TCP/MSRP", "msrp://h:1/s;tcp", "*"), "0");
    EXPECT_EQ(of("TCP/TLS/MSRP", "msrps://h:1/s;tcp", "message/cpim text/plain"), "0");
    // RFC 4976: behind relays the path is longer.
    EXPECT_EQ(of("TCP/MSRP", "msrp://r:1/a;tcp msrp://h:1/s;tcp", "*"), "0");
    for (const char* const path :
         {"", "msrps://h:1/s;tcp", "msrp:h", "msrp:///s;tcp", "msrp://h:1;tcp", "msrp://h:1/s",
          "msrp://h:1/s;udp", "msrp://h:1/s;tcp junk", "http://h/s;tcp"}) {
        EXPECT_EQ(of("TCP/MSRP", path, "*"), "m=message without a usable path") << path;
    }
    EXPECT_EQ(of("TCP/TLS/MSRP", "msrp://h:1/s;tcp", "*"), "m=message without a usable path");
    EXPECT_EQ(of("TCP/MSRP", "msrp://h/" + std::string(limits::kMsrpPathBytes, 'x') + ";tcp", "*"),
              "m=message without a usable path");
    EXPECT_EQ(of("TCP/MSRP", "msrp://h:1/s;tcp", "text/html"), "accept-types without text/plain");
    EXPECT_EQ(of("TCP/MSRP", "msrp://h:1/s;tcp", ""), "accept-types without text/plain");
    EXPECT_EQ(of("UDP/MSRP", "msrp://h:1/s;tcp", "*"), "m=message of another protocol");
}

TEST(Sdp, OurOfferToLync) {  // SESS-40
    SdpVersion version;
    const OwnSdp own{.host = "192.0.2.7", .port = 5'060};
    const std::string offer = written([&](Sink& sink) { write_offer(sink, own, version); });
    EXPECT_EQ(offer,
              "v=0\r\no=- 0 0 IN IP4 192.0.2.7\r\ns=session\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n"
              "m=message 5060 sip null\r\n"
              "a=accept-types:text/plain multipart/alternative text/html\r\n");
    EXPECT_EQ(picked(offer, SessionKind::kLync), "0");
}

TEST(Sdp, OurOfferOfMsrp) {  // SESS-20
    SdpVersion version;
    const OwnSdp own{.kind = SessionKind::kMsrp,
                     .id = 7,
                     .host = "2001:db8::7",
                     .port = 2'855,
                     .path = "msrps://[2001:db8::7]:2855/abc;tcp",
                     .max_size = 9'000,
                     .setup = Setup::kActive,
                     .tls = true};
    const std::string offer = written([&](Sink& sink) { write_offer(sink, own, version); });
    EXPECT_EQ(offer,
              "v=0\r\no=- 7 0 IN IP6 2001:db8::7\r\ns=session\r\nc=IN IP6 2001:db8::7\r\nt=0 0\r\n"
              "m=message 2855 TCP/TLS/MSRP *\r\n"
              "a=accept-types:text/plain application/im-iscomposing+xml\r\n"
              "a=path:msrps://[2001:db8::7]:2855/abc;tcp\r\na=max-size:9000\r\na=setup:active\r\n");
    EXPECT_EQ(picked(offer, SessionKind::kMsrp), "0");
}

TEST(Sdp, AnAnswerHasTheLinesOfItsOffer) {  // SESS-11, RFC 3264 6
    Sdp offer;
    const std::string text = lync(
        "m=audio 49170 RTP/AVP 0 8 97\r\na=rtpmap:0 PCMU/8000\r\n"
        "m=x-ms-message 5060 sip sip:romeo@corp.example\r\nm=video 0 RTP/AVP 31\r\n");
    ASSERT_TRUE(parse_sdp(text, offer));
    SdpVersion version;
    const OwnSdp own{.host = "gateway.example", .port = 5'061};
    const std::string answer =
        written([&](Sink& sink) { write_answer(sink, own, offer, 1, version); });
    EXPECT_TRUE(has(answer, "o=- 0 0 IN IP4 gateway.example\r\n"));
    EXPECT_EQ(
        answer.substr(answer.find("m=")),
        "m=audio 0 RTP/AVP 0\r\nm=x-ms-message 5061 sip null\r\n"
        "a=accept-types:text/plain multipart/alternative text/html\r\nm=video 0 RTP/AVP 31\r\n");
    Sdp again;
    ASSERT_TRUE(parse_sdp(answer, again));
    EXPECT_EQ(again.media_count, offer.media_count);
}

TEST(Sdp, AnAnswerOfMsrpSaysWhatTheOfferSaidOfTls) {
    for (const bool tls : {false, true}) {
        Sdp offer;
        const std::string text =
            lync(tls ? "m=message 1 TCP/TLS/MSRP *" : "m=message 1 TCP/MSRP *");
        ASSERT_TRUE(parse_sdp(text, offer));
        SdpVersion version;
        const OwnSdp own{
            .kind = SessionKind::kMsrp, .host = "h", .port = 1, .path = "msrp://h:1/s;tcp"};
        const std::string answer =
            written([&](Sink& sink) { write_answer(sink, own, offer, 0, version); });
        EXPECT_EQ(has(answer, " TCP/TLS/MSRP *\r\n"), tls);
        EXPECT_EQ(has(answer, " TCP/MSRP *\r\n"), !tls);
        EXPECT_FALSE(has(answer, "a=max-size"));
        EXPECT_FALSE(has(answer, "a=setup"));
    }
}

TEST(Sdp, TheVersionGrowsWithAnotherDescriptionOnly) {  // SESS-12, RFC 3264 8
    Sdp one;
    Sdp two;
    const std::string first_offer = lync("m=message 5060 sip null\r\n");
    const std::string second_offer = lync("m=message 5060 sip null\r\nm=audio 1 RTP/AVP 0\r\n");
    ASSERT_TRUE(parse_sdp(first_offer, one));
    ASSERT_TRUE(parse_sdp(second_offer, two));
    SdpVersion version;
    const OwnSdp own{.id = 5, .host = "h", .port = 5'060};
    const auto answer = [&](const Sdp& offer) {
        return written([&](Sink& sink) { write_answer(sink, own, offer, 0, version); });
    };
    const std::string first = answer(one);
    EXPECT_TRUE(has(first, "o=- 5 0 IN"));
    EXPECT_EQ(answer(one), first);
    EXPECT_TRUE(has(answer(two), "o=- 5 1 IN"));
    EXPECT_TRUE(has(answer(two), "o=- 5 1 IN"));
    EXPECT_TRUE(has(answer(one), "o=- 5 2 IN"));
    // What an offer without SDP is answered with: the same description again.
    EXPECT_TRUE(has(written([&](Sink& sink) { write_offer(sink, own, version); }), "o=- 5 2 IN"));
}

TEST(Sdp, NoRoomIsSaidByTheSink) {
    char memory[100];
    Sink sink{MutableBytes(memory)};
    SdpVersion version;
    write_offer(sink, {.host = "h", .port = 1}, version);
    EXPECT_TRUE(sink.overflowed());
    EXPECT_EQ(version.number, 0u);
}

}  // namespace
}  // namespace fedgate::sip
