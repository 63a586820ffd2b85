// Views of bytes, and the one way in which bytes are written: append to memory that the caller
// owns. A view never survives a return to the loop unless its owner says so.
#pragma once

#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "core/base/check.hpp"

namespace fedgate {

using Bytes = std::string_view;        // read-only view of bytes as they are on the wire
using MutableBytes = std::span<char>;  // writable memory of fixed size

// Appends into a fixed piece of memory. When it is full the rest is dropped and overflowed() says
// so: write everything, then ask once. Never allocates. The memory must outlive the Sink.
class Sink {
public:
    explicit Sink(MutableBytes memory) : memory_(memory) {}

    void append(Bytes bytes) {
        if (bytes.size() > memory_.size() - size_) {
            overflowed_ = true;
            return;
        }
        if (!bytes.empty()) std::memcpy(memory_.data() + size_, bytes.data(), bytes.size());
        size_ += bytes.size();
    }
    void append(char c) {
        if (size_ == memory_.size()) {
            overflowed_ = true;
            return;
        }
        memory_[size_++] = c;
    }
    // All of them or none. Inlined, so that what is written in the code costs a move or two.
    template <typename... Parts>
        requires(sizeof...(Parts) > 1 && (std::convertible_to<const Parts&, Bytes> && ...))
    [[gnu::always_inline]] void append(const Parts&... parts) {
        const std::size_t size = (Bytes(parts).size() + ...);
        if (size > memory_.size() - size_) {
            overflowed_ = true;
            return;
        }
        char* to = memory_.data() + size_;
        ((to = put(to, Bytes(parts))), ...);
        size_ += size;
    }
    void append_number(std::integral auto value) {
        if (value >= 0 && value < 10) return append(static_cast<char>('0' + value));
        char digits[24];
        const auto end = std::to_chars(digits, digits + sizeof digits, value);
        append(Bytes(digits, static_cast<std::size_t>(end.ptr - digits)));
    }

    [[nodiscard]] bool overflowed() const { return overflowed_; }
    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] std::size_t room() const { return memory_.size() - size_; }
    [[nodiscard]] Bytes written() const { return {memory_.data(), size_}; }
    [[nodiscard]] MutableBytes written_mutable() { return memory_.first(size_); }
    // Forget everything after `size`, the overflow included.
    void truncate(std::size_t size) {
        FEDGATE_CHECK(size <= size_);
        size_ = size;
        overflowed_ = false;
    }

private:
    [[gnu::always_inline]] static char* put(char* to, Bytes part) {
        if (!part.empty()) std::memcpy(to, part.data(), part.size());
        return to + part.size();
    }

    MutableBytes memory_;
    std::size_t size_ = 0;
    bool overflowed_ = false;
};

}  // namespace fedgate
