// Memory for what has to wait: requests in flight, queued messages, stored responses, names. Blocks
// of a few sizes on free lists; each size grows by chunks up to its share of the bound, so that a
// flood of the one can't starve the others for ever. Thread: the shard's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <new>
#include <numeric>
#include <utility>
#include <vector>

#include "core/base/bytes.hpp"
#include "core/base/check.hpp"
#include "core/base/prefetch.hpp"

namespace fedgate::gateway {

class BlockPool;

// One block, owned. Given back to its pool by the destructor. The pool must outlive it.
class Block {
public:
    Block() = default;
    Block(Block&& other) noexcept { swap(other); }
    Block& operator=(Block&& other) noexcept {
        swap(other);
        return *this;
    }
    inline ~Block();

    explicit operator bool() const { return data_ != nullptr; }
    // What was put into it, and the room behind it.
    [[nodiscard]] Bytes bytes() const { return {data_, size_}; }
    [[nodiscard]] MutableBytes memory() const { return {data_, capacity_}; }
    void set_size(std::size_t size) {
        FEDGATE_CHECK(size <= capacity_);
        size_ = static_cast<std::uint32_t>(size);
    }
    void reset() { Block empty(std::move(*this)); }

private:
    friend class BlockPool;
    void swap(Block& other) {
        std::swap(pool_, other.pool_);
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        std::swap(capacity_, other.capacity_);
    }

    BlockPool* pool_ = nullptr;
    char* data_ = nullptr;
    std::uint32_t size_ = 0;
    std::uint32_t capacity_ = 0;
};

class BlockPool {
public:
    // No block is larger than `block_bytes_max`; all together stay below `bytes_max`.
    BlockPool(std::size_t block_bytes_max, std::size_t bytes_max)
        : bytes_max_(bytes_max),
          sizes_{128, 256, 512, 768, kFineBytesMax, 2'048, 8'192, 49'152, block_bytes_max} {
        FEDGATE_CHECK(block_bytes_max > 49'152);
    }
    BlockPool(const BlockPool&) = delete;
    BlockPool& operator=(const BlockPool&) = delete;

    // A block with room for `size` bytes, size() being 0; empty at the bound.
    [[nodiscard]] Block take(std::size_t size) {
        Block block;
        for (std::size_t i = class_of(size); i < kClasses; ++i) {
            if (free_[i] == nullptr && !grow(i)) continue;  // a larger one will do
            block.pool_ = this;
            block.data_ = reinterpret_cast<char*>(free_[i]);
            block.capacity_ = static_cast<std::uint32_t>(sizes_[i]);
            free_[i] = free_[i]->next;
            // The next one is taken soon.
            if (i <= kFine.back() && free_[i] != nullptr) fedgate::prefetch<512>(free_[i]);
            used_bytes_ += sizes_[i];
            return block;
        }
        return block;
    }
    // A block that holds the parts, one behind the other; empty at the bound.
    [[nodiscard]] Block copy(std::initializer_list<Bytes> parts) {
        std::size_t size = 0;
        for (const Bytes part : parts) size += part.size();
        Block block = take(size);
        if (!block) return block;
        Sink sink(block.memory());
        for (const Bytes part : parts) sink.append(part);
        block.set_size(size);
        return block;
    }

    [[nodiscard]] std::size_t used_bytes() const { return used_bytes_; }
    [[nodiscard]] std::size_t reserved_bytes() const { return reserved_bytes_; }

private:
    friend class Block;
    static constexpr std::size_t kClasses = 9;
    static constexpr std::size_t kFineBytesMax = 1'024;
    static constexpr std::array<std::uint8_t, 9> kFine{0, 0, 1, 2, 2, 3, 3, 4, 4};  // of 128s
    // Of small ones fewer, for there are many larger ones to take instead.
    static constexpr std::array<std::uint8_t, kClasses> kShares{1, 1, 2, 1, 2, 2, 2, 2, 3};
    static constexpr std::size_t kAllShares = 16;
    static_assert(std::accumulate(kShares.begin(), kShares.end(), 0U) == kAllShares);
    static constexpr std::size_t kChunkBytes = 1 << 16;
    static constexpr std::align_val_t kLine{64};  // so that a block is in few cache lines
    struct Free {
        Free* next;
    };
    struct FreeChunk {
        void operator()(char* chunk) const { ::operator delete[](chunk, kLine); }
    };
    using Chunk = std::unique_ptr<char[], FreeChunk>;

    // The smallest that is large enough.
    [[nodiscard]] std::size_t class_of(std::size_t size) const {
        if (size <= kFineBytesMax) return kFine[(size + 127) / 128];
        std::size_t i = kFine.back() + 1u;
        while (i < kClasses && size > sizes_[i]) ++i;
        return i;
    }
    bool grow(std::size_t i) {
        const std::size_t count = sizes_[i] >= kChunkBytes ? 1 : kChunkBytes / sizes_[i];
        const std::size_t stride = (sizes_[i] + 63) / 64 * 64;
        if (reserved_[i] + count * stride > bytes_max_ / kAllShares * kShares[i]) return false;
        reserved_[i] += count * stride;
        chunks_.push_back(Chunk(new (kLine) char[count * stride]));
        reserved_bytes_ += count * stride;
        for (std::size_t n = count; n-- > 0;) {
            free_[i] = new (chunks_.back().get() + n * stride) Free{free_[i]};
        }
        return true;
    }
    void give(char* data, std::size_t capacity) {
        const std::size_t i = class_of(capacity);
        free_[i] = new (data) Free{free_[i]};
        used_bytes_ -= capacity;
    }

    std::size_t bytes_max_;
    std::array<std::size_t, kClasses> sizes_;
    std::array<Free*, kClasses> free_{};
    std::vector<Chunk> chunks_;
    std::array<std::size_t, kClasses> reserved_{};
    std::size_t used_bytes_ = 0;
    std::size_t reserved_bytes_ = 0;
};

inline Block::~Block() {
    if (data_ != nullptr) pool_->give(data_, capacity_);
}

}  // namespace fedgate::gateway
