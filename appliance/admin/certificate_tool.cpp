#include "appliance/admin/certificate_tool.hpp"

#include <algorithm>
#include <ostream>

#include "appliance/admin/certificate_verbs.hpp"
#include "appliance/admin/tool.hpp"

namespace fedgate::admin {
namespace {

struct Verb {
    const char* name;
    std::vector<std::string_view> options;  // `=`: takes a value; `+=`: several
    int (*run)(const CertificateToolOptions&, Words);
};

const std::vector<Verb>& verbs() {
    static const std::vector<Verb> kVerbs{
        {"request",
         {"--for=", "--name=", "--key=", "--organisation=", "--unit=", "--city=", "--state=",
          "--country=", "--friendly-name=", "--exportable=", "--extra+=", "--without+=", "--file=",
          "--config=", "--yes", "--ask", "--dry-run"},
         request_certificate},
        {"import",
         {"--for=", "--name=", "--key=", "--password=", "--password-file=", "--config=",
          "--exportable=", "--assign", "--comment=", "--dry-run"},
         import_certificate},
        {"assign",
         {"--for+=", "--key=", "--effective=", "--cancel", "--comment=", "--config=", "--dry-run"},
         assign_certificate},
        {"list", {"--config="}, list_certificates},
        {"show", {"--config=", "--for="}, show_certificate},
        {"check", {"--config=", "--for=", "--key="}, check_certificates},
        {"export", {"--config=", "--file="}, export_certificate},
        {"remove", {"--config=", "--dry-run"}, remove_certificates}};
    return kVerbs;
}

}  // namespace

int run_certificate_tool(const CertificateToolOptions& options,
                         const std::vector<std::string>& words) {
    const auto usage = [&options](const std::string& text) {
        options.err << "fedctl: " << text << "\n";
        return kExitUsage;
    };
    std::string known;
    for (const Verb& verb : verbs()) {
        known += (known.empty()              ? ""
                  : &verb == &verbs().back() ? " or "
                                             : ", ") +
                 std::string(verb.name);
    }
    if (words.empty()) return usage("cert needs " + known + " (fedctl help)");
    const auto verb = std::ranges::find_if(
        verbs(), [&words](const Verb& one) { return words.front() == one.name; });
    if (verb == verbs().end())
        return usage("cert has no action '" + words.front() + "'; there are " + known);
    Words said;
    std::string why;
    if (!cut_words(words, verb->options, said, why)) return usage("cert " + why);
    return verb->run(options, std::move(said));
}

}  // namespace fedgate::admin
