// Server dialback keys: XEP-0220 with the key recipe of XEP-0185 (DB-1). Stateless: a key is
// recomputed from the secret when it is asked for.
#pragma once

#include <array>
#include <cstdint>

#include "core/base/bytes.hpp"

namespace fedgate::xml {

// What the authoritative server says of a key, or why it could not be asked.
enum class Verdict : std::uint8_t {
    kValid,
    kInvalid,
    kError,         // it answered with type='error'
    kUnreachable,   // DB-6: remote-connection-failed and the like
    kNoSuchDomain,  // DB-6: the sender's domain has no server
    kTimeout,
    kDenied,     // policy, theirs or ours, says no
    kOverLimit,  // not asked: too many questions already
};

using DialbackKey = std::array<char, 64>;  // lower-case hex

// The HMAC keys made from the secrets: hex(SHA-256(secret)). `previous` verifies only (DB-3).
struct DialbackSecrets {
    std::array<char, 64> current{};
    std::array<char, 64> previous{};
    bool has_previous = false;
};

DialbackSecrets make_dialback_secrets(Bytes current, Bytes previous = {});

// DB-1. Domains as they are compared: A-label, lower case. `stream_id` is the receiving server's.
DialbackKey make_dialback_key(const DialbackSecrets&, Bytes receiving, Bytes originating,
                              Bytes stream_id);

// DB-8: constant time; the current and the previous secret are good.
bool check_dialback_key(const DialbackSecrets&, Bytes receiving, Bytes originating, Bytes stream_id,
                        Bytes key);

}  // namespace fedgate::xml
