// fedctl doctor: the way to a partner, step by step, as the network shows it and the daemon knows
// it.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "appliance/admin/outside_tool.hpp"

namespace fedgate::admin {

struct LabFault;  // lab.hpp

constexpr auto kDoctorWithin = std::chrono::seconds(60);  // then it says what it has not looked at
constexpr auto kDoctorWithinMin = std::chrono::seconds(2);
constexpr auto kDoctorWithinMax = std::chrono::seconds(600);

struct DoctorWish {
    std::string domain;
    std::string from = {};    // a SIP user of ours; empty: any
    std::string server = {};  // as check_dns() takes it
    std::chrono::seconds within = kDoctorWithin;
    // A forecast: as if the partner had these settings (`tls=required`), too. The daemon opens no
    // stream then.
    std::optional<std::vector<std::string>> suppose = {};
};

// `steps` in their order, and `first`, the one that is broken, if any; and `forecast`, where one
// was asked for: what each of the 18 settings of tls, sasl and dialback would come to.
[[nodiscard]] Json run_doctor(const DoctorWish&, const AskDaemon&, std::string& why);
[[nodiscard]] std::string show_doctor(const Json& answer);

// doctor --lab: the same with a partner that has this fault (lab.hpp), without any daemon; `good`:
// it has named it. Null: `why`.
[[nodiscard]] Json run_lab(const LabFault&, std::string& why);
[[nodiscard]] std::string show_lab(const Json& answer);
[[nodiscard]] std::string show_lab_faults();

}  // namespace fedgate::admin
