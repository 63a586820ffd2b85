#include "net/certificate.hpp"

#include "core/base/hash.hpp"
#include "net/der.hpp"

namespace fedgate::net {
namespace {

constexpr Bytes kKeyUsage("\x55\x1d\x0f", 3);
constexpr Bytes kAltNames("\x55\x1d\x11", 3);
constexpr Bytes kBasicConstraints("\x55\x1d\x13", 3);
constexpr Bytes kNameConstraints("\x55\x1d\x1e", 3);
constexpr Bytes kListPoints("\x55\x1d\x1f", 3);
constexpr Bytes kPolicies("\x55\x1d\x20", 3);
constexpr Bytes kExtendedKeyUsage("\x55\x1d\x25", 3);
constexpr Bytes kAnyUsage("\x55\x1d\x25\x00", 4);
constexpr Bytes kServerAuth("\x2b\x06\x01\x05\x05\x07\x03\x01", 8);
constexpr Bytes kClientAuth("\x2b\x06\x01\x05\x05\x07\x03\x02", 8);
constexpr Bytes kOcspSigning("\x2b\x06\x01\x05\x05\x07\x03\x09", 8);
constexpr Bytes kOcspNoCheck("\x2b\x06\x01\x05\x05\x07\x30\x01\x05", 9);
constexpr Bytes kXmppAddr("\x2b\x06\x01\x05\x05\x07\x08\x05", 8);
constexpr Bytes kSipDomain("\x2b\x06\x01\x05\x05\x07\x03\x14", 8);  // RFC 5924
constexpr Bytes kExtensionRequest("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e", 9);
constexpr Bytes kSrvName("\x2b\x06\x01\x05\x05\x07\x08\x07", 8);

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
    if (!parts.take(der::kObject, object) || !parts.take(0xa0, wrapped) || !parts.at_end())
        return false;
    Der inner(wrapped);
    if (object == kSrvName) {  // RFC 4985
        if (!inner.take(der::kIa5String, value) || !inner.at_end()) return false;
        if (is_clean(value, true)) out.srv_names.push_back(value);
    } else if (object == kXmppAddr) {  // RFC 6120 13.7.1.4
        if (!inner.take(der::kUtf8String, value) || !inner.at_end()) return false;
        if (is_clean(value, false)) out.xmpp_addrs.push_back(value);
    }
    return true;
}

bool parse_alt_names(Bytes value, Certificate& out) {
    Bytes list;
    Der outer(value);
    if (!outer.take(der::kSequence, list) || !outer.at_end()) return false;
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
    if (!outer.take(der::kSequence, content) || !outer.at_end()) return false;
    Der parts(content);
    if (parts.next_is(der::kBoolean)) {
        if (!parts.take(der::kBoolean, flag) || flag.size() != 1) return false;
        out.is_ca = flag[0] != 0;
    }
    if (!parts.at_end()) {
        if (!parts.take(der::kInteger, length) || length.size() != 1 || (length[0] & 0x80) != 0)
            return false;
        out.path_length = length[0];
    }
    return parts.at_end();
}

bool parse_key_usage(Bytes value, Certificate& out) {
    Bytes bits;
    Der outer(value);
    if (!outer.take(der::kBitString, bits) || !outer.at_end() || bits.size() < 2) return false;
    out.may_sign_certificates = (bits[1] & 0x04) != 0;  // bit 5, keyCertSign
    out.may_sign_lists = (bits[1] & 0x02) != 0;         // bit 6, cRLSign
    return true;
}

bool parse_extended_key_usage(Bytes value, Certificate& out) {
    Bytes list, object;
    if (!take_only(value, der::kSequence, list)) return false;
    out.usage_any = false;
    for (Der usages(list); !usages.at_end();) {
        if (!usages.take(der::kObject, object)) return false;
        if (object == kAnyUsage) out.usage_any = true;
        if (object == kServerAuth) out.usage_server = true;
        if (object == kClientAuth) out.usage_client = true;
        if (object == kXmppAddr) out.usage_xmpp = true;
        if (object == kSipDomain) out.usage_sip = true;
        if (object == kOcspSigning) out.usage_ocsp = true;
    }
    return true;
}

// RFC 5280 4.2.1.10. Constraints on dNSNames are kept, those on what nobody looks at here
// (addresses, mailboxes) don't matter; any other kind is one that is not understood.
bool parse_subtrees(Bytes list, std::vector<Bytes>& into, Certificate& out) {
    for (Der trees(list); !trees.at_end();) {
        Bytes tree, content, whole;
        unsigned char tag = 0;
        if (!trees.take(der::kSequence, tree)) return false;
        Der parts(tree);
        if (!parts.next(tag, content, whole) || into.size() >= kCertificateNamesMax) return false;
        if (tag == 0x82) {
            into.push_back(content);
        } else if (tag != 0x81 && tag != 0x87) {
            out.unknown_critical = true;
        }
        if (!parts.at_end()) out.unknown_critical = true;  // minimum, maximum: not in this profile
    }
    return true;
}

bool parse_name_constraints(Bytes value, Certificate& out) {
    Bytes content, list;
    bool there = false;
    if (!take_only(value, der::kSequence, content)) return false;
    Der parts(content);
    if (!parts.take_optional(0xa0, list, there)) return false;
    if (there && !parse_subtrees(list, out.permitted, out)) return false;
    if (!parts.take_optional(0xa1, list, there)) return false;
    if (there && !parse_subtrees(list, out.excluded, out)) return false;
    return parts.at_end();
}

// RFC 5280 4.2.1.13: the URIs of the lists that name this certificate if it is revoked.
bool parse_list_points(Bytes value, Certificate& out) {
    Bytes list;
    if (!take_only(value, der::kSequence, list)) return false;
    for (Der points(list); !points.at_end();) {
        Bytes point, name, full;
        bool there = false;
        if (!points.take(der::kSequence, point)) return false;
        Der parts(point);
        if (!parts.take_optional(0xa0, name, there)) return false;
        if (!there || !take_only(name, 0xa0, full)) continue;
        for (Der names(full); !names.at_end();) {
            unsigned char tag = 0;
            Bytes content, whole;
            if (!names.next(tag, content, whole)) return false;
            if (tag == 0x86 && out.list_uris.size() < kCertificateNamesMax)
                out.list_uris.push_back(content);
        }
    }
    return true;
}

bool parse_extensions(Bytes wrapped, Certificate& out) {
    Bytes list;
    Extension extension;
    if (!take_only(wrapped, der::kSequence, list)) return false;
    for (Der extensions(list); !extensions.at_end();) {
        if (!take_extension(extensions, extension)) return false;
        const Bytes object = extension.object;
        bool good = true;
        if (object == kAltNames) {
            good = parse_alt_names(extension.value, out);
        } else if (object == kBasicConstraints) {
            good = parse_basic_constraints(extension.value, out);
        } else if (object == kKeyUsage) {
            good = parse_key_usage(extension.value, out);
        } else if (object == kExtendedKeyUsage) {
            good = parse_extended_key_usage(extension.value, out);
        } else if (object == kNameConstraints) {
            good = parse_name_constraints(extension.value, out);
        } else if (object == kListPoints) {
            good = parse_list_points(extension.value, out);
        } else if (object == kOcspNoCheck) {
            out.ocsp_no_check = true;
        } else if (extension.critical && object != kPolicies) {
            out.unknown_critical = true;
        }
        if (!good) return false;
    }
    return true;
}

bool parse_signed_part(Bytes content, Bytes outer_algorithm, Certificate& out) {
    Der parts(content);
    Bytes ignored, algorithm, validity, whole_key;
    out.version_1 = !parts.next_is(0xa0);
    if (!out.version_1 && !parts.take(0xa0, ignored)) return false;
    if (!parts.take(der::kInteger, out.serial) || out.serial.empty()) return false;
    Bytes algorithm_content;
    if (!parts.take(der::kSequence, algorithm_content, &algorithm)) return false;
    if (algorithm != outer_algorithm) return false;  // RFC 5280 4.1.1.2
    if (!parts.take(der::kSequence, ignored, &out.issuer)) return false;
    if (!parts.take(der::kSequence, validity)) return false;
    Der times(validity);
    if (!take_time(times, out.not_before) || !take_time(times, out.not_after)) return false;
    if (!times.at_end()) return false;
    if (!parts.take(der::kSequence, ignored, &out.subject)) return false;
    if (!parts.take(der::kSequence, ignored, &whole_key)) return false;
    if (!parse_public_key(whole_key, out.key)) return false;
    if (parts.next_is(0x81) && !parts.take(0x81, ignored)) return false;  // unique ids
    if (parts.next_is(0x82) && !parts.take(0x82, ignored)) return false;
    if (parts.next_is(0xa3)) {
        Bytes extensions;
        if (!parts.take(0xa3, extensions) || !parse_extensions(extensions, out)) return false;
    }
    return parts.at_end();
}

// What certificates and requests have in common: something, how it is signed, and the signature.
bool parse_signed(Bytes der, Bytes& signed_content, Bytes& algorithm, Certificate& out) {
    Bytes content, signature, algorithm_content;
    Der outer(der);
    if (!outer.take(der::kSequence, content) || !outer.at_end()) return false;
    Der parts(content);
    if (!parts.take(der::kSequence, signed_content, &out.signed_part)) return false;
    if (!parts.take(der::kSequence, algorithm_content, &algorithm)) return false;
    if (!parts.take(der::kBitString, signature) || !parts.at_end()) return false;
    if (signature.empty() || signature[0] != 0) return false;
    out.der = der;
    out.signature = signature.substr(1);
    return parse_signature_algorithm(algorithm_content, out.algorithm);
}

// RFC 2986 4.1.
bool parse_requested(Bytes content, Certificate& out) {
    Der parts(content);
    Bytes ignored, whole_key, attributes;
    bool there = false;
    if (!parts.take(der::kInteger, ignored) || ignored != Bytes("\0", 1)) return false;
    if (!parts.take(der::kSequence, ignored, &out.subject)) return false;
    if (!parts.take(der::kSequence, ignored, &whole_key)) return false;
    if (!parse_public_key(whole_key, out.key)) return false;
    if (!parts.take_optional(0xa0, attributes, there) || !parts.at_end()) return false;
    for (Der list(attributes); !list.at_end();) {
        Bytes attribute, object, values;
        if (!list.take(der::kSequence, attribute)) return false;
        Der one(attribute);
        if (!one.take(der::kObject, object) || !one.take(der::kSet, values) || !one.at_end())
            return false;
        if (object == kExtensionRequest && !parse_extensions(values, out)) return false;
    }
    return true;
}

std::vector<std::string> copies(const std::vector<Bytes>& views) {
    return {views.begin(), views.end()};
}

}  // namespace

Result<Certificate> parse_certificate(Bytes der) {
    const auto malformed = failure(Errc::kMalformed, "certificate");
    Certificate out;
    Bytes signed_content, algorithm;
    if (der.size() > kCertificateBytesMax) return failure(Errc::kLimit, "certificate");
    if (!parse_signed(der, signed_content, algorithm, out)) return malformed;
    if (!parse_signed_part(signed_content, algorithm, out)) return malformed;
    return out;
}

Result<Certificate> parse_request(Bytes der) {
    Certificate out;
    Bytes content, algorithm;
    if (der.size() > kCertificateBytesMax) return failure(Errc::kLimit, "request");
    if (!parse_signed(der, content, algorithm, out) || !parse_requested(content, out))
        return failure(Errc::kMalformed, "request");
    if (!is_signed(out.signed_part, out.signature, out.algorithm, out.key))
        return failure(Errc::kCertificate, "the request is not signed by its key");
    return out;
}

PeerIdentity identify_peer(const Shown& shown, const PeerTerms& terms, WallTime now) {
    PeerIdentity peer;
    if (shown.chain.empty()) return peer;
    peer.presented = true;
    const auto fingerprint = to_hex(sha256({shown.chain[0]}));
    peer.fingerprint_sha256.assign(fingerprint.data(), fingerprint.size());
    if (const auto parsed = parse_certificate(shown.chain[0])) {
        peer.dns_names = copies(parsed->dns_names);
        peer.srv_names = copies(parsed->srv_names);
        peer.xmpp_addrs = copies(parsed->xmpp_addrs);
        peer.uris = copies(parsed->uris);
        peer.subject = readable_name(parsed->subject);
        peer.not_after = parsed->not_after;
    }
    peer.fault = fault_of_chain(shown, terms, now);
    peer.chain_valid = peer.fault.empty();
    return peer;
}

}  // namespace fedgate::net
