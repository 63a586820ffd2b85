// One typed value: text in, checked against its key, canonical text and number out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/time.hpp"
#include "core/config/key.hpp"

namespace fedgate::config {

// `count` events in each `per`. none(): no bound.
struct Rate {
    std::uint64_t count = 0;
    Duration per = std::chrono::seconds(1);

    [[nodiscard]] bool none() const { return count == 0; }
    // As TokenBucket takes it: 0 is no limit.
    [[nodiscard]] double per_second() const {
        return static_cast<double>(count) / std::chrono::duration<double>(per).count();
    }
    friend bool operator==(const Rate&, const Rate&) = default;
};

struct Value {
    std::string text;         // canonical: reading it again gives the same value
    std::int64_t number = 0;  // bool, integer, ns, bytes, index into choices, count of a rate
    Duration per{};           // kRate
    std::vector<std::string> items;  // lists, normalised
};

// False: `why` says what is wrong, with bounds and unit.
[[nodiscard]] bool parse_value(const Key&, std::string_view text, Value&, std::string& why);

// `number` of the key's type as one would type it: `60s`, `256KiB`.
[[nodiscard]] std::string format_number(Type, std::int64_t number);
// "1 to 100000 connections", or empty where there is nothing to say.
[[nodiscard]] std::string format_bounds(const Key&);

}  // namespace fedgate::config
