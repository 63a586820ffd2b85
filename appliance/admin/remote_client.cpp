#include "appliance/admin/remote_client.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "appliance/admin/client.hpp"
#include "appliance/admin/remote.hpp"
#include "appliance/admin/wall_clock.hpp"
#include "core/config/address.hpp"
#include "core/config/text.hpp"
#include "net/buffer.hpp"
#include "net/tls.hpp"

namespace fedgate::admin {
namespace {

constexpr time_t kPatience = 30;  // seconds without a byte

class Conversation {
public:
    explicit Conversation(const RemoteServer& server) : server_(server) {}
    ~Conversation() {
        if (socket_ >= 0) close(socket_);
    }
    Conversation(const Conversation&) = delete;
    Conversation& operator=(const Conversation&) = delete;

    bool run(const std::string& line, std::string& text, std::string& why) {
        return load(why) && connect_there(why) && prove(why) && say(line, why) && hear(text, why);
    }

private:
    using Outcome = net::TlsSession::Outcome;

    bool load(std::string& why) {
        const auto parsed = config::parse_host_port(server_.host);
        if (!parsed) {
            why = "--host " + server_.host + " is no NAME[:PORT]";
            return false;
        }
        name_ = config::lower_ascii(parsed->host);
        port_ = parsed->port != 0 ? parsed->port : kRemotePort;
        net::TlsConfig files;
        files.credentials.push_back({{server_.certificate, {}}, {server_.key, {}}});
        files.ca = {server_.authority, {}};
        auto context = net::TlsContext::load(files, &why);
        if (!context) return false;
        context_ = std::move(*context);
        return true;
    }

    bool connect_there(std::string& why) {
        const std::string& where = server_.address.empty() ? name_ : server_.address;
        const std::string shown = where + " port " + std::to_string(port_);
        addrinfo hints{};
        hints.ai_socktype = SOCK_STREAM;
        addrinfo* found = nullptr;
        if (getaddrinfo(where.c_str(), std::to_string(port_).c_str(), &hints, &found) != 0) {
            why = where + " has no address: its record, or --address";
            return false;
        }
        for (const addrinfo* one = found; one != nullptr && socket_ < 0; one = one->ai_next) {
            socket_ = socket(one->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
            const timeval patience{kPatience, 0};
            setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
            setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
            if (connect(socket_, one->ai_addr, one->ai_addrlen) == 0) break;
            why = shown + " can't be reached: " + std::strerror(errno) +
                  " (is admin.remote.listen set there?)";
            close(socket_);
            socket_ = -1;
        }
        freeaddrinfo(found);
        return socket_ >= 0;
    }

    bool prove(std::string& why) {
        session_ = net::TlsSession::client(*context_, name_, {}, wall_now());
        Bytes input;
        auto outcome = session_->handshake(input, output_);
        while (outcome == Outcome::kNeedInput) {
            if (!flush(why) || !receive(why)) return false;
            input = cipher_;
            outcome = session_->handshake(input, output_);
            cipher_.erase(0, cipher_.size() - input.size());
        }
        if (outcome != Outcome::kDone) {
            why = name_ + ": TLS failed: " + session_->error().where;
            return false;
        }
        const PeerIdentity& peer = session_->peer();
        const bool named = std::ranges::any_of(peer.dns_names, [this](const std::string& one) {
            return config::lower_ascii(one) == name_;
        });
        if (!peer.chain_valid) why = name_ + " is not believed: the certificate " + peer.fault;
        if (peer.chain_valid && !named)
            why = name_ + " is not believed: its certificate is not for that name";
        return peer.chain_valid && named;
    }

    bool say(const std::string& line, std::string& why) {
        if (session_->write(line, output_)) return flush(why);
        why = name_ + ": TLS failed: " + session_->error().where;
        return false;
    }

    bool hear(std::string& text, std::string& why) {
        while (true) {
            Bytes input = cipher_;
            char bytes[16'384];
            std::size_t got = 0;
            const Outcome outcome = session_->read(input, {bytes, sizeof bytes}, got, output_);
            text.append(bytes, got);
            cipher_.erase(0, cipher_.size() - input.size());
            if (text.ends_with('\n')) return true;
            if (outcome == Outcome::kDone) continue;
            if (outcome != Outcome::kNeedInput) {
                why = name_ + " ended the connection without an answer";
                return false;
            }
            if (!receive(why)) return false;
        }
    }

    bool flush(std::string& why) {
        while (!output_.empty()) {
            const Bytes bytes = output_.bytes();
            const ssize_t size = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (size < 0 && errno == EINTR) continue;
            // It has said why, and closed: that is to be read yet.
            if (size < 0 && (errno == EPIPE || errno == ECONNRESET)) return output_.clear(), true;
            if (size < 0) {
                why = name_ + " did not take the request: " + std::strerror(errno);
                return false;
            }
            output_.consume(static_cast<std::size_t>(size));
        }
        return true;
    }

    bool receive(std::string& why) {
        char bytes[65'536];
        ssize_t size = 0;
        do size = recv(socket_, bytes, sizeof bytes, 0);
        while (size < 0 && errno == EINTR);
        if (size > 0) {
            cipher_.append(bytes, static_cast<std::size_t>(size));
            return true;
        }
        why = size == 0 ? name_ + " ended the connection (too many at once?)"
                        : name_ + " did not answer: " + std::strerror(errno) +
                              "; what was asked for may still be done";
        return false;
    }

    const RemoteServer& server_;
    std::string name_;
    std::uint16_t port_ = 0;
    int socket_ = -1;
    std::unique_ptr<net::TlsContext> context_;
    std::unique_ptr<net::TlsSession> session_;
    net::Buffer output_;
    std::string cipher_;
};

}  // namespace

bool ask_remote(const RemoteServer& server, const Json& request, Json& answer, std::string& why) {
    const std::string line = write_json(request) + "\n";
    if (line.size() > kRequestBytes) {
        why = "that is more than " + std::to_string(kRequestBytes >> 20) +
              " MiB for one request; do it in parts";
        return false;
    }
    std::string text;
    if (!Conversation(server).run(line, text, why)) return false;
    answer = parse_json(text);
    if (answer.is_object()) return true;
    why = "the answer is not JSON; are fedctl and fedgated of one version?";
    return false;
}

}  // namespace fedgate::admin
