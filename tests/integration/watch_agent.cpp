// The agent of tests/sip/watch_agent.hpp on a UDP socket, for real peers. Each line of the standard
// input is an order; each line of the output says what happened:
//     subscribe | fetch | unsubscribe | pass SECONDS (its clock only) | tell DOCUMENT | approve |
//     end | quit
//     > SUBSCRIBE .. | < 200 .. | report A | seen DOCUMENT
// Usage: watch_agent OWN-ADDRESS PEER-ADDRESS PEER-PORT OWN-URI PEER-URI EXPIRES
// With port 0 the peer is whoever writes.
#include "tests/sip/watch_agent.hpp"

#include <arpa/inet.h>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <netinet/in.h>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

namespace fedgate::sip::test {
namespace {

sockaddr_in address_of(const char* text, int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    inet_pton(AF_INET, text, &address.sin_addr);
    return address;
}

class Driver {
public:
    Driver(int socket, sockaddr_in peer, WatchSettings settings)
        : socket_(socket), peer_(peer), agent_(std::move(settings), 1, [this](Bytes bytes, Bytes) {
              say('>', bytes);
              static_cast<void>(::sendto(socket_, bytes.data(), bytes.size(), 0,
                                         reinterpret_cast<const sockaddr*>(&peer_), sizeof peer_));
          }) {}

    void run() {
        while (true) {
            show();
            pollfd waits[] = {{0, POLLIN, 0}, {socket_, POLLIN, 0}};
            if (::poll(waits, 2, milliseconds_left()) < 0) return;
            agent_.on_time(now());
            if ((waits[1].revents & POLLIN) != 0) receive();
            if (waits[0].revents == 0) continue;
            do {
                if (!obey()) return;
            } while (std::cin.rdbuf()->in_avail() > 0);
        }
    }

private:
    [[nodiscard]] Instant now() const {
        return Instant(std::chrono::steady_clock::now().time_since_epoch()) + passed_;
    }
    [[nodiscard]] int milliseconds_left() const {
        if (agent_.deadline() == kNever) return -1;
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(agent_.deadline() - now());
        return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 3'600'000));
    }
    void receive() {
        char memory[65'536];
        sockaddr_in source{};
        socklen_t source_size = sizeof source;
        const ssize_t size = ::recvfrom(socket_, memory, sizeof memory, 0,
                                        reinterpret_cast<sockaddr*>(&source), &source_size);
        if (size <= 0) return;
        if (any_peer_) peer_ = source;
        const Bytes bytes(memory, static_cast<std::size_t>(size));
        say('<', bytes);
        agent_.receive(bytes, now());
    }
    bool obey() {
        std::string line;
        if (!std::getline(std::cin, line) || line == "quit") return false;
        const std::string order = line.substr(0, line.find(' '));
        const std::string value = line.substr(std::min(order.size() + 1, line.size()));
        if (order == "subscribe") agent_.subscribe(now());
        if (order == "fetch") agent_.fetch(now());
        if (order == "unsubscribe") agent_.unsubscribe(now());
        if (order == "approve") agent_.approve(now());
        if (order == "pass") passed_ += std::chrono::seconds(std::stoi(value));
        if (order == "tell") agent_.change(value, true, now());
        if (order == "end") agent_.end("rejected", 0, now());
        return true;
    }
    void show() {
        for (; reported_ < agent_.reports.size(); ++reported_) {
            std::printf("report %c\n", agent_.reports[reported_]);
        }
        if (agent_.seen != seen_) {
            seen_ = agent_.seen;
            std::string line = seen_;
            for (char& c : line) {
                if (c == '\r' || c == '\n') c = ' ';
            }
            std::printf("seen %s\n", line.c_str());
        }
        std::fflush(stdout);
    }
    static void say(char direction, Bytes bytes) {
        std::printf("%c %.*s\n", direction, static_cast<int>(bytes.find("\r\n")), bytes.data());
        for (const Bytes name : {"\r\nSubscription-State: ", "\r\nExpires: "}) {
            const std::size_t at = bytes.find(name);
            if (at == Bytes::npos) continue;
            const Bytes line = bytes.substr(at + 2, bytes.find("\r\n", at + 2) - at - 2);
            std::printf("%c  %.*s\n", direction, static_cast<int>(line.size()), line.data());
        }
    }

    int socket_;
    sockaddr_in peer_;
    bool any_peer_ = peer_.sin_port == 0;
    Duration passed_{};
    std::size_t reported_ = 0;
    std::string seen_;
    WatchAgent agent_;
};

}  // namespace
}  // namespace fedgate::sip::test

int main(int count, char** arguments) {
    using namespace fedgate::sip::test;
    if (count != 7) return 2;
    std::cin.sync_with_stdio(false);
    const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
    sockaddr_in own = address_of(arguments[1], 0);
    socklen_t size = sizeof own;
    if (::bind(fd, reinterpret_cast<sockaddr*>(&own), size) != 0) return 1;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size) != 0) return 1;
    WatchSettings settings;
    settings.host = arguments[1];
    settings.port = ntohs(own.sin_port);
    settings.uri = arguments[4];
    settings.peer_uri = arguments[5];
    settings.subscriber.expires = static_cast<std::uint32_t>(std::atoi(arguments[6]));
    std::printf("port %u\n", settings.port);
    Driver(fd, address_of(arguments[2], std::atoi(arguments[3])), settings).run();
    return 0;
}
