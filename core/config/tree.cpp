#include "core/config/tree.hpp"

#include <algorithm>

#include "core/base/check.hpp"

namespace fedgate::config {
namespace {

constexpr std::size_t kEntries = 1'000'000;  // settings in one tree; above: refused

Path path_of(const Key& key, std::string_view instance) {
    Path path{&key, std::string(instance), std::string(key.name)};
    if (key.is_pattern()) path.name.replace(path.name.find('*'), 1, instance);
    return path;
}

const Key& catalogue(std::string_view name) {
    const auto all = keys();
    const auto found = std::ranges::lower_bound(all, name, {}, &Key::name);
    FEDGATE_CHECK(found != all.end() && found->name == name);
    return *found;
}

// Each default is parsed once.
const Value& fallback_of(const Key& key) {
    static const std::vector<Value> all = [] {
        std::vector<Value> values;
        for (const Key& one : keys()) {
            std::string why;
            FEDGATE_CHECK(parse_value(one, one.fallback, values.emplace_back(), why));
        }
        return values;
    }();
    return all[static_cast<std::size_t>(&key - keys().data())];
}

}  // namespace

std::string Origin::text() const {
    switch (kind) {
        case Kind::kDefault: return "default";
        case Kind::kFile: return file + ":" + std::to_string(line);
        case Kind::kCommandLine: return "command line";
        case Kind::kCommit: return "commit " + std::to_string(commit);
        case Kind::kRuntime:
            return file.empty() ? "runtime" : "runtime, from " + file + ":" + std::to_string(line);
    }
    return "";
}

std::string Problem::line() const {
    std::string out;
    if (!origin.file.empty() && origin.line != 0) {
        out = origin.file + ":" + std::to_string(origin.line) + ": ";
    } else if (origin.kind != Origin::Kind::kDefault) {
        out = origin.text() + ": ";
    }
    out += warning ? "warning: " : "error: ";
    if (!key.empty()) out += key + ": ";
    return out + text;
}

bool any_error(const Problems& problems) {
    return std::ranges::any_of(problems, [](const Problem& problem) { return !problem.warning; });
}

bool Tree::set(std::string_view typed, std::string_view text, const Origin& origin,
               Problems& problems) {
    Entry entry;
    std::string why;
    if (!resolve(typed, entry.path, why)) {
        problems.push_back({false, origin, std::string(typed), why});
        return false;
    }
    if (!parse_value(*entry.path.key, text, entry.value, why)) {
        problems.push_back({false, origin, entry.path.name, why});
        return false;
    }
    if (entries_.size() == kEntries && !entries_.contains(entry.path.name)) {
        problems.push_back({false, origin, entry.path.name, "too many settings"});
        return false;
    }
    entry.origin = origin;
    entries_.insert_or_assign(entry.path.name, std::move(entry));
    return true;
}

void Tree::overlay(const Tree& above) {
    for (const auto& [name, entry] : above.entries_) entries_.insert_or_assign(name, entry);
}

bool Tree::reset(const Path& path) { return entries_.erase(path.name) != 0; }

const Entry* Tree::find(std::string_view name) const {
    const auto found = entries_.find(name);
    return found == entries_.end() ? nullptr : &found->second;
}

Entry Tree::effective(const Path& path) const {
    if (const Entry* set = find(path.name)) return *set;
    const Key& key = *path.key;
    Entry entry;
    entry.path = path;
    const std::string_view pattern = template_of(key.root());
    if (key.is_pattern() && !pattern.empty() && path.instance != pattern) {
        if (const Entry* set = find(path_of(key, pattern).name)) {
            entry.value = set->value;
            entry.origin = set->origin;
            return entry;
        }
    }
    entry.value = fallback_of(key);
    return entry;
}

std::vector<std::string> Tree::instances(std::string_view root) const {
    std::vector<std::string> names;
    for (auto at = entries_.lower_bound(root); at != entries_.end(); ++at) {
        if (!at->first.starts_with(root)) break;
        const Path& path = at->second.path;
        if (path.key->root() != root || !path.key->is_pattern()) continue;
        if (names.empty() || names.back() != path.instance) names.push_back(path.instance);
    }
    // Names sort as `a-b/x` < `a/x`: one instance need not lie together.
    std::ranges::sort(names);
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
}

std::vector<Entry> Tree::all() const {
    std::vector<Entry> out;
    for (const Key& key : keys()) {
        if (!key.is_pattern()) {
            out.push_back(effective(path_of(key, {})));
            continue;
        }
        const auto of_root = instances(key.root());
        for (const std::string& instance : of_root) {
            out.push_back(effective(path_of(key, instance)));
        }
        // Cores are there whatever is set.
        if (key.root() == "core" && !std::ranges::binary_search(of_root, "*")) {
            out.push_back(effective(path_of(key, "*")));
        }
    }
    std::ranges::sort(out, {},
                      [](const Entry& entry) -> const std::string& { return entry.path.name; });
    return out;
}

namespace {

// As Tree::effective() has it, without a copy.
const Value& value_of(const Tree& tree, const Key& key, std::string_view instance) {
    if (const Entry* set = tree.find(path_of(key, instance).name)) return set->value;
    const std::string_view pattern = template_of(key.root());
    if (key.is_pattern() && !pattern.empty() && instance != pattern) {
        if (const Entry* set = tree.find(path_of(key, pattern).name)) return set->value;
    }
    return fallback_of(key);
}

const Value& read(const Tree& tree, std::string_view name, std::string_view instance,
                  std::initializer_list<Type> types) {
    const Key& key = catalogue(name);
    FEDGATE_CHECK(std::ranges::find(types, key.type) != types.end());
    return value_of(tree, key, instance);
}

}  // namespace

bool Tree::flag(std::string_view name, std::string_view instance) const {
    return read(*this, name, instance, {Type::kBool}).number != 0;
}

std::int64_t Tree::number(std::string_view name, std::string_view instance) const {
    return read(*this, name, instance, {Type::kInteger, Type::kSize, Type::kEnum}).number;
}

Duration Tree::duration(std::string_view name, std::string_view instance) const {
    return Duration(read(*this, name, instance, {Type::kDuration}).number);
}

Rate Tree::rate(std::string_view name, std::string_view instance) const {
    const Value& value = read(*this, name, instance, {Type::kRate});
    return {static_cast<std::uint64_t>(value.number), value.per};
}

std::string Tree::text(std::string_view name, std::string_view instance) const {
    return value_of(*this, catalogue(name), instance).text;
}

std::vector<std::string> Tree::list(std::string_view name, std::string_view instance) const {
    return value_of(*this, catalogue(name), instance).items;
}

}  // namespace fedgate::config
