#include "sip/digest.hpp"

#include <algorithm>

#include "core/base/hash.hpp"
#include "sip/chars.hpp"

namespace fedgate::sip {
namespace {

using namespace chars;

// What a line has besides what is counted.
constexpr std::size_t kLineBytes = 512;

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

using NonceCount = std::array<char, 8>;

NonceCount nonce_count(std::uint32_t uses) {
    NonceCount text;
    for (std::size_t i = text.size(); i-- > 0; uses >>= 4) text[i] = "0123456789abcdef"[uses & 15];
    return text;
}

// RFC 7616 3.4.1-3.4.3.
Hex response_of(const Challenge& challenge, const Credentials& credentials,
                const AuthorizedRequest& request, Bytes count) {
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
    return hash(challenge.kind, {secret.view(), ":", nonce.view(), ":", count, ":", request.cnonce,
                                 ":auth:", what.view()});
}

void write_line(Sink& sink, const Challenge& challenge, const Credentials& credentials,
                const AuthorizedRequest& request, std::uint32_t uses) {
    const NonceCount digits = nonce_count(uses);
    const Bytes count(digits.data(), digits.size());
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
    sink.append(response_of(challenge, credentials, request, count).view());
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
        sink.append(count);
    }
    if (!challenge.opaque.empty()) {
        sink.append(",opaque=");
        sink.append(challenge.opaque);
    }
    sink.append("\r\n");
}

// The challenges of one response, one for each realm.
struct Wanted {
    std::array<Challenge, kDigestRealms> list;
    std::size_t count = 0;

    void add(const Challenge& challenge) {
        for (std::size_t i = 0; i < count; ++i) {
            Challenge& known = list[i];
            if (known.realm != challenge.realm || known.proxy != challenge.proxy) continue;
            if (challenge.kind > known.kind) known = challenge;  // of equals the topmost
            return;
        }
        if (count < list.size()) list[count++] = challenge;
    }
};

Wanted read_challenges(const Message& response) {
    Wanted wanted;
    for (const auto name : {HeaderName::kProxyAuthenticate, HeaderName::kWwwAuthenticate}) {
        for (const Header* header = response.find(name); header != nullptr;
             header = response.next(header)) {
            Challenge challenge;
            challenge.proxy = name == HeaderName::kProxyAuthenticate;
            if (read_challenge(header->value, challenge)) wanted.add(challenge);
        }
    }
    return wanted;
}

// The value of `nextnonce`, quotes included; empty: none.
Bytes next_nonce(Bytes value) {
    Bytes parameter;
    while (take_item(value, parameter)) {
        const std::size_t equals = parameter.find('=');
        if (equals == Bytes::npos) continue;
        if (!equal_ignoring_case(trim(parameter.substr(0, equals)), "nextnonce")) continue;
        const Bytes nonce = trim(parameter.substr(equals + 1));
        return is_quoted(nonce) && nonce.size() <= kDigestTextBytes ? nonce : Bytes{};
    }
    return {};
}

}  // namespace

void Challenges::Kept::keep(const Challenge& given) {
    realm = given.realm;
    nonce = given.nonce;
    opaque = given.opaque;
    algorithm = given.algorithm;
    cnonce.clear();
    uses = 0;
    flags = given;
    flags.realm = flags.nonce = flags.opaque = flags.algorithm = {};
}

Challenge Challenges::Kept::challenge() const {
    Challenge whole = flags;
    whole.realm = realm;
    whole.nonce = nonce;
    whole.opaque = opaque;
    whole.algorithm = algorithm;
    return whole;
}

Challenges::Kept* Challenges::find(const Challenge& wanted) {
    for (Kept& kept : kept_) {
        if (kept.realm == wanted.realm && kept.flags.proxy == wanted.proxy) return &kept;
    }
    return nullptr;
}

Challenges::Realms Challenges::take(const Message& response, Realms answered) {
    const Wanted wanted = read_challenges(response);
    Realms taken = 0;
    for (std::size_t i = 0; i < wanted.count; ++i) {
        Kept* kept = find(wanted.list[i]);
        if (kept == nullptr) {
            kept = &kept_[next_];
            next_ = (next_ + 1) % kept_.size();
            answered &= static_cast<Realms>(~(1u << (kept - kept_.data())));
        }
        const auto bit = static_cast<Realms>(1u << (kept - kept_.data()));
        // The same credentials again would be refused again.
        if ((answered & bit) != 0 && !wanted.list[i].stale) return 0;
        kept->keep(wanted.list[i]);
        taken |= bit;
    }
    return taken;
}

// The header field does not say for which realm it is.
Challenges::Kept* Challenges::only_one(bool proxy) {
    Kept* found = nullptr;
    for (Kept& kept : kept_) {
        if (kept.realm.empty() || kept.flags.proxy != proxy) continue;
        if (found != nullptr) return nullptr;
        found = &kept;
    }
    return found;
}

void Challenges::take_next_nonce(const Message& response) {
    for (const bool proxy : {false, true}) {
        const Bytes nonce = next_nonce(response.value(proxy ? HeaderName::kProxyAuthenticationInfo
                                                            : HeaderName::kAuthenticationInfo));
        Kept* const kept = nonce.empty() ? nullptr : only_one(proxy);
        if (kept == nullptr) continue;
        kept->nonce = nonce;
        kept->cnonce.clear();
        kept->uses = 0;
    }
}

bool Challenges::empty() const {
    return std::ranges::all_of(kept_, [](const Kept& kept) { return kept.realm.empty(); });
}

std::size_t Challenges::bytes_max(Bytes user, Bytes uri) const {
    std::size_t size = 0;
    for (const Kept& kept : kept_) {
        if (kept.realm.empty()) continue;
        size += kLineBytes + 2 * (user.size() + uri.size()) + kept.realm.size() +
                kept.nonce.size() + kept.opaque.size() + kept.algorithm.size();
    }
    return size;
}

void Challenges::write(Sink& sink, const Credentials& credentials,
                       const AuthorizedRequest& request) {
    for (Kept& kept : kept_) {
        if (kept.realm.empty()) continue;
        AuthorizedRequest one = request;
        if (kept.flags.session) {  // RFC 7616 3.4.2: its first cnonce is in its key
            if (kept.cnonce.empty()) kept.cnonce = request.cnonce;
            one.cnonce = kept.cnonce;
        }
        write_line(sink, kept.challenge(), credentials, one, ++kept.uses);
    }
}

}  // namespace fedgate::sip
