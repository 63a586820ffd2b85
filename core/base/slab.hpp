// A pool of T that grows by chunks up to a bound, addressed by Handle<T>. A handle is an index and
// a generation: once its slot was freed and used again it finds nothing. Objects never move.
// Thread: the owner's only.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "core/base/check.hpp"
#include "core/base/prefetch.hpp"

namespace fedgate {

template <typename T>
struct Handle {
    std::uint32_t index = 0;
    std::uint32_t generation = 0;  // 0: no object

    explicit operator bool() const { return generation != 0; }
    friend bool operator==(Handle, Handle) = default;
    [[nodiscard]] std::uint64_t pack() const {
        return (static_cast<std::uint64_t>(generation) << 32) | index;
    }
    static Handle unpack(std::uint64_t packed) {
        return {static_cast<std::uint32_t>(packed), static_cast<std::uint32_t>(packed >> 32)};
    }
};

// `kAlignment` 64: each object, with what is beside it, has cache lines of its own.
template <typename T, std::size_t kAlignment = 1>
class Slab {
public:
    explicit Slab(std::size_t count_max) : count_max_(count_max) {
        FEDGATE_CHECK(count_max <= kUsed);
    }
    Slab(const Slab&) = delete;
    Slab& operator=(const Slab&) = delete;
    ~Slab() {
        for_each([this](Handle<T> handle, T&) { free(handle); });
    }

    // The new object, or null at the bound.
    template <typename... Args>
    T* make(Handle<T>& handle, Args&&... args) {
        if (first_free_ == kNone && !grow()) return nullptr;
        const std::uint32_t index = first_free_;
        Slot& slot = at(index);
        first_free_ = slot.next_free;
        slot.next_free = kUsed;
        if (first_free_ != kNone) fedgate::prefetch<sizeof(Slot)>(&at(first_free_));
        ++count_;
        handle = {index, slot.generation};
        return new (slot.memory) T(std::forward<Args>(args)...);
    }

    T* find(Handle<T> handle) {
        if (handle.generation == 0 || handle.index >= slots_) return nullptr;
        Slot& slot = at(handle.index);
        return slot.used() && slot.generation == handle.generation ? slot.object() : nullptr;
    }

    // It is looked for soon, or its first bytes are.
    template <std::size_t kBytes>
    void prefetch(Handle<T> handle) const {
        if (handle.generation == 0 || handle.index >= slots_) return;
        fedgate::prefetch<kBytes>(&chunks_[handle.index / kChunk][handle.index % kChunk]);
    }

    void prefetch_at(std::uint32_t index) const {
        if (index < slots_)
            fedgate::prefetch<sizeof(Slot)>(&chunks_[index / kChunk][index % kChunk]);
    }

    // What lives at that index now; null: nothing. For whoever can tell by other means that it is
    // the one that is meant.
    T* find_at(std::uint32_t index) {
        if (index >= slots_) return nullptr;
        Slot& slot = at(index);
        return slot.used() ? slot.object() : nullptr;
    }

    void free(Handle<T> handle) {
        T* object = find(handle);
        FEDGATE_CHECK(object != nullptr);
        object->~T();
        Slot& slot = at(handle.index);
        if (++slot.generation == 0) slot.generation = 1;
        slot.next_free = first_free_;
        first_free_ = handle.index;
        --count_;
    }

    template <typename F>
    void for_each(F&& visit) {
        for (std::uint32_t i = 0; i < slots_; ++i) {
            Slot& slot = at(i);
            if (slot.used()) visit(Handle<T>{i, slot.generation}, *slot.object());
        }
    }

    template <typename F>
    void for_each(F&& visit) const {
        for (std::uint32_t i = 0; i < slots_; ++i) {
            const Slot& slot = chunks_[i / kChunk][i % kChunk];
            if (slot.used()) visit(Handle<T>{i, slot.generation}, *slot.object());
        }
    }

    [[nodiscard]] std::size_t count() const { return count_; }
    [[nodiscard]] std::size_t count_max() const { return count_max_; }

private:
    static constexpr std::uint32_t kNone = UINT32_MAX;
    static constexpr std::uint32_t kUsed = UINT32_MAX - 1;
    static constexpr std::uint32_t kChunk = 256;
    // What find() reads is in one cache line with the object's front.
    struct alignas(std::max({kAlignment, alignof(T), alignof(std::uint32_t)})) Slot {
        std::uint32_t generation = 1;
        std::uint32_t next_free = kNone;
        alignas(T) std::byte memory[sizeof(T)];
        [[nodiscard]] bool used() const { return next_free == kUsed; }
        T* object() { return std::launder(reinterpret_cast<T*>(memory)); }
        [[nodiscard]] const T* object() const {
            return std::launder(reinterpret_cast<const T*>(memory));
        }
    };

    Slot& at(std::uint32_t index) { return chunks_[index / kChunk][index % kChunk]; }

    bool grow() {
        if (slots_ >= count_max_) return false;
        chunks_.push_back(std::make_unique<Slot[]>(kChunk));
        for (std::uint32_t i = kChunk; i-- > 0;) {
            if (slots_ + i >= count_max_) continue;
            chunks_.back()[i].next_free = first_free_;
            first_free_ = slots_ + i;
        }
        slots_ = static_cast<std::uint32_t>(std::min<std::size_t>(slots_ + kChunk, count_max_));
        return true;
    }

    std::vector<std::unique_ptr<Slot[]>> chunks_;
    std::size_t count_max_;
    std::size_t count_ = 0;
    std::uint32_t slots_ = 0;
    std::uint32_t first_free_ = kNone;
};

}  // namespace fedgate
