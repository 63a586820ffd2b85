// fedctl cs: the reference's lines, over the admin socket.
#include "appliance/admin/cmdlets.hpp"

#include "appliance/admin/cmdlet_table.hpp"
#include "tests/admin/control_fixture.hpp"

namespace fedgate::admin {
namespace {

using testing::IsNotSubstring;
using testing::IsSubstring;

class CmdletsTest : public ControlTest {
protected:
    void SetUp() override {
        ControlTest::SetUp();
        start();
    }
    Outcome cs(const std::string& line) { return fedctl({"cs", line}); }
    std::string good(const std::string& line) {
        const Outcome got = cs(line);
        EXPECT_EQ(got.status, 0) << line << "\n" << got.err;
        return got.out;
    }
    // Nothing is applied; one sentence.
    std::string refused(const std::string& line) {
        const std::uint64_t before = configuration_->committed().number;
        const Outcome got = cs(line);
        EXPECT_EQ(got.status, 1) << line << "\n" << got.out;
        EXPECT_EQ(configuration_->committed().number, before) << line;
        EXPECT_EQ(std::ranges::count(got.err.substr(got.err.find("fedctl: ")), '\n'), 1) << got.err;
        return got.err;
    }
    std::string value(const std::string& key) { return fedctl({"sysctl", "-n", key}).out; }
    void import(const std::string& text) {
        EXPECT_EQ(fedctl({"user", "import", "-"}, text).status, 0);
    }
};

// Step 24 of the reference document, as it stands there.
TEST_F(CmdletsTest, TheReferencesPolicyLinesWorkAsTyped) {
    import("sip_address,name\nken@sip.example,Ken Myer\npilar@sip.example,Pilar\n");
    Outcome got =
        cs("New-CsExternalAccessPolicy -Identity FedPic -EnableFederationAcces $true "
           "-EnablePublicCloudAccess $true");
    EXPECT_EQ(got.status, 0) << got.err;
    EXPECT_EQ(got.err, "note: -EnableFederationAcces is taken as -EnableFederationAccess\n");
    EXPECT_PRED_FORMAT2(IsSubstring,
                        "\nIdentity                          : Tag:FedPic\n"
                        "Description                       :\n"
                        "EnableFederationAccess            : True\n"
                        "EnableXmppAccess                  : False\n"
                        "EnablePublicCloudAccess           : True\n"
                        "EnablePublicCloudAudioVideoAccess : False\n"
                        "EnableOutsideAccess               : False\n",
                        got.out);
    EXPECT_PRED_FORMAT2(IsSubstring, "ken@sip.example, pilar@sip.example have policy FedPic",
                        good("Get-CsUser | Grant-CsExternalAccessPolicy -PolicyName FedPic"));
    EXPECT_PRED_FORMAT2(IsSubstring, "no: the user's policy has xmpp_access = no",
                        fedctl({"explain", "ken@sip.example", "x@xmpp.example"}).out);
    got = cs("Set-CsExternalAccessPolicy -Identity FedPic EnableXmppAccess $true");
    EXPECT_EQ(got.err, "note: EnableXmppAccess without a dash is taken as -EnableXmppAccess\n");
    EXPECT_PRED_FORMAT2(IsSubstring,
                        "yes: ", fedctl({"explain", "ken@sip.example", "x@xmpp.example"}).out);
    EXPECT_EQ(cs("set-csexternalaccesspolicy FEDPIC -enablexmppaccess:$false").err, "");
    EXPECT_EQ(value("policy/FedPic/xmpp_access"), "no\n");
    // Who did what is kept as it was typed.
    EXPECT_PRED_FORMAT2(IsSubstring, "cs: Get-CsUser | Grant-CsExternalAccessPolicy",
                        fedctl({"config", "log"}).out);
    EXPECT_PRED_FORMAT2(
        IsSubstring, "stands for a name of yours",
        refused("New-CsExternalAccessPolicy -Identity <name of policy to create.  If site scope, "
                "prepend with 'site:'> -EnableFederationAcces $true"));
}

TEST_F(CmdletsTest, ScopesAreAsInTheReference) {
    EXPECT_PRED_FORMAT2(IsSubstring, "Identity                          : Global\n",
                        good("Get-CsExternalAccessPolicy"));
    good("New-CsExternalAccessPolicy Site:paris -EnableFederationAccess $true");
    EXPECT_PRED_FORMAT2(IsSubstring, ": Site:paris\n",
                        good("Get-CsExternalAccessPolicy -Filter site:* -ErrorAction Stop | fl"));
    EXPECT_PRED_FORMAT2(IsSubstring, "is not granted",
                        refused("Grant-CsExternalAccessPolicy a@sip.example site:paris"));
    good("Remove-CsExternalAccessPolicy -Identity global");
    EXPECT_EQ(value("policy/global/federation_access"), "no\n");
    EXPECT_PRED_FORMAT2(IsSubstring, ": Global\n", good("Get-CsExternalAccessPolicy Global"));
}

TEST_F(CmdletsTest, GrantsByEachWayOfTheReference) {
    import("sip_address,name\nken@sip.example,Ken Myer\npilar@sip.example,Pilar\n");
    good("New-CsExternalAccessPolicy FedPic");
    good("Grant-CsExternalAccessPolicy -Identity \"Ken Myer\" -PolicyName FedPic");
    EXPECT_EQ(value("user/ken@sip.example/policy"), "FedPic\n");
    EXPECT_PRED_FORMAT2(
        IsSubstring, "SipAddress           : sip:ken@sip.example",
        good("Grant-CsExternalAccessPolicy \"sip:ken@sip.example\" $null -PassThru"));
    EXPECT_EQ(value("user/ken@sip.example/policy"), "\n");
    good("Get-CsUser -Filter {DisplayName -like \"P*\"} | Grant-CsExternalAccessPolicy FedPic");
    EXPECT_EQ(value("user/pilar@sip.example/policy"), "FedPic\n");
    EXPECT_EQ(value("user/ken@sip.example/policy"), "\n");
    EXPECT_PRED_FORMAT2(IsSubstring, "granted to pilar@sip.example",
                        refused("Remove-CsExternalAccessPolicy FedPic"));
    good("Get-CsExternalAccessPolicy -Filter tag:* | Remove-CsExternalAccessPolicy -Force");
    EXPECT_EQ(value("user/pilar@sip.example/policy"), "\n");
    EXPECT_PRED_FORMAT2(IsSubstring, "nothing comes through the '|'",
                        refused("Get-CsExternalAccessPolicy -Filter tag:* | "
                                "Remove-CsExternalAccessPolicy"));
}

// features.md A3, A13.
TEST_F(CmdletsTest, PartnersHaveTheReferencesParametersAndDefaults) {
    EXPECT_PRED_FORMAT2(IsSubstring,
                        "Identity                   : new.example\n"
                        "Domain                     : new.example\n"
                        "AdditionalDomains          : {}\n"
                        "Description                :\n"
                        "PartnerType                : PublicUnverified\n"
                        "TlsNegotiation             : Required\n"
                        "SaslNegotiation            : Required\n"
                        "SupportDialbackNegotiation : True\n"
                        "EnableKeepAlive            : True\n"
                        "ConnectionLimit            :\n"
                        "ProxyFqdn                  :\n",
                        good("New-CsXmppAllowedPartner -Domain new.example"));
    good(
        "New-CsXmppAllowedPartner gmail.com -TlsNegotiation NotSupported -SaslNegotiation "
        "NotSupported -EnableKeepAlive $false -SupportDialbackNegotiation $true");
    EXPECT_EQ(value("partner/gmail.com/tls"), "none\n");
    EXPECT_EQ(value("partner/gmail.com/keepalive"), "no\n");
    good(
        "Set-CsXmppAllowedPartner gmail.com -AdditionalDomains @{Add=\"a.example\",\"b.example\"}");
    good(
        "Set-CsXmppAllowedPartner gmail.com -AdditionalDomains @{Remove=\"a.example\"} "
        "-PartnerType PublicVerified -ConnectionLimit 5 -ProxyFqdn proxy.example");
    EXPECT_PRED_FORMAT2(IsSubstring, "AdditionalDomains          : {b.example}",
                        good("Get-CsXmppAllowedPartner -Identity gmail.com"));
    EXPECT_EQ(value("partner/gmail.com/connection_limit"), "5\n");
    good("Set-CsXmppAllowedPartner gmail.com -ProxyFqdn $null -AdditionalDomains $null");
    EXPECT_EQ(value("partner/gmail.com/proxy"), "\n");
    EXPECT_EQ(value("partner/gmail.com/additional_domains"), "\n");
    EXPECT_PRED_FORMAT2(IsSubstring, "no method is left",
                        refused("Set-CsXmppAllowedPartner gmail.com "
                                "-SupportDialbackNegotiation $false"));
    EXPECT_PRED_FORMAT2(IsSubstring, "is Required, Optional or NotSupported, not 'Maybe'",
                        refused("Set-CsXmppAllowedPartner gmail.com -TlsNegotiation Maybe"));
    EXPECT_PRED_FORMAT2(IsSubstring, "it is one for all partners",
                        refused("Set-CsXmppAllowedPartner gmail.com -KeepAliveInterval 60"));
    // By property, through the pipe.
    EXPECT_EQ(good("Get-CsXmppAllowedPartner | Where-Object {$_.SaslNegotiation -eq "
                   "\"NotSupported\" -and $_.EnableKeepAlive -eq $false} | select Identity"),
              "Identity : gmail.com\n");
    good("Get-CsXmppAllowedPartner -Filter *.com | Remove-CsXmppAllowedPartner");
    EXPECT_PRED_FORMAT2(IsNotSubstring, "gmail.com", good("Get-CsXmppAllowedPartner"));
    EXPECT_PRED_FORMAT2(IsSubstring, "no property 'Sasl'",
                        refused("Get-CsXmppAllowedPartner | where {$_.Sasl -eq \"x\"}"));
}

// features.md A4, A7.
TEST_F(CmdletsTest, TheCommonObjectsAreKeys) {
    EXPECT_PRED_FORMAT2(IsSubstring,
                        "ConnectionLimit               : 1000\n"
                        "PartnerConnectionLimit        : 20\n"
                        "KeepAliveInterval             : 300\n"
                        "StreamEstablishmentTimeout    : 60\n"
                        "StreamInactivityTimeout       : 600\n",
                        good("Get-CsXmppGatewayConfiguration"));
    good("Set-CsXmppGatewayConfiguration -KeepAliveInterval 120 -ConnectionLimit 500");
    EXPECT_EQ(value("xmpp.keepalive.interval"), "120s\n");
    EXPECT_EQ(value("xmpp.limits.connections"), "500\n");
    good("Set-CsXmppGatewayConfiguration Global -DialbackPassphrase \"open sesame\"");
    EXPECT_PRED_FORMAT2(IsNotSubstring, "sesame", fedctl({"config", "log"}).out);
    EXPECT_PRED_FORMAT2(IsNotSubstring, "sesame", good("Get-CsXmppGatewayConfiguration"));
    good("Set-CsAccessEdgeConfiguration -AllowFederatedUsers $false -EnablePartnerDiscovery $true");
    EXPECT_EQ(value("federation.allow"), "no\n");
    EXPECT_EQ(value("federation.discovery"), "yes\n");
    good("Set-CsAccessEdgeConfiguration -EnableArchivingDisclaimer $true");  // features.md U10
    EXPECT_EQ(value("federation.archiving_notice"), "yes\n");
    EXPECT_PRED_FORMAT2(IsSubstring,
                        "Identity                  : Global\n"
                        "AllowFederatedUsers       : False\n"
                        "EnablePartnerDiscovery    : True\n"
                        "EnableArchivingDisclaimer : True\n",
                        good("Get-CsAccessEdgeConfiguration"));
    EXPECT_PRED_FORMAT2(IsSubstring, "a number of seconds",
                        refused("Set-CsXmppGatewayConfiguration -KeepAliveInterval soon"));
    EXPECT_PRED_FORMAT2(IsSubstring, "xmpp.limits.connections",
                        refused("Set-CsXmppGatewayConfiguration -ConnectionLimit 0"));
    EXPECT_PRED_FORMAT2(IsSubstring, "note: Set-CsXmppGatewaySettings: its name was that before",
                        cs("Set-CsXmppGatewaySettings -KeepAliveInterval 90").err);
}

TEST_F(CmdletsTest, WhatIfChangesNothing) {
    const std::string out = good("New-CsXmppAllowedPartner new.example -WhatIf");
    EXPECT_PRED_FORMAT2(IsSubstring, "What if: dry run, nothing was changed", out);
    EXPECT_PRED_FORMAT2(IsSubstring, "xmpp.keepalive.interval: 300s -> 77s",
                        good("Set-CsXmppGatewayConfiguration -KeepAliveInterval 77 -WhatIf"));
    EXPECT_EQ(configuration_->committed().number, 0U);
}

// features.md A10, A16.3.
TEST_F(CmdletsTest, SitesGoByTheEdgesOfTheReference) {
    good("# nothing but a remark in front\nGet-CsUser");
    EXPECT_EQ(fedctl({"pool", "set", "west", "members=edge1.example"}).status, 0);
    EXPECT_EQ(fedctl({"sysctl", "-w", "--save", "domain/sip.example/site=paris"}).status, 0);
    good("Set-CsSite -Identity Site:paris -XmppFederationRoute EdgeServer:edge1.example");
    EXPECT_EQ(value("site/paris/route"), "west\n");
    EXPECT_EQ(good("Get-CsSite paris"),
              "Identity            : Site:paris\nXmppFederationRoute : EdgeServer:west\n");
    const Outcome got = cs("Set-CsSite paris -XmppExternalFederationRoute $null");
    EXPECT_EQ(got.status, 0) << got.err;
    EXPECT_PRED_FORMAT2(IsSubstring, "is taken as -XmppFederationRoute", got.err);
    EXPECT_EQ(value("site/paris/route"), "\n");
    EXPECT_PRED_FORMAT2(IsSubstring, "no pool is called 'edge9.example'",
                        refused("Set-CsSite paris -XmppFederationRoute EdgeServer:edge9.example"));
    EXPECT_PRED_FORMAT2(IsSubstring, "nothing left to publish", cs("Enable-CsTopology").err);
}

TEST_F(CmdletsTest, PortsAndServicesAreShownAsThere) {
    host_.port_rows = {
        {"xmpp", "external", "tcp", "[::]:5269", "edge", true, "", 2, 1, false},
        {"link", "internal", "tcp", "[::]:23456", "edge", false, "in use", 0, 0, false}};
    const std::string lines = good(
        "Netstat \xe2\x80\x93"
        "ano | findstr 5269");
    EXPECT_PRED_FORMAT2(IsSubstring, "LISTENING", lines);
    EXPECT_PRED_FORMAT2(IsSubstring, "2 in, 1 out", lines);
    EXPECT_PRED_FORMAT2(IsSubstring, "ESTABLISHED", lines);
    EXPECT_PRED_FORMAT2(IsNotSubstring, "23456", lines);
    EXPECT_PRED_FORMAT2(IsSubstring, "NOT LISTENING: in use", good("netstat -ano | findstr 23456"));
    EXPECT_PRED_FORMAT2(IsSubstring, "no line has '5098'", refused("netstat -ano | findstr 5098"));
    EXPECT_PRED_FORMAT2(IsSubstring, "Status      : Running\nName        : XmppProxy\n",
                        good("Get-CsWindowsService"));
    EXPECT_PRED_FORMAT2(IsSubstring, "note: it is running", cs("Start-CsWindowsService").err);
    host_.may_end = true;
    good("Stop-CsWindowsService -Graceful");
    thread_.join();
    EXPECT_EQ(host_.drains, 1);
    control_.reset();
    EXPECT_PRED_FORMAT2(IsSubstring, "start it with", refused("Start-CsWindowsService"));
}

// All of a file is understood before the first line of it is run.
TEST_F(CmdletsTest, AFileWithAnUnknownLineChangesNothing) {
    for (const auto& [line, why] :
         {std::pair<const char*, const char*>{"Get-CsUsr", "did you mean Get-CsUser?"},
          {"Remove-Everything", "there is no command 'Remove-Everything' here"},
          {"Get-CsUser -Colour red", "it has no parameter -Colour; it has -Identity, -Filter"},
          {"Set-CsExternalAccessPolicy FedPic -Enable $true", "may be one of -EnableFederation"},
          {"Set-CsExternalAccessPolicy FedPic -EnableXmppAccess", "needs $true or $false"},
          {"Set-CsExternalAccessPolicy FedPic -EnableXmppAccess maybe", "is $true or $false"},
          {"Set-CsExternalAccessPolicy FedPic -Description a -Description b", "is there twice"},
          {"Set-CsExternalAccessPolicy FedPic much", "'much' is one word too many"},
          {"New-CsExternalAccessPolicy x -InMemory", "objects in memory are not kept"},
          {"Remove-CsCertificate -Type Internal", "is replaced, not taken away"},
          {"Get-CsUser -Identity $x", "there are no variables here"}}) {
        const std::string why_not =
            refused("New-CsExternalAccessPolicy -Identity FedPic\n" + std::string(line));
        EXPECT_PRED_FORMAT2(IsSubstring, why, why_not) << line;
        EXPECT_PRED_FORMAT2(IsSubstring, "line 2: ", why_not);
    }
    // What the daemon refuses ends the file there, and that is said.
    const Outcome got = fedctl({"cs", "-f", "-"},
                               "New-CsExternalAccessPolicy A\nGrant-CsExternalAccessPolicy "
                               "x@other.example A\nNew-CsExternalAccessPolicy B\n");
    EXPECT_EQ(got.status, 1);
    EXPECT_PRED_FORMAT2(IsSubstring,
                        "line 2: x@other.example: other.example is not a domain of "
                        "ours",
                        got.err);
    EXPECT_PRED_FORMAT2(IsSubstring, "(what is above this line was done)", got.err);
    EXPECT_PRED_FORMAT2(IsNotSubstring, "policy/B", fedctl({"sysctl", "-a"}).out);
    EXPECT_EQ(fedctl({"cs"}).status, 2);
    EXPECT_EQ(fedctl({"cs", "a", "b"}).status, 2);
    EXPECT_PRED_FORMAT2(IsSubstring, "/nowhere", fedctl({"cs", "-f", "/nowhere"}).err);
    EXPECT_PRED_FORMAT2(IsSubstring, "no command in it", refused("# nothing"));
}

// What selects nobody never means all.
TEST_F(CmdletsTest, NobodyIsNotEverybody) {
    import("sip_address,name\nken@sip.example,Ken\npilar@sip.example,Pilar\n*n@sip.example,Star\n");
    good("New-CsExternalAccessPolicy FedPic");
    for (const auto& [line, why] :
         {std::pair<const char*, const char*>{"Get-CsUser -Identity \"\" | "
                                              "Grant-CsExternalAccessPolicy FedPic",
                                              "-Identity names nobody"},
          {"Get-CsUser $null | Grant-CsExternalAccessPolicy FedPic", "-Identity names nobody"},
          {"Get-CsUser @() | Grant-CsExternalAccessPolicy FedPic", "-Identity names nobody"},
          {"Get-CsUser -Filter \"\" | Grant-CsExternalAccessPolicy FedPic", "-Filter names nobody"},
          {"Get-CsUser | select -Last 1 | Grant-CsExternalAccessPolicy FedPic", "it has no -Last"},
          {"Get-CsUser | select -Skip:1 | Grant-CsExternalAccessPolicy FedPic", "it has no -Skip"},
          {"Get-CsUser | select -First | Grant-CsExternalAccessPolicy FedPic", "-First needs"},
          {"Get-CsUser | select -First:x | Grant-CsExternalAccessPolicy FedPic", "needs a number"},
          {"Get-CsUser | Grant-CsExternalAccessPolicy -Identity ken@sip.example FedPic",
           "-Identity and the '|' say both"},
          {"Get-CsUser | Get-CsXmppAllowedPartner | Remove-CsXmppAllowedPartner",
           "it takes nothing from a '|'"},
          {"Get-CsExternalAccessPolicy | Grant-CsExternalAccessPolicy -PolicyName FedPic",
           "what comes through the '|' is no user"},
          {"Get-CsUser | where {$_.SipAddress -eq \"a\",\"b\"} | Grant-CsExternalAccessPolicy "
           "FedPic",
           "a condition is"},
          {"Get-CsWindowsService | where {$_.Name -eq \"x\"} | Stop-CsWindowsService",
           "it takes nothing from a '|'"},
          {"Stop-CsWindowsService -Name W3SVC", "there is no service 'W3SVC' here"},
          {"Stop-CsWindowsService -ComputerName other.example", "said at that machine"},
          {"Stop-CsWindowsService \"\"", "-Name names nobody"},
          {"Grant-CsExternalAccessPolicy ken@sip.example FedPic,Other", "-PolicyName takes one"},
          {"Get-CsUser ken@sip.example,nobody | Grant-CsExternalAccessPolicy FedPic",
           "no listed user is called 'nobody'"},
          {"netstat -ano | findstr /v 5269", "it takes a text, and /i"},
          {"netstat -ano | Select-String -NotMatch 5269", "it takes a text, and /i"},
          {"Remove-CsXmppAllowedPartner xmpp.example -Filter *.org", "it has no parameter -Filter"},
          {"Remove-CsExternalAccessPolicy FedPic -Confirm", "nobody is asked here"},
          {"New-CsExternalAccessPolicy A,B", "one policy is made at a time"}}) {
        EXPECT_PRED_FORMAT2(IsSubstring, why, refused(line)) << line;
    }
    EXPECT_EQ(host_.drains, 0);
    good("Set-CsExternalAccessPolicy FedPic -Description x -Confirm:$false");
    good("Get-CsUser | select -First:1 | Grant-CsExternalAccessPolicy FedPic");
    // The first by name has a pattern's character in its address, and is meant alone.
    EXPECT_EQ(value("user/*n@sip.example/policy"), "FedPic\n");
    EXPECT_EQ(value("user/ken@sip.example/policy"), "\n");
    EXPECT_EQ(fedctl({"user", "remove", "*n@sip.example"}).status, 0);
    EXPECT_EQ(fedctl({"user", "list", "--addresses"}).out, "ken@sip.example\npilar@sip.example\n");
    good("Get-CsUser ken@sip.example, pilar@sip.example | Grant-CsExternalAccessPolicy FedPic");
    EXPECT_EQ(value("user/ken@sip.example/policy"), "FedPic\n");
    EXPECT_EQ(value("user/pilar@sip.example/policy"), "FedPic\n");
}

// Several are one commit, or nothing.
TEST_F(CmdletsTest, SeveralAreChangedTogether) {
    good("New-CsXmppAllowedPartner a.example\nNew-CsXmppAllowedPartner b.example");
    refused("Set-CsXmppAllowedPartner a.example,c.example -EnableKeepAlive $false");
    EXPECT_EQ(value("partner/a.example/keepalive"), "yes\n");
    const std::uint64_t before = configuration_->committed().number;
    good(
        "Get-CsXmppAllowedPartner -Filter ?.example | Set-CsXmppAllowedPartner -EnableKeepAlive "
        "$false");
    EXPECT_EQ(configuration_->committed().number, before + 1);
    EXPECT_EQ(value("partner/a.example/keepalive"), "no\n");
    EXPECT_EQ(value("partner/b.example/keepalive"), "no\n");
    good("New-CsExternalAccessPolicy A; New-CsExternalAccessPolicy B");
    good("Set-CsExternalAccessPolicy A,B -EnableXmppAccess $true");
    EXPECT_EQ(value("policy/A/xmpp_access"), "yes\n");
    EXPECT_EQ(value("policy/B/xmpp_access"), "yes\n");
}

// The misspellings of the reference's own pages.
TEST_F(CmdletsTest, KnownMisspellingsAreUnderstood) {  // A16
    good("New-CsExternalAccessPolicy P");
    for (const auto& [typed, meant] :
         {std::pair<const char*, const char*>{"EnableFederationAcces", "EnableFederationAccess"},
          {"EnableOutsideAcess", "EnableOutsideAccess"},
          {"EnablePublicCloudAudioVideoAcess", "EnablePublicCloudAudioVideoAccess"}}) {
        const Outcome got = cs("Set-CsExternalAccessPolicy P -" + std::string(typed) + " $true");
        EXPECT_EQ(got.status, 0) << got.err;
        EXPECT_EQ(got.err, "note: -" + std::string(typed) + " is taken as -" + meant + "\n");
    }
    EXPECT_EQ(value("policy/P/outside_access"), "yes\n");
    EXPECT_EQ(value("policy/P/public_cloud_av_access"), "yes\n");
}

TEST_F(CmdletsTest, ProgramsGetObjects) {
    const Json answer =
        parse_json(fedctl({"--json", "cs", "Get-CsExternalAccessPolicy | select Identity"}).out);
    EXPECT_EQ(write_json(answer),
              "{\"ok\":true,\"objects\":[{\"Identity\":\"Global\"}],"
              "\"commits\":[],\"notes\":[]}");
    EXPECT_EQ(string_of(parse_json(fedctl({"--json", "cs", "Get-X"}).out), "error"),
              "there is no command 'Get-X' here (fedctl help has what there is)");
}

}  // namespace
}  // namespace fedgate::admin
