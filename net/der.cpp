#include "net/der.hpp"

#include <chrono>
#include <utility>

namespace fedgate::net {

bool Der::next(unsigned char& tag, Bytes& content, Bytes& whole) {
    if (rest_.size() < 2) return false;
    tag = byte(0);
    if ((tag & 0x1f) == 0x1f) return false;
    std::size_t length = byte(1);
    std::size_t header = 2;
    if (length >= 0x80) {
        const std::size_t count = length & 0x7f;
        if (count == 0 || count > 4 || rest_.size() < 2 + count) return false;
        length = 0;
        for (std::size_t i = 0; i < count; ++i) length = (length << 8) | byte(2 + i);
        if (length < 0x80 || byte(2) == 0) return false;
        header += count;
    }
    if (length > rest_.size() - header) return false;
    whole = rest_.substr(0, header + length);
    content = whole.substr(header);
    rest_.remove_prefix(header + length);
    return true;
}

bool Der::take(unsigned char wanted, Bytes& content, Bytes* whole) {
    if (!next_is(wanted)) return false;
    unsigned char tag = 0;
    Bytes all;
    if (!next(tag, content, all)) return false;
    if (whole != nullptr) *whole = all;
    return true;
}

bool Der::take_optional(unsigned char wanted, Bytes& content, bool& there) {
    there = next_is(wanted);
    return !there || take(wanted, content);
}

bool take_only(Bytes bytes, unsigned char tag, Bytes& content) {
    Der outer(bytes);
    return outer.take(tag, content) && outer.at_end();
}

bool take_time(Der& from, WallTime& time) {
    const bool short_year = from.next_is(der::kUtcTime);
    Bytes text;
    if (!from.take(short_year ? der::kUtcTime : der::kGeneralizedTime, text)) return false;
    const std::size_t year_digits = short_year ? 2 : 4;
    if (text.size() != year_digits + 11 || text.back() != 'Z') return false;
    for (char c : text.substr(0, text.size() - 1)) {
        if (c < '0' || c > '9') return false;
    }
    const auto number = [&text](std::size_t at, std::size_t count) {
        int value = 0;
        for (std::size_t i = 0; i < count; ++i) value = value * 10 + (text[at + i] - '0');
        return value;
    };
    int year = number(0, year_digits);
    if (short_year) year += year < 50 ? 2000 : 1900;
    const std::size_t at = year_digits;
    using namespace std::chrono;
    const year_month_day day{std::chrono::year(year), month(static_cast<unsigned>(number(at, 2))),
                             std::chrono::day(static_cast<unsigned>(number(at + 2, 2)))};
    const int hour = number(at + 4, 2);
    const int minute = number(at + 6, 2);
    const int second = number(at + 8, 2);
    if (!day.ok() || hour > 23 || minute > 59 || second > 59) return false;
    time = sys_days(day) + hours(hour) + minutes(minute) + seconds(second);
    return true;
}

bool take_extension(Der& from, Extension& out) {
    Bytes content, flag;
    out = {};
    if (!from.take(der::kSequence, content)) return false;
    Der parts(content);
    if (!parts.take(der::kObject, out.object)) return false;
    if (parts.next_is(der::kBoolean)) {
        if (!parts.take(der::kBoolean, flag) || flag.size() != 1) return false;
        out.critical = flag[0] != 0;
    }
    return parts.take(der::kOctetString, out.value) && parts.at_end();
}

std::string readable_name(Bytes name) {
    std::string found;
    Bytes list, set, pair, object;
    Der outer(name);
    if (!outer.take(der::kSequence, list)) return found;
    for (Der sets(list); !sets.at_end();) {
        if (!sets.take(der::kSet, set)) return found;
        Der pairs(set);
        if (!pairs.take(der::kSequence, pair)) return found;
        Der parts(pair);
        unsigned char tag = 0;
        Bytes text, whole;
        if (!parts.take(der::kObject, object) || !parts.next(tag, text, whole)) return found;
        if (tag != der::kUtf8String && tag != der::kPrintableString && tag != der::kIa5String)
            continue;
        const bool is_common_name = object == Bytes("\x55\x04\x03", 3);
        if (!is_common_name && !(found.empty() && object == Bytes("\x55\x04\x0a", 3))) continue;
        found.assign(text.substr(0, 128));
    }
    for (char& c : found) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    }
    return found;
}

std::string whole_name(Bytes name) {
    constexpr std::pair<char, const char*> kKinds[] = {{0x03, "CN"}, {0x06, "C"}, {0x07, "L"},
                                                       {0x08, "ST"}, {0x0a, "O"}, {0x0b, "OU"}};
    std::string found;
    Bytes list, set, pair, object;
    Der outer(name);
    if (!outer.take(der::kSequence, list)) return found;
    for (Der sets(list); !sets.at_end();) {
        if (!sets.take(der::kSet, set) || !Der(set).take(der::kSequence, pair)) return found;
        Der parts(pair);
        unsigned char tag = 0;
        Bytes text, whole;
        if (!parts.take(der::kObject, object) || !parts.next(tag, text, whole)) return found;
        if (object.size() != 3 || !object.starts_with("\x55\x04")) continue;
        for (const auto& [kind, label] : kKinds) {
            if (object[2] != kind) continue;
            found += (found.empty() ? "" : ", ") + std::string(label) + "=";
            found += text.substr(0, 128);
        }
    }
    for (char& c : found) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    }
    return found;
}

}  // namespace fedgate::net
