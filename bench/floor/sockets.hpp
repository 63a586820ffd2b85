// Connected pairs of loopback sockets, and datagrams in batches.
#pragma once

#include <cstddef>
#include <span>
#include <sys/socket.h>
#include <utility>
#include <vector>

#include "bench/floor/tls.hpp"

namespace fedgate::floor {

class Descriptor {
public:
    explicit Descriptor(int fd = -1) : fd_(fd) {}
    Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Descriptor();
    [[nodiscard]] int get() const { return fd_; }

private:
    int fd_;
};

// Both ends of a connection; -1: there is none.
[[nodiscard]] std::pair<Descriptor, Descriptor> connected_pair(bool datagrams);
// How many of our datagrams the receive buffer holds, whatever the kernel adds to each.
[[nodiscard]] unsigned datagrams_held(int fd);

// One end of a datagram pair.
class Datagrams {
public:
    struct Segments {
        bool out = false;  // UDP_SEGMENT; no: sendmmsg
        bool in = false;   // UDP_GRO
    };
    Datagrams(int fd, Segments);
    // All that is there, one behind the other, as far as there is room. False: a socket error.
    [[nodiscard]] bool receive(Buffer& into);
    // `bytes` in datagrams of `size`. False: a socket error.
    [[nodiscard]] bool send(std::span<const char> bytes, std::size_t size);

private:
    static constexpr std::size_t kBatch = 64;  // UDP_MAX_SEGMENTS
    [[nodiscard]] bool send_segments(std::span<const char> bytes, std::size_t size);
    [[nodiscard]] bool send_many(std::span<const char> bytes, std::size_t size);

    int fd_;
    Segments segments_;
    std::vector<mmsghdr> messages_;
    std::vector<iovec> parts_;
    std::vector<char> memory_;
};

}  // namespace fedgate::floor
