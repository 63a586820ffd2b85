// fedctl policy, user and explain, over the admin socket.
#include "tests/admin/control_fixture.hpp"

namespace fedgate::admin {
namespace {

using testing::IsNotSubstring;
using testing::IsSubstring;

class UsersTest : public ControlTest {
protected:
    void SetUp() override {
        ControlTest::SetUp();
        std::ofstream(file_, std::ios::app) << "domain/paris.example/site = paris\n"
                                               "policy/filed/xmpp_access = yes\n"
                                               "user/filed@sip.example/policy = filed\n";
        config::Problems problems;
        std::vector<Change> changes;
        ASSERT_TRUE(configuration_->reload(host_, problems, changes));
        start();
    }
    std::string good(const std::vector<std::string>& words, const std::string& input = "") {
        const Outcome got = fedctl(words, input);
        EXPECT_EQ(got.status, 0) << words[1] << ": " << got.err;
        return got.out;
    }
    std::string refused(const std::vector<std::string>& words, int status = 1,
                        const std::string& input = "") {
        const std::uint64_t before = configuration_->committed().number;
        const Outcome got = fedctl(words, input);
        EXPECT_EQ(got.status, status) << got.out;
        EXPECT_EQ(configuration_->committed().number, before);
        return got.err;
    }
    // The policy in force.
    std::string policy_of(const std::string& user) {
        return string_of(parse_json(fedctl({"--json", "user", "show", user}).out), "policy");
    }
    std::string explained(const std::string& from, const std::string& to) {
        return good({"explain", from, to});
    }
};

TEST_F(UsersTest, TheUsersPolicyGoesBeforeTheSitesAndThatBeforeGlobal) {
    EXPECT_EQ(policy_of("a@paris.example"), "global");
    good({"policy", "new", "site:paris", "federation_access=yes"});
    EXPECT_EQ(policy_of("a@paris.example"), "site:paris");
    EXPECT_EQ(policy_of("a@sip.example"), "global");
    good({"policy", "new", "FedPic", "federation_access=yes", "xmpp_access=yes"});
    good({"user", "grant", "fedpic", "a@paris.example"});  // as the reference: case does not count
    EXPECT_EQ(policy_of("A@paris.example"), "FedPic");
    EXPECT_EQ(policy_of("b@paris.example"), "site:paris");
    // As a whole: what the user's does not allow, the site's does not either.
    good({"policy", "set", "site:paris", "xmpp_access=yes"});
    good({"policy", "set", "FedPic", "xmpp_access=no"});
    EXPECT_PRED_FORMAT2(IsSubstring, "no: the user's policy has xmpp_access = no",
                        explained("a@paris.example", "x@xmpp.example"));
    EXPECT_PRED_FORMAT2(IsSubstring, "yes: ", explained("b@paris.example", "x@xmpp.example"));
    good({"user", "grant", "null", "a@paris.example"});
    EXPECT_EQ(policy_of("a@paris.example"), "site:paris");
    good({"policy", "remove", "site:paris"});
    EXPECT_EQ(policy_of("a@paris.example"), "global");
}

TEST_F(UsersTest, ExplainNamesTheRuleThatDecidedAndWhereItIsFrom) {
    EXPECT_PRED_FORMAT2(IsSubstring, "rule      policy/global/xmpp_access = no   (default)",
                        explained("a@sip.example", "x@xmpp.example"));
    EXPECT_PRED_FORMAT2(IsSubstring, "policy    policy/global: no policy is granted to the user",
                        explained("x@xmpp.example", "a@sip.example"));
    EXPECT_PRED_FORMAT2(IsSubstring, "rule      policy/filed/federation_access = no   (default)",
                        explained("filed@sip.example", "x@xmpp.example"));
    EXPECT_PRED_FORMAT2(IsSubstring, "policy    policy/filed: granted to the user",
                        explained("filed@sip.example", "x@xmpp.example"));
    good({"policy", "new", "site:paris", "federation_access=no"});
    const std::string text = explained("a@paris.example", "x@xmpp.example");
    EXPECT_PRED_FORMAT2(IsSubstring, "policy/site:paris/federation_access = no   (commit 1)", text);
    EXPECT_PRED_FORMAT2(IsSubstring, "the domain paris.example belongs to site paris", text);
    good({"partner", "block", "xmpp.example"});
    EXPECT_PRED_FORMAT2(IsSubstring, "rule      federation.deny = xmpp.example   (commit 2)",
                        explained("a@sip.example", "x@xmpp.example"));
    good({"partner", "unblock", "xmpp.example"});
    good({"partner", "set", "xmpp.example", "enabled=no"});
    EXPECT_PRED_FORMAT2(IsSubstring, "partner/xmpp.example/enabled = no   (commit 4)",
                        explained("a@sip.example", "x@xmpp.example"));
}

// U9.
TEST_F(UsersTest, APolicyIsForSomePartnersOnly) {
    const std::vector<std::string> access{"federation_access=yes", "xmpp_access=yes"};
    good({"policy", "new", "Group", access[0], access[1], "partners=xmpp.example"});
    good({"user", "grant", "Group", "a@sip.example"});
    good({"partner", "add", "other.example", "type=federated"});
    EXPECT_PRED_FORMAT2(IsSubstring, "yes: ", explained("a@sip.example", "x@xmpp.example"));
    for (const bool outward : {true, false}) {
        const std::string said = outward ? explained("a@sip.example", "x@other.example")
                                         : explained("x@other.example", "a@sip.example");
        EXPECT_PRED_FORMAT2(IsSubstring, "no: the user's policy is for other partners", said);
        EXPECT_PRED_FORMAT2(IsSubstring, "rule      policy/Group/partners = xmpp.example", said);
    }
    const std::string noted = good({"policy", "set", "Group", "partners=xmpp.example no.example"});
    EXPECT_PRED_FORMAT2(IsSubstring, "no.example, by which name none is listed", noted);
    EXPECT_PRED_FORMAT2(IsSubstring, "no.example", good({"policy", "show", "group"}));
    EXPECT_PRED_FORMAT2(IsSubstring,
                        "partners: ", refused({"policy", "set", "Group", "partners=not..one"}));
    good({"policy", "set", "Group", "partners="});
    EXPECT_PRED_FORMAT2(IsSubstring, "yes: ", explained("a@sip.example", "x@other.example"));
    good({"partner", "set", "other.example", "stanzas=presence,iq"});  // P8
    const std::string kinds = explained("a@sip.example", "x@other.example");
    EXPECT_PRED_FORMAT2(IsSubstring, "no: what is of this kind doesn't pass", kinds);
    EXPECT_PRED_FORMAT2(IsSubstring, "partner/other.example/stanzas = presence,iq", kinds);
    EXPECT_PRED_FORMAT2(IsSubstring, "passes    only presence,iq", kinds);
    EXPECT_EQ(fedctl({"policy", "list"}).status, 0);
}

TEST_F(UsersTest, GlobalIsResetAndNotDeleted) {
    EXPECT_PRED_FORMAT2(IsSubstring, "policy global is always there",
                        refused({"policy", "new", "Global"}));
    good({"policy", "set", "global", "xmpp_access=yes", "description=for all"});
    EXPECT_PRED_FORMAT2(IsSubstring, "yes: ", explained("a@sip.example", "x@xmpp.example"));
    // federation_access = yes is of the file.
    const std::string text = good({"policy", "remove", "global"});
    EXPECT_PRED_FORMAT2(IsSubstring, "policy/global/federation_access: yes -> no", text);
    EXPECT_PRED_FORMAT2(IsSubstring, "policy/global/xmpp_access: yes -> no", text);
    EXPECT_PRED_FORMAT2(IsSubstring, "\nglobal", good({"policy", "list"}));
}

TEST_F(UsersTest, APolicyThatUsersHaveIsNotRemovedUnawares) {
    good({"policy", "new", "press", "federation_access=yes"});
    EXPECT_PRED_FORMAT2(IsSubstring, "there is a policy press already",
                        refused({"policy", "new", "Press"}));
    good({"user", "grant", "press", "a@sip.example", "b@sip.example"});
    EXPECT_PRED_FORMAT2(IsSubstring, "granted to a@sip.example, b@sip.example: first grant",
                        refused({"policy", "remove", "press"}));
    good({"policy", "remove", "press", "--force"});
    EXPECT_EQ(policy_of("a@sip.example"), "global");
    EXPECT_PRED_FORMAT2(IsSubstring, "a@sip.example\nb@sip.example\n",
                        good({"user", "list", "--addresses"}));
    EXPECT_PRED_FORMAT2(IsSubstring, "f.conf:", refused({"policy", "remove", "filed"}));
}

TEST_F(UsersTest, IsGrantedByAddressPatternNameAndPipe) {
    good({"policy", "new", "FedPic", "federation_access=yes", "xmpp_access=yes"});
    good({"user", "import", "-"},
         "sip_address,name\nken@sip.example,Ken Myer\npilar@sip.example,Pilar Ackerman\n"
         "ana@paris.example,Ana\n");
    good({"user", "grant", "FedPic", "*@SIP.example"});
    EXPECT_EQ(policy_of("ken@sip.example"), "FedPic");
    EXPECT_EQ(policy_of("pilar@sip.example"), "FedPic");
    EXPECT_EQ(policy_of("ana@paris.example"), "global");
    good({"user", "grant", "null", "*"});  // what a file grants, too
    EXPECT_EQ(policy_of("pilar@sip.example"), "global");
    EXPECT_EQ(policy_of("filed@sip.example"), "global");
    good({"user", "grant", "FedPic", "Ken Myer"});
    EXPECT_EQ(policy_of("ken@sip.example"), "FedPic");
    EXPECT_EQ(policy_of("pilar@sip.example"), "global");
    const std::string piped = good({"user", "list", "--filter", "*@paris.example", "--addresses"});
    EXPECT_EQ(piped, "ana@paris.example\n");
    good({"user", "grant", "FedPic", "-"}, piped);
    EXPECT_EQ(policy_of("ana@paris.example"), "FedPic");
    // One who was never listed is from then on.
    good({"user", "grant", "FedPic", "sip:New@sip.example"});
    EXPECT_EQ(good({"user", "list", "--policy", "fedpic", "--addresses"}),
              "ana@paris.example\nken@sip.example\nnew@sip.example\n");
}

// Nobody has imported them: SIP traffic has shown that they are there.
TEST_F(UsersTest, WhoWasSeenCanBeGrantedAPolicy) {
    good({"policy", "new", "FedPic", "federation_access=yes", "xmpp_access=yes"});
    good({"user", "import", "-"}, "sip_address,name\nken@sip.example,Ken Myer\n");
    const WallTime noon{std::chrono::seconds(1'790'000'000)};
    host_.seen = {{{"ken@sip.example", noon},
                   {"pilar@sip.example", noon},
                   {"x@not-ours.example", noon},
                   {"a b@sip.example", noon}}};  // can't have a key
    const std::string listed = good({"user", "list", "--filter", "*@sip.example"});
    EXPECT_PRED_FORMAT2(IsSubstring, "NOT LISTED, SEEN", listed);
    EXPECT_PRED_FORMAT2(IsSubstring, "pilar@sip.example", listed);
    EXPECT_PRED_FORMAT2(IsSubstring, "2026-09-21T", listed);
    EXPECT_EQ(good({"user", "list", "--seen", "--addresses"}), "pilar@sip.example\n");
    EXPECT_PRED_FORMAT2(IsSubstring, "not listed, seen 2026-09-21T",
                        good({"user", "show", "pilar@sip.example"}));
    EXPECT_PRED_FORMAT2(IsSubstring, "pilar@sip.example is not listed",
                        refused({"user", "remove", "pilar@sip.example"}));
    EXPECT_EQ(configuration_->committed().number, 2U);  // seeing changes nothing
    good({"cs", "Get-CsUser | Grant-CsExternalAccessPolicy -PolicyName FedPic"});
    EXPECT_EQ(policy_of("pilar@sip.example"), "FedPic");
    EXPECT_EQ(good({"user", "list", "--seen", "--addresses"}), "");
    host_.seen->push_back({"ana@sip.example", noon});
    good({"user", "grant", "FedPic", "an*@sip.example"});
    EXPECT_EQ(policy_of("ana@sip.example"), "FedPic");
}

// A grant to fewer than were meant would pass for one to all.
TEST_F(UsersTest, WhoWasSeenIsNotGuessedWhenACoreIsLate) {
    good({"policy", "new", "FedPic"});
    good({"user", "import", "-"}, "sip_address,name\nken@sip.example,Ken Myer\n");
    const std::uint64_t before = configuration_->committed().number;
    host_.seen = std::nullopt;
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"user", "grant", "FedPic", "*@sip.example"},
          {"user", "grant", "FedPic", "ken@sip.example", "p*@sip.example"},
          {"user", "list", "--addresses"},
          {"user", "show", "pilar@sip.example"}}) {
        EXPECT_PRED_FORMAT2(IsSubstring, "a core was too late to say which users it has seen",
                            refused(words));
    }
    EXPECT_EQ(configuration_->committed().number, before);
    // Whom it does not take.
    good({"user", "grant", "FedPic", "ken@sip.example", "pilar@sip.example"});
    EXPECT_EQ(policy_of("pilar@sip.example"), "FedPic");
    good({"user", "show", "ken@sip.example"});
    good({"user", "remove", "k*@sip.example"});
}

TEST_F(UsersTest, WhatCannotBeGrantedIsSaid) {
    good({"policy", "new", "FedPic"});
    for (const auto& [words, why] :
         {std::pair<std::vector<std::string>, const char*>{{"FedPick", "a@sip.example"},
                                                           "did you mean FedPic?"},
          {{"global", "a@sip.example"}, "policy global is not granted"},
          {{"site:paris", "a@sip.example"}, "policy site:paris is not granted"},
          {{"FedPic", "a@other.example"}, "other.example is not a domain of ours"},
          {{"FedPic", "*@nobody.example"}, "no listed user matches '*@nobody.example'"},
          {{"FedPic", "Ken Myer"}, "'Ken Myer' is not a SIP address"}}) {
        std::vector<std::string> all{"user", "grant"};
        all.insert(all.end(), words.begin(), words.end());
        EXPECT_PRED_FORMAT2(IsSubstring, why, refused(all));
    }
    EXPECT_PRED_FORMAT2(IsSubstring, "takes a policy", refused({"user", "grant", "FedPic"}, 2));
    EXPECT_PRED_FORMAT2(IsSubstring, "no address on standard input",
                        refused({"user", "grant", "FedPic", "-"}, 1, "# nobody\n"));
    EXPECT_PRED_FORMAT2(IsSubstring, "did you mean xmpp_access?",
                        refused({"policy", "set", "FedPic", "xmpp_acces=yes"}));
    EXPECT_PRED_FORMAT2(IsSubstring, "yes or no",
                        refused({"policy", "set", "FedPic", "xmpp_access=maybe"}));
    EXPECT_PRED_FORMAT2(IsSubstring, "there is no policy 'FedPik'; did you mean FedPic?",
                        refused({"policy", "show", "FedPik"}));
    EXPECT_PRED_FORMAT2(IsSubstring, "can't be called null", refused({"policy", "new", "null"}));
    EXPECT_PRED_FORMAT2(IsSubstring, "is not a name", refused({"policy", "new", "a b"}));
    EXPECT_PRED_FORMAT2(IsSubstring, "did you mean grant?", refused({"user", "grnt"}, 2));
}

TEST_F(UsersTest, AnImportIsOneCommitOrNothing) {
    good({"policy", "new", "FedPic"});
    const std::string file = directory_ + "/users.csv";
    std::ofstream(file) << "sip_address,name,site,policy\n"
                           "a@sip.example,Ana,paris,\n"
                           "b@other.example,Bob,,\n"
                           "c@sip.example,,,FedPic\n";
    EXPECT_PRED_FORMAT2(IsSubstring, "line 3: other.example is not a domain of ours",
                        refused({"user", "import", file}));
    const std::string dry = good({"user", "import", file, "--ours-only", "--dry-run"});
    EXPECT_PRED_FORMAT2(IsSubstring, "dry run, nothing was changed", dry);
    EXPECT_PRED_FORMAT2(IsSubstring, "2 new, 0 known already, 1 of others left out", dry);
    EXPECT_EQ(configuration_->committed().number, 1U);
    good({"user", "import", file, "--ours-only"});
    EXPECT_PRED_FORMAT2(IsSubstring, "a@sip.example, c@sip.example are listed",
                        good({"user", "import", file, "--ours-only"}));
    EXPECT_EQ(policy_of("c@sip.example"), "FedPic");
    good({"user", "import", file, "--ours-only", "--policy", "FedPic"});
    EXPECT_EQ(policy_of("a@sip.example"), "FedPic");
    for (const auto& [text, why] :
         {std::pair<const char*, const char*>{"sip\na@sip.example\nA@sip.example\n",
                                              "line 3: a@sip.example is in line 2 already"},
          {"sip\nnobody\n", "line 2: 'nobody' is not a SIP address"},
          {"sip,policy\na@sip.example,Pic\n", "line 2: there is no policy 'Pic'"},
          {"sip\nx@other.example\n", "is not a domain of ours"}}) {
        EXPECT_PRED_FORMAT2(IsSubstring, why, refused({"user", "import", "-"}, 1, text)) << text;
    }
    EXPECT_PRED_FORMAT2(IsSubstring, "/nowhere.csv", refused({"user", "import", "/nowhere.csv"}));
    good({"user", "remove", "a@sip.example"});
    EXPECT_EQ(good({"user", "list", "--addresses"}), "c@sip.example\nfiled@sip.example\n");
    EXPECT_PRED_FORMAT2(IsSubstring, "is listed in",
                        refused({"user", "remove", "filed@sip.example"}));
    // Each with a name, and undone as any commit.
    EXPECT_PRED_FORMAT2(IsSubstring, "user remove a@sip.example", fedctl({"config", "log"}).out);
}

TEST_F(UsersTest, AWholeOrganisationIsImportedAtOnce) {
    std::string text = "sip_address,name\n";
    constexpr int kUsers = 5000;
    for (int i = 0; i < kUsers; ++i) {
        text += "user" + std::to_string(i) + "@sip.example,Person " + std::to_string(i) + "\n";
    }
    good({"policy", "new", "FedPic"});
    const std::string out = good({"user", "import", "-", "--policy", "FedPic"}, text);
    EXPECT_PRED_FORMAT2(IsSubstring, "5000 new", out);
    EXPECT_LT(out.size(), 4000U);  // not a line for each
    EXPECT_PRED_FORMAT2(IsSubstring, "10000 values change, the first 20 are above; --json has all",
                        out);
    const Json all = parse_json(fedctl({"--json", "user", "grant", "null", "*"}).out);
    EXPECT_GE(all["changes"].size(), 5000U);
    EXPECT_EQ(policy_of("user4999@sip.example"), "global");
    good({"user", "import", "-", "--policy", "FedPic"}, text);
    EXPECT_EQ(policy_of("user4999@sip.example"), "FedPic");
    // What is too much is said, and nothing is sent.
    EXPECT_PRED_FORMAT2(IsSubstring, "more than 32 MiB for one request; do it in parts",
                        refused({"sysctl", "-p", "-"}, 1, std::string(kRequestBytes + 1, '#')));
}

}  // namespace
}  // namespace fedgate::admin
