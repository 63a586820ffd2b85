// Who may be at the other end of a link: whoever's certificate, by the organisation's own CA, has
// one of the names that are known for its role.
#pragma once

#include <span>
#include <string>

#include "net/connection.hpp"
#include "net/dialer.hpp"

namespace fedgate::link {

struct Known {
    std::string name;   // of `names`; empty: it is nobody
    std::string fault;  // then: the rest of a sentence, "the peer ..."
};
// `names`: A-labels in lower case.
[[nodiscard]] Known identify(const net::Connection&, std::span<const std::string> names);

// The rest of a sentence: "the peer ...".
[[nodiscard]] Bytes why_not_reached(net::DialFault, const Error& last);

}  // namespace fedgate::link
