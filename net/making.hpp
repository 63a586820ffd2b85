// Pieces of certificates and requests that are made here: net/self_signed and net/request.
#pragma once

#include <string>
#include <vector>

#include "core/base/bytes.hpp"

namespace fedgate::net {

constexpr std::size_t kAltNameBytesMax = 127;

// `type`: wolfSSL's CertType. Empty: it can't be.
[[nodiscard]] std::string to_pem(Bytes der, int type);
// GeneralNames: SEQUENCE of [2] dNSName, each of at most kAltNameBytesMax; below 64 KiB in all.
[[nodiscard]] std::string alt_names_der(const std::vector<std::string>& names);

}  // namespace fedgate::net
