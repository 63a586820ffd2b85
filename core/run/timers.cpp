#include "core/run/timers.hpp"

#include <bit>

#include "core/base/check.hpp"

namespace fedgate {
namespace {

constexpr std::int64_t kTick = std::chrono::nanoseconds(1ms).count();

std::uint64_t tick_at(Instant instant) {
    return static_cast<std::uint64_t>(instant.time_since_epoch().count() / kTick);
}

// Rounded up, so that nothing fires before its deadline.
std::uint64_t tick_after(Instant deadline) {
    const std::int64_t count = deadline.time_since_epoch().count();
    return static_cast<std::uint64_t>(count / kTick + (count % kTick != 0 ? 1 : 0));
}

Instant start_of(std::uint64_t tick) {
    constexpr auto kTicksMax =
        static_cast<std::uint64_t>(kNever.time_since_epoch().count() / kTick);
    if (tick > kTicksMax) return kNever;
    return Instant(Duration(static_cast<std::int64_t>(tick) * kTick));
}

}  // namespace

void Timer::cancel() {
    if (timers_ != nullptr) timers_->unlink(*this);
}

Timers::Timers(Instant now) : tick_(tick_at(now)), now_(now) {
    FEDGATE_CHECK(now.time_since_epoch().count() >= 0);
    for (Timer& head : slots_) head.next_ = head.previous_ = &head;
    past_.next_ = past_.previous_ = &past_;
    firing_.next_ = firing_.previous_ = &firing_;
}

// A timer may outlive the wheel: it is left unarmed.
Timers::~Timers() {
    const auto empty = [this](Timer& head) {
        while (head.next_ != &head) unlink(*head.next_);
        head.next_ = head.previous_ = nullptr;
    };
    for (Timer& head : slots_) empty(head);
    empty(past_);
    empty(firing_);
}

void Timers::arm(Timer& timer, Instant deadline) {
    timer.cancel();
    timer.deadline_ = deadline;
    timer.timers_ = this;
    ++count_;
    place(timer, deadline <= now_ ? 0 : tick_after(deadline), past_);
}

void Timers::place(Timer& timer, std::uint64_t tick, Timer& due) {
    Timer* head = &due;
    timer.slot_ = kNoSlot;
    if (tick > tick_) {
        const auto level = static_cast<unsigned>(std::bit_width(tick ^ tick_) - 1) / kSlotBits;
        FEDGATE_CHECK(level < kLevels);
        const auto slot = static_cast<unsigned>(tick >> (level * kSlotBits)) % kSlots;
        occupied_[level] |= std::uint64_t{1} << slot;
        timer.slot_ = static_cast<std::uint16_t>(level * kSlots + slot);
        head = &slots_[timer.slot_];
    }
    timer.next_ = head;
    timer.previous_ = head->previous_;
    head->previous_->next_ = &timer;
    head->previous_ = &timer;
}

void Timers::unlink(Timer& timer) {
    timer.previous_->next_ = timer.next_;
    timer.next_->previous_ = timer.previous_;
    if (timer.slot_ != kNoSlot && slots_[timer.slot_].next_ == &slots_[timer.slot_]) {
        occupied_[timer.slot_ / kSlots] &= ~(std::uint64_t{1} << (timer.slot_ % kSlots));
    }
    timer.next_ = timer.previous_ = nullptr;
    timer.timers_ = nullptr;
    --count_;
}

bool Timers::find_next(Next& next) const {
    for (unsigned level = 0; level < kLevels; ++level) {
        if (occupied_[level] == 0) continue;
        const unsigned shift = level * kSlotBits;
        const auto slot = static_cast<unsigned>(std::countr_zero(occupied_[level]));
        const std::uint64_t above = tick_ >> (shift + kSlotBits) << (shift + kSlotBits);
        next = {level, slot, above | (static_cast<std::uint64_t>(slot) << shift)};
        return true;
    }
    return false;
}

Instant Timers::next_deadline() const {
    if (past_.next_ != &past_) return now_;
    Next next;
    return find_next(next) ? start_of(next.tick) : kNever;
}

// Moves a whole list to the end of another one.
void Timers::take_all(Timer& head, Timer& into) {
    if (head.next_ == &head) return;
    for (Timer* timer = head.next_; timer != &head; timer = timer->next_) timer->slot_ = kNoSlot;
    head.next_->previous_ = into.previous_;
    into.previous_->next_ = head.next_;
    head.previous_->next_ = &into;
    into.previous_ = head.previous_;
    head.next_ = head.previous_ = &head;
}

void Timers::fire_all() {
    while (firing_.next_ != &firing_) {
        Timer& timer = *firing_.next_;
        unlink(timer);
        timer.owner_->on_timer(timer);
    }
}

void Timers::run(Instant now) {
    if (now > now_) now_ = now;
    const std::uint64_t target = tick_at(now_);
    // What is armed for the past from on_timer() waits for the next run: no endless run.
    take_all(past_, firing_);
    fire_all();
    Next next;
    while (find_next(next) && next.tick <= target) {
        tick_ = next.tick;
        Timer& head = slots_[next.level * kSlots + next.slot];
        occupied_[next.level] &= ~(std::uint64_t{1} << next.slot);
        if (next.level == 0) {
            take_all(head, firing_);
            fire_all();
            continue;
        }
        // Sort into finer slots; what is due at this very tick fires now.
        Timer list;
        list.next_ = list.previous_ = &list;
        take_all(head, list);
        while (list.next_ != &list) {
            Timer& timer = *list.next_;
            timer.previous_->next_ = timer.next_;
            timer.next_->previous_ = timer.previous_;
            place(timer, tick_after(timer.deadline_), firing_);
        }
        fire_all();
    }
    tick_ = target;
}

}  // namespace fedgate
