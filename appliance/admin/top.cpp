#include "appliance/admin/top.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <map>
#include <span>
#include <sys/ioctl.h>
#include <thread>
#include <unistd.h>

#include "appliance/admin/show.hpp"
#include "appliance/admin/tool.hpp"
#include "appliance/admin/words.hpp"

namespace fedgate::admin {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kOnce = std::chrono::seconds(1);  // between the two looks of --once
constexpr std::uint64_t kFramePause = 2;         // seconds between two frames
constexpr std::uint64_t kFramePauseMax = 3600;

struct RateRow {
    const char* what;
    const char* counter;
};

constexpr RateRow kRates[] = {
    {"messages, XMPP to SIP", "messages.x2s.delivered"},
    {"  answered with an error", "messages.x2s.refused"},
    {"  in doubt", "messages.x2s.in_doubt"},
    {"messages, SIP to XMPP", "messages.s2x.delivered"},
    {"  answered with an error", "messages.s2x.refused"},
    {"  in doubt", "messages.s2x.in_doubt"},
    {"presence, XMPP to SIP", "presence.x2s"},
    {"presence, SIP to XMPP", "presence.s2x"},
    {"stanzas from partners", "xmpp.stanzas.in"},
    {"stanzas to partners", "xmpp.stanzas.out"},
    {"SIP requests in", "sip.requests.in"},
    {"SIP requests out", "sip.requests.out"},
    {"stopped by policy", "policy.refused"},
    {"held back by a rate limit", "rate.limited"},
    {"streams to partners that failed", "xmpp.out.failed"},
    {"streams from partners that failed", "xmpp.in.failed"},
};

// What waits, or had to.
constexpr RateRow kPressure[] = {
    {"full mailboxes between cores", "mailbox.refused"},
    {"full links", "link.back_pressure"},
};

double rate_of(std::uint64_t before, std::uint64_t now, double seconds) {
    // A daemon that was started anew counts from nothing.
    const std::uint64_t more = now >= before ? now - before : now;
    return std::round(static_cast<double>(more) / seconds * 10) / 10;
}

std::string key_of(const Json& stream) {
    return string_of(stream, "direction") + " " + string_of(stream, "our_domain") + " " +
           string_of(stream, "their_domain") + " " + string_of(stream, "address");
}

std::string show_rate(const Json& row, const char* name) {
    const double rate = row.value(name, 0.0);
    char text[32];
    std::snprintf(text, sizeof text, "%.1f", rate);
    return text;
}

class Top {
public:
    explicit Top(const TopOptions& options) : options_(options) {}

    int run(const std::vector<std::string>& rest) {
        static constexpr std::string_view kKnown[] = {"--once", "--interval="};
        std::vector<std::string> all(rest);
        all.insert(all.begin(), "top");
        Words words;
        std::string why;
        if (!cut_words(all, kKnown, words, why)) return usage(why);
        if (!words.words.empty()) return usage("top takes --once and --interval SECONDS only");
        std::uint64_t seconds = kFramePause;
        if (const auto found = words.options.find("--interval"); found != words.options.end()) {
            const std::string& text = found->second;
            const auto [end, error] =
                std::from_chars(text.data(), text.data() + text.size(), seconds);
            if (error != std::errc{} || end != text.data() + text.size() || seconds == 0 ||
                seconds > kFramePauseMax) {
                return usage("--interval takes 1 to 3600 seconds, not '" + text + "'");
            }
        }
        // A file or a pipe has no place to draw at.
        const bool once = words.flags.contains("--once") || !options_.terminal || options_.json;
        return watch(once, std::chrono::seconds(seconds));
    }

private:
    int usage(const std::string& text) {
        options_.err << "fedctl: " << text << "\n";
        return kExitUsage;
    }

    bool look(TopSample& sample, std::string& why) {
        const auto ask = [&](const char* verb, Json& answer) {
            if (!options_.ask({{"verb", verb}}, answer, why)) return false;
            if (bool_of(answer, "ok")) return true;
            why = string_of(answer, "error");
            return false;
        };
        return ask("status", sample.status) && ask("counters", sample.counters) &&
               ask("streams", sample.streams);
    }

    int watch(bool once, std::chrono::seconds pause) {
        TopSample before;
        std::string why;
        bool first = true;
        Clock::time_point at = Clock::now();
        while (true) {
            TopSample now;
            if (!look(now, why)) {
                options_.err << "fedctl: " << for_terminal(why) << "\n";
                return kExitRefused;
            }
            const auto time = Clock::now();
            if (!first) {
                const double seconds = std::chrono::duration<double>(time - at).count();
                draw(top_of(before, now, std::max(seconds, 0.001)), once);
                if (once) return kExitOk;
                if (!options_.out) return kExitRefused;
            }
            before = std::move(now);
            at = time;
            // The first frame need not wait for a whole interval.
            std::this_thread::sleep_for(first ? std::min(kOnce, pause) : pause);
            first = false;
        }
    }

    void draw(const Json& top, bool once) {
        if (options_.json) {
            options_.out << write_json(top) << "\n";
            return;
        }
        const std::string text = for_terminal(show_top(top));
        if (once) {
            options_.out << text;
            return;
        }
        winsize size{};
        const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 1;
        const std::size_t rows = known ? size.ws_row - 1U : 23U;
        const std::size_t columns = known ? size.ws_col : 80U;
        std::string frame = "\x1b[H";  // home; what is below is drawn over, line by line
        std::size_t row = 0;
        for (std::size_t from = 0; from < text.size() && row < rows; ++row) {
            const std::size_t end = std::min(text.find('\n', from), text.size());
            frame.append(text, from, std::min(end - from, columns)).append("\x1b[K\r\n");
            from = end + 1;
        }
        options_.out << frame << "\x1b[J" << std::flush;
    }

    const TopOptions& options_;
};

}  // namespace

Json top_of(const TopSample& before, const TopSample& now, double seconds) {
    const auto counter = [](const TopSample& sample, const char* name) {
        const auto found = sample.counters.find("counters");
        return found != sample.counters.end() ? number_of(*found, name) : 0;
    };
    const auto rows_of = [&](std::span<const RateRow> table) {
        Json rows = Json::array();
        for (const RateRow& row : table) {
            const std::uint64_t total = counter(now, row.counter);
            rows.push_back({{"what", row.what},
                            {"counter", row.counter},
                            {"per_second", rate_of(counter(before, row.counter), total, seconds)},
                            {"total", total}});
        }
        return rows;
    };
    const Json& status = now.status;
    Json out{{"ok", true},
             {"version", string_of(status, "version")},
             {"state", string_of(status, "state")},
             {"uptime_s", number_of(status, "uptime_s")},
             {"commit", number_of(status, "commit")},
             {"streams_in", number_of(status, "streams_in")},
             {"streams_out", number_of(status, "streams_out")},
             {"sip_connections", number_of(status, "sip_connections")},
             {"remarks", array_of(status, "remarks")},
             {"rates", rows_of(kRates)}};
    std::uint64_t pending = 0;
    for (const Json& hop : array_of(status, "next_hops")) pending += number_of(hop, "pending");
    const auto store = status.find("store");
    out["queues"] = {{"sip_pending", pending},
                     {"store_waiting", store != status.end() ? number_of(*store, "waiting") : 0},
                     {"pressure", rows_of(kPressure)}};
    out["next_hops"] = array_of(status, "next_hops");
    out["links"] = array_of(status, "links");

    std::map<std::string, Json> known;
    for (const Json& row : array_of(before.streams, "streams")) known[key_of(row)] = row;
    std::vector<Json> streams;
    for (Json row : array_of(now.streams, "streams")) {
        const auto found = known.find(key_of(row));
        const Json& then = found != known.end() ? found->second : Json::object();
        double sum = 0;
        for (const auto& [total, rate] :
             {std::pair{"stanzas_in", "in_per_second"}, {"stanzas_out", "out_per_second"}}) {
            const double one = rate_of(number_of(then, total), number_of(row, total), seconds);
            row[rate] = one;
            sum += one;
        }
        row["sum"] = sum;
        streams.push_back(std::move(row));
    }
    std::ranges::stable_sort(streams, std::greater<>{},
                             [](const Json& row) { return row["sum"].get<double>(); });
    for (Json& row : streams) row.erase("sum");
    out["streams"] = streams;
    const std::string none = string_of(now.streams, "why_none");
    if (!none.empty()) out["why_none"] = none;
    return out;
}

std::string show_top(const Json& top) {
    std::string text = "fedgated " + string_of(top, "version") + ", " + string_of(top, "state") +
                       " since " + show_age(number_of(top, "uptime_s")) + ", commit " +
                       std::to_string(number_of(top, "commit")) + "\nstreams " +
                       std::to_string(number_of(top, "streams_in")) + " in, " +
                       std::to_string(number_of(top, "streams_out")) + " out; SIP connections " +
                       std::to_string(number_of(top, "sip_connections")) + "\n";
    for (const Json& remark : array_of(top, "remarks")) {
        if (remark.is_string()) text += "! " + remark.get<std::string>() + "\n";
    }
    const Json& queues = top["queues"];
    text += "queues: " + std::to_string(number_of(queues, "sip_pending")) +
            " SIP requests without an answer yet, " +
            std::to_string(number_of(queues, "store_waiting")) + " changes not on disk\n\n";
    std::vector<std::vector<std::string>> rates{{"", "PER SECOND", "TOTAL"}};
    for (const Json* rows : {&array_of(top, "rates"), &array_of(queues, "pressure")}) {
        for (const Json& row : *rows) {
            rates.push_back({string_of(row, "what"), show_rate(row, "per_second"),
                             std::to_string(number_of(row, "total"))});
        }
    }
    text += show_table(rates);
    std::vector<std::vector<std::string>> hops{{"NEXT HOP", "OF", "STATE", "PENDING", "ANSWERED"}};
    for (const Json& hop : array_of(top, "next_hops")) {
        hops.push_back({string_of(hop, "next_hop"), string_of(hop, "domain"),
                        string_of(hop, "state"), std::to_string(number_of(hop, "pending")),
                        std::to_string(number_of(hop, "answered"))});
    }
    if (hops.size() > 1) text += "\n" + show_table(hops);
    std::vector<std::vector<std::string>> links{{"LINK", "STATE", "CONNECTIONS"}};
    for (const Json& link : array_of(top, "links")) {
        links.push_back({string_of(link, "peer"),
                         bool_of(link, "active") ? "up" : "not up: " + string_of(link, "why"),
                         std::to_string(number_of(link, "standing")) + " of " +
                             std::to_string(number_of(link, "count"))});
    }
    if (links.size() > 1) text += "\n" + show_table(links);
    std::vector<std::vector<std::string>> streams{
        {"DIR", "OURS", "THEIRS", "STATE", "IN/S", "OUT/S", "IDLE"}};
    for (const Json& row : array_of(top, "streams")) {
        streams.push_back({string_of(row, "direction"), string_of(row, "our_domain"),
                           string_of(row, "their_domain"), string_of(row, "state"),
                           show_rate(row, "in_per_second"), show_rate(row, "out_per_second"),
                           show_age(number_of(row, "idle_s"))});
    }
    text += "\n";
    if (streams.size() > 1) return text + show_table(streams);
    const std::string why = string_of(top, "why_none");
    return text + "no streams" + (why.empty() ? "" : ": " + why) + "\n";
}

int run_top(const TopOptions& options, const std::vector<std::string>& words) {
    return Top(options).run(words);
}

}  // namespace fedgate::admin
