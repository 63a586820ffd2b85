// Streams that we open to a scripted peer. Rule ids are those of the interworking rules.
#include <gtest/gtest.h>

#include "tests/xml/stream_support.hpp"

namespace fedgate::xml {
namespace {

using namespace test;
using Kind = Action::Kind;
using Cause = StreamEnd::Cause;

constexpr Bytes kStartTlsFeature =
    "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>";
constexpr Bytes kExternalFeature =
    "<stream:features><mechanisms "
    "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism>"
    "<mechanism>EXTERNAL</mechanism></mechanisms></stream:features>";
constexpr Bytes kSmFeature = "<stream:features><sm xmlns='urn:xmpp:sm:3'/></stream:features>";
constexpr Bytes kNoFeatures = "<stream:features/>";
constexpr Bytes kOurAuth =
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' "
    "mechanism='EXTERNAL'>c2lwLmV4YW1wbGU=</auth>";
constexpr Bytes kSaslFailure =
    "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>";

bool contains(Bytes text, Bytes part) { return text.find(part) != Bytes::npos; }

std::string reply(bool dialback = true) {
    return "<?xml version='1.0'?><stream:stream xmlns='jabber:server' "
           "xmlns:stream='http://etherx.jabber.org/streams'" +
           std::string(dialback ? " xmlns:db='jabber:server:dialback'" : "") +
           " id='D60000229F' from='example.org' to='sip.example' version='1.0'>";
}
std::string answer(Bytes type, Bytes to = "sip.example") {
    return "<db:result xmlns:db='jabber:server:dialback' from='example.org' to='" +
           std::string(to) + "' type='" + std::string(type) + "'/>";
}
std::string verify_answer(Bytes id, Bytes type) {
    return "<db:verify from='example.org' to='sip.example' id='" + std::string(id) + "' type='" +
           std::string(type) + "'/>";
}

struct Outbound : Owner {
    explicit Outbound(StreamPolicy policy = kTlsRequired,
                      Stream::Role role = Stream::Role::kOutbound)
        : Owner(policy) {
        connect(role, "sip.example", "example.org");
    }
    // Up to the header under TLS, answered.
    void start_tls(const PeerIdentity& identity, bool dialback = true) {
        feed(reply(dialback) + std::string(kStartTlsFeature));
        feed(kProceed);
        take_out();
        secure(identity);
        if (stream->state() == StreamState::kHeader) feed(reply(dialback));
    }
    void authenticate(Bytes features = kNoFeatures) {
        start_tls(certificate_of({"example.org"}));
        feed(kExternalFeature);
        feed(kSuccess);
        feed(reply() + std::string(features));
        take_out();
    }
    void expect_end(Cause cause) {
        ASSERT_EQ(count(Kind::kClosed), 1u);
        EXPECT_EQ(last(Kind::kClosed)->end.cause, cause);
        EXPECT_EQ(count(Kind::kPair), 0u);
        EXPECT_FALSE(stream->send(kMessage));
    }
};

// RFC 7622 3.2: what we keep as A-labels is written as peers know it, and theirs is understood.
TEST(Outbound, DomainsBeyondAsciiAreWrittenAsULabels) {
    Owner peer(kClearOnly);
    peer.connect(Stream::Role::kOutbound, "sip.example", "xn--bcher-kva.example");
    EXPECT_TRUE(contains(peer.out, "from='sip.example' to='b\u00fccher.example'")) << peer.out;
    peer.feed(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:server' "
        "xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' "
        "id='i1' from='b\u00fccher.example' to='sip.example' version='1.0'><stream:features/>");
    EXPECT_TRUE(contains(peer.out, "to='b\u00fccher.example'>")) << peer.out;
    peer.feed("<db:result from='b\u00fccher.example' to='sip.example' type='valid'/>");
    EXPECT_EQ(peer.count(Kind::kPair), 1U);
}

// S2S-2
TEST(StreamOutbound, Header) {
    EXPECT_EQ(Outbound().out,
              "<?xml version='1.0'?><stream:stream xmlns='jabber:server' "
              "xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' "
              "from='sip.example' to='example.org' version='1.0' xml:lang='en'>");
    EXPECT_FALSE(contains(Outbound(kStrict).out, "xmlns:db"));
}

// S2S-52, S2S-14
TEST(StreamOutbound, External) {
    Outbound peer;
    peer.take_out();
    peer.feed(reply() + std::string(kStartTlsFeature));
    EXPECT_EQ(peer.take_out(), kStartTls);
    peer.feed(kProceed);
    EXPECT_EQ(peer.count(Kind::kStartTls), 1u);
    peer.secure(certificate_of({"example.org"}));
    EXPECT_TRUE(contains(peer.take_out(), "<stream:stream "));
    peer.feed(reply() + std::string(kExternalFeature));
    EXPECT_EQ(peer.take_out(), kOurAuth);
    EXPECT_FALSE(peer.stream->send(kMessage));
    peer.feed(kSuccess);
    EXPECT_TRUE(contains(peer.take_out(), "<stream:stream "));
    peer.feed(reply() + std::string(kNoFeatures));
    ASSERT_EQ(peer.count(Kind::kPair), 1u);
    EXPECT_EQ(peer.last(Kind::kPair)->our, "sip.example");
    EXPECT_EQ(peer.last(Kind::kPair)->their, "example.org");
    EXPECT_EQ(peer.last(Kind::kPair)->proof, Proof::kCertificate);
    EXPECT_TRUE(peer.stream->send(kMessage));
    EXPECT_EQ(peer.take_out(), kMessage);
    EXPECT_EQ(peer.stream->deadline(), kNever);
}

// S2S-50, N11: stripped STARTTLS, refused STARTTLS, a server too old for it.
TEST(StreamOutbound, NoClearTextWhereTlsIsRequired) {
    Outbound stripped;
    stripped.take_out();
    stripped.feed(reply() + std::string(kExternalFeature));
    EXPECT_EQ(stripped.out, "</stream:stream>");
    stripped.expect_end(Cause::kNoTls);
    EXPECT_FALSE(stripped.last(Kind::kClosed)->end.permanent);  // the next target may be better

    Outbound refused;
    refused.feed(reply() + std::string(kStartTlsFeature));
    refused.feed("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>");
    refused.expect_end(Cause::kNoTls);

    Outbound old;
    old.feed(
        "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
        "xmlns:db='jabber:server:dialback' id='1'>");
    old.expect_end(Cause::kNoTls);
}

// S2S-51, S2S-5, DB-2
TEST(StreamOutbound, DialbackInClear) {
    for (const bool old : {false, true}) {
        Outbound peer(kAnyMethod);
        peer.settings.dialback = make_dialback_secrets("s3cr3tf0rd14lb4ck");
        peer.take_out();
        peer.feed(old ? "<stream:stream xmlns='jabber:server' xmlns:d='jabber:server:dialback' "
                        "xmlns:stream='http://etherx.jabber.org/streams' id='D60000229F'>"
                      : reply() + std::string(kNoFeatures));
        const DialbackKey key =
            make_dialback_key(peer.settings.dialback, "example.org", "sip.example", "D60000229F");
        EXPECT_EQ(
            peer.take_out(),
            "<db:result xmlns:db='jabber:server:dialback' from='sip.example' to='example.org'>" +
                std::string(key.data(), key.size()) + "</db:result>");
        EXPECT_EQ(peer.count(Kind::kPair), 0u);
        EXPECT_FALSE(peer.stream->send(kMessage));
        peer.feed(answer("valid"));
        ASSERT_EQ(peer.count(Kind::kPair), 1u);
        EXPECT_EQ(peer.last(Kind::kPair)->proof, Proof::kDialbackClear);
        EXPECT_TRUE(peer.stream->send(kMessage));
    }
}

// S2S-52, S2S-53, S2S-54
TEST(StreamOutbound, TheirCertificateDecides) {
    Outbound strict(kStrict);
    strict.start_tls(certificate_of({"other.test"}));
    EXPECT_EQ(strict.out, "");  // not even a header
    strict.expect_end(Cause::kCertificate);

    Outbound weak;  // S2S-54: dialback even if EXTERNAL is offered, and marked
    weak.start_tls(certificate_of({"other.test"}));
    weak.take_out();
    weak.feed(kExternalFeature);
    EXPECT_TRUE(weak.take_out().starts_with("<db:result "));
    weak.feed(answer("valid"));
    EXPECT_EQ(weak.last(Kind::kPair)->proof, Proof::kDialbackTls);

    Outbound good;  // S2S-52: no EXTERNAL offered, dialback; they are proved all the same
    good.start_tls(certificate_of({"example.org"}));
    good.feed(kNoFeatures);
    good.feed(answer("valid"));
    EXPECT_EQ(good.last(Kind::kPair)->proof, Proof::kCertificate);

    Outbound feature;  // dialback by feature, without the namespace in the header
    feature.start_tls(certificate_of({"other.test"}), false);
    feature.feed(
        "<stream:features><dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>"
        "</stream:features>");
    EXPECT_EQ(feature.stream->state(), StreamState::kDialback);

    Outbound neither;
    neither.start_tls(certificate_of({"example.org"}), false);
    neither.feed(kNoFeatures);
    neither.expect_end(Cause::kNoMethod);
}

// S2S-55
TEST(StreamOutbound, ExternalRefused) {
    Outbound dialback;
    dialback.start_tls(certificate_of({"example.org"}));
    dialback.feed(kExternalFeature);
    dialback.take_out();
    dialback.feed(kSaslFailure);
    EXPECT_TRUE(dialback.out.starts_with("<db:result "));
    dialback.feed(answer("valid"));
    EXPECT_EQ(dialback.count(Kind::kPair), 1u);

    Outbound strict(kStrict);
    strict.start_tls(certificate_of({"example.org"}));
    strict.feed(kExternalFeature);
    strict.take_out();
    strict.feed(kSaslFailure);
    EXPECT_EQ(strict.out, "</stream:stream>");
    strict.expect_end(Cause::kRefused);
    EXPECT_TRUE(strict.last(Kind::kClosed)->end.permanent);
}

// S2S-12 seen from the client
TEST(StreamOutbound, BytesBehindProceedEndTheStream) {
    Outbound peer;
    peer.feed(reply() + std::string(kStartTlsFeature));
    peer.feed(std::string(kProceed) + reply());
    EXPECT_EQ(peer.count(Kind::kStartTls), 0u);
    EXPECT_EQ(peer.last(Kind::kClosed)->end.condition, StreamError::kPolicyViolation);
}

// S2S-21: neither for good, nor followed here; the owner is told where to.
TEST(StreamOutbound, SentToAnotherHost) {
    const auto sent_to = [](const std::string& text) {
        Outbound peer;
        peer.feed(reply());
        peer.feed("<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>" +
                  text + "</see-other-host></stream:error></stream:stream>");
        const StreamEnd& end = peer.last(Kind::kClosed)->end;
        EXPECT_EQ(end.cause, Cause::kErrorReceived);
        EXPECT_EQ(end.condition, StreamError::kSeeOtherHost);
        EXPECT_FALSE(end.permanent);
        return std::string(end.other_host);
    };
    EXPECT_EQ(sent_to("[2001:db8::1]:9222"), "[2001:db8::1]:9222");
    EXPECT_EQ(sent_to("a.example&amp;"), "a.example&");
    EXPECT_EQ(sent_to(""), "");
    EXPECT_EQ(sent_to(std::string(300, 'a')), "");
}

// DB-9
TEST(StreamOutbound, DialbackRefused) {
    Outbound invalid(kClearOnly);
    invalid.feed(reply() + std::string(kNoFeatures));
    invalid.feed(answer("invalid"));
    ASSERT_EQ(invalid.count(Kind::kPairRefused), 1u);
    EXPECT_EQ(invalid.last(Kind::kPairRefused)->verdict, Verdict::kInvalid);
    EXPECT_EQ(invalid.last(Kind::kPairRefused)->our, "sip.example");
    EXPECT_TRUE(invalid.out.ends_with("</stream:stream>"));
    invalid.feed("</stream:stream>");
    invalid.expect_end(Cause::kRefused);

    Outbound error(kClearOnly);  // the stream stays
    error.feed(reply() + std::string(kNoFeatures));
    error.feed(
        "<db:result from='example.org' to='sip.example' type='error'><error type='cancel'>"
        "<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>");
    EXPECT_EQ(error.last(Kind::kPairRefused)->verdict, Verdict::kError);
    EXPECT_EQ(error.count(Kind::kClosed), 0u);
    EXPECT_EQ(error.count(Kind::kPair), 0u);
    error.feed(answer("valid"));  // DB-7: of a key that was answered already
    EXPECT_EQ(error.count(Kind::kPair), 0u);

    Outbound denied(kClearOnly);  // ERR-44
    denied.feed(reply() + std::string(kNoFeatures));
    denied.feed(
        "<db:result from='example.org' to='sip.example' type='error'><error type='auth'>"
        "<forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>");
    EXPECT_EQ(denied.last(Kind::kPairRefused)->verdict, Verdict::kDenied);

    Outbound mute(kClearOnly);
    mute.feed(reply() + std::string(kNoFeatures));
    mute.advance(30s);
    mute.expect_end(Cause::kTimeout);
}

// DB-7
TEST(StreamOutbound, AnswersNeverAskedFor) {
    Outbound peer;
    peer.feed(reply() + answer("valid"));  // before features
    peer.feed(kStartTlsFeature);
    peer.feed(answer("valid") + std::string(kProceed));
    peer.secure(certificate_of({"other.test"}));
    peer.feed(reply() + std::string(kNoFeatures));
    EXPECT_EQ(peer.stream->counts().answers_dropped, 2u);
    peer.feed(answer("valid", "voice.example"));                               // to another
    peer.feed("<db:result from='evil.test' to='sip.example' type='valid'/>");  // from another
    peer.feed(verify_answer("1", "valid"));
    EXPECT_EQ(peer.stream->counts().answers_dropped, 5u);
    EXPECT_EQ(peer.count(Kind::kPair), 0u);
    peer.feed(answer("valid"));
    EXPECT_EQ(peer.count(Kind::kPair), 1u);
    peer.feed(answer("invalid"));  // once answered, no more
    EXPECT_EQ(peer.stream->counts().answers_dropped, 6u);
    EXPECT_TRUE(peer.stream->send(kMessage));
}

// DB-5, DB-7: only asking, without proving ourselves.
TEST(StreamOutbound, VerifyOnly) {
    Outbound peer(kTlsRequired, Stream::Role::kVerify);
    ASSERT_TRUE(peer.stream->request_verify("sip.example", "example.org", "a&b", "key<", peer.now));
    peer.start_tls(certificate_of({"other.test"}));
    EXPECT_FALSE(contains(peer.take_out(), "db:verify "));
    peer.feed(kExternalFeature);
    EXPECT_EQ(peer.take_out(),
              "<db:verify xmlns:db='jabber:server:dialback' from='sip.example' to='example.org' "
              "id='a&amp;b'>key&lt;</db:verify>");
    ASSERT_TRUE(peer.stream->request_verify("sip.example", "example.org", "2", "k2", peer.now));
    EXPECT_TRUE(contains(peer.take_out(), "id='2'"));
    peer.feed(verify_answer("3", "valid"));
    peer.feed("<db:verify from='evil.test' to='sip.example' id='2' type='valid'/>");
    EXPECT_EQ(peer.count(Kind::kVerifyAnswer), 0u);
    peer.feed(verify_answer("2", "invalid") + verify_answer("a&amp;b", "valid"));
    ASSERT_EQ(peer.count(Kind::kVerifyAnswer), 2u);
    EXPECT_EQ(peer.last(Kind::kVerifyAnswer)->id, "a&b");
    EXPECT_EQ(peer.last(Kind::kVerifyAnswer)->verdict, Verdict::kValid);
    peer.feed(verify_answer("2", "valid"));  // twice
    EXPECT_EQ(peer.count(Kind::kVerifyAnswer), 2u);
    EXPECT_EQ(peer.stream->counts().answers_dropped, 3u);
    EXPECT_FALSE(peer.stream->authenticated());
}

// N11: where TLS is required, a key is not asked for in clear text either.
TEST(StreamOutbound, VerifyOnlyNeedsTlsToo) {
    Outbound peer(kTlsRequired, Stream::Role::kVerify);
    ASSERT_TRUE(peer.stream->request_verify("sip.example", "example.org", "1", "k", peer.now));
    peer.feed(reply() + std::string(kNoFeatures));
    EXPECT_FALSE(contains(peer.out, "db:verify "));
    peer.expect_end(Cause::kNoTls);
}

// DB-5: at most 30 s; and questions have a bound.
TEST(StreamOutbound, QuestionsTimeOutAndAreBounded) {
    Outbound peer(kClearOnly, Stream::Role::kVerify);
    peer.feed(reply() + std::string(kNoFeatures));
    for (std::size_t i = 0; i < limits::kStreamQuestions; ++i) {
        ASSERT_TRUE(peer.stream->request_verify("sip.example", "example.org", std::to_string(i),
                                                "k", peer.now));
    }
    EXPECT_FALSE(peer.stream->request_verify("sip.example", "example.org", "x", "k", peer.now));
    EXPECT_EQ(peer.stream->deadline(), peer.now + 30s);
    peer.advance(30s);
    EXPECT_EQ(peer.count(Kind::kVerifyAnswer), limits::kStreamQuestions);
    EXPECT_EQ(peer.last(Kind::kVerifyAnswer)->verdict, Verdict::kTimeout);
    EXPECT_TRUE(peer.stream->request_verify("sip.example", "example.org", "x", "k", peer.now));
    EXPECT_EQ(peer.count(Kind::kClosed), 0u);
}

// DB-5: on a stream that carries our stanzas already.
TEST(StreamOutbound, VerifyOnAnAuthenticatedStream) {
    Outbound peer;
    peer.authenticate();
    ASSERT_TRUE(peer.stream->request_verify("sip.example", "example.org", "1", "k", peer.now));
    EXPECT_TRUE(contains(peer.out, "<db:verify "));
    peer.feed(verify_answer("1", "error"));
    EXPECT_EQ(peer.last(Kind::kVerifyAnswer)->verdict, Verdict::kError);

    Outbound without;
    without.start_tls(certificate_of({"example.org"}), false);
    without.feed(kExternalFeature);
    without.feed(kSuccess);
    without.feed(reply(false) + std::string(kNoFeatures));
    ASSERT_EQ(without.count(Kind::kPair), 1u);
    EXPECT_FALSE(
        without.stream->request_verify("sip.example", "example.org", "1", "k", without.now));
}

// S2S-16
TEST(StreamOutbound, Acknowledgements) {
    Outbound peer;
    peer.authenticate(kSmFeature);
    EXPECT_EQ(peer.count(Kind::kPair), 0u);
    peer.feed("<enabled xmlns='urn:xmpp:sm:3'/>");
    ASSERT_EQ(peer.count(Kind::kPair), 1u);
    EXPECT_TRUE(peer.stream->acknowledges());
    peer.stream->request_acknowledgement();
    EXPECT_EQ(peer.out, "");  // nothing to ask for
    for (int i = 0; i < 49; ++i) EXPECT_TRUE(peer.stream->send("<iq/>"));
    EXPECT_FALSE(contains(peer.out, "<r "));
    EXPECT_TRUE(peer.stream->send("<iq/>"));
    EXPECT_TRUE(peer.take_out().ends_with("<iq/><r xmlns='urn:xmpp:sm:3'/>"));
    peer.feed("<a xmlns='urn:xmpp:sm:3' h='30'/>");
    EXPECT_EQ(peer.last(Kind::kAcknowledged)->count, 30u);
    EXPECT_EQ(peer.stream->unacknowledged(), 20u);
    peer.feed("<a xmlns='urn:xmpp:sm:3' h='30'/>");  // nothing new
    EXPECT_EQ(peer.count(Kind::kAcknowledged), 1u);
    peer.stream->request_acknowledgement();
    EXPECT_EQ(peer.take_out(), "<r xmlns='urn:xmpp:sm:3'/>");
    peer.feed("<a xmlns='urn:xmpp:sm:3' h='50'/>");
    EXPECT_EQ(peer.stream->unacknowledged(), 0u);
    peer.feed("<r xmlns='urn:xmpp:sm:3'/>");
    EXPECT_EQ(peer.take_out(), "<a xmlns='urn:xmpp:sm:3' h='0'/>");
    EXPECT_EQ(peer.count(Kind::kClosed), 0u);
    peer.feed("<a xmlns='urn:xmpp:sm:3' h='51'/>");  // more than we sent
    EXPECT_EQ(peer.last(Kind::kClosed)->end.cause, Cause::kErrorSent);
}

TEST(StreamOutbound, AcknowledgementsThatAreNoNumbers) {
    for (const Bytes h : {"", "-1", "x", "1x", " 1", "4294967296", "99999999999999999999"}) {
        Outbound peer;
        peer.authenticate(kSmFeature);
        peer.feed("<enabled xmlns='urn:xmpp:sm:3'/>");
        EXPECT_TRUE(peer.stream->send("<iq/>"));
        peer.feed("<a xmlns='urn:xmpp:sm:3' h='" + std::string(h) + "'/>");
        EXPECT_EQ(peer.count(Kind::kAcknowledged), 0u);
        EXPECT_EQ(peer.last(Kind::kClosed)->end.cause, Cause::kErrorSent);
    }
}

TEST(StreamOutbound, AcknowledgementsRefused) {
    Outbound peer;
    peer.authenticate(kSmFeature);
    peer.feed("<failed xmlns='urn:xmpp:sm:3'/>");
    EXPECT_EQ(peer.count(Kind::kPair), 1u);
    EXPECT_FALSE(peer.stream->acknowledges());
    EXPECT_TRUE(peer.stream->send("<iq/>"));
    EXPECT_EQ(peer.stream->unacknowledged(), 0u);
}

TEST(StreamOutbound, FullQueueRefusesOneStanza) {
    Outbound peer;
    peer.authenticate();
    peer.full = true;
    EXPECT_FALSE(peer.stream->send(kMessage));
    peer.full = false;
    EXPECT_TRUE(peer.stream->send(kMessage));
    EXPECT_EQ(peer.out, kMessage);
    EXPECT_EQ(peer.stream->counts().stanzas_out, 1u);
}

// S2S-1: a peer's stanzas come on its own stream, whatever it has proved.
TEST(StreamOutbound, StanzasFromThePeer) {
    Outbound peer;
    peer.authenticate();
    peer.feed(kMessage);
    EXPECT_TRUE(peer.out.ends_with(stream_error("not-authorized")));
    EXPECT_EQ(peer.count(Kind::kStanza), 0u);
}

// S2S-60
TEST(StreamOutbound, KnowsWhatThePeerTakes) {  // XEP-0478
    struct Case {
        Bytes limits;
        std::uint64_t bytes;
        Duration idle;
    };
    for (const Case& c : {
             Case{"<max-bytes>10000</max-bytes><idle-seconds>60</idle-seconds>", 10'000, 60s},
             Case{"<idle-seconds>60</idle-seconds>", 0, 60s},
             Case{"<max-bytes>-1</max-bytes><idle-seconds>6 0</idle-seconds>", 0, 0s},
             Case{"<max-bytes>99999999999999999999999</max-bytes>", 0, 0s},
             Case{"<max-bytes>9999999999</max-bytes>", UINT32_MAX, 0s},
             Case{"<max-bytes/><idle-seconds>1<x/></idle-seconds>", 0, 1s},
             Case{"<max-bytes xmlns='other'>1</max-bytes>", 0, 0s},
             Case{"", 0, 0s},
         }) {
        Outbound peer;
        peer.authenticate(
            std::string("<stream:features><limits xmlns='urn:xmpp:stream-limits:0'>") +
            std::string(c.limits) + "</limits></stream:features>");
        EXPECT_EQ(peer.stream->limits().stanza_bytes, c.bytes) << c.limits;
        EXPECT_EQ(peer.stream->limits().idle, c.idle) << c.limits;
        EXPECT_TRUE(peer.stream->limits().fits(c.bytes));
        EXPECT_EQ(peer.stream->limits().fits(c.bytes + 1), c.bytes == 0);
    }
}

TEST(StreamOutbound, PhasesTimeOut) {
    const auto cause_after = [](Outbound& peer, Duration wait) {
        peer.advance(wait - 1ns);
        EXPECT_EQ(peer.count(Kind::kClosed), 0u);
        peer.advance(1ns);
        return peer.last(Kind::kClosed)->end.cause;
    };
    Outbound header_mute;
    EXPECT_EQ(cause_after(header_mute, 10s), Cause::kTimeout);
    Outbound features;
    features.advance(4s);
    features.feed(reply());
    EXPECT_EQ(cause_after(features, 6s), Cause::kTimeout);  // one time for header and features
    Outbound proceed;
    proceed.feed(reply() + std::string(kStartTlsFeature));
    EXPECT_EQ(cause_after(proceed, 10s), Cause::kTimeout);
    Outbound handshake;
    handshake.feed(reply() + std::string(kStartTlsFeature));
    handshake.feed(kProceed);
    EXPECT_EQ(cause_after(handshake, 10s), Cause::kTimeout);
    Outbound sasl;
    sasl.start_tls(certificate_of({"example.org"}));
    sasl.feed(kExternalFeature);
    EXPECT_EQ(cause_after(sasl, 10s), Cause::kTimeout);
    Outbound slow;  // each phase in time, all together not
    slow.settings.header_wait = slow.settings.tls_wait = 40s;
    slow.connect(Stream::Role::kOutbound, "sip.example", "example.org");
    slow.advance(39s);
    slow.feed(reply() + std::string(kStartTlsFeature));
    EXPECT_EQ(cause_after(slow, 21s), Cause::kTimeout);
}

// S2S-21, S2S-6
TEST(StreamOutbound, BadReplies) {
    Outbound error;
    error.feed(reply() + stream_error("host-unknown"));
    error.expect_end(Cause::kErrorReceived);
    EXPECT_TRUE(error.last(Kind::kClosed)->end.permanent);

    Outbound client;
    client.feed(
        "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
        "id='1' version='1.0'>");
    EXPECT_TRUE(client.out.ends_with(stream_error("invalid-namespace")));

    Outbound id;
    id.feed(
        "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
        "id='" +
        std::string(limits::kStreamIdBytes + 1, 'a') + "' version='1.0'>");
    EXPECT_TRUE(id.out.ends_with(stream_error("policy-violation")));

    Outbound no_id(kClearOnly);
    no_id.feed(
        "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
        "xmlns:db='jabber:server:dialback' version='1.0'><stream:features/>");
    no_id.expect_end(Cause::kNoMethod);

    Outbound must_tls(kClearOnly);
    must_tls.feed(reply() +
                  "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'>"
                  "<required/></starttls></stream:features>");
    must_tls.expect_end(Cause::kNoMethod);

    Outbound http;
    http.feed("HTTP/1.1 400 Bad Request\r\n\r\n");
    EXPECT_EQ(http.last(Kind::kClosed)->end.cause, Cause::kErrorSent);

    Outbound denied;
    denied.denied = {"example.org"};
    denied.out.clear();
    denied.seen.clear();
    denied.connect(Stream::Role::kOutbound, "sip.example", "example.org");
    EXPECT_EQ(denied.out, "");
    denied.expect_end(Cause::kNoMethod);
}

TEST(StreamOutbound, Closing) {
    Outbound peer;
    peer.authenticate(kSmFeature);
    peer.feed("<enabled xmlns='urn:xmpp:sm:3'/>");
    EXPECT_TRUE(peer.stream->send("<iq/>"));
    peer.take_out();
    peer.stream->close(peer.now);
    peer.stream->close(peer.now);
    peer.pump();
    EXPECT_EQ(peer.out, "</stream:stream>");
    EXPECT_FALSE(peer.stream->send("<iq/>"));
    peer.feed("<a xmlns='urn:xmpp:sm:3' h='1'/></stream:stream>");
    EXPECT_EQ(peer.last(Kind::kAcknowledged)->count, 1u);
    EXPECT_EQ(peer.last(Kind::kClosed)->end.cause, Cause::kClosedByUs);
    EXPECT_EQ(peer.out, "</stream:stream>");
    peer.feed("anything");
    EXPECT_TRUE(peer.input.empty());
    EXPECT_EQ(peer.count(Kind::kClosed), 1u);
}

}  // namespace
}  // namespace fedgate::xml
