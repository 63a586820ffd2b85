// What fedctl looks at itself: the records of DNS, the way to a partner, a message's whole way.
#include <algorithm>
#include <chrono>
#include <ostream>
#include <string_view>
#include <utility>

#include "appliance/admin/doctor_tool.hpp"
#include "appliance/admin/lab.hpp"
#include "appliance/admin/outside_tool.hpp"
#include "appliance/admin/show.hpp"
#include "appliance/admin/tlsa.hpp"
#include "appliance/admin/tool.hpp"
#include "appliance/admin/tool_verbs.hpp"
#include "appliance/admin/trial_tool.hpp"
#include "appliance/admin/words.hpp"

namespace fedgate::admin {
namespace {

class CheckVerbs : public ToolVerbs {
public:
    using ToolVerbs::ToolVerbs;

    int run(const std::string& verb, const std::vector<std::string>& rest) {
        if (verb == "doctor") return doctor(rest);
        if (verb == "test") return test(rest);
        return !rest.empty() && rest[0] == "plan" ? dns_plan(rest) : dns_check(rest);
    }

private:
    int dns_plan(const std::vector<std::string>& rest) {
        static constexpr std::string_view kKnown[] = {"--tlsa"};
        Words words;
        std::string why;
        if (!cut_words(rest, kKnown, words, why)) return usage(why);
        if (!words.words.empty()) return usage("dns plan takes --tlsa only");
        const Json request{{"verb", "dns"}, {"action", "plan"}};
        if (!words.flags.contains("--tlsa")) return tell(request, show_dns);
        Json plan;
        std::vector<std::string> lines;
        if (!terminal_.ask(request, plan, why)) return fail(why);
        if (!bool_of(plan, "ok")) return fail(string_of(plan, "error"));
        if (!plan_tlsa(plan, lines, why)) return fail(why);
        plan["tlsa"] = lines;
        out_ << (terminal_.json ? write_json(plan) + "\n" : for_terminal(show_dns(plan)));
        return kExitOk;
    }

    int dns_check(const std::vector<std::string>& rest) {
        static constexpr std::string_view kKnown[] = {"--server="};
        Words words;
        std::string why;
        if (rest.empty() || rest[0] != "check") return usage("dns takes plan, or check");
        if (!cut_words(rest, kKnown, words, why)) return usage(why);
        if (!words.words.empty()) return usage("dns check takes --server ADDRESS only");
        Json plan;
        if (!terminal_.ask({{"verb", "dns"}, {"action", "plan"}}, plan, why)) return fail(why);
        if (!bool_of(plan, "ok")) return fail(string_of(plan, "error"));
        const Json found = check_dns(plan, words.options["--server"], why);
        return tell_found(found, show_dns_check, why);
    }

    int doctor(std::vector<std::string> rest) {
        static constexpr std::string_view kKnown[] = {
            "--server=", "--from=", "--within=", "--forecast", "--lab"};
        Words words;
        std::string why;
        rest.insert(rest.begin(), "doctor");
        if (!cut_words(rest, kKnown, words, why)) return usage(why);
        if (words.flags.contains("--lab")) return lab(words);
        const bool forecast = words.flags.contains("--forecast");
        if (words.words.empty() || (words.words.size() > 1 && !forecast))
            return usage(
                "doctor takes a partner's domain: fedctl doctor DOMAIN [--from ADDRESS], or "
                "fedctl doctor DOMAIN --forecast [ATTRIBUTE=VALUE]...");
        DoctorWish wish{words.words[0], words.options["--from"], words.options["--server"]};
        if (!read_within(words, kDoctorWithinMin, kDoctorWithinMax, wish.within, why))
            return usage(why);
        if (forecast) wish.suppose.emplace(words.words.begin() + 1, words.words.end());
        const Json found = run_doctor(wish, terminal_.ask, why);
        return tell_found(found, show_doctor, why);
    }

    // Of faults that are planted for it. No daemon is asked.
    int lab(const Words& words) {
        if (words.options.size() > 1 || words.words.size() > 1)
            return usage("doctor --lab takes one of its faults, or nothing (lists them)");
        if (words.words.empty()) {
            out_ << show_lab_faults();
            return kExitOk;
        }
        std::vector<std::string_view> names;
        for (const LabFault& one : lab_faults()) {
            names.push_back(one.name);
            if (one.name != words.words[0]) continue;
            std::string why;
            const Json found = run_lab(one, why);
            return tell_found(found, show_lab, why);
        }
        return usage(unknown("the lab has no fault", words.words[0], names));
    }

    // One, or the same the other way as well.
    int test(const std::vector<std::string>& rest) {
        static constexpr std::string_view kKnown[] = {"--within=", "--text=", "--both"};
        if (rest.empty()) return tell({{"verb", "test"}}, show_schedule);
        Words words;
        std::string why;
        if (rest[0] != "im") return usage("test takes im FROM TO, or nothing (the scheduled one)");
        if (!cut_words(rest, kKnown, words, why)) return usage(why);
        if (words.words.size() != 2)
            return usage("test im takes two addresses: fedctl test im FROM TO [--both]");
        TrialWish wish{words.words[0], words.words[1], words.options["--text"]};
        if (!read_within(words, std::chrono::seconds(1), std::chrono::seconds(60), wish.within,
                         why))
            return usage(why);
        const auto one = [&] {
            const Json found = run_trial(wish, terminal_.ask, why);
            return tell_found(found, show_trial, why);
        };
        const int status = one();
        if (!words.flags.contains("--both")) return status;
        std::swap(wish.from, wish.to);
        if (!terminal_.json) out_ << "\n";
        return std::max(status, one());
    }

    // `--within 30s`. Not said: it stays as it is.
    static bool read_within(Words& words, std::chrono::seconds least, std::chrono::seconds most,
                            std::chrono::seconds& within, std::string& why) {
        std::string text = words.options["--within"];
        if (text.empty()) return true;
        if (text.ends_with('s')) text.pop_back();
        std::uint64_t number = 0;
        if (read_number(text, number) && number <= static_cast<std::uint64_t>(most.count()))
            within = std::chrono::seconds(number);
        else
            within = {};
        why = "--within is a time from " + std::to_string(least.count()) + "s to " +
              std::to_string(most.count()) + "s";
        return within >= least;
    }
};

}  // namespace

int run_check_verb(const ToolTerminal& terminal, const std::string& verb,
                   const std::vector<std::string>& rest) {
    return CheckVerbs(terminal).run(verb, rest);
}

}  // namespace fedgate::admin
