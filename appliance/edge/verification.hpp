// One dialback question (XEP-0220 2.2): asks the authoritative server of a sender's domain whether
// it made a key. A connection of its own, never the one that the key came on (S2S-15, DB-5). Owner:
// the Edge. Thread: the shard's.
#pragma once

#include <string>

#include "appliance/edge/initiator.hpp"

namespace fedgate::edge {

class Verification;

class VerificationOwner {
public:
    // Once. The Verification may be destroyed later, not from within this call.
    virtual void on_verdict(Verification&, xml::Verdict) = 0;

protected:
    ~VerificationOwner() = default;
};

class Verification final : InitiatorOwner, TimerOwner {
public:
    Verification(Context&, VerificationOwner&, Bytes our, Bytes their, Bytes id, Bytes key);

    [[nodiscard]] const std::string& our() const { return our_; }
    [[nodiscard]] const std::string& their() const { return their_; }
    [[nodiscard]] const std::string& id() const { return id_; }
    // Nobody waits for the answer any more.
    void abandon() { told_ = over_ = true; }
    // May be destroyed.
    [[nodiscard]] bool over() const { return over_; }

private:
    void on_stream_started() override;
    void on_action(const xml::Action&) override;
    void on_over(link::Fault, bool permanent, Instant retry_at) override;
    void on_timer(Timer&) override;
    void tell(xml::Verdict);

    VerificationOwner& owner_;
    const Context& context_;
    const std::string our_;
    const std::string their_;
    const std::string id_;
    const std::string key_;
    Initiator initiator_;
    Timer deadline_;  // of all targets together
    bool told_ = false;
    bool over_ = false;
};

}  // namespace fedgate::edge
