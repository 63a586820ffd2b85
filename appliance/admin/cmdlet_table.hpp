// What the reference's commands (cmdlets) and their parameters are called, and what they are here
// (features.md A3, A4, A7, A8, A10, A12). Immutable.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace fedgate::admin {

struct CmdletParameter {
    enum class Takes : std::uint8_t {
        kText,
        kBool,     // $true, $false
        kSwitch,   // nothing
        kList,     // a, b, or @{Add=...}
        kSeconds,  // a number; here a duration
        kChoice,   // one of `choices`
        kIgnored,  // a value that means nothing here; `key` is noted
        kNothing,  // there is nothing like it here: refused; `key` says why
    };
    std::string_view name;
    Takes takes = Takes::kText;
    std::string_view key;      // what it is called here; empty: it is no property
    std::string_view choices;  // "Required=required Optional=optional"
};

enum class Cmdlet : std::uint8_t {
    kPolicyNew,
    kPolicySet,
    kPolicyGet,
    kPolicyRemove,
    kPolicyGrant,
    kUserGet,
    kPartnerNew,
    kPartnerSet,
    kPartnerGet,
    kPartnerRemove,
    kSettingsGet,
    kSettingsSet,
    kSiteGet,
    kSiteSet,
    kPublish,
    kTestIm,
    kWatcherSet,
    kCertificateRequest,
    kCertificateImport,
    kCertificateSet,
    kCertificateGet,
    kCertificateTest,
    kServicesStop,
    kServicesStart,
    kServicesGet,
    kNetstat,
    kFindstr,
    kWhere,
    kSelect,
    kNotHere,  // known, and something else is to be said
};

struct CmdletRow {
    std::string_view name;
    Cmdlet cmdlet;
    std::span<const CmdletParameter> parameters;
    std::string_view hint;         // kNotHere: what to say; else what is noted when it runs
    std::string_view positions[2]  // parameters that need no name, in this order
        = {"Identity", ""};
};

// Case does not count. Null: there is none.
[[nodiscard]] const CmdletRow* find_cmdlet(std::string_view name);
// "; did you mean Get-CsUser?", or nothing.
[[nodiscard]] std::string nearest_cmdlet(std::string_view name);
// Those that every cmdlet takes: -WhatIf, -Force, ...
[[nodiscard]] std::span<const CmdletParameter> common_parameters();

// Of a kChoice: `NotSupported` -> `none`, and back. Empty: it is none of them.
[[nodiscard]] std::string choice_here(const CmdletParameter&, std::string_view theirs);
[[nodiscard]] std::string choice_there(const CmdletParameter&, std::string_view ours);
// "Required, Optional or NotSupported".
[[nodiscard]] std::string choices_of(const CmdletParameter&);

}  // namespace fedgate::admin
