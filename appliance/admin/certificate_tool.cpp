#include "appliance/admin/certificate_tool.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "appliance/admin/answers.hpp"
#include "appliance/admin/certificates.hpp"
#include "appliance/admin/configuration.hpp"
#include "appliance/admin/pfx.hpp"
#include "appliance/admin/show.hpp"
#include "appliance/admin/tool.hpp"
#include "core/base/file.hpp"
#include "core/config/domain.hpp"
#include "core/config/text.hpp"
#include "core/config/timestamp.hpp"
#include "net/certificate.hpp"
#include "net/request.hpp"

namespace fedgate::admin {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPurposes[] = {"external", "internal", "sip"};
constexpr const char* kSystemRoots = "/etc/ssl/certs/ca-certificates.crt";

constexpr std::pair<const char*, net::NewKey> kKeys[] = {{"rsa:2048", net::NewKey::kRsa2048},
                                                         {"rsa:3072", net::NewKey::kRsa3072},
                                                         {"rsa:4096", net::NewKey::kRsa4096},
                                                         {"ecdsa:p256", net::NewKey::kP256},
                                                         {"ecdsa:p384", net::NewKey::kP384}};

WallTime now() {
    return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

// Also where one may not look: then what is done with it says why.
bool is_there(const std::string& path) {
    std::error_code ignored;
    return fs::exists(path, ignored);
}

std::string joined(const std::vector<std::string>& items) {
    std::string text;
    for (const std::string& item : items) text += (text.empty() ? "" : ", ") + item;
    return text;
}

std::vector<std::string> split(const std::string& text) {
    std::vector<std::string> items;
    std::string item;
    for (const char c : text + ",") {
        if (c != ',' && c != ' ') {
            item += c;
        } else if (!item.empty()) {
            items.push_back(std::exchange(item, {}));
        }
    }
    return items;
}

// A secret that is wiped.
struct Secret {
    std::string text;
    Secret() = default;
    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;
    ~Secret() { explicit_bzero(text.data(), text.size()); }
};

class Echo {
public:
    explicit Echo(bool on) : known_(!on && tcgetattr(0, &before_) == 0) {
        if (!known_) return;
        termios silent = before_;
        silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        tcsetattr(0, TCSANOW, &silent);
    }
    ~Echo() {
        if (known_) tcsetattr(0, TCSANOW, &before_);
    }
    Echo(const Echo&) = delete;
    Echo& operator=(const Echo&) = delete;

private:
    termios before_{};
    bool known_;
};

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
    add("SHA-256", string_of(what, "sha256"));
    add("key SHA-256", string_of(what, "key_sha256"));
    return show_table(rows);
}

class Verbs {
public:
    explicit Verbs(const CertificateToolOptions& options)
        : options_(options), in_(options.in), out_(options.out) {}

    int run(const std::vector<std::string>& words) {
        if (words.empty()) {
            return usage(
                "cert needs request, import, assign, list, show, check or export "
                "(fedctl help)");
        }
        const std::string& action = words.front();
        struct Verb {
            const char* name;
            std::vector<std::string_view> options;  // with `=`: takes a value
            int (Verbs::*run)();
        };
        const Verb verbs[] = {
            {"request",
             {"--for=", "--name=", "--key=", "--organisation=", "--unit=", "--city=", "--state=",
              "--country=", "--friendly-name=", "--exportable=", "--extra=", "--without=",
              "--file=", "--config=", "--yes", "--ask"},
             &Verbs::request},
            {"import",
             {"--for=", "--name=", "--key=", "--password=", "--password-file=", "--config=",
              "--assign", "--comment="},
             &Verbs::import},
            {"assign",
             {"--for=", "--key=", "--effective=", "--cancel", "--comment=", "--config="},
             &Verbs::assign},
            {"list", {"--config="}, &Verbs::list},
            {"show", {"--config=", "--for="}, &Verbs::show},
            {"check", {"--config=", "--for=", "--key="}, &Verbs::check},
            {"export", {"--config=", "--file="}, &Verbs::export_files}};
        for (const Verb& verb : verbs) {
            if (action != verb.name) continue;
            std::string why;
            if (!cut(words, verb.options, why)) return usage(why);
            return (this->*verb.run)();
        }
        return usage("cert has no action '" + action +
                     "'; there are request, import, assign, list, show, check and export");
    }

private:
    // --- words

    bool cut(const std::vector<std::string>& words, const std::vector<std::string_view>& known,
             std::string& why) {
        for (std::size_t i = 1; i < words.size(); ++i) {
            const std::string& word = words[i];
            if (!word.starts_with("--")) {
                words_.push_back(word);
            } else if (std::ranges::find(known, word + "=") != known.end()) {
                if (i + 1 == words.size()) {
                    why = word + " needs a value";
                    return false;
                }
                std::string& value = values_[word];
                const bool many = word == "--extra" || word == "--without" || word == "--for";
                value = many && !value.empty() ? value + "," + words[i + 1] : words[i + 1];
                ++i;
            } else if (std::ranges::find(known, word) != known.end()) {
                values_[word] = "yes";
            } else {
                why = "cert " + words[0] + " has no option " + word + " (fedctl help)";
                return false;
            }
        }
        return true;
    }
    [[nodiscard]] bool has(const char* option) const { return values_.contains(option); }
    [[nodiscard]] std::string value(const char* option, const std::string& fallback = {}) const {
        const auto found = values_.find(option);
        return found == values_.end() ? fallback : found->second;
    }

    int usage(const std::string& text) {
        options_.err << "fedctl: " << text << "\n";
        return kExitUsage;
    }
    int fail(const std::string& text) {
        if (options_.json) {
            out_ << write_json({{"ok", false}, {"error", text}}) << "\n";
        } else {
            options_.err << "fedctl: " << for_terminal(text) << "\n";
        }
        return kExitRefused;
    }
    int tell(Json answer, const std::string& text) {
        answer["ok"] = true;
        out_ << (options_.json ? write_json(answer) + "\n" : for_terminal(text));
        return kExitOk;
    }

    // --- what the configuration says

    bool read_plan(std::string& why) {
        if (has("--config")) return plan_of_files(value("--config"), why);
        if (options_.ask({{"verb", "cert"}, {"action", "plan"}}, plan_, why) &&
            bool_of(plan_, "ok")) {
            return true;
        }
        if (!why.contains("is not running")) {
            if (why.empty()) why = string_of(plan_, "error");
            return false;
        }
        return plan_of_files("", why);
    }

    // As the daemon would read it at its start.
    bool plan_of_files(const std::string& file, std::string& why) {
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

    [[nodiscard]] std::string directory() const { return string_of(plan_, "directory"); }
    [[nodiscard]] std::string path_of(const std::string& name, const char* kind) const {
        return directory() + "/" + name + kind;
    }
    [[nodiscard]] const Json& purpose(const std::string& name) const {
        static const Json kNone = Json::object();
        const auto all = plan_.find("purposes");
        return all != plan_.end() && all->contains(name) ? (*all)[name] : kNone;
    }

    [[nodiscard]] Use use_of(const std::string& name) const {
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

    bool read_purpose(std::string& name, std::string& why) const {
        name = value("--for", name);
        if (std::ranges::find(kPurposes, name) != std::end(kPurposes)) return true;
        why = config::in_quotes(name) +
              " is no purpose: external (partners), internal (the link) "
              "or sip";
        return false;
    }

    // --- questions

    [[nodiscard]] bool asks() const {
        return has("--ask") || (options_.terminal && !has("--yes") && !options_.json);
    }
    // An option, or the answer to a question; `fallback` where nobody is asked or says nothing.
    std::string ask(const char* option, const std::string& question, const std::string& fallback) {
        if (has(option) || !asks()) return value(option, fallback);
        out_ << question << (fallback.empty() ? "" : " [" + fallback + "]") << ": " << std::flush;
        std::string line;
        std::getline(in_, line);
        const std::string said(config::trim(line));
        return said.empty() ? fallback : said;
    }

    // --- request

    struct Wish {
        std::string purpose = "external", name, friendly_name, file;
        net::NewKey key = net::NewKey::kRsa2048;
        bool exportable = true;
        net::Subject subject;
        std::vector<std::string> names;
    };

    static bool yes(const std::string& text, bool& flag) {
        flag = text == "yes" || text == "y" || text == "true" || text == "on" || text == "1";
        return flag || text == "no" || text == "n" || text == "false" || text == "off" ||
               text == "0";
    }

    [[nodiscard]] std::string free_name(const std::string& start) const {
        for (int number = 1;; ++number) {
            const std::string name = number == 1 ? start : start + "-" + std::to_string(number);
            if (!is_there(path_of(name, ".key")) && !is_there(path_of(name, ".pem"))) return name;
        }
    }
    static bool is_name(const std::string& text) {
        return !text.empty() && text.size() <= 64 && text.front() != '.' &&
               std::ranges::all_of(text, [](unsigned char c) {
                   return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
               });
    }

    // The wizard's pages: every answer has an option.
    bool gather(Wish& wish, std::string& why) {
        wish.purpose =
            ask("--for", "For external (partners), internal (the link) or sip", wish.purpose);
        values_["--for"] = wish.purpose;
        if (!read_purpose(wish.purpose, why)) return false;
        wish.friendly_name = ask("--friendly-name", "Friendly name",
                                 "Fedgate " + wish.purpose + " " + readable_day(now()));
        wish.name = value("--name", free_name(wish.purpose + "-" + readable_day(now())));
        if (!is_name(wish.name)) {
            why = config::in_quotes(wish.name) + " can't be a name: letters, digits, - _ .";
            return false;
        }
        const std::string key = ask("--key",
                                    "Key: rsa:2048, rsa:3072, rsa:4096, ecdsa:p256 or "
                                    "ecdsa:p384",
                                    "rsa:2048");
        const auto* const kind =
            std::ranges::find(kKeys, key, [](const auto& one) { return std::string(one.first); });
        if (kind == std::end(kKeys)) {
            why = config::in_quotes(key) +
                  " is no key: rsa:2048, rsa:3072, rsa:4096, ecdsa:p256 or ecdsa:p384";
            return false;
        }
        wish.key = kind->second;
        if (!yes(ask("--exportable", "May fedctl cert export give out the key", "yes"),
                 wish.exportable)) {
            why = "--exportable is yes or no";
            return false;
        }
        net::Subject& subject = wish.subject;
        subject.organisation = ask("--organisation", "Organisation", "");
        subject.unit = ask("--unit", "Organisational unit", "");
        subject.country = ask("--country", "Country (two letters)", "");
        subject.state = ask("--state", "State or province", "");
        subject.city = ask("--city", "City", "");
        for (const auto& [what, text] :
             {std::pair{"organisation", &subject.organisation}, std::pair{"unit", &subject.unit},
              std::pair{"state", &subject.state}, std::pair{"city", &subject.city}}) {
            if (text->size() <= net::kSubjectBytesMax) continue;
            why = std::string("--") + what + " is longer than " +
                  std::to_string(net::kSubjectBytesMax) + " bytes";
            return false;
        }
        for (char& c : subject.country) c = static_cast<char>(std::toupper(c));
        const bool two =
            subject.country.size() == 2 &&
            std::ranges::all_of(subject.country, [](char c) { return c >= 'A' && c <= 'Z'; });
        if (!subject.country.empty() && !two) {
            why = "--country is two letters, as FR";
            return false;
        }
        return gather_names(wish, why);
    }

    bool gather_names(Wish& wish, std::string& why) {
        std::vector<std::string> without = split(value("--without"));
        const bool asked = asks();
        if (asked) out_ << "Names that the configuration asks for:\n";
        for (const Json& one : array_of(purpose(wish.purpose), "names")) {
            const std::string name = string_of(one, "name");
            if (std::ranges::find(without, name) != without.end()) continue;
            if (asked) {
                bool keep = true;
                if (!yes(ask("", "  " + name + " (" + string_of(one, "why") + ")", "yes"), keep) ||
                    !keep)
                    continue;
            }
            wish.names.push_back(name);
        }
        for (const std::string& typed : split(ask("--extra", "Further names", ""))) {
            const bool wild = typed.starts_with("*.");
            const auto name = config::normalise_domain(wild ? typed.substr(2) : typed);
            if (!name) {
                why = config::in_quotes(typed) + " is not a domain name";
                return false;
            }
            const std::string full = (wild ? "*." : "") + *name;
            if (std::ranges::find(wish.names, full) == wish.names.end()) wish.names.push_back(full);
        }
        if (wish.names.empty()) {
            why =
                "there is no name to request a certificate for: configure a domain of ours "
                "(domain/DOMAIN/next_hop), or say --extra NAME";
            return false;
        }
        if (wish.names.size() > net::kRequestNamesMax) {
            why = "these are " + std::to_string(wish.names.size()) + " names; " +
                  std::to_string(net::kRequestNamesMax) +
                  " is the most that authorities take: leave some out (--without)";
            return false;
        }
        for (const std::string& name : wish.names) {  // the first that fits
            if (wish.subject.common_name.empty() && name.size() <= net::kSubjectBytesMax)
                wish.subject.common_name = name;
        }
        wish.file = ask("--file", "File for the request", path_of(wish.name, ".csr"));
        return true;
    }

    // Whoever may write above it must not lead root elsewhere: no link is followed but one's own.
    bool make_directory(std::string& why) {
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
                  (error ? error.message()
                         : std::error_code(errno, std::system_category()).message()) +
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

    int request() {
        std::string why;
        if (!words_.empty()) return usage("cert request takes options only, not " + words_[0]);
        if (!read_plan(why)) return fail(why);
        Wish wish;
        if (!gather(wish, why)) return fail(why);
        if (asks()) {
            out_ << "Request for " << joined(wish.names) << "\n";
            bool good = false;
            if (!yes(ask("", "Make the key and the request", "yes"), good) || !good)
                return fail("nothing was made");
        }
        if (is_there(path_of(wish.name, ".key"))) {
            return fail("there is a key " + path_of(wish.name, ".key") +
                        " already: take another --name");
        }
        if (!make_directory(why)) return fail(why);
        auto key = net::make_key(wish.key);
        if (!key) return fail(std::string("no key can be made: ") + key.error().where);
        auto made = net::make_request(*key, wish.subject, wish.names);
        const auto done = [&] { explicit_bzero(key->data(), key->size()); };
        if (!made) {
            done();
            return fail(std::string("no request can be made: ") + made.error().where);
        }
        const Json info{{"purpose", wish.purpose},
                        {"friendly_name", wish.friendly_name},
                        {"exportable", wish.exportable}};
        const bool written =
            write_owned_file(path_of(wish.name, ".key"), *key, true, why) &&
            write_owned_file(path_of(wish.name, ".json"), write_json(info) + "\n", false, why) &&
            write_owned_file(wish.file, *made, false, why);
        done();
        if (!written) return fail(why);
        const auto ders = net::parse_pem(*made, "CERTIFICATE REQUEST");
        Json answer = describe_request(ders ? Bytes(ders->front()) : Bytes());
        const std::string text = "Request " + wish.name + " (" + wish.friendly_name + "):\n" +
                                 show_details(answer) + "\n" + *made +
                                 "\nKey:     " + path_of(wish.name, ".key") +
                                 " (mode 0600; it stays there)\nRequest: " + wish.file +
                                 "\n\nSend the request to your authority. With what it answers:\n"
                                 "  fedctl cert import ANSWER.pem --assign\n";
        answer["name"] = wish.name;
        answer["friendly_name"] = wish.friendly_name;
        answer["exportable"] = wish.exportable;
        answer["purpose"] = wish.purpose;
        answer["key_file"] = path_of(wish.name, ".key");
        answer["file"] = wish.file;
        answer["pem"] = *made;
        return tell(std::move(answer), text);
    }

    // --- what there is

    [[nodiscard]] std::vector<std::string> known_names() const {
        std::set<std::string> names;
        std::error_code error;
        for (const auto& entry : fs::directory_iterator(directory(), error)) {
            const std::string kind = entry.path().extension();
            if (kind == ".pem" || kind == ".key" || kind == ".csr")
                names.insert(entry.path().stem());
        }
        return {names.begin(), names.end()};
    }
    [[nodiscard]] Json info_of(const std::string& name) const {
        std::string text, why;
        if (!read_regular_file(path_of(name, ".json"), text, why)) return Json::object();
        Json info = parse_json(text);
        return info.is_object() ? info : Json::object();
    }
    // By whatever path it was named.
    [[nodiscard]] Json info_of_file(const std::string& file) const {
        std::error_code ignored;
        const fs::path above = fs::path(file).parent_path();
        return fs::equivalent(above.empty() ? "." : above, directory(), ignored)
                   ? info_of(fs::path(file).stem())
                   : Json::object();
    }
    // Which purposes have this file, now or next.
    [[nodiscard]] std::string uses_of(const std::string& file) const {
        std::vector<std::string> uses;
        for (const char* name : kPurposes) {
            const Json& what = purpose(name);
            const bool next = what.contains("next");
            const bool over = next && string_of(what["next"], "from") <= config::format_time(now());
            if (!over && string_of(what, "certificate") == file) uses.emplace_back(name);
            if (next && string_of(what["next"], "certificate") == file) {
                uses.push_back(over ? name : name + (" from " + string_of(what["next"], "from")));
            }
        }
        return joined(uses);
    }

    // A name of ours, or a file.
    bool read_bundle(const std::string& typed, Bundle& bundle, std::string& file,
                     std::string& why) const {
        file = is_name(typed) && is_there(path_of(typed, ".pem")) ? path_of(typed, ".pem") : typed;
        std::string text;
        if (!is_there(file) && is_name(typed)) {
            const bool requested = is_there(path_of(typed, ".key"));
            why = requested ? typed + " is a request: its certificate has not been imported yet"
                            : "there is no certificate " + typed +
                                  did_you_mean(typed, known_names()) + " (fedctl cert list)";
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
    // That is configured beside it, or lies beside it.
    [[nodiscard]] std::string key_of(const std::string& file) const {
        for (const char* name : kPurposes) {
            const Json& what = purpose(name);
            if (string_of(what, "certificate") == file) return string_of(what, "key");
            if (what.contains("next") && string_of(what["next"], "certificate") == file)
                return string_of(what["next"], "key");
        }
        const std::string beside = fs::path(file).replace_extension(".key");
        return is_there(beside) ? beside : std::string();
    }

    int list() {
        std::string why;
        if (!words_.empty()) return usage("cert list takes nothing more");
        if (!read_plan(why)) return fail(why);
        Json rows = Json::array();
        std::set<std::string> listed;
        const auto add = [&](const std::string& name, const std::string& file) {
            if (!listed.insert(file).second) return;
            std::string text;
            const bool there = read_regular_file(file, text, why);
            const auto ders = there ? net::parse_pem_certificates(text)
                                    : Result<std::vector<std::string>>(std::vector<std::string>{});
            const Json info = info_of(name);
            Json row{{"name", name},
                     {"file", file},
                     {"friendly_name", string_of(info, "friendly_name")},
                     {"used_for", uses_of(file)}};
            if (ders && !ders->empty()) {
                row["certificate"] = describe_certificate(ders->front(), now());
                row["state"] = "certificate";
            } else {
                row["state"] = there || is_there(file) ? "unreadable" : "request";
            }
            rows.push_back(std::move(row));
        };
        for (const std::string& name : known_names()) add(name, path_of(name, ".pem"));
        for (const char* name : kPurposes) {
            const std::string file = string_of(purpose(name), "certificate");
            if (!file.empty()) add(file, file);
        }
        std::vector<std::vector<std::string>> table{
            {"NAME", "STATE", "USED FOR", "DAYS", "KEY", "NAMES"}};
        for (const Json& row : rows) {
            const Json empty = Json::object();
            const Json& what = row.contains("certificate") ? row["certificate"] : empty;
            std::vector<std::string> names;
            for (const Json& one : array_of(what, "dns_names"))
                names.push_back(one.get<std::string>());
            const std::string uses = string_of(row, "used_for");
            const std::string days =
                what.contains("days") ? std::to_string(what["days"].get<std::int64_t>()) : "-";
            table.push_back({string_of(row, "name"), string_of(row, "state"),
                             uses.empty() ? "-" : uses, days, string_of(what, "key", "-"),
                             joined(names)});
        }
        const std::string text =
            rows.empty() ? "there is none yet: fedctl cert request makes a key and a request\n"
                         : show_table(table);
        return tell({{"directory", directory()}, {"certificates", std::move(rows)}}, text);
    }

    int show() {
        std::string why, file;
        if (words_.size() != 1) return usage("cert show takes a name (fedctl cert list) or a file");
        if (!read_plan(why)) return fail(why);
        std::string text;
        const std::string request = is_name(words_[0]) && is_there(path_of(words_[0], ".csr"))
                                        ? path_of(words_[0], ".csr")
                                        : words_[0];
        const bool has_certificate = is_there(path_of(words_[0], ".pem"));
        if (!has_certificate && read_regular_file(request, text, why)) {
            if (const auto ders = net::parse_pem(text, "CERTIFICATE REQUEST");
                ders && !ders->empty()) {
                Json what = describe_request(ders->front());
                const std::string shown = "Request " + request + "\n" + show_details(what);
                return tell({{"request", std::move(what)}, {"file", request}}, shown);
            }
        }
        Bundle bundle;
        if (!read_bundle(words_[0], bundle, file, why)) return fail(why);
        Json chain = Json::array();
        std::string shown =
            file + (uses_of(file).empty() ? ", not in use" : ", for " + uses_of(file));
        shown += "\n";
        const Json info = info_of_file(file);
        if (info.contains("friendly_name")) {
            shown += "  " + string_of(info, "friendly_name") +
                     (bool_of(info, "exportable") ? "" : " (key not exportable)") + "\n";
        }
        for (const std::string& der : bundle.ders) {
            Json what = describe_certificate(der, now());
            shown += (chain.empty() ? "" : "then, of its chain:\n") + show_details(what);
            chain.push_back(std::move(what));
        }
        return tell({{"file", file},
                     {"used_for", uses_of(file)},
                     {"info", info},
                     {"chain", std::move(chain)}},
                    shown);
    }

    int check() {
        std::string why;
        if (words_.size() > 1) return usage("cert check takes one name or file, or nothing");
        if (!read_plan(why)) return fail(why);
        Json all = Json::array();
        std::string text;
        bool good = true;
        const auto look = [&](const std::string& typed, const std::string& purpose_name) {
            Bundle bundle;
            std::string file;
            if (!read_bundle(typed, bundle, file, why)) return false;
            Json found = check_bundle(bundle, use_of(purpose_name), now());
            explicit_bzero(bundle.key.data(), bundle.key.size());
            good = good && !has_error(found);
            text += file + ", for " + purpose_name +
                    (has_error(found) ? ": NOT GOOD"
                     : found.empty()  ? ": good"
                                      : ": usable") +
                    "\n" + show_findings(found);
            all.push_back({{"file", file}, {"purpose", purpose_name}, {"findings", found}});
            return true;
        };
        if (words_.size() == 1) {
            std::string name = string_of(info_of(words_[0]), "purpose", "external");
            if (!read_purpose(name, why)) return usage(why);
            if (!look(words_[0], name)) return fail(why);
        } else {
            for (const char* name : kPurposes) {
                const Json& what = purpose(name);
                const std::string file = string_of(what, "certificate");
                if (!bool_of(what, "used") || file.empty()) continue;
                if (!look(file, name)) return fail(why);
                if (what.contains("next") && !look(string_of(what["next"], "certificate"), name))
                    return fail(why);
            }
            if (all.empty()) {
                text =
                    "no certificate is configured (tls.external.certificate): a self-signed one "
                    "is in use; fedctl cert request makes the request for one\n";
            }
        }
        const int status = tell({{"checks", std::move(all)}}, text);
        return good ? status : kExitRefused;
    }

    // --- import

    // Once, and not before a file needs it: standard input gives it once only.
    bool read_password(bool& known, std::string& why) {
        Secret& password = password_;
        known = true;
        if (password_read_) return true;
        password_read_ = true;
        if (has("--password")) {
            options_.err << "fedctl: --password can be read by everybody on this machine while "
                            "this runs, and stays in your shell's history: use --password-file "
                            "FILE (- is standard input)\n";
            password.text = value("--password");
            return true;
        }
        const std::string file = value("--password-file");
        if (file == "-") {
            std::getline(in_, password.text);
            return true;
        }
        if (!file.empty()) {
            if (!read_file(file, password.text, why)) {
                why = file + " " + why;
                return false;
            }
            while (!password.text.empty() &&
                   (password.text.back() == '\n' || password.text.back() == '\r'))
                password.text.pop_back();
            return true;
        }
        known = password_read_ = false;
        return true;
    }
    void ask_password(const std::string& file, Secret& password) {
        out_ << "Password of " << file << ": " << std::flush;
        {
            const Echo silent(false);
            std::getline(in_, password.text);
        }
        out_ << "\n";
    }

    // Appends what one file has.
    bool read_part(const std::string& file, Bundle& bundle, std::string& friendly_name,
                   std::string& why) {
        Secret bytes;
        Secret& password = password_;
        bool known = false;
        if (!read_file(file, bytes.text, why)) {
            why = file + " " + why;
            return false;
        }
        const std::string& text = bytes.text;
        const bool wants = is_pfx(text) || text.contains("ENCRYPTED");
        if (wants && !read_password(known, why)) return false;
        const auto retry = [&](auto open) {
            if (open()) return true;
            if (known || !options_.terminal) {
                why = file + " " + why + (known ? "" : ": say it with --password-file FILE");
                return false;
            }
            ask_password(file, password);
            known = true;
            if (open()) return true;
            why = file + " " + why;
            return false;
        };
        if (is_pfx(text)) {
            Opened opened;
            if (!retry([&] { return open_pfx(text, password.text, opened = {}, why); }))
                return false;
            const auto ders = net::parse_pem_certificates(opened.certificates);
            if (ders) std::ranges::copy(*ders, std::back_inserter(bundle.ders));
            bundle.key = std::move(opened.key);
            friendly_name = opened.friendly_name;
            return true;
        }
        if (text.contains("PRIVATE KEY-----") &&
            !retry([&] { return open_key(text, password.text, bundle.key, why); }))
            return false;
        if (const auto ders = net::parse_pem_certificates(text); ders) {
            std::ranges::copy(*ders, std::back_inserter(bundle.ders));
        } else if (net::parse_certificate(text)) {
            bundle.ders.push_back(text);
        } else if (text.contains("-----BEGIN PKCS7")) {
            why = file + " is PKCS #7: openssl pkcs7 -print_certs -in " + file +
                  " makes PEM of it, which can be imported";
            return false;
        } else if (bundle.key.empty()) {
            why = file + " is neither a certificate (PEM, DER) nor a PFX file";
            return false;
        }
        return true;
    }

    // The key of ours that the certificate was requested with.
    bool find_key(Bundle& bundle, std::string& name) const {
        for (const std::string& one : known_names()) {
            Secret key;
            std::string why;
            if (!read_regular_file(path_of(one, ".key"), key.text, why)) continue;
            Bundle trial{bundle.ders, key.text};
            if (!put_in_order(trial, why)) continue;
            name = one;
            bundle = trial;
            return true;
        }
        return false;
    }

    int import() {
        std::string why, friendly_name;
        if (words_.empty()) return usage("cert import takes one file or several");
        if (!read_plan(why)) return fail(why);
        Bundle bundle;
        for (const std::string& file : words_) {
            if (!read_part(file, bundle, friendly_name, why)) return fail(why);
        }
        if (has("--key") && !read_part(value("--key"), bundle, friendly_name, why))
            return fail(why);
        std::string name = value("--name");
        std::string requested;
        if (!bundle.key.empty()) {
            if (!put_in_order(bundle, why)) return fail(joined(words_) + " " + why);
        } else if (!find_key(bundle, requested)) {
            if (!put_in_order(bundle, why)) return fail(joined(words_) + " " + why);
            return fail(
                "no key of ours belongs to this certificate: name the one that it was "
                "requested with (--key FILE), or import the PFX file that has both");
        }
        std::string purpose_name = string_of(info_of(requested), "purpose", "external");
        if (!read_purpose(purpose_name, why)) return usage(why);
        if (name.empty())
            name =
                requested.empty() ? free_name(purpose_name + "-" + readable_day(now())) : requested;
        if (!is_name(name))
            return fail(config::in_quotes(name) + " can't be a name: letters, digits, - _ .");
        // It may be kept before it is valid, and assigned from then on.
        const auto leaf = net::parse_certificate(bundle.ders.front());
        const WallTime then = leaf ? std::max(now(), leaf->not_before) : now();
        const Json found = check_bundle(bundle, use_of(purpose_name), then);
        if (has_error(found)) {
            explicit_bzero(bundle.key.data(), bundle.key.size());
            return fail("not imported:\n" + show_findings(found));
        }
        if (name != requested &&
            (is_there(path_of(name, ".key")) || is_there(path_of(name, ".pem")))) {
            explicit_bzero(bundle.key.data(), bundle.key.size());
            return fail("there is a key or a certificate " + name +
                        " already, and this key is another one: take another --name");
        }
        if (!make_directory(why)) return fail(why);
        Json info = info_of(requested);
        if (!info.contains("purpose")) {
            info = {
                {"purpose", purpose_name}, {"friendly_name", friendly_name}, {"exportable", true}};
        }
        const bool written =
            (name == requested || write_owned_file(path_of(name, ".key"), bundle.key, true, why)) &&
            write_owned_file(path_of(name, ".json"), write_json(info) + "\n", false, why) &&
            write_owned_file(path_of(name, ".pem"), pem_of(bundle.ders), false, why);
        explicit_bzero(bundle.key.data(), bundle.key.size());
        if (!written) return fail(why);
        Json what = describe_certificate(bundle.ders.front(), now());
        std::string text = "Imported " + name + ", with " + std::to_string(bundle.ders.size() - 1) +
                           " of its chain:\n" + show_details(what) + show_findings(found);
        if (!has("--assign")) {
            text += "Use it: fedctl cert assign " + name + " --for " + purpose_name + "\n";
            return tell({{"name", name}, {"certificate", what}, {"findings", found}}, text);
        }
        if (!options_.json) out_ << for_terminal(text);
        return assign_to({purpose_name}, path_of(name, ".pem"), path_of(name, ".key"));
    }

    // --- assign

    bool read_effective(WallTime& from, std::string& why) const {
        const std::string text = value("--effective");
        auto time = config::parse_time(text);
        if (!time) time = config::parse_time(text + "T00:00:00Z");
        if (time) from = *time;
        if (time && from > now()) return true;
        why = config::in_quotes(text) +
              (time ? " is past" : " is no date: 2026-12-01, or 2026-12-01T06:00:00Z (UTC)");
        return false;
    }

    int assign_to(const std::vector<std::string>& purposes, const std::string& certificate,
                  const std::string& key) {
        std::vector<std::string> settings;
        std::string why, when = "from now on";
        for (const std::string& name : purposes) {
            const std::string prefix = "tls." + name;
            if (has("--effective")) {
                WallTime from{};
                if (!read_effective(from, why)) return fail(why);
                when = "from " + config::format_time(from) + " on";
                settings.push_back(prefix + ".next=" + config::format_time(from) + " " +
                                   certificate + " " + key);
            } else {
                settings.insert(settings.end(), {prefix + ".certificate=" + certificate,
                                                 prefix + ".key=" + key, prefix + ".next="});
            }
        }
        Json answer;
        const std::string comment = value("--comment", fs::path(certificate).stem().string() +
                                                           " for " + joined(purposes) + " " + when);
        const Json request{{"verb", "sysctl"},
                           {"action", "write"},
                           {"settings", settings},
                           {"save", true},
                           {"comment", comment}};
        if (!options_.ask(request, answer, why)) return fail(why);
        if (!bool_of(answer, "ok")) {
            for (const Json& one : array_of(answer, "errors")) why += one.get<std::string>() + " ";
            return fail(why.empty() ? string_of(answer, "error") : why);
        }
        return tell(answer, joined(purposes) + ": " + certificate + " " + when +
                                ", for new connections; those that are up stay\n" +
                                show_commit(answer));
    }

    int assign() {
        std::string why, file;
        if (!read_plan(why)) return fail(why);
        std::vector<std::string> purposes = split(value("--for"));
        if (has("--cancel")) {
            if (!words_.empty() || purposes.empty())
                return usage("cert assign --cancel --for external takes back what is scheduled");
            std::vector<std::string> settings;
            Json answer;
            for (const std::string& name : purposes) {
                const std::string one = "tls." + name + ".next";
                if (!options_.ask({{"verb", "sysctl"}, {"action", "get"}, {"keys", {one}}}, answer,
                                  why))
                    return fail(why);
                const Json found = array_of(answer, "keys");
                const std::string next = found.empty() ? "" : string_of(found[0], "value");
                const auto from = config::parse_time(next.substr(0, next.find(' ')));
                if (from && *from <= now()) {
                    return fail("what was scheduled for " + name + " is in use since " +
                                config::format_time(*from) +
                                ": use another with fedctl cert assign NAME --for " + name);
                }
                settings.push_back(one + "=");
            }
            const Json request{{"verb", "sysctl"},
                               {"action", "write"},
                               {"settings", settings},
                               {"save", true},
                               {"comment", "nothing scheduled"}};
            if (!options_.ask(request, answer, why)) return fail(why);
            if (!bool_of(answer, "ok")) return fail(string_of(answer, "error"));
            return tell(answer, show_commit(answer));
        }
        if (words_.size() != 1) {
            return usage(
                "cert assign takes a name (fedctl cert list) or a PEM file: fedctl cert "
                "assign NAME --for external");
        }
        Bundle bundle;
        if (!read_bundle(words_[0], bundle, file, why)) return fail(why);
        if (purposes.empty()) purposes = {string_of(info_of(words_[0]), "purpose", "external")};
        std::string key = value("--key", key_of(file));
        if (key.empty()) return fail("the key of " + file + " is not known: --key FILE");
        WallTime then = now();
        if (has("--effective") && !read_effective(then, why)) return fail(why);
        std::string warnings;
        for (const std::string& name : purposes) {
            if (std::ranges::find(kPurposes, name) == std::end(kPurposes))
                return usage(config::in_quotes(name) + " is no purpose: external, internal, sip");
            const Json found = check_bundle(bundle, use_of(name), then);
            if (has_error(found))
                return fail("not assigned to " + name + ":\n" + show_findings(found));
            warnings += show_findings(found);
        }
        explicit_bzero(bundle.key.data(), bundle.key.size());
        if (!options_.json) out_ << for_terminal(warnings);
        return assign_to(purposes, fs::absolute(file), fs::absolute(key));
    }

    // --- export

    // For the other edges of a pool, which show the same certificate.
    int export_files() {
        std::string why, file;
        if (words_.size() != 1 || !has("--file"))
            return usage("cert export takes a name, and --file FILE for certificate and key (PEM)");
        if (!read_plan(why)) return fail(why);
        Bundle bundle;
        if (!read_bundle(words_[0], bundle, file, why)) return fail(why);
        const Json info = info_of_file(file);
        if (info.contains("exportable") && !bool_of(info, "exportable")) {
            explicit_bzero(bundle.key.data(), bundle.key.size());
            return fail("the key of " + words_[0] +
                        " was made to stay here (--exportable no): "
                        "request another one on the other machine");
        }
        Secret both;
        both.text = bundle.key + pem_of(bundle.ders);
        explicit_bzero(bundle.key.data(), bundle.key.size());
        if (!write_owned_file(value("--file"), both.text, true, why, false)) return fail(why);
        return tell({{"file", value("--file")}},
                    value("--file") +
                        " has the key, too, unprotected (mode 0600): take it to the "
                        "other machine by scp, fedctl cert import it there, and "
                        "remove it\n");
    }

    const CertificateToolOptions& options_;
    Secret password_;
    bool password_read_ = false;
    std::istream& in_;
    std::ostream& out_;
    std::map<std::string, std::string> values_;
    std::vector<std::string> words_;
    Json plan_;
};

}  // namespace

int run_certificate_tool(const CertificateToolOptions& options,
                         const std::vector<std::string>& words) {
    return Verbs(options).run(words);
}

}  // namespace fedgate::admin
