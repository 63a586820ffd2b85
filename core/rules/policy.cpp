#include "core/rules/policy.hpp"

namespace fedgate::rules {

std::string_view explain(Reason reason) {
    switch (reason) {
        case Reason::kAllowed: return "allowed";
        case Reason::kFederationOff:
            return "federation is off for the whole organisation (federation.allow = no)";
        case Reason::kNotOurDomain:
            return "the SIP user's domain is not one of ours (no domain/<sip domain>/... key)";
        case Reason::kOurDomain:
            return "the XMPP side's domain is one of ours (domain/<sip domain>/...)";
        case Reason::kPartnerDenied: return "the domain is denied (federation.deny)";
        case Reason::kPartnerUnknown:
            return "the domain is not a listed partner (partner/<domain>/...) and "
                   "federation.discovery = no";
        case Reason::kPartnerDisabled:
            return "the partner is blocked (partner/<domain>/enabled = no)";
        case Reason::kFederationAccess: return "the user's policy has federation_access = no";
        case Reason::kXmppAccess: return "the user's policy has xmpp_access = no";
        case Reason::kNotItsPartner: return "the user's policy is for other partners (partners)";
        case Reason::kKindRefused:
            return "what is of this kind doesn't pass with the partner (partner/<domain>/stanzas)";
        case Reason::kApprovalNeeded:
            return "the partner's type is public_unverified: our user has to approve the contact "
                   "first";
    }
    return "";
}

}  // namespace fedgate::rules
