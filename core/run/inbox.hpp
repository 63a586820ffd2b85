// The only path between shards: for each ordered pair one bounded single-producer single-consumer
// queue of byte records. Nothing else of a shard is reachable from another thread.
// A record is a kind and its bytes, copied in and read in place. Order is kept.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>

#include "core/base/bytes.hpp"
#include "core/base/limits.hpp"

namespace fedgate {

class Mailbox {
public:
    explicit Mailbox(std::size_t bytes_max = limits::kMailboxBytes);

    // Producer's thread. Copies the parts one after the other into one record. False: no room; nothing
    // was taken: the producer stops reading from its source and tries again later.
    [[nodiscard]] bool push(std::uint32_t kind, std::initializer_list<Bytes> parts);
    // True once after records were pushed since the last call: then wake the consumer (once a batch).
    [[nodiscard]] bool take_wake_needed();

    // Consumer's thread. Calls handle(kind, bytes) for each record, oldest first, at most `count_max`.
    // The bytes are valid for the call only. Returns how many were handled. When handle returns
    // false the record stays at the front and pop() returns.
    template <typename Handle>
    std::size_t pop(std::size_t count_max, Handle&& handle);
};

}  // namespace fedgate
