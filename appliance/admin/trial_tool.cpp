#include "appliance/admin/trial_tool.hpp"

#include <array>
#include <chrono>
#include <cstdio>
#include <thread>

#include "appliance/admin/doctor_tool.hpp"
#include "appliance/admin/show.hpp"

namespace fedgate::admin {
namespace {

constexpr auto kLookEvery = std::chrono::milliseconds(50);

double double_of(const Json& json, const char* name) {
    const auto found = json.find(name);
    return found != json.end() && found->is_number() ? found->get<double>() : 0;
}

std::string milliseconds(const Json& look, const char* name) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.1f ms", double_of(look, name) * 1000);
    return text.data();
}

std::string how_of(const Json& look, bool to_sip) {
    std::string how;
    const auto add = [&](const char* name, const std::string& what) {
        if (look.contains(name))
            how += (how.empty() ? "" : ", ") + what + " after " + milliseconds(look, name);
    };
    add("taken_s", to_sip ? "our SIP server answered " + std::to_string(number_of(look, "status"))
                          : "their stream took it");
    add("acknowledged_s", "their server had it");
    add("received_s", "their user's client had it");
    return how;
}

// The first of these steps that is broken.
std::string fault_of(const Json& steps, const char* only = nullptr) {
    for (const Json& step : steps) {
        if (string_of(step, "state") != "fault") continue;
        if (only != nullptr && string_of(step, "step") != only) continue;
        return string_of(step, "step") + ": " + string_of(step, "text") + "; " +
               string_of(step, "side") + ": " + string_of(step, "advice");
    }
    return {};
}

std::string diagnose(const Json& begun, const std::string& fault, const AskDaemon& ask) {
    const bool to_sip = bool_of(begun, "to_sip");
    const std::string ours = string_of(begun, "ours");
    const std::string theirs = string_of(begun, "theirs");
    const std::string domain = theirs.substr(theirs.find('@') + 1);
    std::string why;
    Json found;
    if (to_sip) {  // how they are reached is of no concern
        if (ask({{"verb", "doctor"}, {"domain", domain}, {"from", ours}}, found, why))
            why = fault_of(array_of(found, "steps"));
        if (!why.empty()) return why;
        if (fault.starts_with("404") || fault.starts_with("480") || fault.starts_with("604"))
            return "our SIP server does not know " + ours + ", or he is not there now";
        if (fault.starts_with("403") || fault.starts_with("401") || fault.starts_with("407"))
            return "our SIP server does not let us in: does it trust our address, or is a "
                   "password needed (fedctl sysctl -d domain/*/digest_user)?";
        // It was not answered, and that is not in fedctl status yet.
        const std::string domain_of_ours = ours.substr(ours.find('@') + 1);
        if (fault.find_first_of("3456") != 0)
            return "SIP leg: " + fault + "; ours: is that SIP server up, and is domain/" +
                   domain_of_ours + "/next_hop right?";
    } else {
        found = run_doctor({.domain = domain, .from = ours}, ask, why);
        why.clear();
        // It stopped at our own rules before anybody asked where they are.
        for (const char* own : {"partner rule", "user policy"}) {
            if (why.empty()) why = fault_of(array_of(found, "steps"), own);
        }
        if (!why.empty()) return why;
        if (found.contains("first")) return fault_of(found["steps"]);
        if (fault == "service-unavailable" || fault == "item-not-found" ||
            fault.starts_with("404") || fault.starts_with("480") || fault.starts_with("503"))
            return "their server does not know " + theirs +
                   ", or he is not there and it keeps nothing for him";
    }
    return "nothing stands in the way as far as fedctl doctor " + domain +
           " can see: fedctl explain " + (to_sip ? theirs + " " + ours : ours + " " + theirs) +
           ", and the log at this time";
}

}  // namespace

Json run_trial(const TrialWish& wish, const AskDaemon& ask, std::string& why) {
    Json begun;
    Json request{{"verb", "test"}, {"action", "im"}, {"from", wish.from}, {"to", wish.to}};
    if (!wish.text.empty()) request["text"] = wish.text;
    if (!ask(request, begun, why)) return {};
    if (!bool_of(begun, "ok")) {
        why = string_of(begun, "error");
        return {};
    }
    const bool to_sip = bool_of(begun, "to_sip");
    request = {{"verb", "test"},
               {"action", "look"},
               {"id", number_of(begun, "id")},
               {"to_sip", to_sip},
               {"within_s", static_cast<std::uint64_t>(wish.within.count())}};
    Json look;
    do {
        std::this_thread::sleep_for(kLookEvery);
        if (!ask(request, look, why)) return {};
        if (!bool_of(look, "ok")) {
            why = string_of(look, "error");
            return {};
        }
    } while (!bool_of(look, "over"));
    const bool good = bool_of(look, "good");
    const std::string fault = string_of(look, "fault");
    return {{"ok", true},
            {"good", good},
            {"from", to_sip ? begun["theirs"] : begun["ours"]},
            {"to", to_sip ? begun["ours"] : begun["theirs"]},
            {"target", string_of(begun, "node")},
            {"result", good ? "Success" : "Failure"},
            {"latency_s", double_of(look, "latency_s")},
            {"error", fault},
            {"diagnosis", good ? "" : diagnose(begun, fault, ask)},
            {"how", how_of(look, to_sip)}};
}

std::string show_latency(double seconds) {
    constexpr std::int64_t kTicks = 10'000'000;  // of 100 ns
    const auto ticks = static_cast<std::int64_t>(seconds * kTicks);
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "%02lld:%02lld:%02lld.%07lld",
                  static_cast<long long>(ticks / kTicks / 3600),
                  static_cast<long long>(ticks / kTicks / 60 % 60),
                  static_cast<long long>(ticks / kTicks % 60),
                  static_cast<long long>(ticks % kTicks));
    return text.data();
}

std::string show_trial(const Json& result) {
    std::string out = string_of(result, "from") + " -> " + string_of(result, "to");
    const std::string how = string_of(result, "how");
    out += (how.empty() ? "" : ": " + how) + "\n\n";
    const auto line = [&out](const char* name, const std::string& value) {
        out += std::string(name) + (value.empty() ? "" : " " + value) + "\n";
    };
    line("Target Fqdn   :", string_of(result, "target"));
    line("Result        :", string_of(result, "result"));
    line("Latency       :", show_latency(double_of(result, "latency_s")));
    line("Error Message :", string_of(result, "error"));
    line("Diagnosis     :", string_of(result, "diagnosis"));
    return out;
}

std::string show_schedule(const Json& answer) {
    const double interval = double_of(answer, "interval_s");
    if (interval <= 0) {
        return "no test message is scheduled: fedctl sysctl -w --save test.im.from=ADDRESS "
               "test.im.to=ADDRESS test.im.interval=24h\n";
    }
    std::string out = "every " + show_age(static_cast<std::uint64_t>(interval)) + ": " +
                      string_of(answer, "from") + " -> " + string_of(answer, "to") + "\n";
    if (const std::string why = string_of(answer, "not_here"); !why.empty())
        out += "not tried here: " + why + "\n";
    if (bool_of(answer, "under_way")) out += "one is under way\n";
    if (!answer.contains("last")) return out + "none has ended yet\n";
    const Json& last = answer["last"];
    if (bool_of(last, "good")) {
        return out + string_of(last, "time") + ": came through, latency " +
               show_latency(double_of(last, "latency_s")) + "\n";
    }
    const std::string diagnosis = string_of(last, "diagnosis");
    return out + "! " + string_of(last, "time") + ": " + string_of(last, "fault") + "\n" +
           (diagnosis.empty() ? "" : "  " + diagnosis + "\n");
}

}  // namespace fedgate::admin
