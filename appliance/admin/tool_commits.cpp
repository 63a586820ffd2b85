// The verbs whose changes are commits: partners, policies, users, sites, pools, routes, and the
// commits themselves.
#include <algorithm>
#include <ostream>
#include <span>
#include <string_view>
#include <utility>

#include "appliance/admin/cmdlets.hpp"
#include "appliance/admin/help.hpp"
#include "appliance/admin/partner_lists.hpp"
#include "appliance/admin/sheet.hpp"
#include "appliance/admin/show.hpp"
#include "appliance/admin/tool.hpp"
#include "appliance/admin/tool_verbs.hpp"
#include "appliance/admin/user_words.hpp"
#include "appliance/admin/words.hpp"

namespace fedgate::admin {
namespace {

constexpr std::size_t kChangesShown = 20;

class CommitVerbs : public ToolVerbs {
public:
    using ToolVerbs::ToolVerbs;

    int run(const std::string& verb, const std::vector<std::string>& rest) {
        if (verb == "partner") return partner(rest);
        if (verb == "policy" || verb == "user") return users(verb, rest);
        if (verb == "config") return config(rest);
        return verb == "cs" ? cs(rest) : topology(verb, rest);
    }

private:
    int partner(const std::vector<std::string>& rest) {
        if (rest.empty()) return usage("partner needs list, show, add, set, ... (fedctl help)");
        const std::string& action = rest.front();
        if (!is_one_of(kPartnerActions, action)) {
            return usage(unknown("partner has no action", action, kPartnerActions));
        }
        if (action == "attributes") {
            out_ << show_attributes();
            return kExitOk;
        }
        static constexpr std::string_view kList[] = {"--filter="};
        static constexpr std::string_view kChange[] = {"--dry-run", "--comment=", "--confirm="};
        static constexpr std::string_view kBlock[] = {"--dry-run",
                                                      "--comment=", "--confirm=", "--for="};
        const bool reads = action == "list" || action == "show" || action == "sheet";
        Words words;
        std::string why;
        const auto known = action == "list"    ? std::span<const std::string_view>(kList)
                           : reads             ? std::span<const std::string_view>()
                           : action == "block" ? std::span<const std::string_view>(kBlock)
                                               : std::span<const std::string_view>(kChange);
        if (!cut_words(rest, known, words, why)) return usage(why);
        const bool many = action == "remove" || action == "block" || action == "unblock";
        if (action == "list" ? !words.words.empty() : words.words.empty()) {
            return usage(action == "list"     ? "list takes --filter GLOB only"
                         : action == "import" ? "partner import takes a file (- is standard input)"
                                              : "partner " + action + " needs a domain");
        }
        if (reads && words.words.size() > 1) return usage(action + " takes one domain");
        if (action == "import") return import_partners(words);
        Json request{{"verb", "partner"}, {"action", action}};
        const auto first = words.words.begin();
        const auto split = many || words.words.empty() ? words.words.end() : first + 1;
        request["domains"] = std::vector<std::string>(first, split);
        request["settings"] = std::vector<std::string>(split, words.words.end());
        add_options(request, words);
        return tell(request, !reads              ? show_commit
                             : action == "sheet" ? show_sheet
                             : action == "list"  ? show_partners
                                                 : show_partner);
    }

    int import_partners(const Words& words) {
        const std::string& file = words.words[0];
        const std::string name = file == "-" ? "standard input" : file;
        std::string text;
        std::string why;
        PartnerList list;
        if (!read_input(file, text, why)) return fail(name + " " + why);
        if (!parse_partner_list(text, list, why)) return fail(name + ": " + for_terminal(why));
        for (const std::string& note : list.notes) err_ << "note: " << note << "\n";
        Json rows = Json::array();
        for (const ListedPartner& one : list.partners) {
            rows.push_back(
                {{"domain", one.domain}, {"settings", one.settings}, {"where", one.where}});
        }
        Json request{
            {"verb", "partner"},
            {"action", "import"},
            {"file", name},
            {"rows", std::move(rows)},
            {"settings", std::vector<std::string>(words.words.begin() + 1, words.words.end())}};
        add_options(request, words);
        return tell(request, show_user_commit);
    }

    int users(const std::string& verb, const std::vector<std::string>& rest) {
        Json request;
        std::string why;
        const ReadInput read = [this](const std::string& file, std::string& text,
                                      std::string& fault) { return read_input(file, text, fault); };
        const WordsOutcome outcome = user_request(verb, rest, read, request, why);
        if (outcome == WordsOutcome::kUsage) return usage(why);
        if (outcome == WordsOutcome::kFailed) return fail(why);
        const std::string action = string_of(request, "action");
        const bool policy = verb == "policy";
        if (action == "show") return tell(request, policy ? show_policy : show_user);
        if (action != "list") {
            if (!terminal_.json) request["changes_most"] = kChangesShown;  // there may be very many
            return tell(request, show_user_commit);
        }
        const bool bare = bool_of(request, "addresses");
        return tell(request, policy ? show_policies : bare ? show_addresses : show_users);
    }

    int topology(const std::string& verb, const std::vector<std::string>& rest) {
        const auto known = verb == "route" ? std::span<const std::string_view>(kRouteActions)
                                           : std::span<const std::string_view>(kTopologyActions);
        if (rest.empty()) {
            std::string words;
            for (const std::string_view action : known) {
                words += (words.empty() ? "" : ", ") + std::string(action);
            }
            return usage(verb + " needs one of " + words + " (fedctl help)");
        }
        const std::string& action = rest.front();
        if (!is_one_of(known, action)) {
            return usage(unknown(verb + " has no action", action, known));
        }
        static constexpr std::string_view kChange[] = {"--dry-run", "--comment=", "--confirm="};
        const bool reads = action == "list" || action == "show";
        Words words;
        std::string why;
        if (!cut_words(rest,
                       reads ? std::span<const std::string_view>()
                             : std::span<const std::string_view>(kChange),
                       words, why)) {
            return usage(why);
        }
        const std::size_t count = words.words.size();
        const std::string what = verb + " " + action;
        if (action == "list" && count > 0) return usage(what + " takes nothing more");
        if (verb == "route" && action == "set" && count != 2) {
            return usage("route set takes a site and a pool: fedctl route set SITE POOL");
        }
        if (action != "list" && count == 0) {
            return usage(what + " needs a " + (verb == "route" ? "site" : verb));
        }
        if (action != "list" && action != "set" && count > 1)
            return usage(what + " takes one name");
        if (action == "set" && count < 2) return usage(what + " needs ATTRIBUTE=VALUE");
        Json request{{"verb", verb}, {"action", action}};
        if (count > 0) {
            request["name"] = words.words.front();
            request["settings"] =
                std::vector<std::string>(words.words.begin() + 1, words.words.end());
        }
        add_options(request, words);
        return tell(request, !reads            ? show_commit
                             : verb == "route" ? show_routes
                             : verb == "pool"  ? show_pools
                                               : show_sites);
    }

    int config(const std::vector<std::string>& rest) {
        if (rest.empty())
            return usage("config needs log, diff, rollback, check, commit or confirm");
        const std::string& action = rest.front();
        if (!is_one_of(kConfigActions, action)) {
            return usage(unknown("config has no action", action, kConfigActions));
        }
        static constexpr std::string_view kChange[] = {"--dry-run", "--comment=", "--confirm="};
        const bool changes = action == "rollback" || action == "commit";
        Words words;
        std::string why;
        if (!cut_words(rest,
                       changes ? std::span<const std::string_view>(kChange)
                               : std::span<const std::string_view>(),
                       words, why)) {
            return usage(why);
        }
        const std::size_t count = words.words.size();
        if (action == "check" || action == "commit") {
            if (count != 1) return usage("config " + action + " takes one file");
            const bool dry = action == "check" || words.options.contains("--dry-run");
            std::vector<std::string> all{
                dry ? "--check" : "-p", words.words[0], "--save", "--comment",
                words.options.contains("--comment") ? words.options["--comment"]
                                                    : "settings of " + words.words[0]};
            if (words.options.contains("--confirm")) {
                all.insert(all.end(), {"--confirm", words.options["--confirm"]});
            }
            return run_sysctl_verb(terminal_, all);
        }
        Json request{{"verb", "config"}, {"action", action}};
        add_options(request, words);
        if (action == "confirm") {
            if (count != 0) return usage("config confirm takes nothing more");
            return tell(request, show_commit);
        }
        if (action == "log") {
            if (count != 0) return usage("config log takes nothing more");
            return tell(request, show_log);
        }
        std::uint64_t numbers[2] = {};
        const std::size_t most = action == "diff" ? 2 : 1;
        bool good = count >= 1 && count <= most;
        for (std::size_t i = 0; good && i < count; ++i) {
            good = read_number(words.words[i], numbers[i]);
        }
        if (!good) {
            return usage("config " + action + " takes the number of a commit" +
                         (most == 2 ? ", or of two" : "") + " (fedctl config log)");
        }
        request[action == "diff" ? "from" : "number"] = numbers[0];
        if (count == 2) request["to"] = numbers[1];
        if (action == "rollback") return tell(request, show_commit);
        return tell(request, [](const Json& answer) { return show_changes(answer, false); });
    }

    // The lines of an administrator of the reference.
    int cs(const std::vector<std::string>& rest) {
        const bool file = !rest.empty() && rest[0] == "-f";
        if (rest.size() != (file ? 2U : 1U)) {
            return usage("cs takes a line in quotes, or -f FILE: fedctl cs 'Get-CsUser'");
        }
        std::string text = rest.back();
        std::string why;
        if (file) {
            text.clear();
            if (!read_input(rest[1], text, why)) return fail(rest[1] + " " + why);
        }
        const CmdletsOutcome outcome = run_cmdlets(text, terminal_.ask);
        const bool good = outcome.why.empty();
        if (terminal_.json) {
            Json answer{{"ok", good},
                        {"objects", outcome.results},
                        {"commits", outcome.commits},
                        {"notes", outcome.notes}};
            if (!good) answer["error"] = outcome.why;
            out_ << write_json(answer) << "\n";
            return good ? kExitOk : kExitRefused;
        }
        for (const std::string& note : outcome.notes) {
            err_ << "note: " << for_terminal(note) << "\n";
        }
        out_ << for_terminal(outcome.out);
        return good ? kExitOk : fail(for_terminal(outcome.why));
    }
};

}  // namespace

int run_commit_verb(const ToolTerminal& terminal, const std::string& verb,
                    const std::vector<std::string>& rest) {
    return CommitVerbs(terminal).run(verb, rest);
}

}  // namespace fedgate::admin
