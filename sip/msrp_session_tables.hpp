// The life of an MSRP session as rows: RFC 4975 5.4, SESS-21, SESS-25. A pair that is not listed
// changes nothing. Internal to sip/.
#pragma once

#include "sip/msrp_session.hpp"

namespace fedgate::sip::tables::msrp {

struct Row {
    MsrpState from;
    MsrpEvent on;
    MsrpState to;
    MsrpActions actions;
};

using S = MsrpState;
using E = MsrpEvent;
using A = MsrpActions;

// clang-format off
constexpr Row kRows[] = {
    {S::kConnecting, E::kConnected, S::kBinding, A::kNone},
    {S::kConnecting, E::kTimeout, S::kOver, A::kEnd},
    {S::kConnecting, E::kLost, S::kOver, A::kEnd},
    {S::kConnecting, E::kEnd, S::kOver, A::kNone},
    {S::kWaiting, E::kRequest, S::kBound, A::kBound},
    {S::kWaiting, E::kTimeout, S::kOver, A::kEnd},
    {S::kWaiting, E::kEnd, S::kOver, A::kNone},
    {S::kBinding, E::kAccepted, S::kBound, A::kBound},
    {S::kBinding, E::kRequest, S::kBound, A::kBound},  // whoever speaks to us knows us
    {S::kBinding, E::kRefused, S::kOver, A::kEnd},
    {S::kBinding, E::kTimeout, S::kOver, A::kEnd},
    {S::kBinding, E::kLost, S::kOver, A::kEnd},
    {S::kBinding, E::kEnd, S::kOver, A::kNone},
    {S::kBound, E::kRefused, S::kOver, A::kEnd},
    {S::kBound, E::kTimeout, S::kOver, A::kEnd},
    {S::kBound, E::kLost, S::kOver, A::kEnd},
    {S::kBound, E::kEnd, S::kOver, A::kNone},
};
// clang-format on

constexpr bool rows_are_distinct() {
    for (const Row& a : kRows) {
        for (const Row& b : kRows) {
            if (&a != &b && a.from == b.from && a.on == b.on) return false;
        }
    }
    return true;
}
static_assert(rows_are_distinct());

// SESS-25: answers that end the session. Any other concerns its message alone.
constexpr bool ends_session(std::uint16_t status) {
    return status == 408 || status == 413 || status == 415 || status == 481 || status == 501 ||
           status == 506;
}

}  // namespace fedgate::sip::tables::msrp
