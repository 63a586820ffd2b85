// XEP-0198 (S2S-16): what is told about stanzas when a stream ends, and sessions that go on after
// their connection broke. Plain acknowledgements: stream_inbound_test.cpp,
// stream_outbound_test.cpp.
#include <gtest/gtest.h>

#include "tests/xml/stream_support.hpp"

namespace fedgate::xml {
namespace {

using namespace test;
using Kind = Action::Kind;
using Cause = StreamEnd::Cause;

constexpr Bytes kEnable = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>";
constexpr Bytes kRequest = "<r xmlns='urn:xmpp:sm:3'/>";
constexpr Bytes kNotFound =
    "<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>";
constexpr Bytes kOldId = "00112233445566778899aabbccddeeff";

bool contains(Bytes text, Bytes part) { return text.find(part) != Bytes::npos; }

std::string sm(const std::string& rest) {
    const std::size_t space = rest.find_first_of(" />");
    return "<" + rest.substr(0, space) + " xmlns='urn:xmpp:sm:3'" + rest.substr(space);
}
std::string resume(Bytes id = kOldId, Bytes h = "0") {
    return sm("resume h='" + std::string(h) + "' previd='" + std::string(id) + "'/>");
}
std::string too_high(Bytes h, Bytes count) {
    return "<stream:error><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
           "<handled-count-too-high xmlns='urn:xmpp:sm:3' h='" +
           std::string(h) + "' send-count='" + std::string(count) +
           "'/></stream:error></stream:stream>";
}

struct Inbound : Owner {
    explicit Inbound(bool proved = true) : Owner(kTlsRequired) {
        settings.resume_max = 90s;
        accept();
        if (!proved) return;
        feed(header("example.org", "sip.example"));
        feed(kStartTls);
        secure(certificate_of({"example.org"}));
        feed(header("example.org", "sip.example"));
        feed(kAuth);
        feed(header("example.org", "sip.example"));
        take_out();
        take_seen();
    }
};

TEST(StreamManagement, ASessionHasANameOfItsOwn) {
    Inbound peer;
    peer.feed(kEnable);
    const Seen* session = peer.last(Kind::kResumable);
    ASSERT_NE(session, nullptr);
    EXPECT_EQ(session->id.size(), 32u);
    EXPECT_EQ(peer.take_out(), sm("enabled id='" + session->id + "' resume='true' max='90'/>"));
    EXPECT_TRUE(peer.stream->resumable());
    peer.feed(kEnable);
    EXPECT_TRUE(contains(peer.take_out(), "<unexpected-request "));
    Inbound plain;
    plain.feed(sm("enable/>"));
    EXPECT_EQ(plain.take_out(), sm("enabled/>"));
    EXPECT_EQ(plain.count(Kind::kResumable), 0u);
    EXPECT_FALSE(plain.stream->resumable());
}

TEST(StreamManagement, ASessionGoesOnWhereItWas) {
    Inbound peer;
    peer.feed(resume() + std::string(kMessage) + std::string(kRequest));
    ASSERT_EQ(peer.count(Kind::kResume), 1u);
    EXPECT_EQ(peer.last(Kind::kResume)->id, kOldId);
    // Until it is known what counts, nothing is read.
    EXPECT_EQ(peer.count(Kind::kStanza), 0u);
    EXPECT_EQ(peer.input, std::string(kMessage) + std::string(kRequest));
    EXPECT_EQ(peer.out, "");
    EXPECT_TRUE(peer.stream->answer_resume(true, 0xFFFFFFFFu));
    peer.pump();
    // h is modulo 2^32.
    EXPECT_EQ(peer.take_out(), sm("resumed previd='" + std::string(kOldId) + "' h='4294967295'/>") +
                                   sm("a h='0'/>"));
    EXPECT_EQ(peer.count(Kind::kStanza), 1u);
    EXPECT_TRUE(peer.stream->resumable());
    EXPECT_EQ(peer.stream->session().id, kOldId);
    EXPECT_FALSE(peer.stream->answer_resume(true, 7));  // once
    EXPECT_EQ(peer.stream->deadline(), kNever);
    peer.feed(kEnable);
    EXPECT_TRUE(contains(peer.take_out(), "<unexpected-request "));
}

TEST(StreamManagement, WhatIsNotFoundIsSaidSo) {
    Inbound peer;
    peer.feed(resume());
    EXPECT_TRUE(peer.stream->answer_resume(false, {}));
    EXPECT_EQ(peer.take_out(), "<failed xmlns='urn:xmpp:sm:3'>" + std::string(kNotFound));
    EXPECT_FALSE(peer.stream->resumable());
    // Asked for once; a new session may follow.
    peer.feed(resume());
    EXPECT_TRUE(contains(peer.take_out(), "<unexpected-request "));
    EXPECT_EQ(peer.count(Kind::kResume), 1u);
    peer.feed(kEnable);
    EXPECT_TRUE(contains(peer.take_out(), "<enabled "));

    Inbound over;
    over.feed(resume());
    EXPECT_TRUE(over.stream->answer_resume(false, 12));
    EXPECT_EQ(over.take_out(), "<failed xmlns='urn:xmpp:sm:3' h='12'>" + std::string(kNotFound));

    for (const Bytes id : {"", "x", "00112233445566778899AABBCCDDEEFF",
                           "00112233445566778899aabbccddeeff0", "'&lt;'"}) {
        Inbound other;
        other.feed(resume(id == "'&lt;'" ? "&lt;" : id));
        EXPECT_TRUE(contains(other.out, kNotFound)) << id;
        EXPECT_EQ(other.count(Kind::kResume), 0u) << id;
        EXPECT_EQ(other.count(Kind::kClosed), 0u);
    }
}

TEST(StreamManagement, AnAnswerThatDoesNotComeIsNo) {
    Inbound peer;
    peer.feed(resume() + std::string(kRequest));
    peer.advance(peer.settings.sasl_wait);
    EXPECT_TRUE(contains(peer.out, kNotFound));
    EXPECT_FALSE(peer.stream->answer_resume(true, 3));
    EXPECT_EQ(peer.count(Kind::kClosed), 0u);
    EXPECT_TRUE(peer.input.empty());

    Inbound closing;  // and what follows is nobody's, for it would be counted nowhere
    closing.feed(resume() + std::string(kMessage));
    closing.stream->close(closing.now);
    closing.pump();
    EXPECT_FALSE(closing.stream->answer_resume(true, 3));
    closing.advance(closing.settings.close_wait);
    EXPECT_EQ(closing.count(Kind::kStanza), 0u);
    EXPECT_EQ(closing.count(Kind::kClosed), 1u);
}

TEST(StreamManagement, ResumptionComesAfterTheProofAndBeforeEnable) {
    Inbound early(false);
    early.feed(header("example.org", "sip.example"));
    early.take_out();
    early.feed(resume());
    EXPECT_TRUE(contains(early.out, "<unexpected-request "));
    EXPECT_EQ(early.count(Kind::kResume), 0u);
    Inbound late;
    late.feed(kEnable);
    late.take_out();
    late.feed(resume());
    EXPECT_TRUE(contains(late.out, "<unexpected-request "));
    EXPECT_EQ(late.count(Kind::kResume), 0u);
}

TEST(StreamManagement, NobodyHasHandledMoreThanWasSent) {
    Inbound peer;
    peer.feed(resume(kOldId, "1"));  // we send nothing on their streams
    EXPECT_TRUE(peer.out.ends_with(too_high("1", "0"))) << peer.out;
    EXPECT_EQ(peer.count(Kind::kResume), 0u);
    Inbound none;
    none.feed(sm("resume previd='" + std::string(kOldId) + "'/>"));
    EXPECT_EQ(none.last(Kind::kClosed)->end.condition, StreamError::kUndefinedCondition);
}

// What came is told before the stream closes, so that it is in nobody's doubt.
TEST(StreamManagement, TheLastWordIsTheCount) {
    const std::string last = sm("a h='1'/>");
    const auto opened = [](Inbound& peer) {
        peer.feed(sm("enable/>") + std::string(kMessage));
        peer.take_out();
    };
    Inbound ours;
    opened(ours);
    ours.stream->close(ours.now);
    EXPECT_EQ(ours.out, last + "</stream:stream>");
    Inbound theirs;
    opened(theirs);
    theirs.feed("</stream:stream>");
    EXPECT_EQ(theirs.out, last + "</stream:stream>");
    Inbound error;
    opened(error);
    error.stream->fail(StreamError::kReset);
    EXPECT_EQ(error.out, last + stream_error("reset"));
    Inbound their_error;
    opened(their_error);
    their_error.feed(stream_error("reset"));
    EXPECT_EQ(their_error.out, last + "</stream:stream>");
    Inbound told;  // nothing new
    opened(told);
    told.feed(kRequest);
    told.take_out();
    told.stream->close(told.now);
    EXPECT_EQ(told.out, "</stream:stream>");
}

struct Outbound : Owner {
    explicit Outbound(std::optional<Session> lost = {}) : Owner(kStrict) {
        settings.resume_max = 90s;
        const std::string reply = header("example.org", "sip.example", " id='1' version='1.0'");
        stream = std::make_unique<Stream>(*this, settings, Stream::Role::kOutbound, "sip.example",
                                          "example.org", now);
        if (lost) stream->resume(*lost);
        stream->open(now);
        feed(reply +
             "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
             "</stream:features>" +
             std::string(kProceed));
        secure(certificate_of({"example.org"}));
        feed(reply +
             "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>"
             "<mechanism>EXTERNAL</mechanism></mechanisms></stream:features>" +
             std::string(kSuccess) + reply);
        take_out();
        feed("<stream:features><sm xmlns='urn:xmpp:sm:3'/></stream:features>");
    }
};

TEST(StreamManagement, WeAskForASession) {
    Outbound peer;
    EXPECT_EQ(peer.take_out(), kEnable);
    peer.feed(sm("enabled id='a&lt;b' resume='1' max='30'/>"));
    EXPECT_TRUE(peer.stream->resumable());
    EXPECT_EQ(peer.stream->session().id, "a<b");
    EXPECT_EQ(peer.stream->session().keep, 30s);
    EXPECT_TRUE(peer.stream->send("<iq/>"));
    EXPECT_TRUE(peer.stream->send("<iq/>"));
    peer.feed(sm("a h='1'/>"));
    EXPECT_EQ(peer.stream->session().acknowledged, 1u);
    EXPECT_EQ(peer.stream->session().unacknowledged, 1u);
    // Prosody 0.12 says this where it can't.
    const std::string long_id(limits::kStreamIdBytes + 1, 'x');
    for (const std::string& no :
         {sm("enabled resume='true'/>"), sm("enabled id='x'/>"), sm("enabled id='x' resume='0'/>"),
          sm("enabled resume='true' id=''/>"),
          sm("enabled resume='true' id='" + long_id + "'/>")}) {
        Outbound plain;
        plain.feed(no);
        EXPECT_TRUE(plain.stream->acknowledges());
        EXPECT_FALSE(plain.stream->resumable()) << no;
    }
}

TEST(StreamManagement, WeGoOnWhereTheyAre) {
    Outbound peer(Session{"a<b", 30s, 0xFFFFFFFEu, 5});
    EXPECT_EQ(peer.take_out(), sm("resume previd='a&lt;b' h='0'/>"));
    EXPECT_EQ(peer.count(Kind::kPair), 0u);
    peer.feed(sm("resumed previd='a&lt;b' h='1'/>"));  // over 2^32
    ASSERT_EQ(peer.count(Kind::kPair), 1u);
    ASSERT_EQ(peer.seen.size() >= 2, true);
    EXPECT_EQ(peer.seen[peer.seen.size() - 2].kind, Kind::kResumed);  // first
    EXPECT_EQ(peer.last(Kind::kResumed)->count, 3u);
    EXPECT_TRUE(peer.stream->acknowledges());
    EXPECT_EQ(peer.stream->unacknowledged(), 0u);
    for (int i = 0; i < 2; ++i) EXPECT_TRUE(peer.stream->send("<iq/>"));
    peer.feed(sm("a h='3'/>"));
    EXPECT_EQ(peer.last(Kind::kAcknowledged)->count, 2u);
    EXPECT_TRUE(peer.stream->resumable());  // also the next time
    EXPECT_EQ(peer.stream->session().id, "a<b");
    EXPECT_EQ(peer.stream->session().acknowledged, 3u);
}

TEST(StreamManagement, ARefusedResumptionMayStillSayWhatArrived) {
    for (const bool told : {true, false}) {
        Outbound peer(Session{"s", 30s, 10, 5});
        peer.take_out();
        peer.feed(sm(told ? "failed h='12'><item-not-found/></failed>"
                          : "failed><item-not-found/></failed>"));
        ASSERT_EQ(peer.count(Kind::kResumeFailed), 1u);
        EXPECT_EQ(peer.last(Kind::kResumeFailed)->count, told ? 2u : 0u);
        EXPECT_EQ(peer.count(Kind::kPair), 0u);
        EXPECT_EQ(peer.take_out(), kEnable);
        peer.feed(sm("enabled/>"));
        EXPECT_EQ(peer.count(Kind::kPair), 1u);
        EXPECT_TRUE(peer.stream->send("<iq/>"));
        peer.feed(sm("a h='1'/>"));  // counted anew
        EXPECT_EQ(peer.last(Kind::kAcknowledged)->count, 1u);
    }
}

TEST(StreamManagement, AResumptionThatCantBeTrueEndsTheStream) {
    const std::string wrong[] = {sm("resumed previd='s' h='16'/>"),
                                 sm("resumed previd='s' h='9'/>"),
                                 sm("resumed previd='s'/>"),
                                 sm("resumed previd='t' h='12'/>"),
                                 sm("resumed h='12'/>"),
                                 sm("enabled id='s' resume='true'/>"),
                                 sm("failed h='16'/>"),
                                 sm("failed h='x'/>")};
    for (const std::string& answer : wrong) {
        Outbound peer(Session{"s", 30s, 10, 5});
        peer.feed(answer);
        ASSERT_EQ(peer.count(Kind::kClosed), 1u) << answer;
        EXPECT_EQ(peer.last(Kind::kClosed)->end.cause, Cause::kErrorSent) << answer;
        EXPECT_EQ(peer.count(Kind::kPair) + peer.count(Kind::kResumed), 0u) << answer;
    }
    Outbound high(Session{"s", 30s, 10, 5});
    high.feed(sm("resumed previd='s' h='16'/>"));
    EXPECT_TRUE(high.out.ends_with(too_high("16", "15"))) << high.out;
    Outbound never;  // not asked for
    never.feed(sm("resumed previd='s' h='0'/>"));
    EXPECT_EQ(never.count(Kind::kClosed), 1u);
}

TEST(StreamManagement, HandledCountTooHigh) {
    Outbound peer;
    peer.feed(sm("enabled/>"));
    peer.take_out();
    EXPECT_TRUE(peer.stream->send("<iq/>"));
    peer.feed(sm("a h='2'/>"));
    EXPECT_TRUE(peer.out.ends_with(too_high("2", "1"))) << peer.out;
    EXPECT_FALSE(peer.last(Kind::kClosed)->end.permanent);
}

}  // namespace
}  // namespace fedgate::xml
