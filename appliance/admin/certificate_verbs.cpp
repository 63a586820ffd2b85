#include "appliance/admin/certificate_verbs.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <iterator>
#include <ostream>
#include <set>
#include <sys/stat.h>
#include <unistd.h>

#include "appliance/admin/answers.hpp"
#include "appliance/admin/configuration.hpp"
#include "appliance/admin/show.hpp"
#include "appliance/admin/tool.hpp"
#include "appliance/admin/wall_clock.hpp"
#include "core/base/file.hpp"
#include "core/config/text.hpp"
#include "core/config/timestamp.hpp"
#include "net/certificate.hpp"

namespace fedgate::admin {

namespace fs = std::filesystem;

Secret::~Secret() { explicit_bzero(text.data(), text.size()); }

bool is_purpose(const std::string& name) {
    return std::ranges::find(kPurposes, name) != std::end(kPurposes);
}

bool is_there(const std::string& path) {
    std::error_code ignored;
    return fs::exists(path, ignored);
}

bool read_yes(const std::string& text, bool& flag) {
    flag = text == "yes" || text == "y" || text == "true" || text == "on" || text == "1";
    return flag || text == "no" || text == "n" || text == "false" || text == "off" || text == "0";
}

// --- what people read

std::string show_findings(const Json& findings) {
    std::string out;
    for (const Json& one : findings) {
        const bool error = string_of(one, "level") == "error";
        out += std::string(error ? "! " : "? ") + string_of(one, "text") + "\n    " +
               string_of(one, "advice") + "\n";
    }
    return out;
}

std::string show_details(const Json& what) {
    std::vector<std::vector<std::string>> rows;
    const auto add = [&](const char* label, const std::string& text) {
        if (!text.empty()) rows.push_back({std::string("  ") + label, text});
    };
    const auto list = [&](const char* name) {
        std::vector<std::string> all;
        for (const Json& one : array_of(what, name)) all.push_back(one.get<std::string>());
        return joined(all);
    };
    add("fault", string_of(what, "fault"));
    add("subject", string_of(what, "subject"));
    add("names", list("dns_names"));
    add("SRV names", list("srv_names"));
    add("xmppAddr", list("xmpp_addrs"));
    add("issuer", string_of(what, "issuer"));
    if (what.contains("not_after")) {
        const auto days = what["days"].get<std::int64_t>();
        add("valid", string_of(what, "not_before") + " to " + string_of(what, "not_after") +
                         (days < 0 ? ", EXPIRED" : ", " + std::to_string(days) + " days left"));
    }
    add("key", string_of(what, "key"));
    add("signature", string_of(what, "signature"));
    add("for", list("usages"));
    add("thumbprint", string_of(what, "thumbprint"));
    add("SHA-256", string_of(what, "sha256"));
    add("key SHA-256", string_of(what, "key_sha256"));
    return show_table(rows);
}

std::string show_uses(const Json& uses) {
    std::vector<std::string> all;
    for (const Json& one : uses) {
        const std::string from = string_of(one, "from");
        all.push_back(string_of(one, "purpose") + (from.empty() ? "" : " from " + from));
    }
    return joined(all);
}

// --- words

std::string CertificateVerbs::value(const char* option, const std::string& fallback) const {
    const auto found = said_.options.find(option);
    return found == said_.options.end() ? fallback : found->second;
}

int CertificateVerbs::usage(const std::string& text) const {
    options_.err << "fedctl: " << text << "\n";
    return kExitUsage;
}
int CertificateVerbs::fail(const std::string& text) const {
    if (options_.json) {
        out_ << write_json({{"ok", false}, {"error", text}}) << "\n";
    } else {
        options_.err << "fedctl: " << for_terminal(text) << "\n";
    }
    return kExitRefused;
}
int CertificateVerbs::tell(Json answer, const std::string& text) const {
    answer["ok"] = true;
    out_ << (options_.json ? write_json(answer) + "\n" : for_terminal(text));
    if (options_.answer != nullptr) *options_.answer = std::move(answer);
    return kExitOk;
}

// --- what the configuration says

bool CertificateVerbs::read_plan(std::string& why) {
    if (has("--config")) return plan_of_files(value("--config"), why);
    if (options_.ask({{"verb", "cert"}, {"action", "plan"}}, plan_, why) && bool_of(plan_, "ok")) {
        return true;
    }
    if (!why.contains("is not running")) {
        if (why.empty()) why = string_of(plan_, "error");
        return false;
    }
    return plan_of_files("", why);
}

// As the daemon would read it at its start.
bool CertificateVerbs::plan_of_files(const std::string& file, std::string& why) {
    config::Sources sources;
    sources.file = file;
    Configuration configuration(sources);
    config::Problems problems;
    if (configuration.load(problems) == nullptr) {
        why = problems.empty() ? "the configuration can't be read" : problems.front().line();
        return false;
    }
    plan_ = answer_cert({{"verb", "cert"}, {"action", "plan"}}, configuration);
    return true;
}

const Json& CertificateVerbs::purpose(const std::string& name) const {
    static const Json kNone = Json::object();
    const auto all = plan_.find("purposes");
    return all != plan_.end() && all->contains(name) ? (*all)[name] : kNone;
}

Use CertificateVerbs::use_of(const std::string& name) const {
    Use use{name, {}, {}, {}};
    const Json& what = purpose(name);
    for (const Json& one : array_of(what, "names")) {
        (bool_of(one, "needed") ? use.needed : use.wanted).push_back(string_of(one, "name"));
    }
    std::string ca = string_of(what, "ca"), why;
    if (ca.empty() && name == "sip") ca = string_of(purpose("external"), "ca");
    if (ca.empty() && name != "internal") ca = kSystemRoots;
    if (!ca.empty() && !read_regular_file(ca, use.ca, why)) use.ca.clear();
    return use;
}

bool CertificateVerbs::read_purpose(std::string& name, std::string& why) const {
    name = value("--for", name);
    if (is_purpose(name)) return true;
    why =
        config::in_quotes(name) + " is no purpose: external (partners), internal (the link) or sip";
    return false;
}

// Whoever may write above it must not lead root elsewhere: no link is followed but one's own.
bool CertificateVerbs::make_directory(std::string& why) const {
    const std::string path = directory();
    struct stat there{};
    std::error_code error;
    if (lstat(path.c_str(), &there) == 0) {
        const bool link = S_ISLNK(there.st_mode) && there.st_uid != geteuid();
        if (!link && fs::is_directory(path, error)) return true;
        why = path + (link ? " is a link that another user has made: take it away"
                           : " is no directory: take it away");
        return false;
    }
    const std::string above = fs::path(path).parent_path();
    fs::create_directories(above, error);
    if (error || mkdir(path.c_str(), 0700) != 0) {
        why = path + " can't be made: " +
              (error ? error.message() : std::error_code(errno, std::system_category()).message()) +
              " (be root, or the user that fedgated runs as)";
        return false;
    }
    struct stat parent{};
    const int made = open(path.c_str(), O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (made >= 0 && geteuid() == 0 && stat(above.c_str(), &parent) == 0) {
        static_cast<void>(fchown(made, parent.st_uid, parent.st_gid) == 0);
    }
    if (made >= 0) close(made);
    return true;
}

// --- what there is

std::vector<std::string> CertificateVerbs::known_names() const {
    std::set<std::string> names;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(directory(), error)) {
        const std::string kind = entry.path().extension();
        if (kind == ".pem" || kind == ".key" || kind == ".csr") names.insert(entry.path().stem());
    }
    return {names.begin(), names.end()};
}
Json CertificateVerbs::info_of(const std::string& name) const {
    std::string text, why;
    if (!read_regular_file(path_of(name, ".json"), text, why)) return Json::object();
    Json info = parse_json(text);
    return info.is_object() ? info : Json::object();
}
Json CertificateVerbs::info_of_file(const std::string& file) const {
    std::error_code ignored;
    const fs::path above = fs::path(file).parent_path();
    return fs::equivalent(above.empty() ? "." : above, directory(), ignored)
               ? info_of(fs::path(file).stem())
               : Json::object();
}
Json CertificateVerbs::uses_of(const std::string& file) const {
    Json uses = Json::array();
    for (const char* name : kPurposes) {
        const Json& what = purpose(name);
        const bool next = what.contains("next");
        const std::string from = next ? string_of(what["next"], "from") : std::string();
        const bool over = next && from <= config::format_time(wall_now());
        if (!over && string_of(what, "certificate") == file) uses.push_back({{"purpose", name}});
        if (next && string_of(what["next"], "certificate") == file) {
            uses.push_back({{"purpose", name}});
            if (!over) uses.back()["from"] = from;
        }
    }
    return uses;
}

bool CertificateVerbs::read_bundle(const std::string& typed, Bundle& bundle, std::string& file,
                                   std::string& why) const {
    file = is_name(typed) && is_there(path_of(typed, ".pem")) ? path_of(typed, ".pem") : typed;
    std::string text;
    if (!is_there(file) && is_name(typed)) {
        const bool requested = is_there(path_of(typed, ".key"));
        why = requested ? typed + " is a request: its certificate has not been imported yet"
                        : "there is no certificate " + typed + did_you_mean(typed, known_names()) +
                              " (fedctl cert list)";
        return false;
    }
    if (!read_regular_file(file, text, why)) {
        why = file + " " + why;
        return false;
    }
    const auto ders = net::parse_pem_certificates(text);
    if (!ders) {
        why = file + " holds no certificate (PEM)";
        return false;
    }
    bundle.ders = *ders;
    std::string key_file = value("--key");
    if (key_file.empty()) key_file = key_of(file);
    if (!key_file.empty() && !read_regular_file(key_file, bundle.key, why)) {
        if (has("--key")) {
            why = key_file + " " + why;
            return false;
        }
        bundle.key.clear();
    }
    return true;
}
std::string CertificateVerbs::key_of(const std::string& file) const {
    for (const char* name : kPurposes) {
        const Json& what = purpose(name);
        if (string_of(what, "certificate") == file) return string_of(what, "key");
        if (what.contains("next") && string_of(what["next"], "certificate") == file)
            return string_of(what["next"], "key");
    }
    const std::string beside = fs::path(file).replace_extension(".key");
    return is_there(beside) ? beside : std::string();
}

std::string CertificateVerbs::free_name(const std::string& start) const {
    for (int number = 1;; ++number) {
        const std::string name = number == 1 ? start : start + "-" + std::to_string(number);
        if (!is_there(path_of(name, ".key")) && !is_there(path_of(name, ".pem"))) return name;
    }
}
bool CertificateVerbs::is_name(const std::string& text) {
    return !text.empty() && text.size() <= 64 && text.front() != '.' &&
           std::ranges::all_of(text, [](unsigned char c) {
               return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
           });
}

}  // namespace fedgate::admin
