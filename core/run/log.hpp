// The log of one shard: events of the catalogue (core/base/event.hpp) with key=value fields, into a
// bounded ring that the control thread drains. Never message bodies; addresses are the caller's to
// mask. event() does not allocate, and limits the rate of each event by itself: an attacker can't
// fill a disk.
#pragma once

#include <array>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/base/bytes.hpp"
#include "core/base/event.hpp"
#include "core/base/limits.hpp"
#include "core/base/time.hpp"
#include "core/run/inbox.hpp"

namespace fedgate {

class Loop;

// One key=value. The key is a literal; the value is copied by event().
struct LogField {
    LogField(Bytes name, Bytes value) : key(name), text(value) {}
    LogField(Bytes name, const char* value) : key(name), text(value) {}
    LogField(Bytes name, const std::string& value) : key(name), text(value) {}
    LogField(Bytes name, bool value) : key(name), text(value ? "yes" : "no") {}
    template <std::integral T>
        requires(!std::same_as<T, bool>)
    LogField(Bytes name, T value)
        : key(name), number(static_cast<std::int64_t>(value)), is_number(true) {}

    Bytes key;
    Bytes text{};
    std::int64_t number = 0;
    bool is_number = false;
};

// One event as the control thread reads it.
struct LogRecord {
    WallTime time{};
    EventId id{};
    int shard = -1;               // none
    std::uint32_t held_back = 0;  // of this event, since it last passed
    std::string fields;           // ` key=value key="a value"`, printable ASCII
};

// As a line of text, with its end.
[[nodiscard]] std::string line_of(const LogRecord&, Language);
// Without their quotes; what was not printable stays \xNN.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> fields_of(const LogRecord&);

// Thread: event() by the one that owns it; drain(), dropped() and set_level() by the control
// thread.
class Log {
public:
    // `shard`: a number for the line, or -1: none (the control thread's own log).
    explicit Log(int shard, std::size_t bytes_max = limits::kLogBytes);

    // Where the time comes from. Without one (the control thread) it is the system's clock.
    void set_clock(const Loop* loop) { loop_ = loop; }

    void event(EventId, std::initializer_list<LogField> fields = {});

    // Nothing less severe is logged.
    void set_level(Severity level) { level_.store(level, std::memory_order_relaxed); }
    // Lines that found no room in the ring, so far.
    [[nodiscard]] std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }
    // Appends what is waiting.
    void drain(std::vector<LogRecord>&);
    // The same as lines of text: time, level, id, shard, event sentence, fields.
    void drain(std::string& lines);

private:
    // What may pass of one event, and what was held back since it last passed.
    struct Budget {
        Instant start{};
        std::uint32_t used = 0;
        std::uint32_t held_back = 0;
    };
    [[nodiscard]] Instant now() const;
    [[nodiscard]] WallTime wall_now() const;

    Mailbox ring_;
    const Loop* loop_ = nullptr;
    int shard_;
    std::array<Budget, kEventCount> budgets_{};
    std::atomic<Severity> level_{Severity::kInfo};
    std::atomic<std::uint64_t> dropped_{0};
    std::uint64_t told_dropped_ = 0;  // control thread's
};

}  // namespace fedgate
