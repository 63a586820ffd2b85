#include "xml/sasl.hpp"

#include "core/base/hash.hpp"
#include "core/base/limits.hpp"
#include "xml/jid.hpp"

namespace fedgate::xml {

namespace {
constexpr Bytes kNamespace = "urn:ietf:params:xml:ns:xmpp-sasl";

Bytes condition_of(SaslOutcome outcome) {
    switch (outcome) {
        case SaslOutcome::kInvalidAuthzid: return "invalid-authzid";
        case SaslOutcome::kInvalidMechanism: return "invalid-mechanism";
        case SaslOutcome::kIncorrectEncoding: return "incorrect-encoding";
        default: return "not-authorized";
    }
}

bool equal_ignoring_case(Bytes a, Bytes b) {
    const auto lower = [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    };
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (lower(a[i]) != lower(b[i])) return false;
    }
    return true;
}

}  // namespace

void write_sasl_auth(Sink& out, Bytes our_domain) {
    out.append("<auth xmlns='");
    out.append(kNamespace);
    out.append("' mechanism='EXTERNAL'>");
    DomainBuffer memory;
    write_base64(out, wire_domain(our_domain, memory));
    out.append("</auth>");
}

void write_sasl_success(Sink& out) {
    out.append("<success xmlns='");
    out.append(kNamespace);
    out.append("'/>");
}

void write_sasl_failure(Sink& out, SaslOutcome outcome) {
    out.append("<failure xmlns='");
    out.append(kNamespace);
    out.append("'><");
    out.append(condition_of(outcome));
    out.append("/></failure>");
}

SaslOutcome judge_sasl_auth(Bytes mechanism, Bytes text, Bytes their_domain, bool proved) {
    if (mechanism != "EXTERNAL") return SaslOutcome::kInvalidMechanism;
    // S2S-45: EXTERNAL tried without a certificate that proves the domain.
    if (!proved || their_domain.empty()) return SaslOutcome::kNotAuthorized;
    if (text.empty() || text == "=") return SaslOutcome::kSuccess;
    char authzid[limits::kJidPartBytes];
    const auto size = decode_base64(text, authzid);
    if (!size) return SaslOutcome::kIncorrectEncoding;
    // S2S-14: nobody acts for another domain. The header's `from` may have been written in any
    // case.
    DomainBuffer memory;
    Sink domain(memory);
    const bool same = domain_to_ascii(Bytes(authzid, *size), domain) &&
                      equal_ignoring_case(domain.written(), their_domain);
    return same ? SaslOutcome::kSuccess : SaslOutcome::kInvalidAuthzid;
}

}  // namespace fedgate::xml
