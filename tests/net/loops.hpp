// One test, both loops: the kernel's sockets on loopback, and the simulation.
#pragma once

#include <memory>

#include <gtest/gtest.h>

#include "core/run/simulation.hpp"
#include "core/run/uring_loop.hpp"
#include "net/address.hpp"

namespace fedgate::net::test {

class World {
public:
    explicit World(bool simulated) {
        if (simulated) {
            simulation_ = std::make_unique<Simulation>(SimulationSettings{});
            loop_ = &simulation_->make_loop(simulation_->make_node());
            return;
        }
        auto made = UringLoop::make();
        EXPECT_TRUE(made) << made.error().where;
        uring_ = std::move(*made);
        loop_ = uring_.get();
    }
    [[nodiscard]] Loop& loop() { return *loop_; }
    // Until it is true, or (20 s of the loop's clock) never.
    template <typename Predicate>
    bool run(Predicate&& predicate, Duration at_most = 20s) {
        const Instant end = loop_->now() + at_most;
        while (!predicate()) {
            if (loop_->now() >= end) return false;
            loop_->run_turn(std::min<Duration>(100ms, end - loop_->now()));
        }
        return true;
    }
    void run_for(Duration time) {
        run([] { return false; }, time);
    }
    [[nodiscard]] SocketAddress any_port() const { return *parse_ip("127.0.0.1", 0); }

private:
    std::unique_ptr<Simulation> simulation_;
    std::unique_ptr<UringLoop> uring_;
    Loop* loop_ = nullptr;
};

class OnBothLoops : public testing::TestWithParam<bool> {
protected:
    World world{GetParam()};
};

inline std::string loop_name(const testing::TestParamInfo<bool>& info) {
    return info.param ? "Simulation" : "Uring";
}

}  // namespace fedgate::net::test
