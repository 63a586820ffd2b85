// Streams that a scripted peer opens. Rule ids are those of the interworking rules.
#include <gtest/gtest.h>

#include "tests/xml/stream_support.hpp"

namespace fedgate::xml {
namespace {

using namespace test;
using Kind = Action::Kind;
using Cause = StreamEnd::Cause;

struct Inbound : Owner {
    explicit Inbound(StreamPolicy policy = kTlsRequired) : Owner(policy) { accept(); }

    // Up to TLS, with `identity` shown.
    void start_tls(const PeerIdentity& identity, Bytes from = "example.org") {
        feed(header(from, "sip.example"));
        feed(kStartTls);
        secure(identity);
        take_out();
        take_seen();
    }
    void authenticate() {
        start_tls(certificate_of({"example.org"}));
        feed(header("example.org", "sip.example"));
        feed(kAuth);
        feed(header("example.org", "sip.example"));
        take_out();
        take_seen();
    }
    void dial_back(Verdict verdict = Verdict::kValid, Bytes from = "example.org",
                   Bytes to = "sip.example") {
        feed("<db:result from='" + std::string(from) + "' to='" + std::string(to) +
             "'>k</db:result>");
        stream->verified(to, from, stream->id(), verdict, now);
        pump();
    }
    void expect_error(Bytes condition) {
        EXPECT_TRUE(out.ends_with(stream_error(condition))) << out;
        ASSERT_EQ(count(Kind::kClosed), 1u);
        EXPECT_EQ(last(Kind::kClosed)->end.cause, Cause::kErrorSent);
        EXPECT_EQ(name_of(last(Kind::kClosed)->end.condition), condition);
    }
};

bool contains(Bytes text, Bytes part) { return text.find(part) != Bytes::npos; }

// S2S-3: what our header says.
TEST(StreamInbound, AnswersTheHeader) {
    Inbound peer(kAnyMethod);
    peer.feed(header("Example.ORG", "SIP.example"));
    EXPECT_TRUE(peer.out.starts_with(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:server' "
        "xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' "
        "id='0102030405060708090a0b0c0d0e0f10' from='sip.example' to='example.org' version='1.0' "
        "xml:lang='en'>"))
        << peer.out;
    EXPECT_EQ(peer.stream->our_domain(), "sip.example");
    EXPECT_EQ(peer.stream->their_domain(), "example.org");
}

// S2S-4, S2S-5, S2S-6, S2S-30, S2S-31: a header always comes before the error.
TEST(StreamInbound, RefusesBadHeaders) {
    struct Case {
        std::string header;
        Bytes condition;
        Bytes from;
    };
    const std::string open = "<stream:stream xmlns='jabber:server' xmlns:stream='";
    const std::string good = "http://etherx.jabber.org/streams'";
    const Case cases[] = {
        {header("example.org", "nowhere.example"), "host-unknown", "sip.example"},
        {header("example.org", "old.example"), "host-gone", "sip.example"},
        {header("example.org", ""), "improper-addressing", "sip.example"},
        {header("example.org", "user@sip.example"), "improper-addressing", "sip.example"},
        {header("u@example.org", "sip.example"), "invalid-from", "sip.example"},
        {header("denied.example", "voice.example"), "policy-violation", "voice.example"},
        {header("example.org", "sip.example", ""), "unsupported-version", "sip.example"},
        {header("example.org", "sip.example", " version='0.9'"), "unsupported-version",
         "sip.example"},
        {open + "urn:wrong' to='sip.example' version='1.0'>", "invalid-namespace", "sip.example"},
        {"<stream:stream xmlns='jabber:client' xmlns:stream='" + good +
             " to='sip.example' version='1.0'>",
         "invalid-namespace", "sip.example"},
        {"<stream:stream xmlns:stream='" + good + " to='sip.example' version='1.0'>",
         "invalid-namespace", "sip.example"},
        {"<stream:other xmlns='jabber:server' xmlns:stream='" + good + " version='1.0'>",
         "bad-format", "sip.example"},
        {"<!DOCTYPE x><a>", "restricted-xml", "sip.example"},
        {"<stream:stream xmlns=>", "not-well-formed", "sip.example"},
    };
    for (const Case& c : cases) {
        Inbound peer;
        peer.denied = {"denied.example"};
        peer.feed(c.header);
        EXPECT_TRUE(peer.out.starts_with("<?xml version='1.0'?><stream:stream ")) << c.header;
        EXPECT_TRUE(contains(peer.out, " from='" + std::string(c.from) + "'")) << peer.out;
        peer.expect_error(c.condition);
        EXPECT_TRUE(peer.input.empty());
    }
}

// S2S-11, S2S-40..S2S-43, N10, N11: what is offered, in the clear and under TLS.
TEST(StreamInbound, OffersByPolicyAndCertificate) {
    struct Case {
        StreamPolicy policy;
        bool tls;
        bool certificate;
        Bytes features;
    };
    const Bytes starttls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'></starttls>";
    const Bytes required =
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>";
    const Bytes external =
        "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>"
        "<mechanism>EXTERNAL</mechanism></mechanisms>";
    const Bytes dialback = "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>";
    const std::string both = std::string(external) + std::string(dialback);
    const std::string optional = std::string(starttls) + std::string(dialback);
    const Case cases[] = {
        {kStrict, false, false, required},       // S2S-41
        {kTlsRequired, false, false, required},  // S2S-40
        {kAnyMethod, false, false, optional},    // S2S-42
        {kClearOnly, false, false, dialback},
        {kTlsRequired, true, true, both},       // S2S-43
        {kTlsRequired, true, false, dialback},  // S2S-44
        {kStrict, true, false, ""},             // S2S-45
        {{true, false, true, false}, true, true, dialback},
    };
    for (const Case& c : cases) {
        Inbound peer(c.policy);
        if (c.tls) peer.start_tls(certificate_of({c.certificate ? "example.org" : "other.test"}));
        peer.feed(header("example.org", "sip.example"));
        const bool more = c.tls || c.policy.dialback_clear;
        EXPECT_TRUE(peer.out.ends_with("<stream:features>" + std::string(c.features) +
                                       std::string(more ? kOurLimits : "") + "</stream:features>"))
            << peer.out;
    }
}

// RFC 6120 6.4.6: they read nothing behind <success/> but what answers their new header.
TEST(StreamInbound, ARefusalBehindSuccessWaitsForTheirHeader) {  // S2S-14, S2S-32
    Inbound peer;
    peer.start_tls(certificate_of({"example.org"}));
    peer.feed(header("example.org", "sip.example"));
    peer.take_out();
    peer.feed(kAuth);
    peer.stream->refuse(StreamError::kResourceConstraint, "connections of one partner");
    EXPECT_EQ(peer.take_out(), kSuccess);
    peer.feed(header("example.org", "sip.example") + std::string(kMessage));
    EXPECT_TRUE(contains(peer.out, "<stream:stream "));
    EXPECT_TRUE(contains(peer.out, "<stream:error><resource-constraint "));
    EXPECT_TRUE(contains(peer.out, "connections of one partner"));
    EXPECT_EQ(peer.count(Kind::kStanza), 0u);
    EXPECT_EQ(peer.stream->state(), StreamState::kClosed);

    Inbound dialback(kClearOnly);  // no restart: at once
    dialback.feed(header("example.org", "sip.example"));
    dialback.dial_back();
    dialback.stream->refuse(StreamError::kResourceConstraint);
    EXPECT_TRUE(contains(dialback.out, "<stream:error><resource-constraint "));
}

TEST(StreamInbound, TellsItsLimits) {  // XEP-0478
    Inbound peer(kClearOnly);
    peer.settings.idle_max = 300s;
    peer.settings.stanza_bytes_max = 20'000;
    peer.feed(header("example.org", "sip.example"));
    EXPECT_TRUE(
        peer.out.ends_with("<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>20000</max-bytes>"
                           "<idle-seconds>300</idle-seconds></limits></stream:features>"))
        << peer.out;
}

// S2S-14, S2S-43, S2S-16
TEST(StreamInbound, ExternalProvesTheDomain) {
    Inbound peer;
    peer.start_tls(certificate_of({"example.org"}));
    peer.feed(header("example.org", "sip.example"));
    peer.take_out();
    peer.feed(kAuth);
    EXPECT_EQ(peer.take_out(), kSuccess);
    ASSERT_EQ(peer.count(Kind::kPair), 1u);
    EXPECT_EQ(peer.last(Kind::kPair)->their, "example.org");
    EXPECT_EQ(peer.last(Kind::kPair)->proof, Proof::kCertificate);
    peer.feed(header("example.org", "sip.example"));
    EXPECT_TRUE(peer.take_out().ends_with("<stream:features><sm xmlns='urn:xmpp:sm:3'/>" +
                                          std::string(kOurLimits) + "</stream:features>"));
    peer.feed(kMessage);
    ASSERT_EQ(peer.count(Kind::kStanza), 1u);
    EXPECT_EQ(peer.last(Kind::kStanza)->stanza, kMessage);
    EXPECT_EQ(peer.last(Kind::kStanza)->our, "sip.example");
    EXPECT_EQ(peer.last(Kind::kStanza)->their, "example.org");
    EXPECT_EQ(peer.last(Kind::kStanza)->proof, Proof::kCertificate);
    EXPECT_EQ(peer.out, "");
}

// N11: never EXTERNAL on clear text; N10, S2S-45: never without a proving certificate.
TEST(StreamInbound, ExternalNeedsTlsAndCertificate) {
    const Bytes failure =
        "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>";
    Inbound clear(kAnyMethod);
    clear.feed(header("example.org", "sip.example"));
    clear.take_out();
    clear.feed(kAuth);
    EXPECT_EQ(clear.out, failure);
    clear.feed(kMessage);
    clear.expect_error("not-authorized");

    Inbound strict(kStrict);
    strict.start_tls(certificate_of({"other.test"}));
    strict.feed(header("example.org", "sip.example"));
    strict.take_out();
    strict.feed(kAuth);
    EXPECT_TRUE(strict.out.starts_with(failure));
    strict.expect_error("not-authorized");

    Inbound dialback;  // S2S-44: dialback may follow on the same stream
    dialback.start_tls(certificate_of({"other.test"}));
    dialback.feed(header("example.org", "sip.example"));
    dialback.take_out();
    dialback.feed(kAuth);
    EXPECT_EQ(dialback.take_out(), failure);
    dialback.dial_back();
    EXPECT_EQ(dialback.last(Kind::kPair)->proof, Proof::kDialbackTls);
}

// S2S-14: nobody acts for another domain, at the auth element or in the header that follows.
TEST(StreamInbound, ExternalForAnotherDomain) {
    Inbound peer;
    peer.start_tls(certificate_of({"example.org", "other.test"}));
    peer.feed(header("example.org", "sip.example"));
    peer.take_out();
    peer.feed(
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' "
        "mechanism='EXTERNAL'>b3RoZXIudGVzdA==</auth>");
    EXPECT_TRUE(contains(peer.take_out(), "<invalid-authzid/>"));
    peer.feed(kAuth);
    peer.feed(header("other.test", "sip.example"));
    peer.expect_error("invalid-from");
}

// S2S-12
TEST(StreamInbound, BytesBehindStartTlsEndTheStream) {
    Inbound peer;
    peer.feed(header("example.org", "sip.example"));
    peer.feed(std::string(kStartTls) + header("evil.test", "sip.example"));
    EXPECT_FALSE(contains(peer.out, "<proceed"));
    peer.expect_error("policy-violation");
    EXPECT_EQ(peer.count(Kind::kStartTls), 0u);
    EXPECT_TRUE(peer.input.empty());

    Inbound late;  // shown between <proceed/> and the handshake
    late.feed(header("example.org", "sip.example"));
    late.feed(kStartTls);
    late.take_out();
    late.feed("x");
    EXPECT_EQ(late.out, "");
    EXPECT_EQ(late.last(Kind::kClosed)->end.condition, StreamError::kPolicyViolation);
}

TEST(StreamInbound, StartTlsWhereItIsNotOffered) {
    Inbound peer(kClearOnly);
    peer.feed(header("example.org", "sip.example"));
    peer.take_out();
    peer.feed(kStartTls);
    EXPECT_EQ(peer.out, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>");
    EXPECT_EQ(peer.last(Kind::kClosed)->end.cause, Cause::kNoTls);
}

// S2S-40, S2S-10
TEST(StreamInbound, NothingBeforeAuthentication) {
    Inbound clear;
    clear.feed(header("example.org", "sip.example"));
    clear.feed(kMessage);
    clear.expect_error("policy-violation");

    Inbound tls;
    tls.start_tls(certificate_of({"example.org"}));
    tls.feed(header("example.org", "sip.example"));
    tls.feed(kMessage);
    tls.expect_error("not-authorized");
    EXPECT_EQ(tls.count(Kind::kStanza), 0u);

    Inbound result;
    result.feed(header("example.org", "sip.example"));
    result.take_out();
    result.feed("<db:result from='example.org' to='sip.example'>k</db:result>");
    EXPECT_TRUE(
        result.out.starts_with("<db:result xmlns:db='jabber:server:dialback' from='sip.example' "
                               "to='example.org' type='error'>"
                               "<error type='modify'><policy-violation "
                               "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
                               "</db:result>"))
        << result.out;
    result.expect_error("policy-violation");
    EXPECT_EQ(result.count(Kind::kVerify), 0u);
}

// S2S-42, DB-6: in clear text, verified by the authoritative server.
TEST(StreamInbound, DialbackInClear) {
    Inbound peer(kClearOnly);
    peer.feed(header("example.org", "sip.example"));
    peer.take_out();
    peer.feed("<db:result from='Example.org' to='sip.example'>abc&amp;d</db:result>");
    ASSERT_EQ(peer.count(Kind::kVerify), 1u);
    const Seen verify = *peer.last(Kind::kVerify);
    EXPECT_EQ(verify.our, "sip.example");
    EXPECT_EQ(verify.their, "example.org");
    EXPECT_EQ(verify.id, "0102030405060708090a0b0c0d0e0f10");
    EXPECT_EQ(verify.key, "abc&d");
    EXPECT_EQ(peer.out, "");
    peer.stream->verified("sip.example", "example.org", peer.stream->id(), Verdict::kValid,
                          peer.now);
    peer.pump();
    EXPECT_EQ(peer.take_out(),
              "<db:result xmlns:db='jabber:server:dialback' from='sip.example' to='example.org' "
              "type='valid'/>");
    EXPECT_EQ(peer.last(Kind::kPair)->proof, Proof::kDialbackClear);
    peer.feed(kMessage);
    EXPECT_EQ(peer.last(Kind::kStanza)->proof, Proof::kDialbackClear);
}

// DB-6
TEST(StreamInbound, VerdictsThatAreNotValid) {
    const auto answer = [](Verdict verdict, bool other_pair) {
        Inbound peer(kClearOnly);
        peer.feed(header("example.org", "sip.example"));
        if (other_pair) peer.dial_back(Verdict::kValid, "first.example");
        peer.take_out();
        peer.dial_back(verdict);
        return peer.take_out();
    };
    EXPECT_TRUE(answer(Verdict::kInvalid, false).ends_with("type='invalid'/></stream:stream>"));
    EXPECT_TRUE(contains(answer(Verdict::kInvalid, true), "<forbidden "));
    EXPECT_FALSE(contains(answer(Verdict::kInvalid, true), "</stream:stream>"));
    EXPECT_TRUE(contains(answer(Verdict::kNoSuchDomain, false), "<remote-server-not-found "));
    EXPECT_TRUE(contains(answer(Verdict::kTimeout, false), "<remote-server-timeout "));
    EXPECT_TRUE(contains(answer(Verdict::kUnreachable, false), "<remote-server-timeout "));
    EXPECT_TRUE(contains(answer(Verdict::kOverLimit, false), "<resource-constraint "));
    EXPECT_FALSE(contains(answer(Verdict::kUnreachable, false), "</stream:stream>"));
}

// DB-5: the owner's answer did not come.
TEST(StreamInbound, VerificationTimesOut) {
    Inbound peer(kClearOnly);
    peer.feed(header("example.org", "sip.example"));
    peer.feed("<db:result from='example.org' to='sip.example'>k</db:result>");
    EXPECT_EQ(peer.stream->deadline(), peer.now + 30s);
    peer.take_out();
    peer.advance(30s);
    EXPECT_TRUE(contains(peer.out, "<remote-server-timeout "));
    peer.take_out();
    // Too late.
    peer.stream->verified("sip.example", "example.org", peer.stream->id(), Verdict::kValid,
                          peer.now);
    peer.pump();
    EXPECT_EQ(peer.out, "");
    peer.feed(kMessage);
    peer.expect_error("not-authorized");
}

// DB-5: unknown target; policy; the stream stays.
TEST(StreamInbound, ResultForDomainsThatAreNotOurs) {
    Inbound peer(kClearOnly);
    peer.denied = {"denied.example"};
    peer.feed(header("example.org", "sip.example"));
    peer.take_out();
    peer.feed("<db:result from='example.org' to='nowhere.example'>k</db:result>");
    EXPECT_TRUE(contains(peer.take_out(), "<item-not-found "));
    peer.feed("<db:result from='denied.example' to='sip.example'>k</db:result>");
    EXPECT_TRUE(contains(peer.take_out(), "<policy-violation "));
    EXPECT_EQ(peer.seen.size(), 0u);
    peer.feed("<db:result to='sip.example'>k</db:result>");
    peer.expect_error("improper-addressing");
}

// S2S-43, S2S-46: the certificate's other domains need no dialing back; a domain it lacks does.
TEST(StreamInbound, CertificateShortCut) {
    Inbound peer;
    peer.start_tls(certificate_of({"example.org", "chat.example.org"}));
    peer.feed(header("example.org", "sip.example"));
    peer.take_out();
    peer.feed("<db:result from='chat.example.org' to='voice.example'>k</db:result>");
    EXPECT_TRUE(peer.take_out().ends_with("type='valid'/>"));
    EXPECT_EQ(peer.last(Kind::kPair)->their, "chat.example.org");
    EXPECT_EQ(peer.last(Kind::kPair)->our, "voice.example");
    EXPECT_EQ(peer.last(Kind::kPair)->proof, Proof::kCertificate);
    EXPECT_EQ(peer.count(Kind::kVerify), 0u);
    peer.feed("<db:result from='else.example' to='sip.example'>k</db:result>");
    EXPECT_EQ(peer.last(Kind::kVerify)->their, "else.example");

    Inbound strict(kStrict);
    strict.start_tls(certificate_of({"example.org"}));
    strict.feed(header("example.org", "sip.example"));
    strict.take_out();
    strict.feed("<db:result from='else.example' to='sip.example'>k</db:result>");
    EXPECT_TRUE(
        contains(strict.out, "<not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"));
    strict.expect_error("not-authorized");  // S2S-45
}

// S2S-9, S2S-10, S2S-33, N9
TEST(StreamInbound, SendersAndRecipientsOfStanzas) {
    struct Case {
        Bytes from, to;
        Bytes condition;  // empty: passes
    };
    const auto run = [](Inbound& peer, const Case& c) {
        std::string stanza = "<message";
        if (c.from.data() != nullptr) stanza += " from='" + std::string(c.from) + "'";
        if (c.to.data() != nullptr) stanza += " to='" + std::string(c.to) + "'";
        peer.feed(stanza + "/>");
        if (c.condition.empty()) {
            EXPECT_EQ(peer.count(Kind::kStanza), 1u) << stanza;
            EXPECT_EQ(peer.count(Kind::kClosed), 0u) << stanza;
        } else {
            EXPECT_EQ(peer.count(Kind::kStanza), 0u) << stanza;
            peer.expect_error(c.condition);
        }
    };
    const Case any[] = {
        {"a@example.org/r", "b@sip.example", ""},
        {"example.org", "sip.example", ""},
        {"A@EXAMPLE.org", "b@SIP.Example/x", ""},
        {"a@example.org/b@evil.test/c", "b@sip.example", ""},
        {"a@evil.test", "b@sip.example", "invalid-from"},
        {"example.org@evil.test", "b@sip.example", "invalid-from"},
        {"a@sub.example.org", "b@sip.example", "invalid-from"},
        {"a@example.org.evil.test", "b@sip.example", "invalid-from"},
        {"@example.org", "b@sip.example", "invalid-from"},
        {"", "b@sip.example", "invalid-from"},
        {"a@example.org", Bytes(), "improper-addressing"},
        {Bytes(), "b@sip.example", "improper-addressing"},
        {"a@example.org", "b@nowhere.example", "host-unknown"},
        {"a@example&#46;org", "b@sip&#x2e;example", ""},
    };
    for (const Case& c : any) {
        Inbound external;
        external.authenticate();
        run(external, c);
        Inbound dialback(kClearOnly);
        dialback.feed(header("example.org", "sip.example"));
        dialback.dial_back();
        run(dialback, c);
    }
    // S2S-33: EXTERNAL holds for every domain of ours, dialback for its pair only.
    Inbound external;
    external.authenticate();
    run(external, {"a@example.org", "b@voice.example", ""});
    EXPECT_EQ(external.last(Kind::kStanza)->our, "voice.example");
    Inbound dialback(kClearOnly);
    dialback.feed(header("example.org", "sip.example"));
    dialback.dial_back();
    run(dialback, {"a@example.org", "b@voice.example", "not-authorized"});
    Inbound pending(kClearOnly);
    pending.feed(header("example.org", "sip.example"));
    pending.dial_back();
    pending.feed("<db:result from='second.example' to='sip.example'>k</db:result>");
    run(pending, {"a@second.example", "b@sip.example", "not-authorized"});
}

// S2S-9: a malformed `to` is not the end of the stream; the owner answers jid-malformed.
TEST(StreamInbound, MalformedRecipient) {
    Inbound peer;
    peer.authenticate();
    peer.feed("<message from='a@example.org' to='@sip.example'/>");
    ASSERT_EQ(peer.count(Kind::kStanza), 1u);
    EXPECT_EQ(peer.last(Kind::kStanza)->our, "");
    EXPECT_EQ(peer.last(Kind::kStanza)->their, "example.org");
    peer.feed("<message from='a@evil.test' to='@sip.example'/>");
    peer.expect_error("invalid-from");
}

// S2S-33: more of our domains than pairs fit on a stream.
TEST(StreamInbound, ManyDomainsOfOursOnAnExternalStream) {
    Inbound peer;
    for (int i = 0; i < 100; ++i) peer.served.insert("d" + std::to_string(i) + ".example");
    peer.authenticate();
    for (int round = 0; round < 2; ++round) {
        for (int i = 0; i < 100; ++i) {
            const std::string domain = "d" + std::to_string(i) + ".example";
            peer.feed("<message from='a@example.org' to='b@" + domain + "'/>");
            ASSERT_EQ(peer.last(Kind::kStanza)->our, domain);
        }
    }
    EXPECT_EQ(peer.count(Kind::kStanza), 200u);
    EXPECT_LE(peer.stream->pairs().size(), limits::kStreamPairs);
}

// The same when dialback has filled all the others: no stanza may find the header's pair gone.
TEST(StreamInbound, ManyDomainsOfOursWhenThePairsAreTaken) {
    Inbound peer;
    for (int i = 0; i < 100; ++i) peer.served.insert("d" + std::to_string(i) + ".example");
    peer.authenticate();
    for (std::size_t i = 1; i < limits::kStreamPairs; ++i) {
        peer.dial_back(Verdict::kValid, "p" + std::to_string(i) + ".example");
    }
    for (int i = 0; i < 200; ++i) {
        const std::string domain = "d" + std::to_string(i % 100) + ".example";
        peer.feed("<message from='a@example.org' to='b@" + domain + "'/>");
        ASSERT_EQ(peer.last(Kind::kStanza)->our, domain);
    }
    peer.feed(kMessage);
    EXPECT_EQ(peer.last(Kind::kStanza)->our, "sip.example");
    EXPECT_EQ(peer.count(Kind::kStanza), 201u);
    EXPECT_EQ(peer.count(Kind::kClosed), 0u);
}

TEST(StreamInbound, PairsAreBounded) {
    Inbound peer(kClearOnly);
    peer.settings.establish_max = 3600s;
    peer.feed(header("example.org", "sip.example"));
    peer.dial_back();
    peer.take_out();
    for (std::size_t i = 1; i < limits::kStreamPairs; ++i) {
        peer.dial_back(Verdict::kValid, "p" + std::to_string(i) + ".example");
    }
    EXPECT_FALSE(contains(peer.take_out(), "error"));
    peer.dial_back(Verdict::kValid, "more.example");
    EXPECT_TRUE(contains(peer.out, "<resource-constraint "));
    EXPECT_EQ(peer.count(Kind::kPair), limits::kStreamPairs);
}

// DB-8, DB-2: authoritative, for whoever asks, without any authentication.
TEST(StreamInbound, AnswersVerifyFromTheSecret) {
    Inbound peer(kAnyMethod);
    peer.served.insert("example.org");
    peer.feed(header("xmpp.example.com", "example.org"));
    peer.take_out();
    const std::string start = "<x:verify xmlns:x='jabber:server:dialback' from='xmpp.example.com' ";
    const std::string key = "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643";
    peer.feed(start + "to='example.org' id='D60000229F'>" + key + "</x:verify>");
    EXPECT_EQ(
        peer.take_out(),
        "<db:verify xmlns:db='jabber:server:dialback' from='example.org' to='xmpp.example.com' "
        "id='D60000229F' type='valid'/>");
    peer.feed(start + "to='example.org' id='D60000229E'>" + key + "</x:verify>");
    EXPECT_TRUE(peer.take_out().ends_with("type='invalid'/>"));
    peer.feed(start + "to='example.org' id='D60000229F'>" + std::string(1000, 'a') + "</x:verify>");
    EXPECT_TRUE(peer.take_out().ends_with("type='invalid'/>"));
    peer.feed(start + "to='nowhere.example' id='1'>" + key + "</x:verify>");
    EXPECT_TRUE(contains(peer.take_out(), "<item-not-found "));
    EXPECT_EQ(peer.seen.size(), 0u);
    peer.feed(start + "to='example.org'>" + key + "</x:verify>");
    peer.expect_error("bad-format");
}

// S2S-40
TEST(StreamInbound, VerifyBeforeRequiredTls) {
    Inbound peer;
    peer.feed(header("example.org", "sip.example"));
    peer.feed("<db:verify from='example.org' to='sip.example' id='1'>k</db:verify>");
    EXPECT_TRUE(contains(peer.out, "type='error'"));
    peer.expect_error("policy-violation");
}

// DB-7: we ask nothing on their stream.
TEST(StreamInbound, AnswersNeverAskedFor) {
    Inbound peer(kClearOnly);
    peer.feed(header("example.org", "sip.example"));
    peer.take_out();
    peer.feed(
        "<db:result from='example.org' to='sip.example' type='valid'/>"
        "<db:verify from='example.org' to='sip.example' id='1' type='valid'/>");
    EXPECT_EQ(peer.stream->counts().answers_dropped, 2u);
    EXPECT_EQ(peer.out, "");
    EXPECT_TRUE(peer.seen.empty());
    peer.feed(kMessage);
    peer.expect_error("not-authorized");
}

// What was asked for in clear text is worth nothing under TLS.
TEST(StreamInbound, PendingDialbackDoesNotSurviveStartTls) {
    Inbound peer(kAnyMethod);
    peer.feed(header("example.org", "sip.example"));
    peer.feed("<db:result from='example.org' to='sip.example'>k</db:result>");
    peer.feed(kStartTls);
    peer.take_out();
    peer.stream->verified("sip.example", "example.org", peer.stream->id(), Verdict::kValid,
                          peer.now);
    peer.secure(certificate_of({}));
    peer.stream->verified("sip.example", "example.org", peer.stream->id(), Verdict::kValid,
                          peer.now);
    peer.pump();
    EXPECT_EQ(peer.out, "");
    EXPECT_FALSE(peer.stream->authenticated());
}

// Nor may its late verdict be taken for the answer to what is asked under TLS.
TEST(StreamInbound, AVerdictIsForOneStreamId) {
    Inbound peer(kAnyMethod);
    peer.feed(header("example.org", "sip.example"));
    peer.feed("<db:result from='example.org' to='sip.example'>k</db:result>");
    const std::string id = peer.last(Kind::kVerify)->id;
    peer.feed(kStartTls);
    peer.secure(certificate_of({}));
    peer.feed(header("example.org", "sip.example"));
    peer.feed("<db:result from='example.org' to='sip.example'>other</db:result>");
    EXPECT_NE(peer.last(Kind::kVerify)->id, id);
    peer.stream->verified("sip.example", "example.org", id, Verdict::kValid, peer.now);
    peer.pump();
    EXPECT_FALSE(peer.stream->authenticated());
    peer.feed(kMessage);
    peer.expect_error("not-authorized");
}

// CERT-1: roots that one partner is judged by say nothing of another.
TEST(StreamInbound, ACertificateIsJudgedByTheRootsOfItsDomain) {
    Inbound peer(kStrict);
    peer.not_judged = {"victim.example"};
    peer.feed(header("example.org", "sip.example"));
    peer.feed(kStartTls);
    peer.secure(certificate_of({"example.org", "victim.example"}));
    peer.take_out();
    peer.feed(header("victim.example", "sip.example"));
    EXPECT_FALSE(contains(peer.out, "EXTERNAL"));
    peer.feed(kAuth);
    EXPECT_TRUE(contains(peer.out, "<not-authorized/>"));
    EXPECT_FALSE(peer.stream->authenticated());

    Inbound result(kStrict);
    result.not_judged = {"victim.example"};
    result.start_tls(certificate_of({"example.org", "victim.example"}));
    result.feed(header("example.org", "sip.example"));
    result.feed("<db:result from='victim.example' to='sip.example'>k</db:result>");
    EXPECT_FALSE(result.stream->authenticated());
    EXPECT_FALSE(contains(result.out, "type='valid'"));
}

// CERT-8: what the host must ask about first waits, and nothing that follows overtakes it.
TEST(StreamInbound, ACertificateMayBeJudgedLater) {
    Inbound peer(kStrict);
    peer.judged_later = {"example.org"};
    peer.start_tls(certificate_of({"example.org", "other.example"}));
    const std::string all = header("example.org", "sip.example");
    peer.feed(Bytes(all).substr(0, 60));
    peer.feed(Bytes(all).substr(60));
    peer.feed(kAuth);
    peer.pump();
    EXPECT_EQ(peer.out, "");
    EXPECT_EQ(peer.input, all.substr(all.find("<stream:")) + std::string(kAuth));
    peer.judged_later.clear();
    peer.pump();
    EXPECT_TRUE(contains(peer.out, "EXTERNAL"));
    EXPECT_TRUE(contains(peer.out, "<success"));
    EXPECT_EQ(peer.input, "");
    peer.feed(header("example.org", "sip.example"));
    peer.take_out();

    // S2S-43: so does a domain more that the certificate may prove.
    peer.judged_later = {"other.example"};
    const std::string key = "<db:result from='other.example' to='sip.example'>k</db:result>";
    peer.feed(key + std::string(kMessage));
    peer.pump();
    EXPECT_EQ(peer.out, "");
    EXPECT_EQ(peer.count(Kind::kStanza), 0u);
    peer.judged_later.clear();
    peer.pump();
    EXPECT_TRUE(contains(peer.out, "type='valid'"));
    EXPECT_EQ(peer.count(Kind::kStanza), 1u);

    // S2S-60: not for ever. S2S-8: what is shown again counts once.
    Inbound slow(kStrict);
    slow.judged_later = {"example.org"};
    slow.start_tls(certificate_of({"example.org"}));
    slow.feed(header("example.org", "sip.example"));
    for (int i = 0; i < 1'000; ++i) slow.pump();
    EXPECT_EQ(slow.count(Kind::kClosed), 0u);
    slow.advance(slow.settings.header_wait);
    EXPECT_TRUE(contains(slow.out, "<connection-timeout"));
    EXPECT_EQ(slow.count(Kind::kClosed), 1u);
}

// S2S-4: `from` may be missing before TLS only.
TEST(StreamInbound, HeaderWithoutFrom) {
    Inbound peer;
    peer.feed(header("", "sip.example"));
    EXPECT_FALSE(contains(peer.out, " to='"));
    peer.feed(kStartTls);
    peer.secure(certificate_of({"example.org"}));
    peer.feed(header("", "sip.example"));
    peer.expect_error("improper-addressing");

    Inbound clear(kClearOnly);
    clear.feed(header("", "sip.example"));
    clear.dial_back();
    clear.feed(kMessage);
    EXPECT_EQ(clear.count(Kind::kStanza), 1u);
}

// S2S-5: an old server, where dialback in clear text is allowed.
TEST(StreamInbound, OldServers) {
    Inbound peer(kClearOnly);
    peer.feed(header("example.org", "sip.example", ""));
    EXPECT_FALSE(contains(peer.out, "version='1.0' "));
    EXPECT_FALSE(contains(peer.out, "features"));
    peer.dial_back();
    EXPECT_TRUE(peer.stream->authenticated());
}

// S2S-8
TEST(StreamInbound, SizesBeforeAuthentication) {
    Inbound element(kClearOnly);
    element.feed(header("example.org", "sip.example"));
    element.feed("<db:result from='example.org' to='sip.example'>" + std::string(10'000, 'a'));
    EXPECT_TRUE(contains(element.out, "<stanza-too-big xmlns='urn:xmpp:errors'/>"));
    EXPECT_EQ(element.last(Kind::kClosed)->end.condition, StreamError::kStanzaTooBig);

    Inbound total(kClearOnly);
    total.feed(header("example.org", "sip.example"));
    const std::string ask = "<db:verify from='a.example' to='sip.example' id='1'>" +
                            std::string(2'000, 'a') + "</db:verify>";
    for (int i = 0; i < 7; ++i) total.feed(ask);
    EXPECT_EQ(total.count(Kind::kClosed), 0u);
    total.feed(ask);
    total.expect_error("policy-violation");

    Inbound spaces(kClearOnly);
    for (int i = 0; i < 20; ++i) spaces.feed(std::string(1'000, ' '));
    EXPECT_EQ(spaces.count(Kind::kClosed), 1u);

    Inbound open;
    open.settings.stanza_bytes_max = 50'000;
    open.authenticate();
    open.feed("<message from='a@example.org' to='b@sip.example'><body>" + std::string(49'000, 'a') +
              "</body></message>");
    EXPECT_EQ(open.count(Kind::kStanza), 1u);
    open.feed("<message from='a@example.org' to='b@sip.example'><body>" + std::string(50'000, 'a'));
    EXPECT_TRUE(contains(open.out, "<stanza-too-big "));
}

// S2S-60, S2S-61
TEST(StreamInbound, MutePeers) {
    Inbound mute;
    mute.advance(9s);
    EXPECT_EQ(mute.out, "");
    mute.advance(1s);
    EXPECT_TRUE(mute.out.ends_with(stream_error("connection-timeout")));
    EXPECT_EQ(mute.last(Kind::kClosed)->end.cause, Cause::kTimeout);
    EXPECT_EQ(mute.stream->deadline(), kNever);

    Inbound handshake;
    handshake.feed(header("example.org", "sip.example"));
    handshake.feed(kStartTls);
    handshake.take_out();
    handshake.advance(10s);
    EXPECT_EQ(handshake.out, "");  // nothing can be said in the middle of a handshake
    EXPECT_EQ(handshake.last(Kind::kClosed)->end.cause, Cause::kTimeout);

    Inbound open;
    open.authenticate();
    EXPECT_EQ(open.stream->deadline(), kNever);
}

// S2S-60, S2S-61: bytes that come one a second move no deadline, in whatever phase they come.
TEST(StreamInbound, DrippingPeers) {
    const auto lasts = [](Inbound& peer, Bytes bytes) {
        const Instant begun = peer.now;
        for (std::size_t i = 0; peer.count(Kind::kClosed) == 0 && i < 100; ++i) {
            peer.feed(i < bytes.size() ? bytes.substr(i, 1) : Bytes(" "));
            peer.advance(1s);
        }
        EXPECT_EQ(peer.last(Kind::kClosed)->end.cause, Cause::kTimeout);
        EXPECT_TRUE(peer.out.ends_with(stream_error("connection-timeout")));
        return peer.now - begun;
    };
    const std::string long_header = header("example.org", "sip.example", std::string(99, ' '));
    const std::string slow_proof = std::string(kAuth.substr(0, 20)) + std::string(99, ' ');
    Inbound first;
    EXPECT_EQ(lasts(first, long_header), 10s);
    Inbound features;
    features.feed(header("example.org", "sip.example"));
    EXPECT_EQ(lasts(features, {}), 30s);
    Inbound over_tls;
    over_tls.feed(header("example.org", "sip.example"));
    over_tls.feed(kStartTls);
    over_tls.secure(certificate_of({"example.org"}));
    EXPECT_EQ(lasts(over_tls, long_header), 10s);
    Inbound sasl;
    sasl.feed(header("example.org", "sip.example"));
    sasl.feed(kStartTls);
    sasl.secure(certificate_of({"example.org"}));
    sasl.feed(header("example.org", "sip.example"));
    EXPECT_EQ(lasts(sasl, slow_proof), 30s);
    Inbound restarted;
    restarted.feed(header("example.org", "sip.example"));
    restarted.feed(kStartTls);
    restarted.secure(certificate_of({"example.org"}));
    restarted.feed(header("example.org", "sip.example"));
    restarted.feed(kAuth);
    EXPECT_EQ(lasts(restarted, long_header), 10s);

    // As late as each phase allows, and no later in all.
    Inbound slow;
    slow.advance(9s);
    slow.feed(header("example.org", "sip.example"));
    slow.feed(kStartTls);
    slow.advance(9s);
    slow.secure(certificate_of({"example.org"}));
    slow.advance(9s);
    slow.feed(header("example.org", "sip.example"));
    EXPECT_EQ(lasts(slow, slow_proof), 3s);

    // What we ask another server is not the peer's time, and has an end as well.
    Inbound dialback;
    dialback.default_policy = kAnyMethod;
    dialback.feed(header("example.org", "sip.example"));
    dialback.advance(20s);
    dialback.feed("<db:result from='example.org' to='sip.example'>key</db:result>");
    EXPECT_EQ(lasts(dialback, {}), 40s);
    Inbound again;
    again.default_policy = kAnyMethod;
    again.feed(header("example.org", "sip.example"));
    again.advance(5s);
    while (again.count(Kind::kClosed) == 0) {
        again.feed("<db:result from='example.org' to='sip.example'>key</db:result>");
        again.advance(5s);
    }
    EXPECT_EQ(again.now - Instant{}, 60s);

    // The key of the configuration may make it shorter.
    Inbound shorter;
    shorter.settings.establish_max = 15s;
    shorter.accept();
    shorter.feed(header("example.org", "sip.example"));
    EXPECT_EQ(lasts(shorter, {}), 15s);
}

// S2S-16
TEST(StreamInbound, Acknowledgements) {
    Inbound peer;
    peer.authenticate();
    peer.feed(kMessage);
    peer.feed("<r xmlns='urn:xmpp:sm:3'/>");
    EXPECT_TRUE(contains(peer.take_out(), "<unexpected-request "));
    peer.feed("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    EXPECT_EQ(peer.take_out(), "<enabled xmlns='urn:xmpp:sm:3'/>");
    peer.feed("<enable xmlns='urn:xmpp:sm:3'/>");
    EXPECT_TRUE(contains(peer.take_out(), "<failed "));
    peer.feed("<r xmlns='urn:xmpp:sm:3'/>");
    EXPECT_EQ(peer.take_out(), "<a xmlns='urn:xmpp:sm:3' h='0'/>");
    peer.feed(std::string(kMessage) + std::string(kMessage) + "<r xmlns='urn:xmpp:sm:3'/>");
    EXPECT_EQ(peer.take_out(), "<a xmlns='urn:xmpp:sm:3' h='2'/>");
    peer.feed("<resume xmlns='urn:xmpp:sm:3' h='0' previd='x'/>");
    EXPECT_TRUE(contains(peer.take_out(), "<failed "));

    Inbound early(kClearOnly);
    early.feed(header("example.org", "sip.example"));
    early.take_out();
    early.feed("<enable xmlns='urn:xmpp:sm:3'/>");
    EXPECT_TRUE(contains(early.out, "<failed "));
}

// Back-pressure: a stanza that can't be taken comes again, once, and is counted once.
TEST(StreamInbound, PutBack) {
    Inbound peer;
    peer.authenticate();
    peer.feed("<enable xmlns='urn:xmpp:sm:3'/>");
    peer.take_out();
    peer.refuse_stanzas = 2;
    peer.feed("<r xmlns='urn:xmpp:sm:3'/> " + std::string(kMessage) + "<r xmlns='urn:xmpp:sm:3'/>");
    EXPECT_EQ(peer.input, std::string(kMessage) + "<r xmlns='urn:xmpp:sm:3'/>");
    peer.pump();
    EXPECT_EQ(peer.count(Kind::kStanza), 0u);
    EXPECT_EQ(peer.stream->counts().stanzas_in, 0u);
    peer.pump();
    EXPECT_EQ(peer.count(Kind::kStanza), 1u);
    EXPECT_EQ(peer.take_out(), "<a xmlns='urn:xmpp:sm:3' h='0'/><a xmlns='urn:xmpp:sm:3' h='1'/>");
    EXPECT_EQ(peer.stream->counts().stanzas_in, 1u);
    EXPECT_EQ(peer.stream->pairs()[0].stanzas, 1u);
}

// RFC 6120 4.4, S2S-18
TEST(StreamInbound, Closing) {
    Inbound theirs;
    theirs.authenticate();
    theirs.feed("</stream:stream>");
    EXPECT_EQ(theirs.out, "</stream:stream>");
    EXPECT_EQ(theirs.last(Kind::kClosed)->end.cause, Cause::kClosedByPeer);

    Inbound ours;
    ours.authenticate();
    ours.stream->close(ours.now);
    ours.pump();
    EXPECT_EQ(ours.out, "</stream:stream>");
    EXPECT_EQ(ours.count(Kind::kClosed), 0u);
    ours.feed(kMessage);  // under way when we closed
    EXPECT_EQ(ours.count(Kind::kStanza), 1u);
    ours.feed("<message from='a@evil.test' to='b@sip.example'/>");
    EXPECT_EQ(ours.count(Kind::kStanza), 1u);
    EXPECT_EQ(ours.out, "</stream:stream>");  // nothing behind the closing tag

    Inbound mute;
    mute.authenticate();
    mute.stream->close(mute.now);
    mute.advance(5s);
    EXPECT_EQ(mute.last(Kind::kClosed)->end.cause, Cause::kClosedByUs);
    EXPECT_EQ(mute.count(Kind::kClosed), 1u);
}

// S2S-21
TEST(StreamInbound, ErrorsReceived) {
    const auto end_of = [](Bytes condition) {
        Inbound peer;
        peer.authenticate();
        peer.feed("<stream:error><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>so</text><" +
                  std::string(condition) +
                  " xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>");
        EXPECT_EQ(peer.out, "</stream:stream>");
        EXPECT_EQ(peer.count(Kind::kClosed), 1u);
        return peer.last(Kind::kClosed)->end;
    };
    for (const Bytes recoverable :
         {"reset", "conflict", "connection-timeout", "internal-server-error", "resource-constraint",
          "system-shutdown", "remote-connection-failed", "undefined-condition", "made-up"}) {
        EXPECT_EQ(end_of(recoverable).cause, Cause::kErrorReceived);
        EXPECT_FALSE(end_of(recoverable).permanent) << recoverable;
    }
    for (const Bytes permanent : {"host-unknown", "host-gone", "not-authorized", "policy-violation",
                                  "invalid-from", "improper-addressing", "unsupported-version",
                                  "unsupported-encoding", "unsupported-stanza-type"}) {
        EXPECT_TRUE(end_of(permanent).permanent) << permanent;
        EXPECT_EQ(name_of(end_of(permanent).condition), permanent);
    }
}

// S2S-6, S2S-7 on an open stream
TEST(StreamInbound, BadElements) {
    const auto condition_of = [](Bytes bytes) {
        Inbound peer;
        peer.authenticate();
        peer.feed(bytes);
        EXPECT_EQ(peer.count(Kind::kStanza), 0u);
        const Seen* closed = peer.last(Kind::kClosed);
        return closed == nullptr ? Bytes() : name_of(closed->end.condition);
    };
    EXPECT_EQ(
        condition_of("<message xmlns='jabber:client' from='a@example.org' to='b@sip.example'/>"),
        "invalid-namespace");
    EXPECT_EQ(condition_of("<foo xmlns='urn:x'/>"), "unsupported-stanza-type");
    EXPECT_EQ(condition_of("<foo/>"), "unsupported-stanza-type");
    EXPECT_EQ(condition_of("<!-- x -->"), "restricted-xml");
    EXPECT_EQ(condition_of("<?pi?>"), "restricted-xml");
    EXPECT_EQ(condition_of("<message></presence>"), "not-well-formed");
    EXPECT_EQ(condition_of("text"), "bad-format");
    EXPECT_EQ(condition_of(" \n"), "");
}

TEST(StreamInbound, FullQueueEndsTheStream) {
    Inbound peer;
    peer.authenticate();
    peer.full = true;
    peer.feed("<r xmlns='urn:xmpp:sm:3'/>");
    EXPECT_EQ(peer.last(Kind::kClosed)->end.cause, Cause::kOutputFull);
}

}  // namespace
}  // namespace fedgate::xml
