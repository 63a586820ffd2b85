#include "xml/dialback.hpp"

#include "core/base/hash.hpp"

namespace fedgate::xml {

namespace {

// DB-1: the HMAC key is the hexadecimal text, not the digest.
DialbackKey make_key(const std::array<char, 64>& secret, Bytes receiving, Bytes originating,
                     Bytes stream_id) {
    return to_hex(hmac_sha256(Bytes(secret.data(), secret.size()),
                              {receiving, " ", originating, " ", stream_id}));
}

bool matches(const DialbackKey& expected, Bytes key) {
    return equal_constant_time(Bytes(expected.data(), expected.size()), key);
}

}  // namespace

DialbackSecrets make_dialback_secrets(Bytes current, Bytes previous) {
    DialbackSecrets secrets;
    secrets.current = to_hex(sha256({current}));
    secrets.has_previous = !previous.empty();
    if (secrets.has_previous) secrets.previous = to_hex(sha256({previous}));
    return secrets;
}

DialbackKey make_dialback_key(const DialbackSecrets& secrets, Bytes receiving, Bytes originating,
                              Bytes stream_id) {
    return make_key(secrets.current, receiving, originating, stream_id);
}

bool check_dialback_key(const DialbackSecrets& secrets, Bytes receiving, Bytes originating,
                        Bytes stream_id, Bytes key) {
    if (matches(make_key(secrets.current, receiving, originating, stream_id), key)) return true;
    return secrets.has_previous &&
           matches(make_key(secrets.previous, receiving, originating, stream_id), key);
}

}  // namespace fedgate::xml
