#include "bench/load/target.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <netdb.h>
#include <optional>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include "net/address.hpp"

namespace fedgate::load {

namespace {

constexpr int kConnectMs = 3'000;
constexpr time_t kLookUpSeconds = 5;

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

// HOST:PORT. A failure is a sentence in `why`.
std::optional<SocketAddress> look_up(const std::string& text, std::string& why) {
    if (const auto numeric = net::parse_address(text)) return *numeric;
    struct Question {
        net::HostPort asked;
        addrinfo hints{};
        gaicb request{};
    };
    auto question = std::make_unique<Question>();
    auto parsed = net::parse_host_port(text, 0);
    if (!parsed || !parsed->port_given) {
        why = "give a host and a port";
        return {};
    }
    question->asked = std::move(*parsed);
    question->hints.ai_socktype = SOCK_STREAM;
    question->request.ar_name = question->asked.host.c_str();
    question->request.ar_request = &question->hints;
    gaicb* request = &question->request;
    const timespec wait{kLookUpSeconds, 0};
    int code = getaddrinfo_a(GAI_NOWAIT, &request, 1, nullptr);
    if (code == 0) {
        gai_suspend(&request, 1, &wait);
        code = gai_error(request);
    }
    if (code == EAI_INPROGRESS) {  // it goes on, and we don't
        [[maybe_unused]] const Question* left = question.release();
        why = "no answer to the question for its address";
        return {};
    }
    if (code != 0) {
        why = gai_strerror(code);
        return {};
    }
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> found(request->ar_result,
                                                                   &freeaddrinfo);
    SocketAddress address;
    std::memcpy(&address.storage, found->ai_addr,
                std::min<std::size_t>(found->ai_addrlen, sizeof address.storage));
    address.length = found->ai_addrlen;
    return net::with_port(address, question->asked.port);
}

// `text` is what was said, and becomes a numeric address.
bool check(const Options& options, const char* name, std::string& text, bool stream) {
    std::string why;
    const auto address = look_up(text, why);
    if (!address) {
        std::fprintf(stderr, "fedload: %s %s: %s\n", name, text.c_str(), why.c_str());
        return false;
    }
    if (!net::is_loopback(*address) && !options.own_target) {
        std::fprintf(stderr,
                     "fedload: %s %s is another host. A load is an attack on a host whose owner "
                     "did not ask for it; if it is yours, say --i-own-this-target\n",
                     name, text.c_str());
        return false;
    }
    if (const int error = stream ? connect_once(*address) : 0; error != 0) {
        std::fprintf(stderr, "fedload: nobody answers at %s %s: %s\n", name, text.c_str(),
                     std::strerror(error));
        return false;
    }
    text = net::format_address(*address);
    return true;
}

}  // namespace

bool check_targets(Options& options) {
    return (!options.has_xmpp() || check(options, "--xmpp", options.xmpp, true)) &&
           (!options.has_sip() ||
            check(options, "--sip", options.sip, options.sip_transport != "udp"));
}

}  // namespace fedgate::load
