#include "appliance/admin/trace.hpp"

#include <algorithm>
#include <utility>

#include "appliance/admin/answers.hpp"
#include "appliance/admin/host.hpp"
#include "appliance/admin/show.hpp"
#include "core/config/domain.hpp"
#include "core/config/value.hpp"

namespace fedgate::admin {
namespace {

constexpr std::size_t kArrowColumns = 22;  // between two of the three

TraceTime now_ms() {
    return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

std::string bare(const std::string& address) { return address.substr(0, address.find('/')); }

// The same for both directions of a conversation.
std::string pair_of(const TracedRow& row) {
    const std::string from = bare(row.from);
    const std::string to = bare(row.to);
    return from < to ? from + ' ' + to : to + ' ' + from;
}

Json row_json(const TracedRow& row, std::uint64_t number) {
    return {{"number", number},
            {"at_ms", row.at.time_since_epoch().count()},
            {"message", row.message},
            {"leg", row.xmpp ? "xmpp" : "sip"},
            {"direction", row.in ? "in" : "out"},
            {"from", row.from},
            {"to", row.to},
            {"what", row.what},
            {"stanza_id", row.stanza_id},
            {"call_id", row.call_id},
            {"cseq", row.cseq},
            {"peer", row.peer},
            {"note", row.note}};
}

// False: `why`.
bool read_wish(const Json& request, TraceWish& wish, std::string& why) {
    const std::string partner = string_of(request, "partner");
    std::string user = string_of(request, "user");
    if (partner.empty() && user.empty()) {
        why = "trace needs --partner DOMAIN, --user ADDRESS, or both";
        return false;
    }
    if (!partner.empty()) {
        const auto domain = config::normalise_domain(partner);
        if (!domain) {
            why = "--partner: " + partner + " is not a domain";
            return false;
        }
        wish.partner = *domain;
    }
    if (!user.empty()) {
        for (const std::string_view scheme : {"sip:", "xmpp:", "im:", "pres:"}) {
            if (user.starts_with(scheme)) user.erase(0, scheme.size());
        }
        const std::size_t at = user.rfind('@');
        const auto domain = at == std::string::npos || at == 0
                                ? std::nullopt
                                : config::normalise_domain(user.substr(at + 1));
        if (!domain) {
            why = "--user: " + user + " is not an address (name@domain)";
            return false;
        }
        wish.user = user;
    }
    const std::string time = string_of(request, "for");
    if (time.empty()) return true;
    static constexpr config::Key kKey{"for",
                                      config::Type::kDuration,
                                      config::Apply::kLive,
                                      "",
                                      1'000'000'000,
                                      std::chrono::nanoseconds(kTraceTimeMax).count(),
                                      "",
                                      "",
                                      ""};
    config::Value value;
    if (!config::parse_value(kKey, time, value, why)) {
        why = "--for: " + why;
        return false;
    }
    wish.time = std::chrono::floor<std::chrono::seconds>(std::chrono::nanoseconds(value.number));
    return true;
}

std::string number_text(std::uint64_t number) { return "#" + std::to_string(number); }

// `--text----->`, as long as the space between two columns.
std::string arrow(std::string text, bool right) {
    if (text.size() > kArrowColumns - 4) text.resize(kArrowColumns - 4);
    const std::string rest(kArrowColumns - 4 - text.size(), '-');
    return right ? "--" + text + rest + "->" : "<-" + rest + text + "--";
}

}  // namespace

bool TraceBook::start(const TraceWish& wish, const std::string& author, TraceTime now,
                      std::string& why) {
    if (running(now)) {
        const auto left = std::chrono::ceil<std::chrono::seconds>(until_ - now);
        why = "a trace of " + author_ + " runs for another " + std::to_string(left.count()) +
              " s; fedctl trace --stop ends it";
        return false;
    }
    why = source_.start_trace(wish);
    if (!why.empty()) {
        source_.stop_trace();  // where it has begun
        return false;
    }
    first_ += rows_.size();
    rows_.clear();
    known_.clear();
    messages_ = 0;
    missed_ = 0;
    on_ = true;
    author_ = author;
    until_ = now + wish.time;
    return true;
}

void TraceBook::stop() {
    if (on_) source_.stop_trace();
    on_ = false;
}

void TraceBook::collect(TraceTime now) {
    if (!on_) return;
    std::uint64_t missed = 0;
    std::vector<TracedRow> rows = source_.take_trace(missed);
    missed_ += missed;
    for (TracedRow& row : rows) {
        number(row);
        rows_.push_back(std::move(row));
    }
    while (rows_.size() > kTraceKeptRows) {
        rows_.pop_front();
        ++first_;
    }
    if (now >= until_) stop();
}

void TraceBook::number(TracedRow& row) {
    const std::string of_stanza =
        row.stanza_id.empty() ? std::string() : "x " + pair_of(row) + ' ' + row.stanza_id;
    const std::string of_request =
        row.call_id.empty() ? std::string() : "s " + std::to_string(row.cseq) + ' ' + row.call_id;
    for (const std::string& key : {of_stanza, of_request}) {
        const auto found = known_.find(key);
        if (!key.empty() && found != known_.end()) row.message = found->second;
    }
    if (row.message == 0) row.message = ++messages_;
    // At its bound nothing more is known again: what follows has numbers of its own.
    for (const std::string& key : {of_stanza, of_request}) {
        if (!key.empty() && known_.size() < 2 * kTraceKeptRows) known_.emplace(key, row.message);
    }
}

Json answer_trace(const Json& request, const std::string& author, AdminHost& host) {
    TraceBook* const book = host.trace_book();
    if (book == nullptr) {
        return refusal(
            "this process is an edge alone: both legs of a conversation are seen at its "
            "gateway (fedctl status: links)");
    }
    const std::string action = string_of(request, "action");
    const TraceTime now = now_ms();
    if (action == "start") {
        TraceWish wish;
        std::string why;
        if (!read_wish(request, wish, why) || !book->start(wish, author, now, why))
            return refusal(why);
        host.note(EventId::kTraceStarted, {{"by", author},
                                           {"partner", wish.partner},
                                           {"user", wish.user},
                                           {"seconds", wish.time.count()}});
        return {{"ok", true},
                {"partner", wish.partner},
                {"user", wish.user},
                {"seconds", wish.time.count()},
                {"next", book->first()}};
    }
    book->collect(now);
    if (action == "stop") {
        if (book->running(now)) host.note(EventId::kTraceEnded, {{"by", author}});
        book->stop();
        return {{"ok", true}};
    }
    Json rows = Json::array();
    std::uint64_t next = book->first();
    if (action == "read") {
        const std::uint64_t after = number_of(request, "after");
        for (const TracedRow& row : book->rows()) {
            if (rows.size() == kTraceAnswerRows) break;
            if (next++ >= after) rows.push_back(row_json(row, next - 1));
        }
        return {{"ok", true},
                {"rows", std::move(rows)},
                {"next", next},
                {"missed", book->missed()},
                {"running", book->running(now)}};
    }
    if (action != "find") return refusal("trace has no action '" + action + "'");
    const std::string id = string_of(request, "id");
    std::vector<std::uint64_t> messages;
    for (const TracedRow& row : book->rows()) {
        if (!id.empty() &&
            (row.stanza_id == id || row.call_id == id || number_text(row.message) == id)) {
            messages.push_back(row.message);
        }
    }
    for (const TracedRow& row : book->rows()) {
        if (rows.size() == kTraceAnswerRows) break;
        if (std::ranges::find(messages, row.message) != messages.end())
            rows.push_back(row_json(row, next));
        ++next;
    }
    if (rows.empty()) {
        return refusal(
            "the last trace has no message with that id; fedctl trace --partner DOMAIN "
            "starts one");
    }
    return {{"ok", true}, {"rows", std::move(rows)}};
}

std::string show_trace_heading(const std::string& partner) {
    std::string left = partner.empty() ? "partner" : partner;
    left.resize(kArrowColumns - 1, ' ');
    std::string middle = "Fedgate";
    middle.resize(kArrowColumns - 1, ' ');
    return "time          " + left + "  " + middle + "  SIP\n";
}

std::string show_trace_row(const Json& row) {
    const auto at = std::chrono::milliseconds(number_of(row, "at_ms")) % std::chrono::days(1);
    const std::chrono::hh_mm_ss time(at);
    const auto digits = [](auto value, std::size_t width) {
        std::string text = std::to_string(value.count());
        return std::string(width - std::min(width, text.size()), '0') + text;
    };
    const bool xmpp = string_of(row, "leg") == "xmpp";
    const bool in = string_of(row, "direction") == "in";
    const std::string drawn = arrow(string_of(row, "what"), xmpp == in);
    const std::string blank(kArrowColumns, ' ');
    std::string line = digits(time.hours(), 2) + ":" + digits(time.minutes(), 2) + ":" +
                       digits(time.seconds(), 2) + "." + digits(time.subseconds(), 3) + "  ";
    line += xmpp ? "|" + drawn + "|" + blank + "|" : "|" + blank + "|" + drawn + "|";
    line += "  " + number_text(number_of(row, "message")) + " " + string_of(row, "from") + " -> " +
            string_of(row, "to");
    const std::string what = string_of(row, "what");
    if (what.size() > kArrowColumns - 4) line += ": " + what;
    const auto add = [&](const char* name, const std::string& value) {
        if (!value.empty()) line += std::string(", ") + name + value;
    };
    add("id ", xmpp ? string_of(row, "stanza_id") : "");
    add("Call-ID ", string_of(row, "call_id"));
    if (!xmpp) add("CSeq ", std::to_string(number_of(row, "cseq")));
    add("", string_of(row, "note"));
    add("by ", string_of(row, "peer"));
    return for_terminal(line) + "\n";
}

std::string show_trace(const Json& answer) {
    std::string text = show_trace_heading("");
    for (const Json& row : array_of(answer, "rows")) text += show_trace_row(row);
    return text;
}

}  // namespace fedgate::admin
