#include "sip/digest.hpp"

#include "core/base/hash.hpp"
#include "sip/chars.hpp"

namespace fedgate::sip {
namespace {

using namespace chars;

constexpr Bytes kNonceCount = "00000001";

struct Unquoted {
    explicit Unquoted(Bytes quoted) {
        Sink sink{MutableBytes(memory)};
        unquote(quoted, sink);
        FEDGATE_CHECK(!sink.overflowed());
        size = sink.size();
    }
    [[nodiscard]] Bytes view() const { return {memory, size}; }
    char memory[kDigestTextBytes];
    std::size_t size;
};

bool is_quoted(Bytes value) { return value.starts_with('"') && quoted_size(value) == value.size(); }

bool read_algorithm(Bytes value, Challenge& out) {
    constexpr Bytes kSession = "-sess";
    if (is_quoted(value)) value = value.substr(1, value.size() - 2);  // some write it so
    out.algorithm = value;
    if (value.size() > kSession.size() &&
        equal_ignoring_case(value.substr(value.size() - kSession.size()), kSession)) {
        out.session = true;
        value.remove_suffix(kSession.size());
    }
    out.kind =
        equal_ignoring_case(value, "SHA-256") ? DigestAlgorithm::kSha256 : DigestAlgorithm::kMd5;
    return out.kind == DigestAlgorithm::kSha256 || equal_ignoring_case(value, "MD5");
}

// "auth,auth-int"; some write one word without quotes.
bool read_qop(Bytes value, Challenge& out) {
    if (is_quoted(value)) value = value.substr(1, value.size() - 2);
    Bytes word;
    while (take_item(value, word)) {
        if (equal_ignoring_case(word, "auth")) out.qop = true;
    }
    return out.qop;
}

bool read_parameter(Bytes name, Bytes value, Challenge& out) {
    const auto take_once = [&value](Bytes& field) {
        const bool fresh = field.empty();
        field = value;
        return fresh && is_quoted(value) && value.size() <= kDigestTextBytes;
    };
    if (equal_ignoring_case(name, "realm")) return take_once(out.realm);
    if (equal_ignoring_case(name, "nonce")) return take_once(out.nonce);
    if (equal_ignoring_case(name, "opaque")) return take_once(out.opaque);
    if (equal_ignoring_case(name, "algorithm")) return read_algorithm(value, out);
    if (equal_ignoring_case(name, "qop")) return read_qop(value, out);
    if (equal_ignoring_case(name, "stale")) out.stale = equal_ignoring_case(value, "true");
    return true;  // RFC 7616 3.3: what is not known is passed over
}

bool read_challenge(Bytes value, Challenge& out) {
    constexpr Bytes kScheme = "Digest";
    if (!equal_ignoring_case(value.substr(0, kScheme.size()), kScheme)) return false;
    value.remove_prefix(kScheme.size());
    if (value.empty() || !is(value.front(), kSpace)) return false;
    Bytes parameter;
    while (take_item(value, parameter)) {
        const std::size_t equals = parameter.find('=');
        if (equals == Bytes::npos) return false;
        const Bytes name = trim(parameter.substr(0, equals));
        if (!read_parameter(name, trim(parameter.substr(equals + 1)), out)) return false;
    }
    return !out.realm.empty() && !out.nonce.empty();
}

void write_quoted(Sink& sink, Bytes text) {
    sink.append('"');
    for (const char c : text) {
        if (c == '"' || c == '\\') sink.append('\\');
        sink.append(c);
    }
    sink.append('"');
}

struct Hex {
    std::array<char, 64> text;
    std::size_t size;
    [[nodiscard]] Bytes view() const { return {text.data(), size}; }
};

template <std::size_t N>
Hex hex_of(const std::array<std::uint8_t, N>& digest) {
    const auto hex = to_hex(digest);
    Hex out{{}, hex.size()};
    std::memcpy(out.text.data(), hex.data(), hex.size());
    return out;
}

Hex hash(DigestAlgorithm kind, std::initializer_list<Bytes> parts) {
    return kind == DigestAlgorithm::kSha256 ? hex_of(sha256(parts)) : hex_of(md5(parts));
}

// RFC 7616 3.4.1-3.4.3.
Hex response_of(const Challenge& challenge, const Credentials& credentials,
                const AuthorizedRequest& request) {
    const Unquoted realm(challenge.realm);
    const Unquoted nonce(challenge.nonce);
    Hex secret =
        hash(challenge.kind, {credentials.user, ":", realm.view(), ":", credentials.password});
    if (challenge.session) {
        secret = hash(challenge.kind, {secret.view(), ":", nonce.view(), ":", request.cnonce});
    }
    const Hex what = hash(challenge.kind, {request.method, ":", request.uri});
    if (!challenge.qop) {
        return hash(challenge.kind, {secret.view(), ":", nonce.view(), ":", what.view()});
    }
    return hash(challenge.kind, {secret.view(), ":", nonce.view(), ":", kNonceCount, ":",
                                 request.cnonce, ":auth:", what.view()});
}

}  // namespace

bool find_challenge(const Message& response, Challenge& out) {
    const bool proxy = response.status == 407;
    const Header* header =
        response.find(proxy ? HeaderName::kProxyAuthenticate : HeaderName::kWwwAuthenticate);
    for (; header != nullptr; header = response.next(header)) {
        out = Challenge{};
        out.proxy = proxy;
        if (read_challenge(header->value, out)) return true;
    }
    return false;
}

void write_authorization(Sink& sink, const Challenge& challenge, const Credentials& credentials,
                         const AuthorizedRequest& request) {
    sink.append(header_text(challenge.proxy ? HeaderName::kProxyAuthorization
                                            : HeaderName::kAuthorization));
    sink.append(": Digest username=");
    write_quoted(sink, credentials.user);
    sink.append(",realm=");
    sink.append(challenge.realm);
    sink.append(",nonce=");
    sink.append(challenge.nonce);
    sink.append(",uri=");
    write_quoted(sink, request.uri);
    sink.append(",response=\"");
    sink.append(response_of(challenge, credentials, request).view());
    sink.append('"');
    if (!challenge.algorithm.empty()) {
        sink.append(",algorithm=");
        sink.append(challenge.algorithm);
    }
    if (challenge.qop || challenge.session) {
        sink.append(",cnonce=");
        write_quoted(sink, request.cnonce);
    }
    if (challenge.qop) {
        sink.append(",qop=auth,nc=");
        sink.append(kNonceCount);
    }
    if (!challenge.opaque.empty()) {
        sink.append(",opaque=");
        sink.append(challenge.opaque);
    }
    sink.append("\r\n");
}

}  // namespace fedgate::sip
