// fedctl cert import, assign and export (features.md C4 to C6): what an authority has sent, and
// what it is used for.
#include <algorithm>
#include <filesystem>
#include <istream>
#include <iterator>
#include <ostream>
#include <strings.h>

#include "appliance/admin/certificate_verbs.hpp"
#include "appliance/admin/pfx.hpp"
#include "appliance/admin/questions.hpp"
#include "appliance/admin/show.hpp"
#include "appliance/admin/tool.hpp"
#include "appliance/admin/wall_clock.hpp"
#include "core/base/file.hpp"
#include "core/config/text.hpp"
#include "core/config/timestamp.hpp"
#include "net/certificate.hpp"

namespace fedgate::admin {
namespace {

namespace fs = std::filesystem;

// What import does, too, if it is told to.
class Assign : protected CertificateVerbs {
public:
    using CertificateVerbs::CertificateVerbs;

    int run() {
        std::string why, file;
        if (!read_plan(why)) return fail(why);
        std::vector<std::string> purposes = split(value("--for"));
        if (has("--cancel")) return cancel(purposes);
        if (words().size() != 1) {
            return usage(
                "cert assign takes a name (fedctl cert list) or a PEM file: fedctl cert "
                "assign NAME --for external");
        }
        Bundle bundle;
        if (!read_bundle(words()[0], bundle, file, why)) return fail(why);
        if (purposes.empty()) purposes = {string_of(info_of(words()[0]), "purpose", "external")};
        std::string key = value("--key", key_of(file));
        if (key.empty()) return fail("the key of " + file + " is not known: --key FILE");
        WallTime then = wall_now();
        if (has("--effective") && !read_effective(then, why)) return fail(why);
        std::string warnings;
        for (const std::string& name : purposes) {
            if (!is_purpose(name))
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

protected:
    // `text`: what to say of it before its changes.
    int commit(const std::vector<std::string>& settings, const std::string& comment,
               const std::string& text) {
        Json answer;
        std::string why;
        const bool dry = has("--dry-run");
        const Json request{{"verb", "sysctl"},
                           {"action", dry ? "check" : "write"},
                           {"settings", settings},
                           {"save", true},
                           {"comment", value("--comment", comment)}};
        if (!options_.ask(request, answer, why)) return fail(why);
        if (!bool_of(answer, "ok")) {
            for (const Json& one : array_of(answer, "errors")) why += one.get<std::string>() + " ";
            return fail(why.empty() ? string_of(answer, "error") : why);
        }
        return tell(answer, text + show_commit(answer));
    }

    bool read_effective(WallTime& from, std::string& why) const {
        const std::string text = value("--effective");
        auto time = config::parse_time(text);
        if (!time) time = config::parse_time(text + "T00:00:00Z");
        if (time) from = *time;
        if (time && from > wall_now()) return true;
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
        return commit(
            settings,
            fs::path(certificate).stem().string() + " for " + joined(purposes) + " " + when,
            joined(purposes) + ": " + certificate + " " + when +
                ", for new connections; those that are up stay\n");
    }

private:
    int cancel(const std::vector<std::string>& purposes) {
        if (!words().empty() || purposes.empty())
            return usage("cert assign --cancel --for external takes back what is scheduled");
        std::vector<std::string> settings;
        std::string why;
        Json answer;
        for (const std::string& name : purposes) {
            const std::string one = "tls." + name + ".next";
            if (!options_.ask({{"verb", "sysctl"}, {"action", "get"}, {"keys", {one}}}, answer,
                              why))
                return fail(why);
            const Json found = array_of(answer, "keys");
            const std::string next = found.empty() ? "" : string_of(found[0], "value");
            const auto from = config::parse_time(next.substr(0, next.find(' ')));
            if (from && *from <= wall_now()) {
                return fail("what was scheduled for " + name + " is in use since " +
                            config::format_time(*from) +
                            ": use another with fedctl cert assign NAME --for " + name);
            }
            settings.push_back(one + "=");
        }
        return commit(settings, "nothing scheduled", {});
    }
};

class Import : Assign {
public:
    using Assign::Assign;

    int run() {
        std::string why, friendly_name;
        if (words().empty()) return usage("cert import takes one file or several");
        if (!read_plan(why)) return fail(why);
        Bundle bundle;
        for (const std::string& file : words()) {
            if (!read_part(file, bundle, friendly_name, why)) return fail(why);
        }
        if (has("--key") && !read_part(value("--key"), bundle, friendly_name, why))
            return fail(why);
        std::string name = value("--name");
        std::string requested;
        if (!bundle.key.empty()) {
            if (!put_in_order(bundle, why)) return fail(joined(words()) + " " + why);
        } else if (!find_key(bundle, requested)) {
            if (!put_in_order(bundle, why)) return fail(joined(words()) + " " + why);
            return fail(
                "no key of ours belongs to this certificate: name the one that it was "
                "requested with (--key FILE), or import the PFX file that has both");
        }
        std::string purpose_name = string_of(info_of(requested), "purpose", "external");
        if (!read_purpose(purpose_name, why)) return usage(why);
        if (name.empty()) {
            name = requested.empty() ? free_name(purpose_name + "-" + readable_day(wall_now()))
                                     : requested;
        }
        if (!is_name(name))
            return fail(config::in_quotes(name) + " can't be a name: letters, digits, - _ .");
        // It may be kept before it is valid, and assigned from then on.
        const auto leaf = net::parse_certificate(bundle.ders.front());
        const WallTime then = leaf ? std::max(wall_now(), leaf->not_before) : wall_now();
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
        Json info = info_of(requested);
        if (!info.contains("purpose")) {
            info = {
                {"purpose", purpose_name}, {"friendly_name", friendly_name}, {"exportable", true}};
        }
        if (!read_exportable(info, why)) {
            explicit_bzero(bundle.key.data(), bundle.key.size());
            return fail(why);
        }
        if (has("--dry-run")) {
            explicit_bzero(bundle.key.data(), bundle.key.size());
            return would_import(name, purpose_name, bundle, found);
        }
        if (!make_directory(why)) return fail(why);
        const bool written =
            (name == requested || write_owned_file(path_of(name, ".key"), bundle.key, true, why)) &&
            write_owned_file(path_of(name, ".json"), write_json(info) + "\n", false, why) &&
            write_owned_file(path_of(name, ".pem"), pem_of(bundle.ders), false, why);
        explicit_bzero(bundle.key.data(), bundle.key.size());
        if (!written) return fail(why);
        Json what = describe_certificate(bundle.ders.front(), wall_now());
        std::string text = "Imported " + name + ", with " + std::to_string(bundle.ders.size() - 1) +
                           " of its chain:\n" + show_details(what) + show_findings(found);
        if (!has("--assign")) {
            text += "Use it: fedctl cert assign " + name + " --for " + purpose_name + "\n";
            return tell({{"name", name}, {"certificate", what}, {"findings", found}}, text);
        }
        if (!options_.json) out_ << for_terminal(text);
        return assign_to({purpose_name}, path_of(name, ".pem"), path_of(name, ".key"));
    }

private:
    int would_import(const std::string& name, const std::string& purpose_name, const Bundle& bundle,
                     const Json& found) const {
        Json what = describe_certificate(bundle.ders.front(), wall_now());
        const std::string text = "dry run, nothing was changed; it would be imported as " + name +
                                 (has("--assign") ? ", and assigned to " + purpose_name : "") +
                                 ":\n" + show_details(what) + show_findings(found);
        return tell({{"name", name},
                     {"certificate", std::move(what)},
                     {"findings", found},
                     {"dry_run", true}},
                    text);
    }

    // --exportable may lock a key up, and never out again.
    bool read_exportable(Json& info, std::string& why) const {
        if (!has("--exportable")) return true;
        bool exportable = false;
        if (!read_yes(value("--exportable"), exportable)) {
            why = "--exportable is yes or no";
        } else if (exportable && !bool_of(info, "exportable")) {
            why = "its key was made to stay here (--exportable no of its request)";
        }
        info["exportable"] = exportable;
        return why.empty();
    }

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
            std::getline(options_.in, password.text);
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
            static_cast<void>(ask_secret(options_.in, out_, "Password of " + file, password.text));
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

    Secret password_;
    bool password_read_ = false;
};

class Export : CertificateVerbs {
public:
    using CertificateVerbs::CertificateVerbs;

    // For the other edges of a pool, which show the same certificate.
    int run() {
        std::string why, file;
        if (words().size() != 1 || !has("--file"))
            return usage("cert export takes a name, and --file FILE for certificate and key (PEM)");
        if (!read_plan(why)) return fail(why);
        Bundle bundle;
        if (!read_bundle(words()[0], bundle, file, why)) return fail(why);
        const Json info = info_of_file(file);
        if (info.contains("exportable") && !bool_of(info, "exportable")) {
            explicit_bzero(bundle.key.data(), bundle.key.size());
            return fail("the key of " + words()[0] +
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
};

}  // namespace

int import_certificate(const CertificateToolOptions& options, Words said) {
    return Import(options, std::move(said)).run();
}
int assign_certificate(const CertificateToolOptions& options, Words said) {
    return Assign(options, std::move(said)).run();
}
int export_certificate(const CertificateToolOptions& options, Words said) {
    return Export(options, std::move(said)).run();
}

}  // namespace fedgate::admin
