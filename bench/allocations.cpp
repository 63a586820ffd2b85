#include "bench/allocations.hpp"

#include <cstdlib>
#include <new>

namespace {
std::size_t allocation_count = 0;
}

std::size_t fedgate::bench::allocations() { return allocation_count; }

// NOLINTBEGIN(readability-identifier-naming, bugprone-reserved-identifier): the linker's names
extern "C" {
void* __real_malloc(std::size_t size);
void* __real_calloc(std::size_t count, std::size_t size);
void* __real_realloc(void* memory, std::size_t size);

void* __wrap_malloc(std::size_t size) {
    ++allocation_count;
    return __real_malloc(size);
}
void* __wrap_calloc(std::size_t count, std::size_t size) {
    ++allocation_count;
    return __real_calloc(count, size);
}
void* __wrap_realloc(void* memory, std::size_t size) {
    ++allocation_count;
    return __real_realloc(memory, size);
}
}
// NOLINTEND(readability-identifier-naming, bugprone-reserved-identifier)

// Not inlined: g++ 12 would take the pairs for mismatched.
[[gnu::noinline]] void* operator new(std::size_t size) {
    void* memory = std::malloc(size);
    if (memory == nullptr) std::abort();
    return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
