// Counts what a benchmark takes from the heap: also what malloc() itself is asked for, by TLS and
// by net/buffer (the programs are linked with --wrap). One program has one source, so it is defined
// here.
#pragma once

#include <cstdlib>
#include <new>

#include <benchmark/benchmark.h>

namespace fedgate::bench {
inline std::size_t allocation_count = 0;  // Google Benchmark runs one thread here

// The benchmark's loop. Once before it, so that what is taken once and kept does not count; the
// counter "allocations" is of one pass.
template <typename Body>
void loop(benchmark::State& state, Body&& body) {
    body();
    const std::size_t before = allocation_count;
    for ([[maybe_unused]] auto _ : state) body();
    state.counters["allocations"] = benchmark::Counter(
        static_cast<double>(allocation_count - before), benchmark::Counter::kAvgIterations);
}

}  // namespace fedgate::bench

extern "C" {
void* __real_malloc(std::size_t size);
void* __real_calloc(std::size_t count, std::size_t size);
void* __real_realloc(void* memory, std::size_t size);

void* __wrap_malloc(std::size_t size) {
    ++fedgate::bench::allocation_count;
    return __real_malloc(size);
}
void* __wrap_calloc(std::size_t count, std::size_t size) {
    ++fedgate::bench::allocation_count;
    return __real_calloc(count, size);
}
void* __wrap_realloc(void* memory, std::size_t size) {
    ++fedgate::bench::allocation_count;
    return __real_realloc(memory, size);
}
}

// Not inlined: g++ 12 would take the pairs for mismatched.
[[gnu::noinline]] void* operator new(std::size_t size) {
    void* memory = std::malloc(size);
    if (memory == nullptr) std::abort();
    return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
