#include "appliance/admin/notify.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace fedgate::admin {

void notify_supervisor(std::string_view state) {
    const char* path = std::getenv("NOTIFY_SOCKET");
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    if (path == nullptr || (path[0] != '/' && path[0] != '@')) return;
    const std::size_t size = std::strlen(path);
    if (size >= sizeof to.sun_path) return;
    std::memcpy(to.sun_path, path, size);
    if (path[0] == '@') to.sun_path[0] = '\0';  // the abstract name space
    const int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return;
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + size);
    // Best effort: a supervisor that does not listen must not stop us.
    [[maybe_unused]] const ssize_t sent =
        sendto(descriptor, state.data(), state.size(), MSG_NOSIGNAL,
               reinterpret_cast<const sockaddr*>(&to), length);
    close(descriptor);
}

std::chrono::microseconds watchdog_interval() {
    const auto number = [](const char* name) {
        const char* text = std::getenv(name);
        std::int64_t value = 0;
        if (text != nullptr) std::from_chars(text, text + std::strlen(text), value);
        return value;
    };
    const std::int64_t pid = number("WATCHDOG_PID");  // not ours: inherited by somebody's child
    if (pid != 0 && pid != getpid()) return {};
    return std::chrono::microseconds(std::max<std::int64_t>(number("WATCHDOG_USEC"), 0));
}

}  // namespace fedgate::admin
