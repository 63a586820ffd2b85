// What a partner sends, on its way to the gateway: its rates (S2S-64), the answers to our pings,
// which are for nobody else, and the gateway's back-pressure. One of each stream that stanzas come
// in on. Owner: that stream. Thread: the shard's.
#pragma once

#include <algorithm>

#include "appliance/edge/context.hpp"
#include "appliance/link/link.hpp"
#include "core/base/token_bucket.hpp"

namespace fedgate::edge {

class Intake {
public:
    explicit Intake(Context& context) : context_(context) {}

    // The partner is known, or its rates have changed.
    void set_rates(Bytes their);

    // Another connection follows.
    void reset() {
        bytes_ = stanzas_ = {};
        charged_ = 0;
    }

    // `shown` bytes of input lie there; those that were not charged before are now.
    void charge(std::size_t shown);
    void consumed(std::size_t count) { charged_ -= std::min(charged_, count); }
    // Over the rate: stop reading until again().
    [[nodiscard]] bool in_debt();

    enum class Outcome : std::uint8_t {
        kTaken,
        kPong,   // the answer to our ping number pong()
        kLater,  // show it again at again()
    };
    [[nodiscard]] Outcome take(const xml::Action&, const xml::StreamScope&);
    [[nodiscard]] Instant again() const { return again_; }
    [[nodiscard]] std::uint64_t pong() const { return pong_; }

private:
    [[nodiscard]] bool is_pong(Bytes stanza);

    Context& context_;
    TokenBucket bytes_;
    TokenBucket stanzas_;
    std::size_t charged_ = 0;  // bytes at the front of the input that bytes_ has paid for
    Instant again_{};
    std::uint64_t pong_ = 0;
};

}  // namespace fedgate::edge
