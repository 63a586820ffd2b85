// The stream machine in each role: the bytes of a peer, and between them what its owner decides.
// The first byte picks role and policy; a byte below 0x09 is a decision, all others are the peer's.
// Whatever comes, no stanza passes before its pair was proved, nobody is proved by what the policy
// does not allow, output and waiting are bounded, and the end comes once.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/base/check.hpp"
#include "xml/certificate.hpp"
#include "xml/stream.hpp"

namespace {

using fedgate::Bytes;
using fedgate::Duration;
using fedgate::Instant;
using fedgate::kNever;
using fedgate::MutableBytes;
using fedgate::PeerIdentity;
using namespace fedgate::xml;
using std::chrono::seconds;

constexpr Bytes kOurs = "sip.example";
constexpr Bytes kTheirs = "example.org";
constexpr Duration kEstablish = seconds(60);  // S2S-61

enum Decision : char {
    kFull,        // the send queue has no room, or has it again
    kCertified,   // the TLS handshake is done: with a certificate for kTheirs
    kSecured,     // or without one
    kWait,        // until the deadline
    kValid,       // the oldest question was answered: their key is good
    kInvalid,     // or not
    kSend,        // a stanza or a question of ours
    kResumption,  // is granted, or asked for
    kClose,
};

struct Question {
    std::string our, their, id;
};

class Owner final : public StreamHost {
public:
    explicit Owner(std::uint8_t choice) {
        settings_.default_domain = kOurs;
        settings_.dialback = make_dialback_secrets("a secret of this test");
        settings_.stanza_bytes_max = 10'000;
        if ((choice & 0x80) != 0) settings_.resume_max = seconds(60);
        policy_ = {true, (choice & 4) != 0, (choice & 8) != 0, (choice & 16) != 0};
        const bool direct = (choice & 32) != 0;
        direct_ = direct;
        if ((choice & 3) == 0) {
            stream_ = std::make_unique<Stream>(*this, settings_, now_);
            if (direct) stream_->expect_tls(now_);
            return;
        }
        const auto role = (choice & 3) == 3 ? Stream::Role::kVerify : Stream::Role::kOutbound;
        stream_ = std::make_unique<Stream>(*this, settings_, role, kOurs, kTheirs, now_);
        if ((choice & 64) != 0 && role == Stream::Role::kOutbound) {
            stream_->resume({.id = "session", .keep = seconds(60), .unacknowledged = 2});
        }
        direct ? stream_->expect_tls(now_) : stream_->open(now_);
        in_tls_ = direct;
    }

    void feed(Bytes bytes) {
        if (in_tls_) return;  // ciphertext: the engine never sees it
        fed_ += bytes.size();
        input_.append(bytes);
        pump();
    }

    void decide(Decision decision) {
        ++decisions_;
        switch (decision) {
            case kFull: full_ = !full_; break;
            case kCertified: secure(true); break;
            case kSecured: secure(false); break;
            case kWait: wait(); break;
            case kValid: answer(Verdict::kValid); break;
            case kInvalid: answer(Verdict::kInvalid); break;
            case kSend: send(); break;
            case kResumption:
                if (stream_->resuming() && stream_->role() == Stream::Role::kInbound) {
                    stream_->answer_resume(decisions_ % 2 == 0, decisions_);
                } else {
                    stream_->request_acknowledgement();
                }
                break;
            case kClose: stream_->close(now_); break;
        }
        pump();
    }

private:
    bool write(Bytes bytes) override {
        if (full_) return false;
        written_ += bytes.size();
        return true;
    }
    Served serves(Bytes our) override { return our == kOurs ? Served::kYes : Served::kNo; }
    StreamPolicy policy(Bytes, Bytes their) override {
        return their == "denied.example" ? StreamPolicy{} : policy_;
    }
    // CERT-8: every other time not yet, and then what waited is shown again.
    Judged judges(Bytes) override {
        if (decisions_ % 8 != 5) return Judged::kYes;
        judged_ = !judged_;
        return judged_ ? Judged::kYes : Judged::kLater;
    }
    void fill_random(MutableBytes memory) override { std::ranges::fill(memory, 'r'); }

    void pump() {
        // An action for each byte at most, and those that wait without any.
        for (std::size_t turns = input_.size() + 200;; --turns) {
            FEDGATE_CHECK(turns > 0);
            const auto shown = std::make_unique<std::string>(input_);  // views end with the call
            const Action action = stream_->next(*shown, now_);
            FEDGATE_CHECK(action.consumed <= input_.size());
            FEDGATE_CHECK(!ended_ || action.kind == Action::Kind::kNone);
            std::size_t consumed = action.consumed;
            if (action.kind == Action::Kind::kStanza && decisions_ % 4 == 3 && !put_back_) {
                put_back_ = true;
                const std::size_t again = stream_->put_back();
                FEDGATE_CHECK(again <= consumed);
                consumed -= again;
            } else {
                put_back_ = false;
                see(action);
            }
            input_.erase(0, consumed);
            if (put_back_ || in_tls_ || action.kind == Action::Kind::kNone) break;
        }
        check();
    }

    void see(const Action& action) {
        switch (action.kind) {
            case Action::Kind::kStartTls:
                FEDGATE_CHECK(!stream_->encrypted() && policy_.tls_offered());
                in_tls_ = true;
                input_.clear();
                return;
            case Action::Kind::kPair:
                FEDGATE_CHECK(policy_.accepts(action.proof));
                FEDGATE_CHECK(action.our == kOurs && action.their != "denied.example");
                if (action.proof == Proof::kCertificate) {
                    // Outbound it is ours that proves us.
                    FEDGATE_CHECK(stream_->encrypted());
                    FEDGATE_CHECK(stream_->role() != Stream::Role::kInbound ||
                                  covers(peer_, action.their, direct_));
                } else {
                    FEDGATE_CHECK(stream_->role() != Stream::Role::kInbound ||
                                  valid_.contains(std::string(action.their)));
                    FEDGATE_CHECK((action.proof == Proof::kDialbackTls) == stream_->encrypted());
                }
                proved_.insert(std::string(action.their));
                return;
            case Action::Kind::kStanza:
                FEDGATE_CHECK(stream_->role() == Stream::Role::kInbound);
                FEDGATE_CHECK(proved_.contains(std::string(action.their)));
                FEDGATE_CHECK(action.stanza.size() <= settings_.stanza_bytes_max);
                return;
            case Action::Kind::kVerify:
                FEDGATE_CHECK(policy_.dialback(stream_->encrypted()));
                questions_.push_back(
                    {std::string(action.our), std::string(action.their), std::string(action.id)});
                FEDGATE_CHECK(questions_.size() <= fedgate::limits::kStreamPairs);
                return;
            case Action::Kind::kPairRefused: refused_ = true; return;  // DB-9: its owner decides
            case Action::Kind::kClosed: ended_ = true; return;
            default: return;
        }
    }

    void check() {
        // Nothing answers with much more than it was asked.
        FEDGATE_CHECK(written_ <= 8'192 + 32 * fed_ + 4'096 * decisions_);
        if (ended_) return;
        FEDGATE_CHECK(stream_->deadline() > now_ || now_ == start_);
        const bool waits =
            !stream_->authenticated() && !refused_ && stream_->role() != Stream::Role::kVerify;
        FEDGATE_CHECK(!waits || stream_->deadline() <= now_ + kEstablish);
        FEDGATE_CHECK(!waits || input_.size() <= fedgate::limits::kUnauthenticatedStreamBytes + 1);
    }

    void secure(bool with_certificate) {
        if (!in_tls_ && !(direct_ && !stream_->encrypted())) return;
        if (stream_->encrypted()) return;
        in_tls_ = false;
        peer_.presented = peer_.chain_valid = with_certificate;
        if (with_certificate) peer_.dns_names = {std::string(kTheirs), "*.example.org"};
        stream_->secured(peer_, direct_, now_);
        if (direct_ && stream_->role() != Stream::Role::kInbound) stream_->open(now_);
    }

    void wait() {
        const Instant until = stream_->deadline();
        if (until == kNever) return;
        now_ = std::max(now_, until);
        for (unsigned turns = 0; !ended_ && stream_->deadline() <= now_; ++turns) {
            FEDGATE_CHECK(turns < 100);
            stream_->on_deadline(now_);
            pump_actions();
        }
    }
    void pump_actions() {
        for (;;) {
            const Action action = stream_->next({}, now_);
            if (action.kind == Action::Kind::kNone) return;
            see(action);
        }
    }

    void answer(Verdict verdict) {
        if (questions_.empty()) return;
        const Question question = questions_.front();
        questions_.erase(questions_.begin());
        if (verdict == Verdict::kValid) valid_.insert(question.their);
        stream_->verified(question.our, question.their, question.id, verdict, now_);
    }

    void send() {
        if (stream_->role() == Stream::Role::kVerify) {
            static_cast<void>(stream_->request_verify(kOurs, kTheirs, "an id", "a key", now_));
        } else if (stream_->role() == Stream::Role::kOutbound && !proved_.empty()) {
            static_cast<void>(stream_->send("<message from='a@sip.example' to='b@example.org'/>"));
        }
    }

    StreamSettings settings_;
    StreamPolicy policy_;
    PeerIdentity peer_;
    std::unique_ptr<Stream> stream_;
    std::string input_;
    std::set<std::string> proved_, valid_;
    std::vector<Question> questions_;
    const Instant start_{seconds(100)};
    Instant now_ = start_;
    std::size_t fed_ = 0;
    std::size_t written_ = 0;
    std::uint32_t decisions_ = 0;
    bool direct_ = false;
    bool in_tls_ = false;
    bool full_ = false;
    bool put_back_ = false;
    bool judged_ = true;
    bool refused_ = false;
    bool ended_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    if (size == 0) return 0;
    Owner owner(bytes[0]);
    std::string chunk;
    const auto flush = [&] {
        if (!chunk.empty()) owner.feed(chunk);
        chunk.clear();
    };
    for (std::size_t i = 1; i < size; ++i) {
        if (bytes[i] > kClose) {
            chunk += static_cast<char>(bytes[i]);
            continue;
        }
        flush();
        owner.decide(static_cast<Decision>(bytes[i]));
    }
    flush();
    return 0;
}
