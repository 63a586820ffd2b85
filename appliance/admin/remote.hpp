// admin.remote.listen: what fedctl says on admin.socket, from another machine: over TLS 1.3, by
// whoever shows a certificate of admin.remote.ca with a name that admin.remote.administrator,
// .operator or .viewer lists. Off unless it is configured. On the control thread, and bounded: at
// most kRemoteClients connections; of those that have not proved themselves the oldest makes room,
// after 10 s it is closed anyway, and so is who is silent or slow.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <poll.h>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "appliance/admin/host.hpp"
#include "appliance/admin/roles.hpp"
#include "core/base/token_bucket.hpp"
#include "core/config/tree.hpp"

namespace fedgate::net {
class TlsContext;
}

namespace fedgate::admin {

constexpr std::size_t kRemoteClients = 16;
constexpr std::uint16_t kRemotePort = 9270;  // where fedctl tries, if it is not told another one

class RemoteDoor {
public:
    // The answer to one request, with its line end.
    using Answer = std::function<std::string(std::string_view line, const Caller&)>;

    RemoteDoor(AdminHost&, Answer);
    ~RemoteDoor();
    RemoteDoor(const RemoteDoor&) = delete;
    RemoteDoor& operator=(const RemoteDoor&) = delete;

    // Listens, if that is configured. False: `why` is a sentence.
    [[nodiscard]] bool open(const config::Tree&, std::string& why);
    // What it waits for; serve() gets the same rows back after poll(2).
    void add_polls(std::vector<pollfd>&);
    void serve(std::span<const pollfd>, const config::Tree&);

private:
    struct Client;
    using Clock = std::chrono::steady_clock;

    [[nodiscard]] bool load(const config::Tree&, std::string& why);
    [[nodiscard]] std::string mark_of(const config::Tree&) const;
    void accept_some(const config::Tree&);
    void make_room();
    bool turn(Client&, short events, const config::Tree&);
    bool take_input(Client&, const config::Tree&);
    bool shake_hands(Client&, const config::Tree&);
    bool read_requests(Client&, const config::Tree&);
    bool flush(Client&);
    void refuse(Client&, const std::string& why);

    AdminHost& host_;
    Answer answer_;
    int listener_ = -1;
    bool listening_polled_ = false;
    std::unique_ptr<net::TlsContext> context_;
    std::string loaded_;  // which files, of when
    std::vector<std::unique_ptr<Client>> clients_;
    TokenBucket accepts_;
};

// By the names that a certificate is for.
[[nodiscard]] Caller caller_of_names(const std::vector<std::string>& names, const config::Tree&);

}  // namespace fedgate::admin
