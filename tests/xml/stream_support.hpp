// A stream engine with its owner, for tests: keeps what came out, and shows input as a connection
// does.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "xml/stream.hpp"

namespace fedgate::xml::test {

inline constexpr StreamPolicy kAnyMethod{true, true, true, true};
inline constexpr StreamPolicy kStrict{true, true, false, false};      // S/TLS
inline constexpr StreamPolicy kTlsRequired{true, true, true, false};  // S/TLS, D/TLS
inline constexpr StreamPolicy kClearOnly{true, false, false, true};   // D/TCP

struct Seen {
    Action::Kind kind{};
    Proof proof{};
    Verdict verdict{};
    std::string our, their, stanza, id, key;
    std::uint32_t count = 0;
    StreamEnd end;

    bool operator==(const Seen& o) const {
        return kind == o.kind && proof == o.proof && verdict == o.verdict && our == o.our &&
               their == o.their && stanza == o.stanza && id == o.id && key == o.key &&
               count == o.count && end.cause == o.end.cause && end.condition == o.end.condition;
    }
};

inline PeerIdentity certificate_of(std::vector<std::string> domains) {
    PeerIdentity identity;
    identity.presented = true;
    identity.chain_valid = true;
    identity.dns_names = std::move(domains);
    return identity;
}

class Owner : public StreamHost {
public:
    // Inbound.
    explicit Owner(StreamPolicy policy) : default_policy(policy) {
        settings.default_domain = "sip.example";
        settings.dialback = make_dialback_secrets("s3cr3tf0rd14lb4ck");
    }
    void accept() { stream = std::make_unique<Stream>(*this, settings, now); }
    void connect(Stream::Role role, Bytes our, Bytes their) {
        stream = std::make_unique<Stream>(*this, settings, role, our, their, now);
        stream->open(now);
        pump();
    }

    bool write(Bytes bytes) override {
        if (full) return false;
        out += bytes;
        return true;
    }
    Served serves(Bytes our) override {
        if (served.contains(std::string(our))) return Served::kYes;
        return gone.contains(std::string(our)) ? Served::kGone : Served::kNo;
    }
    StreamPolicy policy(Bytes, Bytes their) override {
        return denied.contains(std::string(their)) ? StreamPolicy{} : default_policy;
    }
    Judged judges(Bytes their) override {
        if (judged_later.contains(std::string(their))) return Judged::kLater;
        return not_judged.contains(std::string(their)) ? Judged::kNo : Judged::kYes;
    }
    void fill_random(MutableBytes memory) override {
        for (char& c : memory) c = static_cast<char>(++random);
    }

    // Received bytes: shown until consumed, moved at every call, dropped at a TLS handshake as the
    // connection would. The owner's loop of stream.hpp.
    void feed(Bytes bytes) {
        input += bytes;
        pump();
    }
    void pump() {
        for (;;) {
            const auto shown = std::make_unique<std::string>(input);
            const Action action = stream->next(*shown, now);
            ASSERT_LE(action.consumed, input.size());
            std::size_t consumed = action.consumed;
            const bool refused = action.kind == Action::Kind::kStanza && refuse_stanzas > 0;
            if (refused) {
                --refuse_stanzas;
                consumed -= stream->put_back();
            } else if (action.kind != Action::Kind::kNone) {
                seen.push_back({action.kind, action.proof, action.verdict, std::string(action.our),
                                std::string(action.their), std::string(action.stanza),
                                std::string(action.id), std::string(action.key), action.count,
                                action.end});
            }
            input.erase(0, consumed);
            if (refused) return;
            if (action.kind == Action::Kind::kNone) break;
            // A stream that waits for TLS must not be shown what comes before the handshake is
            // done.
            if (action.kind == Action::Kind::kStartTls) break;
        }
    }
    void secure(const PeerIdentity& identity, bool direct = false) {
        peer = identity;
        stream->secured(peer, direct, now);
        pump();
    }
    void advance(Duration by) {
        now += by;
        while (now >= stream->deadline()) {
            const Instant before = stream->deadline();
            stream->on_deadline(now);
            pump();
            if (stream->deadline() == before) break;
        }
    }

    std::string take_out() { return std::exchange(out, {}); }
    std::vector<Seen> take_seen() { return std::exchange(seen, {}); }
    [[nodiscard]] std::size_t count(Action::Kind kind) const {
        std::size_t found = 0;
        for (const Seen& one : seen) found += one.kind == kind;
        return found;
    }
    [[nodiscard]] const Seen* last(Action::Kind kind) const {
        for (auto it = seen.rbegin(); it != seen.rend(); ++it) {
            if (it->kind == kind) return &*it;
        }
        return nullptr;
    }

    StreamPolicy default_policy;
    StreamSettings settings;
    std::set<std::string> served{"sip.example", "voice.example"};
    std::set<std::string> gone{"old.example"};
    std::set<std::string> denied;
    std::set<std::string> not_judged;
    std::set<std::string> judged_later;
    PeerIdentity peer;
    Instant now{};
    std::string input;
    std::string out;
    std::vector<Seen> seen;
    std::unique_ptr<Stream> stream;
    int refuse_stanzas = 0;
    int random = 0;
    bool full = false;
};

inline std::string header(Bytes from, Bytes to, Bytes more = " version='1.0'") {
    std::string text =
        "<?xml version='1.0'?><stream:stream xmlns='jabber:server' "
        "xmlns:stream='http://etherx.jabber.org/streams' "
        "xmlns:db='jabber:server:dialback'";
    if (!from.empty()) text += " from='" + std::string(from) + "'";
    if (!to.empty()) text += " to='" + std::string(to) + "'";
    return text + std::string(more) + ">";
}

inline constexpr Bytes kStartTls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
inline constexpr Bytes kProceed = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
inline constexpr Bytes kAuth =
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";
inline constexpr Bytes kSuccess = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
inline constexpr Bytes kOurLimits =
    "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>262144</max-bytes></limits>";
inline constexpr Bytes kMessage =
    "<message from='romeo@example.org/orchard' to='juliet@sip.example' "
    "id='m1'><body>x</body></message>";

inline std::string stream_error(Bytes condition) {
    return "<stream:error><" + std::string(condition) +
           " xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>";
}

}  // namespace fedgate::xml::test
