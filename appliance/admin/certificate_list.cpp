// fedctl cert list, show, check and remove: what there is, and whether it will do (features.md C7,
// C11).
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>
#include <strings.h>
#include <unistd.h>

#include "appliance/admin/answers.hpp"
#include "appliance/admin/certificate_verbs.hpp"
#include "appliance/admin/show.hpp"
#include "appliance/admin/tool.hpp"
#include "appliance/admin/wall_clock.hpp"
#include "core/base/file.hpp"
#include "net/certificate.hpp"

namespace fedgate::admin {
namespace {

class Look : CertificateVerbs {
public:
    using CertificateVerbs::CertificateVerbs;

    int list() {
        std::string why;
        if (!words().empty()) return usage("cert list takes nothing more");
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
            const Json uses = uses_of(file);
            Json row{{"name", name},
                     {"file", file},
                     {"friendly_name", string_of(info, "friendly_name")},
                     {"used_for", show_uses(uses)},
                     {"uses", uses}};
            if (ders && !ders->empty()) {
                row["certificate"] = describe_certificate(ders->front(), wall_now());
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
        if (words().size() != 1)
            return usage("cert show takes a name (fedctl cert list) or a file");
        if (!read_plan(why)) return fail(why);
        std::string text;
        const std::string request = is_name(words()[0]) && is_there(path_of(words()[0], ".csr"))
                                        ? path_of(words()[0], ".csr")
                                        : words()[0];
        const bool has_certificate = is_there(path_of(words()[0], ".pem"));
        if (!has_certificate && read_regular_file(request, text, why)) {
            if (const auto ders = net::parse_pem(text, "CERTIFICATE REQUEST");
                ders && !ders->empty()) {
                Json what = describe_request(ders->front());
                const std::string shown = "Request " + request + "\n" + show_details(what);
                return tell({{"request", std::move(what)}, {"file", request}}, shown);
            }
        }
        Bundle bundle;
        if (!read_bundle(words()[0], bundle, file, why)) return fail(why);
        Json chain = Json::array();
        const std::string uses = show_uses(uses_of(file));
        std::string shown = file + (uses.empty() ? ", not in use\n" : ", for " + uses + "\n");
        const Json info = info_of_file(file);
        if (info.contains("friendly_name")) {
            shown += "  " + string_of(info, "friendly_name") +
                     (bool_of(info, "exportable") ? "" : " (key not exportable)") + "\n";
        }
        for (const std::string& der : bundle.ders) {
            Json what = describe_certificate(der, wall_now());
            shown += (chain.empty() ? "" : "then, of its chain:\n") + show_details(what);
            chain.push_back(std::move(what));
        }
        return tell(
            {{"file", file}, {"used_for", uses}, {"info", info}, {"chain", std::move(chain)}},
            shown);
    }

    int check() {
        std::string why;
        if (words().size() > 1) return usage("cert check takes one name or file, or nothing");
        if (!read_plan(why)) return fail(why);
        Json all = Json::array();
        std::string text;
        bool good = true;
        const auto look = [&](const std::string& typed, const std::string& purpose_name) {
            Bundle bundle;
            std::string file;
            if (!read_bundle(typed, bundle, file, why)) return false;
            Json found = check_bundle(bundle, use_of(purpose_name), wall_now());
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
        if (words().size() == 1) {
            std::string name = string_of(info_of(words()[0]), "purpose", "external");
            if (!read_purpose(name, why)) return usage(why);
            if (!look(words()[0], name)) return fail(why);
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

    // With whatever certificate, now or from a day on; or null.
    [[nodiscard]] const char* user_of_key(const std::string& file) const {
        std::error_code ignored;
        for (const char* name : kPurposes) {
            const Json& what = purpose(name);
            const bool next =
                what.contains("next") &&
                std::filesystem::equivalent(string_of(what["next"], "key"), file, ignored);
            if (next || std::filesystem::equivalent(string_of(what, "key"), file, ignored))
                return name;
        }
        return nullptr;
    }

    // Requests to which no answer will come, and certificates that nobody uses, with their keys.
    int remove() {
        std::string why;
        if (words().empty()) return usage("cert remove takes names (fedctl cert list)");
        if (!read_plan(why)) return fail(why);
        const std::vector<std::string> known = known_names();
        for (const std::string& name : words()) {
            if (std::ranges::find(known, name) == known.end()) {
                return fail("there is no certificate and no request " + name +
                            did_you_mean(name, known) + " (fedctl cert list)");
            }
            const std::string uses = show_uses(uses_of(path_of(name, ".pem")));
            if (!uses.empty()) {
                return fail(name + " is used for " + uses +
                            ": assign another one first (fedctl cert assign)");
            }
            if (const char* purpose = user_of_key(path_of(name, ".key"))) {
                return fail("the key of " + name + " is used for " + purpose +
                            ": assign another certificate first (fedctl cert assign)");
            }
        }
        const bool dry = has("--dry-run");
        for (const std::string& name : words()) {
            for (const char* kind : {".csr", ".pem", ".json", ".key"}) {
                const std::string file = path_of(name, kind);
                if (dry || unlink(file.c_str()) == 0 || errno == ENOENT) continue;
                return fail(file + " can't be removed: " + std::strerror(errno));
            }
        }
        return tell({{"removed", words()}, {"dry_run", dry}},
                    (dry ? "dry run, nothing was changed; with their keys would be removed: "
                         : "removed, with their keys: ") +
                        joined(words()) + "\n");
    }
};

}  // namespace

int list_certificates(const CertificateToolOptions& options, Words said) {
    return Look(options, std::move(said)).list();
}
int show_certificate(const CertificateToolOptions& options, Words said) {
    return Look(options, std::move(said)).show();
}
int check_certificates(const CertificateToolOptions& options, Words said) {
    return Look(options, std::move(said)).check();
}
int remove_certificates(const CertificateToolOptions& options, Words said) {
    return Look(options, std::move(said)).remove();
}

}  // namespace fedgate::admin
