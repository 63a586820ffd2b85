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
constexpr std::string_view kDigest = "# fedgate commit, sha256 of what follows: ";
constexpr std::string_view kNumber = "# number: ";
constexpr std::string_view kAuthor = "# author: ";
constexpr std::string_view kTime = "# time: ";
constexpr std::string_view kComment = "# comment: ";
constexpr std::string_view kSetBy = "# set by commit ";

bool parse_number(std::string_view text, std::uint64_t& number) {
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    return error == std::errc{} && stop == end;
}

std::string digest_line(std::string_view rest) {
    const auto hex = to_hex(sha256({rest}));
    return std::string(kDigest).append(hex.data(), hex.size()) + "\n";
}

std::string write_commit(const Commit& commit) {
    std::string text = std::string(kNumber) + std::to_string(commit.number) + "\n";
    text.append(kAuthor).append(commit.author).append("\n");
    text.append(kTime).append(config::format_time(commit.time)).append("\n");
    text.append(kComment).append(commit.comment).append("\n");
    std::map<std::uint64_t, std::string> by_commit;
    for (const auto& [name, entry] : commit.settings.entries()) {
        by_commit[entry.origin.commit] += name + " = " + entry.value.text + "\n";
    }
    for (const auto& [number, lines] : by_commit) {
        text.append(kSetBy).append(std::to_string(number)).append("\n").append(lines);
    }
    return digest_line(text) + text;
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

Commits::Outcome Commits::parse(const std::string& text, Commit& commit, std::string& why) const {
    std::string_view rest = text;
    const std::string digest = std::string(take_line(rest)) + "\n";
    if (digest != digest_line(rest)) {
        why = "it is damaged: its digest does not match";
        return Outcome::kDamaged;
    }
    Problems problems;
    Origin origin{Origin::Kind::kCommit, "", 0};
    while (!rest.empty()) {
        const std::string_view line = take_line(rest);
        const auto value = [line](std::string_view name) { return line.substr(name.size()); };
        config::Setting setting;
        if (line.starts_with(kSetBy)) {
            if (!parse_number(value(kSetBy), origin.commit)) return Outcome::kDamaged;
        } else if (line.starts_with(kNumber)) {
            if (!parse_number(value(kNumber), commit.number)) return Outcome::kDamaged;
        } else if (line.starts_with(kAuthor)) {
            commit.author = value(kAuthor);
        } else if (line.starts_with(kTime)) {
            commit.time = config::parse_time(value(kTime)).value_or(WallTime{});
        } else if (line.starts_with(kComment)) {
            commit.comment = value(kComment);
        } else if (!config::parse_assignment(line, origin, setting, why)) {
            return Outcome::kNotUnderstood;
        } else if (!commit.settings.set(setting.key, setting.value, origin, problems)) {
            why = "this version does not understand it: " + problems.front().key + ": " +
                  problems.front().text;
            return Outcome::kNotUnderstood;
        }
    }
    return Outcome::kGood;
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
    const bool good = parse(text, commit, why) == Outcome::kGood && commit.number == number;
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
        if (read_file(path(*number), text, why)) outcome = parse(text, commit, why);
        if (outcome == Outcome::kGood && commit.number == *number) return commit;
        const bool damaged = outcome == Outcome::kDamaged;
        problems.push_back(
            {damaged, origin, path(*number),
             why + (damaged ? "; the commit before it is in force" : "; nothing was started")});
        if (!damaged) break;
    }
    return {};
}

bool Commits::keep(const Commit& commit, std::string& why) const {
    std::error_code error;
    std::filesystem::create_directories(directory_, error);
    if (error) {
        why = directory_ + " can't be made: " + error.message() + " (see dirs.state)";
        return false;
    }
    const std::string target = path(commit.number);
    const std::string draft = target + ".new";
    if (!write_file(draft, write_commit(commit), why)) {
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

void Commits::forget_old() const {
    const std::vector<std::uint64_t> found = numbers();
    for (std::size_t i = 0; i + kKept < found.size(); ++i) unlink(path(found[i]).c_str());
}

}  // namespace fedgate::admin
