// The timer wheel of one shard. A Timer is embedded in the object that it serves; arming and
// cancelling cost O(1) and never allocate. Fires at the deadline or at most one tick (1 ms) later,
// never earlier. Thread: the shard's only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/base/time.hpp"

namespace fedgate {

class Timer;

class TimerOwner {
public:
    virtual void on_timer(Timer&) = 0;

protected:
    ~TimerOwner() = default;
};

// Not movable while armed. Its destructor cancels it.
class Timer {
public:
    explicit Timer(TimerOwner& owner, std::uint32_t kind = 0) : kind(kind), owner_(&owner) {}
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    ~Timer() { cancel(); }

    [[nodiscard]] bool armed() const { return next_ != nullptr; }
    [[nodiscard]] Instant deadline() const { return deadline_; }
    void cancel();

    std::uint32_t kind;    // tells the owner which of its timers fired

private:
    friend class Timers;
    Timer() = default;    // head of a list
    TimerOwner* owner_ = nullptr;
    Timer* next_ = nullptr;
    Timer* previous_ = nullptr;
    Instant deadline_ = kNever;
};

class Timers {
public:
    explicit Timers(Instant now);
    Timers(const Timers&) = delete;
    Timers& operator=(const Timers&) = delete;

    // Arms, or arms again. A deadline in the past fires at the next run().
    void arm(Timer&, Instant deadline);
    // kNever when nothing is armed; else not later than the earliest deadline.
    [[nodiscard]] Instant next_deadline() const;
    // Fires what is due at `now`. Timers may be armed and cancelled from on_timer().
    void run(Instant now);
    [[nodiscard]] std::size_t count() const;
};

}  // namespace fedgate
