#include "net/certificate.hpp"

#include <chrono>

namespace fedgate::net {
namespace {

// Reads DER elements from the front. Strict: one-byte tags, definite and minimal lengths.
class Der {
public:
    explicit Der(Bytes bytes) : rest_(bytes) {}

    [[nodiscard]] bool at_end() const { return rest_.empty(); }
    [[nodiscard]] bool next_is(unsigned char tag) const {
        return !rest_.empty() && static_cast<unsigned char>(rest_[0]) == tag;
    }
    // Any element.
    bool next(unsigned char& tag, Bytes& content, Bytes& whole) {
        if (rest_.size() < 2) return false;
        tag = byte(0);
        if ((tag & 0x1f) == 0x1f) return false;
        std::size_t length = byte(1);
        std::size_t header = 2;
        if (length >= 0x80) {
            const std::size_t count = length & 0x7f;
            if (count == 0 || count > 4 || rest_.size() < 2 + count) return false;
            length = 0;
            for (std::size_t i = 0; i < count; ++i) length = (length << 8) | byte(2 + i);
            if (length < 0x80 || byte(2) == 0) return false;
            header += count;
        }
        if (length > rest_.size() - header) return false;
        whole = rest_.substr(0, header + length);
        content = whole.substr(header);
        rest_.remove_prefix(header + length);
        return true;
    }
    // An element of this tag.
    bool take(unsigned char wanted, Bytes& content, Bytes* whole = nullptr) {
        if (!next_is(wanted)) return false;
        unsigned char tag = 0;
        Bytes all;
        if (!next(tag, content, all)) return false;
        if (whole != nullptr) *whole = all;
        return true;
    }

private:
    [[nodiscard]] unsigned char byte(std::size_t at) const {
        return static_cast<unsigned char>(rest_[at]);
    }
    Bytes rest_;
};

constexpr unsigned char kBoolean = 0x01;
constexpr unsigned char kInteger = 0x02;
constexpr unsigned char kBitString = 0x03;
constexpr unsigned char kOctetString = 0x04;
constexpr unsigned char kObject = 0x06;
constexpr unsigned char kUtf8String = 0x0c;
constexpr unsigned char kPrintableString = 0x13;
constexpr unsigned char kIa5String = 0x16;
constexpr unsigned char kUtcTime = 0x17;
constexpr unsigned char kGeneralizedTime = 0x18;
constexpr unsigned char kSequence = 0x30;
constexpr unsigned char kSet = 0x31;

constexpr Bytes kRsaKey("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", 9);
constexpr Bytes kRsaSha256("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", 9);
constexpr Bytes kRsaSha384("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c", 9);
constexpr Bytes kRsaSha512("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d", 9);
constexpr Bytes kEcKey("\x2a\x86\x48\xce\x3d\x02\x01", 7);
constexpr Bytes kEcdsaSha256("\x2a\x86\x48\xce\x3d\x04\x03\x02", 8);
constexpr Bytes kEcdsaSha384("\x2a\x86\x48\xce\x3d\x04\x03\x03", 8);
constexpr Bytes kEcdsaSha512("\x2a\x86\x48\xce\x3d\x04\x03\x04", 8);
constexpr Bytes kCurveP256("\x2a\x86\x48\xce\x3d\x03\x01\x07", 8);
constexpr Bytes kCurveP384("\x2b\x81\x04\x00\x22", 5);
constexpr Bytes kCurveP521("\x2b\x81\x04\x00\x23", 5);
constexpr Bytes kEd25519("\x2b\x65\x70", 3);
constexpr Bytes kKeyUsage("\x55\x1d\x0f", 3);
constexpr Bytes kAltNames("\x55\x1d\x11", 3);
constexpr Bytes kBasicConstraints("\x55\x1d\x13", 3);
constexpr Bytes kPolicies("\x55\x1d\x20", 3);
constexpr Bytes kExtendedKeyUsage("\x55\x1d\x25", 3);
constexpr Bytes kAnyUsage("\x55\x1d\x25\x00", 4);
constexpr Bytes kServerAuth("\x2b\x06\x01\x05\x05\x07\x03\x01", 8);
constexpr Bytes kXmppAddr("\x2b\x06\x01\x05\x05\x07\x08\x05", 8);
constexpr Bytes kSrvName("\x2b\x06\x01\x05\x05\x07\x08\x07", 8);

SignatureKind signature_kind(Bytes object) {
    if (object == kRsaSha256) return SignatureKind::kRsaSha256;
    if (object == kRsaSha384) return SignatureKind::kRsaSha384;
    if (object == kRsaSha512) return SignatureKind::kRsaSha512;
    if (object == kEcdsaSha256) return SignatureKind::kEcdsaSha256;
    if (object == kEcdsaSha384) return SignatureKind::kEcdsaSha384;
    if (object == kEcdsaSha512) return SignatureKind::kEcdsaSha512;
    if (object == kEd25519) return SignatureKind::kEd25519;
    return SignatureKind::kWeakOrUnknown;
}

// RFC 5280 4.1.2.5: UTCTime YYMMDDHHMMSSZ, GeneralizedTime YYYYMMDDHHMMSSZ.
bool parse_time(Der& from, WallTime& time) {
    const bool short_year = from.next_is(kUtcTime);
    Bytes text;
    if (!from.take(short_year ? kUtcTime : kGeneralizedTime, text)) return false;
    const std::size_t year_digits = short_year ? 2 : 4;
    if (text.size() != year_digits + 11 || text.back() != 'Z') return false;
    for (char c : text.substr(0, text.size() - 1)) {
        if (c < '0' || c > '9') return false;
    }
    const auto number = [&text](std::size_t at, std::size_t count) {
        int value = 0;
        for (std::size_t i = 0; i < count; ++i) value = value * 10 + (text[at + i] - '0');
        return value;
    };
    int year = number(0, year_digits);
    if (short_year) year += year < 50 ? 2000 : 1900;
    const std::size_t at = year_digits;
    using namespace std::chrono;
    const year_month_day day{std::chrono::year(year), month(static_cast<unsigned>(number(at, 2))),
                             std::chrono::day(static_cast<unsigned>(number(at + 2, 2)))};
    const int hour = number(at + 4, 2);
    const int minute = number(at + 6, 2);
    const int second = number(at + 8, 2);
    if (!day.ok() || hour > 23 || minute > 59 || second > 59) return false;
    time = sys_days(day) + hours(hour) + minutes(minute) + seconds(second);
    return true;
}

bool parse_public_key(Bytes whole, Certificate& out) {
    Bytes content, algorithm, object, bits;
    Der outer(whole);
    if (!outer.take(kSequence, content)) return false;
    Der key(content);
    if (!key.take(kSequence, algorithm) || !key.take(kBitString, bits) || !key.at_end())
        return false;
    if (bits.empty() || bits[0] != 0) return false;
    out.key_bits = bits.substr(1);
    Der parts(algorithm);
    if (!parts.take(kObject, object)) return false;
    if (object == kEd25519) {
        if (out.key_bits.size() == 32) out.key = KeyKind::kEd25519;
    } else if (object == kEcKey) {
        Bytes curve;
        if (!parts.take(kObject, curve)) return true;  // explicit parameters: not a key we take
        if (curve == kCurveP256) out.key = KeyKind::kP256;
        if (curve == kCurveP384) out.key = KeyKind::kP384;
        if (curve == kCurveP521) out.key = KeyKind::kP521;
    } else if (object == kRsaKey) {
        Bytes numbers, modulus;
        Der rsa(out.key_bits);
        if (!rsa.take(kSequence, numbers)) return false;
        Der integers(numbers);
        if (!integers.take(kInteger, modulus)) return false;
        while (!modulus.empty() && modulus[0] == 0) modulus.remove_prefix(1);
        if (modulus.empty()) return false;
        out.rsa_bits = static_cast<unsigned>(modulus.size() * 8);
        for (auto top = static_cast<unsigned char>(modulus[0]); (top & 0x80) == 0;
             top = static_cast<unsigned char>(top << 1)) {
            --out.rsa_bits;
        }
        out.key = KeyKind::kRsa;
    }
    return true;
}

// A name with a control character (an embedded NUL, a line break) proves nothing and is left out.
bool is_clean(Bytes name, bool ascii) {
    for (char c : name) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte <= 0x20 || byte == 0x7f || (ascii && byte > 0x7f)) return false;
    }
    return !name.empty();
}

bool parse_other_name(Bytes content, Certificate& out) {
    Der parts(content);
    Bytes object, wrapped, value;
    if (!parts.take(kObject, object) || !parts.take(0xa0, wrapped) || !parts.at_end()) return false;
    Der inner(wrapped);
    if (object == kSrvName) {  // RFC 4985
        if (!inner.take(kIa5String, value) || !inner.at_end()) return false;
        if (is_clean(value, true)) out.srv_names.push_back(value);
    } else if (object == kXmppAddr) {  // RFC 6120 13.7.1.4
        if (!inner.take(kUtf8String, value) || !inner.at_end()) return false;
        if (is_clean(value, false)) out.xmpp_addrs.push_back(value);
    }
    return true;
}

bool parse_alt_names(Bytes value, Certificate& out) {
    Bytes list;
    Der outer(value);
    if (!outer.take(kSequence, list) || !outer.at_end()) return false;
    std::size_t count = 0;
    for (Der names(list); !names.at_end();) {
        unsigned char tag = 0;
        Bytes content, whole;
        if (!names.next(tag, content, whole) || ++count > kCertificateNamesMax) return false;
        if (tag == 0x82 && is_clean(content, true)) out.dns_names.push_back(content);
        if (tag == 0x86 && is_clean(content, true)) out.uris.push_back(content);
        if (tag == 0xa0 && !parse_other_name(content, out)) return false;
    }
    return true;
}

bool parse_basic_constraints(Bytes value, Certificate& out) {
    Bytes content, flag, length;
    Der outer(value);
    if (!outer.take(kSequence, content) || !outer.at_end()) return false;
    Der parts(content);
    if (parts.next_is(kBoolean)) {
        if (!parts.take(kBoolean, flag) || flag.size() != 1) return false;
        out.is_ca = flag[0] != 0;
    }
    if (!parts.at_end()) {
        if (!parts.take(kInteger, length) || length.size() != 1 || (length[0] & 0x80) != 0)
            return false;
        out.path_length = length[0];
    }
    return parts.at_end();
}

bool parse_key_usage(Bytes value, Certificate& out) {
    Bytes bits;
    Der outer(value);
    if (!outer.take(kBitString, bits) || !outer.at_end() || bits.size() < 2) return false;
    out.may_sign_certificates = (bits[1] & 0x04) != 0;  // bit 5, keyCertSign
    return true;
}

// CERT-6: absent, any, serverAuth or id-on-xmppAddr is enough in both TLS roles.
bool parse_extended_key_usage(Bytes value, Certificate& out) {
    Bytes list, object;
    Der outer(value);
    if (!outer.take(kSequence, list) || !outer.at_end()) return false;
    out.usage_fits = false;
    for (Der usages(list); !usages.at_end();) {
        if (!usages.take(kObject, object)) return false;
        if (object == kAnyUsage || object == kServerAuth || object == kXmppAddr)
            out.usage_fits = true;
    }
    return true;
}

bool parse_extension(Bytes content, Certificate& out) {
    Bytes object, flag, value;
    Der parts(content);
    bool critical = false;
    if (!parts.take(kObject, object)) return false;
    if (parts.next_is(kBoolean)) {
        if (!parts.take(kBoolean, flag) || flag.size() != 1) return false;
        critical = flag[0] != 0;
    }
    if (!parts.take(kOctetString, value) || !parts.at_end()) return false;
    if (object == kAltNames) return parse_alt_names(value, out);
    if (object == kBasicConstraints) return parse_basic_constraints(value, out);
    if (object == kKeyUsage) return parse_key_usage(value, out);
    if (object == kExtendedKeyUsage) return parse_extended_key_usage(value, out);
    if (critical && object != kPolicies) out.unknown_critical = true;
    return true;
}

bool parse_extensions(Bytes wrapped, Certificate& out) {
    Bytes list, content;
    Der outer(wrapped);
    if (!outer.take(kSequence, list) || !outer.at_end()) return false;
    for (Der extensions(list); !extensions.at_end();) {
        if (!extensions.take(kSequence, content) || !parse_extension(content, out)) return false;
    }
    return true;
}

bool parse_signed_part(Bytes content, Bytes outer_algorithm, Certificate& out) {
    Der parts(content);
    Bytes ignored, algorithm, validity;
    out.version_1 = !parts.next_is(0xa0);
    if (!out.version_1 && !parts.take(0xa0, ignored)) return false;
    if (!parts.take(kInteger, ignored)) return false;  // serial number
    Bytes algorithm_content;
    if (!parts.take(kSequence, algorithm_content, &algorithm)) return false;
    if (algorithm != outer_algorithm) return false;  // RFC 5280 4.1.1.2
    if (!parts.take(kSequence, ignored, &out.issuer)) return false;
    if (!parts.take(kSequence, validity)) return false;
    Der times(validity);
    if (!parse_time(times, out.not_before) || !parse_time(times, out.not_after)) return false;
    if (!times.at_end()) return false;
    if (!parts.take(kSequence, ignored, &out.subject)) return false;
    if (!parts.take(kSequence, ignored, &out.public_key)) return false;
    if (!parse_public_key(out.public_key, out)) return false;
    if (parts.next_is(0x81) && !parts.take(0x81, ignored)) return false;  // unique ids
    if (parts.next_is(0x82) && !parts.take(0x82, ignored)) return false;
    if (parts.next_is(0xa3)) {
        Bytes extensions;
        if (!parts.take(0xa3, extensions) || !parse_extensions(extensions, out)) return false;
    }
    return parts.at_end();
}

// For people: the common name, or the organisation.
std::string readable_subject(Bytes name) {
    std::string found;
    Bytes list, set, pair, object;
    Der outer(name);
    if (!outer.take(kSequence, list)) return found;
    for (Der sets(list); !sets.at_end();) {
        if (!sets.take(kSet, set)) return found;
        Der pairs(set);
        if (!pairs.take(kSequence, pair)) return found;
        Der parts(pair);
        unsigned char tag = 0;
        Bytes text, whole;
        if (!parts.take(kObject, object) || !parts.next(tag, text, whole)) return found;
        if (tag != kUtf8String && tag != kPrintableString && tag != kIa5String) continue;
        const bool is_common_name = object == Bytes("\x55\x04\x03", 3);
        if (!is_common_name && !(found.empty() && object == Bytes("\x55\x04\x0a", 3))) continue;
        found.assign(text.substr(0, 128));
    }
    for (char& c : found) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    }
    return found;
}

std::vector<std::string> copies(const std::vector<Bytes>& views) {
    return {views.begin(), views.end()};
}

}  // namespace

// Declared in certificate_chain.cpp's terms: digest of the whole certificate.
std::string certificate_fingerprint(Bytes der);

Result<Certificate> parse_certificate(Bytes der) {
    const auto malformed = failure(Errc::kMalformed, "certificate");
    Certificate out;
    Bytes content, algorithm, signature, signed_content, algorithm_content, object;
    if (der.size() > kCertificateBytesMax) return failure(Errc::kLimit, "certificate");
    Der outer(der);
    if (!outer.take(kSequence, content) || !outer.at_end()) return malformed;
    Der parts(content);
    if (!parts.take(kSequence, signed_content, &out.signed_part)) return malformed;
    if (!parts.take(kSequence, algorithm_content, &algorithm)) return malformed;
    if (!parts.take(kBitString, signature) || !parts.at_end()) return malformed;
    if (signature.empty() || signature[0] != 0) return malformed;
    Der algorithm_parts(algorithm_content);
    if (!algorithm_parts.take(kObject, object)) return malformed;
    out.der = der;
    out.signature = signature.substr(1);
    out.signature_kind = signature_kind(object);
    if (!parse_signed_part(signed_content, algorithm, out)) return malformed;
    return out;
}

PeerIdentity identify_peer(std::span<const Bytes> chain, const TrustStore& trust, WallTime now) {
    PeerIdentity peer;
    if (chain.empty()) {
        peer.fault = "no certificate was shown";
        return peer;
    }
    peer.presented = true;
    peer.fingerprint_sha256 = certificate_fingerprint(chain[0]);
    const auto parsed = parse_certificate(chain[0]);
    if (!parsed) {
        peer.fault = "the certificate is malformed";
        return peer;
    }
    peer.dns_names = copies(parsed->dns_names);
    peer.srv_names = copies(parsed->srv_names);
    peer.xmpp_addrs = copies(parsed->xmpp_addrs);
    peer.uris = copies(parsed->uris);
    peer.subject = readable_subject(parsed->subject);
    const char* fault = trust.judge(chain, now);
    peer.chain_valid = fault == nullptr;
    if (fault != nullptr) peer.fault = fault;
    return peer;
}

}  // namespace fedgate::net
