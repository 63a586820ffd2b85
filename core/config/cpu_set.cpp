#include "core/config/cpu_set.hpp"

#include <algorithm>
#include <bitset>
#include <charconv>

namespace fedgate::config {
namespace {

constexpr std::size_t kTextBytes = 4096;  // of all there can be, each by itself

std::optional<std::uint16_t> parse_cpu(std::string_view text) {
    std::uint16_t number = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc{} || stop != end || number > kCpuMax) return std::nullopt;
    return number;
}

}  // namespace

std::optional<CpuSet> parse_cpu_set(std::string_view text) {
    constexpr std::string_view kBetween = ", \t";
    if (text.size() > kTextBytes) return std::nullopt;
    std::bitset<kCpuMax + 1> there;
    while (true) {
        text.remove_prefix(std::min(text.find_first_not_of(kBetween), text.size()));
        if (text.empty()) break;
        const std::string_view word = text.substr(0, text.find_first_of(kBetween));
        text.remove_prefix(word.size());
        const std::size_t dash = word.find('-');
        const auto first = parse_cpu(word.substr(0, dash));
        const auto last = dash == std::string_view::npos ? first : parse_cpu(word.substr(dash + 1));
        if (!first || !last || *first > *last) return std::nullopt;
        for (std::uint16_t cpu = *first; cpu <= *last; ++cpu) there.set(cpu);
    }
    CpuSet set;
    for (std::uint16_t cpu = 0; cpu <= kCpuMax; ++cpu) {
        if (there.test(cpu)) set.push_back(cpu);
    }
    return set;
}

std::string format_cpu_set(const CpuSet& set) {
    std::string text;
    for (std::size_t i = 0; i < set.size();) {
        std::size_t last = i;
        while (last + 1 < set.size() && set[last + 1] == set[last] + 1) ++last;
        text += (text.empty() ? "" : ",") + std::to_string(set[i]);
        if (last > i) text += "-" + std::to_string(set[last]);
        i = last + 1;
    }
    return text;
}

}  // namespace fedgate::config
