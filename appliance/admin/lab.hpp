// A partner of our own making, with one thing wrong about it, for fedctl doctor --lab. It lives in
// fedctl's process, on the loop that doctor visits from, and ends with it. Nothing of it leaves the
// machine: names are looked up in a table, its one port is of 127.0.0.1, and its certificates are
// made for this run, and trusted in this run. No daemon hears of it.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "appliance/admin/outside.hpp"

namespace fedgate::admin {

struct LabFault {
    std::string_view name;
    std::string_view planted;  // what is wrong: a sentence without a full stop
    std::string_view step;     // of doctor, that has to be broken; empty: none
    std::string_view word;     // that its text has to have
};
[[nodiscard]] std::span<const LabFault> lab_faults();

class Lab {
public:
    static constexpr const char* kOur = "ours.invalid";
    static constexpr const char* kTheir = "partner.invalid";
    static constexpr std::size_t kStreams = 16;  // more are not answered

    // Null: `why` is a sentence.
    static std::unique_ptr<Lab> make(const LabFault&, std::string& why);
    // To be destroyed before the loop of what was made with options().
    ~Lab();

    // How one looks at it. Lives as long as the lab does; for one Outside.
    [[nodiscard]] OutsideOptions options();

private:
    struct State;
    explicit Lab(std::unique_ptr<State>);
    std::unique_ptr<State> state_;
};

}  // namespace fedgate::admin
