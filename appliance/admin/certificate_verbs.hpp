// What the verbs of `fedctl cert` have in common: the words, what the configuration asks for, and
// what lies in the directory of keys and certificates. Their own code: certificate_request.cpp,
// certificate_import.cpp (with assign and export), certificate_list.cpp (with show, check, remove).
#pragma once

#include <iosfwd>
#include <string>
#include <utility>
#include <vector>

#include "appliance/admin/certificate_tool.hpp"
#include "appliance/admin/certificates.hpp"
#include "appliance/admin/json.hpp"
#include "appliance/admin/words.hpp"
#include "core/base/time.hpp"

namespace fedgate::admin {

constexpr const char* kPurposes[] = {"external", "internal", "sip"};

// A secret that is wiped.
struct Secret {
    std::string text;
    Secret() = default;
    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;
    ~Secret();
};

class CertificateVerbs {
public:
    CertificateVerbs(const CertificateToolOptions& options, Words said)
        : options_(options), out_(options.out), said_(std::move(said)) {}

protected:
    [[nodiscard]] bool has(const char* option) const { return said_.options.contains(option); }
    [[nodiscard]] std::string value(const char* option, const std::string& fallback = {}) const;
    [[nodiscard]] const std::vector<std::string>& words() const { return said_.words; }

    [[nodiscard]] int usage(const std::string& text) const;
    [[nodiscard]] int fail(const std::string& text) const;
    [[nodiscard]] int tell(Json answer, const std::string& text) const;

    // What the configuration says: the daemon's, or as it would read it at its start.
    [[nodiscard]] bool read_plan(std::string& why);
    [[nodiscard]] std::string directory() const { return string_of(plan_, "directory"); }
    [[nodiscard]] std::string path_of(const std::string& name, const char* kind) const {
        return directory() + "/" + name + kind;
    }
    [[nodiscard]] bool make_directory(std::string& why) const;
    [[nodiscard]] const Json& purpose(const std::string& name) const;
    [[nodiscard]] Use use_of(const std::string& name) const;
    // --for, or else `name`. False: it is none.
    [[nodiscard]] bool read_purpose(std::string& name, std::string& why) const;

    // Certificates, keys and requests here, by their names.
    [[nodiscard]] std::vector<std::string> known_names() const;
    [[nodiscard]] std::string free_name(const std::string& start) const;
    [[nodiscard]] static bool is_name(const std::string& text);
    [[nodiscard]] Json info_of(const std::string& name) const;
    // By whatever path it was named.
    [[nodiscard]] Json info_of_file(const std::string& file) const;
    // For which purposes this file is used: `purpose`, and `from` where it is later.
    [[nodiscard]] Json uses_of(const std::string& file) const;
    // A name of ours, or a file.
    [[nodiscard]] bool read_bundle(const std::string& typed, Bundle&, std::string& file,
                                   std::string& why) const;
    // That is configured beside it, or lies beside it.
    [[nodiscard]] std::string key_of(const std::string& file) const;

    const CertificateToolOptions& options_;
    std::ostream& out_;
    Words said_;

private:
    bool plan_of_files(const std::string& file, std::string& why);

    Json plan_;
};

[[nodiscard]] bool is_purpose(const std::string& name);
// "external, sip from 2026-12-01T00:00:00Z"
[[nodiscard]] std::string show_uses(const Json& uses);
[[nodiscard]] std::string show_findings(const Json& findings);
[[nodiscard]] std::string show_details(const Json& certificate);
// `yes`, `no` and their like. False: it is neither.
[[nodiscard]] bool read_yes(const std::string& text, bool& flag);
// Also where one may not look: then what is done with it says why.
[[nodiscard]] bool is_there(const std::string& path);

// The verbs. Each returns the exit status.
[[nodiscard]] int request_certificate(const CertificateToolOptions&, Words);
[[nodiscard]] int import_certificate(const CertificateToolOptions&, Words);
[[nodiscard]] int assign_certificate(const CertificateToolOptions&, Words);
[[nodiscard]] int export_certificate(const CertificateToolOptions&, Words);
[[nodiscard]] int list_certificates(const CertificateToolOptions&, Words);
[[nodiscard]] int show_certificate(const CertificateToolOptions&, Words);
[[nodiscard]] int check_certificates(const CertificateToolOptions&, Words);
[[nodiscard]] int remove_certificates(const CertificateToolOptions&, Words);

}  // namespace fedgate::admin
