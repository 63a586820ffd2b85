#include "appliance/admin/client.hpp"

#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

namespace fedgate::admin {
namespace {

constexpr time_t kAnswerSeconds = 30;

class Descriptor {
public:
    explicit Descriptor(int number) : number_(number) {}
    ~Descriptor() {
        if (number_ >= 0) close(number_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    [[nodiscard]] int get() const { return number_; }

private:
    int number_;
};

std::string cannot_connect(const std::string& path, int error) {
    if (error == ENOENT || error == ECONNREFUSED) {
        return "fedgated is not running (nothing answers at " + path +
               "); start it with 'fedgated -c FILE', or name its admin.socket with -s PATH";
    }
    if (error == EACCES) {
        return path + " may not be opened by this user: be root, or join the group that owns it";
    }
    return path + " can't be opened: " + std::strerror(error);
}

// It may still be at it: whoever asks again at once may do it twice.
std::string no_answer(int error) {
    if (error != EAGAIN) return std::string("fedgated did not answer: ") + std::strerror(error);
    return "fedgated has not answered for " + std::to_string(kAnswerSeconds) +
           " s; what was asked for may still be done: fedctl config log says whether there is a "
           "new "
           "commit, fedctl sysctl --diff what was set live";
}

}  // namespace

bool ask(const std::string& path, const Json& request, Json& answer, std::string& why) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) {
        why = "'" + path + "' can't be a socket's path";
        return false;
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    const std::string line = write_json(request) + "\n";
    if (line.size() > kRequestBytes) {
        why = "that is more than " + std::to_string(kRequestBytes >> 20) +
              " MiB for one request; do it in parts";
        return false;
    }
    const Descriptor connection(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const timeval patience{kAnswerSeconds, 0};
    setsockopt(connection.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(connection.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(connection.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) !=
        0) {
        why = cannot_connect(path, errno);
        return false;
    }
    for (std::size_t sent = 0; sent < line.size();) {
        const ssize_t size =
            send(connection.get(), line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0 && errno == EPIPE) break;  // it has said why, and closed
        if (size < 0) {
            why = std::string("fedgated did not take the request: ") + std::strerror(errno);
            return false;
        }
        sent += static_cast<std::size_t>(size);
    }
    std::string text;
    char buffer[65536];
    while (text.empty() || text.back() != '\n') {
        const ssize_t size = recv(connection.get(), buffer, sizeof buffer, 0);
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0) {
            why = size == 0 ? "fedgated did not answer (too many clients?)" : no_answer(errno);
            return false;
        }
        text.append(buffer, static_cast<std::size_t>(size));
    }
    answer = parse_json(text);
    if (!answer.is_object()) {
        why = "fedgated's answer is not JSON; are fedctl and fedgated of one version?";
        return false;
    }
    return true;
}

}  // namespace fedgate::admin
