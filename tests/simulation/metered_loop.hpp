// A loop before another, that knows when the product runs: a meter is on from each call into the
// product until it returns, and off while the product calls the loop. What the simulation itself
// does, and what everybody else on it does, is not counted.
#pragma once

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "core/base/check.hpp"
#include "core/run/simulation.hpp"

namespace fedgate::simulation {

using Meter = void (*)();  // switches it on when it is off, and off when it is on

class MeteredLoop final : public Loop, private TurnTask, private TurnHook, private TimerOwner {
public:
    MeteredLoop(SimulatedLoop& loop, Meter toggle)
        : loop_(loop), toggle_(toggle), timers_(loop.now()), alarm_(*this) {
        loop_.timers().arm(alarm_, loop_.now());
    }
    ~MeteredLoop() override {
        loop_.cancel_turn_task(*this);
        loop_.set_turn_hook(nullptr);
    }

    [[nodiscard]] Instant now() const override { return loop_.now(); }
    [[nodiscard]] WallTime wall_now() const override { return loop_.wall_now(); }
    void fill_random(MutableBytes bytes) override {
        outside([&] { loop_.fill_random(bytes); });
    }
    Result<Socket> listen(const SocketAddress& address, SocketOwner& owner) override {
        return open(owner, [&](SocketOwner& front) { return loop_.listen(address, front); });
    }
    Result<Socket> connect(const SocketAddress& address, SocketOwner& owner) override {
        return open(owner, [&](SocketOwner& front) { return loop_.connect(address, front); });
    }
    Result<Socket> open_datagram(const SocketAddress& local, SocketOwner& owner) override {
        return open(owner, [&](SocketOwner& front) { return loop_.open_datagram(local, front); });
    }
    Result<Socket> watch(int descriptor, SocketOwner& owner) override {
        return open(owner, [&](SocketOwner& front) { return loop_.watch(descriptor, front); });
    }
    void adopt(Socket socket, SocketOwner& owner) override {
        outside([&] { loop_.adopt(socket, front_of(owner)); });
    }
    void send(Socket socket, Bytes bytes) override {
        outside([&] { loop_.send(socket, bytes); });
    }
    bool send_datagram(Socket socket, const SocketAddress& to, Bytes bytes) override {
        bool taken = false;
        outside([&] { taken = loop_.send_datagram(socket, to, bytes); });
        return taken;
    }
    void pause_receive(Socket socket) override {
        outside([&] { loop_.pause_receive(socket); });
    }
    void resume_receive(Socket socket) override {
        outside([&] { loop_.resume_receive(socket); });
    }
    void shutdown_send(Socket socket) override {
        outside([&] { loop_.shutdown_send(socket); });
    }
    void close(Socket socket) override {
        outside([&] { loop_.close(socket); });
    }
    void close(Socket socket, std::unique_ptr<SocketRemains> remains) override {
        outside([&] { loop_.close(socket, std::move(remains)); });
    }
    [[nodiscard]] SocketAddress local_address(Socket socket) const override {
        return loop_.local_address(socket);
    }
    [[nodiscard]] Timers& timers() override { return timers_; }
    void at_turn_end(TurnTask& task) override {
        tasks_.add(task);
        outside([&] { loop_.at_turn_end(*this); });
    }
    void cancel_turn_task(TurnTask& task) override { tasks_.remove(task); }
    void set_turn_hook(TurnHook* hook) override {
        hook_ = hook;
        loop_.set_turn_hook(hook != nullptr ? this : nullptr);
    }
    void wake() override {
        outside([&] { loop_.wake(); });
    }
    void run_turn(Duration wait_max) override { loop_.run_turn(wait_max); }

private:
    // What the simulation calls in the place of an owner. Kept as long as the loop: a few.
    struct Front final : SocketOwner {
        Front(MeteredLoop& all, SocketOwner& real) : loop(all), owner(real) {}
        void on_accept(Socket a, Socket b, const SocketAddress& peer) override {
            loop.inside([&] { owner.on_accept(a, b, peer); });
        }
        void on_connect(Socket socket, int error) override {
            loop.inside([&] { owner.on_connect(socket, error); });
        }
        void on_receive(Socket socket, MutableBytes bytes) override {
            loop.inside([&] { owner.on_receive(socket, bytes); });
        }
        void on_datagram(Socket socket, const SocketAddress& from, MutableBytes bytes) override {
            loop.inside([&] { owner.on_datagram(socket, from, bytes); });
        }
        void on_sent(Socket socket, int error) override {
            loop.inside([&] { owner.on_sent(socket, error); });
        }
        void on_end(Socket socket, int error) override {
            loop.inside([&] { owner.on_end(socket, error); });
        }
        void on_closed(Socket socket) override {
            loop.inside([&] { owner.on_closed(socket); });
        }
        void on_readable(Socket socket) override {
            loop.inside([&] { owner.on_readable(socket); });
        }
        MeteredLoop& loop;
        SocketOwner& owner;
    };

    template <typename Do>
    void inside(Do&& what) {
        metered_ = true;
        toggle_();
        what();
        toggle_();
        metered_ = false;
        const Instant next = timers_.next_deadline();
        next == kNever ? alarm_.cancel() : loop_.timers().arm(alarm_, next);
    }
    // Also before the first turn, when nothing is metered yet.
    template <typename Do>
    void outside(Do&& what) {
        const bool was = std::exchange(metered_, false);
        if (was) toggle_();
        what();
        if (was) toggle_();
        metered_ = was;
    }
    template <typename Open>
    Result<Socket> open(SocketOwner& owner, Open&& how) {
        Result<Socket> socket = failure(Errc::kClosed, "");
        outside([&] { socket = how(front_of(owner)); });
        return socket;
    }
    SocketOwner& front_of(SocketOwner& owner) {
        auto& front = fronts_[&owner];
        if (front == nullptr) front = std::make_unique<Front>(*this, owner);
        return *front;
    }
    void on_timer(Timer&) override {
        inside([this] { timers_.run(loop_.now()); });
    }
    void on_turn() override {
        if (hook_ != nullptr) inside([this] { hook_->on_turn(); });
    }
    void on_turn_end() override {
        inside([this] { tasks_.run(); });
        if (!tasks_.empty()) loop_.at_turn_end(*this);
    }

    SimulatedLoop& loop_;
    Meter toggle_;
    bool metered_ = false;
    Timers timers_;
    Timer alarm_;
    TurnTasks tasks_;
    TurnHook* hook_ = nullptr;
    std::map<SocketOwner*, std::unique_ptr<Front>> fronts_;
};

}  // namespace fedgate::simulation
