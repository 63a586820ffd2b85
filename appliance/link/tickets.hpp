// Stanzas that were given on and whose fate is still to be told: a number of our own for each,
// which finds what it stands for as long as it is in the table, and nothing afterwards. Thread: one
// shard.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "appliance/link/link.hpp"
#include "core/base/limits.hpp"

namespace fedgate::link {

class Tickets {
public:
    struct Entry {
        Ticket theirs = 0;
        std::uint32_t link = 0;   // the owner's number of a session
        std::uint32_t about = 0;  // the owner's
        std::uint32_t generation = 0;
        std::uint32_t next_free = 0;
        bool used = false;
    };

    // Fits into own_part() of a ticket, and is never 0. 0: no room.
    [[nodiscard]] std::uint64_t add(Ticket theirs, std::uint32_t link, std::uint32_t about = 0) {
        if (first_free_ == entries_.size()) {
            if (entries_.size() >= limits::kLinkTickets) return 0;
            entries_.emplace_back();
            entries_.back().next_free = static_cast<std::uint32_t>(entries_.size());
        }
        const std::uint32_t index = first_free_;
        Entry& entry = entries_[index];
        first_free_ = entry.next_free;
        entry.generation = entry.generation % kGenerations + 1;
        entry.theirs = theirs;
        entry.link = link;
        entry.about = about;
        entry.used = true;
        ++count_;
        return number_of(index);
    }
    [[nodiscard]] Entry* find(std::uint64_t number) {
        const std::uint64_t index = number & kIndexMask;
        if (index >= entries_.size()) return nullptr;
        Entry& entry = entries_[index];
        return entry.used && number >> kIndexBits == entry.generation ? &entry : nullptr;
    }
    // One that find() has found.
    void remove(std::uint64_t number) {
        const auto index = static_cast<std::uint32_t>(number & kIndexMask);
        entries_[index].used = false;
        entries_[index].next_free = first_free_;
        first_free_ = index;
        --count_;
    }
    // One that is told of for the last time, if `is` agrees; nothing: there is none.
    template <typename Is>
    [[nodiscard]] std::optional<Entry> take(std::uint64_t number, Is is) {
        const Entry* const found = find(number);
        if (found == nullptr || !is(*found)) return {};
        const Entry entry = *found;
        remove(number);
        return entry;
    }
    [[nodiscard]] std::optional<Entry> take(std::uint64_t number) {
        return take(number, [](const Entry&) { return true; });
    }
    // Of one session: those that are still there. `each(theirs)` may add others.
    template <typename Each>
    void remove_all_of(std::uint32_t link, Each each) {
        remove_if([link](const Entry& entry) { return entry.link == link; },
                  [&each](const Entry& entry) { each(entry.theirs); });
    }
    template <typename Pick, typename Each>
    void remove_if(Pick pick, Each each) {
        for (std::uint32_t i = 0; count_ > 0 && i < entries_.size(); ++i) {
            if (!entries_[i].used || !pick(entries_[i])) continue;
            const Entry entry = entries_[i];
            remove(number_of(i));
            each(entry);
        }
    }
    [[nodiscard]] std::size_t count() const { return count_; }
    [[nodiscard]] bool any_of(std::uint32_t link) const {
        return count_ > 0 && std::ranges::any_of(entries_, [link](const Entry& entry) {
                   return entry.used && entry.link == link;
               });
    }

private:
    static constexpr unsigned kIndexBits = 24;
    static constexpr std::uint64_t kIndexMask = (std::uint64_t{1} << kIndexBits) - 1;
    static constexpr std::uint32_t kGenerations = (1U << 24) - 1;
    static_assert(limits::kLinkTickets <= kIndexMask);

    [[nodiscard]] std::uint64_t number_of(std::uint32_t index) const {
        return static_cast<std::uint64_t>(entries_[index].generation) << kIndexBits | index;
    }

    std::vector<Entry> entries_;
    std::uint32_t first_free_ = 0;
    std::size_t count_ = 0;
};

}  // namespace fedgate::link
