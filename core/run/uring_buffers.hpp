// Memory that the kernel receives into: a provided buffer ring. The kernel picks a buffer for each
// completion; it is offered again once its bytes were handled. Buffers that hold the bytes of a
// paused socket are replaced by spare ones, so that one slow reader does not starve the others.
// Owner: a UringLoop. Pages are touched only when they are used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <liburing.h>

#include "core/base/bytes.hpp"
#include "core/base/error.hpp"

namespace fedgate {

class UringBuffers {
public:
    UringBuffers() = default;
    ~UringBuffers();
    UringBuffers(const UringBuffers&) = delete;
    UringBuffers& operator=(const UringBuffers&) = delete;

    // `offered` is a power of two. Returns 0 or an errno.
    [[nodiscard]] int open(io_uring&, unsigned group, unsigned offered, unsigned count,
                           std::size_t bytes);
    [[nodiscard]] bool is_open() const { return ring_ != nullptr; }

    // The kernel has filled buffer `id`.
    MutableBytes take(std::uint16_t id, std::size_t size) {
        FEDGATE_CHECK(id < count_ && size <= bytes_ && offered_ > 0);
        --offered_;
        return at(id, size);
    }
    [[nodiscard]] MutableBytes at(std::uint16_t id, std::size_t size) {
        return {memory_ + static_cast<std::size_t>(id) * bytes_, size};
    }
    void give_back(std::uint16_t id) { free_.push_back(id); }
    // Shows the kernel what may be used. Once a batch.
    void offer();
    // Is there anything that the kernel could receive into?
    [[nodiscard]] bool any_offered() const { return offered_ > 0; }

private:
    io_uring_buf_ring* ring_ = nullptr;
    std::size_t ring_bytes_ = 0;
    char* memory_ = nullptr;
    std::size_t bytes_ = 0;
    unsigned count_ = 0;
    unsigned offered_max_ = 0;
    unsigned offered_ = 0;
    std::vector<std::uint16_t> free_;  // last given back, first used: it is warm
};

}  // namespace fedgate
