#include "xml/jid.hpp"

#include <algorithm>
#include <cstring>
#include <idn2.h>

#ifdef __SSSE3__
#include <tmmintrin.h>
#endif

#include "core/base/byte_mask.hpp"
#include "xml/precis.hpp"
#include "xml/scan.hpp"

namespace fedgate::xml {
namespace {

// RFC 7622 3.3.1: what a local part may not hold, though PRECIS allows it.
constexpr Bytes kForbiddenInLocal = "\"&'/:<>@";
// XEP-0106: these and the backslash are escaped.
constexpr Bytes kEscaped = " \"&'/:<>@";
constexpr std::size_t kLabelBytes = 63;
constexpr std::size_t kDomainBytes = 253;

Bytes between(const char* begin, const char* end) {
    return {begin, static_cast<std::size_t>(end - begin)};
}

// How a part relates to its enforced form.
enum class Form : std::uint8_t { kEnforced, kUpperCase, kBeyondAscii, kRefused };

struct Bits {
    static constexpr std::uint8_t kLocal = 1, kDomain = 2, kResource = 4, kUpper = 8;
};
constexpr std::array<std::uint8_t, 128> kAscii = [] {
    std::array<std::uint8_t, 128> table{};
    for (std::size_t c = 0x20; c < 0x7F; ++c) {
        const char character = static_cast<char>(c);
        table[c] = Bits::kResource;
        if (c != ' ' && kForbiddenInLocal.find(character) == Bytes::npos) table[c] |= Bits::kLocal;
        const bool upper = c >= 'A' && c <= 'Z';
        if (upper) table[c] |= Bits::kUpper;
        if (upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.') {
            table[c] |= Bits::kDomain;
        }
    }
    return table;
}();

#ifdef __SSSE3__
// Bit h of entry l is set when the byte 0xhl has one of the bits.
template <std::uint8_t kBits>
constexpr std::array<std::uint8_t, 16> kNibbles = [] {
    std::array<std::uint8_t, 16> rows{};
    for (std::size_t c = 0; c < kAscii.size(); ++c) {
        if ((kAscii[c] & kBits) != 0)
            rows[c & 15] = static_cast<std::uint8_t>(rows[c & 15] | 1u << (c >> 4));
    }
    return rows;
}();
constexpr const std::array<std::uint8_t, 16>& nibbles_of(std::uint8_t bits) {
    return bits == Bits::kLocal    ? kNibbles<Bits::kLocal>
           : bits == Bits::kDomain ? kNibbles<Bits::kDomain>
                                   : kNibbles<Bits::kResource>;
}

// Sixteen bytes that are all allowed ASCII, and lower case but for resources.
bool is_plain(const char* text, std::uint8_t allowed) {
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text));
    const __m128i bits = _mm_setr_epi8(1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m128i rows =
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(nibbles_of(allowed).data()));
    // A byte from 0x80 on picks 0 in the first look-up.
    const __m128i row = _mm_shuffle_epi8(rows, block);
    const __m128i bit =
        _mm_shuffle_epi8(bits, _mm_and_si128(_mm_srli_epi16(block, 4), _mm_set1_epi8(15)));
    __m128i out = _mm_cmpeq_epi8(_mm_and_si128(row, bit), _mm_setzero_si128());
    if (allowed != Bits::kResource) {
        const __m128i from_a = _mm_sub_epi8(block, _mm_set1_epi8('A'));
        out = _mm_or_si128(out, _mm_cmpeq_epi8(_mm_min_epu8(from_a, _mm_set1_epi8(25)), from_a));
    }
    return _mm_movemask_epi8(out) == 0;
}
#endif

Form look_at(Bytes part, std::uint8_t allowed) {
    if (part.empty() || part.size() > limits::kJidPartBytes) return Form::kRefused;
#ifdef __SSSE3__
    if (part.size() >= 16) {  // nearly always plain; else the table says what is wrong
        std::size_t i = 0;
        while (i + 16 <= part.size() && is_plain(part.data() + i, allowed)) i += 16;
        if (i + 16 > part.size() && is_plain(part.data() + part.size() - 16, allowed))
            return Form::kEnforced;
    } else {
        char padded[16];
        std::memset(padded, 'a', sizeof padded);
        std::memcpy(padded, part.data(), part.size());
        if (is_plain(padded, allowed)) return Form::kEnforced;
    }
#endif
    std::uint8_t all = 0xFF;
    std::uint8_t any = 0;
    for (const char c : part) {
        if (c < 0) return Form::kBeyondAscii;
        const std::uint8_t bits = kAscii[static_cast<std::size_t>(c)];
        all &= bits;
        any |= bits;
    }
    if ((all & allowed) == 0) return Form::kRefused;
    return (any & Bits::kUpper) != 0 && allowed != Bits::kResource ? Form::kUpperCase
                                                                   : Form::kEnforced;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

bool write(Bytes text, Sink& sink) {
    sink.append(text);
    return !sink.overflowed();
}

bool write_lower(Bytes text, Sink& sink) {
    for (const char c : text) sink.append(lower(c));
    return !sink.overflowed();
}

// LDH labels (RFC 5890 2.3.1), of a domain that has only their characters. `idn`: one is an
// A-label.
bool has_good_labels(Bytes domain, bool& idn) {
    if (domain.size() > kDomainBytes) return false;
    if (!domain.empty() && domain.size() <= kLabelBytes) {
        const std::uint64_t dots = byte_mask(domain, '.');
        const std::uint64_t dashes = byte_mask(domain, '-');
        const std::uint64_t begins = dots << 1 | 1;  // of labels
        const std::uint64_t ends = dots >> 1 | std::uint64_t{1} << (domain.size() - 1);
        if ((begins & (dots | dashes)) != 0 || (ends & (dots | dashes)) != 0) return false;
        if ((begins << 2 & dashes & dashes >> 1) == 0) return true;  // no "??--"
    }
    for (std::size_t begin = 0;;) {
        const std::size_t dot = std::min(domain.find('.', begin), domain.size());
        const Bytes label = domain.substr(begin, dot - begin);
        if (label.empty() || label.size() > kLabelBytes || label.front() == '-' ||
            label.back() == '-') {
            return false;
        }
        idn = idn || (label.size() > 4 && lower(label[0]) == 'x' && lower(label[1]) == 'n' &&
                      label[2] == '-' && label[3] == '-');
        if (dot == domain.size()) return true;
        begin = dot + 1;
    }
}

Bytes without_root_dot(Bytes domain) {
    if (domain.size() > 1 && domain.ends_with('.')) domain.remove_suffix(1);
    return domain;
}

// RFC 3986 IP-literal of IPv6.
bool is_ip_literal(Bytes domain) {
    return domain.size() > 3 && domain.front() == '[' && domain.back() == ']' &&
           domain.substr(1, domain.size() - 2).find_first_not_of("0123456789abcdefABCDEF:.") ==
               Bytes::npos &&
           domain.find(':') != Bytes::npos;
}

// ADDR-2, ADDR-5: IDNA2008 with the mappings of UTS 46, and U-labels back if asked for.
bool write_idn(Bytes domain, bool unicode, Sink& sink) {
    std::array<char, limits::kJidPartBytes + 1> text{};
    if (domain.size() >= text.size() || domain.find('\0') != Bytes::npos) return false;
    std::memcpy(text.data(), domain.data(), domain.size());
    char* ascii = nullptr;
    char* loose = nullptr;
    constexpr int kFlags = IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL;
    char* result = nullptr;
    bool idn = false;
    // Where these rules forbid what a character is mapped to (full-width / and @), libidn2 leaves
    // it out instead of refusing it: the difference shows it.
    bool done =
        idn2_to_ascii_8z(text.data(), &ascii, kFlags | IDN2_USE_STD3_ASCII_RULES) == IDN2_OK &&
        idn2_to_ascii_8z(text.data(), &loose, kFlags) == IDN2_OK && Bytes(ascii) == loose &&
        has_good_labels(ascii, idn);
    if (done && unicode)
        done = idn2_to_unicode_8z8z(ascii, &result, IDN2_NONTRANSITIONAL) == IDN2_OK;
    const Bytes out = done ? Bytes(unicode ? result : ascii) : Bytes();
    done = done && !out.empty() && out.size() <= limits::kJidPartBytes;
    if (done) sink.append(out);
    idn2_free(result);
    idn2_free(loose);
    idn2_free(ascii);
    return done && !sink.overflowed();
}

bool write_domain(Bytes domain, bool unicode, Sink& sink) {
    domain = without_root_dot(domain);
    if (is_ip_literal(domain)) return write_lower(domain, sink);
    const Form form = look_at(domain, Bits::kDomain);
    if (form == Form::kRefused) return false;
    bool idn = form == Form::kBeyondAscii;
    if (!idn && !has_good_labels(domain, idn)) return false;
    if (idn) return write_idn(domain, unicode, sink);
    return form == Form::kUpperCase ? write_lower(domain, sink) : write(domain, sink);
}

bool refused_in_local(Bytes enforced) {
    return enforced.find_first_of(kForbiddenInLocal) != Bytes::npos;
}

// The two digits after a backslash, as the character that they escape; 0: none.
char escaped_character(Bytes digits) {
    struct Pair {
        Bytes digits;
        char character;
    };
    constexpr Pair kPairs[] = {{"20", ' '}, {"22", '"'}, {"26", '&'}, {"27", '\''}, {"2f", '/'},
                               {"3a", ':'}, {"3c", '<'}, {"3e", '>'}, {"40", '@'},  {"5c", '\\'}};
    for (const Pair& pair : kPairs) {
        if (digits.starts_with(pair.digits)) return pair.character;
    }
    return 0;
}

// The enforced part: `part` itself where it is that already, else appended to the sink.
template <typename Enforce>
std::optional<Bytes> enforced(Bytes part, bool is_enforced, Enforce&& enforce, Sink& sink) {
    if (is_enforced) return part;
    const std::size_t before = sink.size();
    if (!enforce(part, sink)) return std::nullopt;
    return sink.written().substr(before);
}

bool is_enforced_domain(Bytes domain) {
    bool idn = false;
    return look_at(domain, Bits::kDomain) == Form::kEnforced && has_good_labels(domain, idn) &&
           !idn;
}

}  // namespace

std::optional<Jid> split_jid(Bytes text) {
    Jid jid;
    const char* const end = text.data() + text.size();
    const char* domain = text.data();
    const char* slash = find_any<'@', '/'>(domain, end);
    if (slash != end && *slash == '@') {
        jid.local = between(domain, slash);
        if (jid.local.empty()) return std::nullopt;
        domain = slash + 1;
        slash = find_any<'/'>(domain, end);
    }
    jid.domain = between(domain, slash);
    if (jid.domain.empty()) return std::nullopt;
    if (slash != end) {
        jid.resource = between(slash + 1, end);
        if (jid.resource.empty()) return std::nullopt;
    }
    if (std::max({jid.local.size(), jid.domain.size(), jid.resource.size()}) >
        limits::kJidPartBytes) {
        return std::nullopt;
    }
    return jid;
}

std::optional<Jid> parse_jid(Bytes text, Sink& sink) {
    std::optional<Jid> jid = split_jid(text);
    if (!jid) return jid;
    const auto take = [&](Bytes& part, bool is_enforced, bool (*enforce)(Bytes, Sink&)) {
        const auto result = enforced(part, is_enforced, enforce, sink);
        if (result) part = *result;
        return result.has_value();
    };
    const bool good =
        (jid->local.empty() ||
         take(jid->local, look_at(jid->local, Bits::kLocal) == Form::kEnforced, enforce_local)) &&
        take(jid->domain, is_enforced_domain(jid->domain), enforce_domain) &&
        (jid->resource.empty() ||
         take(jid->resource, look_at(jid->resource, Bits::kResource) == Form::kEnforced,
              enforce_resource));
    return good ? jid : std::nullopt;
}

void write_jid(Sink& sink, const Jid& jid) {
    if (!jid.local.empty()) {
        sink.append(jid.local);
        sink.append('@');
    }
    sink.append(jid.domain);
    if (!jid.resource.empty()) {
        sink.append('/');
        sink.append(jid.resource);
    }
}

bool enforce_local(Bytes local, Sink& sink) {
    switch (look_at(local, Bits::kLocal)) {
        case Form::kRefused: return false;
        case Form::kEnforced: return write(local, sink);
        case Form::kUpperCase: return write_lower(local, sink);
        case Form::kBeyondAscii: break;
    }
    const std::size_t before = sink.size();
    if (!enforce_username_case_mapped(local, sink)) return false;
    // Width mapping makes ASCII of full-width forms, so look afterwards.
    if (!refused_in_local(sink.written().substr(before))) return true;
    sink.truncate(before);
    return false;
}

bool enforce_domain(Bytes domain, Sink& sink) { return write_domain(domain, true, sink); }
bool domain_to_unicode(Bytes domain, Sink& sink) { return write_domain(domain, true, sink); }
bool domain_to_ascii(Bytes domain, Sink& sink) { return write_domain(domain, false, sink); }
Bytes wire_domain(Bytes domain, DomainBuffer& memory) {
    if (domain.find("xn--") == Bytes::npos) return domain;
    Sink sink(memory);
    return domain_to_unicode(domain, sink) ? sink.written() : domain;
}

bool enforce_resource(Bytes resource, Sink& sink) {
    switch (look_at(resource, Bits::kResource)) {
        case Form::kRefused: return false;
        case Form::kBeyondAscii: return enforce_opaque_string(resource, sink);
        case Form::kEnforced:
        case Form::kUpperCase: break;
    }
    return write(resource, sink);
}

void unescape_local(Bytes local, Sink& sink) {
    while (!local.empty()) {
        const std::size_t backslash = std::min(local.find('\\'), local.size());
        sink.append(local.substr(0, backslash));
        local.remove_prefix(backslash);
        if (local.empty()) return;
        const char character = escaped_character(local.substr(1));
        sink.append(character != 0 ? character : '\\');
        local.remove_prefix(character != 0 ? 3 : 1);
    }
}

bool escape_local(Bytes text, Sink& sink) {
    if (text.starts_with(' ') || text.ends_with(' ')) return false;
    constexpr Bytes kDigits = "0123456789abcdef";
    const auto write = [&](char c) {
        sink.append('\\');
        sink.append(kDigits[static_cast<std::size_t>(c) >> 4]);
        sink.append(kDigits[static_cast<std::size_t>(c) & 15]);
    };
    while (!text.empty()) {
        const char c = text.front();
        text.remove_prefix(1);
        // ADDR-24: a backslash only where it would be read as an escape; ADDR-25: the others
        // always.
        if (c == '\\' ? escaped_character(text) != 0 : kEscaped.find(c) != Bytes::npos) {
            write(c);
        } else {
            sink.append(c);
        }
    }
    return !sink.overflowed();
}

bool is_canonical_local(Bytes local) {
    if (local.find('\\') == Bytes::npos) return true;
    std::array<char, limits::kJidPartBytes> plain;
    std::array<char, limits::kJidPartBytes> again;
    Sink unescaped{MutableBytes(plain)};
    unescape_local(local, unescaped);
    Sink escaped{MutableBytes(again)};
    return !unescaped.overflowed() && escape_local(unescaped.written(), escaped) &&
           escaped.written() == local;
}

}  // namespace fedgate::xml
