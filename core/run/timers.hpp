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
class Timers;

class TimerOwner {
public:
    virtual void on_timer(Timer&) = 0;

protected:
    ~TimerOwner() = default;
};

// Not movable while armed. Its destructor cancels it.
class Timer {
public:
    explicit Timer(TimerOwner& owner, std::uint32_t kind_of_owner = 0)
        : kind(kind_of_owner), owner_(&owner) {}
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    ~Timer() { cancel(); }

    [[nodiscard]] bool armed() const { return next_ != nullptr; }
    [[nodiscard]] Instant deadline() const { return deadline_; }
    void cancel();

    std::uint32_t kind;  // tells the owner which of its timers fired

private:
    friend class Timers;
    Timer() : kind(0) {}  // head of a list
    TimerOwner* owner_ = nullptr;
    Timer* next_ = nullptr;
    Timer* previous_ = nullptr;
    Timers* timers_ = nullptr;
    Instant deadline_ = kNever;
    std::uint16_t slot_ = 0;
};

class Timers {
public:
    explicit Timers(Instant now);
    Timers(const Timers&) = delete;
    Timers& operator=(const Timers&) = delete;

    ~Timers();

    // Arms, or arms again. A deadline in the past fires at the next run().
    void arm(Timer&, Instant deadline);
    // When run() next has something to do; kNever when nothing is armed. At most one tick after the
    // earliest deadline (deadlines are rounded up to a tick), and run() at that time makes
    // progress.
    [[nodiscard]] Instant next_deadline() const;
    // Fires what is due at `now`. Timers may be armed, cancelled and destroyed from on_timer().
    void run(Instant now);
    [[nodiscard]] std::size_t count() const { return count_; }

private:
    friend class Timer;
    // Eight levels of 64 slots hold 2^48 ms: more than an Instant can say, so nothing overflows. A
    // timer is on the level of the highest group of 6 bits in which its tick differs from tick_; so
    // all of level n are due before all of level n + 1.
    static constexpr unsigned kLevels = 8;
    static constexpr unsigned kSlotBits = 6;
    static constexpr unsigned kSlots = 1U << kSlotBits;
    static constexpr std::uint16_t kNoSlot = UINT16_MAX;
    struct Next {
        unsigned level;
        unsigned slot;
        std::uint64_t tick;
    };

    [[nodiscard]] bool find_next(Next&) const;
    void place(Timer&, std::uint64_t tick, Timer& due);  // into its slot, or into `due`
    void unlink(Timer&);
    void take_all(Timer& head, Timer& into);
    void fire_all();

    Timer slots_[kLevels * kSlots];
    std::array<std::uint64_t, kLevels> occupied_{};
    Timer past_;    // armed with a deadline that was over
    Timer firing_;  // what the present run() still has to fire
    std::uint64_t tick_;
    Instant now_;
    std::size_t count_ = 0;
};

}  // namespace fedgate
