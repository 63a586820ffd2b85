#include "bench/load/target.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/address.hpp"

namespace fedgate::load {

namespace {

constexpr int kConnectMs = 3'000;

// 0, or an errno.
int connect_once(const SocketAddress& address) {
    const auto* to = reinterpret_cast<const sockaddr*>(&address.storage);
    const int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return errno;
    int error = connect(fd, to, address.length) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
        pollfd wait{fd, POLLOUT, 0};
        socklen_t size = sizeof error;
        if (poll(&wait, 1, kConnectMs) <= 0) {
            error = ETIMEDOUT;
        } else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
            error = errno;
        }
    }
    close(fd);
    return error;
}

bool check(const Options& options, const char* name, const std::string& text, bool stream) {
    const auto address = net::parse_address(text);
    if (!address) {
        std::fprintf(stderr, "fedload: %s %s: give a numeric address with a port\n", name,
                     text.c_str());
        return false;
    }
    if (!net::is_loopback(*address) && !options.own_target) {
        std::fprintf(stderr,
                     "fedload: %s %s is another host. A load is an attack on a host whose owner "
                     "did not ask for it; if it is yours, say --i-own-this-target\n",
                     name, text.c_str());
        return false;
    }
    if (!stream) return true;
    if (const int error = connect_once(*address); error != 0) {
        std::fprintf(stderr, "fedload: nobody answers at %s %s: %s\n", name, text.c_str(),
                     std::strerror(error));
        return false;
    }
    return true;
}

}  // namespace

bool check_targets(const Options& options) {
    return (!options.has_xmpp() || check(options, "--xmpp", options.xmpp, true)) &&
           (!options.has_sip() ||
            check(options, "--sip", options.sip, options.sip_transport != "udp"));
}

}  // namespace fedgate::load
