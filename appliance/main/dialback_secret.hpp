// The file with the dialback secret (DB-3): dirs.state/dialback.secret, for its owner only. Its
// time of change is when the secret was made, by whichever node. Control thread.
#pragma once

#include <string>

#include "core/base/time.hpp"

namespace fedgate {

struct DialbackSecretFile {
    std::string secret;
    WallTime made{};
};

// Reads it, or makes it. Without a secret: `fault` says why.
[[nodiscard]] DialbackSecretFile read_or_make_secret(const std::string& path, std::string& fault);
// In the place of what is there. False: `fault` says why.
[[nodiscard]] bool write_secret(const std::string& path, const DialbackSecretFile&,
                                std::string& fault);

}  // namespace fedgate
