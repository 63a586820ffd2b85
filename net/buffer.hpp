// Bytes in one piece of heap memory: appended behind, consumed at the front. Grows by doubling and
// is given back with release(), so that an idle connection costs nothing.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "core/base/bytes.hpp"
#include "core/base/check.hpp"

namespace fedgate::net {

class Buffer {
public:
    Buffer() = default;
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() { release(); }

    [[nodiscard]] std::size_t size() const { return end_ - begin_; }
    [[nodiscard]] bool empty() const { return begin_ == end_; }
    [[nodiscard]] std::size_t capacity() const { return capacity_; }
    [[nodiscard]] Bytes bytes() const { return {memory_ + begin_, size()}; }
    [[nodiscard]] MutableBytes bytes_mutable() { return {memory_ + begin_, size()}; }

    void append(Bytes bytes) {
        if (bytes.empty()) return;
        std::memcpy(room(bytes.size()).data(), bytes.data(), bytes.size());
        added(bytes.size());
    }
    // Writable memory of at least `count` bytes behind the content; then tell with added().
    MutableBytes room(std::size_t count) {
        if (capacity_ - end_ < count) make_room(count);
        return {memory_ + end_, capacity_ - end_};
    }
    void added(std::size_t count) {
        FEDGATE_CHECK(count <= capacity_ - end_);
        end_ += count;
    }
    void consume(std::size_t count) {
        FEDGATE_CHECK(count <= size());
        begin_ += count;
        if (begin_ == end_) begin_ = end_ = 0;
    }
    void clear() { begin_ = end_ = 0; }
    void release() {
        std::free(memory_);
        memory_ = nullptr;
        begin_ = end_ = capacity_ = 0;
    }
    void swap(Buffer& other) noexcept {
        std::swap(memory_, other.memory_);
        std::swap(begin_, other.begin_);
        std::swap(end_, other.end_);
        std::swap(capacity_, other.capacity_);
    }

private:
    static constexpr std::size_t kFirstBytes = 2'048;

    void make_room(std::size_t count) {
        if (begin_ > 0) {  // only an unfinished tail is ever moved
            std::memmove(memory_, memory_ + begin_, size());
            end_ -= begin_;
            begin_ = 0;
        }
        if (capacity_ - end_ >= count) return;
        const std::size_t wanted = std::max({kFirstBytes, capacity_ * 2, end_ + count});
        char* grown = static_cast<char*>(std::realloc(memory_, wanted));
        FEDGATE_CHECK(grown != nullptr);  // out of memory ends the process
        memory_ = grown;
        capacity_ = wanted;
    }

    char* memory_ = nullptr;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::size_t capacity_ = 0;
};

}  // namespace fedgate::net
