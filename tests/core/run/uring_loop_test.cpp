// What only the kernel's loop has: descriptors, and bounds of the kernel. The rest is in
// loop_test.cpp.
#include "core/run/uring_loop.hpp"

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "core/run/socket_address.hpp"

namespace {
std::atomic<std::size_t> allocation_count{0};
}  // namespace

// Counts every allocation of this program. Not inlined: g++ 12 would take the pairs for mismatched.
[[gnu::noinline]] void* operator new(std::size_t size) {
    allocation_count.fetch_add(1, std::memory_order_relaxed);
    void* memory = std::malloc(size);
    if (memory == nullptr) std::abort();
    return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace fedgate {
namespace {

SocketAddress any_loopback() {
    sockaddr_in ipv4{};
    ipv4.sin_family = AF_INET;
    ipv4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return make_address(ipv4);
}

template <typename Predicate>
bool run_until(Loop& loop, Predicate&& done, Duration limit = 10s) {
    const Instant deadline = loop.now() + limit;
    while (!done() && loop.now() < deadline) loop.run_turn(10ms);
    return done();
}

struct Owner : SocketOwner {
    explicit Owner(Loop& runs_on) : loop(runs_on) {}
    void on_accept(Socket, Socket connection, const SocketAddress&) override {
        accepted.push_back(connection);
        loop.adopt(connection, *this);
    }
    void on_connect(Socket, int error) override { connected = error == 0; }
    void on_receive(Socket socket, MutableBytes bytes) override {
        received += bytes.size();
        if (!pauses) return;
        loop.pause_receive(socket);
        paused.push_back(socket);
    }
    void on_sent(Socket, int error) override { sent += error == 0; }
    void on_end(Socket, int error) override { end_error = error; }
    void on_closed(Socket) override { ++closed; }
    void on_readable(Socket) override { ++readable; }

    Loop& loop;
    std::vector<Socket> accepted, paused;
    std::size_t received = 0;
    bool pauses = false, connected = false;
    int sent = 0, end_error = -1, closed = 0, readable = 0;
};

TEST(UringLoop, TellsThatAWatchedDescriptorIsReadable) {
    const auto loop = UringLoop::make().value();
    Owner owner(*loop);
    const int descriptor = eventfd(0, 0);
    ASSERT_GE(descriptor, 0);
    const Socket watch = loop->watch(descriptor, owner).value();
    for (int i = 1; i <= 3; ++i) {
        std::uint64_t value = 1;
        ASSERT_EQ(write(descriptor, &value, sizeof value), 8);
        ASSERT_TRUE(run_until(*loop, [&] { return owner.readable == i; }));
        ASSERT_EQ(read(descriptor, &value, sizeof value), 8);
    }
    loop->close(watch);
    ASSERT_TRUE(run_until(*loop, [&] { return owner.closed == 1; }));
    std::uint64_t value = 1;
    EXPECT_EQ(write(descriptor, &value, sizeof value), 8);  // it stayed open
    close(descriptor);
}

TEST(UringLoop, AcceptingGoesOnWhenDescriptorsAreBackAgain) {
#ifdef __SANITIZE_ADDRESS__
    // The sanitizer's vptr check looks at memory through a pipe, and there is no descriptor left
    // for one.
    GTEST_SKIP() << "not with the sanitizers";
#endif
    const auto loop = UringLoop::make().value();
    Owner server(*loop), client(*loop);
    const Socket listener = loop->listen(any_loopback(), server).value();
    const Socket socket = loop->connect(loop->local_address(listener), client).value();
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    const int next = dup(0);  // the lowest free one: everything below is in use
    ASSERT_GE(next, 0);
    close(next);
    rlimit none = before;
    none.rlim_cur = static_cast<rlim_t>(next);
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    EXPECT_TRUE(run_until(*loop, [&] { return server.end_error != -1; }));
    EXPECT_EQ(server.end_error, EMFILE);
    int turns = 0;
    run_until(*loop, [&] { return ++turns > 1'000; }, 50ms);
    EXPECT_LT(turns, 100);  // it does not spin
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_TRUE(run_until(*loop, [&] { return server.accepted.size() == 1; }));
    loop->close(socket);
}

// Paused sockets may hold every buffer that there is: the others wait, nobody spins, nothing is
// lost.
TEST(UringLoop, GoesOnWhenAllBuffersWereHeld) {
    UringSettings settings;
    settings.buffers = 4;
    settings.buffers_max = 4;
    settings.buffer_bytes = 4'096;
    const auto loop = UringLoop::make(settings).value();
    Owner server(*loop);
    server.pauses = true;
    const Socket listener = loop->listen(any_loopback(), server).value();
    std::vector<std::unique_ptr<Owner>> clients;
    std::vector<Socket> sockets;
    const std::string bytes(40'000, 'x');
    for (int i = 0; i < 10; ++i) {
        clients.push_back(std::make_unique<Owner>(*loop));
        sockets.push_back(loop->connect(loop->local_address(listener), *clients.back()).value());
    }
    ASSERT_TRUE(run_until(*loop, [&] { return server.accepted.size() == 10; }));
    for (std::size_t i = 0; i < 10; ++i) {
        ASSERT_TRUE(run_until(*loop, [&] { return clients[i]->connected; }));
        loop->send(sockets[i], bytes);
    }
    const bool all = run_until(*loop, [&] {
        const std::vector<Socket> paused = std::move(server.paused);
        server.paused.clear();
        for (const Socket socket : paused) loop->resume_receive(socket);
        return server.received == 10 * bytes.size();
    });
    EXPECT_TRUE(all) << server.received;
}

TEST(UringLoop, AtTheBoundOfSocketsNewConnectionsAreClosed) {
    UringSettings settings;
    settings.sockets_max = 3;
    const auto loop = UringLoop::make(settings).value();
    Owner server(*loop), first(*loop);
    const Socket listener = loop->listen(any_loopback(), server).value();
    ASSERT_TRUE(loop->connect(loop->local_address(listener), first).has_value());
    ASSERT_TRUE(run_until(*loop, [&] { return server.accepted.size() == 1; }));
    EXPECT_EQ(loop->connect(loop->local_address(listener), first).error().code, Errc::kLimit);
    EXPECT_EQ(loop->socket_count(), 3U);
}

TEST(UringLoop, ItsRingDoesNothingThatItIsNotMadeFor) {
    const auto loop = UringLoop::make().value();
    const std::vector<RingTrial> trials = loop->try_fence();
    EXPECT_GE(trials.size(), 7U);
    for (const RingTrial& trial : trials) EXPECT_EQ(trial.error, EACCES) << trial.what;
}

TEST(UringLoop, AnAddressThatIsNotOursIsAnError) {
    const auto loop = UringLoop::make().value();
    Owner owner(*loop);
    SocketAddress nowhere = any_loopback();
    sockaddr_in ipv4 = as_ipv4(nowhere);
    ipv4.sin_addr.s_addr = htonl(0xc0000201);  // 192.0.2.1 (RFC 5737) is not ours
    EXPECT_EQ(loop->listen(make_address(ipv4), owner).error().system, EADDRNOTAVAIL);
}

// style.md 7: the message path allocates nothing.
TEST(UringLoop, AMessageAllocatesNothing) {
    const auto loop = UringLoop::make().value();
    Owner server(*loop), client(*loop);
    const Socket listener = loop->listen(any_loopback(), server).value();
    const Socket socket = loop->connect(loop->local_address(listener), client).value();
    ASSERT_TRUE(run_until(*loop, [&] { return client.connected && !server.accepted.empty(); }));
    const Socket in = loop->open_datagram(any_loopback(), server).value();
    const SocketAddress to = loop->local_address(in);
    const auto exchange = [&] {
        const int sent = client.sent;
        loop->send(socket, "a message");
        EXPECT_TRUE(loop->send_datagram(in, to, "a datagram"));
        run_until(*loop, [&] { return client.sent > sent; });
    };
    for (int i = 0; i < 10; ++i) exchange();
    const std::size_t before = allocation_count;
    for (int i = 0; i < 1'000; ++i) exchange();
    EXPECT_EQ(allocation_count, before);
    EXPECT_GT(server.received, 9'000U);
}

}  // namespace
}  // namespace fedgate
