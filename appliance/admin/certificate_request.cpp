// fedctl cert request: the reference's certificate wizard (features.md C1 to C3). A key and a
// request for an authority, in the directory of certificates.
#include <algorithm>
#include <utility>

#include "appliance/admin/certificate_verbs.hpp"
#include "appliance/admin/questions.hpp"
#include "appliance/admin/show.hpp"
#include "appliance/admin/tool.hpp"
#include "appliance/admin/wall_clock.hpp"
#include "core/config/domain.hpp"
#include "core/config/text.hpp"
#include "net/certificate.hpp"
#include "net/request.hpp"

namespace fedgate::admin {
namespace {

constexpr std::pair<const char*, net::NewKey> kKeys[] = {{"rsa:2048", net::NewKey::kRsa2048},
                                                         {"rsa:3072", net::NewKey::kRsa3072},
                                                         {"rsa:4096", net::NewKey::kRsa4096},
                                                         {"ecdsa:p256", net::NewKey::kP256},
                                                         {"ecdsa:p384", net::NewKey::kP384}};

class Request : CertificateVerbs {
public:
    Request(const CertificateToolOptions& options, Words said)
        : CertificateVerbs(options, std::move(said)),
          asks_(wants_questions(said_.options, options.terminal, options.json)) {}

    int run() {
        std::string why;
        if (!words().empty()) return usage("cert request takes options only, not " + words()[0]);
        if (!read_plan(why)) return fail(why);
        Wish wish;
        if (!gather(wish, why)) return fail(why);
        if (asks_) {
            out_ << "Request for " << joined(wish.names) << "\n";
            bool good = false;
            if (!read_yes(ask("", "Make the key and the request", "yes"), good) || !good || ended_)
                return fail("nothing was made");
        }
        if (is_there(path_of(wish.name, ".key"))) {
            return fail("there is a key " + path_of(wish.name, ".key") +
                        " already: take another --name");
        }
        if (has("--dry-run")) {
            return tell({{"name", wish.name},
                         {"file", wish.file},
                         {"dns_names", wish.names},
                         {"dry_run", true}},
                        "dry run, nothing was made; it would be request " + wish.name + " for " +
                            joined(wish.names) + ", in " + wish.file + "\n");
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

private:
    struct Wish {
        std::string purpose = "external", name, friendly_name, file;
        net::NewKey key = net::NewKey::kRsa2048;
        bool exportable = true;
        net::Subject subject;
        std::vector<std::string> names;
    };

    // An option, or the answer to a question; `fallback` where nobody is asked or says nothing.
    std::string ask(const char* option, const std::string& question, const std::string& fallback) {
        if (has(option) || !asks_ || ended_) return value(option, fallback);
        std::string said;
        ended_ = !ask_question(options_.in, options_.json ? options_.err : out_, question, fallback,
                               said);
        return ended_ ? fallback : said;
    }

    // The wizard's pages: every answer has an option.
    bool gather(Wish& wish, std::string& why) {
        wish.purpose =
            ask("--for", "For external (partners), internal (the link) or sip", wish.purpose);
        said_.options["--for"] = wish.purpose;
        if (!read_purpose(wish.purpose, why)) return false;
        wish.friendly_name = ask("--friendly-name", "Friendly name",
                                 "Fedgate " + wish.purpose + " " + readable_day(wall_now()));
        wish.name = value("--name", free_name(wish.purpose + "-" + readable_day(wall_now())));
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
        if (!read_yes(ask("--exportable", "May fedctl cert export give out the key", "yes"),
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
        const bool asked = asks_;
        if (asked) out_ << "Names that the configuration asks for:\n";
        for (const Json& one : array_of(purpose(wish.purpose), "names")) {
            const std::string name = string_of(one, "name");
            if (std::ranges::find(without, name) != without.end()) continue;
            if (asked) {
                bool keep = true;
                if (!read_yes(ask("", "  " + name + " (" + string_of(one, "why") + ")", "yes"),
                              keep) ||
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
        if (ended_) why = "the answers ended in the middle: nothing was made";
        return !ended_;
    }

    bool asks_;
    bool ended_ = false;  // of the answers
};

}  // namespace

int request_certificate(const CertificateToolOptions& options, Words said) {
    return Request(options, std::move(said)).run();
}

}  // namespace fedgate::admin
