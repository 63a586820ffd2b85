#include "bench/floor/sockets.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <unistd.h>

namespace fedgate::floor {

namespace {

constexpr std::size_t kDatagramRoom = 2'048;
constexpr std::size_t kSegmentsRoom = 65'536;
constexpr std::size_t kSegmentsBytesMax = 65'000;  // of one UDP send
constexpr int kSocketBytes = 4 << 20;

Descriptor bound_socket(int type, sockaddr_in& at) {
    Descriptor made(socket(AF_INET, type | SOCK_CLOEXEC, 0));
    at = {};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof at;
    if (bind(made.get(), reinterpret_cast<sockaddr*>(&at), length) != 0 ||
        getsockname(made.get(), reinterpret_cast<sockaddr*>(&at), &length) != 0) {
        return Descriptor();
    }
    return made;
}

bool reaches(int fd, const sockaddr_in& to) {
    return connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
}

}  // namespace

Descriptor::~Descriptor() {
    if (fd_ >= 0) close(fd_);
}

std::pair<Descriptor, Descriptor> connected_pair(bool datagrams) {
    const auto none = [] { return std::pair(Descriptor(), Descriptor()); };
    sockaddr_in first_at{}, second_at{};
    const int type = datagrams ? SOCK_DGRAM : SOCK_STREAM;
    Descriptor first = bound_socket(type, first_at), second = bound_socket(type, second_at);
    if (datagrams) {
        if (!reaches(first.get(), second_at) || !reaches(second.get(), first_at)) return none();
        for (const int fd : {first.get(), second.get()}) {
            // FORCE is for root; either may be refused.
            setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kSocketBytes, sizeof kSocketBytes);
            setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &kSocketBytes, sizeof kSocketBytes);
            setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &kSocketBytes, sizeof kSocketBytes);
        }
        return std::pair(std::move(first), std::move(second));
    }
    if (listen(first.get(), 1) != 0 || !reaches(second.get(), first_at)) return none();
    Descriptor accepted(accept4(first.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const int on = 1;
    for (const int fd : {accepted.get(), second.get()}) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    return std::pair(std::move(accepted), std::move(second));
}

unsigned datagrams_held(int fd) {
    int granted = 0;
    socklen_t length = sizeof granted;
    getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &granted, &length);
    return static_cast<unsigned>(static_cast<std::size_t>(granted) / kDatagramRoom);
}

Datagrams::Datagrams(int fd, Segments segments)
    : fd_(fd), segments_(segments), messages_(kBatch), parts_(kBatch) {
    memory_.resize(segments.in ? 8 * kSegmentsRoom : kBatch * kDatagramRoom);
    const int on = 1;
    if (segments.in) setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on);
}

bool Datagrams::receive(Buffer& into) {
    const std::size_t room = segments_.in ? kSegmentsRoom : kDatagramRoom;
    const std::size_t most = memory_.size() / room;
    for (;;) {
        const std::size_t count = std::min(most, into.room().size() / room);
        if (count == 0) return true;
        for (std::size_t i = 0; i < count; ++i) {
            parts_[i] = {memory_.data() + i * room, room};
            messages_[i] = {};
            messages_[i].msg_hdr.msg_iov = &parts_[i];
            messages_[i].msg_hdr.msg_iovlen = 1;
        }
        const int came =
            recvmmsg(fd_, messages_.data(), static_cast<unsigned>(count), MSG_DONTWAIT, nullptr);
        if (came < 0) return errno == EAGAIN || errno == EINTR;
        for (std::size_t i = 0; i < static_cast<std::size_t>(came); ++i) {
            std::memcpy(into.room().data(), parts_[i].iov_base, messages_[i].msg_len);
            into.added(messages_[i].msg_len);
        }
        if (static_cast<std::size_t>(came) < count) return true;
    }
}

bool Datagrams::send(std::span<const char> bytes, std::size_t size) {
    return segments_.out ? send_segments(bytes, size) : send_many(bytes, size);
}

bool Datagrams::send_segments(std::span<const char> bytes, std::size_t size) {
    const std::size_t most = std::min(kBatch, kSegmentsBytesMax / size) * size;
    while (!bytes.empty()) {
        const std::size_t now = std::min(most, bytes.size());
        iovec part{const_cast<char*>(bytes.data()), now};
        alignas(cmsghdr) char control[CMSG_SPACE(sizeof(std::uint16_t))] = {};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = IPPROTO_UDP;
        header->cmsg_type = UDP_SEGMENT;
        header->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
        const auto segment = static_cast<std::uint16_t>(size);
        std::memcpy(CMSG_DATA(header), &segment, sizeof segment);
        const ssize_t sent = sendmsg(fd_, &message, 0);
        if (sent < 0 && errno != EINTR) return false;
        if (sent > 0) bytes = bytes.subspan(static_cast<std::size_t>(sent));
    }
    return true;
}

bool Datagrams::send_many(std::span<const char> bytes, std::size_t size) {
    while (!bytes.empty()) {
        std::size_t count = 0;
        for (; count < kBatch && count * size < bytes.size(); ++count) {
            parts_[count] = {const_cast<char*>(bytes.data()) + count * size, size};
            messages_[count] = {};
            messages_[count].msg_hdr.msg_iov = &parts_[count];
            messages_[count].msg_hdr.msg_iovlen = 1;
        }
        const int sent = sendmmsg(fd_, messages_.data(), static_cast<unsigned>(count), 0);
        if (sent < 0 && errno != EINTR) return false;
        if (sent > 0) bytes = bytes.subspan(static_cast<std::size_t>(sent) * size);
    }
    return true;
}

}  // namespace fedgate::floor
