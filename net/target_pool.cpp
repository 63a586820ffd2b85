#include "net/target_pool.hpp"

#include <algorithm>
#include <array>

namespace fedgate::net {
namespace {

constexpr Duration kProbeMin = std::chrono::seconds(2);  // DNS-8
constexpr std::uint32_t kProbeSpreadMs = 2'000;

Duration probe_delay(Random& random) {
    return kProbeMin + std::chrono::milliseconds(random.below(kProbeSpreadMs + 1));
}

}  // namespace

void TargetPool::set(std::span<const Target> targets) {
    std::vector<Member> members;
    for (const Target& target : targets.first(std::min(targets.size(), kTargetsMax))) {
        Member member{target, {}};
        for (const Member& old : members_) {
            if (old.target.same_place(target)) member.down_until = old.down_until;
        }
        members.push_back(std::move(member));
    }
    members_ = std::move(members);
    last_probed_ = 0;
}

std::optional<std::size_t> TargetPool::pick(Instant now, Random& random, const Tried& tried) {
    const auto is_open = [&tried](std::size_t index) {
        return index >= tried.size() || !tried[index];
    };
    std::array<const Target*, kTargetsMax> best;
    std::array<std::size_t, kTargetsMax> indexes;
    std::size_t count = 0;
    for (std::size_t i = 0; i < members_.size(); ++i) {
        if (!is_open(i) || !is_up(i, now)) continue;
        const Target& target = members_[i].target;
        if (count > 0 && target.priority > best[0]->priority) continue;
        if (count > 0 && target.priority < best[0]->priority) count = 0;
        best[count] = &target;
        indexes[count++] = i;
    }
    if (count > 0) return indexes[pick_weighted({best.data(), count}, random)];
    if (any_up(now) || now < next_probe_) return std::nullopt;
    return pick_down(now, random, tried);
}

std::optional<std::size_t> TargetPool::pick_down(Instant now, Random& random, const Tried& tried) {
    for (std::size_t i = 1; i <= members_.size(); ++i) {
        const std::size_t index = (last_probed_ + i) % members_.size();
        if (index < tried.size() && tried[index]) continue;
        last_probed_ = index;
        if (next_probe_ <= now) next_probe_ = now + probe_delay(random);
        return index;
    }
    return std::nullopt;
}

void TargetPool::on_failure(std::size_t index, Instant now, Random& random, Duration hold) {
    FEDGATE_CHECK(index < members_.size());
    const bool was_up = is_up(index, now);
    members_[index].down_until = now + hold;
    if (was_up && !any_up(now) && next_probe_ <= now) {  // that was the last one
        last_probed_ = index;
        next_probe_ = now + probe_delay(random);
    }
}

void TargetPool::on_success(std::size_t index) {
    FEDGATE_CHECK(index < members_.size());
    members_[index].down_until = {};
}

bool TargetPool::is_up(std::size_t index, Instant now) const {
    FEDGATE_CHECK(index < members_.size());
    return members_[index].down_until <= now;
}

bool TargetPool::any_up(Instant now) const {
    for (std::size_t i = 0; i < members_.size(); ++i) {
        if (is_up(i, now)) return true;
    }
    return false;
}

Instant TargetPool::next_pick(Instant now) const {
    if (members_.empty()) return kNever;
    return any_up(now) ? now : std::max(now, next_probe_);
}

}  // namespace fedgate::net
