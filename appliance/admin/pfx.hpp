// Reads what a password protects: PFX (PKCS #12) files, and private keys in PEM. The one door to
// OpenSSL: wolfSSL as it is built here has neither Triple DES nor RC2, which what Windows exports
// is made with, and reads no encrypted PEM. For fedctl only.
#pragma once

#include <string>

#include "core/base/bytes.hpp"

namespace fedgate::admin {

struct Opened {
    std::string certificates;  // PEM
    std::string key;           // PEM, not encrypted
    std::string friendly_name;
};
[[nodiscard]] bool is_pfx(Bytes);
// False: `why` is the rest of a sentence that begins with the file's name.
[[nodiscard]] bool open_pfx(Bytes, const std::string& password, Opened&, std::string& why);
// Of a text with one private key in it, encrypted or not: as PEM that is not.
[[nodiscard]] bool open_key(Bytes pem, const std::string& password, std::string& key,
                            std::string& why);

}  // namespace fedgate::admin
