#include "appliance/admin/cmdlet_table.hpp"

#include <algorithm>
#include <vector>

#include "appliance/admin/answers.hpp"
#include "core/config/text.hpp"

namespace fedgate::admin {
namespace {

using config::lower_ascii;
using P = CmdletParameter;
using T = CmdletParameter::Takes;

constexpr P kCommon[] = {
    {"WhatIf", T::kSwitch, "", ""},
    {"Confirm", T::kSwitch, "", ""},
    {"Force", T::kSwitch, "", ""},
    {"Verbose", T::kSwitch, "", ""},
    {"Debug", T::kSwitch, "", ""},
    {"ErrorAction", T::kIgnored, "", ""},
    {"WarningAction", T::kIgnored, "", ""},
    {"InMemory", T::kNothing,
     "objects in memory are not kept here: say it without -InMemory, and "
     "with -WhatIf to see it only",
     ""},
    {"Instance", T::kNothing,
     "objects in memory are not kept here: name what changes by "
     "-Identity",
     ""},
    {"Tenant", T::kNothing, "there is one organisation here", ""},
};

constexpr std::string_view kNeed = "Required=required Optional=optional NotSupported=none";
constexpr std::string_view kTypes =
    "Federated=federated PublicVerified=public_verified PublicUnverified=public_unverified";

// In the order in which the reference prints them; so, too, below.
constexpr P kPolicy[] = {
    {"Identity", T::kText, "", ""},
    {"Description", T::kText, "description", ""},
    {"EnableFederationAccess", T::kBool, "federation_access", ""},
    {"EnableXmppAccess", T::kBool, "xmpp_access", ""},
    {"EnablePublicCloudAccess", T::kBool, "public_cloud_access", ""},
    {"EnablePublicCloudAudioVideoAccess", T::kBool, "public_cloud_av_access", ""},
    {"EnableOutsideAccess", T::kBool, "outside_access", ""},
};
constexpr P kNamed[] = {
    {"Identity", T::kText, "", ""},
    {"Filter", T::kText, "", ""},
    {"LocalStore", T::kSwitch, "", ""},
};
constexpr P kIdentity[] = {{"Identity", T::kText, "", ""}};
constexpr P kGrant[] = {
    {"Identity", T::kText, "", ""},
    {"PolicyName", T::kText, "", ""},
    {"PassThru", T::kSwitch, "", ""},
    {"DomainController", T::kIgnored, "", ""},
};
constexpr P kUser[] = {
    {"Identity", T::kText, "", ""},
    {"Filter", T::kText, "", ""},
    {"ResultSize", T::kIgnored, "", ""},
    {"DomainController", T::kIgnored, "", ""},
    {"OnLyncServer", T::kSwitch, "", ""},
    {"OU", T::kNothing,
     "there is no directory here: -Filter {SipAddress -like \"*@corp.example\"} "
     "chooses",
     ""},
    {"LdapFilter", T::kNothing,
     "there is no directory here: -Filter {SipAddress -like "
     "\"*@corp.example\"} chooses",
     ""},
};
constexpr P kPartner[] = {
    {"Identity", T::kText, "", ""},
    {"Domain", T::kText, "", ""},
    {"AdditionalDomains", T::kList, "additional_domains", ""},
    {"Description", T::kText, "description", ""},
    {"PartnerType", T::kChoice, "type", kTypes},
    {"TlsNegotiation", T::kChoice, "tls", kNeed},
    {"SaslNegotiation", T::kChoice, "sasl", kNeed},
    {"SupportDialbackNegotiation", T::kBool, "dialback", ""},
    {"EnableKeepAlive", T::kBool, "keepalive", ""},
    {"ConnectionLimit", T::kText, "connection_limit", ""},
    {"ProxyFqdn", T::kText, "proxy", ""},
    {"KeepAliveInterval", T::kNothing,
     "it is one for all partners: "
     "Set-CsXmppGatewayConfiguration -KeepAliveInterval SECONDS",
     ""},
};
constexpr P kGateway[] = {
    {"Identity", T::kText, "", ""},
    {"ConnectionLimit", T::kText, "xmpp.limits.connections", ""},
    {"PartnerConnectionLimit", T::kText, "xmpp.limits.connections_per_partner", ""},
    {"KeepAliveInterval", T::kSeconds, "xmpp.keepalive.interval", ""},
    {"StreamEstablishmentTimeout", T::kSeconds, "xmpp.timeouts.establish", ""},
    {"StreamInactivityTimeout", T::kSeconds, "xmpp.timeouts.inactivity", ""},
    {"SubscriptionRefreshInterval", T::kText, "presence.expires", ""},
    {"DialbackPassphrase", T::kText, "xmpp.dialback.secret", ""},
    {"EnableLoggingAllMessageBodies", T::kBool, "log.bodies", ""},
};
constexpr std::string_view kNotOurs =
    "the gateway has nothing of that kind; it concerns SIP "
    "federation, which is the pool's";
constexpr P kAccessEdge[] = {
    {"Identity", T::kText, "", ""},
    {"AllowFederatedUsers", T::kBool, "federation.allow", ""},
    {"EnablePartnerDiscovery", T::kBool, "federation.discovery", ""},
    {"EnableArchivingDisclaimer", T::kBool, "federation.archiving_notice", ""},
    {"AllowOutsideUsers", T::kNothing, kNotOurs, ""},
    {"AllowAnonymousUsers", T::kNothing, kNotOurs, ""},
    {"KeepCrlsUpToDateForPeers", T::kNothing,
     "fedctl sysctl -d tls.external.crl "
     "tls.external.revocation",
     ""},
    {"MarkSourceVerifiableOnOutgoingMessages", T::kNothing, kNotOurs, ""},
    {"OutgoingTlsCountForFederatedPartners", T::kNothing, kNotOurs, ""},
    {"UseDnsSrvRouting", T::kSwitch, "", ""},
    {"UseDefaultRouting", T::kNothing, kNotOurs, ""},
    {"DefaultRouteFqdn", T::kNothing, kNotOurs, ""},
    {"VerificationLevel", T::kNothing, kNotOurs, ""},
};
constexpr P kSite[] = {
    {"Identity", T::kText, "", ""},
    {"XmppFederationRoute", T::kText, "route", ""},
    // As the reference's pages on disasters call it.
    {"XmppExternalFederationRoute", T::kText, "route", ""},
    {"ExternalFederationRoute", T::kNothing, kNotOurs, ""},
};
constexpr P kServices[] = {
    {"Name", T::kText, "", ""},
    {"ComputerName", T::kNothing, "it is said at that machine, by its own fedctl", ""},
    {"Graceful", T::kSwitch, "", ""},
    {"NoWait", T::kSwitch, "", ""},
    {"Report", T::kIgnored, "", ""},
    {"ExcludeActivityLevel", T::kSwitch, "", ""},
};
constexpr P kTestIm[] = {
    {"TargetFqdn", T::kText, "", ""},           {"Receiver", T::kText, "", ""},
    {"UserSipAddress", T::kText, "", ""},       {"UserCredential", T::kIgnored, "", ""},
    {"RegistrarPort", T::kIgnored, "", ""},     {"Authentication", T::kIgnored, "", ""},
    {"OutLoggerVariable", T::kIgnored, "", ""}, {"OutVerboseVariable", T::kIgnored, "", ""},
};
constexpr P kWatcherNode[] = {
    {"Identity", T::kText, "", ""},
    {"TargetFqdn", T::kText, "", ""},
    {"Tests", T::kList, "", ""},
    {"TestUsers", T::kList, "", ""},
    {"XmppTestReceiverMailAddress", T::kText, "test.im.to", ""},
    {"Enabled", T::kBool, "", ""},
    {"PortNumber", T::kIgnored, "", ""},
};
constexpr P kTopology[] = {{"Report", T::kIgnored, "", ""}, {"FileName", T::kIgnored, "", ""}};

// What is an option of `fedctl cert` is called so.
constexpr std::string_view kNoReport = "no report is written; fedctl --json cs is for programs";
constexpr std::string_view kEachItsOwn = "each machine has certificates of its own here";
constexpr P kRequestCertificate[] = {
    {"New", T::kSwitch, "", ""},
    {"List", T::kSwitch, "", ""},
    {"Clear", T::kSwitch, "", ""},
    {"Retrieve", T::kSwitch, "", ""},
    {"RequestId", T::kText, "", ""},
    {"Type", T::kList, "", ""},
    {"Output", T::kText, "--file", ""},
    {"FriendlyName", T::kText, "--friendly-name", ""},
    {"KeyAlg", T::kChoice, "--key", "RSA=rsa ECDH_P256=ecdsa:p256 ECDH_P384=ecdsa:p384"},
    {"KeySize", T::kText, "", ""},
    {"PrivateKeyExportable", T::kBool, "--exportable", ""},
    {"DomainName", T::kList, "--extra", ""},
    {"AllSipDomain", T::kSwitch, "", ""},  // they are in it anyway
    {"ComputerFqdn", T::kText, "--extra", ""},
    {"Organization", T::kText, "--organisation", ""},
    {"OU", T::kText, "--unit", ""},
    {"City", T::kText, "--city", ""},
    {"State", T::kText, "--state", ""},
    {"Country", T::kText, "--country", ""},
    {"ClientEKU", T::kBool, "", ""},
    {"CA", T::kText, "", ""},
    {"CaAccount", T::kIgnored, "no authority is asked over the network", ""},
    {"CaPassword", T::kIgnored, "no authority is asked over the network", ""},
    {"Template", T::kIgnored, "the authority chooses it: name it where you send the request", ""},
    {"GlobalCatalog", T::kIgnored, "", ""},
    {"GlobalSettingsDomainController", T::kIgnored, "", ""},
    {"Report", T::kIgnored, kNoReport, ""},
};
constexpr P kImportCertificate[] = {
    {"Path", T::kText, "", ""},
    {"Password", T::kText, "password", ""},
    {"PrivateKeyExportable", T::kBool, "--exportable", ""},
    {"Type", T::kList, "", ""},
    {"EffectiveDate", T::kText, "", ""},
    {"EffectiveTime", T::kText, "", ""},
    {"Roll", T::kSwitch, "", ""},
    {"Identity", T::kIgnored, kEachItsOwn, ""},
    {"Report", T::kIgnored, kNoReport, ""},
};
constexpr P kSetCertificate[] = {
    {"Type", T::kList, "", ""},
    {"Thumbprint", T::kText, "", ""},
    {"Path", T::kText, "", ""},
    {"Password", T::kText, "password", ""},
    {"Reference", T::kNothing, "Get-CsCertificate before a '|' says which one", ""},
    {"EffectiveDate", T::kText, "", ""},
    {"EffectiveTime", T::kText, "", ""},
    {"Roll", T::kSwitch, "", ""},
    {"NetportId", T::kIgnored, "", ""},
    {"Identity", T::kIgnored, kEachItsOwn, ""},
    {"Report", T::kIgnored, kNoReport, ""},
};
constexpr P kGetCertificate[] = {
    {"Identity", T::kIgnored, kEachItsOwn, ""},
    {"Type", T::kList, "", ""},
    {"NetportId", T::kIgnored, "", ""},
    {"Report", T::kIgnored, kNoReport, ""},
};
constexpr P kTestCertificate[] = {{"Report", T::kIgnored, kNoReport, ""}};
constexpr std::string_view kRemoveCertificate =
    "one in use is replaced, not taken away: Set-CsCertificate -Type TYPE -Thumbprint ANOTHER; "
    "what "
    "is scheduled is taken back by fedctl cert assign --cancel --for external, and one out of use "
    "by "
    "fedctl cert remove NAME";
constexpr std::string_view kPublished =
    "there is nothing left to publish: each change is in force at every node when it is made "
    "(fedctl config log)";
constexpr std::string_view kSettingsName =
    "its name was that before the product came out; "
    "Get-/Set-CsXmppGatewayConfiguration";

constexpr CmdletRow kCmdlets[] = {
    {"New-CsExternalAccessPolicy", Cmdlet::kPolicyNew, kPolicy, ""},
    {"Set-CsExternalAccessPolicy", Cmdlet::kPolicySet, kPolicy, ""},
    {"Get-CsExternalAccessPolicy", Cmdlet::kPolicyGet, kNamed, ""},
    {"Remove-CsExternalAccessPolicy", Cmdlet::kPolicyRemove, kIdentity, ""},
    {"Grant-CsExternalAccessPolicy", Cmdlet::kPolicyGrant, kGrant, "", {"Identity", "PolicyName"}},
    {"Get-CsUser", Cmdlet::kUserGet, kUser, ""},
    {"New-CsXmppAllowedPartner", Cmdlet::kPartnerNew, kPartner, ""},
    {"Set-CsXmppAllowedPartner", Cmdlet::kPartnerSet, kPartner, ""},
    {"Get-CsXmppAllowedPartner", Cmdlet::kPartnerGet, kNamed, ""},
    {"Remove-CsXmppAllowedPartner", Cmdlet::kPartnerRemove, kIdentity, ""},
    {"Get-CsXmppGatewayConfiguration", Cmdlet::kSettingsGet, kGateway, ""},
    {"Set-CsXmppGatewayConfiguration", Cmdlet::kSettingsSet, kGateway, ""},
    {"Get-CsXmppGatewaySettings", Cmdlet::kSettingsGet, kGateway, kSettingsName},
    {"Set-CsXmppGatewaySettings", Cmdlet::kSettingsSet, kGateway, kSettingsName},
    {"Get-CsAccessEdgeConfiguration", Cmdlet::kSettingsGet, kAccessEdge, ""},
    {"Set-CsAccessEdgeConfiguration", Cmdlet::kSettingsSet, kAccessEdge, ""},
    {"Get-CsSite", Cmdlet::kSiteGet, kNamed, ""},
    {"Set-CsSite", Cmdlet::kSiteSet, kSite, ""},
    {"Enable-CsTopology", Cmdlet::kPublish, kTopology, kPublished, {"", ""}},
    {"Publish-CsTopology", Cmdlet::kPublish, kTopology, kPublished, {"", ""}},
    {"Stop-CsWindowsService", Cmdlet::kServicesStop, kServices, "", {"Name", ""}},
    {"Start-CsWindowsService", Cmdlet::kServicesStart, kServices, "", {"Name", ""}},
    {"Get-CsWindowsService", Cmdlet::kServicesGet, kServices, "", {"Name", ""}},
    {"netstat", Cmdlet::kNetstat, {}, ""},
    {"netstat.exe", Cmdlet::kNetstat, {}, ""},
    {"findstr", Cmdlet::kFindstr, {}, ""},
    {"findstr.exe", Cmdlet::kFindstr, {}, ""},
    {"Select-String", Cmdlet::kFindstr, {}, ""},
    {"Where-Object", Cmdlet::kWhere, {}, ""},
    {"where", Cmdlet::kWhere, {}, ""},
    {"?", Cmdlet::kWhere, {}, ""},
    {"Select-Object", Cmdlet::kSelect, {}, ""},
    {"select", Cmdlet::kSelect, {}, ""},
    {"Format-List", Cmdlet::kSelect, {}, ""},
    {"fl", Cmdlet::kSelect, {}, ""},
    {"Format-Table", Cmdlet::kSelect, {}, ""},
    {"ft", Cmdlet::kSelect, {}, ""},
    {"Request-CsCertificate", Cmdlet::kCertificateRequest, kRequestCertificate, "", {"", ""}},
    {"Import-CsCertificate", Cmdlet::kCertificateImport, kImportCertificate, "", {"", ""}},
    {"Set-CsCertificate", Cmdlet::kCertificateSet, kSetCertificate, "", {"", ""}},
    {"Get-CsCertificate", Cmdlet::kCertificateGet, kGetCertificate, ""},
    {"Remove-CsCertificate", Cmdlet::kNotHere, {}, kRemoveCertificate},
    {"Test-CsCertificateConfiguration", Cmdlet::kCertificateTest, kTestCertificate, "", {"", ""}},
    {"Test-CsXmppIM", Cmdlet::kTestIm, kTestIm, "", {"TargetFqdn", "Receiver"}},
    {"Set-CsWatcherNodeConfiguration", Cmdlet::kWatcherSet, kWatcherNode, ""},
    {"Test-CsFederatedPartner",
     Cmdlet::kNotHere,
     {},
     "it tests SIP partners; of an XMPP partner: fedctl partner show DOMAIN"},
    {"New-CsAllowedDomain",
     Cmdlet::kNotHere,
     {},
     "that lists SIP partners; an XMPP partner: New-CsXmppAllowedPartner DOMAIN"},
    {"Get-CsTopology", Cmdlet::kNotHere, {}, "fedctl pool list, fedctl site list"},
    {"Set-CsRegistrar",
     Cmdlet::kNotHere,
     {},
     "the SIP side is sip.listen and domain/DOMAIN/next_hop"},
    {"Set-CsEdgeServer",
     Cmdlet::kNotHere,
     {},
     "the ports are keys: fedctl sysctl -d xmpp.listen link.listen (5269 and 23456; the 5098 that "
     "the reference gives for XmppInternalPort is the SIP port of its gateway)"},
};

template <typename Visit>
void each_choice(const CmdletParameter& parameter, Visit&& visit) {
    std::string_view rest = parameter.choices;
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find(' '), rest.size());
        const std::string_view one = rest.substr(0, end);
        visit(one.substr(0, one.find('=')), one.substr(one.find('=') + 1));
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
}

}  // namespace

const CmdletRow* find_cmdlet(std::string_view name) {
    const std::string lower = lower_ascii(name);
    const auto found = std::ranges::find_if(
        kCmdlets, [&lower](const CmdletRow& row) { return lower_ascii(row.name) == lower; });
    return found == std::end(kCmdlets) ? nullptr : &*found;
}

std::string nearest_cmdlet(std::string_view name) {
    std::vector<std::string> names;
    const std::string lower = lower_ascii(name);
    for (const CmdletRow& row : kCmdlets) {
        if (row.name.size() > 8) names.push_back(lower_ascii(row.name));
    }
    std::string text = did_you_mean(lower, names);
    for (const CmdletRow& row : kCmdlets) {  // as it is written
        const std::string row_lower = lower_ascii(row.name);
        if (text == "; did you mean " + row_lower + "?") {
            return "; did you mean " + std::string(row.name) + "?";
        }
    }
    return text;
}

std::span<const CmdletParameter> common_parameters() { return kCommon; }

std::string choice_here(const CmdletParameter& parameter, std::string_view theirs) {
    std::string found;
    each_choice(parameter, [&](std::string_view there, std::string_view here) {
        if (lower_ascii(there) == lower_ascii(theirs)) found = here;
    });
    return found;
}

std::string choice_there(const CmdletParameter& parameter, std::string_view ours) {
    std::string found;
    each_choice(parameter, [&](std::string_view there, std::string_view here) {
        if (here == ours) found = there;
    });
    return found;
}

std::string choices_of(const CmdletParameter& parameter) {
    std::vector<std::string> names;
    each_choice(parameter,
                [&](std::string_view there, std::string_view) { names.emplace_back(there); });
    std::string text;
    for (std::size_t i = 0; i < names.size(); ++i) {
        text += (i == 0 ? "" : i + 1 == names.size() ? " or " : ", ") + names[i];
    }
    return text;
}

}  // namespace fedgate::admin
