// Key -> object, for very many objects that stay where they are (slab.hpp): chains through the
// objects by linear hashing. It grows by one place with each object: no pause, and some 16 bytes
// for each. Keys are keyed hashes, so nobody aims at a place. Owner and thread: one shard.
//
//     GrowingIndex<Watcher, &Watcher::pair, &Watcher::next_in_index> index;
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/base/check.hpp"
#include "core/base/prefetch.hpp"

namespace fedgate {

// `kKey`: a member with `low`, 64 random bits, and ==. `kNext`: a member T*.
template <typename T, auto kKey, auto kNext>
class GrowingIndex {
public:
    GrowingIndex() { grow(); }

    template <typename Key>
    [[nodiscard]] T* find(const Key& key) const {
        T* object = head(place_of(key.low));
        while (object != nullptr && !(object->*kKey == key)) object = object->*kNext;
        return object;
    }
    // It is looked for soon: the first of those that it may be.
    template <std::size_t kBytes, typename Key>
    void prefetch_object(const Key& key) const {
        fedgate::prefetch<kBytes>(head(place_of(key.low)));
    }
    // One whose key is not there yet.
    void insert(T& object) {
        if (++count_ > places_) split();
        T*& first = head(place_of((object.*kKey).low));
        object.*kNext = first;
        first = &object;
    }
    void erase(T& object) {
        T** link = &head(place_of((object.*kKey).low));
        while (*link != &object) {
            FEDGATE_CHECK(*link != nullptr);
            link = &((*link)->*kNext);
        }
        *link = object.*kNext;
        --count_;
    }
    [[nodiscard]] std::size_t count() const { return count_; }

private:
    static constexpr std::size_t kChunk = 256;
    using Chunk = std::array<T*, kChunk>;

    [[nodiscard]] T*& head(std::size_t place) const {
        return (*chunks_[place / kChunk])[place % kChunk];
    }
    // Twice `half_` places are being made of `half_`; so many of those that are split have moved.
    [[nodiscard]] std::size_t place_of(std::uint64_t hash) const {
        const std::size_t place = hash & (2 * half_ - 1);
        return place < places_ ? place : place - half_;
    }
    void grow() { chunks_.push_back(std::make_unique<Chunk>()); }
    void split() {
        if (places_ % kChunk == 0) grow();
        const std::size_t from = places_ - half_;
        T* object = head(from);
        head(from) = nullptr;
        if (++places_ == 2 * half_) half_ *= 2;
        while (object != nullptr) {
            T* const next = object->*kNext;
            T*& first = head(place_of((object->*kKey).low));
            object->*kNext = first;
            first = object;
            object = next;
        }
    }

    std::vector<std::unique_ptr<Chunk>> chunks_;
    std::size_t half_ = 1;
    std::size_t places_ = 1;
    std::size_t count_ = 0;
};

}  // namespace fedgate
