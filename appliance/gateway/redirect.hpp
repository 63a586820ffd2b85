// Where a redirect leads (ERR-300, ERR-301, SIP-9). Pure.
#pragma once

#include "sip/message.hpp"

namespace fedgate::gateway {

// The Contact with the highest q, the first one on a tie. False: there is none.
[[nodiscard]] bool best_contact(const sip::Message& response, sip::Uri&);

}  // namespace fedgate::gateway
