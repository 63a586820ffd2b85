// Keys and signing requests (PKCS #10), made with wolfSSL: for fedctl, never on a core's thread.
#pragma once

#include <string>
#include <vector>

#include "core/base/bytes.hpp"
#include "core/base/error.hpp"

namespace fedgate::net {

enum class NewKey : std::uint8_t { kRsa2048, kRsa3072, kRsa4096, kP256, kP384 };

// PEM. Takes a second or more for a long RSA key.
[[nodiscard]] Result<std::string> make_key(NewKey);

// Each at most kSubjectBytesMax; empty ones are left out.
constexpr std::size_t kSubjectBytesMax = 63;
struct Subject {
    std::string common_name;
    std::string organisation;
    std::string unit;
    std::string city;
    std::string state;
    std::string country;  // two letters
};
constexpr std::size_t kRequestNamesMax = 100;  // as many as public authorities take

// PEM, signed by that key, which is one of make_key(): for servers and clients, with these names.
[[nodiscard]] Result<std::string> make_request(Bytes key_pem, const Subject&,
                                               const std::vector<std::string>& dns_names);

}  // namespace fedgate::net
