// The events of late, in memory: for `fedctl events`. Bounded; the oldest go first. Control thread.
#pragma once

#include <cstdint>
#include <deque>

#include "core/run/log.hpp"

namespace fedgate::admin {

class EventBook {
public:
    explicit EventBook(std::size_t count_max = limits::kEventsKept) : count_max_(count_max) {}

    void add(LogRecord record) {
        if (records_.size() == count_max_) {
            records_.pop_front();
            ++first_;
        }
        records_.push_back(std::move(record));
    }

    // They are numbered from 1; first() to last(), empty when last() is below first().
    [[nodiscard]] std::uint64_t first() const { return first_; }
    [[nodiscard]] std::uint64_t last() const { return first_ + records_.size() - 1; }
    [[nodiscard]] const LogRecord& at(std::uint64_t number) const {
        return records_[number - first_];
    }

private:
    std::size_t count_max_;
    std::uint64_t first_ = 1;
    std::deque<LogRecord> records_;
};

}  // namespace fedgate::admin
