// An ordered set of endpoints with health and back-off: which one is next? Used for S2S targets,
// link pools and SIP next hops. Pure: the time and chance are arguments. DNS-8: a target that
// failed is skipped for 30 s unless all failed. When all failed, the next attempt is due every
// 2-4 s, if somebody asks.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "core/base/time.hpp"
#include "net/srv.hpp"

namespace fedgate::net {

class TargetPool {
public:
    static constexpr std::size_t kTargetsMax = 64;
    static constexpr Duration kHold = std::chrono::seconds(30);

    // Which targets the caller has already tried in this attempt.
    using Tried = std::vector<bool>;

    // Replaces the set (what is over kTargetsMax is left out); those that stay keep their health.
    void set(std::span<const Target>);
    [[nodiscard]] std::size_t count() const { return members_.size(); }
    [[nodiscard]] const Target& at(std::size_t index) const { return members_[index].target; }

    // The best one that is up and not tried: lowest priority, by weight within it (RFC 2782). When
    // all are down: one of them, but only if a probe is due, and the next probe is then 2-4 s
    // later.
    [[nodiscard]] std::optional<std::size_t> pick(Instant now, Random&, const Tried& tried = {});
    // An attempt is under way and pick() has nothing: one that is down and not tried, each in its
    // turn. So one attempt every 2-4 s asks all of them, and none that returns waits for the
    // others.
    [[nodiscard]] std::optional<std::size_t> pick_down(Instant now, Random&, const Tried& tried);
    // Down until `now + hold` (SIP-8: Retry-After), or until it succeeds.
    void on_failure(std::size_t index, Instant now, Random&, Duration hold = kHold);
    void on_success(std::size_t index);

    [[nodiscard]] bool is_up(std::size_t index, Instant now) const;
    [[nodiscard]] bool any_up(Instant now) const;
    // When pick() is worth calling again: now if one is up, else the time of the next probe.
    [[nodiscard]] Instant next_pick(Instant now) const;

private:
    struct Member {
        Target target;
        Instant down_until{};  // in the past: up
    };

    std::vector<Member> members_;
    Instant next_probe_{};
    std::size_t last_probed_ = 0;
};

}  // namespace fedgate::net
