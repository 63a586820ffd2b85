#include "core/run/simulation.hpp"

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace fedgate {
namespace {

// Sends `total` bytes in sends of `step`, and echoes what comes to it when it is the server.
struct Talker : SocketOwner, TimerOwner {
    Talker(Loop& runs_on, std::size_t bytes) : loop(runs_on), total(bytes), timer(*this) {}

    void on_accept(Socket, Socket connection, const SocketAddress&) override {
        loop.adopt(connection, *this);
        socket = connection;
    }
    void on_connect(Socket, int error) override {
        connect_error = error;
        if (error == 0) next();
    }
    void on_receive(Socket, MutableBytes bytes) override { received += bytes.size(); }
    void on_datagram(Socket, const SocketAddress&, MutableBytes bytes) override {
        datagrams.emplace_back(bytes.data(), bytes.size());
    }
    void on_sent(Socket, int error) override {
        send_error = error;
        if (error != 0) return;
        sent += chunk.size();
        loop.timers().arm(timer, loop.now() + 1ms);
    }
    void on_timer(Timer&) override { next(); }
    void on_end(Socket, int error) override { end_error = error; }
    void on_closed(Socket) override { closed = true; }
    void next() {
        if (sent >= total || end_error != -1) return;
        chunk.resize(std::min<std::size_t>(total - sent, 1'000));
        loop.fill_random({chunk.data(), chunk.size()});
        loop.send(socket, chunk);
    }

    Loop& loop;
    std::size_t total;
    Timer timer;
    Socket socket;
    std::string chunk;
    std::size_t sent = 0, received = 0;
    std::vector<std::string> datagrams;
    int connect_error = -1, send_error = -1, end_error = -1;
    bool closed = false;
};

// Two nodes, one stream from the first to the second.
struct Pair {
    explicit Pair(const SimulationSettings& settings, std::size_t bytes = 200'000)
        : simulation(settings),
          left_node(simulation.make_node()),
          right_node(simulation.make_node()),
          left_loop(simulation.make_loop(left_node)),
          right_loop(simulation.make_loop(right_node)),
          left(left_loop, bytes),
          right(right_loop, 0) {
        listener = right_loop.listen(simulation.address(right_node, 5269), right).value();
        left.socket = left_loop.connect(simulation.address(right_node, 5269), left).value();
    }
    bool connected() {
        return simulation.run_for([&] { return left.connect_error == 0; }, 10s);
    }

    Simulation simulation;
    Simulation::Node left_node, right_node;
    SimulatedLoop& left_loop;
    SimulatedLoop& right_loop;
    Talker left, right;
    Socket listener;
};

std::uint64_t run_scenario(std::uint64_t seed) {
    Pair pair({.seed = seed, .datagram_loss_permille = 100, .datagram_reorder_permille = 200});
    EXPECT_TRUE(pair.connected());
    const SocketAddress to = pair.simulation.address(pair.right_node, 5060);
    EXPECT_TRUE(pair.right_loop.open_datagram(to, pair.right).has_value());
    const Socket from =
        pair.left_loop.open_datagram(pair.simulation.address(pair.left_node, 5060), pair.left)
            .value();
    for (int i = 0; i < 50; ++i) {
        EXPECT_TRUE(pair.left_loop.send_datagram(from, to, std::to_string(i)));
    }
    EXPECT_TRUE(pair.simulation.run_for([&] { return pair.right.received == 200'000; }, 60s));
    pair.simulation.break_connection(10);
    pair.simulation.run_for([] { return false; }, 1s);
    return pair.simulation.trace_hash();
}

TEST(Simulation, TheSameSeedGivesTheSameTrace) {
    const std::uint64_t first = run_scenario(42);
    EXPECT_EQ(run_scenario(42), first);
    EXPECT_NE(run_scenario(43), first);
}

TEST(Simulation, TimeDoesNotPassThatNothingNeeds) {
    Simulation simulation;
    SimulatedLoop& loop = simulation.make_loop(simulation.make_node());
    Talker owner(loop, 0);
    const Instant start = simulation.now();
    loop.timers().arm(owner.timer, start + 24h);
    int steps = 0;
    while (owner.timer.armed() && steps < 10) {
        simulation.step(kNever);
        ++steps;
    }
    EXPECT_FALSE(owner.timer.armed());
    EXPECT_LE(simulation.now(), start + 24h + 1ms);
    EXPECT_FALSE(simulation.step(simulation.now() + 5s));
    EXPECT_GE(simulation.now(), start + 24h + 5s);
}

TEST(Simulation, AKilledNodeResetsItsPeersAndIsSilent) {
    Pair pair({.seed = 1});
    ASSERT_TRUE(pair.connected());
    ASSERT_TRUE(pair.simulation.run_for([&] { return pair.right.received > 10'000; }, 10s));
    pair.simulation.kill(pair.right_node);
    const std::size_t received = pair.right.received;
    ASSERT_TRUE(pair.simulation.run_for([&] { return pair.left.end_error != -1; }, 10s));
    EXPECT_EQ(pair.left.end_error, ECONNRESET);
    EXPECT_TRUE(pair.right_loop.killed());
    EXPECT_EQ(pair.right.received, received);
    EXPECT_EQ(pair.right_loop.socket_count(), 0U);
    pair.right_loop.close(pair.listener);  // what ran there may tidy up
    EXPECT_FALSE(pair.right_loop.listen(pair.simulation.address(1, 1), pair.right).has_value());
    // Nobody is there any more.
    Talker late(pair.left_loop, 0);
    ASSERT_TRUE(
        pair.left_loop.connect(pair.simulation.address(pair.right_node, 5269), late).has_value());
    ASSERT_TRUE(pair.simulation.run_for([&] { return late.connect_error != -1; }, 10s));
    EXPECT_EQ(late.connect_error, ECONNREFUSED);
}

TEST(Simulation, ACutLinkHoldsStreamsUntilItHeals) {
    Pair pair({.seed = 2});
    ASSERT_TRUE(pair.connected());
    ASSERT_TRUE(pair.simulation.run_for([&] { return pair.right.received > 10'000; }, 10s));
    pair.simulation.cut(pair.left_node, pair.right_node);
    const std::size_t received = pair.right.received;
    EXPECT_FALSE(pair.simulation.run_for([&] { return pair.right.received > received; }, 60s));
    pair.simulation.heal(pair.left_node, pair.right_node);
    EXPECT_TRUE(pair.simulation.run_for([&] { return pair.right.received == 200'000; }, 60s));
    EXPECT_EQ(pair.left.end_error, -1);
}

TEST(Simulation, AConnectOverACutLinkTimesOut) {
    Pair pair({.seed = 3});
    pair.simulation.cut(pair.left_node, pair.right_node);
    const Instant start = pair.simulation.now();
    ASSERT_TRUE(pair.simulation.run_for([&] { return pair.left.connect_error != -1; }, 1h));
    EXPECT_EQ(pair.left.connect_error, ETIMEDOUT);
    EXPECT_GE(pair.simulation.now(), start + 120s);
}

TEST(Simulation, RefusesConnectsWhenTold) {
    Pair pair({.seed = 4});
    pair.simulation.refuse_connects(pair.simulation.address(pair.right_node, 5269), true);
    ASSERT_TRUE(pair.simulation.run_for([&] { return pair.left.connect_error != -1; }, 1s));
    EXPECT_EQ(pair.left.connect_error, ECONNREFUSED);
    pair.simulation.refuse_connects(pair.simulation.address(pair.right_node, 5269), false);
    pair.left.socket =
        pair.left_loop.connect(pair.simulation.address(pair.right_node, 5269), pair.left).value();
    EXPECT_TRUE(pair.connected());
}

TEST(Simulation, BreaksAConnectionSomewhereInItsBytes) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        Pair pair({.seed = seed});
        ASSERT_TRUE(pair.connected());
        ASSERT_TRUE(pair.simulation.run_for([&] { return !(pair.right.socket == Socket{}); }, 1s));
        ASSERT_TRUE(pair.simulation.break_connection(50'000));
        pair.simulation.run_for([&] { return pair.left.sent == 200'000; }, 10s);
        if (pair.left.sent == 200'000) continue;  // the direction that carries nothing was picked
        EXPECT_EQ(pair.left.end_error, ECONNRESET);
        EXPECT_EQ(pair.right.end_error, ECONNRESET);
        EXPECT_LE(pair.right.received, pair.left.sent + 1'000);
        EXPECT_LT(pair.right.received, 60'000U);
    }
}

TEST(Simulation, LosesCopiesAndReordersDatagramsAsSet) {
    constexpr int kCount = 2'000;
    const auto run = [](std::uint32_t loss, std::uint32_t copy, std::uint32_t reorder) {
        Simulation simulation({.seed = 5,
                               .datagrams_max = 10'000,
                               .datagram_loss_permille = loss,
                               .datagram_copy_permille = copy,
                               .datagram_reorder_permille = reorder});
        const Simulation::Node node = simulation.make_node();
        SimulatedLoop& loop = simulation.make_loop(node);
        Talker owner(loop, 0);
        const Socket in = loop.open_datagram(simulation.address(node, 5060), owner).value();
        const Socket out = loop.open_datagram(simulation.address(node, 0), owner).value();
        for (int i = 0; i < kCount; ++i) {
            EXPECT_TRUE(loop.send_datagram(out, loop.local_address(in), std::to_string(i)));
        }
        simulation.run_for([] { return false; }, 10s);
        return owner.datagrams;
    };
    std::vector<std::string> in_order;
    for (int i = 0; i < kCount; ++i) in_order.push_back(std::to_string(i));
    EXPECT_EQ(run(0, 0, 0), in_order);
    EXPECT_NEAR(static_cast<double>(run(100, 0, 0).size()), kCount * 0.9, 60);
    EXPECT_NEAR(static_cast<double>(run(0, 100, 0).size()), kCount * 1.1, 60);
    const auto mixed = run(0, 0, 100);
    EXPECT_EQ(mixed.size(), in_order.size());
    EXPECT_NE(mixed, in_order);
}

TEST(Simulation, LoopbackIsTheNodeItself) {
    Simulation simulation;
    SimulatedLoop& one = simulation.make_loop(simulation.make_node());
    SimulatedLoop& two = simulation.make_loop(simulation.make_node());
    SocketAddress any = simulation.address(0, 7000);
    std::memset(reinterpret_cast<char*>(&any.storage) + 4, 0, 4);  // 0.0.0.0
    SocketAddress local = any;
    constexpr unsigned char kLoopback[] = {127, 0, 0, 1};
    std::memcpy(reinterpret_cast<char*>(&local.storage) + 4, kLoopback, 4);
    Talker server(one, 0), same(one, 0), other(two, 0), by_name(two, 0);
    ASSERT_TRUE(one.listen(any, server).has_value());
    ASSERT_TRUE(one.connect(local, same).has_value());
    ASSERT_TRUE(two.connect(local, other).has_value());
    ASSERT_TRUE(two.connect(simulation.address(0, 7000), by_name).has_value());
    simulation.run_for([] { return false; }, 1s);
    EXPECT_EQ(same.connect_error, 0);
    EXPECT_EQ(other.connect_error, ECONNREFUSED);
    EXPECT_EQ(by_name.connect_error, 0);
}

}  // namespace
}  // namespace fedgate
