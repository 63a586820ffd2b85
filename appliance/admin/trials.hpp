// fedctl test im: a real message through all that a user's goes through, tried by an administrator,
// or every test.im.interval by the daemon itself. Control thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "appliance/admin/configuration.hpp"
#include "appliance/admin/host.hpp"
#include "appliance/admin/json.hpp"
#include "core/base/token_bucket.hpp"

namespace fedgate::admin {

// The other side may still refuse what it has taken.
constexpr Duration kRefusedWithin = std::chrono::milliseconds(500);

// What is to be said of a trial at that age.
struct TrialVerdict {
    bool over = false;
    bool good = false;
    Duration latency{};  // until it was known to have come through
    std::string fault;
};
[[nodiscard]] TrialVerdict judge(const Trial&, bool to_sip, Duration within);

// The scheduled one.
class TestSchedule {
public:
    using Time = std::chrono::steady_clock::time_point;

    TestSchedule(AdminHost& host, const Configuration& configuration)
        : host_(host), configuration_(configuration) {}

    // Does what is due.
    void on_turn(Time now);
    // When it runs, and how the last one went.
    [[nodiscard]] Json json() const;
    // Empty, or that the last one failed: a sentence.
    [[nodiscard]] std::string remark() const;
    // May an administrator try one now (test.im.rate)? Empty, or a sentence; it counts.
    [[nodiscard]] std::string why_not_now(Time now);

private:
    void begin(Time now);
    void look();
    void end(bool good, Duration latency, const std::string& fault);
    [[nodiscard]] std::string diagnosis() const;

    config::Rate rate_;  // of administrators' ones, as `bucket_` was made for
    std::optional<TokenBucket> bucket_;
    AdminHost& host_;
    const Configuration& configuration_;
    rules::Settings::Test plan_;  // as it was when it began, or was looked at
    Time next_{};
    bool planned_ = false;
    std::uint64_t trial_ = 0;  // under way; 0: none
    TrialOrder order_;
    bool failing_ = false;
    std::string not_here_;  // why the last one was not tried here
    std::optional<WallTime> last_;
    Duration latency_{};
    std::string fault_;  // of the last one; empty: it came through
    std::string diagnosis_;
};

// `action`: empty: the schedule; `im`: begins one `from`, `to`; `look`: at that `id`.
[[nodiscard]] Json answer_test(const Json& request, AdminHost&, const Configuration&,
                               TestSchedule*);

}  // namespace fedgate::admin
