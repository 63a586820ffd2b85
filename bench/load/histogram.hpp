// Durations, counted in log-linear buckets: 64 for each doubling, so within 1.6 %.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace fedgate::load {

class Histogram {
public:
    void add(std::uint64_t ns) {
        ++buckets_[std::min(index(ns), kBuckets - 1)];
        ++count_;
        max_ = std::max(max_, ns);
    }
    [[nodiscard]] double at(double part) const {  // in microseconds
        auto left = static_cast<std::uint64_t>(part * static_cast<double>(count_));
        for (std::size_t i = 0; i < kBuckets; ++i) {
            if (buckets_[i] > left) return static_cast<double>(value(i)) / 1'000;
            left -= buckets_[i];
        }
        return 0;
    }
    [[nodiscard]] double max() const { return static_cast<double>(max_) / 1'000; }

private:
    static constexpr std::size_t kBuckets = 64 * 40;
    static std::size_t index(std::uint64_t ns) {
        if (ns < 64) return ns;
        const auto shift = static_cast<unsigned>(63 - __builtin_clzll(ns)) - 6;
        return (shift + 1) * 64 + (ns >> shift) - 64;
    }
    static std::uint64_t value(std::size_t i) {
        if (i < 64) return i;
        return (64 + i % 64) << (i / 64 - 1);
    }
    std::vector<std::uint64_t> buckets_ = std::vector<std::uint64_t>(kBuckets);
    std::uint64_t count_ = 0;
    std::uint64_t max_ = 0;
};

}  // namespace fedgate::load
