// fedctl trace: both legs of what a partner or a user exchanges, live, without bodies, for a
// limited time (features.md Q5, Q6). The daemon keeps the rows of the last trace, so that one
// message of it can be looked up by its id. Control thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "appliance/admin/json.hpp"

namespace fedgate::admin {

class AdminHost;

using TraceTime = std::chrono::sys_time<std::chrono::milliseconds>;

constexpr std::chrono::seconds kTraceTime{60};        // where nothing is said
constexpr std::chrono::seconds kTraceTimeMax{3'600};  // nobody leaves one on
constexpr std::size_t kTraceKeptRows = 16'384;        // then the oldest go
constexpr std::size_t kTraceAnswerRows = 1'024;       // at once

struct TraceWish {
    std::string partner;  // a domain, A-label; or empty
    std::string user;     // name@domain; or empty
    std::chrono::seconds time = kTraceTime;
};

// As the gateway tells it (gateway/tracer.hpp).
struct TracedRow {
    TraceTime at{};
    bool xmpp = false;
    bool in = false;
    std::string from;
    std::string to;
    std::string what;
    std::string stanza_id;
    std::string call_id;
    std::uint32_t cseq = 0;
    std::string peer;
    std::string note;
    std::uint64_t message = 0;  // the same for all of one message, on both legs
};

// Where the rows come from.
class TraceSource {
public:
    // Empty, or why it can't be here: a sentence.
    [[nodiscard]] virtual std::string start_trace(const TraceWish&) = 0;
    virtual void stop_trace() = 0;
    // In the order of their times; `missed`: there was no room for more.
    [[nodiscard]] virtual std::vector<TracedRow> take_trace(std::uint64_t& missed) = 0;

protected:
    ~TraceSource() = default;
};

class TraceBook {
public:
    explicit TraceBook(TraceSource& source) : source_(source) {}

    // False: `why`; a sentence without a full stop.
    [[nodiscard]] bool start(const TraceWish&, const std::string& author, TraceTime now,
                             std::string& why);
    void stop();
    [[nodiscard]] bool running(TraceTime now) const { return on_ && now < until_; }
    // Its time is over, and nobody has asked for the last rows: collect() ends it.
    [[nodiscard]] bool overdue(TraceTime now) const { return on_ && now >= until_; }
    [[nodiscard]] std::uint64_t missed() const { return missed_; }
    // What has come since.
    void collect(TraceTime now);
    // Number of the oldest row that is kept; those of a new trace go on counting.
    [[nodiscard]] std::uint64_t first() const { return first_; }
    [[nodiscard]] const std::deque<TracedRow>& rows() const { return rows_; }

private:
    void number(TracedRow&);

    TraceSource& source_;
    bool on_ = false;
    std::string author_;
    TraceTime until_{};
    std::deque<TracedRow> rows_;
    std::uint64_t first_ = 0;
    std::uint64_t missed_ = 0;
    std::uint64_t messages_ = 0;
    std::map<std::string, std::uint64_t> known_;  // ids of either leg -> number
};

// `trace`: start, read (rows from number `after` on), find (by `id`), stop.
[[nodiscard]] Json answer_trace(const Json& request, const std::string& author, AdminHost&);

// One row of the ladder: partner, Fedgate, SIP. With `heading`: who is where, before it.
[[nodiscard]] std::string show_trace_row(const Json& row);
[[nodiscard]] std::string show_trace_heading(const std::string& partner);
[[nodiscard]] std::string show_trace(const Json& answer);

}  // namespace fedgate::admin
