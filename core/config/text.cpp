#include "core/config/text.hpp"

#include <algorithm>
#include <cstdint>

namespace fedgate::config {

std::string_view trim(std::string_view text) {
    constexpr std::string_view kBlank = " \t\r";
    const std::size_t first = text.find_first_not_of(kBlank);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::string lower_ascii(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return out;
}

namespace {

// Bytes of the UTF-8 sequence at the front that may stand in a text, or 0.
std::size_t sequence(std::string_view text) {
    const auto at = [text](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
    const std::uint8_t lead = at(0);
    if (lead < 0x80) return lead >= 0x20 && lead != 0x7f ? 1 : 0;
    const std::size_t size = lead >= 0xc2 && lead < 0xe0   ? 2
                             : lead >= 0xe0 && lead < 0xf0 ? 3
                             : lead >= 0xf0 && lead < 0xf5 ? 4
                                                           : 0;
    if (size == 0 || text.size() < size) return 0;
    for (std::size_t i = 1; i < size; ++i) {
        if ((at(i) & 0xc0) != 0x80) return 0;
    }
    const bool overlong = (lead == 0xe0 && at(1) < 0xa0) || (lead == 0xf0 && at(1) < 0x90);
    const bool surrogate = lead == 0xed && at(1) >= 0xa0;
    const bool beyond = lead == 0xf4 && at(1) >= 0x90;
    const bool c1_control = lead == 0xc2 && at(1) < 0xa0;
    const bool no_character = lead == 0xef && at(1) == 0xbf && at(2) >= 0xbe;  // XML 1.0, 2.2
    return overlong || surrogate || beyond || c1_control || no_character ? 0 : size;
}

}  // namespace

bool is_text(std::string_view text) {
    while (!text.empty()) {
        const std::size_t size = sequence(text);
        if (size == 0) return false;
        text.remove_prefix(size);
    }
    return true;
}

std::string in_quotes(std::string_view text) {
    constexpr std::size_t kShown = 64;
    std::string out = "'";
    while (!text.empty() && out.size() <= kShown) {
        const std::size_t size = sequence(text);
        out += size == 0 ? std::string_view("?") : text.substr(0, size);
        text.remove_prefix(std::max<std::size_t>(size, 1));
    }
    return out + (text.empty() ? "'" : "...'");
}

}  // namespace fedgate::config
