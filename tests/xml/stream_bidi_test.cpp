// XEP-0288 on a stream in either direction: S2S-15. And XEP-0478 where there are no features.
#include <gtest/gtest.h>

#include "tests/xml/stream_support.hpp"

namespace fedgate::xml {
namespace {

using namespace test;
using Kind = Action::Kind;

constexpr StreamPolicy kBidi{true, true, true, false, true};
constexpr StreamPolicy kBidiClear{true, false, false, true, true};
constexpr Bytes kFeature = "<bidi xmlns='urn:xmpp:features:bidi'/>";
constexpr Bytes kRequest = "<bidi xmlns='urn:xmpp:bidi'/>";
constexpr Bytes kOurs = "<message from='juliet@sip.example' to='romeo@example.org'/>";

bool contains(Bytes text, Bytes part) { return text.find(part) != Bytes::npos; }

struct In : Owner {
    explicit In(StreamPolicy policy = kBidi) : Owner(policy) { accept(); }
    void start_tls(const std::string& certificate = "example.org") {
        feed(header("example.org", "sip.example"));
        feed(kStartTls);
        secure(certificate_of({certificate}));
        take_out();
        feed(header("example.org", "sip.example"));
    }
    void authenticate() {
        feed(kAuth);
        feed(header("example.org", "sip.example"));
    }
};

struct Out : Owner {
    explicit Out(StreamPolicy policy = kBidi, Stream::Role role = Stream::Role::kOutbound)
        : Owner(policy) {
        connect(role, "sip.example", "example.org");
    }
    static std::string features(const std::string& rest) {
        return "<stream:features>" + rest + "</stream:features>";
    }
    static std::string their_header() {
        return header("example.org", "sip.example", " id='D60000229F' version='1.0'");
    }
    void start_tls(const std::string& certificate = "example.org") {
        feed(their_header() + features("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" +
                                       std::string(kFeature)));
        feed(kProceed);
        secure(certificate_of({certificate}));
        take_out();
    }
    void authenticate(const std::string& more = {}, const std::string& after = {}) {
        start_tls();
        feed(their_header() + features("<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>"
                                       "<mechanism>EXTERNAL</mechanism></mechanisms>" +
                                       std::string(kFeature) + more));
        asked = take_out();
        feed(kSuccess);
        feed(their_header() + features(after));
    }
    void dial_back() {
        start_tls("other.test");
        feed(their_header() + features(std::string(kFeature)));
        asked = take_out();
        feed("<db:result from='example.org' to='sip.example' type='valid'/>");
    }
    std::string asked;  // instead of a proof
};

TEST(StreamBidi, IsOfferedWherePolicySaysSo) {
    In peer;
    peer.feed(header("example.org", "sip.example"));
    EXPECT_FALSE(contains(peer.take_out(), "bidi"));  // TLS comes first
    peer.feed(kStartTls);
    peer.secure(certificate_of({"example.org"}));
    peer.feed(header("example.org", "sip.example"));
    EXPECT_TRUE(contains(peer.take_out(), std::string("</dialback>") + std::string(kFeature) +
                                              std::string(kOurLimits)));
    peer.authenticate();
    EXPECT_FALSE(contains(peer.take_out(), "bidi"));

    In without(kTlsRequired);
    without.start_tls();
    EXPECT_FALSE(contains(without.take_out(), "bidi"));
    In clear(kBidiClear);
    clear.feed(header("example.org", "sip.example"));
    EXPECT_TRUE(contains(clear.take_out(), kFeature));
}

TEST(StreamBidi, OursGoOutOnTheirStream) {
    In peer;
    peer.start_tls();
    peer.feed(
        "<bidi xmlns='urn:xmpp:bidi'><limits xmlns='urn:xmpp:stream-limits:0'>"
        "<max-bytes>12345</max-bytes></limits></bidi>");
    EXPECT_FALSE(peer.stream->send(kOurs));
    peer.feed(kAuth);
    EXPECT_FALSE(peer.stream->send(kOurs));  // the stream begins anew
    peer.feed(header("example.org", "sip.example"));
    peer.take_out();
    EXPECT_TRUE(peer.stream->bidi());
    EXPECT_EQ(peer.stream->limits().stanza_bytes, 12'345u);
    EXPECT_TRUE(peer.stream->send(kOurs));
    EXPECT_EQ(peer.take_out(), kOurs);
    // XEP-0198: theirs are counted, ours are not, and there is no session to resume.
    peer.feed("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    EXPECT_EQ(peer.take_out(), "<enabled xmlns='urn:xmpp:sm:3'/>");
    EXPECT_TRUE(peer.stream->send(kOurs));
    EXPECT_EQ(peer.stream->unacknowledged(), 0u);
    peer.feed(std::string(kMessage) + "<r xmlns='urn:xmpp:sm:3'/><a xmlns='urn:xmpp:sm:3' h='1'/>");
    EXPECT_TRUE(contains(peer.take_out(), "h='1'"));
    EXPECT_EQ(peer.count(Kind::kClosed), 0u);
}

TEST(StreamBidi, OursStayWhereNobodyAsked) {
    In silent;
    silent.start_tls();
    silent.authenticate();
    EXPECT_FALSE(silent.stream->bidi());
    EXPECT_FALSE(silent.stream->send(kOurs));
    In not_offered(kTlsRequired);
    not_offered.start_tls();
    not_offered.feed(kRequest);
    not_offered.authenticate();
    EXPECT_FALSE(not_offered.stream->bidi());
    EXPECT_FALSE(not_offered.stream->send(kOurs));
    EXPECT_EQ(not_offered.count(Kind::kClosed), 0u);
}

TEST(StreamBidi, WhatWasAskedInClearTextIsForgotten) {
    In peer({true, true, true, true, true});
    peer.feed(header("example.org", "sip.example"));
    peer.feed(kRequest);
    EXPECT_TRUE(peer.stream->bidi());
    peer.feed(kStartTls);
    peer.secure(certificate_of({"example.org"}));
    EXPECT_FALSE(peer.stream->bidi());
}

TEST(StreamBidi, IsAskedForBeforeTheProof) {
    const std::string request =
        "<bidi xmlns='urn:xmpp:bidi'>" + std::string(kOurLimits) + "</bidi>";
    Out external;
    external.authenticate();
    EXPECT_TRUE(external.asked.starts_with(request + "<auth ")) << external.asked;
    EXPECT_TRUE(external.stream->bidi());
    Out dialback;
    dialback.dial_back();
    EXPECT_TRUE(dialback.asked.starts_with(request + "<db:result ")) << dialback.asked;

    Out without(kTlsRequired);
    without.authenticate();
    EXPECT_FALSE(contains(without.asked, "bidi"));
    Out question(kBidi, Stream::Role::kVerify);  // a stream for questions is for nothing else
    question.start_tls();
    question.feed(Out::their_header() + Out::features(std::string(kFeature)));
    EXPECT_FALSE(contains(question.take_out(), "bidi"));
}

TEST(StreamBidi, TheirsComeInOnOurStream) {
    for (const bool dialback : {false, true}) {
        Out peer;
        dialback ? peer.dial_back() : peer.authenticate();
        ASSERT_EQ(peer.count(Kind::kPair), 1u);
        peer.take_seen();
        const std::string large = "<message from='romeo@example.org' to='juliet@sip.example'>" +
                                  std::string(50'000, 'x') + "</message>";
        peer.refuse_stanzas = 1;
        peer.feed(large);
        EXPECT_EQ(peer.count(Kind::kStanza), 0u);
        peer.pump();
        ASSERT_EQ(peer.count(Kind::kStanza), 1u);
        EXPECT_EQ(peer.seen[0].stanza, large);
        EXPECT_EQ(peer.seen[0].our, "sip.example");
        EXPECT_EQ(peer.seen[0].their, "example.org");
        EXPECT_EQ(peer.seen[0].proof, dialback ? Proof::kDialbackTls : Proof::kCertificate);
        EXPECT_TRUE(peer.stream->send(kOurs));
    }
}

TEST(StreamBidi, OnlyTheReversedPairIsTheirs) {
    struct Case {
        Bytes from, to;
        StreamError error;
    };
    for (const Case& c : {Case{"x@other.test", "y@sip.example", StreamError::kInvalidFrom},
                          Case{"x@example.org", "y@voice.example", StreamError::kNotAuthorized},
                          Case{"x@example.org", "y@elsewhere.test", StreamError::kHostUnknown},
                          Case{"x@sip.example", "y@example.org", StreamError::kInvalidFrom}}) {
        Out peer;
        peer.authenticate();
        peer.feed("<message from='" + std::string(c.from) + "' to='" + std::string(c.to) + "'/>");
        EXPECT_EQ(peer.count(Kind::kStanza), 0u) << c.from;
        ASSERT_EQ(peer.count(Kind::kClosed), 1u) << c.from;
        EXPECT_EQ(peer.last(Kind::kClosed)->end.condition, c.error) << c.from;
    }
}

TEST(StreamBidi, NothingComesInBeforeTheProofOrWithoutIt) {
    Out early;
    early.start_tls();
    early.feed(Out::their_header() + Out::features(std::string(kFeature)));
    early.feed(kMessage);
    EXPECT_EQ(early.count(Kind::kStanza), 0u);
    EXPECT_EQ(early.last(Kind::kClosed)->end.condition, StreamError::kNotAuthorized);
    Out one_way(kTlsRequired);
    one_way.authenticate();
    one_way.feed(kMessage);
    EXPECT_EQ(one_way.count(Kind::kStanza), 0u);
    EXPECT_EQ(one_way.last(Kind::kClosed)->end.condition, StreamError::kNotAuthorized);
}

// S2S-15: a key that comes on our stream is not verified on it, nor anywhere.
TEST(StreamBidi, NoFurtherPairIsProvedOnOurStream) {
    Out peer;
    peer.authenticate();
    peer.take_out();
    peer.feed("<db:result from='other.test' to='sip.example'>key</db:result>");
    EXPECT_EQ(peer.count(Kind::kVerify), 0u);
    EXPECT_TRUE(contains(peer.take_out(), "type='error'"));
    peer.feed("<db:result from='example.org' to='sip.example'>key</db:result>");
    EXPECT_TRUE(contains(peer.take_out(), "type='valid'"));  // it is their own already
    EXPECT_EQ(peer.count(Kind::kVerify), 0u);
    // DB-8: whoever asks.
    peer.feed("<db:verify from='example.org' to='sip.example' id='1'>key</db:verify>");
    EXPECT_TRUE(contains(peer.take_out(), "type='invalid'"));
    EXPECT_EQ(peer.count(Kind::kClosed), 0u);

    Out one_way(kTlsRequired);
    one_way.authenticate();
    one_way.feed("<db:result from='example.org' to='sip.example'>key</db:result>");
    EXPECT_EQ(one_way.last(Kind::kClosed)->end.condition, StreamError::kUnsupportedStanzaType);
}

TEST(StreamBidi, BothDirectionsAreCounted) {  // XEP-0198
    Out peer;
    peer.settings.resume_max = 60s;
    peer.authenticate({}, "<sm xmlns='urn:xmpp:sm:3'/>");
    EXPECT_TRUE(peer.take_out().ends_with("<enable xmlns='urn:xmpp:sm:3'/>"));  // no resumption
    peer.feed("<enabled xmlns='urn:xmpp:sm:3' id='x' resume='true'/>");
    EXPECT_FALSE(peer.stream->resumable());
    EXPECT_TRUE(peer.stream->send(kOurs));
    peer.take_out();
    peer.feed(std::string(kMessage) + std::string(kMessage) + "<r xmlns='urn:xmpp:sm:3'/>");
    EXPECT_TRUE(contains(peer.take_out(), "h='2'"));
    peer.feed("<a xmlns='urn:xmpp:sm:3' h='1'/>");
    EXPECT_EQ(peer.count(Kind::kAcknowledged), 1u);
}

}  // namespace
}  // namespace fedgate::xml
