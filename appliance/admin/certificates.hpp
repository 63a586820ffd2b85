// Certificates and keys of this machine as files: what there is, and whether one will do before it
// is used. Reads and writes files; for fedctl and the control thread.
#pragma once

#include <string>
#include <vector>

#include "appliance/admin/json.hpp"
#include "core/base/bytes.hpp"
#include "core/base/time.hpp"

namespace fedgate::admin {

class Configuration;

// Of Debian: what the system believes.
constexpr const char* kSystemRoots = "/etc/ssl/certs/ca-certificates.crt";

// `plan`: what certificates the configuration asks for: for each purpose (`external`, `internal`,
// `sip`) its files, and `names` with why each is wanted; `directory`, where fedctl keeps them.
[[nodiscard]] Json answer_cert(const Json& request, const Configuration&);

// A certificate with its chain, and perhaps its key.
struct Bundle {
    std::vector<std::string> ders;  // end-entity first
    std::string key;                // PEM
};
// The end-entity first, then who has issued it, and so on; self-signed roots are left out, and so
// is what does not belong to it. `key` decides which one that is, if it is given.
[[nodiscard]] bool put_in_order(Bundle&, std::string& why);
[[nodiscard]] std::string pem_of(const std::vector<std::string>& ders);

// What it is to be used for.
struct Use {
    std::string purpose;              // `external`, ...
    std::vector<std::string> needed;  // it has to be for these
    std::vector<std::string> wanted;  // and should be for these
    std::string ca;                   // PEM of the roots that others believe, or empty: not known
};
// `level` (`error`, `warning`), `text`, `advice`: errors are what makes it of no use.
[[nodiscard]] Json check_bundle(const Bundle&, const Use&, WallTime now);
[[nodiscard]] bool has_error(const Json& findings);

// What is in a certificate, or in a request, for people and programs.
[[nodiscard]] Json describe_certificate(Bytes der, WallTime now);
[[nodiscard]] Json describe_request(Bytes der);

// Written aside and renamed; of mode 0600, or 0644. Whoever owns the directory will own it, too:
// the daemon must be able to read what root has put there. Not so what is for another machine.
[[nodiscard]] bool write_owned_file(const std::string& path, Bytes, bool secret, std::string& why,
                                    bool to_directorys_owner = true);

}  // namespace fedgate::admin
