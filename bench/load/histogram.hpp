// Durations, counted in log-linear buckets: 64 for each doubling, so within 1.6 %; coarse: 8, so
// within 12 %.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace fedgate::load {

class Histogram {
public:
    enum class Resolution : std::uint8_t { kFine = 6, kCoarse = 3 };
    Histogram() : Histogram(Resolution::kFine) {}
    explicit Histogram(Resolution resolution)
        : bits_(static_cast<unsigned>(resolution)),
          buckets_(std::size_t{kDoublings} << static_cast<unsigned>(resolution)) {}

    void add(std::uint64_t ns) {
        ++buckets_[std::min(index(ns), buckets_.size() - 1)];
        ++count_;
        max_ = std::max(max_, ns);
    }
    // Of the same resolution.
    void add(const Histogram& other) {
        for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
        count_ += other.count_;
        max_ = std::max(max_, other.max_);
    }
    [[nodiscard]] double at(double part) const {  // in microseconds
        auto left = static_cast<std::uint64_t>(part * static_cast<double>(count_));
        for (std::size_t i = 0; i < buckets_.size(); ++i) {
            if (buckets_[i] > left) return static_cast<double>(value(i)) / 1'000;
            left -= buckets_[i];
        }
        return max();
    }
    [[nodiscard]] double max() const { return static_cast<double>(max_) / 1'000; }
    [[nodiscard]] std::uint64_t count() const { return count_; }

private:
    static constexpr unsigned kDoublings = 40;
    [[nodiscard]] std::size_t index(std::uint64_t ns) const {
        const std::size_t each = std::size_t{1} << bits_;
        if (ns < each) return ns;
        const auto shift = static_cast<unsigned>(63 - __builtin_clzll(ns)) - bits_;
        return (shift + 1) * each + (ns >> shift) - each;
    }
    [[nodiscard]] std::uint64_t value(std::size_t i) const {
        const std::size_t each = std::size_t{1} << bits_;
        if (i < each) return i;
        return (each + i % each) << (i / each - 1);
    }
    unsigned bits_;
    std::vector<std::uint64_t> buckets_;
    std::uint64_t count_ = 0;
    std::uint64_t max_ = 0;
};

}  // namespace fedgate::load
