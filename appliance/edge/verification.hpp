// One dialback question (XEP-0220 2.2): asks the authoritative server of a sender's domain whether
// it made a key. On a stream of ours that stands with that server, where there is one that answers
// in time; else on a connection of its own. Never on the one that the key came on (S2S-15, DB-5).
// Owner: the Edge. Thread: the shard's.
#pragma once

#include <optional>
#include <string>

#include "appliance/edge/initiator.hpp"

namespace fedgate::edge {

class Verification;

struct Question {
    Bytes our;
    Bytes their;
    Bytes id;
    Bytes key;
    // S2S-44: of the certificate that whoever sent the key has shown; empty: none. The server that
    // shows the same one need not be asked: whose key that is speaks for the domain.
    Bytes fingerprint;

    [[nodiscard]] bool is_answered_by(const PeerIdentity& peer) const {
        return !fingerprint.empty() && fingerprint == peer.fingerprint_sha256;
    }
};

class VerificationOwner {
public:
    // Once. The Verification may be destroyed later, not from within this call.
    virtual void on_verdict(Verification&, xml::Verdict) = 0;

protected:
    ~VerificationOwner() = default;
};

class Verification final : InitiatorOwner, TimerOwner {
public:
    Verification(Context&, VerificationOwner&, const Question&);

    // Once. `asked`: on a stream of ours already, and answered() may follow.
    void begin(bool asked);
    // Nothing: it could not be asked there, or the stream has ended.
    void answered(std::optional<xml::Verdict>);

    [[nodiscard]] const std::string& our() const { return our_; }
    [[nodiscard]] const std::string& their() const { return their_; }
    [[nodiscard]] const std::string& id() const { return id_; }
    // Nobody waits for the answer any more.
    void abandon() { told_ = over_ = true; }
    // May be destroyed.
    [[nodiscard]] bool over() const { return over_; }

private:
    [[nodiscard]] Question question() const { return {our_, their_, id_, key_, fingerprint_}; }
    void connect();
    [[nodiscard]] bool on_secured(const PeerIdentity&) override;
    void on_stream_started() override;
    void on_action(const xml::Action&) override;
    void on_over(link::Fault, bool permanent, Instant retry_at) override;
    void on_timer(Timer&) override;
    void tell(xml::Verdict);

    VerificationOwner& owner_;
    Context& context_;
    const std::string our_;
    const std::string their_;
    const std::string id_;
    const std::string key_;
    const std::string fingerprint_;
    Initiator initiator_;
    const Instant until_;  // for all ways together
    Timer deadline_;
    bool connects_ = false;
    bool told_ = false;
    bool over_ = false;
};

}  // namespace fedgate::edge
