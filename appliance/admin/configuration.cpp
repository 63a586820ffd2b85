#include "appliance/admin/configuration.hpp"

#include <algorithm>
#include <map>
#include <ranges>

#include "appliance/admin/host.hpp"
#include "appliance/admin/wall_clock.hpp"
#include "core/base/limits.hpp"
#include "core/config/text.hpp"

namespace fedgate::admin {
namespace {

using config::Entry;
using config::Origin;
using config::Problems;
using config::Tree;

constexpr std::chrono::seconds kTryAgain(30);  // to use what could not be used
// What was not taken is asked for again this often, and told of as long as it still comes.
constexpr std::chrono::seconds kAskAgain(60);
constexpr std::chrono::seconds kToldOf = 3 * kAskAgain;
constexpr std::chrono::seconds kSignAgain(600);  // where the own certificate is not good either

// Where a template has changed, what is set in neither may differ, too.
bool is_template_changed(const Tree& before, const Tree& after) {
    const auto differs = [](const Tree& tree, const Tree& other) {
        return std::ranges::any_of(tree.entries(), [&other](const auto& one) {
            const auto& [name, entry] = one;
            const std::string_view pattern = config::template_of(entry.path.key->root());
            if (pattern.empty() || entry.path.instance != pattern) return false;
            const Entry* its = other.find(name);
            return its == nullptr || its->value.text != entry.value.text;
        });
    };
    return differs(before, after) || differs(after, before);
}

std::vector<Change> differences(const Tree& before, const Tree& after) {
    std::vector<Change> changes;
    const auto add = [&](const config::Path& path, const Entry& was, const Entry& is) {
        if (was.value.text == is.value.text) return;
        changes.push_back({path, was.value.text, is.value.text, was.origin});
    };
    if (is_template_changed(before, after)) {
        std::map<std::string, config::Path> names;
        for (const Tree* tree : {&before, &after}) {
            for (const auto& [name, entry] : tree->entries()) names.emplace(name, entry.path);
            for (const Entry& entry : tree->all()) names.emplace(entry.path.name, entry.path);
        }
        for (const auto& [name, path] : names) {
            add(path, before.effective(path), after.effective(path));
        }
        return changes;
    }
    // Both are sorted: side by side.
    auto was = before.entries().begin();
    auto is = after.entries().begin();
    while (was != before.entries().end() || is != after.entries().end()) {
        const bool gone = is == after.entries().end() ||
                          (was != before.entries().end() && was->first < is->first);
        const bool fresh = !gone && (was == before.entries().end() || is->first < was->first);
        if (gone) {
            const Entry& entry = was++->second;
            add(entry.path, entry, after.effective(entry.path));
        } else if (fresh) {
            const Entry& entry = is++->second;
            add(entry.path, before.effective(entry.path), entry);
        } else {
            const Entry& entry = is++->second;
            add(entry.path, was++->second, entry);
        }
    }
    return changes;
}

bool same(const Tree& a, const Tree& b) {
    return std::ranges::equal(a.entries(), b.entries(), [](const auto& one, const auto& other) {
        return one.first == other.first && one.second.value.text == other.second.value.text;
    });
}

// As far as all nodes have them.
bool same_of_pool(const Tree& a, const Tree& b) {
    const auto is_of_pool = [](const auto& one) {
        return config::scope_of(*one.second.path.key) == config::Scope::kPool;
    };
    return std::ranges::equal(
        a.entries() | std::views::filter(is_of_pool), b.entries() | std::views::filter(is_of_pool),
        [](const auto& one, const auto& other) {
            return one.first == other.first && one.second.value.text == other.second.value.text;
        });
}

// How what it changes was before it.
void note_before(const Tree& before, Commit& commit) {
    for (const auto& [name, entry] : commit.settings.entries()) {
        const Entry* old = before.find(name);
        if (old == nullptr) commit.not_set_before.push_back(name);
    }
    for (const auto& [name, entry] : before.entries()) {
        const Entry* now = commit.settings.find(name);
        Problems none;
        if (now != nullptr && now->value.text == entry.value.text &&
            now->origin.commit == entry.origin.commit) {
            continue;
        }
        static_cast<void>(commit.before.set(name, entry.value.text, entry.origin, none));
    }
}

// What a commit sets, changes or takes back.
std::vector<config::Path> touched(const Tree& before, const Tree& after, std::uint64_t number) {
    std::vector<config::Path> paths;
    for (const auto& [name, entry] : after.entries()) {
        const Entry* old = before.find(name);
        if (old == nullptr || old->value.text != entry.value.text ||
            entry.origin.commit == number) {
            paths.push_back(entry.path);
        }
    }
    for (const auto& [name, entry] : before.entries()) {
        if (after.find(name) == nullptr) paths.push_back(entry.path);
    }
    return paths;
}

// One warning for all: a file says something else than a commit, which holds.
void warn_of_overridden(const Tree& files, const Tree& committed, Problems& problems) {
    std::size_t count = 0;
    std::string first;
    for (const auto& [name, entry] : committed.entries()) {
        const Entry* below = files.find(name);
        if (below == nullptr || below->value.text == entry.value.text) continue;
        if (count++ == 0) first = name + " of " + below->origin.text();
    }
    if (count == 0) return;
    problems.push_back({true,
                        {},
                        "",
                        first + (count > 1 ? " and " + std::to_string(count - 1) + " more" : "") +
                            ": not in force, a commit stands over it (fedctl sysctl --diff)"});
}

void warn(AdminHost& host, const rules::Snapshot& next, Problems& problems) {
    for (std::string& text : host.warnings_of(next)) {
        problems.push_back({true, {}, "", std::move(text)});
    }
}

}  // namespace

Tree Configuration::Layers::merged() const {
    Tree tree = files;
    tree.overlay(committed);
    tree.overlay(runtime);
    return tree;
}

config::Origin Configuration::next_commit() const {
    const auto kept = commits_.numbers();
    const std::uint64_t last =
        std::max({committed_.number, held_.id.number, kept.empty() ? 0 : kept.back()});
    return {Origin::Kind::kCommit, "", 0, last + 1};
}

std::optional<std::chrono::seconds> Configuration::unconfirmed_for(WallTime time) const {
    if (!committed_.unconfirmed()) return std::nullopt;
    return std::max(committed_.take_back_at - time, std::chrono::seconds(0));
}

std::string Configuration::text_of(const std::string& peer, const NotTaken& one) {
    if (one.number == 0) return "what " + peer + " sent is no commit: " + one.why;
    return "commit " + std::to_string(one.number) + ", which " + peer +
           " sent, is not taken here: " + one.why;
}

std::vector<std::string> Configuration::remarks() const {
    std::vector<std::string> all = remarks_;
    const std::string number = std::to_string(held_.id.number);
    if (!held_.why.empty()) {
        all.push_back("commit " + number + " of the pool can't be used here: " + held_.why +
                      "; tried again every 30 s, and by fedctl reload");
    }
    for (const auto& [peer, one] : not_taken_) {
        all.push_back(text_of(peer, one) +
                      "; asked for again every 60 s, and when that may have changed");
    }
    if (const auto left = unconfirmed_for(wall_now())) {
        all.push_back("commit " + std::to_string(committed_.number) + " is taken back in " +
                      std::to_string(left->count()) + " s, unless fedctl config confirm is said");
    }
    if (const std::string why = why_not_set(wall_now()); !why.empty()) all.push_back(why);
    return all;
}

const rules::Snapshot* Configuration::load(Problems& problems) {
    Layers next;
    files_ = config::load(sources_, next.files, problems);
    if (config::any_error(problems)) return nullptr;
    commits_ = Commits(next.files.text("dirs.state") + "/commits");
    const std::size_t before = problems.size();
    committed_ = commits_.latest(problems);
    for (std::size_t i = before; i < problems.size(); ++i) remarks_.push_back(problems[i].line());
    if (committed_.unconfirmed() && committed_.take_back_at == WallTime{}) {
        committed_.take_back_at = wall_now() + std::chrono::duration_cast<std::chrono::seconds>(
                                                   committed_.confirm_within);
    }
    // What nobody has signed is this node's alone.
    const std::vector<std::uint64_t> kept = commits_.numbers();
    bool held = hold(committed_, commits_.published(committed_.number), "");
    for (auto number = kept.rbegin(); !held && number != kept.rend(); ++number) {
        Commit commit;
        std::string why;
        if (*number < committed_.number && commits_.read(*number, commit, why)) {
            held = hold(commit, commits_.published(*number), "");
        }
    }
    // One that was to be confirmed by now is not in force again, not even until the first turn.
    const bool overdue = unconfirmed_for(wall_now()) == std::chrono::seconds(0);
    next.committed = overdue ? committed_.taking_it_back().settings : committed_.settings;
    warn_of_overridden(next.files, next.committed, problems);
    std::vector<Change> changes;
    if (config::any_error(problems) ||
        !change(nullptr, std::move(next), false, problems, changes)) {
        return nullptr;
    }
    for (const Entry& entry : tree_.all()) {
        if (entry.path.key->apply != config::Apply::kRestart) continue;
        at_start_[entry.path.name] = entry.value.text;
    }
    return snapshots_.back().get();
}

std::vector<Configuration::Pending> Configuration::pending() const {
    std::vector<Pending> all;
    for (const Entry& entry : tree_.all()) {
        if (entry.path.key->apply != config::Apply::kRestart) continue;
        const auto found = at_start_.find(entry.path.name);
        const std::string running =
            found != at_start_.end() ? found->second : std::string(entry.path.key->fallback);
        if (running != entry.value.text) all.push_back({entry.path, running});
    }
    return all;
}

// Empty: nothing waits for a confirmation.
std::string Configuration::why_not_set(WallTime time) const {
    if (!trial_) return {};
    if (!trial_->why.empty()) {
        return "what was set live can't be taken back (" + trial_->why +
               "): correct that, or say fedctl sysctl confirm";
    }
    const auto left = std::max(trial_->take_back_at - time, std::chrono::seconds(0));
    return "what was set live is taken back in " + std::to_string(left.count()) +
           " s, unless fedctl sysctl confirm is said";
}

bool Configuration::confirm_set() {
    const bool waits = trial_.has_value();
    trial_.reset();
    return waits;
}

void Configuration::end_trial(AdminHost& host, WallTime time) {
    if (!trial_) return;
    // A clock that is set back does not stretch it.
    trial_->take_back_at = std::min(trial_->take_back_at, time + trial_->within);
    if (time < trial_->take_back_at) return;
    Layers next = layers_;
    next.runtime = trial_->before;
    Problems problems;
    std::vector<Change> changes;
    const bool good = change(&host, std::move(next), false, problems, changes);
    // What was good then may not be any more, with what was committed since: tried again.
    const std::string why = good || problems.empty() ? "" : problems.front().line();
    if (good || why != trial_->why) {
        host.note(EventId::kSettingsTakenBack, {{"changes", changes.size()}, {"error", why}});
    }
    trial_->why = why;
    if (good) trial_.reset();
}

bool Configuration::reload(AdminHost& host, Problems& problems, std::vector<Change>& changes) {
    Layers next = layers_;
    next.files = {};
    const std::size_t files = config::load(sources_, next.files, problems);
    warn_of_overridden(next.files, next.committed, problems);
    if (config::any_error(problems) || !change(&host, std::move(next), false, problems, changes)) {
        return false;
    }
    files_ = files;
    try_again(host);
    return true;
}

bool Configuration::take_restored(AdminHost& host, Problems& problems,
                                  std::vector<Change>& changes) {
    Configuration fresh(sources_);
    if (fresh.load(problems) == nullptr) return false;
    if (fresh.tree_.text("dirs.state") != tree_.text("dirs.state")) {
        problems.push_back({false, {}, "dirs.state", "is another one: stop the daemon for that"});
        return false;
    }
    if (!change(&host, std::move(fresh.layers_), false, problems, changes, true)) return false;
    files_ = fresh.files_;
    committed_ = std::move(fresh.committed_);
    remarks_ = std::move(fresh.remarks_);
    fresh.held_.asked = held_.asked + 1;
    held_ = std::move(fresh.held_);
    signed_until_.reset();
    not_taken_.clear();
    trial_.reset();
    return true;
}

bool Configuration::set(AdminHost& host, const std::vector<config::Setting>& settings, bool dry,
                        Problems& problems, std::vector<Change>& changes,
                        std::chrono::seconds confirm_within) {
    const std::string waits = dry ? std::string() : why_not_set(wall_now());
    if (!waits.empty()) {
        problems.push_back({false, {Origin::Kind::kRuntime, "", 0}, "", waits});
        return false;
    }
    Layers next = layers_;
    config::apply(settings, next.runtime, problems);
    if (config::any_error(problems)) return false;
    Tree before = layers_.runtime;
    if (!change(&host, std::move(next), dry, problems, changes, true)) return false;
    if (!dry && confirm_within.count() > 0 && !same(before, layers_.runtime)) {
        confirm_within += std::chrono::seconds(1);  // the present second has begun
        trial_ = Trial{std::move(before), wall_now() + confirm_within, confirm_within};
    }
    return true;
}

bool Configuration::reset(AdminHost& host, const std::vector<std::string>& keys, Problems& problems,
                          std::vector<Change>& changes) {
    if (std::string waits = why_not_set(wall_now()); !waits.empty()) {
        problems.push_back({false, {Origin::Kind::kRuntime, "", 0}, "", std::move(waits)});
        return false;
    }
    Layers next = layers_;
    for (const std::string& key : keys) {
        config::Path path;
        std::string why;
        if (config::resolve(key, path, why)) {
            next.runtime.reset(path);
        } else {
            problems.push_back({false, {Origin::Kind::kRuntime, "", 0}, key, why});
        }
    }
    if (config::any_error(problems)) return false;
    return change(&host, std::move(next), false, problems, changes, true);
}

Configuration::Layers Configuration::layers_with(const Tree& committed,
                                                 std::uint64_t number) const {
    Layers next{layers_.files, committed, layers_.runtime};
    if (next.runtime.entries().empty()) return next;
    // The last word holds.
    for (const config::Path& path : touched(layers_.committed, committed, number)) {
        next.runtime.reset(path);
    }
    return next;
}

Tree Configuration::with(const Tree& committed) const {
    return layers_with(committed, next_commit().commit).merged();
}

bool Configuration::commit(AdminHost& host, Tree committed, const Note& note, bool dry,
                           Problems& problems, std::vector<Change>& changes) {
    const Origin origin = next_commit();
    const auto refuse = [&](std::string key, std::string text) {
        problems.push_back({false, origin, std::move(key), std::move(text)});
        return false;
    };
    if (note.comment.size() > Commits::kCommentBytes || !config::is_text(note.comment)) {
        return refuse("", "the comment is longer than 1024 bytes, or not one line of UTF-8");
    }
    if (committed.find("dirs.state") != nullptr) {
        return refuse("dirs.state", "can't be committed: it says where commits are kept");
    }
    if (!held_.why.empty()) {
        return refuse("", "commit " + std::to_string(held_.id.number) +
                              " of the pool can't be used here (" + held_.why +
                              "), and nothing can be committed over it; do it at another node");
    }
    if (const auto left = unconfirmed_for(wall_now()); left && note.kind == Note::Kind::kChanges) {
        const std::string number = std::to_string(committed_.number);
        return refuse("", "commit " + number + " waits for fedctl config confirm, " +
                              std::to_string(left->count()) +
                              " s more; confirm it or roll it back before another one");
    }
    const bool anew = note.kind == Note::Kind::kSignsAnew;
    const bool confirms = note.kind == Note::Kind::kConfirms || anew;
    const bool for_all =
        confirms ? !committed_.proof.empty() : !same_of_pool(layers_.committed, committed);
    if (std::string not_here = host.why_not_for_all(); for_all && !not_here.empty()) {
        return refuse("", std::move(not_here));
    }
    const bool nothing = same(layers_.committed, committed);
    Layers next = layers_with(committed, origin.commit);
    Tree tree = next.merged();
    auto snapshot = check(tree, problems, changes);
    if (!snapshot) return false;
    std::string why = host.fault_of(*snapshot);
    if (!why.empty()) return refuse("", why);
    if (!changes.empty()) warn(host, *snapshot, problems);
    if (dry || (nothing && changes.empty() && !confirms)) return true;
    Commit made;
    made.number = origin.commit;
    made.author = note.author;
    made.time = wall_now();
    made.comment = note.comment;
    made.settings = std::move(committed);
    if (!for_all) made.rank = config::CommitRank::kOwnOnly;
    if (anew) made.rank = config::CommitRank::kAutomatic;  // any other one goes before it
    made.after = committed_.ancestors_of_next();
    if (note.confirm_within.count() > 0) {
        made.confirm_within = note.confirm_within;
        made.take_back_at = made.time + note.confirm_within;
        note_before(layers_.committed, made);
    }
    std::string published = Commits::write_published(made);
    if (published.size() > limits::kCommitBytes - limits::kCommitProofBytes) {
        return refuse("", "all that is committed is more than " +
                              std::to_string(limits::kCommitBytes >> 20) + " MiB");
    }
    made.proof = host.sign(published, why);
    if (!why.empty()) return refuse("", why);
    published += made.proof;
    if (!commits_.keep(made, published, why)) return refuse("", why);
    hold(made, published, "");
    committed_ = std::move(made);
    put_in_force(&host, std::move(next), std::move(tree), std::move(snapshot));
    return true;
}

// What others can take: what somebody has signed, or of what takes that back the same. Empty:
// nothing.
std::string Configuration::signed_text_of(const Commit& commit,
                                          const std::string& published) const {
    if (!commit.proof.empty()) return published;
    if (commit.rank != config::CommitRank::kAutomatic || commit.after.empty()) return {};
    const std::uint64_t number = commit.after.front().number;
    const bool here = held_.id == commit.id() || held_.id.number == number;
    if (here && held_.published != nullptr) return *held_.published;
    std::string text = commits_.published(number);
    return Commits::without_proof(text).size() == text.size() ? std::string() : text;
}

// False: others are not told of it.
bool Configuration::hold(const Commit& commit, const std::string& published, std::string why) {
    std::string text = signed_text_of(commit, published);
    if (text.empty()) return false;
    held_.id = commit.id();
    held_.published = std::make_shared<const std::string>(std::move(text));
    held_.take_back_at = commit.take_back_at;
    held_.in_force = why.empty() ? commit.number : committed_.number;
    held_.why = std::move(why);
    signed_until_.reset();
    return true;
}

// Machines that the world can reach make no commits of the pool: whoever takes one over must not
// say what is in force at all. Empty: it may.
std::string Configuration::fault_of_signer(AdminHost& host, const Received& received,
                                           const Commit& commit) const {
    const std::string_view published = Commits::without_proof(received.published);
    if (commit.proof.empty()) return "nobody has signed it";
    if (commit.proof.size() > limits::kCommitProofBytes) return "its signature is too long";
    const Signer signer = host.signer_of(published, commit.proof, commit.time);
    if (!signer.fault.empty()) return signer.fault;
    const auto is_signer = [&signer](std::string_view host_name) {
        return std::ranges::find(signer.names, config::lower_ascii(host_name)) !=
               signer.names.end();
    };
    std::string edge;
    for (const std::string& name : tree_.instances("pool")) {
        const bool of_edges = tree_.text("pool/*/kind", name) == "edge";
        for (const std::string& text : tree_.list("pool/*/members", name)) {
            const std::string host_name = config::parse_host_port(text)->host;
            if (!is_signer(host_name)) continue;
            if (!of_edges) return {};
            edge = host_name;
        }
    }
    for (const std::string& text : tree_.list("link.edges")) {
        const auto one = config::parse_host_port(text);
        for (const std::string& name : signer.names) {
            const bool below = one->port == 0 && name.ends_with("." + one->host);
            if (name == one->host || below) edge = name;
        }
    }
    // Whom a gateway dials.
    if (!snapshot().settings.edge && is_signer(received.peer)) edge = received.peer;
    if (edge.empty()) return {};
    return "it was made at " + edge + ", an edge, and edges make none for others";
}

bool Configuration::take(AdminHost& host, const Received& received, WallTime time,
                         std::string& why) {
    Commit commit;
    const bool taken = take_from(host, received, time, commit, why);
    if (taken) {
        not_taken_.erase(received.peer);
    } else {
        note_not_taken(received, commit, why, time);
    }
    forget_not_taken(time);
    return taken;
}

// What came of age, or was overtaken. Others are told of one.
void Configuration::forget_not_taken(WallTime time) {
    std::erase_if(not_taken_, [&](const auto& one) {
        const NotTaken& it = one.second;
        return time >= it.at + kToldOf || (it.number != 0 && it.number <= held_.in_force);
    });
    const auto is_commit = [](const auto& one) { return one.second.number != 0; };
    const auto at = std::ranges::find_if(not_taken_, is_commit);
    held_.not_taken = at == not_taken_.end() ? std::string() : text_of(at->first, at->second);
}

void Configuration::note_not_taken(const Received& received, const Commit& commit,
                                   const std::string& why, WallTime time) {
    if (!not_taken_.contains(received.peer) && not_taken_.size() >= limits::kTopologyNodes) return;
    if (not_taken_.empty()) asked_at_ = time;
    not_taken_[received.peer] = {commit.digest == Sha256Digest{} ? 0 : commit.number, why, time};
}

// Who has sent what was not taken is told again what there is here, and so sends it again.
void Configuration::ask_again(WallTime time) {
    if (not_taken_.empty()) return;
    asked_at_ = time;
    ++held_.asked;
    forget_not_taken(time);
}

bool Configuration::take_from(AdminHost& host, const Received& received, WallTime time,
                              Commit& commit, std::string& why) {
    // All of it is read when it is known who has made it.
    if (Commits::parse_published(received.published, commit, why, false) ==
        Commits::Outcome::kDamaged) {
        return false;
    }
    if (commit.id() <= held_.id) return true;
    const std::uint64_t newest = std::max(held_.id.number, committed_.number);
    if (commit.number > newest && commit.number - newest > limits::kCommitsAhead) {
        why = "its number, " + std::to_string(commit.number) + ", is more than " +
              std::to_string(limits::kCommitsAhead) + " above the newest one here";
        return false;
    }
    if (std::string fault = fault_of_signer(host, received, commit); !fault.empty()) {
        why = std::move(fault);
        return false;
    }
    const auto outcome = Commits::parse_published(received.published, commit, why);
    if (commit.unconfirmed()) {
        // Nobody has signed how much time is left: it is not less than by the clock here.
        const auto most = std::chrono::duration_cast<std::chrono::seconds>(commit.confirm_within);
        const std::chrono::seconds by_clock = commit.time + most - time;
        commit.take_back_at = time + std::min(std::max(received.left, by_clock), most);
    }
    if (outcome == Commits::Outcome::kGood) {
        add_own(host, commit);
        if (commit.unconfirmed() && commit.take_back_at <= time) {  // not even for a moment
            why = keep(host, commit, received.published);
            if (!why.empty()) return false;
            hold(commit, received.published, "");
            take_back(host, commit, time);
            return true;
        }
        accept(host, std::move(commit), received.published, time);
    } else {
        refuse(host, commit, received.published, why, time);
    }
    return true;
}

// From now on it is the one that others get of us, whatever can be done with it here.
void Configuration::accept(AdminHost& host, Commit commit, const std::string& published,
                           WallTime time) {
    const std::string why = use(host, commit, published);
    if (!why.empty()) return refuse(host, commit, published, why, time);
    host.note(EventId::kCommitTaken,
              {{"commit", commit.number}, {"author", commit.author}, {"comment", commit.comment}});
}

void Configuration::refuse(AdminHost& host, const Commit& commit, const std::string& published,
                           const std::string& why, WallTime time) {
    const bool known = held_.id == commit.id() && held_.why == why;
    hold(commit, published, why);
    tried_at_ = time;
    if (known) return;
    host.note(EventId::kCommitNotUsable,
              {{"commit", commit.number}, {"author", commit.author}, {"error", why}});
}

// What is committed of this node alone stays; but what waits for its confirmation does not become
// final by another one's commit.
void Configuration::add_own(AdminHost& host, Commit& commit) const {
    const bool waits = committed_.unconfirmed() && commit.id() != committed_.id();
    const bool confirms = waits && commit.number == committed_.number + 1 &&
                          commit.rank == config::CommitRank::kPerson &&
                          same_of_pool(committed_.settings, commit.settings);
    const Tree own = waits && !confirms ? committed_.taking_it_back().settings : layers_.committed;
    if (waits && !confirms && !same(config::Tree(own), layers_.committed)) {
        host.note(EventId::kCommitTakenBack, {{"commit", committed_.number},
                                              {"author", committed_.author},
                                              {"comment", committed_.comment}});
    }
    commit.settings.overlay(settings_of(own, config::Scope::kNode));
}

// Puts it in force. Else: why not.
std::string Configuration::use(AdminHost& host, Commit& commit, const std::string& published) {
    Layers next = layers_with(commit.settings, commit.number);
    Tree tree = next.merged();
    Problems problems;
    auto snapshot = rules::compile(tree, generation_ + 1, problems, wall_now());
    if (!snapshot) {
        const auto error = std::ranges::find(problems, false, &config::Problem::warning);
        return error->key + ": " + error->text;
    }
    std::string why = host.fault_of(*snapshot);
    if (!why.empty()) return why;
    why = keep(host, commit, published);
    if (!why.empty()) return why;
    hold(commit, published, "");
    committed_ = commit;
    tried_at_ = {};
    put_in_force(&host, std::move(next), std::move(tree), std::move(snapshot));
    return {};
}

// Empty, or why it can't be kept.
std::string Configuration::keep(AdminHost& host, const Commit& commit,
                                const std::string& published) {
    std::string why;
    const std::vector<std::uint64_t> gone = set_aside_before(host, commit);
    if (!commits_.keep(commit, published, why)) return why;
    for (const std::uint64_t number : gone) commits_.remove(number);
    return {};
}

// What does not stand before it in its own history gives way.
std::vector<std::uint64_t> Configuration::set_aside_before(AdminHost& host, const Commit& winner) {
    std::vector<std::uint64_t> gone;
    for (const std::uint64_t number : commits_.numbers()) {
        const auto its = std::ranges::find(winner.after, number, &Commit::Ancestor::number);
        Commit kept;
        std::string why;
        if (number < winner.number && its == winner.after.end()) continue;
        if (!commits_.read(number, kept, why)) continue;
        if (number < winner.number && kept.ancestors_of_next().front().digest == its->digest) {
            continue;
        }
        LostCommit lost;
        if (commits_.set_aside(kept, lost)) {
            host.note(EventId::kCommitGaveWay, {{"commit", lost.number},
                                                {"author", lost.author},
                                                {"comment", lost.comment},
                                                {"to", winner.number},
                                                {"of", winner.author},
                                                {"kept", lost.path}});
        }
        if (number != winner.number) gone.push_back(number);
    }
    return gone;
}

// Every node does this alone, and makes the same commit of it.
void Configuration::take_back(AdminHost& host, const Commit& unconfirmed, WallTime time) {
    Commit back = unconfirmed.taking_it_back();
    const std::string published = Commits::write_published(back);
    if (back.id() <= held_.id) return;
    host.note(EventId::kCommitTakenBack, {{"commit", unconfirmed.number},
                                          {"author", unconfirmed.author},
                                          {"comment", unconfirmed.comment}});
    accept(host, std::move(back), published, time);
}

void Configuration::try_again(AdminHost& host) {
    if (held_.why.empty() || held_.published == nullptr) return;
    Commit commit;
    std::string why;
    const std::string published = *held_.published;
    const WallTime time = wall_now();
    tried_at_ = time;
    if (Commits::parse_published(published, commit, why) != Commits::Outcome::kGood) return;
    commit.take_back_at = held_.take_back_at;
    add_own(host, commit);
    // It may be the one that is held, or what that one takes back.
    if (commit.unconfirmed() && (commit.take_back_at <= time || commit.number < held_.id.number)) {
        Commit back = commit.taking_it_back();
        const std::string text = Commits::write_published(back);
        return accept(host, std::move(back), text, time);
    }
    accept(host, std::move(commit), published, time);
}

// Whom nobody can believe any more who hears of it only now: the same once more, by this node. So
// an old commit is known to all by a certificate that is good, and an old certificate is good for
// nothing (README.md of the link).
void Configuration::sign_anew(AdminHost& host, WallTime time) {
    if (held_.published == nullptr || !held_.why.empty() || committed_.unconfirmed()) return;
    if (signed_until_ && time < *signed_until_) return;
    Commit held;
    std::string why;
    const std::string_view published = Commits::without_proof(*held_.published);
    static_cast<void>(Commits::parse_published(*held_.published, held, why, false));
    signed_until_ = host.signer_of(published, held.proof, held.time).good_until;
    if (time < *signed_until_) return;
    signed_until_ = time + kSignAgain;  // if it does not succeed
    if (!host.why_not_for_all().empty()) return;
    constexpr std::string_view kTrial = "# fedgate\n";
    const std::string proof = host.sign(kTrial, why);
    if (proof.empty()) return;
    const Signer own = host.signer_of(kTrial, proof, time);
    if (!own.fault.empty() || own.good_until <= time) return;
    Tree same = committed_.settings;
    Problems problems;
    std::vector<Change> changes;
    commit(host, std::move(same),
           {"fedgate", "signed anew: the certificate of " + held.signer() + " has expired",
            Note::Kind::kSignsAnew},
           false, problems, changes);
}

void Configuration::expire(AdminHost& host, WallTime time) {
    sign_anew(host, time);
    end_trial(host, time);
    if (committed_.unconfirmed()) {  // a clock that is set back does not stretch it
        const auto within =
            std::chrono::duration_cast<std::chrono::seconds>(committed_.confirm_within);
        committed_.take_back_at = std::min(committed_.take_back_at, time + within);
    }
    if (held_.why.empty() && unconfirmed_for(time) == std::chrono::seconds(0) &&
        time >= tried_at_ + kTryAgain) {
        take_back(host, Commit(committed_), time);
    }
    if (const std::uint64_t loaded = host.files_loaded(); files_loaded_ != loaded) {
        files_loaded_ = loaded;
        tried_at_ = {};
        ask_again(time);
    }
    if (!held_.why.empty() && time >= tried_at_ + kTryAgain) try_again(host);
    if (time >= asked_at_ + kAskAgain) ask_again(time);
    if (time < snapshot().valid_until) return;
    Problems problems;
    auto snapshot = rules::compile(tree_, generation_ + 1, problems, time);
    // It was good before, and has become less.
    if (snapshot) put_in_force(&host, layers_, tree_, std::move(snapshot));
}

std::unique_ptr<const rules::Snapshot> Configuration::check(const Tree& next, Problems& problems,
                                                            std::vector<Change>& changes) const {
    auto snapshot = rules::compile(next, generation_ + 1, problems, wall_now());
    if (snapshot) changes = differences(tree_, next);
    return snapshot;
}

bool Configuration::change(AdminHost* host, Layers next, bool dry, Problems& problems,
                           std::vector<Change>& changes, bool with_files) {
    Tree tree = next.merged();
    auto snapshot = check(tree, problems, changes);
    if (!snapshot) return false;
    const std::string fault = with_files ? host->fault_of(*snapshot) : std::string();
    if (!fault.empty()) {
        problems.push_back({false, {}, "", fault});
        return false;
    }
    if (with_files && !changes.empty()) warn(*host, *snapshot, problems);
    if (dry) return true;
    if (same(tree, tree_) && !snapshots_.empty()) {  // but for the origins
        layers_ = std::move(next);
        tree_ = std::move(tree);
        return true;
    }
    put_in_force(host, std::move(next), std::move(tree), std::move(snapshot));
    return true;
}

void Configuration::put_in_force(AdminHost* host, Layers layers, Tree tree,
                                 std::unique_ptr<const rules::Snapshot> snapshot) {
    if (trial_) {  // where something is committed, what was set live before does not come back
        for (const config::Path& path :
             touched(layers_.committed, layers.committed, committed_.number)) {
            trial_->before.reset(path);
        }
    }
    layers_ = std::move(layers);
    tree_ = std::move(tree);
    ++generation_;
    snapshots_.push_back(std::move(snapshot));
    if (host == nullptr) return;
    tried_at_ = {};  // the cause may have gone
    ask_again(wall_now());
    host->publish(*snapshots_.back());
    const std::uint64_t oldest = host->oldest_generation();
    while (snapshots_.size() > 1 && snapshots_.front()->generation < oldest) {
        snapshots_.erase(snapshots_.begin());
    }
}

}  // namespace fedgate::admin
