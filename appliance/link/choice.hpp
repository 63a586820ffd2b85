// What both ends of the link know of their peers to choose among them. Pure.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "core/base/bytes.hpp"
#include "core/base/rendezvous.hpp"
#include "core/base/time.hpp"

namespace fedgate::link {

// A peer that came back and was gone again this soon is put on trial when it comes next, for twice
// as long each time, up to the last of these: meanwhile it gets only what nobody else is there for.
constexpr Duration kSteadyAfter = std::chrono::seconds(10);
constexpr Duration kTrialFirst = std::chrono::seconds(2);
constexpr Duration kTrialMax = std::chrono::seconds(60);

// A link to a peer that is not one of ours any more, for what is on its way.
constexpr Duration kLetGoWithin = std::chrono::seconds(10);
constexpr Duration kLookAtLeaving = std::chrono::milliseconds(50);

class Trial {
public:
    void on_up(Instant now) { up_at_ = now; }
    void on_over(Instant now) {
        const bool was_steady = now >= up_at_ + trial_ + kSteadyAfter;
        trial_ = was_steady ? Duration{} : std::clamp(2 * trial_, kTrialFirst, kTrialMax);
    }
    [[nodiscard]] Instant until() const { return up_at_ + trial_; }
    [[nodiscard]] bool passed(Instant now) const { return now >= until(); }

private:
    Instant up_at_{};
    Duration trial_{};
};

// Whether anybody is there who takes what is new, and since when nobody is.
class Attendance {
public:
    explicit Attendance(Instant now) : none_since_(now) {}
    void note(bool some, Instant now) {
        if (std::exchange(some_, some) && !some) none_since_ = now;
    }
    [[nodiscard]] bool none() const { return !some_; }
    [[nodiscard]] Instant none_since() const { return none_since_; }
    [[nodiscard]] bool missed_for(Duration time, Instant now) const {
        return !some_ && now >= none_since_ + time;
    }

private:
    bool some_ = false;
    Instant none_since_;
};

// Of the peers that are there the one with the highest score has `what`: the shares are as the
// weights, and all who know the same names choose the same (core/base/rendezvous.hpp).
inline double weighted_score(Bytes name, std::uint16_t weight, std::uint64_t what) {
    const double chance = (static_cast<double>(mix(fnv1a(name, what)) >> 11) + 0.5) * 0x1p-53;
    return std::max<double>(weight, 1e-6) / -std::log(chance);  // RFC 2782: 0 is hardly ever
}

}  // namespace fedgate::link
