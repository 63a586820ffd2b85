#include "appliance/admin/verbs.hpp"

#include <utility>

#include "core/config/text.hpp"

namespace fedgate::admin {

using config::Problem;
using config::Problems;
using config::Tree;

Verbs::Verbs(const Json& request, const std::string& author, AdminHost& host,
             Configuration& configuration)
    : request_(request),
      author_(author),
      host_(host),
      configuration_(configuration),
      tree_(configuration.tree()),
      verb_(string_of(request, "verb")),
      action_(string_of(request, "action")),
      origin_(configuration.next_commit()) {}

std::string Verbs::put(Tree& next, std::string_view key, std::string_view value) const {
    Problems problems;
    return next.set(key, value, origin_, problems) ? std::string() : problems.front().text;
}

Json Verbs::commit(Tree next, std::string words, const std::string& done,
                   const std::vector<std::string>& subjects, const Concerns& concerns) {
    const bool dry = bool_of(request_, "dry_run");
    Note note{author_, string_of(request_, "comment")};
    if (note.comment.empty()) {
        if (words.size() > Commits::kCommentBytes) words.resize(Commits::kCommentBytes);
        note.comment = config::is_text(words) ? std::move(words) : verb_ + " " + action_;
    }
    std::string why;
    if (!read_confirm(request_, note.confirm_within, why)) return refusal(why);
    Problems problems;
    std::vector<Change> changes;
    const bool good = configuration_.commit(host_, std::move(next), note, dry, problems, changes);
    std::erase_if(problems, [&concerns](const Problem& problem) {
        return problem.warning && !concerns(problem.key);
    });
    const std::size_t count = changes.size();
    const std::uint64_t most = number_of(request_, "changes_most");
    if (most > 0 && most < count) {
        changes.erase(changes.begin() + static_cast<std::ptrdiff_t>(most), changes.end());
    }
    Json answer = commit_answer(good, dry, problems, changes, configuration_);
    if (!good) return answer;
    answer["changes_count"] = count;
    answer["done"] = done;
    answer["domains"] = subjects;
    return answer;
}

Json Verbs::set_live(const std::string& key) {
    return refusal(key + " was set live only; 'fedctl sysctl --reset " + key + "' takes it back");
}

Json Verbs::no_action() const {
    return refusal(verb_ + " has no action '" + action_.substr(0, 64) + "'");
}

}  // namespace fedgate::admin
