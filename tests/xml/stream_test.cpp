// Two engines back to back, the table walked, and every cut of the bytes.
#include "xml/stream.hpp"

#include <cstdlib>
#include <new>

#include <gtest/gtest.h>

#include "core/rules/negotiation.hpp"
#include "tests/xml/stream_support.hpp"

namespace {
std::size_t allocation_count = 0;
}

// Not in line: the compiler would see free() of what new returned, and warn.
[[gnu::noinline]] void* operator new(std::size_t size) {
    ++allocation_count;
    if (void* memory = std::malloc(size)) return memory;
    std::abort();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace fedgate::xml {
namespace {

using namespace test;
using Kind = Action::Kind;
using Cause = StreamEnd::Cause;

// One TCP connection between two engines. `initiator` speaks for example.org.
struct Wire {
    Owner& initiator;
    Owner& receiver;
    PeerIdentity of_initiator = certificate_of({"example.org"});
    PeerIdentity of_receiver = certificate_of({"sip.example"});
    std::size_t next_verify = 0;
    bool answer_verify = true;  // as the authoritative server of example.org

    void run() {
        while (!initiator.out.empty() || !receiver.out.empty() || verify()) {
            const std::string there = initiator.take_out();
            if (!there.empty()) receiver.feed(there);
            const std::string back = receiver.take_out();
            if (!back.empty()) initiator.feed(back);
            if (initiator.stream->state() == StreamState::kTls &&
                receiver.stream->state() == StreamState::kTls) {
                receiver.secure(of_initiator);
                initiator.secure(of_receiver);
            }
        }
    }
    bool verify() {
        if (!answer_verify) return false;
        for (; next_verify < receiver.seen.size(); ++next_verify) {
            const Seen asked = receiver.seen[next_verify];
            if (asked.kind != Kind::kVerify) continue;
            ++next_verify;
            const bool valid = check_dialback_key(initiator.settings.dialback, asked.our,
                                                  asked.their, asked.id, asked.key);
            receiver.stream->verified(asked.our, asked.their, asked.id,
                                      valid ? Verdict::kValid : Verdict::kInvalid, receiver.now);
            receiver.pump();
            return true;
        }
        return false;
    }
    // The way in which the pair was proved to the receiver; nothing: it was not.
    [[nodiscard]] const Seen* proved() const {
        if (initiator.count(Kind::kPair) != 1) return nullptr;
        return receiver.last(Kind::kPair);
    }
};

struct Sides {
    Owner initiator;
    Owner receiver;
    Wire wire{initiator, receiver};

    Sides(StreamPolicy of_initiator, StreamPolicy of_receiver)
        : initiator(of_initiator), receiver(of_receiver) {
        initiator.settings.dialback = make_dialback_secrets("theirs");
        initiator.served = {"example.org"};
    }
    void run() {
        receiver.accept();
        initiator.connect(Stream::Role::kOutbound, "example.org", "sip.example");
        wire.run();
    }
};

StreamPolicy policy_of(const rules::Negotiation& row) {
    return {true, row.allows(rules::method::kSaslTls), row.allows(rules::method::kDialbackTls),
            row.allows(rules::method::kDialbackClear)};
}

// features.md A5, N6: each row, both ways, against peers that know one method each. It works
// exactly when the row lists that method, and gives that method's proof.
TEST(StreamMatrix, EachRowAllowsWhatItLists) {
    struct Peer {
        std::uint8_t method;
        StreamPolicy policy;
        bool certificates;
        Proof proof;
    };
    const Peer peers[] = {
        {rules::method::kSaslTls, {true, true, false, false}, true, Proof::kCertificate},
        {rules::method::kDialbackTls, {true, false, true, false}, false, Proof::kDialbackTls},
        {rules::method::kDialbackClear, {true, false, false, true}, false, Proof::kDialbackClear},
    };
    ASSERT_EQ(rules::negotiations().size(), 18u);
    for (const rules::Negotiation& row : rules::negotiations()) {
        for (const Peer& peer : peers) {
            for (const bool we_initiate : {false, true}) {
                Sides sides(we_initiate ? policy_of(row) : peer.policy,
                            we_initiate ? peer.policy : policy_of(row));
                if (!peer.certificates) {
                    sides.wire.of_initiator = certificate_of({"other.test"});
                    sides.wire.of_receiver = certificate_of({"other.test"});
                }
                sides.run();
                const Seen* proved = sides.wire.proved();
                // S2S-43: whoever has our certificate takes our dialback at once, strict or not.
                const bool short_cut = we_initiate && peer.method == rules::method::kSaslTls &&
                                       row.allows(rules::method::kDialbackTls);
                EXPECT_EQ(proved != nullptr, row.allows(peer.method) || short_cut)
                    << "tls " << int(row.tls) << " sasl " << int(row.sasl) << " dialback "
                    << row.dialback << " peer " << int(peer.method) << " initiate " << we_initiate;
                if (proved == nullptr) continue;
                EXPECT_EQ(proved->proof, peer.proof);
                // What was proved carries stanzas.
                EXPECT_TRUE(sides.initiator.stream->send(kMessage));
                sides.wire.run();
                EXPECT_EQ(sides.receiver.count(Kind::kStanza), 1u);
            }
        }
    }
}

// N3, N10: a row with a choice takes the strongest that the certificates bear.
TEST(StreamMatrix, TheStrongestMethodIsTaken) {
    Sides external(kAnyMethod, kAnyMethod);
    external.run();
    ASSERT_NE(external.wire.proved(), nullptr);
    EXPECT_EQ(external.wire.proved()->proof, Proof::kCertificate);
    EXPECT_TRUE(external.initiator.stream->acknowledges());  // after EXTERNAL: sm:3

    Sides theirs_bad(kAnyMethod, kAnyMethod);
    theirs_bad.wire.of_initiator = PeerIdentity{};  // no certificate shown
    theirs_bad.run();
    ASSERT_NE(theirs_bad.wire.proved(), nullptr);
    EXPECT_EQ(theirs_bad.wire.proved()->proof, Proof::kDialbackTls);
    EXPECT_FALSE(theirs_bad.initiator.stream->acknowledges());

    Sides wrong_key(kAnyMethod, kAnyMethod);
    wrong_key.wire.of_initiator = PeerIdentity{};
    wrong_key.wire.answer_verify = false;
    wrong_key.run();
    EXPECT_EQ(wrong_key.wire.proved(), nullptr);
    wrong_key.receiver.stream->verified("sip.example", "example.org",
                                        wrong_key.receiver.stream->id(), Verdict::kInvalid,
                                        wrong_key.receiver.now);
    wrong_key.receiver.pump();
    wrong_key.wire.run();
    EXPECT_EQ(wrong_key.initiator.last(Kind::kClosed)->end.cause, Cause::kRefused);
    EXPECT_EQ(wrong_key.receiver.last(Kind::kClosed)->end.cause, Cause::kRefused);
}

// XEP-0220 whole: the question goes to the authoritative server on a stream of its own (DB-5,
// DB-8).
TEST(StreamMatrix, DialbackThroughTheAuthoritativeServer) {
    for (const bool same_secret : {true, false}) {
        Sides sides(kTlsRequired, kTlsRequired);
        sides.wire.of_initiator = sides.wire.of_receiver = certificate_of({"other.test"});
        sides.wire.answer_verify = false;
        sides.run();
        ASSERT_EQ(sides.receiver.count(Kind::kVerify), 1u);
        const Seen asked = *sides.receiver.last(Kind::kVerify);

        Sides back(kTlsRequired, kTlsRequired);  // receiver and initiator have changed places
        back.wire.of_initiator = back.wire.of_receiver = certificate_of({"other.test"});
        back.receiver.served = {"example.org"};
        back.receiver.settings.dialback = make_dialback_secrets(same_secret ? "theirs" : "else");
        back.receiver.accept();
        back.initiator.connect(Stream::Role::kVerify, asked.our, asked.their);
        ASSERT_TRUE(back.initiator.stream->request_verify(asked.our, asked.their, asked.id,
                                                          asked.key, back.initiator.now));
        back.wire.run();
        ASSERT_EQ(back.initiator.count(Kind::kVerifyAnswer), 1u);
        const Seen answer = *back.initiator.last(Kind::kVerifyAnswer);
        EXPECT_EQ(answer.verdict, same_secret ? Verdict::kValid : Verdict::kInvalid);
        EXPECT_FALSE(back.receiver.stream->authenticated());

        sides.receiver.stream->verified(answer.our, answer.their, answer.id, answer.verdict,
                                        sides.receiver.now);
        sides.receiver.pump();
        sides.wire.run();
        EXPECT_EQ(sides.wire.proved() != nullptr, same_secret);
    }
}

// S2S-60: the handshake has its own limit here too.
TEST(StreamMatrix, DirectTls) {
    Sides sides(kStrict, kStrict);
    sides.receiver.accept();
    sides.receiver.stream->expect_tls(sides.receiver.now);
    EXPECT_EQ(sides.receiver.stream->deadline(), sides.receiver.now + 10s);
    sides.receiver.secure(sides.wire.of_initiator, true);
    sides.initiator.stream =
        std::make_unique<Stream>(sides.initiator, sides.initiator.settings, Stream::Role::kOutbound,
                                 "example.org", "sip.example", sides.initiator.now);
    sides.initiator.stream->expect_tls(sides.initiator.now);
    sides.initiator.secure(sides.wire.of_receiver, true);
    EXPECT_EQ(sides.initiator.out, "");
    sides.initiator.stream->open(sides.initiator.now);
    sides.wire.run();
    ASSERT_NE(sides.wire.proved(), nullptr);
    EXPECT_EQ(sides.initiator.count(Kind::kStartTls), 0u);

    Owner mute(kStrict);
    mute.accept();
    mute.stream->expect_tls(mute.now);
    mute.advance(10s);
    EXPECT_EQ(mute.last(Kind::kClosed)->end.cause, Cause::kTimeout);
    EXPECT_EQ(mute.out, "");
}

// S2S-16: what one side sends the other acknowledges, all of it.
TEST(StreamMatrix, EveryStanzaIsAcknowledged) {
    Sides sides(kStrict, kStrict);
    sides.run();
    std::uint32_t acknowledged = 0;
    for (int i = 0; i < 220; ++i) {
        EXPECT_TRUE(sides.initiator.stream->send(kMessage));
        sides.wire.run();
    }
    sides.initiator.stream->request_acknowledgement();
    sides.wire.run();
    for (const Seen& one : sides.initiator.take_seen()) acknowledged += one.count;
    EXPECT_EQ(acknowledged, 220u);
    EXPECT_EQ(sides.receiver.count(Kind::kStanza), 220u);
    EXPECT_EQ(sides.initiator.stream->unacknowledged(), 0u);
    sides.initiator.stream->close(sides.initiator.now);
    sides.wire.run();
    sides.initiator.pump();
    EXPECT_EQ(sides.receiver.last(Kind::kClosed)->end.cause, Cause::kClosedByPeer);
    EXPECT_EQ(sides.initiator.last(Kind::kClosed)->end.cause, Cause::kClosedByUs);
}

// A conversation as the peer's side of it, in pieces between which a TLS handshake stands.
struct Script {
    bool inbound;
    StreamPolicy policy;
    std::vector<std::string> pieces;
};

const Script kScripts[] = {
    {true,
     kTlsRequired,
     {header("example.org", "sip.example") + std::string(kStartTls),
      header("example.org", "sip.example") + std::string(kAuth) +
          header("example.org", "sip.example") + "<enable xmlns='urn:xmpp:sm:3'/>" +
          std::string(kMessage) + "  \n<r xmlns='urn:xmpp:sm:3'/>" +
          "<db:verify from='example.org' to='sip.example' id='7'>k</db:verify>" +
          "<message from='a@example.org' to='b@voice.example'><body>&lt;\xf0\x9f\x98\x80"
          "<![CDATA[</message>]]></body></message></stream:stream>"}},
    {true,
     kClearOnly,
     {header("example.org", "sip.example") +
      "<db:result from='example.org' to='sip.example'>key</db:result>" +
      "<db:result from='b.example' to='voice.example' type='valid'/>" + std::string(kMessage)}},
    {false,
     kTlsRequired,
     {header("sip.example", "example.org", " id='1' version='1.0'") +
          "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>" +
          std::string(kProceed),
      header("sip.example", "example.org", " id='2' version='1.0'") +
          "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>"
          "<mechanism>EXTERNAL</mechanism></mechanisms></stream:features>" +
          std::string(kSuccess) + header("sip.example", "example.org", " id='3' version='1.0'") +
          "<stream:features><sm xmlns='urn:xmpp:sm:3'/></stream:features>"
          "<enabled xmlns='urn:xmpp:sm:3'/><r xmlns='urn:xmpp:sm:3'/>" +
          stream_error("system-shutdown")}},
};

struct Played {
    std::string out;
    std::vector<Seen> seen;
    bool operator==(const Played&) const = default;
};

// Feeds each piece in chunks of `step` bytes, `cut` bytes first.
Played play(const Script& script, std::size_t cut, std::size_t step) {
    Owner owner(script.policy);
    if (script.inbound) {
        owner.accept();
    } else {
        owner.connect(Stream::Role::kOutbound, "sip.example", "example.org");
    }
    for (std::size_t i = 0; i < script.pieces.size(); ++i) {
        if (i > 0) owner.secure(certificate_of({"example.org"}));
        Bytes rest = script.pieces[i];
        for (std::size_t size = cut % (rest.size() + 1); !rest.empty(); size = step) {
            const std::size_t count = std::min(size, rest.size());
            owner.feed(rest.substr(0, count));
            rest.remove_prefix(count);
        }
    }
    return {owner.out, owner.seen};
}

TEST(StreamSplits, EveryCutGivesTheSame) {
    for (const Script& script : kScripts) {
        const std::size_t whole = 1 << 20;
        const Played expected = play(script, whole, whole);
        ASSERT_FALSE(expected.seen.empty());
        EXPECT_EQ(expected.seen.back().kind, Kind::kClosed);
        std::size_t longest = 0;
        for (const std::string& piece : script.pieces) longest = std::max(longest, piece.size());
        for (std::size_t cut = 0; cut <= longest; ++cut) {
            ASSERT_EQ(play(script, cut, whole), expected) << "cut " << cut;
        }
        EXPECT_EQ(play(script, 1, 1), expected);
        EXPECT_EQ(play(script, 3, 7), expected);
    }
}

// Every byte of a conversation changed: whatever happens, nothing unproved comes through.
TEST(StreamHostile, DamagedConversations) {
    for (const Script& script : kScripts) {
        for (std::size_t piece = 0; piece < script.pieces.size(); ++piece) {
            for (std::size_t i = 0; i < script.pieces[piece].size(); ++i) {
                for (const char c : {'\0', '<', '\'', 'x', '\xff'}) {
                    Script damaged = script;
                    damaged.pieces[piece][i] = c;
                    const Played played = play(damaged, 0, 1 << 20);
                    bool proved = false;
                    for (const Seen& seen : played.seen) {
                        if (seen.kind == Kind::kPair) proved = true;
                        if (seen.kind != Kind::kStanza) continue;
                        ASSERT_TRUE(proved);
                        ASSERT_EQ(seen.their, "example.org");
                    }
                }
            }
        }
    }
}

// Brings an engine into `state`; false: that direction has no such state.
bool bring_to(Owner& owner, bool inbound, StreamState state) {
    const auto at = [&] { return owner.stream->state() == state; };
    if (inbound) {
        owner.accept();
        if (state == StreamState::kHeader) return true;
        owner.feed(header("example.org", "sip.example"));
        if (at()) return true;
        if (state == StreamState::kTls) {
            owner.feed(kStartTls);
            return at();
        }
        owner.feed("<db:result from='example.org' to='sip.example'>k</db:result>");
        owner.stream->verified("sip.example", "example.org", owner.stream->id(), Verdict::kValid,
                               owner.now);
    } else {
        owner.connect(Stream::Role::kOutbound, "sip.example", "example.org");
        const std::string reply = header("example.org", "sip.example", " id='1' version='1.0'");
        const std::string features =
            "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>"
            "<mechanism>EXTERNAL</mechanism></mechanisms></stream:features>";
        const std::string steps[] = {reply,
                                     "<stream:features><starttls "
                                     "xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>",
                                     std::string(kProceed)};
        if (at()) return true;
        if (state == StreamState::kDialback) {
            owner.feed(reply + "<stream:features/>");
            return at();
        }
        for (const std::string& step : steps) {
            owner.feed(step);
            if (at()) return true;
        }
        owner.secure(certificate_of({"example.org"}));
        const std::string more[] = {reply + features,
                                    std::string(kSuccess) + reply +
                                        "<stream:features><sm xmlns='urn:xmpp:sm:3'/>"
                                        "</stream:features>",
                                    "<enabled xmlns='urn:xmpp:sm:3'/>"};
        for (const std::string& step : more) {
            owner.feed(step);
            if (at()) return true;
        }
    }
    owner.pump();
    if (at()) return true;
    owner.stream->close(owner.now);
    owner.pump();
    if (at()) return true;
    owner.feed("</stream:stream>");
    return at();
}

struct Stimulus {
    StreamEvent event;
    std::string bytes;
};

const Stimulus kStimuli[] = {
    {StreamEvent::kHeader, header("example.org", "sip.example", " id='1' version='1.0'")},
    {StreamEvent::kEnd, "</stream:stream>"},
    {StreamEvent::kError,
     "<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"},
    {StreamEvent::kFeatures, "<stream:features/>"},
    {StreamEvent::kStartTls, std::string(kStartTls)},
    {StreamEvent::kProceed, std::string(kProceed)},
    {StreamEvent::kTlsFailure, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"},
    {StreamEvent::kAuth, std::string(kAuth)},
    {StreamEvent::kSuccess, std::string(kSuccess)},
    {StreamEvent::kSaslFailure, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"},
    {StreamEvent::kResult, "<db:result from='b.example' to='sip.example'>k</db:result>"},
    {StreamEvent::kResultAnswer, "<db:result from='x.example' to='sip.example' type='valid'/>"},
    {StreamEvent::kVerify, "<db:verify from='example.org' to='sip.example' id='1'>k</db:verify>"},
    {StreamEvent::kVerifyAnswer,
     "<db:verify from='x.example' to='sip.example' id='1' type='valid'/>"},
    {StreamEvent::kSmEnable, "<enable xmlns='urn:xmpp:sm:3'/>"},
    {StreamEvent::kSmEnabled, "<enabled xmlns='urn:xmpp:sm:3'/>"},
    {StreamEvent::kSmFailed, "<failed xmlns='urn:xmpp:sm:3'/>"},
    {StreamEvent::kSmRequest, "<r xmlns='urn:xmpp:sm:3'/>"},
    {StreamEvent::kSmAck, "<a xmlns='urn:xmpp:sm:3' h='0'/>"},
    {StreamEvent::kSmResume, "<resume xmlns='urn:xmpp:sm:3'/>"},
    {StreamEvent::kSmResumed, "<resumed xmlns='urn:xmpp:sm:3'/>"},
    {StreamEvent::kBidi, "<bidi xmlns='urn:xmpp:bidi'/>"},
    {StreamEvent::kStanza, std::string(kMessage)},
    {StreamEvent::kUnknown, "<x xmlns='urn:x'/>"},
};
static_assert(std::size(kStimuli) == kStreamEvents);

bool contains(Bytes text, Bytes part) { return text.find(part) != Bytes::npos; }

TEST(StreamTable, EveryStateAndEvent) {
    constexpr StreamState kInboundStates[] = {StreamState::kHeader,      StreamState::kTls,
                                              StreamState::kNegotiating, StreamState::kOpen,
                                              StreamState::kClosing,     StreamState::kClosed};
    constexpr StreamState kOutboundStates[] = {
        StreamState::kHeader,  StreamState::kFeatures, StreamState::kStartTls, StreamState::kTls,
        StreamState::kSasl,    StreamState::kDialback, StreamState::kEnable,   StreamState::kOpen,
        StreamState::kClosing, StreamState::kClosed};
    const auto walk = [](bool inbound, StreamState state, const Stimulus& stimulus) {
        Owner owner(kAnyMethod);
        ASSERT_TRUE(bring_to(owner, inbound, state));
        owner.take_out();
        owner.take_seen();
        owner.feed(stimulus.bytes);
        EXPECT_TRUE(owner.input.empty() || owner.stream->state() == StreamState::kHeader);
        const StreamRun run =
            find_run(inbound ? kInboundTable : kOutboundTable, state, stimulus.event);
        const bool stanza = owner.count(Kind::kStanza) != 0;
        EXPECT_EQ(stanza, run == StreamRun::kStanzaIn);
        EXPECT_LE(owner.count(Kind::kClosed), 1u);
        if (state == StreamState::kHeader && stimulus.event != StreamEvent::kHeader) {
            // The framer lets nothing but a header through.
            EXPECT_EQ(owner.count(Kind::kClosed), 1u);
            return;
        }
        if (state == StreamState::kTls) {  // S2S-12
            EXPECT_EQ(owner.out, "");
            EXPECT_EQ(owner.last(Kind::kClosed)->end.condition, StreamError::kPolicyViolation);
            return;
        }
        // A second header is an element without an end; the framer waits.
        if (stimulus.event == StreamEvent::kHeader && state != StreamState::kHeader) return;
        switch (run) {
            case StreamRun::kUnsupported:
                EXPECT_EQ(owner.out, stream_error("unsupported-stanza-type"));
                break;
            case StreamRun::kNotAuthorized:
                EXPECT_EQ(owner.out, stream_error("not-authorized"));
                break;
            case StreamRun::kIgnore:
                EXPECT_EQ(owner.out, "");
                EXPECT_TRUE(owner.seen.empty());
                break;
            case StreamRun::kDropAnswer:
            case StreamRun::kResultOut:
            case StreamRun::kVerifyOut:  // answers to nothing that was asked
                EXPECT_EQ(owner.stream->counts().answers_dropped, 1u);
                EXPECT_TRUE(owner.seen.empty());
                break;
            case StreamRun::kPeerClosed:
            case StreamRun::kPeerError:
                EXPECT_EQ(owner.count(Kind::kClosed), 1u);
                EXPECT_EQ(owner.out, state == StreamState::kClosing ? "" : "</stream:stream>");
                break;
            case StreamRun::kSmUnexpected:
                EXPECT_TRUE(contains(owner.out, "<failed xmlns='urn:xmpp:sm:3'>"));
                break;
            default: break;
        }
    };
    for (const Stimulus& stimulus : kStimuli) {
        for (const StreamState state : kInboundStates) {
            SCOPED_TRACE("inbound state " + std::to_string(int(state)) + ": " + stimulus.bytes);
            walk(true, state, stimulus);
        }
        for (const StreamState state : kOutboundStates) {
            SCOPED_TRACE("outbound state " + std::to_string(int(state)) + ": " + stimulus.bytes);
            walk(false, state, stimulus);
        }
    }
}

TEST(StreamTable, ErrorNamesRoundTrip) {
    for (const StreamErrorRow& row : kStreamErrors) {
        if (row.error == StreamError::kNone || row.error >= StreamError::kStanzaTooBig) continue;
        EXPECT_EQ(parse_stream_error(row.name), row.error);
    }
    EXPECT_EQ(parse_stream_error(""), StreamError::kUndefinedCondition);
}

// An owner that keeps nothing.
struct QuietHost : StreamHost {
    bool write(Bytes) override { return true; }
    Served serves(Bytes) override { return Served::kYes; }
    StreamPolicy policy(Bytes, Bytes) override { return kClearOnly; }
    void fill_random(MutableBytes memory) override {
        for (char& c : memory) c = 'r';
    }
};

// Style guide, section 7: the message path allocates nothing.
TEST(StreamSpeed, StanzasAllocateNothing) {
    QuietHost host;
    StreamSettings settings;
    Stream stream(host, settings, Instant{});
    static_cast<void>(stream.next(header("example.org", "sip.example"), Instant{}));
    static_cast<void>(
        stream.next("<db:result from='example.org' to='sip.example'>k</db:result>", Instant{}));
    stream.verified("sip.example", "example.org", stream.id(), Verdict::kValid, Instant{});
    EXPECT_EQ(stream.next({}, Instant{}).kind, Kind::kPair);
    EXPECT_EQ(stream.next(kMessage, Instant{}).kind, Kind::kStanza);  // what is kept of one grows
    const std::size_t before = allocation_count;
    std::size_t stanzas = 0;
    for (int i = 0; i < 1'000; ++i) {
        stanzas += stream.next(kMessage, Instant{}).kind == Kind::kStanza;
    }
    EXPECT_EQ(allocation_count, before);
    EXPECT_EQ(stanzas, 1'000u);
}

}  // namespace
}  // namespace fedgate::xml
