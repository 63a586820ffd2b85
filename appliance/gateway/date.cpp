#include "appliance/gateway/date.hpp"

#include <iterator>

namespace fedgate::gateway {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr Bytes kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr Bytes kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                             "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

// Exactly `digits` digits off the front; -1 when they are not there.
int take_digits(Bytes& text, std::size_t digits) {
    if (text.size() < digits) return -1;
    int value = 0;
    for (std::size_t i = 0; i < digits; ++i) {
        if (text[i] < '0' || text[i] > '9') return -1;
        value = value * 10 + (text[i] - '0');
    }
    text.remove_prefix(digits);
    return value;
}

bool take(Bytes& text, Bytes expected) {
    if (!text.starts_with(expected)) return false;
    text.remove_prefix(expected.size());
    return true;
}

struct Fields {
    int year = -1, month = -1, day = -1, hour = -1, minute = -1, second = -1;
};

std::optional<WallTime> join(const Fields& f) {
    if (f.year < 1 || f.month < 1 || f.day < 1 || f.hour < 0 || f.hour > 23 || f.minute < 0 ||
        f.minute > 59 || f.second < 0 || f.second > 60) {
        return std::nullopt;
    }
    const std::chrono::year_month_day date{std::chrono::year(f.year),
                                           std::chrono::month(static_cast<unsigned>(f.month)),
                                           std::chrono::day(static_cast<unsigned>(f.day))};
    if (!date.ok()) return std::nullopt;
    return std::chrono::sys_days(date) + hours(f.hour) + minutes(f.minute) + seconds(f.second);
}

bool take_clock(Bytes& text, Fields& fields) {
    fields.hour = take_digits(text, 2);
    if (!take(text, ":")) return false;
    fields.minute = take_digits(text, 2);
    if (!take(text, ":")) return false;
    fields.second = take_digits(text, 2);
    return fields.second >= 0;
}

void append_padded(int value, int digits, Sink& sink) {
    int scale = 1;
    for (int i = 1; i < digits; ++i) scale *= 10;
    for (; scale > 0; scale /= 10) sink.append(static_cast<char>('0' + value / scale % 10));
}

struct Split {
    std::chrono::year_month_day date;
    unsigned weekday;
    int hour, minute, second;
};

Split split(WallTime time) {
    const auto day = std::chrono::floor<days>(time);
    const auto of_day = (time - day).count();
    return {std::chrono::year_month_day(day), std::chrono::weekday(day).c_encoding(),
            static_cast<int>(of_day / 3600), static_cast<int>(of_day / 60 % 60),
            static_cast<int>(of_day % 60)};
}

void append_clock(const Split& s, Sink& sink) {
    append_padded(s.hour, 2, sink);
    sink.append(':');
    append_padded(s.minute, 2, sink);
    sink.append(':');
    append_padded(s.second, 2, sink);
}

}  // namespace

std::optional<WallTime> parse_sip_date(Bytes text) {
    Fields fields;
    const std::size_t comma = text.find(", ");
    if (comma != 3) return std::nullopt;
    text.remove_prefix(comma + 2);
    fields.day = take_digits(text, 2);
    if (!take(text, " ") || text.size() < 3) return std::nullopt;
    for (std::size_t i = 0; i < std::size(kMonths); ++i) {
        if (text.starts_with(kMonths[i])) fields.month = static_cast<int>(i) + 1;
    }
    text.remove_prefix(3);
    if (!take(text, " ")) return std::nullopt;
    fields.year = take_digits(text, 4);
    if (!take(text, " ") || !take_clock(text, fields) || text != " GMT") return std::nullopt;
    return join(fields);
}

void write_sip_date(WallTime time, Sink& sink) {
    const Split s = split(time);
    sink.append(kDays[s.weekday]);
    sink.append(", ");
    append_padded(static_cast<int>(unsigned{s.date.day()}), 2, sink);
    sink.append(' ');
    sink.append(kMonths[unsigned{s.date.month()} - 1]);
    sink.append(' ');
    append_padded(int{s.date.year()}, 4, sink);
    sink.append(' ');
    append_clock(s, sink);
    sink.append(" GMT");
}

std::optional<WallTime> parse_iso_date(Bytes text) {
    Fields fields;
    fields.year = take_digits(text, 4);
    if (!take(text, "-")) return std::nullopt;
    fields.month = take_digits(text, 2);
    if (!take(text, "-")) return std::nullopt;
    fields.day = take_digits(text, 2);
    if (!take(text, "T") || !take_clock(text, fields)) return std::nullopt;
    if (take(text, ".")) {
        while (!text.empty() && text[0] >= '0' && text[0] <= '9') text.remove_prefix(1);
    }
    const auto time = join(fields);
    if (!time || text == "Z") return time;
    if (text.empty() || (text[0] != '+' && text[0] != '-')) return std::nullopt;
    const int sign = text[0] == '+' ? 1 : -1;
    text.remove_prefix(1);
    const int hour = take_digits(text, 2);
    if (!take(text, ":")) return std::nullopt;
    const int minute = take_digits(text, 2);
    if (hour < 0 || hour > 14 || minute < 0 || minute > 59 || !text.empty()) return std::nullopt;
    return *time - sign * (hours(hour) + minutes(minute));
}

void write_iso_date(WallTime time, Sink& sink) {
    const Split s = split(time);
    append_padded(int{s.date.year()}, 4, sink);
    sink.append('-');
    append_padded(static_cast<int>(unsigned{s.date.month()}), 2, sink);
    sink.append('-');
    append_padded(static_cast<int>(unsigned{s.date.day()}), 2, sink);
    sink.append('T');
    append_clock(s, sink);
    sink.append('Z');
}

}  // namespace fedgate::gateway
