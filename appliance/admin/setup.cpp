#include "appliance/admin/setup.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <iostream>
#include <map>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include "appliance/admin/certificates.hpp"
#include "appliance/admin/configuration.hpp"
#include "appliance/admin/names.hpp"
#include "appliance/admin/questions.hpp"
#include "appliance/admin/show.hpp"
#include "appliance/admin/tool.hpp"
#include "appliance/admin/words.hpp"
#include "core/base/file.hpp"
#include "core/config/domain.hpp"
#include "core/config/text.hpp"

namespace fedgate::admin {
namespace {

constexpr const char* kFile = "/etc/fedgate/fedgate.conf";
constexpr std::size_t kDomainsMax = 64;  // that are asked for one by one
constexpr int kTries = 5;                // of one question
constexpr auto kListensWithin = std::chrono::seconds(3);
constexpr auto kLookAgain = std::chrono::milliseconds(100);

constexpr std::string_view kOptions[] = {
    "--role=",       "--edges=",   "--gateways=", "--link-certificate=",
    "--link-key=",   "--link-ca=", "--domain=",   "--next-hop=",
    "--sip-listen=", "--trust=",   "--partner=",  "--everybody=",
    "--allow=",      "--set=",     "--config=",   "--yes",
    "--ask",         "--force",    "--dry-run"};

// What is set now, and by whom.
struct Known {
    std::string value;
    std::string origin;
};

// A file of `key = value` lines in which some values are others: each stays where it is, comments
// stay, and what is new comes last.
std::string edited(const std::string& text, const std::string& file,
                   std::map<std::string, std::string> values) {
    std::vector<config::Setting> settings;
    config::Problems ignored;
    config::parse_settings(text, file, settings, ignored);
    std::map<int, std::string> lines;  // the last one of a key is in force
    for (auto one = settings.rbegin(); one != settings.rend(); ++one) {
        config::Path path;
        std::string why;
        if (!config::resolve(one->key, path, why)) continue;
        const auto found = values.find(path.name);
        if (found == values.end()) continue;
        lines[one->origin.line] = found->first + " = " + found->second;
        values.erase(found);
    }
    std::string out;
    int number = 0;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        const auto found = lines.find(++number);
        out += (found == lines.end() ? text.substr(at, end - at) : found->second) + "\n";
        at = end + 1;
    }
    for (const auto& [key, value] : values) out += key + " = " + value + "\n";
    return out;
}

// As it was, but for its text: who may read it stays.
bool replace_file(const std::string& path, const std::string& text, bool secret, std::string& why) {
    const std::string draft = path + ".new";
    struct stat old{};
    const bool known = stat(path.c_str(), &old) == 0;
    unlink(draft.c_str());
    const int out = open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool good = out >= 0;
    good = good && write(out, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    good = good && (!known || geteuid() != 0 || fchown(out, old.st_uid, old.st_gid) == 0);
    const mode_t mode = known ? old.st_mode & 07777 : secret ? 0600 : 0644;
    good = good && fchmod(out, mode) == 0 && fsync(out) == 0;
    const int error = errno;
    if (out >= 0) close(out);
    if (good && rename(draft.c_str(), path.c_str()) == 0) return true;
    why = path + " can't be written: " + std::strerror(good ? errno : error) +
          (good || error != ENOENT ? "" : " (make its directory first)");
    if (out >= 0) unlink(draft.c_str());
    return false;
}

class Setup {
public:
    explicit Setup(const SetupOptions& options)
        : options_(options), in_(options.in), out_(options.out) {}

    int run(const std::vector<std::string>& words) {
        std::string why;
        if (!cut(words, why)) {
            options_.err << "fedctl: " << why << "\n";
            return kExitUsage;
        }
        if (!find_out(why) || !gather(why)) return fail(why);
        if (!check(why)) return fail(why);
        if (!changes_.empty() && !may_change(why)) return fail(why);
        const bool dry = has("--dry-run");
        if (!changes_.empty() && !dry && !(file_.empty() ? commit(why) : write_file(why))) {
            return fail(why);
        }
        say(done(dry) + "\n");
        if (!dry) look_at_it();
        return report(dry);
    }

private:
    // --- words

    bool cut(std::vector<std::string> words, std::string& why) {
        // These may be said several times.
        for (std::size_t i = 0; i + 1 < words.size(); ++i) {
            if (words[i] != "--set") continue;
            more_.push_back(words[i + 1]);
            words.erase(words.begin() + static_cast<std::ptrdiff_t>(i),
                        words.begin() + static_cast<std::ptrdiff_t>(i) + 2);
            --i;
        }
        words.insert(words.begin(), "setup");
        if (!cut_words(words, kOptions, said_, why)) return false;
        if (!said_.words.empty()) {
            why = "setup takes options only, not '" + said_.words.front() + "' (fedctl help)";
        } else if (has("--yes") && has("--ask")) {
            why = "--yes is for no questions, and --ask for all of them";
        }
        return why.empty();
    }
    [[nodiscard]] bool has(const char* option) const { return said_.options.contains(option); }
    [[nodiscard]] bool asks() const {
        return wants_questions(said_.options, options_.terminal, options_.json);
    }

    int fail(const std::string& text) {
        if (options_.json) {
            out_ << write_json({{"ok", false}, {"error", text}}) << "\n";
        } else {
            options_.err << "fedctl: " << for_terminal(text) << "\n";
        }
        return kExitRefused;
    }
    void say(const std::string& text) {
        if (!options_.json) out_ << for_terminal(text) << std::flush;
    }

    // --- what there is

    bool find_out(std::string& why) {
        if (has("--config")) return read_files(said_.options["--config"], why);
        Json answer;
        if (options_.ask({{"verb", "sysctl"},
                          {"action", "get"},
                          {"keys",
                           {"core.roles", "dirs.state", "tls.internal", "sip.listen", "sip.trusted",
                            "federation.allow", "policy/global/federation_access",
                            "policy/global/xmpp_access", "domain", "pool"}}},
                         answer, why)) {
            // A root of which nothing is set is an error to it, and none to us.
            for (const Json& row : array_of(answer, "keys")) {
                known_[string_of(row, "key")] = {string_of(row, "value"), string_of(row, "origin")};
            }
            if (!known_.empty()) return true;
            why = string_of(answer, "error", "fedgated does not say how it is set");
            return false;
        }
        return why.contains("is not running") && read_files("", why);
    }

    // As the daemon would read them at its start, with what is committed over them.
    bool read_files(const std::string& file, std::string& why) {
        file_ = file.empty() ? kFile : file;
        sources_.file = file;
        if (!file.empty() && access(file.c_str(), F_OK) != 0) sources_.file = "/dev/null";
        why.clear();
        Configuration now(sources_);
        config::Problems problems;
        if (now.load(problems) == nullptr) return explain(problems, why);
        for (const config::Entry& entry : now.tree().all()) {
            known_[entry.path.name] = {entry.value.text, entry.origin.text()};
        }
        return true;
    }

    static bool explain(const config::Problems& problems, std::string& why) {
        const auto first = std::ranges::find(problems, false, &config::Problem::warning);
        why = first == problems.end() ? "the configuration can't be read"
              : first->origin.line == 0
                  ? first->key + (first->key.empty() ? "" : ": ") + first->text
                  : first->line();
        return false;
    }

    [[nodiscard]] std::string value(const std::string& key) const {
        if (const auto wish = wishes_.find(key); wish != wishes_.end()) return wish->second;
        const auto found = known_.find(key);
        return found == known_.end() ? std::string() : found->second.value;
    }
    [[nodiscard]] bool is_set(const std::string& key) const {
        const auto found = known_.find(key);
        return found != known_.end() && found->second.origin != config::Origin{}.text();
    }

    // The names between two slashes: `domain/` -> those of ours.
    [[nodiscard]] std::vector<std::string> instances(const std::string& root) const {
        std::vector<std::string> names;
        for (auto at = known_.lower_bound(root); at != known_.end() && at->first.starts_with(root);
             ++at) {
            const std::string rest = at->first.substr(root.size());
            const std::string name = rest.substr(0, rest.rfind('/'));
            if (names.empty() || names.back() != name) names.push_back(name);
        }
        return names;
    }

    // --- questions

    // Takes an answer. False: `why` is what is wrong with it.
    using Take = std::function<bool(const std::string& answer, std::string& why)>;

    // An option, or the answer to a question, or nothing: then it stays as it is. `reason`: why it
    // is asked.
    bool ask(const char* option, const std::string& question, const std::string& reason,
             const std::string& proposed, const Take& take, std::string& why) {
        if (has(option)) {
            if (take(said_.options[option], why)) return true;
            why = std::string(option) + ": " + why;
            return false;
        }
        if (!asks()) return true;
        for (int i = 0; i < kTries; ++i) {
            say("\n" + reason + "\n");
            std::string answer;
            if (!read_answer(question, proposed, answer, why)) return false;
            if (take(answer, why)) return true;
            say("  " + why + "\n");
        }
        why = "that was no answer " + std::to_string(kTries) + " times: nothing was changed";
        return false;
    }

    bool read_answer(const std::string& question, const std::string& proposed, std::string& answer,
                     std::string& why) {
        if (ask_question(in_, options_.json ? options_.err : out_, question, proposed, answer))
            return true;
        why = "the answers ended in the middle: nothing was changed";
        return false;
    }

    // A wish, checked by itself.
    bool wish(const std::string& key, const std::string& text, std::string& why) {
        config::Path path;
        if (!config::resolve(key, path, why)) return false;
        config::Value read;
        if (!config::parse_value(*path.key, text, read, why)) return false;
        wishes_[path.name] = read.text;
        return true;
    }
    [[nodiscard]] Take wishing(std::string key) {
        return [this, key = std::move(key)](const std::string& answer, std::string& why) {
            return wish(key, answer, why);
        };
    }

    bool gather(std::string& why) {
        if (asks()) {
            say("This sets up Fedgate: a few questions, each with an answer in brackets that\n"
                "Enter takes. Nothing is changed before you have seen all of it.\n");
        }
        const Take role = [this](const std::string& answer, std::string& fault) {
            const std::string roles = answer == "both" ? "edge,gateway" : answer;
            if (roles == "edge,gateway" || roles == "edge" || roles == "gateway") {
                return wish("core.roles", roles, fault);
            }
            fault = config::in_quotes(answer) + " is no role: both, edge or gateway";
            return false;
        };
        const std::string roles = value("core.roles");
        if (!ask("--role", "Role: both, edge or gateway",
                 "An edge speaks XMPP with partners, a gateway SIP with your users; one machine\n"
                 "can be both.",
                 roles == "edge" || roles == "gateway" ? roles : "both", role, why)) {
            return false;
        }
        const bool edge = value("core.roles") != "gateway";
        const bool gateway = value("core.roles") != "edge";
        if (!(edge && gateway) || has("--edges") || has("--gateways")) {
            if (!machines(why)) return false;
        }
        if (gateway && !sip_side(why)) return false;
        if (gateway && !people(why)) return false;
        for (const std::string& text : more_) {
            config::Setting setting;
            if (!config::parse_assignment(text, {}, setting, why) ||
                !wish(setting.key, setting.value, why)) {
                why = "--set " + text + ": " + why;
                return false;
            }
        }
        if (gateway && instances("domain/").empty() && domains_.empty()) {
            why = "there is no domain of ours yet: say which with --domain corp.example";
            return false;
        }
        return true;
    }

    // Edges and gateways on machines of their own.
    bool machines(std::string& why) {
        for (const auto& [kind, option] :
             {std::pair{"edge", "--edges"}, std::pair{"gateway", "--gateways"}}) {
            std::string pool;
            for (const std::string& name : instances("pool/")) {
                const std::string its = value("pool/" + name + "/kind");
                if (pool.empty() && (its.empty() ? "edge" : its) == kind) pool = name;
            }
            if (pool.empty()) pool = std::string(kind) + "s";
            const std::string root = "pool/" + pool + "/";
            const Take take = [this, root, kind](const std::string& answer, std::string& fault) {
                if (split(answer).empty()) {
                    fault = "at least one is needed, as " + std::string(kind) + "1.corp.example";
                    return false;
                }
                return wish(root + "kind", kind, fault) &&
                       wish(root + "members", joined(split(answer), " "), fault);
            };
            if (!ask(option, "Names of the " + std::string(kind) + "s, blanks between",
                     "Edges and gateways know each other by the names in their certificates.",
                     value(root + "members"), take, why)) {
                return false;
            }
        }
        const std::string kept = value("dirs.state") + "/certificates/internal";
        for (const auto& [option, key, question, end] :
             {std::tuple{"--link-certificate", "tls.internal.certificate", "certificate", ".pem"},
              std::tuple{"--link-key", "tls.internal.key", "key", ".key"},
              std::tuple{"--link-ca", "tls.internal.ca", "authority", "-ca.pem"}}) {
            const std::string old = value(key);
            if (!ask(option, std::string("File of this machine's ") + question,
                     "Edges and gateways prove to each other who they are, by an authority of your "
                     "own;\nthe files may come later.",
                     old.empty() ? kept + end : old, wishing(key), why)) {
                return false;
            }
        }
        return true;
    }

    bool sip_side(std::string& why) {
        const Take domains = [this](const std::string& answer, std::string& fault) {
            domains_.clear();
            for (const std::string& typed : split(answer)) {
                const auto name = config::normalise_domain(typed);
                if (!name) {
                    fault = config::in_quotes(typed) + " is not a domain name";
                    return false;
                }
                domains_.push_back(*name);
            }
            if (domains_.empty() || domains_.size() > kDomainsMax) {
                fault = domains_.empty() ? "a domain is needed, as corp.example"
                                         : "that is more than " + std::to_string(kDomainsMax) +
                                               " domains: the others by a file (fedctl config "
                                               "commit)";
                return false;
            }
            return true;
        };
        if (!ask("--domain", "SIP domains of yours, blanks between",
                 "Partners will write to USER@DOMAIN, and reach your SIP users.",
                 joined(instances("domain/"), " "), domains, why)) {
            return false;
        }
        if (domains_.empty() && has("--next-hop")) {
            domains_ = instances("domain/");
            if (domains_.size() != 1) {
                why = "--next-hop: say of which domain with --domain";
                return false;
            }
        }
        for (const std::string& domain : domains_) {
            const std::string key = "domain/" + domain + "/next_hop";
            const std::string old = value(key);
            const std::string proposed = old.empty() ? "sip:" + domain : old;
            const Take hop = [this, key](const std::string& answer, std::string& fault) {
                if (answer.empty()) {
                    fault = "a SIP URI is needed, as sip:pool.corp.example;transport=tls";
                    return false;
                }
                return wish(key, answer, fault);
            };
            if (!ask("--next-hop", "SIP pool of " + domain,
                     "Its users are reached by a SIP server: a host and a transport, as\n"
                     "sip:pool.corp.example;transport=tls, or a name of which DNS says that.",
                     proposed, hop, why)) {
                return false;
            }
            if (old.empty() && !wishes_.contains(key) && !wish(key, proposed, why)) return false;
        }
        if (!ask("--sip-listen", "Listen for SIP at",
                 "The SIP pool sends here: as udp:10.0.0.5:5060 tls:[::]:5061.",
                 value("sip.listen"), wishing("sip.listen"), why)) {
            return false;
        }
        return ask("--trust", "Networks that may send SIP without a certificate",
                   "Name your SIP servers, and nobody else: they may write as any user of yours.",
                   value("sip.trusted"), wishing("sip.trusted"), why);
    }

    bool people(std::string& why) {
        const Take partner = [this](const std::string& answer, std::string& fault) {
            partner_.clear();
            for (const std::string& typed : split(answer)) {
                if (typed == "none") continue;
                const std::string key = "partner/" + typed + "/type";
                config::Path path;
                if (!config::resolve(key, path, fault)) return false;
                partner_.push_back(path.instance);
            }
            return true;
        };
        if (!ask("--partner", "XMPP domains to federate with first, or none",
                 "Only listed partners are spoken with; more come by fedctl partner add.", "none",
                 partner, why) ||
            !add_partners(why)) {
            return false;
        }
        static constexpr const char* kAccess[] = {"policy/global/federation_access",
                                                  "policy/global/xmpp_access"};
        const bool everybody = value(kAccess[0]) == "yes" && value(kAccess[1]) == "yes";
        const Take all = [this](const std::string& answer, std::string& fault) {
            return wish(kAccess[0], answer, fault) && wish(kAccess[1], answer, fault);
        };
        if (!ask("--everybody", "May all of your users converse with partners",
                 "No: those alone to whom you grant a policy (fedctl user grant).",
                 everybody ? "yes" : "no", all, why)) {
            return false;
        }
        const std::string allow = value("federation.allow");
        return ask("--allow", "Turn federation on",
                   "The organisation's switch: while it is off nothing passes.",
                   is_set("federation.allow") ? allow : "yes", wishing("federation.allow"), why);
    }

    // One that is listed already stays as it is.
    bool add_partners(std::string& why) {
        for (const std::string& domain : partner_) {
            const std::string key = "partner/" + domain + "/type";
            bool there = known_.contains(key);
            Json answer;
            if (file_.empty()) {
                const Json request{
                    {"verb", "sysctl"}, {"action", "get"}, {"keys", {"partner/" + domain}}};
                if (!options_.ask(request, answer, why)) return false;
                there = !array_of(answer, "keys").empty();
            }
            if (!there && !wish(key, "federated", why)) return false;
        }
        return true;
    }

    // --- the change

    [[nodiscard]] std::vector<std::string> assignments() const {
        std::vector<std::string> all;
        for (const auto& [key, text] : wishes_) {
            const auto now = known_.find(key);
            // What is as it should be need not be said again.
            if (now != known_.end() && now->second.value == text) continue;
            all.push_back(key + "=" + text);
        }
        return all;
    }

    bool check(std::string& why) { return file_.empty() ? check_there(why) : check_here(why); }

    [[nodiscard]] Json request(const char* action) const {
        return {{"verb", "sysctl"},
                {"action", action},
                {"save", true},
                {"comment", "fedctl setup"},
                {"settings", assignments()}};
    }

    bool ask_for(const Json& request, Json& answer, std::string& why) {
        if (!options_.ask(request, answer, why)) return false;
        if (bool_of(answer, "ok")) return true;
        why = string_of(answer, "error");
        for (const Json& one : array_of(answer, "errors")) {
            if (one.is_string()) why += (why.empty() ? "" : "\n") + one.get<std::string>();
        }
        return false;
    }

    bool check_there(std::string& why) {
        if (assignments().empty()) return true;
        Json answer;
        if (!ask_for(request("check"), answer, why)) return false;
        changes_ = array_of(answer, "changes");
        warnings_ = array_of(answer, "warnings");
        return true;
    }

    bool check_here(std::string& why) {
        config::Sources with = sources_;
        with.assignments = assignments();
        if (with.assignments.empty()) return true;
        Configuration next(with);
        config::Problems problems;
        if (next.load(problems) == nullptr) return explain(problems, why);
        for (const auto& [key, text] : wishes_) {
            config::Path path;
            if (!config::resolve(key, path, why)) return false;
            const config::Entry entry = next.tree().effective(path);
            if (entry.value.text != text) {
                why = key + " = " + text + " would not be in force: " + entry.origin.text() +
                      " says " + entry.value.text + ", and stands over files. Start fedgated and " +
                      "say fedctl setup again: then it is committed";
                return false;
            }
            const auto before = known_.find(key);
            if (before != known_.end() && before->second.value == text) continue;
            const Known old =
                before == known_.end() ? Known{"", config::Origin{}.text()} : before->second;
            const bool secret = path.key->secret;
            secret_ = secret_ || secret;
            changes_.push_back({{"key", key},
                                {"before", secret ? "(not shown)" : old.value},
                                {"after", secret ? "(not shown)" : text},
                                {"origin", old.origin},
                                {"apply", config::name_of(path.key->apply)}});
        }
        return true;
    }

    // What somebody has set is changed by his word alone.
    bool may_change(std::string& why) {
        const bool dry = has("--dry-run");
        say((asks() ? "\n" : "") + std::string(dry ? "Would change:\n" : "Changes:\n"));
        say(show_changes({{"changes", changes_}, {"warnings", warnings_}}, dry));
        if (dry) return true;
        if (asks()) {
            std::string answer;
            say("\n");
            if (!read_answer("Apply this (yes or no)", "yes", answer, why)) return false;
            if (answer == "yes" || answer == "y") return true;
            why = "nothing was changed";
            return false;
        }
        if (has("--force")) return true;
        for (const Json& change : changes_) {
            const std::string origin = string_of(change, "origin");
            if (origin == config::Origin{}.text()) continue;
            why = string_of(change, "key") + " is set already, to " + string_of(change, "before") +
                  " (" + origin + "): nothing was changed; --force changes it";
            return false;
        }
        return true;
    }

    bool commit(std::string& why) {
        Json answer;
        if (!ask_for(request("write"), answer, why)) return false;
        commit_ = number_of(answer, "commit");
        return true;
    }

    bool write_file(std::string& why) {
        std::string text;
        if (access(file_.c_str(), F_OK) == 0) {
            if (!read_regular_file(file_, text, why)) {
                why = file_ + " " + why;
                return false;
            }
        } else {
            text = "# Made by fedctl setup.\n";
        }
        std::map<std::string, std::string> values;
        for (const Json& change : changes_) {
            const std::string key = string_of(change, "key");
            values[key] = wishes_[key];
        }
        return replace_file(file_, edited(text, file_, std::move(values)), secret_, why);
    }

    [[nodiscard]] std::string done(bool dry) const {
        if (changes_.empty()) return "Everything is set so already: nothing to change.";
        if (dry) return "Dry run: nothing was changed.";
        if (!file_.empty()) return "Written to " + file_ + ".";
        return "Commit " + std::to_string(commit_) + ", in force now.";
    }

    // --- afterwards

    void found(const char* check, bool good, const std::string& text) {
        good_ = good_ && good;
        checks_.push_back({{"check", check}, {"good", good}, {"text", text}});
    }
    void left(const std::string& text) { left_.push_back(text); }

    // The reference's own: ports, service state, route.
    void look_at_it() {
        if (!file_.empty()) {
            look_outside();
            left("start fedgated (systemctl start fedgated" +
                 (has("--config") ? ", or fedgated -c " + file_ : std::string()) +
                 "), or, if it runs, fedctl reload; fedctl setup once more looks whether all is "
                 "well");
            return;
        }
        Json status, ports;
        std::string why;
        if (!options_.ask({{"verb", "status"}}, status, why)) return found("service", false, why);
        const std::string state = string_of(status, "state");
        found("service", state == "running",
              "fedgated " + string_of(status, "version") + " is " + state + " as " +
                  value("core.roles"));
        const auto until = std::chrono::steady_clock::now() + kListensWithin;
        while (options_.ask({{"verb", "ports"}}, ports, why) && !all_listen(ports) &&
               std::chrono::steady_clock::now() < until) {
            std::this_thread::sleep_for(kLookAgain);
        }
        look_at_ports(ports);
        for (const Json& route : array_of(status, "routes")) {
            const std::string site = string_of(route, "site");
            found("route", !string_of(route, "now").empty(),
                  show_route(route, site.empty() ? "all" : site));
        }
        if (value("core.roles") != "edge") look_at_partners(status);
        look_outside();
    }

    static bool all_listen(const Json& ports) {
        return std::ranges::all_of(array_of(ports, "ports"), [](const Json& port) {
            return bool_of(port, "listening") || bool_of(port, "dialled");
        });
    }

    void look_at_ports(const Json& ports) {
        bool link = false;
        bool hidden = false;
        for (const Json& port : array_of(ports, "ports")) {
            const std::string address = string_of(port, "address");
            const std::string service = string_of(port, "service");
            link = link || service == "link";
            const bool loopback = address.starts_with("127.") || address.starts_with("[::1]");
            hidden = hidden || (service == "xmpp" && loopback);
            found("port",
                  bool_of(port, "listening") ||
                      (bool_of(port, "dialled") && number_of(port, "established") > 0),
                  service + " " + string_of(port, "protocol") + " " + address + ": " +
                      string_of(port, "verdict"));
        }
        if (!link) {
            found("port", true, "link 23456: not needed, edge and gateway are one process here");
        }
        if (hidden) {
            left(
                "partners can't reach a loopback address: fedctl sysctl -w --save "
                "xmpp.listen=[::]:5269 xmpp.listen_tls=[::]:5270");
        }
    }

    void look_at_partners(const Json& status) {
        if (value("federation.allow") != "yes") {
            left(
                "nothing passes yet: fedctl setup --allow yes --force, or fedctl sysctl -w --save "
                "federation.allow=yes");
        }
        if (number_of(status, "partners") == 0) {
            left("list a partner: fedctl partner add partner.example type=federated");
        }
        if (value("policy/global/xmpp_access") != "yes") {
            left(
                "who may converse: fedctl policy new POLICY federation_access=yes xmpp_access=yes, "
                "fedctl user grant POLICY ADDRESS...");
        }
    }

    // What the configuration, as it is now, asks for outside.
    Json plan(const char* verb) {
        const Json request{{"verb", verb}, {"action", "plan"}};
        Json answer = Json::object();
        std::string why;
        if (file_.empty()) {
            if (!options_.ask(request, answer, why)) return Json::object();
            return answer;
        }
        config::Sources sources = sources_;
        if (has("--config")) sources.file = file_;
        Configuration now(sources);
        config::Problems problems;
        if (now.load(problems) == nullptr) return Json::object();
        return verb == std::string_view("cert") ? answer_cert(request, now)
                                                : answer_dns(request, now);
    }

    // Certificates of an authority, and DNS.
    void look_outside() {
        const std::string of_file = file_.empty() ? "" : " --config " + file_;
        const Json certificates = plan("cert").value("purposes", Json::object());
        for (const auto& [purpose, what] : certificates.items()) {
            const std::string file = string_of(what, "certificate");
            // Towards SIP that of the external side will do.
            if (!bool_of(what, "used") || (purpose == "sip" && file.empty())) continue;
            if (!file.empty() && access(file.c_str(), F_OK) == 0) continue;
            left("a certificate for " + purpose +
                 (file.empty() ? "" : " (" + file + " is not there)") +
                 ": fedctl cert request --for " + purpose + of_file +
                 ", send the request to your authority, then " +
                 (file.empty() && file_.empty()
                      ? "fedctl cert import ANSWER.pem --assign --for " + purpose
                      : "put certificate and key where tls." + purpose + ".* says"));
        }
        if (value("core.roles") == "edge") return;
        const Json names = plan("dns");
        if (!bool_of(names, "ok")) return;
        zone_ = show_dns(names);
        left("publish the records below, then fedctl dns check says whether they lead here");
    }

    int report(bool dry) {
        if (options_.json) {
            Json zone = Json::array();
            out_ << write_json({{"ok", true},
                                {"good", good_},
                                {"dry_run", dry},
                                {"commit", commit_},
                                {"file", file_},
                                {"changes", changes_},
                                {"warnings", warnings_},
                                {"checks", checks_},
                                {"left", left_},
                                {"zone", zone_}})
                 << "\n";
            return good_ ? kExitOk : kExitRefused;
        }
        if (!checks_.empty()) say("\nChecks:\n");
        for (const Json& one : checks_) {
            say(std::string(bool_of(one, "good") ? "  ok  " : "  !   ") + string_of(one, "text") +
                "\n");
        }
        if (!left_.empty()) say("\nLeft to do:\n");
        for (const Json& one : left_) say("  - " + one.get<std::string>() + "\n");
        if (!zone_.empty()) say("\n" + zone_);
        return good_ ? kExitOk : kExitRefused;
    }

    const SetupOptions& options_;
    std::istream& in_;
    std::ostream& out_;
    Words said_;
    std::vector<std::string> more_;  // --set
    std::string file_;               // no daemon: this is written; empty: it is asked
    config::Sources sources_;        // of it
    std::map<std::string, Known> known_;
    std::map<std::string, std::string> wishes_;  // by key
    std::vector<std::string> domains_;
    std::vector<std::string> partner_;
    Json changes_ = Json::array();
    Json warnings_ = Json::array();
    bool secret_ = false;  // one of them is none of everybody's business
    std::uint64_t commit_ = 0;
    Json checks_ = Json::array();
    Json left_ = Json::array();
    std::string zone_;
    bool good_ = true;
};

}  // namespace

int run_setup(const SetupOptions& options, const std::vector<std::string>& words) {
    return Setup(options).run(words);
}

}  // namespace fedgate::admin
