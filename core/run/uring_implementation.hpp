// The class behind UringLoop, for its two sources only: uring_loop.cpp turns and takes completions,
// uring_sockets.cpp opens, closes and submits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <memory>
#include <sys/socket.h>
#include <vector>

#include <liburing.h>

#include "core/run/uring_buffers.hpp"
#include "core/run/uring_fence.hpp"
#include "core/run/uring_loop.hpp"

namespace fedgate {

enum class UringKind : std::uint8_t { kListener, kStream, kDatagram, kWatch };

// What the kernel may hold of a socket, at most one of each; the low bits of user_data.
enum class UringOp : std::uint8_t {
    kReceive,
    kSend,
    kConnect,
    kAccept,
    kPoll,
    kDatagramSend,
    kWake,
    kCancel
};

// A socket or datagram is aligned to 16 bytes, so its address leaves these bits to the operation.
constexpr std::uint64_t kUringOpMask = 15;
constexpr unsigned kUringStreamGroup = 0;
constexpr unsigned kUringDatagramGroup = 1;
constexpr unsigned uring_bit(UringOp op) { return 1U << static_cast<unsigned>(op); }

struct UringHeld {
    std::uint16_t id;
    std::uint32_t size;
};

struct alignas(16) UringSocket {
    Socket self;
    SocketOwner* owner = nullptr;
    std::unique_ptr<SocketRemains> remains;
    int descriptor = -1;
    UringKind kind;
    bool ipv6 = false;
    unsigned armed = 0;      // operations in the kernel, by uring_bit(UringOp)
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
    SocketAddress address;        // to connect to; the kernel reads it when it is submitted
    std::vector<UringHeld> held;  // received while paused

    explicit UringSocket(UringKind kind_of) : kind(kind_of) {}
};

struct alignas(16) UringDatagram {
    UringSocket* socket = nullptr;
    UringDatagram* next = nullptr;
    SocketAddress to;
    iovec piece{};
    msghdr header{};
};

constexpr std::size_t kUringDatagramBytes = 65'536;  // no datagram is longer

inline std::uint64_t uring_tag(const void* target, UringOp op) {
    return reinterpret_cast<std::uintptr_t>(target) | static_cast<std::uint64_t>(op);
}

class UringLoopImplementation final : public UringLoop, private TimerOwner {
public:
    explicit UringLoopImplementation(const UringSettings&);
    ~UringLoopImplementation() override;
    Result<void> open();

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
    [[nodiscard]] std::vector<RingTrial> try_fence() override { return try_fence_of(ring_); }

private:
    static Handle<UringSocket> slot_of(Socket socket) { return {socket.index, socket.generation}; }
    UringSocket* find(Socket socket) const;
    Result<UringSocket*> make_socket(UringKind, int descriptor, SocketOwner*);
    Result<UringSocket*> open_bound(const SocketAddress&, int type, UringKind, SocketOwner&);
    int open_datagrams();

    io_uring_sqe* next_sqe();
    void mark_armed(io_uring_sqe&, UringSocket&, UringOp);
    void cancel(const void* target, UringOp);
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
    void on_datagram_sent(UringDatagram&);
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
        return socket.kind == UringKind::kDatagram ? datagram_buffers_ : buffers_;
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

    std::unique_ptr<UringDatagram[]> datagram_sends_;
    UringDatagram* free_datagram_send_ = nullptr;
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

}  // namespace fedgate
