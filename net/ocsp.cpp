// A stapled OCSP response: RFC 6960 4.2, as RFC 6066 8 and RFC 8446 4.4.2.1 carry it.
#include "core/base/hash.hpp"
#include "net/der.hpp"
#include "net/revocation.hpp"

namespace fedgate::net {
namespace {

constexpr Bytes kBasicResponse("\x2b\x06\x01\x05\x05\x07\x30\x01\x01", 9);
constexpr Bytes kSha1("\x2b\x0e\x03\x02\x1a", 5);
constexpr Bytes kSha256("\x60\x86\x48\x01\x65\x03\x04\x02\x01", 9);
// Clocks differ, and a response may be made for the very moment.
constexpr Duration kClockSlack = std::chrono::minutes(5);
constexpr std::size_t kSingleResponsesMax = 64;
// So short a life is over before its revocation would come around.
constexpr Duration kShortLife = std::chrono::days(7);

enum class Trust : std::uint8_t {
    kNone,
    kUnsure,  // its maker may have been revoked: it does not make anything good
    kFull,
};

struct BasicResponse {
    Bytes signed_part;
    SignatureAlgorithm algorithm;
    Bytes signature;
    Bytes certificates;  // content of the SEQUENCE; may be empty
    Bytes by_name;       // responder: one of both
    Bytes by_key;
    Bytes responses;
};

template <std::size_t N>
std::string text_of(const std::array<std::uint8_t, N>& digest) {
    return {digest.begin(), digest.end()};
}

bool parse_basic(Bytes der, BasicResponse& out) {
    Bytes content, body, algorithm, wrapped, ignored;
    if (!take_only(der, der::kSequence, content)) return false;
    Der parts(content);
    bool there = false;
    if (!parts.take(der::kSequence, body, &out.signed_part) ||
        !parts.take(der::kSequence, algorithm) ||
        !parse_signature_algorithm(algorithm, out.algorithm) ||
        !parts.take(der::kBitString, out.signature) || out.signature.empty() ||
        out.signature[0] != 0 || !parts.take_optional(0xa0, wrapped, there) || !parts.at_end()) {
        return false;
    }
    out.signature.remove_prefix(1);
    if (there && !take_only(wrapped, der::kSequence, out.certificates)) return false;
    Der fields(body);
    WallTime produced{};
    if (!fields.take_optional(0xa0, ignored, there)) return false;  // version
    if (!fields.take_optional(0xa1, out.by_name, there)) return false;
    if (!there) {
        if (!fields.take(0xa2, wrapped) || !take_only(wrapped, der::kOctetString, out.by_key))
            return false;
    }
    if (!take_time(fields, produced) || !fields.take(der::kSequence, out.responses)) return false;
    if (!fields.take_optional(0xa1, ignored, there) || !fields.at_end()) return false;
    if (!there) return true;
    // A critical extension may change what the response means.
    Bytes list;
    Extension extension;
    if (!take_only(ignored, der::kSequence, list)) return false;
    for (Der extensions(list); !extensions.at_end();) {
        if (!take_extension(extensions, extension) || extension.critical) return false;
    }
    return true;
}

// The BasicOCSPResponse of a successful response.
bool unwrap(Bytes response, Bytes& basic) {
    Bytes content, status, wrapped, bytes, object;
    if (!take_only(response, der::kSequence, content)) return false;
    Der parts(content);
    if (!parts.take(der::kEnumerated, status) || status != Bytes("\0", 1)) return false;
    if (!parts.take(0xa0, wrapped) || !parts.at_end()) return false;
    if (!take_only(wrapped, der::kSequence, bytes)) return false;
    Der fields(bytes);
    return fields.take(der::kObject, object) && object == kBasicResponse &&
           fields.take(der::kOctetString, basic) && fields.at_end();
}

bool is_responder(const BasicResponse& response, const Certificate& who) {
    if (!response.by_name.empty()) return response.by_name == who.subject;
    return response.by_key == text_of(sha1({who.key.bits}));
}

// RFC 6960 4.2.2.2.1.
Trust trust_in(const Certificate& delegate, const Certificate& issuer, const RevocationLists* lists,
               WallTime now) {
    using State = RevocationStatus::State;
    const State state =
        lists == nullptr ? State::kUnknown : lists->look_up(delegate, issuer, now).state;
    if (state == State::kRevoked) return Trust::kNone;
    const bool need_not =
        delegate.ocsp_no_check || delegate.not_after - delegate.not_before <= kShortLife;
    return state == State::kGood || need_not ? Trust::kFull : Trust::kUnsure;
}

// RFC 6960 4.2.2.2: by the issuer himself, or with a certificate that he has made for it.
Trust trust_in(const BasicResponse& response, const Certificate& issuer,
               const RevocationLists* lists, WallTime now) {
    const auto signed_by = [&](const Certificate& who) {
        return is_responder(response, who) &&
               is_signed(response.signed_part, response.signature, response.algorithm, who.key);
    };
    if (signed_by(issuer)) return Trust::kFull;
    Bytes content, whole;
    std::size_t count = 0;
    for (Der list(response.certificates); !list.at_end() && count < kChainCertificatesMax;
         ++count) {
        if (!list.take(der::kSequence, content, &whole)) return Trust::kNone;
        const auto delegate = parse_certificate(whole);
        if (!delegate || !delegate->usage_ocsp || delegate->unknown_critical ||
            delegate->issuer != issuer.subject || now < delegate->not_before ||
            now > delegate->not_after) {
            continue;
        }
        if (is_signed(delegate->signed_part, delegate->signature, delegate->algorithm,
                      issuer.key) &&
            signed_by(*delegate)) {
            return trust_in(*delegate, issuer, lists, now);
        }
    }
    return Trust::kNone;
}

// RFC 6960 4.1.1.
bool is_about(Bytes certificate_id, const Certificate& subject, const Certificate& issuer) {
    Der parts(certificate_id);
    Bytes algorithm, object, name, key, serial;
    if (!parts.take(der::kSequence, algorithm) || !parts.take(der::kOctetString, name) ||
        !parts.take(der::kOctetString, key) || !parts.take(der::kInteger, serial) ||
        !parts.at_end() || !Der(algorithm).take(der::kObject, object)) {
        return false;
    }
    if (serial != subject.serial) return false;
    if (object == kSha1) {
        return name == text_of(sha1({issuer.subject})) && key == text_of(sha1({issuer.key.bits}));
    }
    return object == kSha256 && name == text_of(sha256({issuer.subject})) &&
           key == text_of(sha256({issuer.key.bits}));
}

bool parse_status(Der& fields, RevocationStatus& out) {
    unsigned char tag = 0;
    Bytes content, whole, wrapped, code;
    if (!fields.next(tag, content, whole)) return false;
    if (tag == 0x80) out.state = RevocationStatus::State::kGood;
    if (tag != 0xa1) return tag == 0x80 || tag == 0x82;
    Der info(content);
    bool there = false;
    if (!take_time(info, out.at) || !info.take_optional(0xa0, wrapped, there)) return false;
    if (there && take_only(wrapped, der::kEnumerated, code) && code.size() == 1)
        out.reason = static_cast<unsigned char>(code[0]);
    out.state = RevocationStatus::State::kRevoked;
    return true;
}

}  // namespace

RevocationStatus judge_staple(Bytes response, const Certificate& subject, const Certificate& issuer,
                              const RevocationLists* lists, WallTime now) {
    Bytes der;
    BasicResponse basic;
    if (response.empty() || response.size() > kStapleBytesMax || !unwrap(response, der) ||
        !parse_basic(der, basic)) {
        return {};
    }
    const Trust trust = trust_in(basic, issuer, lists, now);
    if (trust == Trust::kNone) return {};
    std::size_t count = 0;
    for (Der list(basic.responses); !list.at_end() && count < kSingleResponsesMax; ++count) {
        Bytes single, id, wrapped;
        RevocationStatus status;
        WallTime this_update{}, next_update{};
        bool there = false;
        if (!list.take(der::kSequence, single)) return {};
        Der fields(single);
        if (!fields.take(der::kSequence, id) || !parse_status(fields, status) ||
            !take_time(fields, this_update) || !fields.take_optional(0xa0, wrapped, there)) {
            return {};
        }
        if (!is_about(id, subject, issuer)) continue;
        // Without a next update newer information is always there (RFC 6960 4.2.2.1).
        if (!there) return {};
        Der until(wrapped);
        if (!take_time(until, next_update)) return {};
        if (now + kClockSlack < this_update || now - kClockSlack > next_update) return {};
        const bool sure = trust == Trust::kFull || status.state != RevocationStatus::State::kGood;
        return sure ? status : RevocationStatus{};
    }
    return {};
}

}  // namespace fedgate::net
