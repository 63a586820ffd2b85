// The certificate commands of fedctl cs, and the verbs of fedctl cert that they are.
#include "appliance/admin/cmdlet_certificates.hpp"

#include "core/config/timestamp.hpp"
#include "net/tls.hpp"
#include "tests/admin/control_fixture.hpp"

namespace fedgate::admin {
namespace {

using testing::IsNotSubstring;
using testing::IsSubstring;

class CertificateCmdletsTest : public ControlTest {
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
    // One sentence, and nothing is committed.
    std::string refused(const std::string& line) {
        const std::uint64_t before = configuration_->committed().number;
        const Outcome got = cs(line);
        EXPECT_EQ(got.status, 1) << line << "\n" << got.out;
        EXPECT_EQ(configuration_->committed().number, before) << line;
        EXPECT_EQ(std::ranges::count(got.err.substr(got.err.find("fedctl: ")), '\n'), 1) << got.err;
        return got.err;
    }
    [[nodiscard]] std::vector<std::string> kept() const {
        std::vector<std::string> names;
        std::error_code none;
        for (const auto& one :
             std::filesystem::directory_iterator(directory_ + "/state/certificates", none))
            names.push_back(one.path().filename());
        std::ranges::sort(names);
        return names;
    }
    // A certificate for `name` with its key, as PEM.
    std::string made(const std::string& file, const std::string& name) {
        const auto one = net::make_self_signed({name}, 1);
        std::ofstream(directory_ + "/" + file) << one->certificate << one->key;
        return directory_ + "/" + file;
    }
    std::string value(const std::string& key) { return fedctl({"sysctl", "-n", key}).out; }
};

TEST_F(CertificateCmdletsTest, RequestsAsTheReferencesWizardDoes) {  // A8, C1 to C3
    const std::string line =
        "Request-CsCertificate -New -Type AccessEdgeExternal,DataEdgeExternal -Output " +
        directory_ +
        "/edge.csr -KeyAlg ECDH_P256 -FriendlyName \"Edge external\" -PrivateKeyExportable $false "
        "-DomainName \"more.example, yet.example\" -AllSipDomain -Organization Contoso -OU IT "
        "-City Paris -State Paris -Country FR -ClientEKU $true -ComputerFqdn edge1.example "
        "-Template jcila";
    EXPECT_PRED_FORMAT2(IsSubstring, "What if: dry run, nothing was made", good(line + " -WhatIf"));
    EXPECT_EQ(kept(), std::vector<std::string>{});
    const Outcome got = cs(line);
    EXPECT_EQ(got.status, 0) << got.err;
    for (const char* part :
         {"(Edge external)", "C=FR, ST=Paris, L=Paris, O=Contoso, OU=IT", "ECDSA P-256",
          "sip.example, sip.sip.example, more.example, yet.example, edge1.example",
          "BEGIN CERTIFICATE REQUEST"})
        EXPECT_PRED_FORMAT2(IsSubstring, part, got.out);
    EXPECT_PRED_FORMAT2(IsSubstring, "DataEdgeExternal: there is no such service here", got.err);
    EXPECT_PRED_FORMAT2(IsSubstring, "note: -Template: the authority chooses it", got.err);
    EXPECT_TRUE(std::filesystem::exists(directory_ + "/edge.csr"));
    EXPECT_EQ(kept().size(), 2U);  // the key, and what is known of it
    const std::string listed = good("Request-CsCertificate -List");
    EXPECT_PRED_FORMAT2(IsSubstring, "FriendlyName : Edge external\nStatus       : Pending",
                        listed);
    const std::string id = listed.substr(15, listed.find('\n') - 15);
    EXPECT_PRED_FORMAT2(IsSubstring, "there is no request 'other'",
                        refused("Request-CsCertificate -Clear -RequestId other"));
    EXPECT_PRED_FORMAT2(IsSubstring, id, good("Request-CsCertificate -Clear -WhatIf"));
    EXPECT_EQ(kept().size(), 2U);
    good("Request-CsCertificate -Clear -RequestId " + id);
    EXPECT_EQ(kept(), std::vector<std::string>{});
    EXPECT_PRED_FORMAT2(IsSubstring, "nothing was removed", cs("Request-CsCertificate -Clear").err);
}

TEST_F(CertificateCmdletsTest, SaysWhatCantBe) {
    const std::pair<const char*, const char*> lines[] = {
        {"Request-CsCertificate -Type External", "one of -New, -List and -Clear"},
        {"Request-CsCertificate -New", "-New needs -Type; there are AccessEdgeExternal"},
        {"Request-CsCertificate -New -Type Externall", "is no type of certificate; did you mean"},
        {"Request-CsCertificate -New -Type WebServicesExternal", "no such service here; there are"},
        {"Request-CsCertificate -New -Type External,Internal", "request one each"},
        {"Request-CsCertificate -New -Type External -CA 'ca.example\\my'", "say -Output FILE"},
        {"Request-CsCertificate -New -Type External -Output c:\\cert\\edge.cer", "of Windows"},
        {"Request-CsCertificate -New -Type External -KeySize 1024", "partners refuse less"},
        {"Request-CsCertificate -New -Type External -KeySize 2047", "'rsa:2047' is no key"},
        {"Request-CsCertificate -New -Type External -KeyAlg ECDH_P521", "ECDH_P256 or ECDH_P384"},
        {"Request-CsCertificate -New -Type External -KeyAlg ECDH_P256 -KeySize 2048",
         "for -KeyAlg"},
        {"Request-CsCertificate -New -Type External -Country France", "two letters"},
        {"Request-CsCertificate -New -Type External -DomainName 'a b..c'", "not a domain name"},
        {"Request-CsCertificate -Retrieve", "Import-CsCertificate -Path FILE"},
        {"Import-CsCertificate -Password x", "-Path FILE says what"},
        {"Import-CsCertificate -Path /none.pfx", "/none.pfx can't be read"},
        {"Import-CsCertificate -Path /none.pfx -Roll", "-Roll needs -EffectiveDate"},
        {"Set-CsCertificate -Type External", "one of -Thumbprint, -Path"},
        {"Set-CsCertificate -Type External -Thumbprint AB -Roll", "-Roll needs -EffectiveDate"},
        {"Set-CsCertificate -Type External -Thumbprint AB", "no certificate here has the thumbp"},
        {"Set-CsCertificate -Type External -Reference x", "Get-CsCertificate before a '|'"},
        {"Get-CsUser | Set-CsCertificate -Type External", "is not one certificate"},
        {"Remove-CsCertificate -Type External", "is replaced, not taken away"},
    };
    for (const auto& [line, why] : lines) EXPECT_PRED_FORMAT2(IsSubstring, why, refused(line));
    EXPECT_EQ(kept(), std::vector<std::string>{});
    EXPECT_PRED_FORMAT2(IsSubstring, "a self-signed one is in use", cs("Get-CsCertificate").err);
}

TEST_F(CertificateCmdletsTest, ImportsAndAssigns) {  // C4 to C6
    const std::string one = made("one.pem", "sip.example");
    good("Import-CsCertificate -Path " + one + " -WhatIf");
    EXPECT_EQ(kept(), std::vector<std::string>{});
    const std::string said = good("Import-CsCertificate -Path " + one + " -PrivateKeyExportable 1");
    const std::string thumbprint =
        said.substr(said.find_first_not_of(' ', said.find("thumbprint") + 10), 40);
    EXPECT_EQ(value("tls.external.certificate"), "\n");
    const std::string set = "Set-CsCertificate -Type AccessEdgeExternal,Default -Thumbprint ";
    EXPECT_PRED_FORMAT2(IsSubstring, "What if: ", good(set + thumbprint + " -WhatIf"));
    EXPECT_EQ(value("tls.external.certificate"), "\n");
    good(set + thumbprint);
    EXPECT_PRED_FORMAT2(IsSubstring, "/state/certificates/external-",
                        value("tls.external.certificate"));
    EXPECT_EQ(value("tls.sip.certificate"), value("tls.external.certificate"));
    EXPECT_PRED_FORMAT2(IsSubstring, "cs: Set-CsCertificate -Type", fedctl({"config", "log"}).out);
    const std::string got = good("Get-CsCertificate -Type XMPPServer");
    const char* const fields[] = {"Issuer ",
                                  "NotAfter ",
                                  "NotBefore ",
                                  "SerialNumber ",
                                  "Subject ",
                                  "AlternativeNames   : {sip.example}",
                                  "Thumbprint         : ",
                                  "EffectiveDate ",
                                  "PreviousThumbprint ",
                                  "Use                : AccessEdgeExternal",
                                  "SourceScope "};
    for (std::size_t at = 0; const char* field : fields) {
        const std::size_t next = got.find(std::string(field), at);
        ASSERT_NE(next, std::string::npos) << field << "\n" << got;
        at = next;
    }
    EXPECT_PRED_FORMAT2(IsSubstring, thumbprint, got);
    EXPECT_PRED_FORMAT2(IsSubstring, "for external: usable",
                        good("Test-CsCertificateConfiguration"));
    EXPECT_PRED_FORMAT2(IsSubstring, "is used for external, sip",
                        fedctl({"cert", "remove", kept()[0].substr(0, kept()[0].find('.'))}).err);
    // By its file, and from a day on; what is in use stays so until then.
    const std::string two = made("two.pem", "sip.example");
    const std::string roll = " -EffectiveDate 2099-01-01 -Roll";
    EXPECT_PRED_FORMAT2(IsSubstring, "it expired on",
                        cs("Set-CsCertificate -Type External -Path " + two + roll).err);
    const auto tomorrow =
        std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()) +
        std::chrono::hours(12);
    const std::string later = " -EffectiveDate " + config::format_time(tomorrow);
    const Outcome rolled = cs("Set-CsCertificate -Type External -Path " + one + later);
    EXPECT_EQ(rolled.status, 0) << rolled.err;
    EXPECT_PRED_FORMAT2(IsSubstring, "-EffectiveDate is taken as with -Roll", rolled.err);
    EXPECT_PRED_FORMAT2(IsSubstring, "PreviousThumbprint : " + thumbprint,
                        good("Get-CsCertificate -Type External | Select-Object "
                             "PreviousThumbprint"));
    good("Get-CsCertificate -Type Default | Set-CsCertificate -Type Internal -Force");
    EXPECT_EQ(value("tls.internal.certificate"), value("tls.external.certificate"));
    // What others may not read is not kept in the log of commits.
    good("Import-CsCertificate -Path " + two + " -Password hush-hush -Type AccessEdgeExternal");
    EXPECT_PRED_FORMAT2(IsNotSubstring, "hush-hush", fedctl({"config", "log"}).out);
}

}  // namespace
}  // namespace fedgate::admin
