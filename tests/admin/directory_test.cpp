#include "appliance/admin/directory.hpp"

#include <gtest/gtest.h>

namespace fedgate::admin {
namespace {

using testing::IsSubstring;

// "address|name|site|policy @line" of each, and how many were left out.
std::string read(std::string_view text) {
    Directory directory;
    std::string why;
    if (!parse_directory(text, directory, why)) return "! " + why;
    std::string out;
    for (const DirectoryUser& user : directory.users) {
        out += user.address + "|" + user.name + "|" + user.site + "|" + user.policy + " @" +
               std::to_string(user.line) + "\n";
    }
    if (directory.without_address > 0) {
        out += "- " + std::to_string(directory.without_address) + "\n";
    }
    return out;
}

TEST(Directory, ReadsCsv) {
    EXPECT_EQ(read("name,SIP Address,site\nAlice,sip:alice@a.example,paris\n,,\nBob,bob@a.example"),
              "alice@a.example|Alice|paris| @2\nbob@a.example|Bob|| @4\n- 1\n");
    // As Export-Csv and a French Excel write it.
    EXPECT_EQ(read("\xef\xbb\xbf#TYPE Microsoft.Rtc.User\r\n"
                   "\"SipAddress\";\"DisplayName\";\"ExternalAccessPolicy\"\r\n"
                   "\"sip:ken@a.example\";\"Myer; \"\"Ken\"\" Jr\";\"FedPic\"\r\n"
                   "\"sip:pilar@a.example\";\"Pilar\";\r\n"),
              "ken@a.example|Myer; \"Ken\" Jr||FedPic @3\npilar@a.example|Pilar|| @4\n");
    EXPECT_EQ(read("\r\n\nsip\na@a.example\n"), "a@a.example||| @4\n");
    // Without a heading.
    EXPECT_EQ(read("a@a.example\nb@a.example,Bea\n"), "a@a.example||| @1\nb@a.example|Bea|| @2\n");
    // The SIP address counts before the mail address, wherever they stand.
    EXPECT_EQ(read("mail,sip_address\nx@m.example,a@a.example\n"), "a@a.example||| @2\n");
}

TEST(Directory, ReadsLdif) {
    EXPECT_EQ(read("version: 1\n# people\n"
                   "dn: cn=Ken,dc=a\ncn: Ken\nmail: ken@mail.example\ndisplayName:: S8OpbiBNeWVy\n"
                   "msRTCSIP-PrimaryUserAddress: sip:ken@a.exa\n mple\n\n"
                   "dn: cn=printer,dc=a\ncn: printer\n\n\n"
                   "dn: cn=Pilar,dc=a\r\nproxyAddresses: smtp:p@mail.example\r\n"
                   "proxyAddresses: SIP:pilar@a.example\r\ncn;lang-es: Pilar\r\n"),
              "ken@a.example|K\xc3\xa9n Myer|| @3\npilar@a.example|Pilar|| @14\n- 1\n");
}

TEST(Directory, SaysWhatIsWrongAndWhere) {
    for (const auto& [text, why] : {std::pair<std::string, const char*>{"", "nobody in it"},
                                    {"colour,shape\nred,round\n", "line 1: the first line names"},
                                    {"sip,name\na@a.example,Ren\xe9\n",
                                     "line 2: 'Ren?' is not one line of text in UTF-8; save"},
                                    {"sip\n\"a@a.example\n", "line 2: a quotation mark"},
                                    {"mail,name\n,Alice\n", "nobody in it has an address"},
                                    {"dn: x\nmail\n", "line 2: 'mail' is not"},
                                    {"dn: x\nmail:: *\n", "line 2: what is behind"},
                                    {"dn: x\nchangetype: modify\n", "line 2: this file changes"},
                                    {std::string("\xff\xfe", 2) + "m", "UTF-16"}}) {
        EXPECT_PRED_FORMAT2(IsSubstring, why, read(text)) << text;
    }
    std::string many = "sip\n";
    for (std::size_t i = 0; i <= kDirectoryUsers; ++i) many += "a@a.example\n";
    EXPECT_PRED_FORMAT2(IsSubstring, "import it in parts", read(many));
}

// Whatever is cut off of a file is no reason to end.
TEST(Directory, ReadsAnyBeginning) {
    const std::string csv = "\"Sip\";name\n\"a@a.example\";\"x \"\"y\"\"\"\n";
    const std::string ldif = "dn: x\nmail:: YUBhLmV4YW1wbGU=\ncn: a\n b\n\n";
    for (const std::string& text : {csv, ldif}) {
        for (std::size_t size = 0; size < text.size(); ++size) {
            Directory directory;
            std::string why;
            if (!parse_directory(std::string_view(text).substr(0, size), directory, why)) {
                EXPECT_NE(why, "") << size;
            }
        }
    }
}

}  // namespace
}  // namespace fedgate::admin
