// How much is said of a certificate that ends: once when so many days are left, and daily when none
// is. Control thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <string>

#include "core/base/time.hpp"

namespace fedgate {

constexpr unsigned kExpiryDays[] = {30, 14, 7, 1};
// Of one name. Of more, the one that ends first is forgotten, and told again where it is shown
// again.
constexpr std::size_t kEndsTold = 16;

inline std::int64_t days_between(WallTime from, WallTime to) {
    return std::chrono::floor<std::chrono::days>(to - from).count();
}

class ExpiryNotices {
public:
    // Is it time to say something of the certificate that is called so and ends then?
    [[nodiscard]] bool is_due(const std::string& name, WallTime end, WallTime now) {
        const std::int64_t stage = stage_of(end, now);
        if (stage == 0) return false;
        // Each of its ends on its own: servers of one domain may show certificates in turn.
        std::map<WallTime, std::int64_t>& ends = told_[name];
        std::int64_t& told = ends[end];
        if (stage <= told) return false;
        told = stage;
        if (ends.size() > kEndsTold) {
            ends.erase(ends.begin()->first == end ? std::prev(ends.end()) : ends.begin());
        }
        return true;
    }
    // Forgets the others.
    template <typename IsKnown>
    void keep(const IsKnown& is_known) {
        std::erase_if(told_, [&is_known](const auto& one) { return !is_known(one.first); });
    }

private:
    // How many of kExpiryDays have come, and the days since its end.
    static std::int64_t stage_of(WallTime end, WallTime now) {
        std::int64_t stage = 0;
        for (const unsigned days : kExpiryDays) {
            stage += end - now <= std::chrono::days(days) ? 1 : 0;
        }
        return end < now ? stage + 1 + days_between(end, now) : stage;
    }

    std::map<std::string, std::map<WallTime, std::int64_t>> told_;  // the stage, by name and end
};

}  // namespace fedgate
