#include "appliance/admin/commits.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <map>
#include <sys/stat.h>
#include <tuple>
#include <unistd.h>

#include "core/base/file.hpp"
#include "core/base/hash.hpp"
#include "core/config/file.hpp"
#include "core/config/text.hpp"
#include "core/config/timestamp.hpp"

namespace fedgate::admin {
namespace {

using config::Origin;
using config::Problems;

constexpr std::string_view kSuffix = ".conf";
constexpr std::string_view kLost = ".lost-";
constexpr std::string_view kDigest = "# fedgate commit, sha256 of what follows: ";
constexpr std::string_view kOwnDigest = "# this node's own, sha256 of what follows: ";
constexpr std::string_view kNumber = "# number: ";
constexpr std::string_view kAuthor = "# author: ";
constexpr std::string_view kTime = "# time: ";
constexpr std::string_view kComment = "# comment: ";
constexpr std::string_view kRank = "# rank: ";
constexpr std::string_view kAfter = "# after: ";
constexpr std::string_view kConfirm = "# seconds to confirm it: ";
constexpr std::string_view kTakeBack = "# taken back here at: ";
constexpr std::string_view kSetBy = "# set by commit ";
constexpr std::string_view kBefore = "# before, set by commit ";
constexpr std::string_view kNotBefore = "# before, not set: ";
constexpr std::string_view kSigned = "# signed by: ";
constexpr std::string_view kProofDigest = "# sha256 of who signed it: ";
// Counted one by one, nobody gets there; and there is a next one.
constexpr std::uint64_t kNumberMax = 1'000'000'000'000'000;
constexpr std::uint64_t kConfirmSecondsMax = 7 * 86'400;

template <typename T>
bool parse_number(std::string_view text, T& number) {
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    return error == std::errc{} && stop == end;
}

std::string hex_of(const Sha256Digest& digest) {
    const auto hex = to_hex(digest);
    return {hex.data(), hex.size()};
}

std::string digest_line(std::string_view name, std::string_view rest) {
    return std::string(name) + hex_of(sha256({rest})) + "\n";
}

bool is_of(const std::string& name, config::Scope scope) {
    config::Path path;
    std::string why;
    return config::resolve(name, path, why) && config::scope_of(*path.key) == scope;
}

void write_settings(std::string& text, const Commit& commit, config::Scope scope) {
    std::map<std::uint64_t, std::string> by_commit;
    for (const auto& [name, entry] : commit.settings.entries()) {
        if (config::scope_of(*entry.path.key) != scope) continue;
        std::string& lines = by_commit[entry.origin.commit];
        lines.append(name).append(" = ").append(entry.value.text).append("\n");
    }
    for (const auto& [number, lines] : by_commit) {
        text.append(kSetBy).append(std::to_string(number)).append("\n").append(lines);
    }
    for (const auto& [name, entry] : commit.before.entries()) {
        if (config::scope_of(*entry.path.key) != scope) continue;
        text.append(kBefore).append(std::to_string(entry.origin.commit));
        text.append(": ").append(name).append(" = ").append(entry.value.text).append("\n");
    }
    for (const std::string& name : commit.not_set_before) {
        if (is_of(name, scope)) text.append(kNotBefore).append(name).append("\n");
    }
}

std::string write_own(const Commit& commit) {
    std::string text;
    if (!commit.proof.empty()) {
        text.append(kProofDigest).append(hex_of(sha256({commit.proof}))).append("\n");
    }
    if (commit.unconfirmed()) {
        text.append(kTakeBack).append(config::format_time(commit.take_back_at)).append("\n");
    }
    write_settings(text, commit, config::Scope::kNode);
    return text.empty() ? text : digest_line(kOwnDigest, text) + text;
}

// The front of a file that others get; behind it is what is the node's own.
std::string_view published_part(std::string_view text) {
    const std::size_t own = text.find("\n" + std::string(kOwnDigest));
    return text.substr(0, own == std::string_view::npos ? own : own + 1);
}

std::string with_errno(const std::string& path, const char* what) {
    return path + " can't be " + what + ": " + std::strerror(errno);
}

bool write_all(int file, std::string_view text) {
    while (!text.empty()) {
        const ssize_t size = write(file, text.data(), text.size());
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0) return false;
        text.remove_prefix(static_cast<std::size_t>(size));
    }
    return true;
}

// What is in a directory is there after a crash only when the directory was synced.
bool sync_directory(const std::string& path) {
    const int directory = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return false;
    const bool done = fsync(directory) == 0;
    close(directory);
    return done;
}

bool write_file(const std::string& path, std::string_view text, std::string& why) {
    const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0) {
        why = with_errno(path, "made");
        return false;
    }
    const bool done = write_all(file, text) && fsync(file) == 0;
    if (!done) why = with_errno(path, "written");
    close(file);
    return done;
}

// A line of a header, or of the body; `rest` goes on behind it.
std::string_view take_line(std::string_view& rest) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return line;
}

}  // namespace

std::string Commits::path(std::uint64_t number) const {
    return directory_ + "/" + std::to_string(number) + std::string(kSuffix);
}

std::vector<std::uint64_t> Commits::numbers() const {
    std::vector<std::uint64_t> found;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(directory_, error)) {
        std::string name = entry.path().filename().string();
        std::uint64_t number = 0;
        if (!name.ends_with(kSuffix)) continue;
        name.resize(name.size() - kSuffix.size());
        if (parse_number(name, number) && number != 0) found.push_back(number);
    }
    std::ranges::sort(found);
    return found;
}

namespace {

using Outcome = Commits::Outcome;

// Reads lines of a commit, and what stands in them; the first that is wrong ends it.
class LineReader {
public:
    LineReader(Commit& commit, std::string& why) : commit_(commit), why_(why) {}

    // with_settings: or the header alone, which costs little.
    Outcome read(std::string_view text, std::string_view digest_name, Sha256Digest* digest,
                 bool with_settings = true) {
        const std::string first = std::string(take_line(text)) + "\n";
        if (first != digest_line(digest_name, text)) {
            why_ = "it is damaged: its digest does not match";
            return Outcome::kDamaged;
        }
        if (digest != nullptr) *digest = sha256({text});
        Outcome outcome = Outcome::kGood;
        // All of the header is read, so that it is known which commit it is that can't be used.
        while (!text.empty() && outcome != Outcome::kDamaged) {
            const Outcome line =
                read_line(take_line(text), with_settings && outcome == Outcome::kGood);
            if (line != Outcome::kGood) outcome = line;
        }
        if (outcome == Outcome::kDamaged) why_ = "a line of its header is not valid";
        return outcome;
    }

private:
    Outcome read_line(std::string_view line, bool settings) {
        const auto value = [line](std::string_view name) { return line.substr(name.size()); };
        const auto is = [line](std::string_view name) { return line.starts_with(name); };
        const auto good = [](bool yes) { return yes ? Outcome::kGood : Outcome::kDamaged; };
        if (!is("#")) return settings ? set(commit_.settings, line) : Outcome::kGood;
        if (is(kSetBy)) return good(parse_number(value(kSetBy), origin_.commit));
        if (is(kNumber)) {
            return good(parse_number(value(kNumber), commit_.number) &&
                        commit_.number <= kNumberMax);
        }
        if (is(kAuthor)) {
            commit_.author = value(kAuthor);
            return good(is_line(commit_.author, Commits::kAuthorBytes));
        }
        if (is(kTime)) {
            const auto time = config::parse_time(value(kTime));
            commit_.time = time.value_or(WallTime{});
            return good(time.has_value());
        }
        if (is(kComment)) {
            commit_.comment = value(kComment);
            return good(is_line(commit_.comment, Commits::kCommentBytes));
        }
        if (is(kRank)) {
            unsigned rank = 0;
            const bool known = parse_number(value(kRank), rank) &&
                               rank <= static_cast<unsigned>(config::CommitRank::kPerson);
            if (known) commit_.rank = static_cast<config::CommitRank>(rank);
            return good(known);
        }
        if (is(kAfter)) return good(read_ancestor(value(kAfter)));
        if (is(kConfirm)) {
            std::uint64_t seconds = 0;
            const bool fits = parse_number(value(kConfirm), seconds) && seconds > 0 &&
                              seconds <= kConfirmSecondsMax;
            if (fits) commit_.confirm_within = std::chrono::seconds(seconds);
            return good(fits);
        }
        if (is(kProofDigest)) return good(value(kProofDigest) == hex_of(sha256({commit_.proof})));
        if (is(kTakeBack)) {
            const auto time = config::parse_time(value(kTakeBack));
            commit_.take_back_at = time.value_or(WallTime{});
            return good(time.has_value());
        }
        if (is(kNotBefore)) {
            if (settings) commit_.not_set_before.emplace_back(value(kNotBefore));
            return Outcome::kGood;
        }
        if (is(kBefore)) {
            const std::string_view rest = value(kBefore);
            const std::size_t colon = std::min(rest.find(": "), rest.size());
            if (colon == rest.size()) return Outcome::kDamaged;
            if (!parse_number(rest.substr(0, colon), origin_.commit)) return Outcome::kDamaged;
            return settings ? set(commit_.before, rest.substr(colon + 2)) : Outcome::kGood;
        }
        if (settings) why_ = "this version does not understand it: " + config::in_quotes(line);
        return Outcome::kNotUnderstood;
    }

    Outcome set(config::Tree& tree, std::string_view line) {
        config::Setting setting;
        Problems problems;
        if (!config::parse_assignment(line, origin_, setting, why_)) return Outcome::kNotUnderstood;
        if (tree.set(setting.key, setting.value, origin_, problems)) return Outcome::kGood;
        why_ = "this version does not understand it: " + problems.front().key + ": " +
               problems.front().text;
        return Outcome::kNotUnderstood;
    }

    bool read_ancestor(std::string_view text) {
        Commit::Ancestor ancestor;
        const std::size_t blank = std::min(text.find(' '), text.size());
        if (!parse_number(text.substr(0, blank), ancestor.number)) return false;
        ancestor.digest = text.substr(std::min(blank + 1, text.size()));
        if (ancestor.digest.size() != Commits::kDigestDigits) return false;
        if (commit_.after.size() < Commits::kKept) commit_.after.push_back(std::move(ancestor));
        return true;
    }

    static bool is_line(const std::string& text, std::size_t bytes_max) {
        return text.size() <= bytes_max && config::is_text(text);
    }

    Commit& commit_;
    std::string& why_;
    Origin origin_{Origin::Kind::kCommit, "", 0};
};

// A whole file.
Outcome parse_file(std::string_view text, Commit& commit, std::string& why) {
    const std::string_view front = published_part(text);
    const std::string_view own = text.substr(front.size());
    const std::string_view published = Commits::without_proof(front);
    commit.proof = front.substr(published.size());
    LineReader reader(commit, why);
    const Outcome outcome = reader.read(published, kDigest, &commit.digest);
    if (outcome == Outcome::kGood && own.empty() && !commit.proof.empty()) {
        why = "it is damaged: it ends too early";
        return Outcome::kDamaged;
    }
    if (outcome != Outcome::kGood || own.empty()) return outcome;
    return reader.read(own, kOwnDigest, nullptr);
}

}  // namespace

config::Tree settings_of(const config::Tree& tree, config::Scope scope) {
    config::Tree some = tree;
    for (const auto& [name, entry] : tree.entries()) {
        if (config::scope_of(*entry.path.key) != scope) some.reset(entry.path);
    }
    return some;
}

std::vector<Commit::Ancestor> Commit::ancestors_of_next() const {
    std::vector<Ancestor> all;
    if (number == 0) return all;
    all.push_back({number, hex_of(digest).substr(0, Commits::kDigestDigits)});
    for (const Ancestor& one : after) {
        if (all.size() < Commits::kKept) all.push_back(one);
    }
    return all;
}

Commit Commit::taking_it_back() const {
    const auto within = std::chrono::duration_cast<std::chrono::seconds>(confirm_within);
    Commit back;
    back.number = number + 1;
    back.author = "fedgate";
    back.time = time + within;
    back.comment = "commit " + std::to_string(number) + " was not confirmed within " +
                   std::to_string(within.count()) + " s";
    back.rank = config::CommitRank::kAutomatic;
    back.after = ancestors_of_next();
    back.settings = settings;
    back.settings.overlay(before);
    for (const std::string& name : not_set_before) {
        config::Path path;
        std::string why;
        if (config::resolve(name, path, why)) back.settings.reset(path);
    }
    return back;
}

std::string Commit::signer() const {
    std::string_view rest = proof;
    const std::string_view line = take_line(rest);
    return line.starts_with(kSigned) ? std::string(line.substr(kSigned.size())) : std::string();
}

std::string_view Commits::without_proof(std::string_view text) {
    const std::size_t proof = text.find("\n" + std::string(kSigned));
    return text.substr(0, proof == std::string_view::npos ? proof : proof + 1);
}

std::string Commits::write_published(Commit& commit) {
    std::string text = std::string(kNumber) + std::to_string(commit.number) + "\n";
    text.append(kAuthor).append(commit.author).append("\n");
    text.append(kTime).append(config::format_time(commit.time)).append("\n");
    text.append(kComment).append(commit.comment).append("\n");
    text.append(kRank).append(std::to_string(static_cast<unsigned>(commit.rank))).append("\n");
    if (commit.unconfirmed()) {
        const auto time = std::chrono::duration_cast<std::chrono::seconds>(commit.confirm_within);
        text.append(kConfirm).append(std::to_string(time.count())).append("\n");
    }
    for (const Commit::Ancestor& one : commit.after) {
        text.append(kAfter).append(std::to_string(one.number)).append(" ");
        text.append(one.digest).append("\n");
    }
    write_settings(text, commit, config::Scope::kPool);
    commit.digest = sha256({text});
    return digest_line(kDigest, text) + text;
}

Commits::Outcome Commits::parse_published(std::string_view text, Commit& commit, std::string& why,
                                          bool with_settings) {
    const std::string_view published = without_proof(text);
    commit = {};
    commit.proof = text.substr(published.size());
    Outcome outcome =
        LineReader(commit, why).read(published, kDigest, &commit.digest, with_settings);
    if (outcome != Outcome::kDamaged && (commit.number == 0 || commit.time == WallTime{})) {
        why = "it has no number or no time";
        outcome = Outcome::kDamaged;
    }
    commit.settings = settings_of(commit.settings, config::Scope::kPool);
    commit.before = settings_of(commit.before, config::Scope::kPool);
    std::erase_if(commit.not_set_before,
                  [](const std::string& name) { return !is_of(name, config::Scope::kPool); });
    return outcome;
}

std::string Commits::published(std::uint64_t number) const {
    std::string text;
    std::string why;
    if (!read_file(path(number), text, why)) return {};
    return std::string(published_part(text));
}

bool Commits::read(std::uint64_t number, Commit& commit, std::string& why) const {
    std::string text;
    if (number == 0) {
        commit = {};
        return true;
    }
    if (!read_file(path(number), text, why)) {
        why = "there is no commit " + std::to_string(number) + " (" + path(number) + " " + why +
              "); fedctl config log lists them";
        return false;
    }
    commit = {};
    const bool good = parse_file(text, commit, why) == Outcome::kGood && commit.number == number;
    if (!good) why = "commit " + std::to_string(number) + " (" + path(number) + "): " + why;
    return good;
}

Commit Commits::latest(Problems& problems) const {
    const std::vector<std::uint64_t> found = numbers();
    const Origin origin{Origin::Kind::kCommit, "", 0, found.empty() ? 0 : found.back()};
    for (auto number = found.rbegin(); number != found.rend(); ++number) {
        Commit commit;
        std::string text;
        std::string why;
        Outcome outcome = Outcome::kDamaged;
        if (read_file(path(*number), text, why)) outcome = parse_file(text, commit, why);
        if (outcome == Outcome::kGood && commit.number == *number) return commit;
        const bool damaged = outcome == Outcome::kDamaged;
        problems.push_back(
            {damaged, origin, path(*number),
             why + (damaged ? "; the commit before it is in force" : "; nothing was started")});
        if (!damaged) break;
    }
    return {};
}

bool Commits::keep(const Commit& commit, const std::string& published, std::string& why) const {
    std::error_code error;
    std::filesystem::create_directories(directory_, error);
    if (error) {
        why = directory_ + " can't be made: " + error.message() + " (see dirs.state)";
        return false;
    }
    const std::string target = path(commit.number);
    const std::string draft = target + ".new";
    if (!write_file(draft, published + write_own(commit), why)) {
        unlink(draft.c_str());
        return false;
    }
    if (rename(draft.c_str(), target.c_str()) != 0 || !sync_directory(directory_)) {
        why = with_errno(target, "kept");
        return false;
    }
    sync_directory(std::filesystem::path(directory_).parent_path().string());
    forget_old();
    return true;
}

void Commits::remove(std::uint64_t number) const { unlink(path(number).c_str()); }

bool Commits::set_aside(const Commit& commit, LostCommit& lost) const {
    Commit before;
    std::string why;
    const std::uint64_t number = commit.number;
    const auto kept = numbers();
    const auto at = std::ranges::lower_bound(kept, number);
    // Without the one before: all that it says.
    if (at != kept.begin() && !read(*std::prev(at), before, why)) before = {};
    const config::Tree after = settings_of(commit.settings, config::Scope::kPool);
    const config::Tree earlier = settings_of(before.settings, config::Scope::kPool);
    std::string changes;
    std::string confirmed;
    for (const auto& [name, entry] : after.entries()) {
        const config::Entry* old = earlier.find(name);
        if (old == nullptr || old->value.text != entry.value.text) {
            changes += name + " = " + entry.value.text + "\n";
        }
    }
    for (const auto& [name, entry] : earlier.entries()) {
        if (after.find(name) == nullptr) changes += "# taken back: " + name + "\n";
    }
    // A confirmation: what it confirmed has been taken back.
    for (const auto& [name, entry] : after.entries()) {
        if (!changes.empty() || entry.origin.commit != before.number) continue;
        confirmed += name + " = " + entry.value.text + "\n";
    }
    changes += confirmed;
    if (changes.empty() || commit.rank != config::CommitRank::kPerson) return false;
    lost = {number,
            directory_ + "/" + std::to_string(number) + std::string(kLost) +
                hex_of(commit.digest).substr(0, 8) + std::string(kSuffix),
            commit.author, config::format_time(commit.time), commit.comment};
    const std::string text = std::string(kNumber) + std::to_string(number) + "\n" +
                             std::string(kAuthor) + lost.author + "\n" + std::string(kTime) +
                             lost.time + "\n" + std::string(kComment) + lost.comment + "\n" +
                             changes;
    return write_file(lost.path, text, why);
}

std::vector<LostCommit> Commits::lost() const {
    std::vector<LostCommit> found;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(directory_, error)) {
        const std::string name = entry.path().filename().string();
        const std::size_t end = name.find(kLost);
        LostCommit one;
        std::string text;
        std::string why;
        if (end == std::string::npos || !name.ends_with(kSuffix) ||
            !parse_number(std::string_view(name).substr(0, end), one.number) ||
            !read_file(entry.path().string(), text, why)) {
            continue;
        }
        one.path = entry.path().string();
        for (std::string_view rest = text; rest.starts_with('#');) {
            const std::string_view line = take_line(rest);
            if (line.starts_with(kAuthor)) one.author = line.substr(kAuthor.size());
            if (line.starts_with(kTime)) one.time = line.substr(kTime.size());
            if (line.starts_with(kComment)) one.comment = line.substr(kComment.size());
        }
        found.push_back(std::move(one));
    }
    std::ranges::sort(found, {},
                      [](const LostCommit& one) { return std::tie(one.number, one.path); });
    return found;
}

void Commits::forget_old() const {
    const std::vector<std::uint64_t> found = numbers();
    for (std::size_t i = 0; i + kKept < found.size(); ++i) unlink(path(found[i]).c_str());
    const std::vector<LostCommit> gone = lost();
    for (std::size_t i = 0; i + kKept < gone.size(); ++i) unlink(gone[i].path.c_str());
}

}  // namespace fedgate::admin
