// Bytes that only a passphrase, or only the key of a certificate, opens again: a line that says
// what it is, with a digest that tells damage from a wrong passphrase, and behind it a CMS
// AuthEnvelopedData (RFC 5083) with AES-256-GCM, which `openssl cms -decrypt` opens, too. For
// fedctl only.
#pragma once

#include <string>

#include "core/base/bytes.hpp"

namespace fedgate::admin {

constexpr std::size_t kPassphraseBytesMin = 12;

// One of both. `certificate` and `key` are PEM.
struct SealedFor {
    std::string passphrase;
    std::string certificate;
};
struct OpenedBy {
    std::string passphrase;
    std::string key;
};

// False: `why` is the rest of a sentence that begins with whose fault it is.
[[nodiscard]] bool seal(Bytes plain, const SealedFor&, std::string& sealed, std::string& why);
// Before a passphrase is asked for: is it one, whole, and of a format that is known here? Empty,
// or the rest of a sentence that begins with the file's name.
[[nodiscard]] std::string fault_of_sealed(Bytes sealed);
// Nothing of `plain` is there before all of it was found genuine.
[[nodiscard]] bool open_sealed(Bytes sealed, const OpenedBy&, std::string& plain, std::string& why);

}  // namespace fedgate::admin
