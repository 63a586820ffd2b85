// The seam to the outside world: clock, sockets and randomness reach the product only through a
// Loop. An operation is submitted with an owner, its completion comes back later. Two
// implementations: UringLoop (io_uring) and SimulatedLoop (virtual clock, in-memory sockets, seeded
// faults).
//
// Thread: every call and every callback on the loop's own thread, except wake().
// No callback runs inside a call of the loop: completions are delivered from run_turn() only.
#pragma once

#include <cstdint>
#include <memory>
#include <netinet/in.h>
#include <string>

#include "core/base/bytes.hpp"
#include "core/base/error.hpp"
#include "core/base/slab.hpp"
#include "core/base/time.hpp"
#include "core/run/timers.hpp"

namespace fedgate {

// Bytes that the other host has not confirmed for so long end a connection (RFC 5482).
constexpr Duration kTcpUserTimeout = std::chrono::seconds(30);

// IPv4 or IPv6 address and port, as the kernel wants it.
struct SocketAddress {
    sockaddr_in6 storage{};  // or a sockaddr_in
    socklen_t length = 0;
};

struct SocketState;  // each loop has its own
using Socket = Handle<SocketState>;

// Told what happens to its sockets. Must outlive each of its sockets until on_closed() of that
// socket.
class SocketOwner {
public:
    // A listener accepted `connection`. Give it an owner with Loop::adopt(), or close() it.
    virtual void on_accept(Socket /*listener*/, Socket /*connection*/,
                           const SocketAddress& /*peer*/) {}
    // connect() ended; `error` is 0 or an errno.
    virtual void on_connect(Socket, int /*error*/) {}
    // Bytes of a stream. The view is valid for the call only, and may be written to.
    virtual void on_receive(Socket, MutableBytes) {}
    virtual void on_datagram(Socket, const SocketAddress& /*from*/, MutableBytes) {}
    // All bytes given to send() were taken by the kernel (0), or the send failed (errno).
    virtual void on_sent(Socket, int /*error*/) {}
    // The peer closed its side (0), or the connection broke (errno). Nothing more is received.
    // Of a listener: accepting failed (EMFILE, ENOBUFS, ...); it is tried again by itself after a
    // pause.
    virtual void on_end(Socket, int /*error*/) {}
    // Last completion after close(): the kernel holds nothing of it any more, its owner may go.
    virtual void on_closed(Socket) {}
    // The descriptor given to watch() is readable.
    virtual void on_readable(Socket) {}

protected:
    ~SocketOwner() = default;
};

// Something to do once, after all completions of this turn and before they are submitted: this is
// where connections flush what the turn has written, so that many messages share one send.
class TurnTask {
public:
    virtual void on_turn_end() = 0;

protected:
    ~TurnTask() = default;

private:
    friend class TurnTasks;
    TurnTask* next_ = nullptr;
    bool queued_ = false;
};

// The TurnTasks of one loop, first in first out. For the implementations of Loop.
class TurnTasks {
public:
    void add(TurnTask& task) {
        if (task.queued_) return;
        task.queued_ = true;
        task.next_ = nullptr;
        (last_ != nullptr ? last_->next_ : first_) = &task;
        last_ = &task;
    }
    void remove(TurnTask& task) {
        if (!task.queued_) return;
        TurnTask* before = nullptr;
        for (TurnTask* at = first_; at != &task; at = at->next_) before = at;
        (before != nullptr ? before->next_ : first_) = task.next_;
        if (last_ == &task) last_ = before;
        if (end_ == &task) end_ = before;
        task.queued_ = false;
    }
    // Runs what is queued now. What a task queues again is for the next turn: no endless turn.
    void run() {
        end_ = last_;
        while (first_ != nullptr && end_ != nullptr) {
            TurnTask& task = *first_;
            if (end_ == &task) end_ = nullptr;
            first_ = task.next_;
            if (first_ == nullptr) last_ = nullptr;
            task.queued_ = false;
            task.on_turn_end();
        }
    }
    [[nodiscard]] bool empty() const { return first_ == nullptr; }

private:
    TurnTask* first_ = nullptr;
    TurnTask* last_ = nullptr;
    TurnTask* end_ = nullptr;  // last one of the present run()
};

// Called once in every turn, after completions and timers and before turn tasks: where a shard
// takes what other threads have left for it.
class TurnHook {
public:
    virtual void on_turn() = 0;

protected:
    ~TurnHook() = default;
};

// What must stay until the kernel has let go of a socket although its owner is gone: buffers,
// mostly.
struct SocketRemains {
    virtual ~SocketRemains() = default;
};

class Loop {
public:
    virtual ~Loop() = default;

    // Time at the start of this turn; it does not move within a turn.
    [[nodiscard]] virtual Instant now() const = 0;
    [[nodiscard]] virtual WallTime wall_now() const = 0;
    virtual void fill_random(MutableBytes) = 0;

    virtual Result<Socket> listen(const SocketAddress&, SocketOwner&) = 0;
    virtual Result<Socket> connect(const SocketAddress&, SocketOwner&) = 0;
    virtual Result<Socket> open_datagram(const SocketAddress& local, SocketOwner&) = 0;
    // Calls on_readable() each time the descriptor becomes readable. The descriptor stays the
    // caller's.
    virtual Result<Socket> watch(int descriptor, SocketOwner&) = 0;

    // Takes over an accepted connection and starts to receive on it.
    virtual void adopt(Socket connection, SocketOwner&) = 0;
    // One send in flight for each stream socket; `bytes` must stay as they are until on_sent(),
    // or, after close(), until on_closed().
    virtual void send(Socket, Bytes bytes) = 0;
    // Copies. False: no room now (bounded); the datagram was not taken.
    virtual bool send_datagram(Socket, const SocketAddress& to, Bytes) = 0;
    // Back-pressure: no on_receive(), on_datagram() or on_end() between pause_receive() and
    // resume_receive(). What came meanwhile is kept and follows after resume_receive().
    virtual void pause_receive(Socket) = 0;
    virtual void resume_receive(Socket) = 0;
    // No more sends from us (FIN after what was sent). Receiving goes on.
    virtual void shutdown_send(Socket) = 0;
    // Shuts down, cancels, and waits for the last completion; then on_closed(). No other callback
    // of this socket comes after close() was called.
    virtual void close(Socket) = 0;
    // The same for an owner that goes at once, also when close() was called before: on_closed()
    // does not come, and `remains` is destroyed after the last completion, or with the loop.
    virtual void close(Socket, std::unique_ptr<SocketRemains> remains) = 0;
    [[nodiscard]] virtual SocketAddress local_address(Socket) const = 0;

    [[nodiscard]] virtual Timers& timers() = 0;
    virtual void at_turn_end(TurnTask&) = 0;
    // Must be called before a TurnTask that may be queued is destroyed.
    virtual void cancel_turn_task(TurnTask&) = 0;

    // At most one hook; null: none.
    virtual void set_turn_hook(TurnHook*) = 0;

    // Wakes the loop of another thread (its run_turn() returns soon). The only call allowed from
    // any thread.
    virtual void wake() = 0;
    // Waits for completions until the next timer is due (at most `wait_max`), handles all that
    // came, runs timers, the hook and turn tasks. What they have asked for goes to the kernel with
    // the wait of the next turn, in one system call.
    virtual void run_turn(Duration wait_max) = 0;
};

}  // namespace fedgate
