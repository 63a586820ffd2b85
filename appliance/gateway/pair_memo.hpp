// What was worked out of two texts, kept for when the same two come again: of kCorrespondents pairs
// at most; a new pair takes the place of one of two others, once it is known that it is to be kept.
// Thread: the owner's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "core/base/bytes.hpp"
#include "core/base/prefetch.hpp"
#include "core/base/slab.hpp"

namespace fedgate::gateway {

constexpr std::size_t kCorrespondents = 8'192;
// Of texts; who has longer ones is not kept. Names that are not Latin are long: each of their
// letters is six bytes or nine of a SIP URI.
constexpr std::size_t kCorrespondenceBytes = 640;
constexpr std::size_t kMemoBytes = 8 << 20;  // of one memo; a shard has two

template <typename What>
class PairMemo {
public:
    PairMemo() : slab_(kCorrespondents + 1), sets_(kSets) {
        static_assert(kCorrespondents * sizeof(Kept) + kSets * sizeof(Set) <= kMemoBytes);
    }
    void clear() {
        cleared_at_ = version_;
        for (Set& set : sets_) {
            set.hashes = {};
            set.refused = 0;
        }
    }

    // Where something is, or was.
    struct Place {
        const void* kept = nullptr;
        std::uint64_t version = 0;
    };
    // What is there, if it has not gone. Valid until the next call.
    [[nodiscard]] const What* find(const Place& place) const {
        const auto* const kept = static_cast<const Kept*>(place.kept);
        const bool there = place.version > cleared_at_ && kept->version == place.version;
        return there ? &kept->what : nullptr;
    }
    // It is looked at soon.
    static void prefetch(const Place& place) {
        if (place.kept != nullptr)
            fedgate::prefetch<sizeof(What) + sizeof(place.version)>(place.kept);
    }
    // Of what find() or make() has given last.
    [[nodiscard]] const Place& latest() const { return latest_; }

    // What is kept of the two, or null. Valid until the next call.
    [[nodiscard]] const What* find(Bytes first, Bytes second) {
        const std::uint64_t hash = hash_of(first, second);
        Set& set = set_of(hash);
        for (std::size_t way = 0; way < set.hashes.size(); ++way) {
            if (set.hashes[way] != hash) continue;
            const Kept& kept = *set.kept[way];
            const char* const memory = kept.memory.data();
            if (Bytes(memory, kept.first_size) != first ||
                Bytes(memory + kept.first_size, kept.second_size) != second) {
                continue;
            }
            set.newest = static_cast<std::uint8_t>(way);
            latest_ = {&kept, kept.version};
            return &kept.what;
        }
        return nullptr;
    }
    // work_out(first, second, What&, Sink& memory): false when that is not to be kept. Its views
    // may be of the two texts, which are copied, and of the memory. Null: not kept; that is
    // remembered, too, of one pair for each two places, and not worked out again.
    template <typename WorkOut>
    [[nodiscard]] const What* make(Bytes first, Bytes second, WorkOut&& work_out) {
        if (first.size() + second.size() >= kCorrespondenceBytes) return nullptr;
        const std::uint64_t hash = hash_of(first, second);
        Set& set = set_of(hash);
        if (set.refused == hash) return nullptr;
        Handle<Kept> handle;  // it is never given back
        if (spare_ == nullptr) spare_ = slab_.make(handle);
        spare_->version = ++version_;
        Sink memory{MutableBytes(spare_->memory)};
        memory.append(first);
        memory.append(second);
        const Bytes texts = memory.written();
        if (!work_out(texts.substr(0, first.size()), texts.substr(first.size()), spare_->what,
                      memory) ||
            memory.overflowed()) {
            set.refused = hash;
            return nullptr;
        }
        spare_->first_size = static_cast<std::uint16_t>(first.size());
        spare_->second_size = static_cast<std::uint16_t>(second.size());
        const std::size_t way = set.hashes[0] == 0 ? 0 : 1u - set.newest;
        std::swap(set.kept[way], spare_);
        set.hashes[way] = hash;
        set.newest = static_cast<std::uint8_t>(way);
        latest_ = {set.kept[way], version_};
        return &set.kept[way]->what;
    }

private:
    struct Kept {
        What what;
        std::uint64_t version = 0;  // another whenever it is another pair's
        std::uint16_t first_size = 0;
        std::uint16_t second_size = 0;
        std::array<char, kCorrespondenceBytes> memory;  // the texts first

        Kept() {}  // not `= default`, so that the memory is not cleared
    };
    struct Set {
        std::array<std::uint64_t, 2> hashes{};  // 0: nothing
        std::array<Kept*, 2> kept{};
        std::uint64_t refused = 0;  // the last of it that was not kept
        std::uint8_t newest = 0;
    };
    static constexpr std::size_t kSets = kCorrespondents / 2;

    [[nodiscard]] Set& set_of(std::uint64_t hash) { return sets_[hash / 2 % kSets]; }

    // Only a place to look at; the texts are compared. Eight bytes at a time, the last of them
    // again.
    static std::uint64_t hash_of(Bytes first, Bytes second) {
        constexpr std::uint64_t kFactor = 0x9e37'79b9'7f4a'7c15;
        std::uint64_t hash = first.size();
        const auto add = [&hash](const char* at) {
            std::uint64_t word;
            std::memcpy(&word, at, sizeof word);
            hash = (hash ^ word) * kFactor;
            hash ^= hash >> 32;
        };
        for (const Bytes text : {first, second}) {
            if (text.size() < sizeof hash) {
                char padded[sizeof hash] = {};
                std::memcpy(padded, text.data(), text.size());
                add(padded);
                continue;
            }
            const char* const last = text.data() + text.size() - sizeof hash;
            for (const char* at = text.data(); at < last; at += sizeof hash) add(at);
            add(last);
        }
        return hash | 1;
    }

    Slab<Kept> slab_;
    Kept* spare_ = nullptr;  // where the next one is worked out
    std::uint64_t version_ = 0;
    std::uint64_t cleared_at_ = 0;
    Place latest_;
    std::vector<Set> sets_;
};

}  // namespace fedgate::gateway
