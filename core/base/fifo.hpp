// A queue in one piece of memory: what is idle holds none of it after trim(), unlike a std::deque,
// which costs more than half a kilobyte from its birth on.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "core/base/check.hpp"

namespace fedgate {

// T: movable; what was popped is moved from, so that it holds nothing.
template <typename T>
class Fifo {
public:
    Fifo() = default;
    Fifo(Fifo&& other) noexcept
        : items_(std::exchange(other.items_, std::vector<T>())),
          front_(std::exchange(other.front_, 0)) {}
    Fifo& operator=(Fifo&& other) noexcept {
        items_ = std::exchange(other.items_, std::vector<T>());
        front_ = std::exchange(other.front_, 0);
        return *this;
    }

    [[nodiscard]] bool empty() const { return front_ == items_.size(); }
    [[nodiscard]] std::size_t size() const { return items_.size() - front_; }
    [[nodiscard]] std::size_t capacity() const { return items_.capacity(); }
    // Oldest first.
    [[nodiscard]] T* begin() { return items_.data() + front_; }
    [[nodiscard]] T* end() { return items_.data() + items_.size(); }
    [[nodiscard]] const T* begin() const { return items_.data() + front_; }
    [[nodiscard]] const T* end() const { return items_.data() + items_.size(); }
    [[nodiscard]] T& front() { return items_[front_]; }
    [[nodiscard]] T& back() { return items_.back(); }

    void push_back(T item) {
        // At least as many have gone as are moved: a constant cost for each.
        if (items_.size() == items_.capacity() && front_ >= size()) close_gap();
        items_.push_back(std::move(item));
    }
    void pop_front(std::size_t count = 1) {
        FEDGATE_CHECK(count <= size());
        for (; count > 0; --count) [[maybe_unused]]
            const T gone = std::move(items_[front_++]);
        if (empty()) clear();
    }
    // Asks `is_done` once for each, oldest first.
    template <typename Predicate>
    void erase_if(Predicate is_done) {
        close_gap();
        std::erase_if(items_, is_done);
    }
    void clear() {
        items_.clear();
        front_ = 0;
    }
    // Gives the memory back where nothing waits.
    void trim() {
        if (empty() && capacity() > 0) *this = Fifo();
    }

private:
    void close_gap() {
        items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(front_));
        front_ = 0;
    }

    std::vector<T> items_;
    std::size_t front_ = 0;  // what is before it has gone
};

}  // namespace fedgate
