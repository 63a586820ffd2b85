// A rate limit: tokens come at a steady rate up to a burst. No clock: the present time is an
// argument.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/base/time.hpp"

namespace fedgate {

// `per_second` = 0 means no limit. One bucket serves one thread.
class TokenBucket {
public:
    TokenBucket() = default;
    TokenBucket(double per_second, double burst, Instant now)
        : per_second_(per_second), burst_(burst), tokens_(burst), filled_at_(now) {}

    // Takes `count` tokens, or takes nothing and returns false.
    [[nodiscard]] bool take(double count, Instant now) {
        if (per_second_ <= 0) return true;
        fill(now);
        if (tokens_ < count) return false;
        tokens_ -= count;
        return true;
    }
    // Takes them even when there are not enough: the balance goes below zero (bytes already read).
    void charge(double count, Instant now) {
        if (per_second_ <= 0) return;
        fill(now);
        tokens_ -= count;
    }
    [[nodiscard]] bool in_debt() const { return per_second_ > 0 && tokens_ < 0; }
    // When `count` tokens will be there; `now` if they are.
    [[nodiscard]] Instant available_at(double count, Instant now) {
        if (per_second_ <= 0) return now;
        fill(now);
        if (tokens_ >= count) return now;
        const double seconds = (std::min(count, burst_) - tokens_) / per_second_;
        return now + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
    }

private:
    void fill(Instant now) {
        if (now <= filled_at_) return;
        const std::chrono::duration<double> passed = now - filled_at_;
        tokens_ = std::min(burst_, tokens_ + passed.count() * per_second_);
        filled_at_ = now;
    }

    double per_second_ = 0;
    double burst_ = 0;
    double tokens_ = 0;
    Instant filled_at_{};
};

}  // namespace fedgate
