#include "appliance/admin/backup_tool.hpp"

#include <fstream>
#include <istream>
#include <iterator>
#include <ostream>

#include "appliance/admin/answers.hpp"
#include "appliance/admin/backup.hpp"
#include "appliance/admin/certificate_verbs.hpp"
#include "appliance/admin/questions.hpp"
#include "appliance/admin/sealed.hpp"
#include "appliance/admin/show.hpp"
#include "appliance/admin/tool.hpp"
#include "appliance/admin/words.hpp"
#include "core/base/file.hpp"

namespace fedgate::admin {
namespace {

constexpr std::size_t kSealedBytes = 160 << 20;  // more than any backup has

class BackupTool {
public:
    BackupTool(const BackupToolOptions& options, Words words)
        : options_(options), words_(std::move(words)) {}

    int back_up() {
        if (options_.out_is_terminal)
            return usage("a backup is no text for a terminal: fedctl backup > FILE");
        SealedFor whom;
        Secret passphrase;
        std::string why;
        const std::string to = value("--to");
        if (!to.empty() && !value("--passphrase-file").empty())
            return usage("--to CERTIFICATE or --passphrase-file FILE, not both");
        if (!to.empty() && !read_file(to, whom.certificate, why)) return fail(to + " " + why);
        if (to.empty() && !read_passphrase(true, passphrase.text, why)) return fail(why);
        whom.passphrase = passphrase.text;
        BackupPlaces places;
        Secret plain;
        std::string sealed;
        std::vector<ArchivedFile> files;
        std::vector<std::string> left_out;
        if (!find_places(places, why) || !collect_backup(places, files, left_out, why))
            return fail(why);
        plain.text = write_archive(files);
        if (!seal(plain.text, whom, sealed, why)) return fail((to.empty() ? "it" : to) + " " + why);
        options_.out.write(sealed.data(), static_cast<std::streamsize>(sealed.size()));
        options_.out.flush();
        if (!options_.out) return fail("the backup can't be written");
        for (const std::string& one : left_out)
            options_.err << "fedctl: not in it: " << for_terminal(one) << "\n";
        options_.err << "fedctl: " << files.size() - 1 << " files, " << sealed.size()
                     << " bytes; without " << (to.empty() ? "the passphrase" : "its private key")
                     << " nobody can read it\n";
        return kExitOk;
    }

    int restore() {
        if (options_.in_is_terminal && words_.words.empty())
            return usage("restore reads a backup: fedctl restore < FILE");
        std::string sealed;
        std::string why;
        std::string name = "standard input";
        if (words_.words.empty()) {
            sealed.assign(std::istreambuf_iterator<char>(options_.in), {});
        } else {
            name = words_.words[0];
            if (!read_file(name, sealed, why)) return fail(name + " " + why);
        }
        if (sealed.size() > kSealedBytes) return fail(name + " is too large for a backup");
        if (why = fault_of_sealed(sealed); !why.empty()) return fail(name + " " + why);
        OpenedBy by;
        Secret passphrase;
        const std::string key = value("--key");
        if (!key.empty() && !read_file(key, by.key, why)) return fail(key + " " + why);
        if (key.empty() && !read_passphrase(false, passphrase.text, why)) return fail(why);
        by.passphrase = passphrase.text;
        Secret plain;
        std::vector<ArchivedFile> files;
        BackupPlaces places;
        if (!open_sealed(sealed, by, plain.text, why) || !read_archive(plain.text, files, why))
            return fail(name + " " + why);
        if (!find_places(places, why)) return fail(why);
        Restoration restoration(places);
        if (!restoration.stage(files, why)) return fail(name + " " + why);
        if (flag("--dry-run"))
            return done(restoration, files, "is good, and nothing was changed", {});
        if (!restoration.exchange(why)) return fail(why + "; nothing was changed");
        Json answer;
        if (!restoration.check_certificates(why)) {
            restoration.undo();
            return fail(name +
                        " holds certificates that can't be used, and nothing was changed: " + why);
        }
        if (runs_ && !tell_daemon(answer, why)) {
            restoration.undo();
            return fail("fedgated can't work with it, and nothing was changed: " + why);
        }
        restoration.finish();
        return done(restoration, files,
                    runs_ ? "restored, and in force; fedctl sysctl --pending says what acts after "
                            "a restart only"
                          : "restored; fedgated does not run, and takes it when it starts",
                    answer);
    }

private:
    std::string value(const char* option) {
        const auto found = words_.options.find(option);
        return found != words_.options.end() ? found->second : std::string();
    }
    bool flag(const char* name) const { return words_.flags.contains(name); }

    int usage(const std::string& text) const {
        options_.err << "fedctl: " << text << "\n";
        return kExitUsage;
    }
    int fail(const std::string& text) const {
        options_.err << "fedctl: " << for_terminal(text) << "\n";
        return kExitRefused;
    }

    int done(const Restoration& restoration, const std::vector<ArchivedFile>& files,
             const std::string& what, const Json& answer) const {
        const Json& about = restoration.about();
        if (options_.json) {
            Json out{{"ok", true}, {"backup", about}, {"files", files.size() - 1}};
            if (answer.is_object()) out["changes"] = answer.value("changes", Json::array());
            options_.out << write_json(out) << "\n";
            return kExitOk;
        }
        options_.out << for_terminal("backup of " + string_of(about, "node") + ", made " +
                                     string_of(about, "made") + " by version " +
                                     string_of(about, "version") + ", " +
                                     std::to_string(files.size() - 1) + " files: " + what)
                     << "\n";
        return kExitOk;
    }

    // The daemon's, or as it would find them at its start.
    bool find_places(BackupPlaces& places, std::string& why) {
        const std::string file = value("--config");
        Json answer;
        if (file.empty() && options_.ask({{"verb", "backup"}, {"action", "places"}}, answer, why)) {
            runs_ = bool_of(answer, "ok");
            why = string_of(answer, "error");
            if (runs_) places = read_backup_places(answer);
            return runs_;
        }
        if (file.empty() && !why.contains("is not running")) return false;
        config::Sources sources;
        sources.file = file;
        Configuration configuration(sources);
        config::Problems problems;
        if (configuration.load(problems) == nullptr) {
            why = problems.empty() ? "the configuration can't be read" : problems.front().line();
            return false;
        }
        places = read_backup_places(backup_places(configuration));
        return true;
    }

    bool tell_daemon(Json& answer, std::string& why) const {
        if (!options_.ask({{"verb", "backup"}, {"action", "restored"}}, answer, why)) return false;
        if (bool_of(answer, "ok")) return true;
        why = string_of(answer, "error");
        for (const std::string& one : strings_of(answer, "errors")) why += one + " ";
        return false;
    }

    // Never a word of the command line: everybody on the machine can read that.
    bool read_passphrase(bool twice, std::string& text, std::string& why) {
        const std::string file = value("--passphrase-file");
        if (!file.empty()) {
            if (!read_file(file, text, why)) {
                why = file + " " + why;
                return false;
            }
            while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
        } else if (!ask_passphrase(twice, text, why)) {
            return false;
        }
        if (twice && text.size() < kPassphraseBytesMin) {
            why = "a passphrase has at least " + std::to_string(kPassphraseBytesMin) + " bytes";
            return false;
        }
        if (text.empty()) why = "an empty passphrase opens nothing";
        return !text.empty();
    }

    // Standard input and output are the backup's.
    bool ask_passphrase(bool twice, std::string& text, std::string& why) const {
        std::ifstream in("/dev/tty");
        std::ofstream out("/dev/tty");
        if (!in || !out) {
            why = "there is no terminal to ask for the passphrase: say --passphrase-file FILE";
            return false;
        }
        Secret again;
        why = "no passphrase was given";
        if (!ask_secret(in, out, "Passphrase of the backup", text)) return false;
        if (!twice) return true;
        if (!ask_secret(in, out, "The same again", again.text)) return false;
        why = "those were two different passphrases";
        return text == again.text;
    }

    const BackupToolOptions& options_;
    Words words_;
    bool runs_ = false;  // the daemon, of this configuration
};

}  // namespace

int run_backup_tool(const BackupToolOptions& options, const std::string& verb,
                    const std::vector<std::string>& rest) {
    constexpr std::string_view kBackup[] = {"--to=", "--passphrase-file=", "--config="};
    constexpr std::string_view kRestore[] = {
        "--key=", "--passphrase-file=", "--config=", "--dry-run"};
    std::vector<std::string> typed{verb};
    typed.insert(typed.end(), rest.begin(), rest.end());
    Words words;
    std::string why;
    const bool backs_up = verb == "backup";
    const auto known = backs_up ? std::span<const std::string_view>(kBackup)
                                : std::span<const std::string_view>(kRestore);
    if (!cut_words(typed, known, words, why)) {
        options.err << "fedctl: " << why << "\n";
        return kExitUsage;
    }
    if (words.words.size() > (backs_up ? 0U : 1U)) {
        options.err << "fedctl: " << verb << " takes nothing more, not '"
                    << for_terminal(words.words.back()) << "'\n";
        return kExitUsage;
    }
    BackupTool tool(options, std::move(words));
    return backs_up ? tool.back_up() : tool.restore();
}

}  // namespace fedgate::admin
