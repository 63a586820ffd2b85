// What every Loop promises: the same bodies run on io_uring and on the simulation.
#include "core/run/loop.hpp"

#include <cerrno>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "core/run/simulation.hpp"
#include "core/run/socket_address.hpp"
#include "core/run/uring_loop.hpp"

namespace fedgate {
namespace {

SocketAddress loopback(std::uint16_t port = 0) {
    sockaddr_in ipv4{};
    ipv4.sin_family = AF_INET;
    ipv4.sin_port = htons(port);
    ipv4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return make_address(ipv4);
}

SocketAddress any_ipv6(std::uint16_t port = 0) {
    sockaddr_in6 ipv6{};
    ipv6.sin6_family = AF_INET6;
    ipv6.sin6_port = htons(port);
    return make_address(ipv6);
}

std::uint16_t port_of(const SocketAddress& address) { return ntohs(as_ipv4(address).sin_port); }

struct UringWorld {
    UringWorld() {
        UringSettings settings;
        settings.submissions = 64;  // small, so that the tests meet the bounds
        settings.completions = 256;
        settings.buffers = 8;
        settings.buffers_max = 32;
        settings.datagram_buffers = 4;
        settings.datagram_sends = 16;
        auto made = UringLoop::make(settings);
        if (made) uring = std::move(*made);
    }
    [[nodiscard]] bool ready() const { return uring != nullptr; }
    Loop& loop() { return *uring; }
    std::unique_ptr<UringLoop> uring;
};

struct SimulatedWorld {
    SimulatedWorld() : simulated(&simulation.make_loop(simulation.make_node())) {}
    [[nodiscard]] bool ready() const { return true; }
    Loop& loop() { return *simulated; }
    Simulation simulation{SimulationSettings{.seed = 7, .window_bytes = 65'536}};
    SimulatedLoop* simulated;
};

// Adopts what it accepts and writes down what it is told.
struct Recorder : SocketOwner {
    explicit Recorder(Loop& runs_on) : loop(runs_on) {}

    void on_accept(Socket, Socket connection, const SocketAddress& peer) override {
        accepted.push_back(connection);
        peers.push_back(peer);
        if (adopts) loop.adopt(connection, *this);
    }
    void on_connect(Socket, int error) override {
        ++connects;
        connect_error = error;
    }
    void on_receive(Socket socket, MutableBytes bytes) override {
        EXPECT_FALSE(paused);
        received.append(bytes.data(), bytes.size());
        if (pause_at != 0 && received.size() >= pause_at) {
            pause_at = 0;
            paused = true;
            loop.pause_receive(socket);
        }
        if (echo) outgoing.append(bytes.data(), bytes.size());
        flush(socket);
    }
    void on_datagram(Socket, const SocketAddress& from, MutableBytes bytes) override {
        datagrams.emplace_back(bytes.data(), bytes.size());
        peers.push_back(from);
    }
    void on_sent(Socket socket, int error) override {
        ++sent;
        sent_error = error;
        in_flight.clear();
        if (error == 0) flush(socket);
    }
    void on_end(Socket, int error) override {
        EXPECT_FALSE(paused);
        ++ends;
        end_error = error;
    }
    void on_closed(Socket) override { ++closed; }

    void flush(Socket socket) {
        if (!in_flight.empty() || outgoing.empty()) return;
        in_flight.swap(outgoing);
        loop.send(socket, in_flight);
    }
    void resume(Socket socket) {
        paused = false;
        loop.resume_receive(socket);
    }

    Loop& loop;
    bool adopts = true;
    bool echo = false;
    bool paused = false;
    std::size_t pause_at = 0;
    std::vector<Socket> accepted;
    std::vector<SocketAddress> peers;
    std::string received, outgoing, in_flight;
    std::vector<std::string> datagrams;
    int connects = 0, connect_error = -1, sent = 0, sent_error = 0, ends = 0, end_error = -1,
        closed = 0;
};

template <typename World>
class LoopTest : public testing::Test {
protected:
    void SetUp() override {
        ASSERT_TRUE(world_.ready());
        server_ = std::make_unique<Recorder>(loop());
        client_ = std::make_unique<Recorder>(loop());
    }
    Loop& loop() { return world_.loop(); }

    template <typename Predicate>
    bool run_until(Predicate&& done, Duration limit = 10s) {
        const Instant deadline = loop().now() + limit;
        while (!done() && loop().now() < deadline) loop().run_turn(10ms);
        return done();
    }
    // Listens and connects; both ends stand afterwards.
    void connect_pair() {
        listener_ = loop().listen(loopback(), *server_).value();
        a_ = loop().connect(loop().local_address(listener_), *client_).value();
        ASSERT_TRUE(
            run_until([&] { return client_->connects == 1 && !server_->accepted.empty(); }));
        ASSERT_EQ(client_->connect_error, 0);
        b_ = server_->accepted[0];
    }
    static std::string noise(std::size_t size, unsigned seed) {
        std::mt19937 random(seed);
        std::string bytes(size, '\0');
        for (char& byte : bytes) byte = static_cast<char>(random());
        return bytes;
    }

    World world_;
    std::unique_ptr<Recorder> server_, client_;
    Socket listener_, a_, b_;
};

using Worlds = testing::Types<UringWorld, SimulatedWorld>;
class WorldNames {
public:
    template <typename World>
    static std::string GetName(int) {
        return std::is_same_v<World, UringWorld> ? "Uring" : "Simulated";
    }
};
TYPED_TEST_SUITE(LoopTest, Worlds, WorldNames);

TYPED_TEST(LoopTest, ConnectsAndTellsBothAddresses) {
    this->connect_pair();
    const SocketAddress client = this->loop().local_address(this->a_);
    EXPECT_EQ(port_of(this->server_->peers[0]), port_of(client));
    EXPECT_EQ(port_of(this->loop().local_address(this->b_)),
              port_of(this->loop().local_address(this->listener_)));
    EXPECT_NE(port_of(client), 0);
}

TYPED_TEST(LoopTest, EchoesWhatWasSent) {
    this->connect_pair();
    this->server_->echo = true;
    for (unsigned i = 1; i <= 20; ++i) {
        const std::string bytes = this->noise(i * 37, i);
        this->client_->received.clear();
        this->client_->outgoing = bytes;
        this->client_->flush(this->a_);
        ASSERT_TRUE(
            this->run_until([&] { return this->client_->received.size() >= bytes.size(); }));
        ASSERT_EQ(this->client_->received, bytes);
    }
    EXPECT_TRUE(this->run_until([&] { return this->client_->sent == 20; }));
    EXPECT_EQ(this->client_->sent_error, 0);
}

TYPED_TEST(LoopTest, ABigSendArrivesWholeAndIsToldOnce) {
    this->connect_pair();
    const std::string bytes = this->noise(5'000'000, 1);
    this->client_->outgoing = bytes;
    this->client_->flush(this->a_);
    ASSERT_TRUE(this->run_until([&] { return this->server_->received.size() == bytes.size(); }));
    EXPECT_TRUE(this->server_->received == bytes);
    ASSERT_TRUE(this->run_until([&] { return this->client_->sent > 0; }));
    EXPECT_EQ(this->client_->sent, 1);
    EXPECT_EQ(this->client_->sent_error, 0);
}

TYPED_TEST(LoopTest, BothSidesSendAtTheSameTime) {
    this->connect_pair();
    const std::string up = this->noise(1'000'000, 1);
    const std::string down = this->noise(1'000'000, 2);
    this->client_->outgoing = up;
    this->client_->flush(this->a_);
    this->server_->outgoing = down;
    this->server_->flush(this->b_);
    ASSERT_TRUE(this->run_until([&] {
        return this->server_->received.size() == up.size() &&
               this->client_->received.size() == down.size();
    }));
    EXPECT_TRUE(this->server_->received == up);
    EXPECT_TRUE(this->client_->received == down);
}

TYPED_TEST(LoopTest, HalfCloseEndsOneDirectionAfterItsBytes) {
    this->connect_pair();
    const std::string bytes = this->noise(300'000, 3);
    this->client_->outgoing = bytes;
    this->client_->flush(this->a_);
    this->loop().shutdown_send(this->a_);
    ASSERT_TRUE(this->run_until([&] { return this->server_->ends == 1; }));
    EXPECT_EQ(this->server_->end_error, 0);
    EXPECT_TRUE(this->server_->received == bytes);
    this->server_->outgoing = "still open";
    this->server_->flush(this->b_);
    ASSERT_TRUE(this->run_until([&] { return this->client_->received == "still open"; }));
    EXPECT_EQ(this->client_->ends, 0);
}

TYPED_TEST(LoopTest, PauseHoldsEverythingAndResumeLosesNothing) {
    this->connect_pair();
    const std::string bytes = this->noise(3'000'000, 4);
    this->client_->outgoing = bytes;
    this->client_->flush(this->a_);
    this->loop().shutdown_send(this->a_);
    // Pauses again and again, at odd places; the recorder checks that nothing comes meanwhile.
    for (std::size_t at = 1; at < bytes.size(); at += 400'001) {
        this->server_->pause_at = std::max(at, this->server_->received.size() + 1);
        ASSERT_TRUE(
            this->run_until([&] { return this->server_->paused || this->server_->ends == 1; }));
        if (this->server_->ends == 1) break;
        const std::size_t before = this->server_->received.size();
        this->run_until([] { return false; }, 20ms);
        EXPECT_EQ(this->server_->received.size(), before);
        this->server_->resume(this->b_);
    }
    ASSERT_TRUE(this->run_until([&] { return this->server_->ends == 1; }));
    EXPECT_EQ(this->server_->end_error, 0);
    EXPECT_TRUE(this->server_->received == bytes);
}

TYPED_TEST(LoopTest, APausedReceiverHoldsTheSenderBack) {
    this->connect_pair();
    this->server_->pause_at = 1;
    const std::string bytes = this->noise(30'000'000, 5);  // more than any socket buffer takes
    this->client_->outgoing = bytes;
    this->client_->flush(this->a_);
    ASSERT_TRUE(this->run_until([&] { return this->server_->paused; }));
    this->run_until([] { return false; }, 50ms);
    EXPECT_EQ(this->client_->sent, 0);
    this->server_->resume(this->b_);
    ASSERT_TRUE(this->run_until([&] { return this->client_->sent == 1; }, 60s));
    ASSERT_TRUE(this->run_until([&] { return this->server_->received.size() == bytes.size(); }));
    EXPECT_TRUE(this->server_->received == bytes);
}

TYPED_TEST(LoopTest, PauseAndResumeInOneTurnGoesOn) {
    this->connect_pair();
    this->loop().pause_receive(this->b_);
    this->loop().resume_receive(this->b_);
    this->client_->outgoing = "x";
    this->client_->flush(this->a_);
    EXPECT_TRUE(this->run_until([&] { return this->server_->received == "x"; }));
    this->loop().pause_receive(this->b_);
    this->loop().resume_receive(this->b_);
    this->loop().pause_receive(this->b_);
    this->client_->outgoing = "y";
    this->client_->flush(this->a_);
    EXPECT_FALSE(this->run_until([&] { return this->server_->received == "xy"; }, 20ms));
    this->loop().resume_receive(this->b_);
    EXPECT_TRUE(this->run_until([&] { return this->server_->received == "xy"; }));
}

TYPED_TEST(LoopTest, ARefusedConnectSaysSo) {
    this->listener_ = this->loop().listen(loopback(), *this->server_).value();
    const SocketAddress address = this->loop().local_address(this->listener_);
    this->loop().close(this->listener_);
    ASSERT_TRUE(this->run_until([&] { return this->server_->closed == 1; }));
    const Socket socket = this->loop().connect(address, *this->client_).value();
    ASSERT_TRUE(this->run_until([&] { return this->client_->connects == 1; }));
    EXPECT_EQ(this->client_->connect_error, ECONNREFUSED);
    this->loop().close(socket);
    EXPECT_TRUE(this->run_until([&] { return this->client_->closed == 1; }));
}

TYPED_TEST(LoopTest, CloseEndsThePeer) {
    this->connect_pair();
    this->loop().close(this->a_);
    ASSERT_TRUE(
        this->run_until([&] { return this->client_->closed == 1 && this->server_->ends == 1; }));
    EXPECT_EQ(this->server_->end_error, 0);
    this->loop().close(this->b_);
    EXPECT_TRUE(this->run_until([&] { return this->server_->closed == 1; }));
    EXPECT_EQ(this->client_->ends, 0);
}

TYPED_TEST(LoopTest, CloseWorksInEachState) {
    const SocketAddress address = [&] {
        this->listener_ = this->loop().listen(loopback(), *this->server_).value();
        return this->loop().local_address(this->listener_);
    }();
    // While it connects: at once, and a turn later.
    this->loop().close(this->loop().connect(address, *this->client_).value());
    const Socket connecting = this->loop().connect(address, *this->client_).value();
    this->loop().run_turn(0ms);
    this->loop().close(connecting);
    ASSERT_TRUE(this->run_until([&] { return this->client_->closed == 2; }));
    // Accepted, but never adopted.
    this->server_->adopts = false;
    this->server_->accepted.clear();
    const int ends = this->client_->ends;
    const Socket open = this->loop().connect(address, *this->client_).value();
    ASSERT_TRUE(this->run_until([&] { return !this->server_->accepted.empty(); }));
    this->loop().close(this->server_->accepted.back());
    ASSERT_TRUE(this->run_until([&] { return this->client_->ends > ends; }));
    this->loop().close(open);
    this->loop().close(open);  // again: nothing happens
    ASSERT_TRUE(this->run_until([&] { return this->client_->closed == 3; }));
    // A listener.
    this->loop().close(this->listener_);
    ASSERT_TRUE(this->run_until([&] { return this->server_->closed >= 1; }));
    this->run_until([] { return false; }, 10ms);
    EXPECT_EQ(this->client_->closed, 3);
}

TYPED_TEST(LoopTest, CloseWhilePausedAndWhileSending) {
    this->connect_pair();
    this->server_->pause_at = 1;
    const std::string bytes = this->noise(20'000'000, 6);
    this->client_->outgoing = bytes;
    this->client_->flush(this->a_);
    ASSERT_TRUE(this->run_until([&] { return this->server_->paused; }));
    this->loop().close(this->a_);  // its send is in the kernel
    ASSERT_TRUE(this->run_until([&] { return this->client_->closed == 1; }));
    EXPECT_EQ(this->client_->sent, 0);
    this->loop().close(this->b_);
    ASSERT_TRUE(this->run_until([&] { return this->server_->closed == 1; }));
    EXPECT_EQ(this->server_->ends, 0);
    // The slots are free, and what they held is not found any more.
    this->loop().send(this->a_, "x");
    this->loop().pause_receive(this->b_);
    EXPECT_EQ(this->loop().local_address(this->a_).length, 0U);
}

TYPED_TEST(LoopTest, WhatRemainsOfAnOwnerStaysUntilTheKernelHasLetGo) {
    struct Remains : SocketRemains {
        explicit Remains(int& counter, std::string held) : gone(counter), bytes(std::move(held)) {}
        ~Remains() override { ++gone; }
        int& gone;
        std::string bytes;
    };
    int gone = 0;
    this->connect_pair();
    this->server_->pause_at = 1;
    auto remains = std::make_unique<Remains>(gone, this->noise(20'000'000, 11));
    this->loop().send(this->a_, remains->bytes);
    ASSERT_TRUE(this->run_until([&] { return this->server_->paused; }));
    this->loop().close(this->a_, std::move(remains));
    EXPECT_EQ(gone, 0);  // its bytes may be in the kernel
    ASSERT_TRUE(this->run_until([&] { return gone == 1; }));
    EXPECT_EQ(this->client_->closed, 0);
}

TYPED_TEST(LoopTest, NothingIsCalledAfterClose) {
    this->connect_pair();
    struct Closer : Recorder {
        using Recorder::Recorder;
        void on_receive(Socket socket, MutableBytes bytes) override {
            received.append(bytes.data(), bytes.size());
            loop.close(socket);
        }
    } closer(this->loop());
    const Socket socket =
        this->loop().connect(this->loop().local_address(this->listener_), closer).value();
    ASSERT_TRUE(this->run_until([&] { return this->server_->accepted.size() == 2; }));
    this->server_->outgoing = this->noise(200'000, 8);
    this->server_->flush(this->server_->accepted[1]);
    ASSERT_TRUE(this->run_until([&] { return closer.closed == 1; }));
    const std::size_t once = closer.received.size();
    this->run_until([] { return false; }, 20ms);
    EXPECT_EQ(closer.received.size(), once);
    EXPECT_EQ(closer.ends, 0);
    static_cast<void>(socket);
}

TYPED_TEST(LoopTest, SendingToAClosedPeerFailsInTheEnd) {
    this->connect_pair();
    this->loop().close(this->b_);
    ASSERT_TRUE(this->run_until([&] { return this->client_->ends == 1; }));
    for (int i = 0; i < 50 && this->client_->sent_error == 0; ++i) {
        const int sent = this->client_->sent;
        this->client_->outgoing = "into the void";
        this->client_->flush(this->a_);
        ASSERT_TRUE(this->run_until([&] { return this->client_->sent > sent; }));
    }
    EXPECT_TRUE(this->client_->sent_error == EPIPE || this->client_->sent_error == ECONNRESET);
    EXPECT_EQ(this->client_->ends, 1);
}

TYPED_TEST(LoopTest, ManyConnectionsShareFewBuffers) {
    this->listener_ = this->loop().listen(loopback(), *this->server_).value();
    const SocketAddress address = this->loop().local_address(this->listener_);
    std::vector<std::unique_ptr<Recorder>> clients;
    std::vector<Socket> sockets;
    for (unsigned i = 0; i < 50; ++i) {
        clients.push_back(std::make_unique<Recorder>(this->loop()));
        sockets.push_back(this->loop().connect(address, *clients.back()).value());
    }
    ASSERT_TRUE(this->run_until([&] { return this->server_->accepted.size() == 50; }));
    ASSERT_TRUE(this->run_until([&] {
        return std::all_of(clients.begin(), clients.end(),
                           [](auto& client) { return client->connects == 1; });
    }));
    for (std::size_t i = 0; i < 50; ++i) {
        clients[i]->outgoing.assign(50'000, 'c');
        clients[i]->flush(sockets[i]);
    }
    EXPECT_TRUE(
        this->run_until([&] { return this->server_->received.size() == 50 * 50'000; }, 30s));
}

TYPED_TEST(LoopTest, TimersFireInTheirOrder) {
    struct Owner : TimerOwner {
        explicit Owner(Loop& runs_on) : loop(runs_on), start(runs_on.now()) {}
        void on_timer(Timer& timer) override {
            fired.push_back(timer.kind);
            EXPECT_GE(loop.now(), start + Duration(timer.kind * 1ms));
        }
        Loop& loop;
        Instant start;
        std::vector<std::uint32_t> fired;
    } owner(this->loop());
    Timer late(owner, 30), early(owner, 5), middle(owner, 12), never(owner, 20);
    for (Timer* timer : {&late, &early, &middle, &never}) {
        this->loop().timers().arm(*timer, owner.start + timer->kind * 1ms);
    }
    never.cancel();
    ASSERT_TRUE(this->run_until([&] { return owner.fired.size() == 3; }));
    EXPECT_EQ(owner.fired, (std::vector<std::uint32_t>{5, 12, 30}));
}

TYPED_TEST(LoopTest, TurnTasksRunOnceAtTheEndOfTheTurn) {
    struct Task : TurnTask {
        void on_turn_end() override {
            ++count;
            if (again != nullptr) again->at_turn_end(*this);
        }
        Loop* again = nullptr;
        int count = 0;
    } one, two, dropped;
    this->loop().at_turn_end(one);
    this->loop().at_turn_end(one);
    this->loop().at_turn_end(dropped);
    this->loop().at_turn_end(two);
    two.again = &this->loop();
    this->loop().cancel_turn_task(dropped);
    ASSERT_TRUE(this->run_until([&] { return two.count == 3; }));
    EXPECT_EQ(one.count, 1);
    EXPECT_EQ(dropped.count, 0);
    this->loop().cancel_turn_task(two);
}

TYPED_TEST(LoopTest, AWakeEndsTheWait) {
    struct Hook : TurnHook {
        void on_turn() override { ++count; }
        int count = 0;
    } hook;
    this->loop().set_turn_hook(&hook);
    this->loop().wake();
    const Instant before = this->loop().now();
    this->loop().run_turn(10s);
    EXPECT_EQ(hook.count, 1);
    EXPECT_LT(this->loop().now(), before + 5s);
    this->loop().wake();
    this->loop().run_turn(10s);
    EXPECT_LT(this->loop().now(), before + 5s);
    this->loop().set_turn_hook(nullptr);
}

TYPED_TEST(LoopTest, CarriesDatagramsBothWays) {
    const Socket server = this->loop().open_datagram(loopback(), *this->server_).value();
    const Socket client = this->loop().open_datagram(loopback(), *this->client_).value();
    const std::string big = this->noise(20'000, 9);
    EXPECT_TRUE(this->loop().send_datagram(client, this->loop().local_address(server), "hello"));
    EXPECT_TRUE(this->loop().send_datagram(client, this->loop().local_address(server), big));
    EXPECT_TRUE(this->loop().send_datagram(client, this->loop().local_address(server), ""));
    ASSERT_TRUE(this->run_until([&] { return this->server_->datagrams.size() == 3; }));
    EXPECT_EQ(this->server_->datagrams[0], "hello");
    EXPECT_TRUE(this->server_->datagrams[1] == big);
    EXPECT_EQ(this->server_->datagrams[2], "");
    EXPECT_EQ(port_of(this->server_->peers[0]), port_of(this->loop().local_address(client)));
    EXPECT_TRUE(this->loop().send_datagram(server, this->server_->peers[0], "back"));
    ASSERT_TRUE(this->run_until([&] { return this->client_->datagrams.size() == 1; }));
    this->loop().close(server);
    this->loop().close(client);
    EXPECT_TRUE(
        this->run_until([&] { return this->server_->closed + this->client_->closed == 2; }));
}

TYPED_TEST(LoopTest, PausedDatagramsComeAfterResume) {
    const Socket server = this->loop().open_datagram(loopback(), *this->server_).value();
    const Socket client = this->loop().open_datagram(loopback(), *this->client_).value();
    this->run_until([] { return false; }, 5ms);
    this->loop().pause_receive(server);
    for (const char* text : {"1", "2", "3"}) {
        EXPECT_TRUE(this->loop().send_datagram(client, this->loop().local_address(server), text));
    }
    EXPECT_FALSE(this->run_until([&] { return !this->server_->datagrams.empty(); }, 20ms));
    this->loop().resume_receive(server);
    ASSERT_TRUE(this->run_until([&] { return this->server_->datagrams.size() == 3; }));
    EXPECT_EQ(this->server_->datagrams, (std::vector<std::string>{"1", "2", "3"}));
}

TYPED_TEST(LoopTest, AnIpv6WildcardSpeaksIpv4InItsOwnForm) {
    auto listener = this->loop().listen(any_ipv6(), *this->server_);
    if (!listener) GTEST_SKIP() << "no IPv6 here";
    const std::uint16_t port = port_of(this->loop().local_address(*listener));
    ASSERT_TRUE(this->loop().connect(loopback(port), *this->client_).has_value());
    ASSERT_TRUE(this->run_until([&] { return !this->server_->accepted.empty(); }));
    EXPECT_EQ(this->server_->peers[0].storage.sin6_family, AF_INET);

    const Socket wide = this->loop().open_datagram(any_ipv6(), *this->server_).value();
    const Socket narrow = this->loop().open_datagram(loopback(), *this->client_).value();
    this->server_->peers.clear();
    EXPECT_TRUE(this->loop().send_datagram(
        narrow, loopback(port_of(this->loop().local_address(wide))), "4"));
    ASSERT_TRUE(this->run_until([&] { return !this->server_->peers.empty(); }));
    EXPECT_EQ(this->server_->peers[0].storage.sin6_family, AF_INET);
    EXPECT_TRUE(this->loop().send_datagram(wide, this->server_->peers[0], "4 too"));
    EXPECT_TRUE(this->run_until([&] { return this->client_->datagrams.size() == 1; }));
}

TYPED_TEST(LoopTest, SeveralListenersShareOneAddress) {
    const Socket first = this->loop().listen(loopback(), *this->server_).value();
    Recorder other(this->loop());
    ASSERT_TRUE(this->loop().listen(this->loop().local_address(first), other).has_value());
    for (int i = 0; i < 40; ++i) {
        ASSERT_TRUE(
            this->loop().connect(this->loop().local_address(first), *this->client_).has_value());
    }
    ASSERT_TRUE(this->run_until(
        [&] { return this->server_->accepted.size() + other.accepted.size() == 40; }));
    EXPECT_GT(this->server_->accepted.size(), 0U);
    EXPECT_GT(other.accepted.size(), 0U);
}

TYPED_TEST(LoopTest, RandomBytesDiffer) {
    std::string one(64, '\0'), two(64, '\0');
    this->loop().fill_random({one.data(), one.size()});
    this->loop().fill_random({two.data(), two.size()});
    EXPECT_NE(one, two);
    EXPECT_GT(this->loop().wall_now().time_since_epoch(), std::chrono::hours(24 * 365 * 50));
}

TYPED_TEST(LoopTest, ALoopMayGoWithOpenSockets) {
    this->connect_pair();
    this->client_->outgoing = this->noise(10'000'000, 10);
    this->client_->flush(this->a_);
    this->server_->pause_at = 1;
    EXPECT_TRUE(this->run_until([&] { return this->server_->paused; }));
    ASSERT_TRUE(this->loop().open_datagram(loopback(), *this->server_).has_value());
}

}  // namespace
}  // namespace fedgate
