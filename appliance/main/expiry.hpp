// How much is said of a certificate that ends: once when so many days are left, and daily when none
// is. Control thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

#include "core/base/time.hpp"

namespace fedgate {

constexpr unsigned kExpiryDays[] = {30, 14, 7, 1};

inline std::int64_t days_between(WallTime from, WallTime to) {
    return std::chrono::floor<std::chrono::days>(to - from).count();
}

class ExpiryNotices {
public:
    // Is it time to say something of the certificate that is called so and ends then?
    [[nodiscard]] bool is_due(const std::string& name, WallTime end, WallTime now) {
        const std::int64_t stage = stage_of(end, now);
        if (stage == 0) {
            told_.erase(name);
            return false;
        }
        Told& told = told_.try_emplace(name, end, 0).first->second;
        if (told.end != end) told = {end, 0};  // it was renewed
        if (stage <= told.stage) return false;
        told.stage = stage;
        return true;
    }
    // Forgets the others.
    template <typename IsKnown>
    void keep(const IsKnown& is_known) {
        std::erase_if(told_, [&is_known](const auto& one) { return !is_known(one.first); });
    }

private:
    struct Told {
        WallTime end{};
        std::int64_t stage;  // how many of kExpiryDays, and the days since
    };

    static std::int64_t stage_of(WallTime end, WallTime now) {
        std::int64_t stage = 0;
        for (const unsigned days : kExpiryDays) {
            stage += end - now <= std::chrono::days(days) ? 1 : 0;
        }
        return end < now ? stage + 1 + days_between(end, now) : stage;
    }

    std::map<std::string, Told> told_;
};

}  // namespace fedgate
