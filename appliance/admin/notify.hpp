// sd_notify(3) without libsystemd: one datagram to $NOTIFY_SOCKET. Control thread.
#pragma once

#include <chrono>
#include <string_view>

namespace fedgate::admin {

// `READY=1`, `STOPPING=1`, `WATCHDOG=1`. Nothing happens when nobody asked to be told.
void notify_supervisor(std::string_view state);
// Within how long the supervisor wants `WATCHDOG=1` again; 0: it does not watch.
[[nodiscard]] std::chrono::microseconds watchdog_interval();

}  // namespace fedgate::admin
