// IQ requests at the gateway (interworking section 8). Pure.
#pragma once

#include <cstdint>

#include "core/base/bytes.hpp"
#include "core/base/time.hpp"
#include "xml/stanza.hpp"

namespace fedgate::gateway {

struct IqContext {
    Bytes from;  // of the request, decoded
    Bytes to;
    Bytes id;                // null: the request has none
    bool to_domain = false;  // to the bare domain, not to a user
    bool to_bare = false;    // to a user, without a resource
    // Of a user. IQ-3: his contact's presence was granted to the asker. IQ-4: the resource is one
    // that we have announced to him.
    bool watcher_granted = false;
    bool announced = false;
    bool receipts = false;  // RCPT-6: they work for users of the domain
    bool typing = true;     // it passes
    bool markup = false;    // IM-11
    WallTime now;
    Duration uptime{};
};

// Writes the answer. False: there is none to give (IQ-12: a result or an error).
[[nodiscard]] bool answer_iq(const xml::Stanza&, const IqContext&, Sink&);

}  // namespace fedgate::gateway
