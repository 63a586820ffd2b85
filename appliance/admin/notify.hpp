// sd_notify(3) without libsystemd: one datagram to $NOTIFY_SOCKET. Control thread.
#pragma once

#include <string_view>

namespace fedgate::admin {

// `READY=1`, `STOPPING=1`, `STATUS=...`. Nothing happens when nobody asked to be told.
void notify_supervisor(std::string_view state);

}  // namespace fedgate::admin
