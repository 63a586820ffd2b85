#include <cerrno>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/run/socket_address.hpp"
#include "core/run/socket_bounds.hpp"
#include "core/run/uring_implementation.hpp"

namespace fedgate {
namespace {

constexpr std::size_t kDatagramBufferBytes =
    66'048;  // with the kernel's header and the sender's address

void set_stream_options(int descriptor) {
    const int on = 1;
    const auto user_timeout_ms = static_cast<unsigned>(
        std::chrono::duration_cast<std::chrono::milliseconds>(kTcpUserTimeout).count());
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof user_timeout_ms);
}

}  // namespace

// ---- sockets

UringSocket* UringLoopImplementation::find(Socket socket) const {
    UringSocket* found = sockets_.find(slot_of(socket));
    return found != nullptr && !found->closing ? found : nullptr;
}

// Takes the descriptor over; closes it when it fails (a watched one is the caller's).
Result<UringSocket*> UringLoopImplementation::make_socket(UringKind kind, int descriptor,
                                                          SocketOwner* owner) {
    Handle<UringSocket> handle;
    UringSocket* socket = sockets_.make(handle, kind);
    if (socket == nullptr) {
        if (kind != UringKind::kWatch) ::close(descriptor);
        return failure(Errc::kLimit, "sockets");
    }
    socket->self = {handle.index, handle.generation};
    socket->owner = owner;
    socket->descriptor = descriptor;
    return socket;
}

Result<UringSocket*> UringLoopImplementation::open_bound(const SocketAddress& address, int type,
                                                         UringKind kind, SocketOwner& owner) {
    // No O_NONBLOCK: with it io_uring answers EAGAIN instead of waiting.
    const int descriptor = ::socket(address.storage.sin6_family, type | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return failure(Errc::kSystem, "socket", errno);
    const int on = 1;
    const int off = 0;
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);  // each core has its own
    if (type == SOCK_STREAM) {
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        set_stream_options(descriptor);  // accepted ones inherit them
    }
    const bool ipv6 = address.storage.sin6_family == AF_INET6;
    if (ipv6) setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    const auto* kernel_address = reinterpret_cast<const sockaddr*>(&address.storage);
    if (bind(descriptor, kernel_address, address.length) != 0 ||
        (type == SOCK_STREAM && ::listen(descriptor, kListenBacklog) != 0)) {
        const int error = errno;
        ::close(descriptor);
        return failure(Errc::kSystem, "bind", error);
    }
    FEDGATE_TRY(socket, make_socket(kind, descriptor, &owner));
    socket->ipv6 = ipv6;
    socket->connected = true;
    return socket;
}

Result<Socket> UringLoopImplementation::listen(const SocketAddress& address, SocketOwner& owner) {
    FEDGATE_TRY(socket, open_bound(address, SOCK_STREAM, UringKind::kListener, owner));
    arm_accept(*socket);
    return socket->self;
}

Result<Socket> UringLoopImplementation::connect(const SocketAddress& address, SocketOwner& owner) {
    const int descriptor = ::socket(address.storage.sin6_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return failure(Errc::kSystem, "socket", errno);
    set_stream_options(descriptor);
    FEDGATE_TRY(socket, make_socket(UringKind::kStream, descriptor, &owner));
    socket->address = address;
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_connect(sqe, descriptor,
                          reinterpret_cast<const sockaddr*>(&socket->address.storage),
                          address.length);
    mark_armed(*sqe, *socket, UringOp::kConnect);
    return socket->self;
}

Result<Socket> UringLoopImplementation::open_datagram(const SocketAddress& local,
                                                      SocketOwner& owner) {
    if (const int error = open_datagrams(); error != 0)
        return failure(Errc::kSystem, "datagram memory", error);
    FEDGATE_TRY(socket, open_bound(local, SOCK_DGRAM, UringKind::kDatagram, owner));
    // What comes while this core is busy waits; the kernel gives what net.core.rmem_max allows.
    const int receive_bytes = kDatagramQueueBytes;
    setsockopt(socket->descriptor, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    arm_receive(*socket);
    return socket->self;
}

// Only a loop that has a datagram socket pays for this memory.
int UringLoopImplementation::open_datagrams() {
    if (datagram_memory_ != nullptr) return 0;
    if (!datagram_buffers_.is_open()) {
        const int error =
            datagram_buffers_.open(ring_, kUringDatagramGroup, settings_.datagram_buffers,
                                   settings_.datagram_buffers, kDatagramBufferBytes);
        if (error != 0) return error;
    }
    const std::size_t count = settings_.datagram_sends;
    void* memory = mmap(nullptr, count * kUringDatagramBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return errno;
    datagram_memory_ = static_cast<char*>(memory);
    datagram_sends_ = std::make_unique<UringDatagram[]>(count);
    for (std::size_t i = count; i-- > 0;) {
        UringDatagram& send = datagram_sends_[i];
        send.piece.iov_base = datagram_memory_ + i * kUringDatagramBytes;
        send.header.msg_name = &send.to.storage;
        send.header.msg_iov = &send.piece;
        send.header.msg_iovlen = 1;
        send.next = free_datagram_send_;
        free_datagram_send_ = &send;
    }
    receive_header_.msg_namelen = sizeof(sockaddr_storage);
    return 0;
}

Result<Socket> UringLoopImplementation::watch(int descriptor, SocketOwner& owner) {
    FEDGATE_TRY(socket, make_socket(UringKind::kWatch, descriptor, &owner));
    arm_poll(*socket);
    return socket->self;
}

void UringLoopImplementation::adopt(Socket connection, SocketOwner& owner) {
    UringSocket* socket = find(connection);
    if (socket == nullptr) return;
    FEDGATE_CHECK(socket->kind == UringKind::kStream && socket->owner == nullptr);
    socket->owner = &owner;
    continue_receive(*socket);
}

void UringLoopImplementation::send(Socket to, Bytes bytes) {
    UringSocket* socket = find(to);
    if (socket == nullptr) return;
    FEDGATE_CHECK(socket->kind == UringKind::kStream && socket->connected);
    FEDGATE_CHECK((socket->armed & uring_bit(UringOp::kSend)) == 0 && !bytes.empty());
    socket->unsent = bytes;
    arm_send(*socket);
}

bool UringLoopImplementation::send_datagram(Socket from, const SocketAddress& to, Bytes bytes) {
    UringSocket* socket = find(from);
    // What no datagram can carry is lost, as everything may be that is sent in one.
    if (socket == nullptr || bytes.size() > kUringDatagramBytes) return true;
    FEDGATE_CHECK(socket->kind == UringKind::kDatagram);
    UringDatagram* send = free_datagram_send_;
    if (send == nullptr) return false;
    free_datagram_send_ = send->next;
    send->socket = socket;
    send->to = socket->ipv6 ? to_mapped(to) : to;
    send->header.msg_namelen = send->to.length;
    if (!bytes.empty()) std::memcpy(send->piece.iov_base, bytes.data(), bytes.size());
    send->piece.iov_len = bytes.size();
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_sendmsg(sqe, socket->descriptor, &send->header, MSG_NOSIGNAL);
    io_uring_sqe_set_data64(sqe, uring_tag(send, UringOp::kDatagramSend));
    ++socket->datagrams;
    return true;
}

void UringLoopImplementation::pause_receive(Socket socket_handle) {
    UringSocket* socket = find(socket_handle);
    if (socket == nullptr || socket->paused) return;
    socket->paused = true;
    if ((socket->armed & uring_bit(UringOp::kReceive)) != 0) cancel(socket, UringOp::kReceive);
}

void UringLoopImplementation::resume_receive(Socket socket_handle) {
    UringSocket* socket = find(socket_handle);
    if (socket == nullptr || !socket->paused) return;
    socket->paused = false;
    resumed_.push_back(socket->self);
}

void UringLoopImplementation::shutdown_send(Socket socket_handle) {
    UringSocket* socket = find(socket_handle);
    if (socket == nullptr) return;
    if ((socket->armed & uring_bit(UringOp::kSend)) != 0) {
        socket->shutdown_after_send = true;
    } else {
        ::shutdown(socket->descriptor, SHUT_WR);
    }
}

void UringLoopImplementation::close(Socket socket_handle) {
    if (UringSocket* socket = find(socket_handle); socket != nullptr) begin_close(*socket);
}

void UringLoopImplementation::close(Socket socket_handle, std::unique_ptr<SocketRemains> remains) {
    UringSocket* socket = sockets_.find(slot_of(socket_handle));
    if (socket == nullptr) return;
    socket->owner = nullptr;
    socket->remains = std::move(remains);
    begin_close(*socket);
}

// Shut down, cancel, wait for the last completion (check_closed), then free (run_lists).
void UringLoopImplementation::begin_close(UringSocket& socket) {
    if (socket.closing) return;
    socket.closing = true;
    for (const UringHeld& held : socket.held) buffers_of(socket).give_back(held.id);
    socket.held.clear();
    if (socket.kind == UringKind::kStream) ::shutdown(socket.descriptor, SHUT_RDWR);
    for (const UringOp op :
         {UringOp::kReceive, UringOp::kSend, UringOp::kConnect, UringOp::kAccept, UringOp::kPoll}) {
        if ((socket.armed & uring_bit(op)) != 0) cancel(&socket, op);
    }
    check_closed(socket);
}

void UringLoopImplementation::check_closed(UringSocket& socket) {
    if (!socket.closing || socket.listed || socket.armed != 0 || socket.datagrams != 0) return;
    socket.listed = true;
    closed_.push_back(socket.self);
}

SocketAddress UringLoopImplementation::local_address(Socket socket_handle) const {
    SocketAddress address;
    const UringSocket* socket = find(socket_handle);
    if (socket == nullptr || socket->kind == UringKind::kWatch) return address;
    address.length = sizeof address.storage;
    if (getsockname(socket->descriptor, reinterpret_cast<sockaddr*>(&address.storage),
                    &address.length) != 0) {
        return {};
    }
    return from_mapped(address);
}

// ---- submissions

io_uring_sqe* UringLoopImplementation::next_sqe() {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (sqe == nullptr) {
        io_uring_submit(&ring_);
        sqe = io_uring_get_sqe(&ring_);
    }
    FEDGATE_CHECK(sqe != nullptr);
    return sqe;
}

void UringLoopImplementation::mark_armed(io_uring_sqe& sqe, UringSocket& socket, UringOp op) {
    FEDGATE_CHECK((socket.armed & uring_bit(op)) == 0);
    socket.armed |= uring_bit(op);
    io_uring_sqe_set_data64(&sqe, uring_tag(&socket, op));
}

// Found by its user_data. Submissions keep their order, so a cancel never meets an operation of a
// later user of the slot. Its own completion tells nothing.
void UringLoopImplementation::cancel(const void* target, UringOp op) {
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_cancel64(sqe, uring_tag(target, op), 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, uring_tag(nullptr, UringOp::kCancel));
}

void UringLoopImplementation::arm_accept(UringSocket& socket) {
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_multishot_accept(sqe, socket.descriptor, nullptr, nullptr, SOCK_CLOEXEC);
    mark_armed(*sqe, socket, UringOp::kAccept);
}

void UringLoopImplementation::arm_receive(UringSocket& socket) {
    io_uring_sqe* sqe = next_sqe();
    if (socket.kind == UringKind::kDatagram) {
        io_uring_prep_recvmsg_multishot(sqe, socket.descriptor, &receive_header_, 0);
        sqe->buf_group = kUringDatagramGroup;
    } else {
        io_uring_prep_recv_multishot(sqe, socket.descriptor, nullptr, 0, 0);
        sqe->buf_group = kUringStreamGroup;
    }
    sqe->flags |= IOSQE_BUFFER_SELECT;
    mark_armed(*sqe, socket, UringOp::kReceive);
}

void UringLoopImplementation::arm_send(UringSocket& socket) {
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_send(sqe, socket.descriptor, socket.unsent.data(), socket.unsent.size(),
                       MSG_NOSIGNAL | MSG_WAITALL);
    mark_armed(*sqe, socket, UringOp::kSend);
}

void UringLoopImplementation::arm_poll(UringSocket& socket) {
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_poll_multishot(sqe, socket.descriptor, POLLIN);
    mark_armed(*sqe, socket, UringOp::kPoll);
}

void UringLoopImplementation::arm_wake() {
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_read(sqe, wake_descriptor_, &wake_count_, sizeof wake_count_, 0);
    io_uring_sqe_set_data64(sqe, uring_tag(nullptr, UringOp::kWake));
    wake_armed_ = true;
}

void UringLoopImplementation::wake() {
    const std::uint64_t one = 1;
    // It can only fail when the counter is at its end: then the loop has been woken already.
    [[maybe_unused]] const ssize_t result = write(wake_descriptor_, &one, sizeof one);
}

}  // namespace fedgate
