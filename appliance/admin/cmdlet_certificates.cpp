#include "appliance/admin/cmdlet_certificates.hpp"

#include <algorithm>
#include <sstream>

#include "appliance/admin/answers.hpp"
#include "appliance/admin/certificate_tool.hpp"
#include "appliance/admin/show.hpp"
#include "appliance/admin/tool.hpp"
#include "appliance/admin/words.hpp"
#include "core/config/text.hpp"

namespace fedgate::admin {
namespace {

using config::in_quotes;
using config::lower_ascii;

// Which of the reference's certificates is which of ours; the first of a purpose is what it is
// printed as. Empty: of a service that is not here.
struct TypeRow {
    std::string_view name, purpose;
};
constexpr TypeRow kTypeRows[] = {{"AccessEdgeExternal", "external"},
                                 {"External", "external"},
                                 {"XMPPServer", "external"},
                                 {"Internal", "internal"},
                                 {"Default", "sip"},
                                 {"DataEdgeExternal", ""},
                                 {"AudioVideoAuthentication", ""},
                                 {"WebServicesExternal", ""},
                                 {"WebServicesInternal", ""},
                                 {"WsFedTokenTransfer", ""},
                                 {"OAuthTokenIssuer", ""},
                                 {"LogRetentionService", ""},
                                 {"iPhoneAPNService", ""},
                                 {"iPadAPNService", ""},
                                 {"MPNService", ""},
                                 {"PICWebService", ""},
                                 {"ProvisionService", ""}};
constexpr const char* kOurTypes = "AccessEdgeExternal, XMPPServer, Internal and Default (SIP)";

std::string type_of(const std::string& purpose) {
    const auto* const row = std::ranges::find(kTypeRows, purpose, &TypeRow::purpose);
    return std::string(row == std::end(kTypeRows) ? purpose : row->name);
}

// As people copy it from Windows: with blanks, in either case.
std::string plain_thumbprint(const std::string& typed) {
    std::string text = lower_ascii(typed);
    std::erase_if(text, [](char c) { return c == ' ' || c == ':'; });
    return text;
}

class Runner {
public:
    Runner(const CertificateCmdlet& cmdlet, const Ask& ask, CmdletsOutcome& outcome,
           std::vector<ShellObject>& objects)
        : cmdlet_(cmdlet),
          command_(cmdlet.command),
          ask_(ask),
          outcome_(outcome),
          objects_(objects),
          dry_(command_.is_on("WhatIf")) {}

    bool run() {
        switch (command_.row->cmdlet) {
            case Cmdlet::kCertificateRequest: return request();
            case Cmdlet::kCertificateImport: return import(false);
            case Cmdlet::kCertificateSet: return set();
            case Cmdlet::kCertificateGet: return get();
            case Cmdlet::kCertificateTest: return test();
            default: return true;
        }
    }

private:
    using Words = std::vector<std::string>;

    bool fail(const std::string& why) {
        outcome_.why = std::string(command_.row->name) + ": " + why;
        return false;
    }

    // fedctl cert ...: what it prints, and what it answers to programs.
    bool cert(Words words, std::string& text, Json& answer) {
        if (dry_ && words.front() != "check") words.emplace_back("--dry-run");
        std::istringstream in(command_.text("Password") + "\n");
        std::ostringstream out;
        std::ostringstream err;
        const bool good =
            run_certificate_tool({in, out, err, false, false, ask_, &answer}, words) == kExitOk;
        std::string said = err.str();
        constexpr std::string_view kName = "fedctl: ";
        if (said.starts_with(kName)) said.erase(0, kName.size());
        while (said.ends_with('\n')) said.pop_back();
        text = out.str();
        if (!good) return fail(said);
        if (!said.empty()) outcome_.notes.push_back(said);
        return true;
    }
    bool print(const Words& words, Json& answer) {
        std::string text;
        if (!cert(words, text, answer)) return false;
        outcome_.out += (dry_ ? "What if: " : "") + text;
        return true;
    }
    bool print_commit(Words words) {
        Json answer;
        if (!cmdlet_.comment.empty()) words.insert(words.end(), {"--comment", cmdlet_.comment});
        if (!print(words, answer)) return false;
        outcome_.commits.push_back(std::move(answer));
        return true;
    }
    // Reading is never a trial.
    bool list(Json& rows) {
        std::ostringstream out;
        std::ostringstream err;
        std::istringstream in;
        Json answer;
        const bool good =
            run_certificate_tool({in, out, err, false, false, ask_, &answer}, {"list"}) == kExitOk;
        if (!good) return fail(err.str());
        rows = array_of(answer, "certificates");
        return true;
    }

    // -Type as purposes of ours. False: none of them is.
    bool read_types(Words& purposes) {
        const auto typed = command_.values.find("Type");
        if (typed == command_.values.end()) return true;
        Words left_out;
        Words all;
        for (const std::string& one : typed->second.texts()) {
            std::istringstream several(one);
            for (std::string name; std::getline(several, name, ',');)
                all.emplace_back(config::trim(name));
        }
        for (const std::string& name : all) {
            const auto* const row = std::ranges::find_if(kTypeRows, [&name](const TypeRow& type) {
                return lower_ascii(type.name) == lower_ascii(name);
            });
            if (row == std::end(kTypeRows)) {
                Words known;
                for (const TypeRow& type : kTypeRows) known.emplace_back(type.name);
                return fail(in_quotes(name) + " is no type of certificate" +
                            did_you_mean(name, known) + "; there are " + kOurTypes);
            }
            const std::string purpose(row->purpose);
            if (purpose.empty()) {
                left_out.emplace_back(row->name);
            } else if (std::ranges::find(purposes, purpose) == purposes.end()) {
                purposes.push_back(purpose);
            }
        }
        const std::string names = joined(left_out, ", ");
        if (purposes.empty()) {
            return fail((names.empty() ? std::string("-Type names none")
                                       : names + ": there is no such service here") +
                        "; there are " + kOurTypes);
        }
        if (!left_out.empty()) {
            outcome_.notes.push_back(names + ": there is no such service here, so it is left out");
        }
        return true;
    }

    bool is_path(const std::string& path) {
        const bool drive = path.size() > 2 && path[1] == ':' && (path[2] == '\\' || path[2] == '/');
        return !drive || fail(in_quotes(path) + " is a path of Windows; say one of this machine");
    }

    // The parameters that fedctl cert has as options.
    bool add_options(Words& words) {
        Words settings;
        if (!settings_of(command_, settings, outcome_.why)) return false;
        std::string key;
        for (const std::string& one : settings) {
            const std::size_t equals = one.find('=');
            const std::string name = one.substr(0, equals);
            const std::string value = one.substr(equals + 1);
            if (!name.starts_with("--")) continue;
            if (name == "--key") {
                key = value;
                continue;
            }
            if (name == "--file" && !is_path(value)) return false;
            words.insert(words.end(), {name, value});
        }
        const std::string size = command_.text("KeySize");
        if (key.starts_with("ecdsa") && !size.empty()) return fail("-KeySize is for -KeyAlg RSA");
        if (size == "1024") return fail("-KeySize 1024: partners refuse less than 2048");
        if (key.empty() && size.empty()) return true;
        if (!key.starts_with("ecdsa")) key = "rsa:" + (size.empty() ? "2048" : size);
        words.insert(words.end(), {"--key", key});
        return true;
    }

    // --- Request-CsCertificate

    bool request() {
        const Words modes{"New", "List", "Clear", "Retrieve"};
        const auto said = std::ranges::count_if(
            modes, [this](const std::string& one) { return command_.is_on(one); });
        if (said != 1) return fail("one of -New, -List and -Clear says what to do");
        if (command_.is_on("Retrieve")) {
            return fail(
                "no authority is asked over the network: import the file that it sends, with "
                "Import-CsCertificate -Path FILE");
        }
        if (command_.is_on("List")) return list_requests();
        return command_.is_on("Clear") ? clear_requests() : new_request();
    }

    bool new_request() {
        Words purposes;
        if (!read_types(purposes)) return false;
        if (purposes.empty()) return fail(std::string("-New needs -Type; there are ") + kOurTypes);
        if (purposes.size() > 1) {
            return fail("one request is for one of " + joined(purposes, ", ") +
                        " here: request one each");
        }
        if (command_.has("CA")) {
            if (!command_.has("Output")) {
                return fail(
                    "no authority is asked over the network: say -Output FILE instead of -CA, "
                    "and send it that file");
            }
            outcome_.notes.emplace_back(
                "-CA: no authority is asked over the network; send it the request");
        }
        if (command_.has("ClientEKU") && !command_.is_on("ClientEKU")) {
            outcome_.notes.emplace_back(
                "-ClientEKU $false: both usages are requested, since an edge opens streams, too");
        }
        Words words{"request", "--for", purposes.front()};
        if (!add_options(words)) return false;
        Json answer;
        if (!print(words, answer)) return false;
        outcome_.results.push_back(std::move(answer));
        return true;
    }

    // Those that wait for an answer.
    bool pending(Json& rows) {
        Json all;
        if (!list(all)) return false;
        rows = Json::array();
        const std::string wanted = command_.text("RequestId");
        for (const Json& row : all) {
            const bool meant =
                wanted.empty() || lower_ascii(string_of(row, "name")) == lower_ascii(wanted);
            if (meant && string_of(row, "state") == "request") rows.push_back(row);
        }
        if (!rows.empty() || wanted.empty()) return true;
        return fail("there is no request " + in_quotes(wanted) +
                    "; Request-CsCertificate -List has all");
    }
    bool list_requests() {
        Json rows;
        if (!pending(rows)) return false;
        if (rows.empty()) outcome_.notes.emplace_back("no request waits for an answer");
        for (const Json& row : rows) {
            const std::string name = string_of(row, "name");
            objects_.push_back({name,
                                {{"RequestId", name},
                                 {"FriendlyName", string_of(row, "friendly_name")},
                                 {"Status", "Pending"}},
                                "",
                                "request"});
        }
        return true;
    }
    bool clear_requests() {
        Json rows;
        if (!pending(rows)) return false;
        Words words{"remove"};
        for (const Json& row : rows) words.push_back(string_of(row, "name"));
        Json answer;
        if (words.size() > 1) return print(words, answer);
        outcome_.notes.emplace_back("no request waits for an answer: nothing was removed");
        return true;
    }

    // --- Import- and Set-CsCertificate

    // -EffectiveDate and -Roll. False: they don't go together.
    bool read_date(Words& words) {
        const char* const name = command_.has("EffectiveDate") ? "EffectiveDate" : "EffectiveTime";
        if (!command_.has(name)) {
            return !command_.is_on("Roll") ||
                   fail("-Roll needs -EffectiveDate, as 2026-12-01 or 2026-12-01T06:00:00Z (UTC)");
        }
        if (!command_.is_on("Roll")) {
            outcome_.notes.push_back("-" + std::string(name) + " is taken as with -Roll");
        }
        words = {"--effective", command_.text(name)};
        return true;
    }

    // `assigns`: also without -Type and -Roll.
    bool import(bool assigns) {
        Words purposes;
        Words date;
        const std::string path = command_.text("Path");
        if (path.empty()) return fail("-Path FILE says what to import");
        if (!is_path(path) || !read_types(purposes) || !read_date(date)) return false;
        assigns = assigns || !purposes.empty() || !date.empty();
        Words words{"import", path};
        if (command_.has("Password")) {
            words.insert(words.end(), {"--password-file", "-"});
            outcome_.notes.emplace_back(
                "-Password: in a command line everybody on this machine can read it while that "
                "runs; "
                "fedctl cs -f - takes lines from standard input");
        }
        if (!purposes.empty()) words.insert(words.end(), {"--for", purposes.front()});
        if (!add_options(words)) return false;
        std::string text;
        Json answer;
        if (!cert(words, text, answer)) return false;
        const std::string name = string_of(answer, "name");
        outcome_.out += (dry_ ? "What if: " : "") + text;
        outcome_.results.push_back(answer["certificate"]);
        if (!assigns) return true;
        if (dry_) {
            outcome_.out += "What if: it would be assigned" +
                            (purposes.empty() ? "" : " to " + joined(purposes, ", ")) +
                            (date.empty() ? "" : ", from " + date[1] + " on") + "\n";
            return true;
        }
        return assign(name, purposes, date);
    }

    bool assign(const std::string& name, const Words& purposes, const Words& date) {
        Words words{"assign", name};
        if (!purposes.empty()) words.insert(words.end(), {"--for", joined(purposes, ",")});
        words.insert(words.end(), date.begin(), date.end());
        return print_commit(words);
    }

    bool set() {
        const std::string thumbprint = command_.text("Thumbprint");
        if (cmdlet_.piped + !thumbprint.empty() + command_.has("Path") != 1) {
            return fail(
                "one of -Thumbprint, -Path and Get-CsCertificate before a '|' says which one");
        }
        if (command_.has("Path")) return import(true);
        Words purposes;
        Words date;
        if (!read_types(purposes) || !read_date(date)) return false;
        std::string name;
        if (cmdlet_.piped ? !piped_name(name) : !name_of(thumbprint, name)) return false;
        return assign(name, purposes, date);
    }
    bool piped_name(std::string& name) {
        const std::vector<ShellObject>& input = cmdlet_.input;
        if (input.size() != 1 || input[0].kind != "certificate") {
            return fail("what comes through the '|' is not one certificate");
        }
        name = input[0].name;
        return true;
    }
    bool name_of(const std::string& thumbprint, std::string& name) {
        Json rows;
        if (!list(rows)) return false;
        const std::string wanted = plain_thumbprint(thumbprint);
        for (const Json& row : rows) {
            const auto what = row.find("certificate");
            if (what == row.end()) continue;
            const bool meant = lower_ascii(string_of(*what, "thumbprint")) == wanted ||
                               string_of(*what, "sha256") == wanted;
            if (meant) name = string_of(row, "name");
        }
        return !name.empty() ||
               fail("no certificate here has the thumbprint " + in_quotes(thumbprint) +
                    ": Import-CsCertificate -Path FILE brings it here");
    }

    // --- Get- and Test-CsCertificate...

    // One object for each use, in the reference's order of fields as far as it is known.
    bool get() {
        Words purposes;
        Json rows;
        if (!read_types(purposes) || !list(rows)) return false;
        bool any = false;
        for (const Json& row : rows) {
            const auto what = row.find("certificate");
            if (what == row.end()) continue;
            for (const Json& use : array_of(row, "uses")) {
                const std::string purpose = string_of(use, "purpose");
                any = true;
                if (!purposes.empty() && std::ranges::find(purposes, purpose) == purposes.end())
                    continue;
                add(row, *what, use, rows);
            }
        }
        if (!any) {
            outcome_.notes.emplace_back(
                "no certificate is assigned, so a self-signed one is in use: "
                "Request-CsCertificate -New -Type AccessEdgeExternal -Output FILE requests one");
        }
        return true;
    }
    void add(const Json& row, const Json& what, const Json& use, const Json& rows) {
        const std::string purpose = string_of(use, "purpose");
        const std::string from = string_of(use, "from");
        Words names;
        for (const Json& one : array_of(what, "dns_names")) names.push_back(one.get<std::string>());
        objects_.push_back(
            {string_of(row, "name"),
             {{"Issuer", string_of(what, "issuer")},
              {"NotAfter", string_of(what, "not_after")},
              {"NotBefore", string_of(what, "not_before")},
              {"SerialNumber", string_of(what, "serial")},
              {"Subject", string_of(what, "subject")},
              {"AlternativeNames", "{" + joined(names, ", ") + "}"},
              {"Thumbprint", string_of(what, "thumbprint")},
              {"EffectiveDate", from},
              {"PreviousThumbprint", from.empty() ? std::string() : in_use(purpose, rows)},
              {"Use", type_of(purpose)},
              {"SourceScope", "Local"}},
             "",
             "certificate"});
    }
    // The one whose place it will take.
    static std::string in_use(const std::string& purpose, const Json& rows) {
        for (const Json& row : rows) {
            for (const Json& use : array_of(row, "uses")) {
                if (string_of(use, "purpose") == purpose && !use.contains("from") &&
                    row.contains("certificate"))
                    return string_of(row["certificate"], "thumbprint");
            }
        }
        return {};
    }

    bool test() {
        std::string text;
        Json answer;
        const bool good = cert({"check"}, text, answer);
        outcome_.out += text;
        for (const Json& one : array_of(answer, "checks")) outcome_.results.push_back(one);
        if (!good && answer.contains("checks")) {
            return fail("a certificate that is in use will not do");
        }
        return good;
    }

    const CertificateCmdlet& cmdlet_;
    const BoundCommand& command_;
    const Ask& ask_;
    CmdletsOutcome& outcome_;
    std::vector<ShellObject>& objects_;
    const bool dry_;
};

}  // namespace

bool run_certificate_cmdlet(const CertificateCmdlet& cmdlet, const Ask& ask,
                            CmdletsOutcome& outcome, std::vector<ShellObject>& objects) {
    return Runner(cmdlet, ask, outcome, objects).run();
}

}  // namespace fedgate::admin
