#include "appliance/admin/events.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <iostream>
#include <optional>
#include <thread>

#include "appliance/admin/answers.hpp"
#include "appliance/admin/configuration.hpp"
#include "appliance/admin/show.hpp"
#include "appliance/admin/tool.hpp"
#include "appliance/admin/wall_clock.hpp"
#include "appliance/admin/words.hpp"
#include "core/config/timestamp.hpp"

namespace fedgate::admin {
namespace {

constexpr auto kFollowPause = std::chrono::milliseconds(500);
constexpr std::uint64_t kShown = 50;  // where nothing else is asked for

std::optional<Language> language_of(std::string_view name) {
    if (name == "en") return Language::kEnglish;
    if (name == "fr") return Language::kFrench;
    return std::nullopt;
}

std::optional<Severity> severity_of(std::string_view name) {
    for (const Severity one :
         {Severity::kDebug, Severity::kInfo, Severity::kWarning, Severity::kError}) {
        if (severity_name(one) == name) return one;
    }
    return std::nullopt;
}

// FG-1101, fg-1101 or 1101.
const EventInfo* find_event(std::string_view typed) {
    if (typed.starts_with("FG-") || typed.starts_with("fg-")) typed.remove_prefix(3);
    std::uint16_t number = 0;
    const auto [end, error] = std::from_chars(typed.data(), typed.data() + typed.size(), number);
    if (error != std::errc{} || end != typed.data() + typed.size()) return nullptr;
    const auto found = std::ranges::find(kEvents, number, &EventInfo::number);
    return found != std::end(kEvents) ? &*found : nullptr;
}

std::string id_of(const EventInfo& info) { return "FG-" + std::to_string(info.number); }

std::string no_event(const std::string& typed) {
    return "there is no event '" + typed + "'; fedctl events --catalogue lists all";
}

Json json_of(const LogRecord& record, std::uint64_t number, Language language) {
    const EventInfo& info = event_info(record.id);
    Json fields = Json::object();
    for (const auto& [key, value] : fields_of(record)) fields[key] = value;
    Json out{{"number", number},
             {"time", config::format_time(record.time)},
             {"severity", severity_name(info.severity)},
             {"id", id_of(info)},
             {"event", event_text(record.id, language).sentence},
             {"fields", std::move(fields)}};
    if (record.shard >= 0) out["shard"] = record.shard;
    if (record.held_back != 0) out["held_back"] = record.held_back;
    return out;
}

std::string line_of(const Json& event) {
    std::string line = string_of(event, "time") + " " + string_of(event, "severity") + " " +
                       string_of(event, "id") + " " + string_of(event, "event");
    const char* before = ": ";
    for (const auto& [key, value] : event["fields"].items()) {
        line += std::exchange(before, " ") + key + "=";
        const auto text = value.get<std::string>();
        line += text.empty() || text.contains(' ') ? "\"" + text + "\"" : text;
    }
    if (const std::uint64_t held = number_of(event, "held_back"); held != 0) {
        line += " (" + std::to_string(held) + " more of it before were held back)";
    }
    return line;
}

Json explained(const EventInfo& info, Language language) {
    const EventText& text = event_text(info.id, language);
    return {{"id", id_of(info)},
            {"severity", severity_name(info.severity)},
            {"event", text.sentence},
            {"cause", text.cause},
            {"remedy", text.remedy}};
}

// A point in time as configuration writes them, or how long ago: 90s, 10min, 2h, 3d.
std::optional<WallTime> read_since(std::string_view typed) {
    if (const auto time = config::parse_time(typed)) return time;
    if (const auto day = config::parse_time(std::string(typed) + "T00:00:00Z")) return day;
    std::uint32_t count = 0;
    const auto [end, error] = std::from_chars(typed.data(), typed.data() + typed.size(), count);
    const std::string_view unit(end, static_cast<std::size_t>(typed.data() + typed.size() - end));
    constexpr std::pair<std::string_view, int> kUnits[] = {
        {"s", 1}, {"min", 60}, {"h", 3600}, {"d", 86400}};
    const auto* found = std::ranges::find(kUnits, unit, &std::pair<std::string_view, int>::first);
    if (error != std::errc{} || found == std::end(kUnits)) return std::nullopt;
    return wall_now() - std::chrono::seconds(std::int64_t{count} * found->second);
}

class EventsTool {
public:
    explicit EventsTool(const EventsToolOptions& options) : options_(options) {}

    int run(const std::vector<std::string>& rest) {
        static constexpr std::string_view kKnown[] = {
            "--follow", "--catalogue", "--since=",   "--severity=",
            "--id=",    "--count=",    "--language="};
        std::vector<std::string> all(rest);
        all.insert(all.begin(), "events");
        Words words;
        std::string why;
        if (!cut_words(all, kKnown, words, why)) return usage(why);
        language_ = words.options["--language"];
        if (!language_.empty() && !language_of(language_)) {
            return usage("--language is en or fr, not '" + language_ + "'");
        }
        if (words.flags.contains("--catalogue") || !words.words.empty()) return explain(words);
        Json request{{"verb", "events"}};
        if (!read(words, request, why)) return usage(why);
        return list(std::move(request), words.flags.contains("--follow"));
    }

private:
    int usage(const std::string& text) {
        options_.err << "fedctl: " << text << "\n";
        return kExitUsage;
    }
    int fail(const std::string& text) {
        options_.err << "fedctl: " << for_terminal(text) << "\n";
        return kExitRefused;
    }

    bool read(Words& words, Json& request, std::string& why) {
        const auto option = [&words](const char* name) -> const std::string* {
            const auto found = words.options.find(name);
            return found != words.options.end() ? &found->second : nullptr;
        };
        if (const std::string* since = option("--since")) {
            const auto time = read_since(*since);
            if (!time) {
                why = "--since takes 90s, 10min, 2h, 3d, or 2026-12-01T08:00:00Z, not '" + *since +
                      "'";
                return false;
            }
            request["since"] = std::max<std::int64_t>(0, time->time_since_epoch().count());
        }
        if (const std::string* severity = option("--severity")) {
            if (!severity_of(*severity)) {
                why = "--severity is debug, info, warning or error, not '" + *severity + "'";
                return false;
            }
            request["severity"] = *severity;
        }
        if (const std::string* id = option("--id")) {
            const EventInfo* info = find_event(*id);
            if (info == nullptr) {
                why = no_event(*id);
                return false;
            }
            request["id"] = id_of(*info);
        }
        std::uint64_t count = kShown;
        if (const std::string* text = option("--count")) {
            const auto [end, error] =
                std::from_chars(text->data(), text->data() + text->size(), count);
            if (error != std::errc{} || end != text->data() + text->size() || count == 0) {
                why = "--count takes a number from 1, not '" + *text + "'";
                return false;
            }
        }
        if (option("--since") == nullptr || option("--count") != nullptr) request["count"] = count;
        if (!language_.empty()) request["language"] = language_;
        return true;
    }

    int list(Json request, bool follow) {
        while (true) {
            Json answer;
            std::string why;
            if (!options_.ask(request, answer, why)) return fail(why);
            if (!bool_of(answer, "ok")) return fail(string_of(answer, "error"));
            if (options_.json && !follow) {
                options_.out << write_json(answer) << "\n";
                return kExitOk;
            }
            if (const std::uint64_t missed = number_of(answer, "missed"); missed != 0) {
                options_.err << "fedctl: " << missed
                             << " events are no longer kept: they came too fast\n";
            }
            for (const Json& event : array_of(answer, "events")) {
                options_.out << (options_.json ? write_json(event) : for_terminal(line_of(event)))
                             << "\n";
            }
            options_.out.flush();
            if (!follow) return kExitOk;
            if (!options_.out) return kExitRefused;
            request.erase("count");
            request.erase("since");
            request["after"] = number_of(answer, "last");
            std::this_thread::sleep_for(kFollowPause);
        }
    }

    // The daemon's language where none is named and it runs; the catalogue itself needs no daemon.
    Language language() {
        if (const auto named = language_of(language_)) return *named;
        Json answer;
        std::string why;
        const Json request{{"verb", "sysctl"}, {"action", "get"}, {"keys", {"log.language"}}};
        if (!options_.ask(request, answer, why)) return Language::kEnglish;
        const Json& keys = array_of(answer, "keys");
        return keys.empty() ? Language::kEnglish
                            : language_of(string_of(keys[0], "value")).value_or(Language::kEnglish);
    }

    int explain(const Words& words) {
        for (const auto& [name, value] : words.options) {
            if (name != "--catalogue" && name != "--language")
                return usage("the catalogue takes ids and --language, not " + name);
        }
        std::vector<const EventInfo*> chosen;
        for (const std::string& typed : words.words) {
            chosen.push_back(find_event(typed));
            if (chosen.back() == nullptr) return fail(no_event(typed));
        }
        if (words.words.empty()) {
            for (const EventInfo& info : kEvents) chosen.push_back(&info);
        }
        const Language language = this->language();
        const bool french = language == Language::kFrench;
        Json rows = Json::array();
        for (const EventInfo* info : chosen) rows.push_back(explained(*info, language));
        if (options_.json) {
            options_.out << write_json({{"ok", true}, {"catalogue", rows}}) << "\n";
            return kExitOk;
        }
        for (const Json& row : rows) {
            options_.out << string_of(row, "id") << " " << string_of(row, "severity") << ": "
                         << string_of(row, "event") << "\n"
                         << (french ? "  cause :  " : "  cause:  ") << string_of(row, "cause")
                         << "\n"
                         << (french ? "  remède : " : "  remedy: ") << string_of(row, "remedy")
                         << "\n";
        }
        return kExitOk;
    }

    const EventsToolOptions& options_;
    std::string language_;
};

}  // namespace

Json answer_events(const Json& request, AdminHost& host, const Configuration& configuration) {
    const EventBook* book = host.event_book();
    if (book == nullptr) return refusal("no events are kept");
    const Language language = language_of(string_of(request, "language"))
                                  .value_or(configuration.snapshot().settings.log_language);
    const std::string id = string_of(request, "id");
    const EventInfo* const wanted = id.empty() ? nullptr : find_event(id);
    if (!id.empty() && wanted == nullptr) return refusal(no_event(id.substr(0, 64)));
    const Severity least = severity_of(string_of(request, "severity")).value_or(Severity::kDebug);
    const WallTime since(std::chrono::seconds(number_of(request, "since")));
    const std::uint64_t count = number_of(request, "count");
    // Who has read on in a daemon that ran before has seen nothing of this one.
    const std::uint64_t after =
        number_of(request, "after") > book->last() ? 0 : number_of(request, "after");
    std::vector<std::uint64_t> chosen;
    for (std::uint64_t i = book->last(); i >= std::max(after + 1, book->first()); --i) {
        const LogRecord& record = book->at(i);
        const bool good = record.time >= since && event_info(record.id).severity >= least &&
                          (wanted == nullptr || wanted->id == record.id);
        if (good) chosen.push_back(i);
        if (count != 0 && chosen.size() == count) break;
    }
    Json rows = Json::array();
    for (auto i = chosen.rbegin(); i != chosen.rend(); ++i) {
        rows.push_back(json_of(book->at(*i), *i, language));
    }
    Json out{{"ok", true}, {"events", std::move(rows)}, {"last", book->last()}};
    if (after != 0 && after + 1 < book->first()) out["missed"] = book->first() - after - 1;
    return out;
}

int run_events_tool(const EventsToolOptions& options, const std::vector<std::string>& words) {
    return EventsTool(options).run(words);
}

}  // namespace fedgate::admin
