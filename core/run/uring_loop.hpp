// The loop on io_uring (kernel 6.1 and later). One ring for each thread: made, used and destroyed on the
// thread that runs it; only wake() may come from elsewhere.
// A socket's slot is freed only when the kernel holds no operation of it: close() shuts down, cancels,
// and waits for the last completion. Nothing is allocated for a message.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/run/loop.hpp"

namespace fedgate {

struct UringSettings {
    unsigned submissions = 4'096;           // entries of the submission queue; a full one costs one more system call
    unsigned completions = 16'384;
    std::size_t sockets_max = 100'000;      // at the bound: accepted connections are closed, others fail with kLimit
    std::size_t buffer_bytes = 16'384;      // of one stream receive buffer
    unsigned buffers = 1'024;               // offered to the kernel (a power of two)
    unsigned buffers_max = 4'096;           // with those that hold bytes of paused sockets; at the bound: receive waits
    unsigned datagram_buffers = 64;         // receive, 64 KiB each (a power of two)
    unsigned datagram_sends = 1'024;        // in the kernel at one time; at the bound send_datagram() says no
};

class UringLoop final : public Loop {
public:
    static Result<std::unique_ptr<UringLoop>> make(const UringSettings& = {});
    // Closes what is open and waits until the kernel holds nothing; no owner is called.
    ~UringLoop() override;
    UringLoop(const UringLoop&) = delete;
    UringLoop& operator=(const UringLoop&) = delete;

    [[nodiscard]] Instant now() const override;
    [[nodiscard]] WallTime wall_now() const override;
    void fill_random(MutableBytes) override;
    Result<Socket> listen(const SocketAddress&, SocketOwner&) override;
    Result<Socket> connect(const SocketAddress&, SocketOwner&) override;
    Result<Socket> open_datagram(const SocketAddress& local, SocketOwner&) override;
    Result<Socket> watch(int descriptor, SocketOwner&) override;
    void adopt(Socket connection, SocketOwner&) override;
    void send(Socket, Bytes bytes) override;
    bool send_datagram(Socket, const SocketAddress& to, Bytes) override;
    void pause_receive(Socket) override;
    void resume_receive(Socket) override;
    void shutdown_send(Socket) override;
    void close(Socket) override;
    [[nodiscard]] SocketAddress local_address(Socket) const override;
    [[nodiscard]] Timers& timers() override;
    void at_turn_end(TurnTask&) override;
    void cancel_turn_task(TurnTask&) override;
    void set_turn_hook(TurnHook*) override;
    void wake() override;
    void run_turn(Duration wait_max) override;

    [[nodiscard]] std::size_t socket_count() const;

private:
    class Impl;    // keeps liburing's header out of every file that knows a loop
    explicit UringLoop(std::unique_ptr<Impl>);
    std::unique_ptr<Impl> impl_;
};

}  // namespace fedgate
