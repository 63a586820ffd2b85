// Dates as the two sides write them: RFC 1123 GMT (SIP Date), ISO 8601 (XEP-0082, CPIM DateTime).
#pragma once

#include <optional>

#include "core/base/bytes.hpp"
#include "core/base/time.hpp"

namespace fedgate::gateway {

// `Sat, 13 Nov 2010 23:29:00 GMT`
[[nodiscard]] std::optional<WallTime> parse_sip_date(Bytes);
void write_sip_date(WallTime, Sink&);

// `2002-09-10T23:08:25Z`, also with a fraction of seconds and `+hh:mm`.
[[nodiscard]] std::optional<WallTime> parse_iso_date(Bytes);
void write_iso_date(WallTime, Sink&);

}  // namespace fedgate::gateway
