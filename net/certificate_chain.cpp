// The judgement of a chain: CERT-5 to CERT-7. Every fault is the rest of a sentence that begins
// with "the certificate".
// clang-format off: wolfSSL's other headers mean something else without this one before them.
#include <wolfssl/options.h>
// clang-format on

#include <algorithm>

#include <wolfssl/wolfcrypt/coding.h>

#include "core/base/hash.hpp"
#include "net/certificate.hpp"
#include "net/dane.hpp"
#include "net/der.hpp"
#include "net/revocation.hpp"

namespace fedgate::net {
namespace {

constexpr unsigned kRsaBitsMin = 2048;  // CERT-5
constexpr unsigned kRsaBitsMax = 8192;  // a bigger one only costs us time
constexpr std::size_t kNameBytesTold = 253;

std::string name_of(Bytes name) {
    std::string text = readable_name(name);
    return text.empty() ? "an authority without a name" : text;
}

// What must hold for every certificate of a path, the root included.
std::string fault_of_any(const Certificate& certificate, WallTime now) {
    if (now < certificate.not_before)
        return "is not valid before " + readable_minute(certificate.not_before);
    if (now > certificate.not_after) return "expired on " + readable_minute(certificate.not_after);
    if (certificate.unknown_critical) return "has a critical extension that is not understood";
    if (certificate.key.kind == KeyKind::kOther) return "has a kind of key that is not accepted";
    if (certificate.key.kind != KeyKind::kRsa) return {};
    const std::string key = "has an RSA key of " + std::to_string(certificate.key.rsa_bits);
    if (certificate.key.rsa_bits < kRsaBitsMin) return key + " bits, which is too short";
    if (certificate.key.rsa_bits > kRsaBitsMax) return key + " bits, which is too long";
    return {};
}

// May `issuer` sign certificates with `below` authorities between it and the end entity?
bool may_issue(const Certificate& issuer, int below) {
    if (!issuer.is_ca || !issuer.may_sign_certificates) return false;
    return issuer.path_length < 0 || issuer.path_length >= below;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

bool is_of_domain(char c) {
    return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
}

// RFC 5280 4.2.1.10: the constraint itself and everything below; `.example` is only what is below.
bool is_within(Bytes name, Bytes constraint) {
    if (name.ends_with('.')) name.remove_suffix(1);
    if (constraint.ends_with('.')) constraint.remove_suffix(1);
    if (constraint.empty()) return true;
    if (name.size() < constraint.size()) return false;
    const Bytes end = name.substr(name.size() - constraint.size());
    if (!std::ranges::equal(end, constraint, {}, lower, lower)) return false;
    return name.size() == constraint.size() || constraint.starts_with('.') ||
           name[name.size() - constraint.size() - 1] == '.';
}

bool is_allowed(Bytes name, const Certificate& by) {
    const bool wildcard = name.starts_with("*.");
    const Bytes base = wildcard ? name.substr(2) : name;
    for (const Bytes excluded : by.excluded) {
        if (is_within(base, excluded) || (wildcard && is_within(excluded, base))) return false;
    }
    return by.permitted.empty() || std::ranges::any_of(by.permitted, [&](Bytes permitted) {
               return is_within(name, permitted);
           });
}

// Constraints on dNSNames hold for the domain in every kind of name: otherwise an authority for one
// domain could make an xmppAddr of any other.
std::string fault_of_names(const Certificate& subject, const Certificate& by) {
    if (by.permitted.empty() && by.excluded.empty()) return {};
    const auto fault = [&](Bytes name) {
        return "names " + std::string(name.substr(0, kNameBytesTold)) +
               ", for which its authority " + name_of(by.subject) +
               " may not speak (name constraints)";
    };
    for (const Bytes name : subject.dns_names) {
        if (!is_allowed(name, by)) return fault(name);
    }
    for (const Bytes name : subject.srv_names) {  // _service.domain
        if (!is_allowed(name.substr(std::min(name.find('.'), name.size() - 1) + 1), by))
            return fault(name);
    }
    for (const Bytes name : subject.xmpp_addrs) {
        const Bytes bare = name.substr(0, name.find('/'));
        const bool ascii =
            std::ranges::all_of(bare, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
        if (!ascii || !is_allowed(bare.substr(bare.find('@') + 1), by)) return fault(name);
    }
    for (const Bytes name : subject.uris) {  // sip:domain, and nothing that may hide another
        const Bytes rest = name.substr(std::min(name.find(':'), name.size() - 1) + 1);
        if (!std::ranges::all_of(rest, is_of_domain) || !is_allowed(rest, by)) return fault(name);
    }
    return {};
}

// CERT-6, SIP-31.
std::string fault_of_usage(const Certificate& leaf, bool by_client, const PeerTerms& terms) {
    if (leaf.usage_any) return {};
    if (terms.strict_usage) {
        if (by_client ? leaf.usage_client : leaf.usage_server) return {};
        return std::string("is not for ") + (by_client ? "clients" : "servers") +
               " (extended key usage), and eku = strict asks for that";
    }
    if (leaf.usage_server || (terms.sip ? leaf.usage_sip : leaf.usage_xmpp)) return {};
    return "is not for servers (extended key usage)";
}

// One path, from the end entity up to a root.
class Path {
public:
    Path(const Shown& shown, const PeerTerms& terms, WallTime now)
        : shown_(shown), terms_(terms), now_(now) {}

    std::string fault();

private:
    [[nodiscard]] bool parse_shown();
    [[nodiscard]] bool is_signed_by(const Certificate&, const Certificate& issuer) const;
    [[nodiscard]] std::string fault_of_pin() const;
    [[nodiscard]] const Certificate* find_root(const Certificate&, int below, std::string& fault);
    [[nodiscard]] const Certificate* find_issuer(const Certificate&, int below);
    [[nodiscard]] std::string fault_of_issue(const Certificate&, const Certificate& issuer) const;
    [[nodiscard]] std::string fault_of_status(const Certificate&, const Certificate& issuer) const;
    [[nodiscard]] std::string fault_of_unknown(const Certificate&) const;
    // Of a certificate further up the path it is said whose it is.
    [[nodiscard]] std::string about(const Certificate& certificate, std::string fault) const {
        if (fault.empty() || &certificate == chain_.data()) return fault;
        return "is signed by " + name_of(certificate.subject) + ", whose certificate " + fault;
    }

    const Shown& shown_;
    const PeerTerms& terms_;
    const WallTime now_;
    std::vector<Certificate> chain_;
    std::vector<bool> used_;
};

bool Path::is_signed_by(const Certificate& subject, const Certificate& issuer) const {
    if (terms_.signatures == nullptr)
        return is_signed(subject.signed_part, subject.signature, subject.algorithm, issuer.key);
    return terms_.signatures->check(subject.signed_part, subject.signature, subject.algorithm,
                                    issuer.key);
}

bool Path::parse_shown() {
    const auto count = std::min(shown_.chain.size(), kChainCertificatesMax);
    for (const Bytes der : shown_.chain.first(count)) {
        auto parsed = parse_certificate(der);
        if (!parsed) return false;
        chain_.push_back(std::move(*parsed));
    }
    used_.resize(chain_.size());
    return true;
}

// CERT-7: the pin stands for the chain. Dates and the strength of the key hold all the same.
std::string Path::fault_of_pin() const {
    const auto fingerprint = to_hex(sha256({shown_.chain[0]}));
    const std::string text(fingerprint.data(), fingerprint.size());
    if (std::ranges::find(terms_.pins, text) == terms_.pins.end())
        return "is none of those pinned for this partner (its SHA-256 is " + text + ")";
    return fault_of_any(chain_[0], now_);
}

const Certificate* Path::find_root(const Certificate& current, int below, std::string& fault) {
    if (terms_.roots == nullptr) return nullptr;
    for (const Certificate& root : terms_.roots->roots()) {
        if (root.der == current.der) return &root;  // trusted as it is
        if (root.subject != current.issuer || !(root.version_1 || may_issue(root, below))) continue;
        if (!is_signed_by(current, root)) continue;
        fault = about(root, fault_of_any(root, now_));
        if (fault.empty()) return &root;
    }
    return nullptr;
}

const Certificate* Path::find_issuer(const Certificate& current, int below) {
    for (std::size_t i = 1; i < chain_.size(); ++i) {
        if (used_[i] || chain_[i].subject != current.issuer || !may_issue(chain_[i], below))
            continue;
        used_[i] = true;
        if (is_signed_by(current, chain_[i])) return &chain_[i];
    }
    return nullptr;
}

std::string Path::fault_of_status(const Certificate& current, const Certificate& issuer) const {
    using State = RevocationStatus::State;
    if (terms_.revocation == Revocation::kOff) return {};
    const WallTime now = terms_.revoked_by == WallTime{} ? now_ : terms_.revoked_by;
    RevocationStatus status;
    if (terms_.revoked != nullptr) status = terms_.revoked->look_up(current, issuer, now);
    if (status.state != State::kRevoked && &current == chain_.data()) {
        const RevocationStatus stapled =
            judge_staple(shown_.staple, current, issuer, terms_.revoked, now);
        if (stapled.state != State::kUnknown) status = stapled;
    }
    if (status.state == State::kRevoked) {
        const std::string reason = name_of_reason(status.reason);
        return "was revoked on " + readable_day(status.at) +
               (reason.empty() ? std::string() : " (" + reason + ")");
    }
    if (status.state == State::kGood || terms_.revocation == Revocation::kSoft) return {};
    return "can't be checked for revocation: no current list of " + name_of(current.issuer) +
           " covers it, and revocation = hard";
}

std::string Path::fault_of_issue(const Certificate& current, const Certificate& issuer) const {
    std::string fault = about(current, fault_of_status(current, issuer));
    return fault.empty() ? fault_of_names(chain_[0], issuer) : fault;
}

std::string Path::fault_of_unknown(const Certificate& last) const {
    const bool own = last.subject == last.issuer && is_signed_by(last, last);
    if (own && &last == chain_.data()) return "is self-signed";
    return "is signed by an authority that is not trusted (" + name_of(last.issuer) + ")";
}

std::string Path::fault() {
    if (shown_.chain.empty()) return "was not shown";
    if (!parse_shown()) return "is malformed, or one of its chain is";
    const Certificate& leaf = chain_[0];
    if (!terms_.pins.empty()) {
        std::string fault = fault_of_pin();
        if (!fault.empty() || !terms_.strict_usage) return fault;
        return fault_of_usage(leaf, shown_.by_client, terms_);
    }
    // The dates first: they are what goes wrong most often, and say most.
    if (std::string fault = fault_of_any(leaf, now_); !fault.empty()) return fault;
    const bool own = leaf.subject == leaf.issuer;
    if (leaf.is_ca && !own) return "is an authority's, not a server's";  // CERT-6
    std::string usage = fault_of_usage(leaf, shown_.by_client, terms_);
    if (!usage.empty()) return usage;

    const Certificate* current = &leaf;
    used_[0] = true;
    for (int below = 0;; ++below) {
        if (std::string fault = about(*current, fault_of_any(*current, now_)); !fault.empty())
            return fault;
        std::string root_fault;
        if (const Certificate* root = find_root(*current, below, root_fault)) {
            if (leaf.is_ca) return "is an authority's, not a server's";
            return root->der == current->der ? std::string() : fault_of_issue(*current, *root);
        }
        if (!root_fault.empty()) return root_fault;
        if (current->algorithm.scheme == SignatureScheme::kWeakOrUnknown)
            return about(*current, "has a signature weaker than SHA-256, or an unknown one");
        const Certificate* issuer = find_issuer(*current, below);
        if (issuer == nullptr) return fault_of_unknown(*current);
        if (std::string fault = fault_of_issue(*current, *issuer); !fault.empty()) return fault;
        current = issuer;
    }
}

}  // namespace

bool has_strong_key(const Certificate& certificate) {
    if (certificate.key.kind != KeyKind::kRsa) return certificate.key.kind != KeyKind::kOther;
    return certificate.key.rsa_bits >= kRsaBitsMin && certificate.key.rsa_bits <= kRsaBitsMax;
}

Result<std::vector<std::string>> parse_pem(Bytes pem, Bytes label) {
    const std::string begin = "-----BEGIN " + std::string(label) + "-----";
    const std::string finish = "-----END " + std::string(label) + "-----";
    std::vector<std::string> ders;
    for (std::size_t at = pem.find(begin); at != Bytes::npos; at = pem.find(begin, at)) {
        at += begin.size();
        const std::size_t end = pem.find(finish, at);
        if (end == Bytes::npos) return failure(Errc::kMalformed, "PEM: no end line");
        const Bytes text = pem.substr(at, end - at);
        std::string der(text.size() * 3 / 4 + 4, '\0');
        auto length = static_cast<word32>(der.size());
        if (Base64_Decode(reinterpret_cast<const byte*>(text.data()),
                          static_cast<word32>(text.size()), reinterpret_cast<byte*>(der.data()),
                          &length) != 0) {
            return failure(Errc::kMalformed, "PEM: not base64");
        }
        der.resize(length);
        ders.push_back(std::move(der));
        at = end;
    }
    if (ders.empty()) return failure(Errc::kNotFound, "PEM: nothing of that kind");
    return ders;
}

Result<std::vector<std::string>> parse_pem_certificates(Bytes pem) {
    return parse_pem(pem, "CERTIFICATE");
}

Result<TrustStore> TrustStore::parse(Bytes pem) {
    FEDGATE_TRY(ders, parse_pem_certificates(pem));
    return of(std::move(ders));
}

Result<TrustStore> TrustStore::of(std::vector<std::string> ders) {
    TrustStore store;
    store.ders_ = std::move(ders);
    for (const std::string& der : store.ders_) {
        auto root = parse_certificate(der);
        if (root) store.roots_.push_back(std::move(*root));
    }
    if (store.roots_.empty()) return failure(Errc::kCertificate, "no usable root");
    return store;
}

std::uint64_t PeerTerms::digest() const {
    const auto with = [](std::uint64_t hash, const auto& value) {
        return fnv1a({reinterpret_cast<const char*>(&value), sizeof value}, hash);
    };
    std::uint64_t hash = with(with(fnv1a({}), roots), revoked);
    hash = with(with(with(hash, revocation), strict_usage), generation);
    hash = with(with(hash, sip), revoked_by);
    for (const std::string& pin : pins) hash = fnv1a(pin, hash);
    return dane == nullptr ? hash : fnv1a(dane->domain, hash);
}

std::string fault_of_chain(const Shown& shown, const PeerTerms& terms, WallTime now) {
    return Path(shown, terms, now).fault();
}

}  // namespace fedgate::net
