// The frames of the link: their bytes as README.md of appliance/link has them, every cut and every
// wrong length.
#include "appliance/link/frame.hpp"

#include <vector>

#include <gtest/gtest.h>

#include "core/base/limits.hpp"

namespace fedgate::link {
namespace {

using Status = FrameRead::Status;

std::string bytes_of_hex(Bytes hex) {
    std::string bytes;
    int high = -1;
    for (const char c : hex) {
        if (c == ' ') continue;
        const int digit = c <= '9' ? c - '0' : c - 'a' + 10;
        if (high < 0) {
            high = digit;
        } else {
            bytes.push_back(static_cast<char>(high * 16 + digit));
            high = -1;
        }
    }
    return bytes;
}

Id one_id(std::uint8_t first) {
    Id id{};
    id[0] = first;
    id[15] = 0xEE;
    return id;
}

template <typename T>
std::string written(const T& frame) {
    std::string bytes;
    write_frame(bytes, frame);
    return bytes;
}

Hello hello() {
    Hello hello;
    hello.role = Role::kGateway;
    hello.part = 2;
    hello.instance = one_id(1);
    hello.session = one_id(2);
    hello.taken = {3, 4};
    hello.window = 0x400000;
    hello.node = "gw1";
    return hello;
}

// One of each kind, with its bytes.
struct Sample {
    const char* name;
    std::string bytes;
    const char* hex;
};
std::vector<Sample> samples() {
    return {
        {"hello", written(hello()),
         "00000041 01 0001 0003 02 0002 010000000000000000000000000000ee"
         "020000000000000000000000000000ee 0000000000000003 0000000000000004 00400000 0003 677731"},
        {"ack", written(Ack{{5, 0x0102030405060708}}),
         "00000011 02 0000000000000005 0102030405060708"},
        {"ping", written(Ping{9}), "00000009 03 0000000000000009"},
        {"pong", written(Pong{9}), "00000009 04 0000000000000009"},
        {"drain", written(Drain{}), "00000001 05"},
        {"answer", written(Answer{5, Answer::Kind::kAnswered, 486, 9, "tag", "Busy", "A: b\r\n"}),
         "00000023 42 0000000000000005 00 01e6 0009 0003 746167 0004 42757379 0006 413a20620d0a"
         "0000"},
        {"lost", written(Answer{5, Answer::Kind::kLost}),
         "00000016 42 0000000000000005 01 0000 0000 0000 0000 0000 0000"},
        {"body", written(Answer{5, Answer::Kind::kAnswered, 200, 0, "tag", "", "", "v=0"}),
         "0000001c 42 0000000000000005 00 00c8 0000 0003 746167 0000 0000 0003 763d30"},
        {"gateway", written(GatewayNews{GatewayNews::Kind::kThere, "gw2"}),
         "00000007 43 01 0003 677732"},
        {"request", written(Request{5, 6, "M"}),
         "00000016 82 0000000000000005 0000000000000006 00000001 4d"},
        {"end", written(End{EndCode::kWindow, "why"}), "00000007 06 04 0003 776879"},
        {"outcome", written(Outcome{make_ticket(1, 7), Fate::kFailed, Fault::kExpired, true}),
         "0000000c 40 0001000000000007 03 08 01"},
        {"news",
         written(PartnerNews{PartnerNews::Kind::kDown, Fault::kUnreachable, "a.b", "c.d", "no"}),
         "00000011 41 02 02 0003 612e62 0003 632e64 0002 6e6f"},
        {"node",
         written(NodeNews{NodeNews::Kind::kPeer,
                          "gw2",
                          {7, config::CommitRank::kPerson, WallTime(9s), {0xAB, 0xCD}},
                          6,
                          "no"}),
         "00000044 44 01 0003 677732 0000000000000007 02 0000000000000009"
         "abcd000000000000000000000000000000000000000000000000000000000000"
         "0000000000000006 0002 6e6f"},
        {"piece", written(CommitPiece{{0xAB}, 3, 9, 4, "abc"}),
         "00000034 45 ab00000000000000000000000000000000000000000000000000000000000000"
         "00000003 00000009 00000004 00000003 616263"},
        {"secret", written(DialbackSecret{WallTime(9s), "0123456789abcdef0123456789abcdef"}),
         "0000002b 46 0000000000000009 0020"
         "30313233343536373839616263646566 30313233343536373839616263646566"},
        {"store", written(StoreNews{Tenure::kLate}), "00000002 47 01"},
        {"from", written(FromPartner{"c.d", Proof::kDialbackTls, "<iq/>"}),
         "00000010 80 01 0003 632e64 00000005 3c69712f3e"},
        {"to", written(ToPartner{8, "a.b", "c.d", "<iq/>"}),
         "0000001c 81 0000000000000008 0003 612e62 0003 632e64 00000005 3c69712f3e"},
    };
}

// With the length field set to `length`.
std::string with_length(std::string bytes, std::size_t length) {
    for (int i = 3; i >= 0; --i, length >>= 8)
        bytes[static_cast<std::size_t>(i)] = static_cast<char>(length & 0xFF);
    return bytes;
}

FrameRead read(Bytes bytes, std::uint16_t peer_minor = kLinkMinor) {
    return read_frame(bytes, peer_minor);
}

TEST(LinkFrame, TheBytesAreThoseOfTheDescription) {
    for (const Sample& sample : samples()) {
        EXPECT_EQ(sample.bytes, bytes_of_hex(sample.hex)) << sample.name;
        EXPECT_EQ(frame_size(sample.bytes), sample.bytes.size()) << sample.name;
    }
}

TEST(LinkFrame, WhatIsWrittenIsRead) {
    const std::string bytes = written(hello());
    const FrameRead a = read(bytes);
    ASSERT_EQ(a.status, Status::kWhole);
    EXPECT_FALSE(a.numbered);
    const auto& h = std::get<Hello>(a.frame);
    EXPECT_EQ(h.major, kLinkMajor);
    EXPECT_EQ(h.minor, kLinkMinor);
    EXPECT_EQ(h.role, Role::kGateway);
    EXPECT_EQ(h.part, 2);
    EXPECT_EQ(h.instance, one_id(1));
    EXPECT_EQ(h.session, one_id(2));
    EXPECT_EQ(h.taken, (Counts{3, 4}));
    EXPECT_EQ(h.window, 0x400000u);
    EXPECT_EQ(h.node, "gw1");

    const std::string outcome = written(Outcome{77, Fate::kWritten, Fault::kNone, true});
    const FrameRead b = read(outcome);
    ASSERT_EQ(b.status, Status::kWhole);
    EXPECT_TRUE(b.numbered);
    EXPECT_EQ(b.lane, Lane::kNews);
    EXPECT_EQ(std::get<Outcome>(b.frame).ticket, 77u);
    EXPECT_EQ(std::get<Outcome>(b.frame).fate, Fate::kWritten);
    EXPECT_TRUE(std::get<Outcome>(b.frame).acknowledges);

    const std::string from = written(FromPartner{"c.d", Proof::kDialbackClear, "<iq/>"});
    const FrameRead c = read(from);
    ASSERT_EQ(c.status, Status::kWhole);
    EXPECT_TRUE(c.numbered);
    EXPECT_EQ(c.lane, Lane::kStanzas);
    EXPECT_EQ(std::get<FromPartner>(c.frame).from_domain, "c.d");
    EXPECT_EQ(std::get<FromPartner>(c.frame).proof, Proof::kDialbackClear);
    EXPECT_EQ(std::get<FromPartner>(c.frame).stanza, "<iq/>");
    EXPECT_EQ(std::get<FromPartner>(c.frame).view, nullptr);
}

TEST(LinkFrame, EveryCutWaitsForMore) {
    for (const Sample& sample : samples()) {
        for (std::size_t size = 0; size < sample.bytes.size(); ++size) {
            EXPECT_EQ(read(Bytes(sample.bytes).substr(0, size)).status, Status::kPartial)
                << sample.name << " " << size;
        }
        const FrameRead whole = read(sample.bytes + "more");
        EXPECT_EQ(whole.status, Status::kWhole) << sample.name;
        EXPECT_EQ(whole.size, sample.bytes.size()) << sample.name;
    }
}

// It is written into a SIP response as it is.
TEST(LinkFrame, AnAnswerThatWouldBreakAResponseIsRefused) {
    const auto status_of = [](std::uint16_t status, Bytes tag, Bytes reason, Bytes lines) {
        return read(written(Answer{5, Answer::Kind::kAnswered, status, 0, tag, reason, lines}))
            .status;
    };
    EXPECT_EQ(status_of(486, "aB9", "Busy Here", "A: b\r\nC: d\r\n"), Status::kWhole);
    for (const unsigned status : {1u, 100u, 199u, 700u, 65'535u}) {
        EXPECT_EQ(status_of(static_cast<std::uint16_t>(status), "aB9", "", ""), Status::kMalformed)
            << status;
    }
    for (const Bytes tag : {"a;b", "a b", "a\r\n", "\xc3\xa9"}) {
        EXPECT_EQ(status_of(486, tag, "", ""), Status::kMalformed) << tag;
    }
    for (const Bytes reason : {Bytes("a\r\nVia: x"), Bytes("a\n"), Bytes("a\0", 2)}) {
        EXPECT_EQ(status_of(486, "a", reason, ""), Status::kMalformed) << reason;
    }
    for (const Bytes lines :
         {Bytes("A: b"), Bytes("A: b\r\n\r\nbody"), Bytes("\r\n"), Bytes("A: b\nC: d\r\n"),
          Bytes("A: b\rC: d\r\n"), Bytes("Content-Length: 9\r\n"), Bytes("a: b\r\nL : 9\r\n"),
          Bytes("A: \0b\r\n", 8), Bytes("A: b\r\n\r\n")}) {
        EXPECT_EQ(status_of(486, "a", "", lines), Status::kMalformed) << lines;
    }
}

TEST(LinkFrame, EveryWrongLengthIsRefused) {
    for (const Sample& sample : samples()) {
        const std::size_t right = sample.bytes.size() - 4;
        for (std::size_t length = 0; length < right; ++length) {
            EXPECT_EQ(read(with_length(sample.bytes, length)).status, Status::kMalformed)
                << sample.name << " " << length;
        }
        for (std::size_t more = 1; more < 20; ++more) {
            const std::string longer = with_length(sample.bytes, right + more);
            EXPECT_EQ(read(longer + std::string(more, '\0')).status, Status::kMalformed)
                << sample.name << " +" << more;
        }
    }
}

TEST(LinkFrame, LengthsInsideAreHeldToTheFrame) {
    for (const Sample& sample : samples()) {
        // Each byte behind the kind set to its highest: a length in it points beyond the frame.
        for (std::size_t i = 5; i < sample.bytes.size(); ++i) {
            std::string bytes = sample.bytes;
            bytes[i] = '\xFF';
            const FrameRead r = read(bytes);
            ASSERT_NE(r.status, Status::kPartial) << sample.name << " " << i;
            EXPECT_TRUE(r.status == Status::kMalformed || r.size == bytes.size());
        }
    }
}

TEST(LinkFrame, ALengthOverTheBoundIsRefusedBeforeItsBytesCome) {
    EXPECT_EQ(read(with_length("....", limits::kLinkFrameBytes)).status, Status::kPartial);
    EXPECT_EQ(read(with_length("....", limits::kLinkFrameBytes + 1)).status, Status::kMalformed);
    EXPECT_EQ(read("\xFF\xFF\xFF\xFF").status, Status::kMalformed);
}

TEST(LinkFrame, BoundsOfFields) {
    const std::string domain(limits::kJidPartBytes, 'd');
    const std::string long_domain = domain + "d";
    EXPECT_TRUE(fits(FromPartner{domain, Proof::kCertificate, "s"}));
    EXPECT_FALSE(fits(FromPartner{long_domain, Proof::kCertificate, "s"}));
    EXPECT_FALSE(fits(FromPartner{"", Proof::kCertificate, "s"}));
    EXPECT_FALSE(fits(FromPartner{"d", Proof::kCertificate, ""}));
    EXPECT_FALSE(fits(ToPartner{1, "d", "", "s"}));
    EXPECT_FALSE(fits(PartnerNews{PartnerNews::Kind::kUp, Fault::kNone, "", "d"}));

    const std::string stanza(limits::kLinkStanzaBytes, 's');
    const ToPartner largest{1, domain, domain, stanza};
    ASSERT_TRUE(fits(largest));
    EXPECT_EQ(read(written(largest)).status, Status::kWhole);
    EXPECT_FALSE(fits(ToPartner{1, domain, domain, stanza + "s"}));

    // An empty stanza, an empty domain.
    EXPECT_EQ(read(bytes_of_hex("0000000b 80 01 0003 632e64 00000000")).status, Status::kMalformed);
    EXPECT_EQ(read(bytes_of_hex("0000000d 80 01 0000 00000005 3c69712f3e")).status,
              Status::kMalformed);
    // Values that are not defined: a proof, a fate, a fault, a flag, a role.
    EXPECT_EQ(read(bytes_of_hex("00000010 80 03 0003 632e64 00000005 3c69712f3e")).status,
              Status::kMalformed);
    EXPECT_EQ(read(bytes_of_hex("0000000c 40 0001000000000007 04 08 01")).status,
              Status::kMalformed);
    EXPECT_EQ(read(bytes_of_hex("0000000c 40 0001000000000007 03 0a 01")).status,
              Status::kMalformed);
    EXPECT_EQ(read(bytes_of_hex("0000000c 40 0001000000000007 03 08 02")).status,
              Status::kMalformed);
    const auto piece = [](std::uint32_t size, std::uint32_t offset, std::size_t bytes) {
        return read(written(CommitPiece{{}, 0, size, offset, std::string(bytes, 'p')})).status;
    };
    constexpr std::uint32_t kMost = limits::kCommitBytes;
    EXPECT_EQ(piece(kMost, kMost - 1, 1), Status::kWhole);
    EXPECT_EQ(piece(kMost, 0, limits::kCommitPieceBytes), Status::kWhole);
    EXPECT_EQ(piece(kMost + 1, 0, 1), Status::kMalformed);
    EXPECT_EQ(piece(kMost, 0, limits::kCommitPieceBytes + 1), Status::kMalformed);
    EXPECT_EQ(piece(kMost, 0, 0), Status::kMalformed);
    EXPECT_EQ(piece(4, 4, 1), Status::kMalformed);
    EXPECT_EQ(piece(4, 2, 3), Status::kMalformed);
    EXPECT_EQ(piece(4, 0xFFFFFFFF, 3), Status::kMalformed);
    for (const char* secret : {"short", "0123456789abcdef0123456789abcde\n"}) {
        EXPECT_EQ(read(written(DialbackSecret{WallTime(1s), secret})).status, Status::kMalformed);
    }
    EXPECT_EQ(read(written(DialbackSecret{WallTime(1s), std::string(257, 's')})).status,
              Status::kMalformed);
    EXPECT_EQ(
        read(written(DialbackSecret{WallTime(1h * 24 * 366 * 9000), std::string(64, 's')})).status,
        Status::kMalformed);
    std::string no_role = written(hello());
    no_role[9] = 0;
    EXPECT_EQ(read(no_role).status, Status::kMalformed);

    const std::string text(limits::kLinkTextBytes + 1, 't');
    const std::string end = written(End{EndCode::kDone, text});
    ASSERT_EQ(read(end).status, Status::kWhole);
    EXPECT_EQ(std::get<End>(read(end).frame).sentence.size(), limits::kLinkTextBytes);
}

TEST(LinkFrame, ANewerMinorVersionMaySayMore) {
    const std::string unknown = bytes_of_hex("00000003 5f 0102");
    EXPECT_EQ(read(unknown).status, Status::kMalformed);
    const FrameRead skipped = read(unknown, kLinkMinor + 1);
    ASSERT_EQ(skipped.status, Status::kWhole);
    EXPECT_TRUE(std::holds_alternative<Unknown>(skipped.frame));
    EXPECT_TRUE(skipped.numbered);  // it counts all the same
    EXPECT_EQ(skipped.lane, Lane::kNews);
    const std::string control = bytes_of_hex("00000001 3f");
    EXPECT_FALSE(read(control, kLinkMinor + 1).numbered);
    EXPECT_EQ(read(bytes_of_hex("00000001 c0"), kLinkMinor + 1).status, Status::kMalformed);

    for (const Sample& sample : samples()) {
        const std::string longer = with_length(sample.bytes, sample.bytes.size() - 4 + 3) + "abc";
        if (Bytes(sample.name) == "hello") continue;
        EXPECT_EQ(read(longer, kLinkMinor + 1).status, Status::kWhole) << sample.name;
    }
}

TEST(LinkFrame, AnOlderMinorVersionHasNoBodyInItsAnswers) {
    const std::string old =
        bytes_of_hex("00000017 42 0000000000000005 00 00c8 0000 0003 746167 0000 0000");
    ASSERT_EQ(read(old, kBodyMinor - 1).status, Status::kWhole);
    EXPECT_EQ(std::get<Answer>(read(old, kBodyMinor - 1).frame).to_tag, "tag");
    EXPECT_EQ(read(old, kBodyMinor).status, Status::kMalformed);
    const std::string whole = with_length(old, old.size() - 4 + 2) + std::string(2, '\0');
    EXPECT_EQ(read(whole, kBodyMinor - 1).status, Status::kMalformed);
    EXPECT_EQ(read(whole, kBodyMinor).status, Status::kWhole);
}

// What it is must be known before anything else is: its own version is in it.
TEST(LinkFrame, AHelloOfAnotherVersionIsReadAsFarAsItsVersion) {
    Hello newer = hello();
    newer.minor = kLinkMinor + 1;
    const std::string bytes = written(newer);
    const std::string longer = with_length(bytes, bytes.size() - 4 + 3) + "abc";
    ASSERT_EQ(read(longer).status, Status::kWhole);
    EXPECT_EQ(std::get<Hello>(read(longer).frame).node, "gw1");

    const std::string other = bytes_of_hex("00000007 01 0002 0000 abcd");
    ASSERT_EQ(read(other).status, Status::kWhole);
    EXPECT_EQ(std::get<Hello>(read(other).frame).major, 2);
}

}  // namespace
}  // namespace fedgate::link
