#include "appliance/admin/user_words.hpp"

#include <algorithm>
#include <span>
#include <sstream>
#include <string_view>

#include "appliance/admin/directory.hpp"
#include "appliance/admin/words.hpp"

namespace fedgate::admin {
namespace {

using KnownWords = std::span<const std::string_view>;

constexpr std::string_view kPolicyActions[] = {"list", "show", "new", "set", "remove"};
constexpr std::string_view kUserActions[] = {"list", "show", "import", "grant", "remove"};
constexpr std::string_view kChange[] = {"--dry-run", "--comment=", "--confirm="};
constexpr std::string_view kRemove[] = {"--dry-run", "--comment=", "--confirm=", "--force"};
constexpr std::string_view kList[] = {"--filter=", "--policy=", "--seen", "--addresses"};
constexpr std::string_view kImport[] = {"--dry-run",
                                        "--comment=", "--confirm=", "--policy=", "--ours-only"};

KnownWords options_of(const std::string& verb, const std::string& action) {
    if (action == "show") return {};
    if (action == "list") return verb == "user" ? KnownWords(kList) : KnownWords();
    if (verb == "policy" && action == "remove") return kRemove;
    return action == "import" ? KnownWords(kImport) : KnownWords(kChange);
}

// Empty, or what is wrong with the count of words.
std::string fault_of(const std::string& verb, const std::string& action, std::size_t count) {
    const std::string what = verb + " " + action;
    if (action == "list") return count == 0 ? "" : what + " takes no name; --filter GLOB chooses";
    if (verb == "policy") {
        if (count == 0) return what + " needs a policy";
        if (action == "set" && count == 1) return what + " needs ATTRIBUTE=VALUE";
        if (action == "show" && count > 1) return what + " takes one policy";
        return "";
    }
    if (action == "grant" && count < 2) {
        return "user grant takes a policy, or null, and who gets it: fedctl user grant POLICY "
               "ADDRESS...";
    }
    if (action == "import" && count != 1) return "user import takes one file (- is standard input)";
    if (count == 0) return what + " needs an address";
    return action == "show" && count > 1 ? what + " takes one address" : "";
}

}  // namespace

std::vector<std::string> addresses_of(const std::string& text) {
    std::vector<std::string> out;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string word;
        if (words >> word && !word.starts_with('#')) out.push_back(word);
    }
    return out;
}

bool rows_of(const std::string& text, Json& request, std::string& why) {
    Directory directory;
    if (!parse_directory(text, directory, why)) return false;
    Json rows = Json::array();
    for (const DirectoryUser& user : directory.users) {
        Json row{{"line", user.line}, {"address", user.address}};
        if (!user.name.empty()) row["name"] = user.name;
        if (!user.site.empty()) row["site"] = user.site;
        if (!user.policy.empty()) row["policy"] = user.policy;
        rows.push_back(std::move(row));
    }
    request["rows"] = std::move(rows);
    request["without_address"] = directory.without_address;
    return true;
}

WordsOutcome user_request(const std::string& verb, const std::vector<std::string>& rest,
                          const ReadInput& read, Json& request, std::string& why) {
    const KnownWords actions =
        verb == "policy" ? KnownWords(kPolicyActions) : KnownWords(kUserActions);
    if (rest.empty()) {
        for (const std::string_view action : actions) {
            why += (why.empty() ? "" : ", ") + std::string(action);
        }
        why = verb + " needs one of " + why + " (fedctl help)";
        return WordsOutcome::kUsage;
    }
    const std::string& action = rest.front();
    if (!is_one_of(actions, action)) {
        why = unknown(verb + " has no action", action, actions);
        return WordsOutcome::kUsage;
    }
    Words words;
    if (!cut_words(rest, options_of(verb, action), words, why)) return WordsOutcome::kUsage;
    why = fault_of(verb, action, words.words.size());
    if (!why.empty()) return WordsOutcome::kUsage;
    request = {{"verb", verb}, {"action", action}};
    add_options(request, words);
    std::vector<std::string>& list = words.words;
    if (verb == "policy") {
        const bool sets = action == "new" || action == "set";
        const auto split = sets ? list.begin() + 1 : list.end();
        request["names"] = std::vector<std::string>(list.begin(), split);
        request["settings"] = std::vector<std::string>(split, list.end());
        return WordsOutcome::kGood;
    }
    if (action == "import") {
        std::string text;
        if (!read(list[0], text, why)) {
            why = list[0] + " " + why;
            return WordsOutcome::kFailed;
        }
        if (rows_of(text, request, why)) return WordsOutcome::kGood;
        why = (list[0] == "-" ? std::string("standard input") : list[0]) + ": " + why;
        return WordsOutcome::kFailed;
    }
    if (action == "grant") {
        request["policy"] = list[0];
        list.erase(list.begin());
    }
    std::vector<std::string> users;
    for (const std::string& word : list) {
        if (word != "-") {
            users.push_back(word);
            continue;
        }
        std::string text;
        if (!read(word, text, why)) return WordsOutcome::kFailed;
        for (std::string& one : addresses_of(text)) users.push_back(std::move(one));
    }
    if (users.empty() && !list.empty()) {
        why = "there is no address on standard input";
        return WordsOutcome::kFailed;
    }
    request["users"] = users;
    return WordsOutcome::kGood;
}

}  // namespace fedgate::admin
