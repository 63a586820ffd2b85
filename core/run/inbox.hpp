// The only path between shards: for each ordered pair one bounded single-producer single-consumer
// queue of byte records. Nothing else of a shard is reachable from another thread.
// A record is a kind and its bytes, copied in and read in place. Order is kept.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>

#include "core/base/bytes.hpp"
#include "core/base/limits.hpp"

namespace fedgate {

class Mailbox {
public:
    // Rounded up to a power of two.
    explicit Mailbox(std::size_t bytes_max = limits::kMailboxBytes)
        : capacity_(std::bit_ceil(bytes_max)),
          memory_(std::make_unique_for_overwrite<std::byte[]>(capacity_)) {
        FEDGATE_CHECK(capacity_ >= 4 * sizeof(Header));
    }
    Mailbox(const Mailbox&) = delete;
    Mailbox& operator=(const Mailbox&) = delete;

    // A record of this size always fits into an empty mailbox; a bigger one is always refused.
    [[nodiscard]] std::size_t record_bytes_max() const { return capacity_ / 2 - sizeof(Header); }

    // Producer's thread. Copies the parts one after the other into one record. False: no room;
    // nothing was taken: the producer stops reading from its source and tries again later.
    [[nodiscard]] bool push(std::uint32_t kind, std::initializer_list<Bytes> parts) {
        std::size_t size = 0;
        for (const Bytes part : parts) size += part.size();
        if (size > record_bytes_max()) return false;
        const std::size_t need = sizeof(Header) + round_up(size);
        // A record lies in one piece: when it does not fit before the end, the rest is skipped.
        const std::size_t to_end = capacity_ - offset(tail_);
        const std::size_t skip = need > to_end ? to_end : 0;
        if (!has_room(skip + need)) return false;
        if (skip != 0) put_header(tail_, {kSkip, 0});
        const std::uint64_t at = tail_ + skip;
        put_header(at, {static_cast<std::uint32_t>(size), kind});
        std::byte* to = memory_.get() + offset(at) + sizeof(Header);
        for (const Bytes part : parts) {
            if (part.empty()) continue;
            std::memcpy(to, part.data(), part.size());
            to += part.size();
        }
        tail_ = at + need;
        published_tail_.store(tail_, std::memory_order_release);
        wake_needed_ = true;
        return true;
    }

    // Producer's thread. True once after records were pushed since the last call: then wake the
    // consumer (once a batch).
    [[nodiscard]] bool take_wake_needed() {
        const bool needed = wake_needed_;
        wake_needed_ = false;
        return needed;
    }

    // Consumer's thread. Calls handle(kind, bytes) for each record, oldest first, at most
    // `count_max`. The bytes are valid for the call only. Returns how many were handled. When
    // handle returns false the record stays at the front and pop() returns.
    template <typename Handle>
    std::size_t pop(std::size_t count_max, Handle&& handle) {
        std::size_t count = 0;
        while (count < count_max && !empty()) {
            const Header header = get_header(head_);
            if (header.size == kSkip) {
                head_ += capacity_ - offset(head_);
                continue;
            }
            const std::byte* bytes = memory_.get() + offset(head_) + sizeof(Header);
            if (!handle(header.kind, Bytes(reinterpret_cast<const char*>(bytes), header.size)))
                break;
            head_ += sizeof(Header) + round_up(header.size);
            ++count;
        }
        // Published once a batch: the producer's cache line is touched once, not for each record.
        published_head_.store(head_, std::memory_order_release);
        return count;
    }

    // Consumer's thread.
    [[nodiscard]] bool empty() {
        if (head_ != seen_tail_) return false;
        seen_tail_ = published_tail_.load(std::memory_order_acquire);
        return head_ == seen_tail_;
    }

private:
    struct Header {
        std::uint32_t size;  // of the bytes that follow; kSkip: go on at the start of the memory
        std::uint32_t kind;
    };
    static constexpr std::uint32_t kSkip = UINT32_MAX;
    static constexpr std::size_t kLine =
        64;  // a cache line: the two threads share none but the published ones

    static std::size_t round_up(std::size_t size) {
        return (size + sizeof(Header) - 1) / sizeof(Header) * sizeof(Header);
    }
    [[nodiscard]] std::size_t offset(std::uint64_t position) const {
        return position & (capacity_ - 1);
    }
    void put_header(std::uint64_t at, Header header) {
        std::memcpy(memory_.get() + offset(at), &header, sizeof header);
    }
    [[nodiscard]] Header get_header(std::uint64_t at) const {
        Header header;
        std::memcpy(&header, memory_.get() + offset(at), sizeof header);
        return header;
    }
    bool has_room(std::size_t need) {
        if (capacity_ - (tail_ - seen_head_) >= need) return true;
        seen_head_ = published_head_.load(std::memory_order_acquire);
        return capacity_ - (tail_ - seen_head_) >= need;
    }

    // Read by both, never written after construction.
    std::size_t capacity_;
    std::unique_ptr<std::byte[]> memory_;
    // Producer's. Positions only grow; their low bits are the place in the memory.
    alignas(kLine) std::uint64_t tail_ = 0;
    std::uint64_t seen_head_ = 0;
    bool wake_needed_ = false;
    // Consumer's.
    alignas(kLine) std::uint64_t head_ = 0;
    std::uint64_t seen_tail_ = 0;
    // Written by one, read by the other.
    alignas(kLine) std::atomic<std::uint64_t> published_tail_{0};
    alignas(kLine) std::atomic<std::uint64_t> published_head_{0};
};

}  // namespace fedgate
