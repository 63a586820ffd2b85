// Why a stream has ended before its peer was proved: for the event log, and as the partner's last
// failure.
#pragma once

#include <string>

#include "appliance/edge/context.hpp"
#include "net/connection.hpp"

namespace fedgate::edge {

// Tells it, unless the end is what was to be expected. `connection`: under the stream.
void tell_why_ended(Context&, const xml::Stream&, const xml::StreamEnd&,
                    const net::Connection& connection);
// The handshake under it failed (S2S-47). `their`: who it is with, or says so; may be empty.
void tell_tls_failed(Context&, bool inbound, Bytes their, const net::Connection&, Error reason);

}  // namespace fedgate::edge
