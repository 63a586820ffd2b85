#include "core/config/file.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "core/base/file.hpp"
#include "core/config/text.hpp"

namespace fedgate::config {
namespace {

constexpr std::size_t kLineBytes = 2 << 20;  // above: the line is refused
constexpr std::size_t kProblems = 100;       // of one load; then one line says that there are more

void parse_line(std::string_view line, const Origin& origin, std::vector<Setting>& settings,
                Problems& problems) {
    line = trim(line);
    if (line.empty() || line.front() == '#' || line.front() == ';') return;
    if (line.size() > kLineBytes) {
        problems.push_back({false, origin, "", "the line is longer than 2MiB"});
        return;
    }
    Setting setting;
    setting.origin = origin;
    setting.forgiving = line.front() == '-';
    if (setting.forgiving) line = trim(line.substr(1));
    const std::size_t equals = line.find('=');
    const std::string_view key = trim(line.substr(0, equals));
    if (equals == std::string_view::npos || key.empty()) {
        problems.push_back(
            {setting.forgiving, origin, "", in_quotes(line) + " is not 'key = value'"});
        return;
    }
    setting.key = key;
    setting.value = trim(line.substr(equals + 1));
    settings.push_back(std::move(setting));
}

void add_directory(const std::string& directory, std::map<std::string, std::string>& by_name) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
        const std::string name = entry.path().filename().string();
        if (name.ends_with(".conf") && !name.starts_with('.'))
            by_name[name] = entry.path().string();
    }
}

void bound(Problems& problems) {
    if (problems.size() <= kProblems) return;
    const std::size_t more = problems.size() - kProblems;
    const bool error = any_error(problems);
    problems.resize(kProblems);
    problems.push_back({!error, {}, "", "and " + std::to_string(more) + " more like these"});
}

}  // namespace

void parse_settings(std::string_view text, const std::string& file, std::vector<Setting>& settings,
                    Problems& problems) {
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // an editor's byte order mark
    Origin origin{Origin::Kind::kFile, file, 0};
    while (!text.empty()) {
        ++origin.line;
        const std::size_t end = std::min(text.find('\n'), text.size());
        parse_line(text.substr(0, end), origin, settings, problems);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
}

bool parse_assignment(std::string_view text, Origin origin, Setting& setting, std::string& why) {
    const std::size_t equals = text.find('=');
    setting.key = trim(text.substr(0, equals));
    if (equals == std::string_view::npos || setting.key.empty()) {
        why = in_quotes(text) + " is not KEY=VALUE";
        return false;
    }
    setting.value = trim(text.substr(equals + 1));
    setting.origin = std::move(origin);
    setting.forgiving = false;
    return true;
}

std::vector<std::string> configuration_files(const std::string& root) {
    std::map<std::string, std::string> by_name;
    for (const char* directory : {"/usr/lib", "/run", "/etc"}) {
        add_directory(root + directory + "/fedgate/conf.d", by_name);
    }
    std::vector<std::string> files;
    for (const auto& [name, path] : by_name) files.push_back(path);
    const std::string main = root + "/etc/fedgate/fedgate.conf";
    std::error_code error;
    if (std::filesystem::exists(main, error) || error) files.push_back(main);
    // What systemd reads for us (LoadCredential): secrets that our user can't.
    if (const char* directory = std::getenv("CREDENTIALS_DIRECTORY"); directory != nullptr) {
        const std::string secret = root + directory + "/fedgate.conf";
        if (std::filesystem::exists(secret, error)) files.push_back(secret);
    }
    return files;
}

void apply(const std::vector<Setting>& settings, Tree& tree, Problems& problems) {
    for (const Setting& setting : settings) {
        const std::size_t before = problems.size();
        tree.set(setting.key, setting.value, setting.origin, problems);
        for (std::size_t i = before; i < problems.size(); ++i) {
            problems[i].warning = setting.forgiving;
        }
    }
}

std::size_t load(const Sources& sources, Tree& tree, Problems& problems) {
    std::vector<std::string> files{sources.file};
    if (sources.file.empty()) files = configuration_files(sources.root);
    std::vector<Setting> settings;
    std::size_t count = 0;
    for (const std::string& file : files) {
        std::string text;
        std::string why;
        if (!read_file(file, text, why)) {
            problems.push_back({false, {}, file, why});
            continue;
        }
        const std::size_t known = settings.size() + problems.size();
        parse_settings(text, file, settings, problems);
        const bool says_something = settings.size() + problems.size() > known;
        if (says_something || !sources.file.empty()) ++count;
    }
    for (const std::string& assignment : sources.assignments) {
        Setting setting;
        std::string why;
        const Origin origin{Origin::Kind::kCommandLine, "", 0};
        if (parse_assignment(assignment, origin, setting, why)) {
            settings.push_back(std::move(setting));
        } else {
            problems.push_back({false, origin, "", why});
        }
    }
    apply(settings, tree, problems);
    bound(problems);
    return count;
}

}  // namespace fedgate::config
