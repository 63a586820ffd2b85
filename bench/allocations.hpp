// Counts what a benchmark takes from the heap: also what malloc() itself is asked for, by TLS and
// by net/buffer (the programs are linked with --wrap).
#pragma once

#include <cstddef>

#include <benchmark/benchmark.h>

namespace fedgate::bench {

[[nodiscard]] std::size_t allocations();  // since the program began; it has one thread

// The benchmark's loop. Once before it, so that what is taken once and kept does not count; the
// counter "allocations" is of one pass.
template <typename Body>
void loop(benchmark::State& state, Body&& body) {
    body();
    const std::size_t before = allocations();
    for ([[maybe_unused]] auto _ : state) body();
    state.counters["allocations"] = benchmark::Counter(static_cast<double>(allocations() - before),
                                                       benchmark::Counter::kAvgIterations);
}

}  // namespace fedgate::bench
