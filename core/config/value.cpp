#include "core/config/value.hpp"

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <limits>

#include "core/config/address.hpp"
#include "core/config/cpu_set.hpp"
#include "core/config/domain.hpp"
#include "core/config/text.hpp"

namespace fedgate::config {
namespace {

struct Unit {
    std::string_view name;
    std::int64_t factor;
};
// Largest last: format_number() takes the largest that divides.
constexpr Unit kDurations[] = {{"us", 1'000},
                               {"ms", 1'000'000},
                               {"s", 1'000'000'000},
                               {"min", 60'000'000'000},
                               {"h", 3'600'000'000'000}};
constexpr Unit kSizes[] = {{"", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}};

// Digits and then a word.
bool split_number(std::string_view text, std::int64_t& number, std::string_view& word) {
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    word = trim(text.substr(static_cast<std::size_t>(stop - text.data())));
    return error == std::errc{} && stop != text.data();
}

bool scale(std::span<const Unit> units, std::string_view word, std::int64_t& number) {
    for (const Unit& unit : units) {
        if (unit.name == word) return !__builtin_mul_overflow(number, unit.factor, &number);
    }
    return false;
}

std::vector<std::string_view> words_of(std::string_view text, std::string_view separators) {
    std::vector<std::string_view> words;
    while (true) {
        const std::size_t start = text.find_first_not_of(separators);
        if (start == std::string_view::npos) return words;
        text.remove_prefix(start);
        const std::size_t end = std::min(text.find_first_of(separators), text.size());
        words.push_back(text.substr(0, end));
        text.remove_prefix(end);
    }
}

std::string join(const std::vector<std::string>& items, char separator) {
    std::string text;
    for (const std::string& item : items) {
        if (!text.empty()) text += separator;
        text += item;
    }
    return text;
}

bool refuse(const Key& key, std::string_view text, std::string_view expected, std::string& why) {
    why = in_quotes(text) + " is not " + std::string(expected);
    const std::string bounds = format_bounds(key);
    if (!bounds.empty()) why += "; allowed: " + bounds;
    // The commonest slip: sysctl knows comments on lines of their own only.
    if (text.contains(" #") || text.contains("\t#")) why += "; a comment needs a line of its own";
    return false;
}

bool in_bounds(const Key& key, std::int64_t number, std::string_view text, std::string& why) {
    if (number >= key.minimum && number <= key.maximum) return true;
    const bool low = number < key.minimum;
    why = in_quotes(text) + (low ? " is below the minimum " : " is above the maximum ") +
          format_number(key.type, low ? key.minimum : key.maximum) +
          "; allowed: " + format_bounds(key);
    return false;
}

bool parse_bool(const Key& key, std::string_view text, Value& value, std::string& why) {
    const std::string word = lower_ascii(text);
    const bool yes = word == "yes" || word == "on" || word == "true" || word == "1";
    const bool no = word == "no" || word == "off" || word == "false" || word == "0";
    if (!yes && !no) return refuse(key, text, "yes or no", why);
    value.number = yes;
    value.text = yes ? "yes" : "no";
    return true;
}

bool parse_number(const Key& key, std::string_view text, Value& value, std::string& why) {
    std::string_view word;
    bool good = split_number(text, value.number, word);
    std::string_view expected = "a whole number";
    if (key.type == Type::kDuration) {
        expected = "a duration like 500ms, 30s, 5min or 1h";
        good = good && scale(kDurations, word.empty() ? "s" : word, value.number);
    } else if (key.type == Type::kSize) {
        expected = "a size like 4096, 64KiB, 4MiB or 1GiB";
        good = good && scale(kSizes, word, value.number);
    } else {
        good = good && word.empty();
    }
    if (!good) return refuse(key, text, expected, why);
    if (!in_bounds(key, value.number, text, why)) return false;
    value.text = format_number(key.type, value.number);
    return true;
}

bool parse_rate(const Key& key, std::string_view text, Value& value, std::string& why) {
    if (lower_ascii(text) == "none") {
        value.text = "none";
        value.number = 0;
        value.per = std::chrono::seconds(1);
        return true;
    }
    const bool bytes = key.unit == "bytes";
    const std::string_view expected =
        bytes ? "a rate like 512KiB/s, 30MiB/min or none" : "a rate like 20/s, 60/min or none";
    const std::size_t slash = text.find('/');
    if (slash == std::string_view::npos) return refuse(key, text, expected, why);
    std::string_view word;
    const std::string_view per = trim(text.substr(slash + 1));
    std::int64_t ns = 1;
    if (!split_number(trim(text.substr(0, slash)), value.number, word) ||
        !(word.empty() || (bytes && scale(kSizes, word, value.number))) ||
        (per != "s" && per != "min" && per != "h") || !scale(kDurations, per, ns)) {
        return refuse(key, text, expected, why);
    }
    if (!in_bounds(key, value.number, text, why)) return false;
    value.per = Duration(ns);
    value.text =
        format_number(bytes ? Type::kSize : Type::kInteger, value.number) + "/" + std::string(per);
    return true;
}

bool parse_enum(const Key& key, std::string_view text, Value& value, std::string& why) {
    const auto choices = words_of(key.choices, " ");
    const auto found = std::ranges::find(choices, lower_ascii(text));
    if (found == choices.end()) return refuse(key, text, "one of the words", why);
    value.number = found - choices.begin();
    value.text = *found;
    return true;
}

bool parse_text(const Key& key, std::string_view text, Value& value, std::string& why) {
    const auto size = static_cast<std::int64_t>(text.size());
    if (size < key.minimum || size > key.maximum) {
        why = (text.empty() ? std::string("this must not be empty")
                            : in_quotes(text) + " is too long") +
              "; allowed: " + format_bounds(key);
        return false;
    }
    if (!is_text(text)) {
        why = in_quotes(text) + " has a control character or is not UTF-8";
        return false;
    }
    if (key.type == Type::kPath && !text.empty() && text.front() != '/') {
        return refuse(key, text, "an absolute path", why);
    }
    value.text = text;
    return true;
}

// Lower case without colons; empty: it is none.
std::string normalise_fingerprint(std::string_view text) {
    constexpr std::size_t kDigits = 64;
    std::string digits;
    for (const char c : lower_ascii(text)) {
        if (c == ':') continue;
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return {};
        digits += c;
    }
    return digits.size() == kDigits ? digits : std::string();
}

// One item of a list, or the only one: normalised, or empty with what it should have been.
std::string parse_item(const Key& key, std::string_view text, std::string_view& expected) {
    switch (key.type) {
        case Type::kEnumList: {
            expected = "one of the words";
            const std::string word = lower_ascii(text);
            const auto choices = words_of(key.choices, " ");
            return std::ranges::find(choices, word) != choices.end() ? word : "";
        }
        case Type::kDomain:
        case Type::kDomainList:
            expected = "a domain name";
            return normalise_domain(text).value_or("");
        case Type::kPatternList:
            expected = "a domain name, or *. and one";
            return normalise_pattern(text).value_or("");
        case Type::kDenyList: {
            expected = "a domain name or *. and one, with @2026-12-31T12:00:00Z if it ends";
            const auto denied = parse_denied(text);
            return denied ? format_denied(*denied) : "";
        }
        case Type::kHostPort:
        case Type::kHostPortList: {
            expected = "a host like server.example:5269";
            const auto host = parse_host_port(text);
            if (!host) return "";
            const std::string name = host->host.contains(':') ? "[" + host->host + "]" : host->host;
            return host->port == 0 ? name : name + ":" + std::to_string(host->port);
        }
        case Type::kAddress:
        case Type::kAddressList: {
            expected = "an address with a port like 127.0.0.1:5269 or [::]:5269";
            const auto address = parse_address(text);
            return address ? address->text : "";
        }
        case Type::kPathList:
            expected = "an absolute path";
            return text.starts_with('/') && is_text(text) ? std::string(text) : "";
        case Type::kFingerprintList:
            expected = "a SHA-256 fingerprint, 64 hexadecimal digits with or without colons";
            return normalise_fingerprint(text);
        case Type::kNetworkList:
            expected = "an address or network like 10.0.0.0/8 or ::1";
            return parse_network(text) ? lower_ascii(text) : "";
        case Type::kSipListenList: {
            expected = "a SIP listener like udp:127.0.0.1:5060 or tls:[::]:5061";
            const auto listen = parse_sip_listen(text);
            return listen ? std::string(name_of(listen->transport)) + ":" + listen->address.text
                          : "";
        }
        case Type::kSipUriList:
            expected = "a next hop like sip:pool.example or sip:192.0.2.1:5060;transport=tcp";
            return parse_sip_target(text) ? lower_ascii(text) : "";
        default: return "";
    }
}

bool parse_list(const Key& key, std::string_view text, Value& value, std::string& why) {
    const bool enumeration = key.type == Type::kEnumList;
    const auto words = words_of(text, enumeration ? " \t," : " \t");
    if (static_cast<std::int64_t>(words.size()) > key.maximum) {
        why = "too many values; allowed: " + format_bounds(key);
        return false;
    }
    if (static_cast<std::int64_t>(words.size()) < key.minimum) {
        why = "this must not be empty; allowed: " + format_bounds(key);
        return false;
    }
    value.items.clear();
    for (const std::string_view word : words) {
        std::string_view expected;
        std::string item = parse_item(key, word, expected);
        if (item.empty()) return refuse(key, word, expected, why);
        if (std::ranges::find(value.items, item) != value.items.end()) {
            why = in_quotes(word) + " is there twice";
            return false;
        }
        value.items.push_back(std::move(item));
    }
    value.text = join(value.items, enumeration ? ',' : ' ');
    return true;
}

bool parse_cpus(const Key& key, std::string_view text, Value& value, std::string& why) {
    const auto set = parse_cpu_set(text);
    if (!set) return refuse(key, text, "a set of CPUs like 2 or 0-3,8", why);
    value.text = format_cpu_set(*set);
    return true;
}

}  // namespace

std::string format_number(Type type, std::int64_t number) {
    if (type == Type::kSize) {
        const Unit* best = &kSizes[0];
        for (const Unit& unit : kSizes) {
            if (number != 0 && number % unit.factor == 0) best = &unit;
        }
        return std::to_string(number / best->factor) + std::string(best->name);
    }
    if (type == Type::kDuration) {
        const Unit* best = number == 0 ? &kDurations[2] : &kDurations[0];
        for (const Unit& unit : kDurations) {
            // 600s, not 10min: the values that people compare with documents are in seconds.
            if (number != 0 && number % unit.factor == 0 && unit.name != "min") best = &unit;
        }
        return std::to_string(number / best->factor) + std::string(best->name);
    }
    return std::to_string(number);
}

std::string format_bounds(const Key& key) {
    switch (key.type) {
        case Type::kBool: return "yes or no";
        case Type::kEnum:
        case Type::kEnumList: return std::string(key.choices);
        case Type::kInteger:
            return format_number(key.type, key.minimum) + " to " +
                   format_number(key.type, key.maximum) + " " + std::string(key.unit);
        case Type::kDuration:
        case Type::kSize:
            return format_number(key.type, key.minimum) + " to " +
                   format_number(key.type, key.maximum);
        case Type::kCpuSet:
            return std::to_string(key.minimum) + " to " + std::to_string(key.maximum) +
                   ", each or from-to, commas between";
        case Type::kRate: {
            const Type type = key.unit == "bytes" ? Type::kSize : Type::kInteger;
            return format_number(type, key.minimum) + " to " + format_number(type, key.maximum) +
                   " " + std::string(key.unit) + " /s /min /h, or none";
        }
        case Type::kString:
        case Type::kPath:
            return (key.minimum > 0 ? std::to_string(key.minimum) + " to " : "at most ") +
                   std::to_string(key.maximum) + " bytes";
        default:
            return key.maximum == 1
                       ? "one " + std::string(key.unit)
                       : (key.minimum > 0 ? std::to_string(key.minimum) + " to " : "at most ") +
                             std::to_string(key.maximum) + " " + std::string(key.unit) +
                             ", blanks between";
    }
}

bool parse_value(const Key& key, std::string_view text, Value& value, std::string& why) {
    text = trim(text);
    switch (key.type) {
        case Type::kBool: return parse_bool(key, text, value, why);
        case Type::kInteger:
        case Type::kDuration:
        case Type::kSize: return parse_number(key, text, value, why);
        case Type::kRate: return parse_rate(key, text, value, why);
        case Type::kEnum: return parse_enum(key, text, value, why);
        case Type::kString:
        case Type::kPath: return parse_text(key, text, value, why);
        case Type::kCpuSet: return parse_cpus(key, text, value, why);
        default: return parse_list(key, text, value, why);
    }
}

}  // namespace fedgate::config
