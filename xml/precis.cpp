#include "xml/precis.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <span>
#include <unicase.h>
#include <unictype.h>
#include <uninorm.h>
#include <utility>

#include "core/base/limits.hpp"
#include "xml/utf8.hpp"

namespace fedgate::xml {
namespace {

enum class Class : std::uint8_t { kIdentifier, kFreeform };
using Characters = std::span<const std::uint32_t>;

// Fixed room for one part: more characters than bytes are allowed is too long in any case.
class Part {
public:
    bool decode(Bytes text) {
        const char* p = text.data();
        const char* const end = p + text.size();
        while (p != end) {
            const Utf8Character c = decode_utf8(p, end);
            if (c.status != Utf8Character::Status::kValid || size_ == buffer_.size()) return false;
            buffer_[size_++] = c.value;
            p += c.size;
        }
        return true;
    }
    // transform(from, size, to, &room): as the functions of libunistring, which allocate when `to`
    // is too small.
    template <typename Transform>
    bool apply(Transform&& transform) {
        std::array<std::uint32_t, limits::kJidPartBytes> from = buffer_;
        std::size_t size = buffer_.size();
        std::uint32_t* const result = transform(from.data(), size_, buffer_.data(), &size);
        if (result == nullptr) return false;
        if (result != buffer_.data()) {
            std::free(result);
            return false;
        }
        size_ = size;
        return true;
    }
    [[nodiscard]] Characters view() const { return Characters(buffer_).first(size_); }
    [[nodiscard]] std::span<std::uint32_t> view() { return std::span(buffer_).first(size_); }

private:
    std::array<std::uint32_t, limits::kJidPartBytes> buffer_{};
    std::size_t size_ = 0;
};

bool in(std::uint32_t c, std::uint32_t first, std::uint32_t last) {
    return c >= first && c <= last;
}

bool is_script(std::uint32_t c, Bytes name) {
    const uc_script_t* script = uc_script(c);
    return script != nullptr && name == script->name;
}

bool is_general_category(std::uint32_t c, std::uint32_t mask) {
    return uc_is_general_category_withtable(c, mask);
}

// RFC 8264 9.17: NFKC changes it.
bool has_compatibility_form(std::uint32_t c) {
    std::array<std::uint32_t, 32> normal{};
    std::size_t size = normal.size();
    std::uint32_t* const result = u32_normalize(UNINORM_NFKC, &c, 1, normal.data(), &size);
    const bool same = result == normal.data() && size == 1 && normal[0] == c;
    if (result != normal.data()) std::free(result);
    return !same;
}

// RFC 5892, appendix A. `at` is one of those that the rules are about.
bool context_allows(Characters text, std::size_t at) {
    const std::uint32_t c = text[at];
    const std::uint32_t before = at > 0 ? text[at - 1] : 0;
    const std::uint32_t after = at + 1 < text.size() ? text[at + 1] : 0;
    switch (c) {
        case 0x200C:
        case 0x200D: return at > 0 && uc_combining_class(before) == UC_CCC_VR;
        case 0x00B7: return before == 'l' && after == 'l';
        case 0x0375: return is_script(after, "Greek");
        case 0x05F3:
        case 0x05F4: return is_script(before, "Hebrew");
        case 0x30FB:
            return std::ranges::any_of(text, [](std::uint32_t other) {
                return is_script(other, "Hiragana") || is_script(other, "Katakana") ||
                       is_script(other, "Han");
            });
        default: break;
    }
    const std::uint32_t other_digits = in(c, 0x660, 0x669) ? 0x6F0 : 0x660;
    return std::ranges::none_of(
        text, [&](std::uint32_t other) { return in(other, other_digits, other_digits + 9); });
}

bool is_contextual(std::uint32_t c) {
    return c == 0x200C || c == 0x200D || c == 0xB7 || c == 0x375 || c == 0x5F3 || c == 0x5F4 ||
           c == 0x30FB || in(c, 0x660, 0x669) || in(c, 0x6F0, 0x6F9);
}

// RFC 8264 section 8, in its order.
bool is_allowed(Characters text, std::size_t at, Class which) {
    const std::uint32_t c = text[at];
    if (c == 0xDF || c == 0x3C2 || c == 0x6FD || c == 0x6FE || c == 0xF0B || c == 0x3007)
        return true;
    if (c == 0x640 || c == 0x7FA || in(c, 0x302E, 0x302F) || in(c, 0x3031, 0x3035) || c == 0x303B)
        return false;
    if (is_contextual(c)) return context_allows(text, at);
    if (is_general_category(c, UC_CATEGORY_MASK_Cn)) return false;
    if (in(c, 0x21, 0x7E)) return true;
    if (in(c, 0x1100, 0x11FF) || in(c, 0xA960, 0xA97C) || in(c, 0xD7B0, 0xD7FB)) return false;
    if (uc_is_property_default_ignorable_code_point(c) || uc_is_property_not_a_character(c))
        return false;
    if (is_general_category(c, UC_CATEGORY_MASK_Cc)) return false;
    constexpr std::uint32_t kLetterDigits =
        UC_CATEGORY_MASK_Ll | UC_CATEGORY_MASK_Lu | UC_CATEGORY_MASK_Lo | UC_CATEGORY_MASK_Nd |
        UC_CATEGORY_MASK_Lm | UC_CATEGORY_MASK_Mn | UC_CATEGORY_MASK_Mc;
    if (which == Class::kFreeform) {
        return is_general_category(c, kLetterDigits | UC_CATEGORY_MASK_Lt | UC_CATEGORY_MASK_Nl |
                                          UC_CATEGORY_MASK_No | UC_CATEGORY_MASK_Me |
                                          UC_CATEGORY_MASK_Zs | UC_CATEGORY_MASK_S |
                                          UC_CATEGORY_MASK_P) ||
               has_compatibility_form(c);
    }
    return is_general_category(c, kLetterDigits) && !has_compatibility_form(c);
}

// RFC 5893 section 2, for a text that holds a character of R, AL or AN.
bool satisfies_bidi_rule(Characters text) {
    const auto category = [&](std::size_t i) { return uc_bidi_category(text[i]); };
    bool right_to_left = false;
    for (const std::uint32_t c : text) {
        const int direction = uc_bidi_category(c);
        right_to_left = right_to_left || direction == UC_BIDI_R || direction == UC_BIDI_AL ||
                        direction == UC_BIDI_AN;
    }
    if (!right_to_left) return true;
    const int first = category(0);
    const bool rtl = first == UC_BIDI_R || first == UC_BIDI_AL;
    if (!rtl && first != UC_BIDI_L) return false;
    bool european = false;
    bool arabic = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        switch (category(i)) {
            case UC_BIDI_R:
            case UC_BIDI_AL:
                if (!rtl) return false;
                break;
            case UC_BIDI_AN:
                if (!rtl) return false;
                arabic = true;
                break;
            case UC_BIDI_L:
                if (rtl) return false;
                break;
            case UC_BIDI_EN: european = true; break;
            case UC_BIDI_ES:
            case UC_BIDI_CS:
            case UC_BIDI_ET:
            case UC_BIDI_ON:
            case UC_BIDI_BN:
            case UC_BIDI_NSM: break;
            default: return false;
        }
    }
    if (rtl && european && arabic) return false;
    std::size_t last = text.size() - 1;
    while (last > 0 && category(last) == UC_BIDI_NSM) --last;
    const int end = category(last);
    if (end == UC_BIDI_EN) return true;
    return rtl ? end == UC_BIDI_R || end == UC_BIDI_AL || end == UC_BIDI_AN : end == UC_BIDI_L;
}

bool write_part(Characters text, Class which, Sink& sink) {
    if (text.empty()) return false;
    const std::size_t before = sink.size();
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (!is_allowed(text, i, which)) {
            sink.truncate(before);
            return false;
        }
        write_utf8(sink, text[i]);
    }
    return !sink.overflowed() && sink.size() - before <= limits::kJidPartBytes;
}

std::uint32_t width_mapped(std::uint32_t c) {
    int tag = 0;
    std::array<std::uint32_t, UC_DECOMPOSITION_MAX_LENGTH> decomposed{};
    const int size = uc_decomposition(c, &tag, decomposed.data());
    return size == 1 && (tag == UC_DECOMP_WIDE || tag == UC_DECOMP_NARROW) ? decomposed[0] : c;
}

}  // namespace

bool enforce_username_case_mapped(Bytes text, Sink& sink) {
    Part part;
    if (text.empty() || !part.decode(text)) return false;
    for (std::uint32_t& c : part.view()) c = width_mapped(c);
    const bool mapped = part.apply([](auto* from, auto size, auto* to, auto* room) {
        return u32_tolower(from, size, nullptr, UNINORM_NFC, to, room);
    });
    const Characters result = std::as_const(part).view();
    return mapped && !result.empty() && satisfies_bidi_rule(result) &&
           write_part(result, Class::kIdentifier, sink);
}

bool enforce_opaque_string(Bytes text, Sink& sink) {
    Part part;
    if (text.empty() || !part.decode(text)) return false;
    for (std::uint32_t& c : part.view()) {
        if (c >= 0x80 && is_general_category(c, UC_CATEGORY_MASK_Zs)) c = ' ';
    }
    const bool normal = part.apply([](auto* from, auto size, auto* to, auto* room) {
        return u32_normalize(UNINORM_NFC, from, size, to, room);
    });
    return normal && write_part(std::as_const(part).view(), Class::kFreeform, sink);
}

}  // namespace fedgate::xml
