#include "core/run/uring_loop.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>
#include <vector>

#include <liburing.h>

#include "core/run/socket_address.hpp"
#include "core/run/uring_buffers.hpp"

namespace fedgate {
namespace {

enum class Kind : std::uint8_t { kListener, kStream, kDatagram, kWatch };

// What the kernel may hold of a socket, at most one of each; the low bits of user_data.
enum class Op : std::uint8_t {
    kReceive,
    kSend,
    kConnect,
    kAccept,
    kPoll,
    kDatagramSend,
    kWake,
    kCancel
};

constexpr std::uint64_t kOpMask = 15;
constexpr unsigned kStreamGroup = 0;
constexpr unsigned kDatagramGroup = 1;
constexpr std::size_t kDatagramBytes = 65'536;  // no datagram is longer
constexpr std::size_t kDatagramBufferBytes =
    66'048;                               // with the kernel's header and the sender's address
constexpr Duration kAcceptPause = 100ms;  // after EMFILE and its like
constexpr int kBacklog = 4'096;
constexpr int kTeardownTurns = 100;

constexpr unsigned bit(Op op) { return 1U << static_cast<unsigned>(op); }

struct Held {
    std::uint16_t id;
    std::uint32_t size;
};

struct alignas(16) UringSocket {
    Socket self;
    SocketOwner* owner = nullptr;
    std::unique_ptr<SocketRemains> remains;
    int descriptor = -1;
    Kind kind;
    bool ipv6 = false;
    unsigned armed = 0;      // operations in the kernel, by bit(Op)
    unsigned datagrams = 0;  // datagram sends in the kernel
    bool connected = false;
    bool paused = false;
    bool ended = false;  // nothing more is received
    bool end_told = false;
    int end_error = 0;
    bool shutdown_after_send = false;
    bool starved = false;  // waits for a buffer
    bool closing = false;
    bool listed = false;        // in closed_
    bool accept_again = false;  // after a pause
    Bytes unsent;
    SocketAddress address;   // to connect to; the kernel reads it when it is submitted
    std::vector<Held> held;  // received while paused

    explicit UringSocket(Kind kind_of) : kind(kind_of) {}
};

struct alignas(16) DatagramSend {
    UringSocket* socket = nullptr;
    DatagramSend* next = nullptr;
    SocketAddress to;
    iovec piece{};
    msghdr header{};
};

std::uint64_t tag(const void* target, Op op) {
    return reinterpret_cast<std::uintptr_t>(target) | static_cast<std::uint64_t>(op);
}

Handle<UringSocket> slot_of(Socket socket) { return {socket.index, socket.generation}; }

Instant read_monotonic() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return Instant(std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec));
}

// Errors of one connection that was never accepted (accept(2)); everything else is a lack of
// resources.
bool is_of_one_connection(int error) {
    return error == ECONNABORTED || error == EINTR || error == EPROTO || error == EPERM ||
           error == ENETDOWN || error == EHOSTDOWN || error == EHOSTUNREACH ||
           error == ENETUNREACH || error == ENONET || error == ENOPROTOOPT || error == EOPNOTSUPP;
}

}  // namespace

class UringLoopImplementation final : public UringLoop, private TimerOwner {
public:
    explicit UringLoopImplementation(const UringSettings& settings)
        : settings_(settings),
          sockets_(settings.sockets_max),
          now_(read_monotonic()),
          timers_(now_),
          accept_timer_(*this) {
        read_wall();
    }
    ~UringLoopImplementation() override;
    int open();

    [[nodiscard]] Instant now() const override { return now_; }
    [[nodiscard]] WallTime wall_now() const override { return wall_; }
    void fill_random(MutableBytes) override;
    Result<Socket> listen(const SocketAddress&, SocketOwner&) override;
    Result<Socket> connect(const SocketAddress&, SocketOwner&) override;
    Result<Socket> open_datagram(const SocketAddress&, SocketOwner&) override;
    Result<Socket> watch(int descriptor, SocketOwner&) override;
    void adopt(Socket, SocketOwner&) override;
    void send(Socket, Bytes) override;
    bool send_datagram(Socket, const SocketAddress& to, Bytes) override;
    void pause_receive(Socket) override;
    void resume_receive(Socket) override;
    void shutdown_send(Socket) override;
    void close(Socket) override;
    void close(Socket, std::unique_ptr<SocketRemains>) override;
    [[nodiscard]] SocketAddress local_address(Socket) const override;
    [[nodiscard]] Timers& timers() override { return timers_; }
    void at_turn_end(TurnTask& task) override { tasks_.add(task); }
    void cancel_turn_task(TurnTask& task) override { tasks_.remove(task); }
    void set_turn_hook(TurnHook* hook) override { hook_ = hook; }
    void wake() override;
    void run_turn(Duration wait_max) override;
    [[nodiscard]] std::size_t socket_count() const override { return sockets_.count(); }

private:
    UringSocket* find(Socket socket) const;
    Result<UringSocket*> make_socket(Kind, int descriptor, SocketOwner*);
    Result<UringSocket*> open_bound(const SocketAddress&, int type, Kind, SocketOwner&);
    int open_datagrams();

    io_uring_sqe* next_sqe();
    void mark_armed(io_uring_sqe&, UringSocket&, Op);
    void cancel(const void* target, Op);
    void arm_accept(UringSocket&);
    void arm_receive(UringSocket&);
    void arm_send(UringSocket&);
    void arm_poll(UringSocket&);
    void arm_wake();

    void submit_and_wait(Duration wait);
    void read_wall();
    void dispatch();
    void on_completion(const io_uring_cqe&);
    void on_accepted(UringSocket&, int result);
    void take_connection(UringSocket& listener, int descriptor);
    void on_connected(UringSocket&, int result);
    void on_received(UringSocket&, const io_uring_cqe&);
    void on_receive_failed(UringSocket&, int error);
    void on_sent(UringSocket&, int result);
    void on_poll(UringSocket&, int result);
    void on_datagram_sent(DatagramSend&);
    void on_timer(Timer&) override;

    void deliver(UringSocket&, MutableBytes);
    void deliver_datagram(UringSocket&, MutableBytes);
    void deliver_held(UringSocket&);
    void tell_end(UringSocket&);
    void continue_receive(UringSocket&);
    void begin_close(UringSocket&);
    void check_closed(UringSocket&);
    void run_lists();
    void feed_starved();
    void offer_buffers();
    UringBuffers& buffers_of(const UringSocket& socket) {
        return socket.kind == Kind::kDatagram ? datagram_buffers_ : buffers_;
    }

    UringSettings settings_;
    // The memory that the kernel writes to goes after the ring does: queue_exit() in the
    // destructor.
    UringBuffers buffers_;
    UringBuffers datagram_buffers_;
    io_uring ring_{};
    bool ring_open_ = false;
    int wake_descriptor_ = -1;
    std::uint64_t wake_count_ = 0;
    bool wake_armed_ = false;
    bool tearing_down_ = false;
    mutable Slab<UringSocket> sockets_;

    std::unique_ptr<DatagramSend[]> datagram_sends_;
    DatagramSend* free_datagram_send_ = nullptr;
    char* datagram_memory_ = nullptr;
    msghdr receive_header_{};

    Instant now_;
    WallTime wall_{};
    Timers timers_;
    Timer accept_timer_;
    TurnTasks tasks_;
    TurnHook* hook_ = nullptr;
    // Sockets that need something outside of a completion; handles, so that a closed one is found
    // gone.
    std::vector<Socket> resumed_;
    std::vector<Socket> starved_;  // found no buffer
    std::vector<Socket> closed_;   // the kernel holds nothing
    std::vector<Socket> working_;  // the one of these lists that is being worked on

    std::array<char, 4'096> random_{};
    std::size_t random_used_ = random_.size();
};

Result<std::unique_ptr<UringLoop>> UringLoop::make(const UringSettings& settings) {
    auto loop = std::make_unique<UringLoopImplementation>(settings);
    if (const int error = loop->open(); error != 0)
        return failure(Errc::kSystem, "io_uring", error);
    return loop;
}

int UringLoopImplementation::open() {
    io_uring_params params{};
    // One thread submits and takes completions, and only when it asks: no interrupts of its work,
    // no locks.
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE |
                   IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP;
    params.cq_entries = settings_.completions;
    if (const int result = io_uring_queue_init_params(settings_.submissions, &ring_, &params);
        result < 0) {
        return -result;
    }
    ring_open_ = true;
    io_uring_register_ring_fd(&ring_);  // saves a look-up a call; without it all works as well
    wake_descriptor_ = eventfd(0, EFD_CLOEXEC);
    if (wake_descriptor_ < 0) return errno;
    arm_wake();
    return buffers_.open(ring_, kStreamGroup, settings_.buffers, settings_.buffers_max,
                         settings_.buffer_bytes);
}

UringLoopImplementation::~UringLoopImplementation() {
    tearing_down_ = true;
    if (ring_open_) {
        sockets_.for_each([this](Handle<UringSocket>, UringSocket& socket) {
            socket.owner = nullptr;
            begin_close(socket);
        });
        if (wake_armed_) cancel(nullptr, Op::kWake);
        for (int turn = 0; turn < kTeardownTurns && (sockets_.count() > 0 || wake_armed_); ++turn) {
            submit_and_wait(closed_.empty() ? Duration(10ms) : Duration(0));
            dispatch();
            run_lists();
        }
        FEDGATE_CHECK(sockets_.count() == 0);  // else the kernel would write into freed memory
        io_uring_queue_exit(&ring_);
    }
    if (wake_descriptor_ >= 0) ::close(wake_descriptor_);
    if (datagram_memory_ != nullptr)
        munmap(datagram_memory_, settings_.datagram_sends * kDatagramBytes);
}

void UringLoopImplementation::read_wall() {
    timespec time;
    clock_gettime(CLOCK_REALTIME_COARSE, &time);
    wall_ = WallTime(std::chrono::seconds(time.tv_sec));
}

void UringLoopImplementation::fill_random(MutableBytes bytes) {
    while (!bytes.empty()) {
        if (random_used_ == random_.size()) {
            for (std::size_t got = 0; got < random_.size();) {
                const ssize_t result = getrandom(random_.data() + got, random_.size() - got, 0);
                FEDGATE_CHECK(result > 0 || errno == EINTR);
                if (result > 0) got += static_cast<std::size_t>(result);
            }
            random_used_ = 0;
        }
        const std::size_t size = std::min(bytes.size(), random_.size() - random_used_);
        std::memcpy(bytes.data(), random_.data() + random_used_, size);
        explicit_bzero(random_.data() + random_used_, size);  // what was given out is not kept
        random_used_ += size;
        bytes = bytes.subspan(size);
    }
}

// ---- sockets

UringSocket* UringLoopImplementation::find(Socket socket) const {
    UringSocket* found = sockets_.find(slot_of(socket));
    return found != nullptr && !found->closing ? found : nullptr;
}

// Takes the descriptor over; closes it when it fails (a watched one is the caller's).
Result<UringSocket*> UringLoopImplementation::make_socket(Kind kind, int descriptor,
                                                          SocketOwner* owner) {
    Handle<UringSocket> handle;
    UringSocket* socket = sockets_.make(handle, kind);
    if (socket == nullptr) {
        if (kind != Kind::kWatch) ::close(descriptor);
        return failure(Errc::kLimit, "sockets");
    }
    socket->self = {handle.index, handle.generation};
    socket->owner = owner;
    socket->descriptor = descriptor;
    return socket;
}

Result<UringSocket*> UringLoopImplementation::open_bound(const SocketAddress& address, int type,
                                                         Kind kind, SocketOwner& owner) {
    // No O_NONBLOCK: with it io_uring answers EAGAIN instead of waiting.
    const int descriptor = ::socket(address.storage.ss_family, type | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return failure(Errc::kSystem, "socket", errno);
    const int on = 1;
    const int off = 0;
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);  // each core has its own
    if (type == SOCK_STREAM) {
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on,
                   sizeof on);  // accepted ones inherit it
    }
    const bool ipv6 = address.storage.ss_family == AF_INET6;
    if (ipv6) setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    const auto* kernel_address = reinterpret_cast<const sockaddr*>(&address.storage);
    if (bind(descriptor, kernel_address, address.length) != 0 ||
        (type == SOCK_STREAM && ::listen(descriptor, kBacklog) != 0)) {
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
    FEDGATE_TRY(socket, open_bound(address, SOCK_STREAM, Kind::kListener, owner));
    arm_accept(*socket);
    return socket->self;
}

Result<Socket> UringLoopImplementation::connect(const SocketAddress& address, SocketOwner& owner) {
    const int descriptor = ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return failure(Errc::kSystem, "socket", errno);
    const int on = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    FEDGATE_TRY(socket, make_socket(Kind::kStream, descriptor, &owner));
    socket->address = address;
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_connect(sqe, descriptor,
                          reinterpret_cast<const sockaddr*>(&socket->address.storage),
                          address.length);
    mark_armed(*sqe, *socket, Op::kConnect);
    return socket->self;
}

Result<Socket> UringLoopImplementation::open_datagram(const SocketAddress& local,
                                                      SocketOwner& owner) {
    if (const int error = open_datagrams(); error != 0)
        return failure(Errc::kSystem, "datagram memory", error);
    FEDGATE_TRY(socket, open_bound(local, SOCK_DGRAM, Kind::kDatagram, owner));
    arm_receive(*socket);
    return socket->self;
}

// Only a loop that has a datagram socket pays for this memory.
int UringLoopImplementation::open_datagrams() {
    if (datagram_memory_ != nullptr) return 0;
    if (!datagram_buffers_.is_open()) {
        const int error = datagram_buffers_.open(ring_, kDatagramGroup, settings_.datagram_buffers,
                                                 settings_.datagram_buffers, kDatagramBufferBytes);
        if (error != 0) return error;
    }
    const std::size_t count = settings_.datagram_sends;
    void* memory = mmap(nullptr, count * kDatagramBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return errno;
    datagram_memory_ = static_cast<char*>(memory);
    datagram_sends_ = std::make_unique<DatagramSend[]>(count);
    for (std::size_t i = count; i-- > 0;) {
        DatagramSend& send = datagram_sends_[i];
        send.piece.iov_base = datagram_memory_ + i * kDatagramBytes;
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
    FEDGATE_TRY(socket, make_socket(Kind::kWatch, descriptor, &owner));
    arm_poll(*socket);
    return socket->self;
}

void UringLoopImplementation::adopt(Socket connection, SocketOwner& owner) {
    UringSocket* socket = find(connection);
    if (socket == nullptr) return;
    FEDGATE_CHECK(socket->kind == Kind::kStream && socket->owner == nullptr);
    socket->owner = &owner;
    continue_receive(*socket);
}

void UringLoopImplementation::send(Socket to, Bytes bytes) {
    UringSocket* socket = find(to);
    if (socket == nullptr) return;
    FEDGATE_CHECK(socket->kind == Kind::kStream && socket->connected);
    FEDGATE_CHECK((socket->armed & bit(Op::kSend)) == 0 && !bytes.empty());
    socket->unsent = bytes;
    arm_send(*socket);
}

bool UringLoopImplementation::send_datagram(Socket from, const SocketAddress& to, Bytes bytes) {
    UringSocket* socket = find(from);
    // What no datagram can carry is lost, as everything may be that is sent in one.
    if (socket == nullptr || bytes.size() > kDatagramBytes) return true;
    FEDGATE_CHECK(socket->kind == Kind::kDatagram);
    DatagramSend* send = free_datagram_send_;
    if (send == nullptr) return false;
    free_datagram_send_ = send->next;
    send->socket = socket;
    send->to = socket->ipv6 ? to_mapped(to) : to;
    send->header.msg_namelen = send->to.length;
    if (!bytes.empty()) std::memcpy(send->piece.iov_base, bytes.data(), bytes.size());
    send->piece.iov_len = bytes.size();
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_sendmsg(sqe, socket->descriptor, &send->header, MSG_NOSIGNAL);
    io_uring_sqe_set_data64(sqe, tag(send, Op::kDatagramSend));
    ++socket->datagrams;
    return true;
}

void UringLoopImplementation::pause_receive(Socket socket_handle) {
    UringSocket* socket = find(socket_handle);
    if (socket == nullptr || socket->paused) return;
    socket->paused = true;
    if ((socket->armed & bit(Op::kReceive)) != 0) cancel(socket, Op::kReceive);
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
    if ((socket->armed & bit(Op::kSend)) != 0) {
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
    for (const Held& held : socket.held) buffers_of(socket).give_back(held.id);
    socket.held.clear();
    if (socket.kind == Kind::kStream) ::shutdown(socket.descriptor, SHUT_RDWR);
    for (const Op op : {Op::kReceive, Op::kSend, Op::kConnect, Op::kAccept, Op::kPoll}) {
        if ((socket.armed & bit(op)) != 0) cancel(&socket, op);
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
    if (socket == nullptr || socket->kind == Kind::kWatch) return address;
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

void UringLoopImplementation::mark_armed(io_uring_sqe& sqe, UringSocket& socket, Op op) {
    FEDGATE_CHECK((socket.armed & bit(op)) == 0);
    socket.armed |= bit(op);
    io_uring_sqe_set_data64(&sqe, tag(&socket, op));
}

// Found by its user_data. Submissions keep their order, so a cancel never meets an operation of a
// later user of the slot. Its own completion tells nothing.
void UringLoopImplementation::cancel(const void* target, Op op) {
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_cancel64(sqe, tag(target, op), 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, tag(nullptr, Op::kCancel));
}

void UringLoopImplementation::arm_accept(UringSocket& socket) {
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_multishot_accept(sqe, socket.descriptor, nullptr, nullptr, SOCK_CLOEXEC);
    mark_armed(*sqe, socket, Op::kAccept);
}

void UringLoopImplementation::arm_receive(UringSocket& socket) {
    io_uring_sqe* sqe = next_sqe();
    if (socket.kind == Kind::kDatagram) {
        io_uring_prep_recvmsg_multishot(sqe, socket.descriptor, &receive_header_, 0);
        sqe->buf_group = kDatagramGroup;
    } else {
        io_uring_prep_recv_multishot(sqe, socket.descriptor, nullptr, 0, 0);
        sqe->buf_group = kStreamGroup;
    }
    sqe->flags |= IOSQE_BUFFER_SELECT;
    mark_armed(*sqe, socket, Op::kReceive);
}

void UringLoopImplementation::arm_send(UringSocket& socket) {
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_send(sqe, socket.descriptor, socket.unsent.data(), socket.unsent.size(),
                       MSG_NOSIGNAL | MSG_WAITALL);
    mark_armed(*sqe, socket, Op::kSend);
}

void UringLoopImplementation::arm_poll(UringSocket& socket) {
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_poll_multishot(sqe, socket.descriptor, POLLIN);
    mark_armed(*sqe, socket, Op::kPoll);
}

void UringLoopImplementation::arm_wake() {
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_read(sqe, wake_descriptor_, &wake_count_, sizeof wake_count_, 0);
    io_uring_sqe_set_data64(sqe, tag(nullptr, Op::kWake));
    wake_armed_ = true;
}

void UringLoopImplementation::wake() {
    const std::uint64_t one = 1;
    // It can only fail when the counter is at its end: then the loop has been woken already.
    [[maybe_unused]] const ssize_t result = write(wake_descriptor_, &one, sizeof one);
}

// ---- a turn

void UringLoopImplementation::run_turn(Duration wait_max) {
    offer_buffers();
    const Instant next = timers_.next_deadline();
    const bool waiting = !tasks_.empty() || !resumed_.empty() || !closed_.empty();
    Duration wait = waiting ? Duration(0) : wait_max;
    if (wait > 0ns && next != kNever) wait = std::min(wait, next - read_monotonic());
    submit_and_wait(wait);
    now_ = read_monotonic();
    read_wall();
    dispatch();
    run_lists();
    timers_.run(now_);
    if (hook_ != nullptr) hook_->on_turn();
    tasks_.run();
}

void UringLoopImplementation::submit_and_wait(Duration wait) {
    if (wait <= 0ns || io_uring_cq_ready(&ring_) > 0) {
        io_uring_submit_and_get_events(&ring_);
        return;
    }
    const auto seconds = std::chrono::floor<std::chrono::seconds>(wait);
    __kernel_timespec limit{};
    limit.tv_sec = seconds.count();
    limit.tv_nsec = (wait - seconds).count();
    io_uring_cqe* first = nullptr;
    io_uring_submit_and_wait_timeout(&ring_, &first, 1, &limit, nullptr);
}

void UringLoopImplementation::dispatch() {
    std::array<io_uring_cqe*, 256> batch;
    for (unsigned left = settings_.completions; left > 0;) {
        const unsigned count =
            io_uring_peek_batch_cqe(&ring_, batch.data(), std::min<unsigned>(batch.size(), left));
        if (count == 0) break;
        for (unsigned i = 0; i < count; ++i) on_completion(*batch[i]);
        io_uring_cq_advance(&ring_, count);
        offer_buffers();
        left -= count;
    }
}

void UringLoopImplementation::on_completion(const io_uring_cqe& cqe) {
    const auto op = static_cast<Op>(cqe.user_data & kOpMask);
    auto* target = reinterpret_cast<void*>(static_cast<std::uintptr_t>(cqe.user_data & ~kOpMask));
    if (op == Op::kCancel) return;
    if (op == Op::kWake) {
        wake_armed_ = false;
        if (!tearing_down_) arm_wake();
        return;
    }
    if (op == Op::kDatagramSend) return on_datagram_sent(*static_cast<DatagramSend*>(target));
    UringSocket& socket = *static_cast<UringSocket*>(target);
    if ((cqe.flags & IORING_CQE_F_MORE) == 0) socket.armed &= ~bit(op);
    switch (op) {
        case Op::kReceive: on_received(socket, cqe); break;
        case Op::kSend: on_sent(socket, cqe.res); break;
        case Op::kConnect: on_connected(socket, cqe.res); break;
        case Op::kAccept: on_accepted(socket, cqe.res); break;
        case Op::kPoll: on_poll(socket, cqe.res); break;
        default: FEDGATE_CHECK(false);
    }
    check_closed(socket);
}

void UringLoopImplementation::on_accepted(UringSocket& listener, int result) {
    if (result >= 0) {
        take_connection(listener, result);
    } else if (!listener.closing && result != -ECANCELED && !is_of_one_connection(-result)) {
        // Trying again at once would spin until somebody closes a descriptor.
        listener.accept_again = true;
        if (!accept_timer_.armed()) timers_.arm(accept_timer_, now_ + kAcceptPause);
        listener.owner->on_end(listener.self, -result);
    }
    const bool armed = (listener.armed & bit(Op::kAccept)) != 0;
    if (!listener.closing && !armed && !listener.accept_again) arm_accept(listener);
}

void UringLoopImplementation::take_connection(UringSocket& listener, int descriptor) {
    // One multishot accept has one address to write to, which the next connection would overwrite:
    // ask.
    SocketAddress peer;
    peer.length = sizeof peer.storage;
    const bool gone =
        getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer.storage), &peer.length) != 0;
    if (listener.closing || gone) {
        ::close(descriptor);
        return;
    }
    const Result<UringSocket*> connection = make_socket(Kind::kStream, descriptor, nullptr);
    if (!connection) return;
    (*connection)->connected = true;
    listener.owner->on_accept(listener.self, (*connection)->self, from_mapped(peer));
}

void UringLoopImplementation::on_timer(Timer&) {
    sockets_.for_each([this](Handle<UringSocket>, UringSocket& socket) {
        if (!socket.accept_again || socket.closing) return;
        socket.accept_again = false;
        arm_accept(socket);
    });
}

void UringLoopImplementation::on_connected(UringSocket& socket, int result) {
    if (socket.closing) return;
    socket.connected = result == 0;
    socket.owner->on_connect(socket.self, -result);
    continue_receive(socket);
}

void UringLoopImplementation::on_received(UringSocket& socket, const io_uring_cqe& cqe) {
    const auto size = static_cast<std::uint32_t>(std::max(cqe.res, 0));
    if ((cqe.flags & IORING_CQE_F_BUFFER) != 0) {
        const auto id = static_cast<std::uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
        const MutableBytes bytes = buffers_of(socket).take(id, size);
        const bool wanted = size > 0 && !socket.closing;
        if (wanted && (socket.paused || !socket.held.empty())) {
            socket.held.push_back({id, size});
        } else {
            if (wanted) deliver(socket, bytes);
            buffers_of(socket).give_back(id);
        }
    }
    if (socket.closing) return;
    if (cqe.res < 0) {
        on_receive_failed(socket, -cqe.res);
    } else if (cqe.res == 0 && socket.kind == Kind::kStream) {
        socket.ended = true;
    }
    tell_end(socket);
    continue_receive(socket);
}

void UringLoopImplementation::on_receive_failed(UringSocket& socket, int error) {
    if (error == ENOBUFS) {
        // Every buffer is in use: go on when one has come back.
        socket.starved = true;
        starved_.push_back(socket.self);
    } else if (error != ECANCELED && error != EINTR && error != EAGAIN &&
               socket.kind == Kind::kStream) {
        socket.ended = true;
        socket.end_error = error;
    }
}

void UringLoopImplementation::continue_receive(UringSocket& socket) {
    const bool ready =
        socket.owner != nullptr && socket.connected && !socket.closing && !socket.ended;
    const bool waits = socket.paused || socket.starved || !socket.held.empty();
    if (ready && !waits && (socket.armed & bit(Op::kReceive)) == 0) arm_receive(socket);
}

void UringLoopImplementation::tell_end(UringSocket& socket) {
    if (!socket.ended || socket.end_told || socket.closing || socket.paused || !socket.held.empty())
        return;
    socket.end_told = true;
    socket.owner->on_end(socket.self, socket.end_error);
}

void UringLoopImplementation::deliver(UringSocket& socket, MutableBytes bytes) {
    if (socket.kind == Kind::kDatagram) return deliver_datagram(socket, bytes);
    socket.owner->on_receive(socket.self, bytes);
}

void UringLoopImplementation::deliver_datagram(UringSocket& socket, MutableBytes bytes) {
    io_uring_recvmsg_out* out =
        io_uring_recvmsg_validate(bytes.data(), static_cast<int>(bytes.size()), &receive_header_);
    if (out == nullptr || (out->flags & MSG_TRUNC) != 0) return;
    SocketAddress from;
    from.length = std::min<socklen_t>(out->namelen, sizeof from.storage);
    std::memcpy(&from.storage, io_uring_recvmsg_name(out), from.length);
    const std::size_t size =
        io_uring_recvmsg_payload_length(out, static_cast<int>(bytes.size()), &receive_header_);
    auto* payload = static_cast<char*>(io_uring_recvmsg_payload(out, &receive_header_));
    socket.owner->on_datagram(socket.self, from_mapped(from), {payload, size});
}

void UringLoopImplementation::on_sent(UringSocket& socket, int result) {
    if (socket.closing) return;
    if (result == -EINTR || result == -EAGAIN) return arm_send(socket);
    const int error = result > 0 ? 0 : result < 0 ? -result : EPIPE;
    if (error == 0) {
        socket.unsent.remove_prefix(
            std::min(socket.unsent.size(), static_cast<std::size_t>(result)));
        if (!socket.unsent.empty()) return arm_send(socket);
        if (socket.shutdown_after_send) ::shutdown(socket.descriptor, SHUT_WR);
    }
    socket.unsent = {};
    socket.owner->on_sent(socket.self, error);
}

void UringLoopImplementation::on_poll(UringSocket& socket, int result) {
    if (socket.closing) return;
    if (result < 0) return socket.owner->on_end(socket.self, -result);
    socket.owner->on_readable(socket.self);
    if (!socket.closing && (socket.armed & bit(Op::kPoll)) == 0) arm_poll(socket);
}

void UringLoopImplementation::on_datagram_sent(DatagramSend& send) {
    UringSocket& socket = *send.socket;
    send.socket = nullptr;
    send.next = free_datagram_send_;
    free_datagram_send_ = &send;
    --socket.datagrams;
    check_closed(socket);
}

void UringLoopImplementation::deliver_held(UringSocket& socket) {
    while (!socket.held.empty() && !socket.paused) {
        const Held held = socket.held.front();
        socket.held.erase(socket.held.begin());
        deliver(socket, buffers_of(socket).at(held.id, held.size));
        buffers_of(socket).give_back(held.id);
    }
}

// What has to be done for sockets without a completion. Callbacks may add to the lists: that is for
// the next turn.
void UringLoopImplementation::run_lists() {
    working_.swap(resumed_);
    for (const Socket handle : working_) {
        UringSocket* socket = find(handle);
        if (socket == nullptr) continue;
        deliver_held(*socket);
        if (socket->closing) continue;
        tell_end(*socket);
        continue_receive(*socket);
    }
    working_.clear();
    offer_buffers();
    if (!starved_.empty()) feed_starved();
    working_.swap(closed_);
    for (const Socket handle : working_) {
        UringSocket& socket = *sockets_.find(slot_of(handle));
        SocketOwner* owner = socket.owner;
        if (socket.kind != Kind::kWatch) ::close(socket.descriptor);
        sockets_.free(slot_of(handle));
        if (owner != nullptr) owner->on_closed(handle);
    }
    working_.clear();
}

void UringLoopImplementation::feed_starved() {
    working_.swap(starved_);
    for (const Socket handle : working_) {
        UringSocket* socket = find(handle);
        if (socket == nullptr) continue;
        if (!buffers_of(*socket).any_offered()) {
            starved_.push_back(handle);
            continue;
        }
        socket->starved = false;
        continue_receive(*socket);
    }
    working_.clear();
}

void UringLoopImplementation::offer_buffers() {
    buffers_.offer();
    if (datagram_buffers_.is_open()) datagram_buffers_.offer();
}

}  // namespace fedgate
