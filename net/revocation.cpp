#include "net/revocation.hpp"

#include <algorithm>

#include "net/der.hpp"

namespace fedgate::net {
namespace {

constexpr Bytes kListNumber("\x55\x1d\x14", 3);
constexpr Bytes kReasonCode("\x55\x1d\x15", 3);
constexpr Bytes kDeltaList("\x55\x1d\x1b", 3);
constexpr Bytes kIssuingPoint("\x55\x1d\x1c", 3);
constexpr unsigned kRemoveFromList = 8;

bool is_true(Bytes flag) { return flag.size() == 1 && flag[0] != 0; }

}  // namespace

const char* name_of_reason(unsigned reason) {
    switch (reason) {
        case 1: return "key compromise";
        case 2: return "compromise of the authority";
        case 3: return "affiliation changed";
        case 4: return "superseded";
        case 5: return "cessation of operation";
        case 6: return "certificate hold";
        case 9: return "privilege withdrawn";
        case 10: return "compromise of the attribute authority";
        default: return "";
    }
}

bool RevocationLists::add(std::string file, std::string& fault) {
    if (file.size() > kRevocationListBytesMax) {
        fault = "is above 32 MiB";
        return false;
    }
    std::vector<std::string> ders;
    if (!file.contains("-----BEGIN ")) {
        ders.push_back(std::move(file));
    } else if (auto blocks = parse_pem(file, "X509 CRL")) {
        ders = std::move(*blocks);
    } else {
        fault = "holds no revocation list";
        return false;
    }
    if (lists_.size() + ders.size() > kRevocationListsMax) {
        fault = "brings more than 256 revocation lists together";
        return false;
    }
    std::vector<std::unique_ptr<std::string>> files;
    std::vector<List> lists;
    for (std::string& der : ders) {
        files.push_back(std::make_unique<std::string>(std::move(der)));
        fault = "is not a well-formed revocation list";
        if (!parse(*files.back(), lists.emplace_back(), fault)) return false;
    }
    fault.clear();
    std::ranges::move(files, std::back_inserter(files_));
    std::ranges::move(lists, std::back_inserter(lists_));
    return true;
}

// RFC 5280 5.1. False with `fault` changed: well-formed, and not of a kind that is of use here.
bool RevocationLists::parse(Bytes der, List& out, std::string& fault) {
    Bytes content, body, outer_algorithm, inner_algorithm, ignored, entries, wrapped, list;
    if (!take_only(der, der::kSequence, content)) return false;
    Der parts(content);
    if (!parts.take(der::kSequence, body, &out.signed_part)) return false;
    if (!parts.take(der::kSequence, ignored, &outer_algorithm)) return false;
    if (!parse_signature_algorithm(ignored, out.algorithm)) return false;
    if (!parts.take(der::kBitString, out.signature) || !parts.at_end()) return false;
    if (out.signature.empty() || out.signature[0] != 0) return false;
    out.signature.remove_prefix(1);

    Der fields(body);
    bool there = false;
    if (!fields.take_optional(der::kInteger, ignored, there)) return false;  // version
    if (!fields.take(der::kSequence, ignored, &inner_algorithm)) return false;
    if (inner_algorithm != outer_algorithm) return false;
    if (!fields.take(der::kSequence, ignored, &out.issuer)) return false;
    if (!take_time(fields, out.this_update)) return false;
    if (!fields.next_is(der::kUtcTime) && !fields.next_is(der::kGeneralizedTime)) {
        fault = "does not say when its next update comes (RFC 5280 5.1.2.5)";
        return false;
    }
    if (!take_time(fields, out.next_update)) return false;
    if (!fields.take_optional(der::kSequence, entries, there)) return false;
    if (there && !parse_entries(entries, out)) return false;
    if (!fields.take_optional(0xa0, wrapped, there) || !fields.at_end()) return false;
    if (there) {
        if (!take_only(wrapped, der::kSequence, list)) return false;
        Extension extension;
        for (Der extensions(list); !extensions.at_end();) {
            if (!take_extension(extensions, extension)) return false;
            if (extension.object == kDeltaList) {
                fault = "is a delta list; the complete one is needed";
                return false;
            }
            if (extension.object == kIssuingPoint) {
                if (!parse_point(extension.value, out, fault)) return false;
            } else if (extension.critical && extension.object != kListNumber) {
                fault = "has a critical extension that is not understood";
                return false;
            }
        }
    }
    if (out.algorithm.scheme == SignatureScheme::kWeakOrUnknown) {
        fault = "has a signature weaker than SHA-256, or an unknown one";
        return false;
    }
    out.digest = digest_of(out.algorithm.hash, out.signed_part);
    return true;
}

bool RevocationLists::parse_entries(Bytes list, List& out) {
    for (Der entries(list); !entries.at_end();) {
        Bytes content, extensions, code;
        bool there = false;
        if (!entries.take(der::kSequence, content)) return false;
        Der parts(content);
        Entry& entry = out.entries.emplace_back();
        if (!parts.take(der::kInteger, entry.serial) || !take_time(parts, entry.at)) return false;
        if (!parts.take_optional(der::kSequence, extensions, there) || !parts.at_end())
            return false;
        Extension extension;
        for (Der each(extensions); !each.at_end();) {
            if (!take_extension(each, extension)) return false;
            if (extension.object == kReasonCode) {
                if (!take_only(extension.value, der::kEnumerated, code) || code.size() != 1)
                    return false;
                entry.reason = static_cast<unsigned char>(code[0]);
            }
        }
        if (entry.reason == kRemoveFromList) out.entries.pop_back();
    }
    std::ranges::sort(out.entries, {}, &Entry::serial);
    return true;
}

// RFC 5280 5.2.5.
bool RevocationLists::parse_point(Bytes value, List& out, std::string& fault) {
    Bytes content, name, full, flag;
    bool there = false;
    if (!take_only(value, der::kSequence, content)) return false;
    Der parts(content);
    if (!parts.take_optional(0xa0, name, there)) return false;
    if (there && take_only(name, 0xa0, full)) {
        for (Der names(full); !names.at_end();) {
            unsigned char tag = 0;
            Bytes uri, whole;
            if (!names.next(tag, uri, whole)) return false;
            out.uris.push_back(uri);
        }
    } else if (there) {
        out.uris.emplace_back();  // a name relative to the issuer's: of no certificate that we know
    }
    if (!parts.take_optional(0x81, flag, there)) return false;  // onlyContainsUserCerts
    if (there && is_true(flag)) out.authorities = false;
    if (!parts.take_optional(0x82, flag, there)) return false;  // onlyContainsCACerts
    if (there && is_true(flag)) out.users = false;
    if (!parts.take_optional(0x83, flag, there)) return false;  // onlySomeReasons
    if (there) out.all_reasons = false;
    if (!parts.take_optional(0x84, flag, there)) return false;  // indirectCRL
    if (there && is_true(flag)) {
        fault = "is an indirect list; one of the certificates' own issuer is needed";
        return false;
    }
    if (!parts.take_optional(0x85, flag, there)) return false;  // onlyContainsAttributeCerts
    if (there && is_true(flag)) out.users = out.authorities = false;
    return parts.at_end();
}

// May one conclude from a certificate's absence that it is good?
bool RevocationLists::speaks_of(const List& list, const Certificate& certificate) {
    if (!list.all_reasons || !(certificate.is_ca ? list.authorities : list.users)) return false;
    return list.uris.empty() || std::ranges::any_of(list.uris, [&](Bytes uri) {
               return std::ranges::find(certificate.list_uris, uri) != certificate.list_uris.end();
           });
}

RevocationStatus RevocationLists::look_up(const Certificate& certificate, const Certificate& issuer,
                                          WallTime now) const {
    RevocationStatus status;
    if (!issuer.may_sign_lists) return status;
    for (const List& list : lists_) {
        if (list.issuer != issuer.subject || now < list.this_update) continue;
        const bool good =
            list.algorithm.hash == HashKind::kNone
                ? is_signed(list.signed_part, list.signature, list.algorithm, issuer.key)
                : is_digest_signed(list.digest, list.signature, list.algorithm, issuer.key);
        if (!good) continue;
        const auto found =
            std::ranges::lower_bound(list.entries, certificate.serial, {}, &Entry::serial);
        if (found != list.entries.end() && found->serial == certificate.serial) {
            return {RevocationStatus::State::kRevoked, found->at, found->reason};
        }
        if (now <= list.next_update && speaks_of(list, certificate)) {
            status.state = RevocationStatus::State::kGood;
        }
    }
    return status;
}

WallTime RevocationLists::next_update(std::string& issuer) const {
    if (lists_.empty()) return WallTime::max();
    const List& first = *std::ranges::min_element(lists_, {}, &List::next_update);
    issuer = readable_name(first.issuer);
    return first.next_update;
}

}  // namespace fedgate::net
