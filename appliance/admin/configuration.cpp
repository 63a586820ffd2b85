#include "appliance/admin/configuration.hpp"

#include <algorithm>
#include <map>

#include "appliance/admin/host.hpp"
#include "core/config/text.hpp"

namespace fedgate::admin {
namespace {

using config::Entry;
using config::Origin;
using config::Problems;
using config::Tree;

WallTime now() {
    return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

std::vector<Change> differences(const Tree& before, const Tree& after) {
    std::map<std::string, config::Path> names;
    for (const Entry& entry : before.all()) names.emplace(entry.path.name, entry.path);
    for (const Entry& entry : after.all()) names.emplace(entry.path.name, entry.path);
    std::vector<Change> changes;
    for (const auto& [name, path] : names) {
        Entry was = before.effective(path);
        Entry is = after.effective(path);
        if (was.value.text == is.value.text) continue;
        changes.push_back(
            {path, std::move(was.value.text), std::move(is.value.text), std::move(was.origin)});
    }
    return changes;
}

bool same(const Tree& a, const Tree& b) {
    return std::ranges::equal(a.entries(), b.entries(), [](const auto& one, const auto& other) {
        return one.first == other.first && one.second.value.text == other.second.value.text;
    });
}

// What a commit sets, changes or takes back.
std::vector<config::Path> touched(const Tree& before, const Tree& after, const Origin& origin) {
    std::vector<config::Path> paths;
    for (const auto& [name, entry] : after.entries()) {
        const Entry* old = before.find(name);
        if (old == nullptr || old->value.text != entry.value.text ||
            entry.origin.commit == origin.commit) {
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
    const std::uint64_t last = std::max(committed_.number, kept.empty() ? 0 : kept.back());
    return {Origin::Kind::kCommit, "", 0, last + 1};
}

const rules::Snapshot* Configuration::load(Problems& problems) {
    Layers next;
    files_ = config::load(sources_, next.files, problems);
    if (config::any_error(problems)) return nullptr;
    commits_ = Commits(next.files.text("dirs.state") + "/commits");
    const std::size_t before = problems.size();
    committed_ = commits_.latest(problems);
    for (std::size_t i = before; i < problems.size(); ++i) remarks_.push_back(problems[i].line());
    next.committed = committed_.settings;
    warn_of_overridden(next.files, next.committed, problems);
    std::vector<Change> changes;
    if (config::any_error(problems) ||
        !change(nullptr, std::move(next), false, problems, changes)) {
        return nullptr;
    }
    return snapshots_.back().get();
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
    return true;
}

bool Configuration::set(AdminHost& host, const std::vector<config::Setting>& settings, bool dry,
                        Problems& problems, std::vector<Change>& changes) {
    Layers next = layers_;
    config::apply(settings, next.runtime, problems);
    if (config::any_error(problems)) return false;
    return change(&host, std::move(next), dry, problems, changes, true);
}

bool Configuration::reset(AdminHost& host, const std::vector<std::string>& keys, Problems& problems,
                          std::vector<Change>& changes) {
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

Configuration::Layers Configuration::layers_with(const Tree& committed) const {
    Layers next = layers_;
    // The last word holds.
    for (const config::Path& path : touched(next.committed, committed, next_commit())) {
        next.runtime.reset(path);
    }
    next.committed = committed;
    return next;
}

Tree Configuration::with(const Tree& committed) const { return layers_with(committed).merged(); }

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
    const bool nothing = same(layers_.committed, committed);
    Layers next = layers_with(committed);
    Tree tree = next.merged();
    auto snapshot = check(tree, problems, changes);
    if (!snapshot) return false;
    std::string why = host.fault_of(*snapshot);
    if (!why.empty()) return refuse("", why);
    if (!changes.empty()) warn(host, *snapshot, problems);
    if (dry || (nothing && changes.empty())) return true;
    Commit made{origin.commit, note.author, now(), note.comment, std::move(committed)};
    if (!commits_.keep(made, why)) return refuse("", why);
    committed_ = std::move(made);
    put_in_force(&host, std::move(next), std::move(tree), std::move(snapshot));
    return true;
}

void Configuration::expire(AdminHost& host, WallTime time) {
    if (time < snapshot().valid_until) return;
    Problems problems;
    auto snapshot = rules::compile(tree_, generation_ + 1, problems, time);
    // It was good before, and has become less.
    if (snapshot) put_in_force(&host, layers_, tree_, std::move(snapshot));
}

std::unique_ptr<const rules::Snapshot> Configuration::check(const Tree& next, Problems& problems,
                                                            std::vector<Change>& changes) const {
    auto snapshot = rules::compile(next, generation_ + 1, problems, now());
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
    layers_ = std::move(layers);
    tree_ = std::move(tree);
    ++generation_;
    snapshots_.push_back(std::move(snapshot));
    if (host == nullptr) return;
    host->publish(*snapshots_.back());
    const std::uint64_t oldest = host->oldest_generation();
    while (snapshots_.size() > 1 && snapshots_.front()->generation < oldest) {
        snapshots_.erase(snapshots_.begin());
    }
}

}  // namespace fedgate::admin
