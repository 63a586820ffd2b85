#include "appliance/admin/partners.hpp"

#include <algorithm>
#include <fnmatch.h>
#include <map>
#include <optional>
#include <set>

#include "appliance/admin/advice.hpp"
#include "appliance/admin/import_bound.hpp"
#include "appliance/admin/partner_lists.hpp"
#include "appliance/admin/sheet.hpp"
#include "appliance/admin/verbs.hpp"
#include "appliance/admin/wall_clock.hpp"
#include "core/config/domain.hpp"
#include "core/config/text.hpp"
#include "core/config/timestamp.hpp"

namespace fedgate::admin {
namespace {

using config::Entry;
using config::Key;
using config::Origin;
using config::Path;
using config::Tree;

constexpr std::string_view kTemplate = "default";
constexpr Key kFor{"for",
                   config::Type::kDuration,
                   config::Apply::kLive,
                   "duration",
                   1'000'000'000,
                   std::int64_t{10'000} * 3'600'000'000'000,
                   "1h",
                   "",
                   "How long."};

std::string key_of(const std::string& domain, std::string_view attribute) {
    return "partner/" + domain + "/" + std::string(attribute);
}

// `partner/*/tls` -> `tls`.
std::string_view leaf_of(const Key& key) { return key.name.substr(key.name.rfind('/') + 1); }

std::vector<const Key*> attributes() {
    std::vector<const Key*> found;
    for (const Key& key : config::keys()) {
        if (key.root() == "partner") found.push_back(&key);
    }
    return found;
}

bool is_list(const Key& key) {
    return key.type == config::Type::kPatternList || key.type == config::Type::kEnumList;
}

// The name that was meant, or nothing.
std::string nearest_attribute(std::string_view typed) {
    for (const std::string& name : config::nearest(key_of("x", typed))) {
        if (name.starts_with("partner/x/")) return name.substr(10);
    }
    return {};
}

// Does the pattern of a denial, or of a partner, cover the domain?
bool covers(std::string_view pattern, std::string_view domain) {
    if (!pattern.starts_with("*.")) return pattern == domain;
    return pattern == domain || domain.ends_with(pattern.substr(1));
}

rules::Negotiation negotiation_of(const Tree& tree, const std::string& domain) {
    return rules::negotiation(static_cast<rules::Need>(tree.number("partner/*/tls", domain)),
                              static_cast<rules::Need>(tree.number("partner/*/sasl", domain)),
                              tree.flag("partner/*/dialback", domain));
}

class PartnerVerbs : Verbs {
public:
    PartnerVerbs(const Json& request, const std::string& author, AdminHost& host,
                 Configuration& configuration)
        : Verbs(request, author, host, configuration), settings_(strings_of(request, "settings")) {}

    Json run() {
        if (action_ == "list") return list();
        if (action_ == "import") return import();
        for (const std::string& typed : strings_of(request_, "domains")) {
            auto domain = typed == kTemplate ? std::optional<std::string>(typed)
                                             : config::normalise_pattern(typed);
            if (!domain) return refusal(config::in_quotes(typed) + " is not a domain name");
            domains_.push_back(std::move(*domain));
        }
        if (domains_.empty()) return refusal("partner " + action_ + " needs a domain");
        if (action_ == "show") return show(domains_.front());
        if (action_ == "sheet") return partner_sheet(domains_.front(), configuration_);
        if (action_ == "add") return add(domains_.front());
        if (action_ == "set") return set();
        if (action_ == "reset") return reset(domains_.front());
        if (action_ == "remove") return remove();
        if (action_ == "block") return block();
        if (action_ == "unblock") return unblock();
        return no_action();
    }

private:
    // --- reading

    [[nodiscard]] std::vector<std::string> listed() const {
        std::vector<std::string> names = tree_.instances("partner");
        std::erase(names, kTemplate);
        return names;
    }

    // The first setting that makes it a partner.
    [[nodiscard]] const Entry* first_entry(const Tree& tree, const std::string& domain) const {
        for (const Key* key : attributes()) {
            if (const Entry* entry = tree.find(key_of(domain, leaf_of(*key)))) return entry;
        }
        return nullptr;
    }
    [[nodiscard]] bool is_listed(const std::string& domain) const {
        return domain == kTemplate || first_entry(tree_, domain) != nullptr;
    }
    [[nodiscard]] Json unknown(const std::string& domain) const {
        const std::string meant = did_you_mean(domain, listed());
        return refusal("there is no partner " + domain + meant +
                       (meant.empty() ? "; fedctl partner add " + domain + " makes it one" : ""));
    }

    // The denial in force that covers it, if any; the one that lasts longest.
    [[nodiscard]] std::optional<config::Denied> denial_of(const std::string& domain) const {
        std::optional<config::Denied> found;
        if (!configuration_.snapshot().denied(domain)) return found;
        for (const std::string& item : tree_.list("federation.deny")) {
            const config::Denied denied = *config::parse_denied(item);
            if (!covers(denied.pattern, domain)) continue;
            if (!found || denied.until > found->until) found = denied;
        }
        return found;
    }

    [[nodiscard]] std::string state_of(const std::string& domain) const {
        if (const auto denied = denial_of(domain)) {
            return denied->until == WallTime::max()
                       ? "blocked"
                       : "blocked until " + config::format_time(denied->until);
        }
        return tree_.flag("partner/*/enabled", domain) ? "on" : "off";
    }

    // The listed partner that a peer's domain belongs to; empty: the template's, or nobody's.
    [[nodiscard]] std::string partner_of(const std::string& domain) const {
        const rules::Partner* partner = configuration_.snapshot().partner(domain);
        if (partner != nullptr) return partner->domain;
        return is_listed(domain) ? domain : std::string();
    }

    [[nodiscard]] Json streams_of(const std::string& domain) {
        Json rows = Json::array();
        for (const StreamRow& row : host_.streams()) {
            if (row.state == "idle" || row.state == "waiting") continue;  // of a refusal
            if (row.their_domain == domain || partner_of(row.their_domain) == domain) {
                rows.push_back(stream_json(row));
            }
        }
        return rows;
    }

    [[nodiscard]] static Json failure_json(const FailureRow& row, const std::string& partner) {
        return {{"direction", row.outbound ? "out" : "in"},
                {"their_domain", row.their_domain},
                {"kind", row.kind},
                {"time", config::format_time(row.at)},
                {"age_s", std::max<std::int64_t>((wall_now() - row.at).count(), 0)},
                {"address", row.address},
                {"text", row.text},
                {"advice", advice_on(row, partner)},
                {"count", row.count}};
    }

    Json list() {
        const std::string filter = string_of(request_, "filter");
        std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> streams;  // in, out
        for (const StreamRow& row : host_.streams()) {
            if (row.proof.empty()) continue;
            auto& count = streams[partner_of(row.their_domain)];
            ++(row.outbound ? count.second : count.first);
        }
        std::map<std::string, FailureRow> failures;  // the last of each
        for (FailureRow& row : host_.failures()) {
            FailureRow& last = failures[partner_of(row.their_domain)];
            if (row.at >= last.at) last = std::move(row);
        }
        std::vector<std::string> remarks = notes();
        add_expiries(remarks, "", nullptr);
        Json rows = Json::array();
        for (const std::string& domain : listed()) {
            if (!filter.empty() && fnmatch(filter.c_str(), domain.c_str(), FNM_CASEFOLD) != 0) {
                continue;
            }
            Json row{{"domain", domain},
                     {"state", state_of(domain)},
                     {"type", tree_.text("partner/*/type", domain)},
                     {"tls", tree_.text("partner/*/tls", domain)},
                     {"sasl", tree_.text("partner/*/sasl", domain)},
                     {"dialback", tree_.text("partner/*/dialback", domain)},
                     {"streams_in", streams[domain].first},
                     {"streams_out", streams[domain].second},
                     {"additional_domains", tree_.list("partner/*/additional_domains", domain)},
                     {"description", tree_.text("partner/*/description", domain)},
                     {"contact", tree_.text("partner/*/contact", domain)}};
            const auto failure = failures.find(domain);
            if (failure != failures.end())
                row["last_failure"] = failure_json(failure->second, domain);
            rows.push_back(std::move(row));
        }
        return {{"ok", true},
                {"partners", std::move(rows)},
                {"blocked", blocked()},
                {"notes", std::move(remarks)}};
    }

    // Of the partner, or of each (empty): certificates that end soon.
    void add_expiries(std::vector<std::string>& notes, const std::string& domain, Json* seen) {
        constexpr std::size_t kShown = 5;
        std::size_t count = 0;
        for (const PartnerCertificate& one : host_.partner_certificates()) {
            const bool meant = domain.empty() || one.their_domain == domain ||
                               partner_of(one.their_domain) == domain;
            if (!meant) continue;
            const std::int64_t days =
                std::chrono::floor<std::chrono::days>(one.not_after - wall_now()).count();
            if (seen != nullptr) {
                seen->push_back({{"their_domain", one.their_domain},
                                 {"not_after", config::format_time(one.not_after)},
                                 {"days", days},
                                 {"seen", config::format_time(one.seen_at)}});
            }
            if (one.not_after - wall_now() > kPartnerExpiryNotice || ++count > kShown) continue;
            notes.push_back("the certificate of " + one.their_domain +
                            (days < 0 ? " expired on " + readable_day(one.not_after)
                                      : " expires in " + std::to_string(days) +
                                            (days == 1 ? " day" : " days") + ", on " +
                                            readable_day(one.not_after)) +
                            ": tell their administrator");
        }
        if (count > kShown) {
            notes.push_back("and those of " + std::to_string(count - kShown) +
                            " others expire soon (fedctl events --id FG-1308)");
        }
    }

    // Items of the deny list that are in force.
    [[nodiscard]] std::vector<std::string> blocked() const {
        std::vector<std::string> items = tree_.list("federation.deny");
        std::erase_if(items, [](const std::string& item) {
            return config::parse_denied(item)->until <= wall_now();
        });
        return items;
    }

    // What stands in the way of all partners.
    [[nodiscard]] std::vector<std::string> notes() const {
        std::vector<std::string> out;
        if (!tree_.flag("federation.allow")) {
            out.emplace_back("nothing passes while federation.allow = no");
        }
        if (tree_.flag("federation.discovery")) {
            out.emplace_back(
                "federation.discovery = yes: a domain that is not listed is treated as "
                "partner/default says");
        }
        std::vector<std::string> policies = tree_.instances("policy");
        policies.emplace_back("global");
        const bool some = std::ranges::any_of(policies, [this](const std::string& policy) {
            return tree_.flag("policy/*/federation_access", policy) &&
                   tree_.flag("policy/*/xmpp_access", policy);
        });
        if (!some) {
            out.emplace_back(
                "no user may converse: no policy has federation_access and "
                "xmpp_access (policy/global/...)");
        }
        if (tree_.instances("domain").empty()) {
            out.emplace_back("we serve no domain (domain/<sip domain>/next_hop)");
        }
        return out;
    }

    [[nodiscard]] static Json prediction(const Tree& tree, const std::string& domain) {
        const rules::Negotiation row = negotiation_of(tree, domain);
        Json out{{"methods", rules::methods_text(row)}, {"outlook", rules::outlook(row)}};
        if (!row.remark.empty()) out["warning"] = row.remark;
        return out;
    }

    [[nodiscard]] static Json attribute(const Tree& tree, const std::string& domain,
                                        const Key& key) {
        const Path path{&key, domain, key_of(domain, leaf_of(key))};
        const Entry entry = tree.effective(path);
        std::string origin = entry.origin.text();
        if (domain != kTemplate && entry.path.name == path.name &&
            tree.find(path.name) == nullptr && entry.origin.kind != Origin::Kind::kDefault) {
            origin = "partner/default, " + origin;
        }
        return {{"attribute", leaf_of(key)},
                {"value", entry.value.text},
                {"origin", origin},
                {"default", key.fallback},
                {"allowed", config::format_bounds(key)},
                {"description", key.description}};
    }

    // Why there is no stream, where the reason is ours. Empty: nothing stands in the way.
    [[nodiscard]] std::string obstacle_of(const std::string& domain) {
        if (std::string why = host_.why_no_streams(); !why.empty()) return "none; " + why;
        const std::string until = "none, and none comes up while ";
        if (const auto denied = denial_of(domain)) {
            return until + denied->pattern + " is blocked: fedctl partner unblock " +
                   denied->pattern;
        }
        if (!tree_.flag("partner/*/enabled", domain)) {
            return until + "enabled = no: fedctl partner set " + domain + " enabled=yes";
        }
        if (!configuration_.snapshot().settings.federation_allow) {
            return until + "federation.allow = no: fedctl sysctl -w --save federation.allow=yes";
        }
        std::uint64_t retry_s = 0;
        for (const StreamRow& row : host_.streams()) {
            const bool here = row.their_domain == domain || partner_of(row.their_domain) == domain;
            if (here && row.state == "waiting") retry_s = std::max(retry_s, row.retry_s);
        }
        if (retry_s == 0) return {};
        return "none; after the failure below we don't try again for " + std::to_string(retry_s) +
               " s, but for any change (fedctl reload)";
    }

    Json show(const std::string& asked) {
        const rules::Partner* found = configuration_.snapshot().partner(asked);
        const bool discovered = found != nullptr && found->discovered() && !is_listed(asked);
        std::string domain = asked;
        if (!is_listed(asked)) {
            if (found == nullptr && !denial_of(asked)) return unknown(asked);
            domain = found == nullptr || discovered ? std::string(kTemplate) : found->domain;
        }
        Json rows = Json::array();
        for (const Key* key : attributes()) rows.push_back(attribute(tree_, domain, *key));
        std::vector<std::string> notes_here = notes();
        if (domain != asked) {
            notes_here.insert(
                notes_here.begin(),
                asked + (domain == kTemplate ? " is not listed" : " belongs to partner " + domain));
        }
        if (found != nullptr && found->legacy_tls) {
            notes_here.emplace_back(
                "legacy_tls = yes: whoever is on the way may read along, or pretend");
        }
        if (found != nullptr && found->kinds != rules::Kinds()) {
            notes_here.push_back("only " + tree_.text("partner/*/stanzas", domain) +
                                 " passes, in both directions (stanzas)");
        }
        Json failures = Json::array();
        for (const FailureRow& row : host_.failures()) {
            const bool here = domain == kTemplate ? row.their_domain == asked
                                                  : partner_of(row.their_domain) == domain;
            if (here) failures.push_back(failure_json(row, domain == kTemplate ? asked : domain));
        }
        const std::string& peer = domain == kTemplate ? asked : domain;
        Json certificates = Json::array();
        add_expiries(notes_here, peer, &certificates);
        return {
            {"ok", true},
            {"domain", domain},
            {"asked", asked},
            {"state", state_of(peer)},
            {"expected", prediction(tree_, domain)},
            {"attributes", std::move(rows)},
            {"streams", streams_of(peer)},
            {"obstacle", asked == kTemplate ? std::string() : obstacle_of(peer)},
            {"failures", std::move(failures)},
            {"certificates", std::move(certificates)},
            {"notes", std::move(notes_here)},
            {"connection_limit", configuration_.snapshot().settings.xmpp.connections_per_partner}};
    }

    // --- changing

    // `tls=optional`, `additional_domains+=sub.example`. Empty, or what is wrong.
    std::string apply(Tree& committed, const std::string& domain, const std::string& text) {
        const std::size_t equals = text.find('=');
        if (equals == std::string::npos || equals == 0) {
            return config::in_quotes(text) + " is not ATTRIBUTE=VALUE";
        }
        const char operation =
            text[equals - 1] == '+' || text[equals - 1] == '-' ? text[equals - 1] : '=';
        const std::string name(
            config::trim(std::string_view(text).substr(0, equals - (operation != '='))));
        std::string value(config::trim(std::string_view(text).substr(equals + 1)));
        const Key* key = nullptr;
        for (const Key* one : attributes()) {
            if (leaf_of(*one) == name) key = one;
        }
        if (key == nullptr) {
            const std::string meant = nearest_attribute(name);
            return "a partner has no attribute " + config::in_quotes(name) +
                   (meant.empty() ? "; fedctl partner attributes lists them"
                                  : "; did you mean " + meant + "?");
        }
        if (operation != '=') {
            if (!is_list(*key)) return name + " is not a list; write " + name + "=VALUE";
            const std::string why = edit_list(committed, domain, *key, operation, value);
            if (!why.empty()) return why;
        }
        const std::string why = put(committed, key_of(domain, name), value);
        return why.empty() ? why : name + ": " + why;
    }

    // `value`: what to add to the list or to take from it; after that the whole list.
    std::string edit_list(const Tree& committed, const std::string& domain, const Key& key,
                          char operation, std::string& value) const {
        config::Value change;
        std::string why;
        if (!config::parse_value(key, value, change, why)) {
            return std::string(leaf_of(key)) + ": " + why;
        }
        std::vector<std::string> items = configuration_.with(committed).list(key.name, domain);
        for (const std::string& item : change.items) {
            const auto at = std::ranges::find(items, item);
            if (operation == '-') {
                if (at == items.end()) return item + " is not in " + std::string(leaf_of(key));
                items.erase(at);
            } else if (at == items.end()) {
                items.push_back(item);
            }
        }
        value.clear();
        for (const std::string& item : items) value += (value.empty() ? "" : " ") + item;
        return {};
    }

    Json add(const std::string& domain) {
        if (domain == kTemplate) return refusal("default is the template; set its attributes");
        if (const Entry* entry = first_entry(tree_, domain)) {
            return refusal(domain + " is a partner already (" + entry->origin.text() +
                           "); fedctl partner set " + domain + " ATTRIBUTE=VALUE changes it");
        }
        settings_.insert(settings_.begin(), "enabled=yes");
        return set_all({domain}, "added");
    }

    // Who is new, and what is said of who is known already: one commit.
    Json import() {
        const auto rows = request_.find("rows");
        if (rows == request_.end() || !rows->is_array()) return refusal("an import needs rows");
        if (rows->size() > kListedPartners) {
            return refusal(too_many(kListedPartners, "partners"));
        }
        Tree next = committed();
        std::set<std::string> domains;
        std::size_t known = 0;
        for (const Json& row : *rows) {
            if (!row.is_object()) return refusal("a row of an import is an object");
            const std::string where = string_of(row, "where").substr(0, 32) + ": ";
            const std::string typed = string_of(row, "domain");
            const auto domain = config::normalise_pattern(typed);
            if (!domain) return refusal(where + config::in_quotes(typed) + " is not a domain name");
            if (*domain == kTemplate)
                return refusal(where + "default is the template, and no partner");
            if (configuration_.snapshot().sip_domain(*domain) != nullptr)
                return refusal(where + *domain + " is a domain of ours");
            std::vector<std::string> settings = strings_of(row, "settings");
            if (domains.insert(*domain).second) {
                if (is_listed(*domain)) {
                    ++known;
                } else {
                    settings.insert(settings.begin(), settings_.begin(), settings_.end());
                    settings.insert(settings.begin(), "enabled=yes");
                }
            }
            for (const std::string& text : settings) {
                const std::string why = apply(next, *domain, text);
                if (!why.empty()) return refusal(where + *domain + ": " + why);
            }
        }
        if (domains.empty()) return refusal("there is no partner in it");
        const std::string count = std::to_string(domains.size());
        const bool one = domains.size() == 1;
        Json answer = Verbs::commit(
            std::move(next), "partner import " + string_of(request_, "file"),
            one ? "is listed" : "are listed", {one ? *domains.begin() : count + " partners"},
            [&domains](std::string_view key) {
                const std::size_t end = key.rfind('/');
                return key.starts_with("partner/") && end > 8 &&
                       domains.contains(std::string(key.substr(8, end - 8)));
            });
        if (!bool_of(answer, "ok")) return answer;
        answer["new"] = domains.size() - known;
        answer["known"] = known;
        answer["notes"] = notes();
        return answer;
    }

    Json set() {
        for (const std::string& domain : domains_) {
            if (!is_listed(domain)) return unknown(domain);
        }
        if (settings_.empty()) return refusal("partner set needs ATTRIBUTE=VALUE");
        return set_all(domains_, "changed");
    }

    Json set_all(const std::vector<std::string>& domains, const char* done) {
        Tree next = committed();
        for (const std::string& domain : domains) {
            for (const std::string& text : settings_) {
                const std::string why = apply(next, domain, text);
                if (!why.empty()) return refusal(domain + ": " + why);
            }
        }
        return commit(std::move(next), domains, done);
    }

    Json reset(const std::string& domain) {
        if (!is_listed(domain)) return unknown(domain);
        Tree next = committed();
        std::vector<std::string> names = settings_;
        const bool all = names.empty();
        if (all) {
            for (const Key* key : attributes()) names.emplace_back(leaf_of(*key));
        }
        bool any = false;
        for (const std::string& name : names) {
            Path path;
            std::string why;
            if (!config::resolve(key_of(domain, name), path, why)) {
                const std::string meant = nearest_attribute(name);
                return refusal("a partner has no attribute " + config::in_quotes(name) +
                               (meant.empty() ? "" : "; did you mean " + meant + "?"));
            }
            const bool had = next.reset(path);
            if (!had && !all) {
                return refusal(domain + ": " + name + " was not committed; it is of " +
                               string_of(attribute(tree_, domain, *path.key), "origin"));
            }
            any = any || had;
        }
        if (!any) return refusal("nothing of " + domain + " was committed");
        // It stays a partner.
        if (domain != kTemplate && first_entry(configuration_.with(next), domain) == nullptr) {
            static_cast<void>(apply(next, domain, "enabled=yes"));
        }
        return commit(std::move(next), {domain}, "changed");
    }

    Json remove() {
        Tree next = committed();
        for (const std::string& domain : domains_) {
            if (!is_listed(domain)) return unknown(domain);
            if (domain == kTemplate) {
                return refusal(
                    "default is the template; fedctl partner reset default takes back "
                    "what was committed of it");
            }
            if (const Entry* entry = first_entry(configuration_.filed(), domain)) {
                return refusal(domain + " is listed in " + entry->origin.text() +
                               ": take it out there and run 'fedctl reload', or stop it now with "
                               "'fedctl partner block " +
                               domain + "'");
            }
            if (first_entry(next, domain) == nullptr) {
                return set_live(first_entry(tree_, domain)->path.name);
            }
            for (const Key* key : attributes()) {
                const std::string name = key_of(domain, leaf_of(*key));
                if (const Entry* entry = next.find(name)) next.reset(Path(entry->path));
            }
        }
        return commit(std::move(next), domains_, "removed");
    }

    Json block() {
        WallTime until = WallTime::max();
        const std::string period = string_of(request_, "for");
        if (!period.empty()) {
            config::Value value;
            std::string why;
            if (!config::parse_value(kFor, period, value, why)) return refusal("--for: " + why);
            until = wall_now() + std::chrono::ceil<std::chrono::seconds>(Duration(value.number));
        }
        for (const std::string& domain : domains_) {
            if (configuration_.snapshot().sip_domain(domain) != nullptr) {
                return refusal(domain + " is a domain of ours");
            }
        }
        std::vector<config::Denied> items = denials_without(domains_);
        for (const std::string& domain : domains_) items.push_back({domain, until});
        return commit_denials(items, until == WallTime::max()
                                         ? "blocked"
                                         : "blocked until " + config::format_time(until));
    }

    Json unblock() {
        for (const std::string& domain : domains_) {
            const auto items = blocked();
            const bool there = std::ranges::any_of(items, [&domain](const std::string& item) {
                return config::parse_denied(item)->pattern == domain;
            });
            if (there) continue;
            const auto denied = denial_of(domain);
            return refusal(domain + (denied ? " is blocked by " + denied->pattern + "; unblock that"
                                            : " is not blocked"));
        }
        return commit_denials(denials_without(domains_), "unblocked");
    }

    // Those that go on.
    [[nodiscard]] std::vector<config::Denied> denials_without(
        const std::vector<std::string>& domains) const {
        std::vector<config::Denied> items;
        for (const std::string& item : blocked()) {
            config::Denied denied = *config::parse_denied(item);
            if (std::ranges::find(domains, denied.pattern) == domains.end()) {
                items.push_back(std::move(denied));
            }
        }
        return items;
    }

    Json commit_denials(const std::vector<config::Denied>& items, const std::string& done) {
        std::string text;
        for (const config::Denied& item : items) {
            text += (text.empty() ? "" : " ") + config::format_denied(item);
        }
        Tree next = committed();
        const std::string why = put(next, "federation.deny", text);
        if (!why.empty()) return refusal(why);
        return commit(std::move(next), domains_, done);
    }

    // The words as they were typed.
    [[nodiscard]] std::string words() const {
        std::string text = verb_ + " " + action_;
        for (const char* part : {"domains", "settings"}) {
            for (const std::string& word : strings_of(request_, part)) text += " " + word;
        }
        if (request_.contains("for")) text += " --for " + string_of(request_, "for");
        return text;
    }

    Json commit(Tree next, const std::vector<std::string>& domains, const std::string& done) {
        const Tree merged = configuration_.with(next);
        // How the terms of others are is not the matter here.
        const auto concerns = [&domains](std::string_view key) {
            return std::ranges::any_of(domains, [key](const std::string& domain) {
                return key.starts_with("partner/" + domain + "/");
            });
        };
        Json answer = Verbs::commit(std::move(next), words(), done, domains, concerns);
        if (!bool_of(answer, "ok")) return answer;
        const bool one = domains.size() == 1 && (done == "added" || done == "changed");
        if (one) {
            // Its remark says what the warnings about these three say.
            answer["expected"] = prediction(merged, domains.front());
            auto& warnings = answer["warnings"];
            for (std::size_t i = warnings.size(); i-- > 0;) {
                const std::string text = warnings[i].get<std::string>();
                for (const char* leaf : {"tls: ", "sasl: ", "dialback: "}) {
                    if (text.find(key_of(domains.front(), leaf)) != std::string::npos) {
                        warnings.erase(i);
                        break;
                    }
                }
            }
        }
        answer["notes"] = notes();
        return answer;
    }

    std::vector<std::string> settings_;
    std::vector<std::string> domains_;
};

}  // namespace

Json answer_partner(const Json& request, const std::string& author, AdminHost& host,
                    Configuration& configuration) {
    return PartnerVerbs(request, author, host, configuration).run();
}

}  // namespace fedgate::admin
