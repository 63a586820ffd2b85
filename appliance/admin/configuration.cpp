#include "appliance/admin/configuration.hpp"

#include <map>

#include "appliance/admin/host.hpp"

namespace fedgate::admin {
namespace {

using config::Entry;
using config::Origin;
using config::Problems;
using config::Tree;

std::vector<Change> differences(const Tree& before, const Tree& after) {
    std::map<std::string, config::Path> names;
    for (const Entry& entry : before.all()) names.emplace(entry.path.name, entry.path);
    for (const Entry& entry : after.all()) names.emplace(entry.path.name, entry.path);
    std::vector<Change> changes;
    for (const auto& [name, path] : names) {
        std::string old_text = before.effective(path).value.text;
        std::string new_text = after.effective(path).value.text;
        if (old_text != new_text) {
            changes.push_back({path, std::move(old_text), std::move(new_text)});
        }
    }
    return changes;
}

}  // namespace

const rules::Snapshot* Configuration::load(Problems& problems) {
    Tree tree;
    files_ = config::load(sources_, tree, problems);
    if (config::any_error(problems)) return nullptr;
    std::vector<Change> changes;
    if (!commit(nullptr, std::move(tree), false, problems, changes)) return nullptr;
    return snapshots_.back().get();
}

bool Configuration::reload(AdminHost& host, Problems& problems, std::vector<Change>& changes) {
    Tree next;
    const std::size_t files = config::load(sources_, next, problems);
    for (const auto& [name, entry] : tree_.entries()) {
        if (entry.origin.kind == Origin::Kind::kRuntime) {
            next.set(name, entry.value.text, entry.origin, problems);
        }
    }
    if (config::any_error(problems) || !commit(&host, std::move(next), false, problems, changes)) {
        return false;
    }
    files_ = files;
    return true;
}

bool Configuration::set(AdminHost& host, const std::vector<config::Setting>& settings, bool dry,
                        Problems& problems, std::vector<Change>& changes) {
    Tree next = tree_;
    config::apply(settings, next, problems);
    if (config::any_error(problems)) return false;
    return commit(&host, std::move(next), dry, problems, changes);
}

bool Configuration::reset(AdminHost& host, const std::vector<std::string>& keys, Problems& problems,
                          std::vector<Change>& changes) {
    Tree filed;
    Problems of_files;  // they were said at start and at each reload
    config::load(sources_, filed, of_files);
    Tree next = tree_;
    for (const std::string& key : keys) {
        config::Path path;
        std::string why;
        if (!config::resolve(key, path, why)) {
            problems.push_back({false, {Origin::Kind::kRuntime, "", 0}, key, why});
            continue;
        }
        next.reset(path);
        if (const Entry* entry = filed.find(path.name)) {
            next.set(path.name, entry->value.text, entry->origin, problems);
        }
    }
    if (config::any_error(problems)) return false;
    return commit(&host, std::move(next), false, problems, changes);
}

bool Configuration::commit(AdminHost* host, Tree next, bool dry, Problems& problems,
                           std::vector<Change>& changes) {
    auto snapshot = rules::compile(next, generation_ + 1, problems);
    if (!snapshot) return false;
    changes = differences(tree_, next);
    if (dry) return true;
    tree_ = std::move(next);
    if (changes.empty() && !snapshots_.empty()) return true;
    ++generation_;
    snapshots_.push_back(std::move(snapshot));
    if (host != nullptr) {
        host->publish(*snapshots_.back());
        forget_old(*host);
    }
    return true;
}

void Configuration::forget_old(AdminHost& host) {
    const std::uint64_t oldest = host.oldest_generation();
    while (snapshots_.size() > 1 && snapshots_.front()->generation < oldest) {
        snapshots_.erase(snapshots_.begin());
    }
}

}  // namespace fedgate::admin
