#include "core/run/uring_loop.hpp"

#include <algorithm>
#include <cerrno>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "core/base/hash.hpp"
#include "core/run/socket_address.hpp"
#include "core/run/uring_implementation.hpp"

namespace fedgate {
namespace {

constexpr Duration kAcceptPause = 100ms;  // after EMFILE and its like
constexpr int kTeardownTurns = 100;

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

UringLoopImplementation::UringLoopImplementation(const UringSettings& settings)
    : settings_(settings),
      sockets_(settings.sockets_max),
      now_(read_monotonic()),
      timers_(now_),
      accept_timer_(*this) {
    read_wall();
}

Result<std::unique_ptr<UringLoop>> UringLoop::make(const UringSettings& settings) {
    auto loop = std::make_unique<UringLoopImplementation>(settings);
    if (const Result<void> opened = loop->open(); !opened) return Failure{opened.error()};
    return loop;
}

Result<void> UringLoopImplementation::open() {
    io_uring_params params{};
    // One thread submits and takes completions, and only when it asks: no interrupts of its work,
    // no locks. It does nothing before it is fenced.
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE |
                   IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED;
    params.cq_entries = settings_.completions;
    if (const int result = io_uring_queue_init_params(settings_.submissions, &ring_, &params);
        result < 0) {
        return failure(Errc::kSystem, "io_uring", -result);
    }
    ring_open_ = true;
    // Saves a look-up a call; without it all works as well. The fence lets no more be registered.
    io_uring_register_ring_fd(&ring_);
    if (const Result<void> fenced = fence_and_enable(ring_); !fenced) return fenced;
    wake_descriptor_ = eventfd(0, EFD_CLOEXEC);
    if (wake_descriptor_ < 0) return failure(Errc::kSystem, "eventfd", errno);
    const int error = buffers_.open(ring_, kUringStreamGroup, settings_.buffers,
                                    settings_.buffers_max, settings_.buffer_bytes);
    if (error != 0) return failure(Errc::kSystem, "buffers of io_uring", error);
    arm_wake();
    return {};
}

UringLoopImplementation::~UringLoopImplementation() {
    tearing_down_ = true;
    if (ring_open_) {
        sockets_.for_each([this](Handle<UringSocket>, UringSocket& socket) {
            socket.owner = nullptr;
            begin_close(socket);
        });
        if (wake_armed_) cancel(nullptr, UringOp::kWake);
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
        munmap(datagram_memory_, settings_.datagram_sends * kUringDatagramBytes);
}

void UringLoopImplementation::read_wall() {
    timespec time;
    clock_gettime(CLOCK_REALTIME_COARSE, &time);
    wall_ = WallTime(std::chrono::seconds(time.tv_sec));
}

void UringLoopImplementation::fill_random(MutableBytes bytes) {
    while (!bytes.empty()) {
        if (random_used_ == random_.size()) {
            // The kernel's own generator takes 4 % of a message for as many; so it gives a key
            // only.
            std::array<std::uint8_t, 32> key;
            while (getrandom(key.data(), key.size(), 0) != ssize_t{key.size()}) {
                FEDGATE_CHECK(errno == EINTR);
            }
            expand_random(key, {random_.data(), random_.size()});
            explicit_bzero(key.data(), key.size());
            random_used_ = 0;
        }
        const std::size_t size = std::min(bytes.size(), random_.size() - random_used_);
        std::memcpy(bytes.data(), random_.data() + random_used_, size);
        explicit_bzero(random_.data() + random_used_, size);  // what was given out is not kept
        random_used_ += size;
        bytes = bytes.subspan(size);
    }
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
    const auto op = static_cast<UringOp>(cqe.user_data & kUringOpMask);
    auto* target =
        reinterpret_cast<void*>(static_cast<std::uintptr_t>(cqe.user_data & ~kUringOpMask));
    if (op == UringOp::kCancel) return;
    if (op == UringOp::kWake) {
        wake_armed_ = false;
        if (!tearing_down_) arm_wake();
        return;
    }
    if (op == UringOp::kDatagramSend) return on_datagram_sent(*static_cast<UringDatagram*>(target));
    UringSocket& socket = *static_cast<UringSocket*>(target);
    if ((cqe.flags & IORING_CQE_F_MORE) == 0) socket.armed &= ~uring_bit(op);
    switch (op) {
        case UringOp::kReceive: on_received(socket, cqe); break;
        case UringOp::kSend: on_sent(socket, cqe.res); break;
        case UringOp::kConnect: on_connected(socket, cqe.res); break;
        case UringOp::kAccept: on_accepted(socket, cqe.res); break;
        case UringOp::kPoll: on_poll(socket, cqe.res); break;
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
    const bool armed = (listener.armed & uring_bit(UringOp::kAccept)) != 0;
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
    const Result<UringSocket*> connection = make_socket(UringKind::kStream, descriptor, nullptr);
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
    } else if (cqe.res == 0 && socket.kind == UringKind::kStream) {
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
               socket.kind == UringKind::kStream) {
        socket.ended = true;
        socket.end_error = error;
    }
}

void UringLoopImplementation::continue_receive(UringSocket& socket) {
    const bool ready =
        socket.owner != nullptr && socket.connected && !socket.closing && !socket.ended;
    const bool waits = socket.paused || socket.starved || !socket.held.empty();
    if (ready && !waits && (socket.armed & uring_bit(UringOp::kReceive)) == 0) arm_receive(socket);
}

void UringLoopImplementation::tell_end(UringSocket& socket) {
    if (!socket.ended || socket.end_told || socket.closing || socket.paused || !socket.held.empty())
        return;
    socket.end_told = true;
    socket.owner->on_end(socket.self, socket.end_error);
}

void UringLoopImplementation::deliver(UringSocket& socket, MutableBytes bytes) {
    if (socket.kind == UringKind::kDatagram) return deliver_datagram(socket, bytes);
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
    if (!socket.closing && (socket.armed & uring_bit(UringOp::kPoll)) == 0) arm_poll(socket);
}

void UringLoopImplementation::on_datagram_sent(UringDatagram& send) {
    UringSocket& socket = *send.socket;
    send.socket = nullptr;
    send.next = free_datagram_send_;
    free_datagram_send_ = &send;
    --socket.datagrams;
    check_closed(socket);
}

void UringLoopImplementation::deliver_held(UringSocket& socket) {
    while (!socket.held.empty() && !socket.paused) {
        const UringHeld held = socket.held.front();
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
        if (socket.kind != UringKind::kWatch) ::close(socket.descriptor);
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
