#include "core/run/log.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "core/run/loop.hpp"

namespace fedgate {
namespace {

// What stands before the fields of a record in the ring.
struct Prefix {
    std::int64_t seconds;
    std::uint32_t held_back;
};

bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           Bytes("._-:/@+*[],;%").find(c) != Bytes::npos;
}

// Peers choose many of these values: nothing but printable ASCII reaches the journal or a terminal.
void write_value(Sink& sink, Bytes value) {
    bool plain = !value.empty();
    for (const char c : value) plain = plain && is_plain(c);
    if (plain) return sink.append(value);
    constexpr char kHex[] = "0123456789abcdef";
    sink.append('"');
    for (const char c : value) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte > 0x7e) {
            const char escape[] = {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
            sink.append(Bytes(escape, sizeof escape));
        } else {
            if (c == '"' || c == '\\') sink.append('\\');
            sink.append(c);
        }
    }
    sink.append('"');
}

void write_fields(Sink& sink, std::initializer_list<LogField> fields) {
    for (const LogField& field : fields) {
        const std::size_t before = sink.size();
        sink.append(' ');
        sink.append(field.key);
        sink.append('=');
        if (field.is_number) {
            sink.append_number(field.number);
        } else {
            write_value(sink, field.text);
        }
        if (!sink.overflowed()) continue;
        // The field that does not fit is left out as a whole; shorter ones behind it may still do.
        sink.truncate(before);
    }
}

}  // namespace

std::string line_of(const LogRecord& record, Language language) {
    const EventInfo& info = event_info(record.id);
    const std::time_t seconds = record.time.time_since_epoch().count();
    std::tm utc{};
    char time[32];
    gmtime_r(&seconds, &utc);
    std::string line(time, std::strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%SZ", &utc));
    line.append(" level=").append(severity_name(info.severity));
    line.append(" id=FG-").append(std::to_string(info.number));
    if (record.shard >= 0) line.append(" shard=").append(std::to_string(record.shard));
    line.append(" event=\"").append(event_text(record.id, language).sentence).append("\"");
    line.append(record.fields);
    if (record.held_back != 0) line.append(" held_back=").append(std::to_string(record.held_back));
    return line + "\n";
}

std::vector<std::pair<std::string, std::string>> fields_of(const LogRecord& record) {
    std::vector<std::pair<std::string, std::string>> fields;
    for (Bytes rest = record.fields; rest.starts_with(' ');) {
        const std::size_t equals = rest.find('=');
        if (equals == Bytes::npos) break;
        auto& [key, value] = fields.emplace_back(std::string(rest.substr(1, equals - 1)), "");
        rest.remove_prefix(equals + 1);
        if (!rest.starts_with('"')) {
            value = rest.substr(0, rest.find(' '));
            rest.remove_prefix(value.size());
            continue;
        }
        std::size_t at = 1;
        for (; at < rest.size() && rest[at] != '"'; ++at) {
            const bool escape = rest[at] == '\\' && at + 1 < rest.size() && rest[at + 1] != 'x';
            value += rest[at += escape ? 1 : 0];
        }
        rest.remove_prefix(std::min(at + 1, rest.size()));
    }
    return fields;
}

Log::Log(int shard, std::size_t bytes_max) : ring_(bytes_max), shard_(shard) {}

Instant Log::now() const {
    if (loop_ != nullptr) return loop_->now();
    return Instant(std::chrono::steady_clock::now().time_since_epoch());
}

WallTime Log::wall_now() const {
    if (loop_ != nullptr) return loop_->wall_now();
    return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

void Log::event(EventId id, std::initializer_list<LogField> fields) {
    if (event_info(id).severity < level_.load(std::memory_order_relaxed)) return;
    Budget& budget = budgets_[static_cast<std::size_t>(id)];
    const Instant time = now();
    if (time >= budget.start + 1s) {
        budget.start = time;
        budget.used = 0;
    }
    if (budget.used == limits::kLogLinesPerSecond) {
        ++budget.held_back;
        return;
    }
    ++budget.used;

    char memory[limits::kLogLineBytes];
    Sink sink{MutableBytes(memory)};
    write_fields(sink, fields);
    const Prefix prefix{wall_now().time_since_epoch().count(), budget.held_back};
    char head[sizeof prefix];
    std::memcpy(head, &prefix, sizeof prefix);
    if (ring_.push(static_cast<std::uint32_t>(id), {Bytes(head, sizeof head), sink.written()})) {
        budget.held_back = 0;
    } else {
        dropped_.store(dropped_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
}

void Log::drain(std::vector<LogRecord>& records) {
    Prefix prefix{};
    const auto time = [&prefix] { return WallTime(std::chrono::seconds(prefix.seconds)); };
    ring_.pop(SIZE_MAX, [&](std::uint32_t kind, Bytes record) {
        std::memcpy(&prefix, record.data(), sizeof prefix);
        record.remove_prefix(sizeof prefix);
        records.push_back(
            {time(), static_cast<EventId>(kind), shard_, prefix.held_back, std::string(record)});
        return true;
    });
    const std::uint64_t lost = dropped();
    if (lost == told_dropped_) return;
    // The time of the last line that found room: the ring was full then.
    records.push_back({time(), EventId::kLinesDropped, shard_, 0,
                       " lines=" + std::to_string(lost - told_dropped_)});
    told_dropped_ = lost;
}

void Log::drain(std::string& lines) {
    std::vector<LogRecord> records;
    drain(records);
    for (const LogRecord& record : records) lines += line_of(record, Language::kEnglish);
}

}  // namespace fedgate
