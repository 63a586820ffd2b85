// The timer wheel among a million other timers, and a record from one core to another.
#include <memory>
#include <vector>

#include "bench/allocations.hpp"
#include "core/run/inbox.hpp"
#include "core/run/timers.hpp"

namespace fedgate {
namespace {

struct Owner final : TimerOwner {
    void on_timer(Timer&) override { ++fired; }
    std::size_t fired = 0;
};

// Of a transaction that is answered: armed for 32 s, cancelled.
void BM_TimerArmCancel(benchmark::State& state) {
    constexpr std::size_t kOthers = 1'000'000;
    Owner owner;
    Timers timers{Instant{}};
    std::vector<std::unique_ptr<Timer>> others;
    for (std::size_t i = 0; i < kOthers; ++i) {
        others.push_back(std::make_unique<Timer>(owner));
        timers.arm(*others.back(), Instant{} + (i % 3'600) * 1s);
    }
    Timer timer(owner);
    bench::loop(state, [&] {
        timers.arm(timer, Instant{} + 32s);
        timer.cancel();
    });
}
BENCHMARK(BM_TimerArmCancel);

void BM_TimerFire(benchmark::State& state) {
    Owner owner;
    Timers timers{Instant{}};
    Timer timer(owner);
    Instant now{};
    bench::loop(state, [&] {
        timers.arm(timer, now + 5ms);
        now += 10ms;
        timers.run(now);
    });
    if (owner.fired != static_cast<std::size_t>(state.iterations()) + 1)
        state.SkipWithError("not each has fired");
}
BENCHMARK(BM_TimerFire);

void BM_Mailbox(benchmark::State& state) {
    constexpr int kBatch = 32;
    Mailbox mailbox;
    const std::string stanza(300, 'x');
    std::size_t bytes = 0;
    bench::loop(state, [&] {
        for (int i = 0; i < kBatch; ++i) {
            if (!mailbox.push(1, {"partner.example", stanza})) state.SkipWithError("full");
        }
        mailbox.pop(kBatch, [&](std::uint32_t, Bytes record) {
            bytes += record.size();
            return true;
        });
    });
    benchmark::DoNotOptimize(bytes);
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * kBatch);
}
BENCHMARK(BM_Mailbox);

}  // namespace
}  // namespace fedgate

BENCHMARK_MAIN();
