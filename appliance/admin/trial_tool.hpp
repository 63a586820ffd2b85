// fedctl test: what the daemon tries is waited for here, and what has failed is diagnosed.
#pragma once

#include <chrono>
#include <string>

#include "appliance/admin/json.hpp"
#include "appliance/admin/outside_tool.hpp"

namespace fedgate::admin {

struct TrialWish {
    std::string from;
    std::string to;
    std::string text;  // empty: one of ours
    std::chrono::seconds within{30};
};

// `good`, `latency_s`, `error`, `diagnosis`, `how`. Null: `why`.
[[nodiscard]] Json run_trial(const TrialWish&, const AskDaemon&, std::string& why);
// In the form of the reference's Test-CsXmppIM, and how far it came when.
[[nodiscard]] std::string show_trial(const Json& result);
// 00:00:02.5361253, as the reference prints it.
[[nodiscard]] std::string show_latency(double seconds);
// The scheduled one.
[[nodiscard]] std::string show_schedule(const Json& answer);

}  // namespace fedgate::admin
