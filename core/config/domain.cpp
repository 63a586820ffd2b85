#include "core/config/domain.hpp"

#include <algorithm>
#include <idn2.h>

#include "core/config/timestamp.hpp"

namespace fedgate::config {
namespace {

constexpr std::size_t kDomainBytes = 253;  // RFC 1035 2.3.4, as text without the last dot
constexpr std::size_t kLabelBytes = 63;

bool is_label(std::string_view label) {
    if (label.empty() || label.size() > kLabelBytes) return false;
    if (label.front() == '-' || label.back() == '-') return false;
    return std::ranges::all_of(
        label, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

bool is_domain(std::string_view name) {
    if (name.empty() || name.size() > kDomainBytes) return false;
    std::string_view label;
    for (std::size_t start = 0; start <= name.size();) {
        const std::size_t dot = std::min(name.find('.', start), name.size());
        label = name.substr(start, dot - start);
        if (!is_label(label)) return false;
        start = dot + 1;
    }
    // A last label of digits only is an IPv4 literal (RFC 1123 2.1).
    return !std::ranges::all_of(label, [](char c) { return c >= '0' && c <= '9'; });
}

// What IDNA leaves as it is: no capitals, and no label with a meaning of its own (`xn--`).
bool is_plain_domain(std::string_view name) { return is_domain(name) && !name.contains("--"); }

}  // namespace

std::optional<std::string> normalise_domain(std::string_view text) {
    if (!text.empty() && text.back() == '.') text.remove_suffix(1);
    if (is_plain_domain(text)) return std::string(text);
    if (text.empty() || text.size() > 4 * kDomainBytes || text.contains('\0')) return std::nullopt;
    char* ascii = nullptr;
    const std::string input(text);
    if (idn2_to_ascii_8z(input.c_str(), &ascii, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT) != IDN2_OK) {
        return std::nullopt;
    }
    std::string name(ascii);
    idn2_free(ascii);
    std::ranges::transform(name, name.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    if (!is_domain(name)) return std::nullopt;
    return name;
}

std::optional<std::string> normalise_pattern(std::string_view text) {
    if (!text.starts_with("*.")) return normalise_domain(text);
    auto name = normalise_domain(text.substr(2));
    if (!name || name->size() > kDomainBytes - 2) return std::nullopt;
    return "*." + *name;
}

std::optional<Denied> parse_denied(std::string_view text) {
    const std::size_t at = text.find('@');
    auto pattern = normalise_pattern(text.substr(0, at));
    if (!pattern) return std::nullopt;
    Denied denied{std::move(*pattern)};
    if (at == std::string_view::npos) return denied;
    const auto until = parse_time(text.substr(at + 1));
    if (!until) return std::nullopt;
    denied.until = *until;
    return denied;
}

std::string format_denied(const Denied& denied) {
    return denied.until == WallTime::max() ? denied.pattern
                                           : denied.pattern + "@" + format_time(denied.until);
}

}  // namespace fedgate::config
