// fedctl partner and fedctl config, over the admin socket.
#include <map>
#include <pwd.h>

#include "core/config/timestamp.hpp"
#include "tests/admin/control_fixture.hpp"

namespace fedgate::admin {
namespace {

using testing::IsNotSubstring;
using testing::IsSubstring;

class PartnersTest : public ControlTest {
protected:
    void SetUp() override {
        ControlTest::SetUp();
        start();
    }
    // Must succeed; what it prints.
    std::string good(std::vector<std::string> words) {
        words.insert(words.begin(), "partner");
        const Outcome got = fedctl(words);
        EXPECT_EQ(got.status, 0) << got.err;
        return got.out;
    }
    // Must be refused; why.
    std::string refused(std::vector<std::string> words, int status = 1) {
        words.insert(words.begin(), "partner");
        const Outcome got = fedctl(words);
        EXPECT_EQ(got.status, status) << got.out;
        EXPECT_EQ(got.out, "");
        return got.err;
    }
    // attribute -> "VALUE (ORIGIN)", of `partner show`.
    std::map<std::string, std::string> attributes(const std::string& domain) {
        const Outcome got = fedctl({"--json", "partner", "show", domain});
        std::map<std::string, std::string> rows;
        const Json answer = parse_json(got.out);
        if (!answer.contains("attributes")) return rows;
        for (const Json& row : answer["attributes"]) {
            rows[string_of(row, "attribute")] =
                string_of(row, "value") + " (" + string_of(row, "origin") + ")";
        }
        return rows;
    }
};

// features.md A3: what a partner has of which nothing but the name was said.
TEST_F(PartnersTest, AMinimalAddHasTheDefaultsOfTheReference) {
    good({"add", "new.example"});
    const std::map<std::string, std::string> reference{{"additional_domains", " (default)"},
                                                       {"description", " (default)"},
                                                       {"type", "public_unverified (default)"},
                                                       {"tls", "required (default)"},
                                                       {"sasl", "required (default)"},
                                                       {"dialback", "yes (default)"},
                                                       {"keepalive", "yes (default)"},
                                                       {"connection_limit", "0 (default)"},
                                                       {"proxy", " (default)"},
                                                       {"enabled", "yes (commit 1)"}};
    auto got = attributes("new.example");
    for (const auto& [name, value] : reference) EXPECT_EQ(got[name], value) << name;
    EXPECT_PRED_FORMAT2(IsSubstring, "0 (the common limit, 20)", good({"show", "new.example"}));
}

// features.md A4: the common object.
TEST_F(PartnersTest, TheCommonSettingsHaveTheDefaultsOfTheReference) {
    for (const auto& [key, value] : std::map<std::string, std::string>{
             {"xmpp.limits.connections", "1000"},
             {"xmpp.limits.connections_per_partner", "20"},
             {"xmpp.keepalive.interval", "300s"},
             {"xmpp.timeouts.establish", "60s"},
             {"xmpp.timeouts.inactivity", "600s"},
             {"log.bodies", "no"},
             {"federation.allow", "yes"},  // of the test's file; the default is no
             {"federation.discovery", "no"}}) {
        EXPECT_EQ(fedctl({"sysctl", "-n", key}).out, value + "\n") << key;
    }
    EXPECT_PRED_FORMAT2(IsSubstring, "default   no",
                        fedctl({"sysctl", "-d", "federation.allow"}).out);
    EXPECT_PRED_FORMAT2(IsSubstring, "default   (empty)",
                        fedctl({"sysctl", "-d", "xmpp.dialback.secret"}).out);
}

TEST_F(PartnersTest, IsAddedChangedShownAndRemoved) {
    EXPECT_PRED_FORMAT2(IsSubstring, "commit 1: xn--bcher-kva.example added",
                        good({"add",
                              "B\xc3\xbc"
                              "cher.example",
                              "type=federated", "description=their books"}));
    EXPECT_NE(configuration_->snapshot().partner("xn--bcher-kva.example"), nullptr);
    EXPECT_PRED_FORMAT2(IsSubstring, "their books", good({"list"}));
    EXPECT_PRED_FORMAT2(IsNotSubstring, "xmpp.example", good({"list", "--filter", "xn--*"}));
    EXPECT_PRED_FORMAT2(
        IsSubstring, "additional_domains: - -> a.example *.b.example",
        good({"set", "xn--bcher-kva.example", "additional_domains+=a.example *.b.example"}));
    good({"set", "xn--bcher-kva.example", "additional_domains-=a.example", "keepalive=no"});
    auto got = attributes("xn--bcher-kva.example");
    EXPECT_EQ(got["additional_domains"], "*.b.example (commit 3)");
    EXPECT_EQ(got["keepalive"], "no (commit 3)");
    EXPECT_EQ(got["type"], "federated (commit 1)");
    EXPECT_PRED_FORMAT2(IsSubstring, "! x.b.example belongs to partner xn--bcher-kva.example",
                        good({"show", "x.b.example"}));
    EXPECT_PRED_FORMAT2(IsSubstring, "no -> yes",
                        good({"reset", "xn--bcher-kva.example", "keepalive"}));
    EXPECT_PRED_FORMAT2(IsSubstring, "removed", good({"remove", "xn--bcher-kva.example"}));
    EXPECT_EQ(configuration_->snapshot().partner("xn--bcher-kva.example"), nullptr);
}

TEST_F(PartnersTest, WhatIsWrongIsSaidInOneSentenceWithTheNearestName) {
    good({"add", "new.example"});
    EXPECT_EQ(refused({"add", "new.example"}),
              "fedctl: new.example is a partner already (commit 1); fedctl partner set new.example "
              "ATTRIBUTE=VALUE changes it\n");
    EXPECT_EQ(refused({"show", "nwe.example"}),
              "fedctl: there is no partner nwe.example; did you mean new.example?\n");
    EXPECT_PRED_FORMAT2(IsSubstring, "fedctl partner add other.org makes it one",
                        refused({"set", "other.org", "tls=none"}));
    EXPECT_EQ(refused({"set", "new.example", "tsl=none"}),
              "fedctl: new.example: a partner has no attribute 'tsl'; did you mean tls?\n");
    EXPECT_PRED_FORMAT2(IsSubstring, "required optional none",
                        refused({"set", "new.example", "tls=maybe"}));
    EXPECT_PRED_FORMAT2(IsSubstring, "write tls=VALUE",
                        refused({"set", "new.example", "tls+=none"}));
    EXPECT_PRED_FORMAT2(IsSubstring, "x.example is not in additional_domains",
                        refused({"set", "new.example", "additional_domains-=x.example"}));
    EXPECT_PRED_FORMAT2(IsSubstring, "'192.0.2.1' is not a domain name",
                        refused({"add", "192.0.2.1"}));
    EXPECT_PRED_FORMAT2(IsSubstring, "is a domain of ours", refused({"add", "sip.example"}));
    EXPECT_PRED_FORMAT2(IsSubstring, "belongs to partner",
                        refused({"set", "new.example", "additional_domains=xmpp.example"}));
    EXPECT_PRED_FORMAT2(IsSubstring, "did you mean add?", refused({"ad", "new.example"}, 2));
    EXPECT_PRED_FORMAT2(IsSubstring, "no option --force",
                        refused({"set", "new.example", "tls=none", "--force"}, 2));
    EXPECT_PRED_FORMAT2(IsSubstring, "--filter", refused({"list", "x"}, 2));
    EXPECT_EQ(configuration_->committed().number, 1U);
}

// features.md A5, N7: the five rows that leave no method are refused with the reason, and nothing
// of them is kept; the others are made, those with a remark with a warning.
TEST_F(PartnersTest, EachRowOfTheMatrixIsRefusedWarnedOrTaken) {
    good({"add", "row.example"});
    std::size_t invalid = 0;
    for (const rules::Negotiation& row : rules::negotiations()) {
        static constexpr const char* kWords[] = {"required", "optional", "none"};
        const std::string tls = std::string("tls=") + kWords[static_cast<int>(row.tls)];
        const std::string sasl = std::string("sasl=") + kWords[static_cast<int>(row.sasl)];
        const std::string dialback = row.dialback ? "dialback=yes" : "dialback=no";
        const std::uint64_t before = configuration_->committed().number;
        if (!row.valid()) {
            ++invalid;
            EXPECT_PRED_FORMAT2(IsSubstring, "no method is left",
                                refused({"set", "row.example", tls, sasl, dialback}));
            EXPECT_EQ(configuration_->committed().number, before);
            continue;
        }
        // A dry run says the same and does nothing.
        const std::string dry = good({"set", "row.example", "--dry-run", tls, sasl, dialback});
        EXPECT_EQ(configuration_->committed().number, before);
        EXPECT_PRED_FORMAT2(IsSubstring, "nothing was changed", dry);
        const std::string done = good({"set", "row.example", tls, sasl, dialback});
        for (const std::string& text : {dry, done}) {
            EXPECT_PRED_FORMAT2(IsSubstring, "expected  " + rules::methods_text(row) + ":", text);
            EXPECT_EQ(text.find("warning   ") != std::string::npos, !row.remark.empty()) << text;
        }
        EXPECT_EQ(configuration_->snapshot().partner("row.example")->negotiation.methods,
                  row.methods);
    }
    EXPECT_EQ(invalid, 5U);
}

TEST_F(PartnersTest, APartnerOfAFileIsChangedOverItAndNotRemoved) {
    EXPECT_PRED_FORMAT2(IsSubstring, "federated -> public_verified   (over " + file_ + ":5)",
                        good({"set", "xmpp.example", "type=public_verified"}));
    EXPECT_EQ(attributes("xmpp.example").at("type"), "public_verified (commit 1)");
    EXPECT_EQ(refused({"remove", "xmpp.example"}),
              "fedctl: xmpp.example is listed in " + file_ +
                  ":5: take it out there and run 'fedctl reload', or stop it now with 'fedctl "
                  "partner block xmpp.example'\n");
    good({"reset", "xmpp.example"});
    EXPECT_EQ(attributes("xmpp.example").at("type"), "federated (" + file_ + ":5)");
    EXPECT_PRED_FORMAT2(IsSubstring, "was not committed",
                        refused({"reset", "xmpp.example", "type"}));
}

TEST_F(PartnersTest, TheTemplateIsShownAsTheOrigin) {
    good({"set", "default", "keepalive=no"});
    EXPECT_EQ(attributes("xmpp.example").at("keepalive"), "no (partner/default, commit 1)");
    EXPECT_PRED_FORMAT2(IsSubstring, "the template of all partners", good({"show", "default"}));
    EXPECT_PRED_FORMAT2(IsSubstring, "template", refused({"remove", "default"}));
}

TEST_F(PartnersTest, WhatSysctlSetLiveGivesWayToACommit) {
    ASSERT_EQ(fedctl({"sysctl", "-w", "partner/xmpp.example/tls=optional"}).status, 0);
    EXPECT_EQ(attributes("xmpp.example").at("tls"), "optional (runtime)");
    good({"set", "xmpp.example", "tls=required"});
    EXPECT_EQ(attributes("xmpp.example").at("tls"), "required (commit 1)");
    EXPECT_PRED_FORMAT2(IsNotSubstring, "runtime", fedctl({"sysctl", "--diff"}).out);
    ASSERT_EQ(fedctl({"sysctl", "-w", "partner/live.example/tls=required"}).status, 0);
    EXPECT_NE(configuration_->snapshot().partner("live.example"), nullptr);  // though a default
    EXPECT_PRED_FORMAT2(IsSubstring, "fedctl sysctl --reset partner/live.example/tls",
                        refused({"remove", "live.example"}));
}

TEST_F(PartnersTest, BlocksForAWhileOrForGood) {  // P7
    EXPECT_PRED_FORMAT2(IsSubstring, "blocked until 20",
                        good({"block", "xmpp.example", "stranger.example", "--for", "1h"}));
    EXPECT_EQ(configuration_->snapshot().partner("xmpp.example"), nullptr);
    EXPECT_TRUE(configuration_->snapshot().denied("stranger.example"));
    EXPECT_PRED_FORMAT2(IsSubstring, "blocked: stranger.example@20", good({"list"}));
    EXPECT_PRED_FORMAT2(IsSubstring, "xmpp.example, blocked until 20",
                        good({"show", "xmpp.example"}));
    EXPECT_PRED_FORMAT2(IsSubstring, "stranger.example is not listed",
                        good({"show", "stranger.example"}));
    good({"block", "*.xmpp.example"});
    EXPECT_PRED_FORMAT2(IsSubstring, "blocked by *.xmpp.example",
                        refused({"unblock", "a.xmpp.example"}));
    good({"unblock", "xmpp.example"});
    EXPECT_NE(configuration_->snapshot().partner("xmpp.example"), nullptr);
    EXPECT_PRED_FORMAT2(IsSubstring, "is not blocked", refused({"unblock", "xmpp.example"}));
    EXPECT_PRED_FORMAT2(IsSubstring, "domain of ours", refused({"block", "sip.example"}));
    EXPECT_PRED_FORMAT2(IsSubstring, "--for: 'soon'",
                        refused({"block", "x.example", "--for", "soon"}));
    // It ends by itself, and is put away with the next change.
    good({"block", "xmpp.example", "--for", "1s"});
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (good({"list"}).find("xmpp.example  on") == std::string::npos &&
           std::chrono::steady_clock::now() < deadline) {
        std::this_thread::sleep_for(100ms);
    }
    EXPECT_PRED_FORMAT2(IsSubstring, "xmpp.example  on", good({"list"}));
    good({"block", "another.example"});
    EXPECT_PRED_FORMAT2(IsNotSubstring, " xmpp.example@",
                        fedctl({"sysctl", "-n", "federation.deny"}).out);
}

TEST_F(PartnersTest, ShowTellsTheStreamsAndWhyTheLastOneFailed) {
    StreamRow stream;
    stream.outbound = true;
    stream.our_domain = "sip.example";
    stream.their_domain = "xmpp.example";
    stream.state = "established";
    stream.proof = "certificate";
    stream.tls = "TLSv1.3";
    StreamRow other = stream;
    other.their_domain = "elsewhere.example";
    host_.stream_rows = {stream, other};
    FailureRow failure;
    failure.their_domain = "xmpp.example";
    failure.kind = "certificate";
    // Told in minutes: the seconds that the test takes don't show.
    failure.at = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()) -
                 (1h + 10min + 30s);
    failure.address = "192.0.2.1:5269";
    failure.text = "certificate of xmpp.example expired on 2026-01-31";
    failure.count = 3;
    host_.failure_rows = {failure};
    const std::string got = good({"show", "xmpp.example"});
    EXPECT_PRED_FORMAT2(IsSubstring, "1 of ours are up", got);
    EXPECT_PRED_FORMAT2(IsSubstring, "sip.example  xmpp.example  established  certificate", got);
    EXPECT_PRED_FORMAT2(IsNotSubstring, "elsewhere", got);
    EXPECT_PRED_FORMAT2(IsSubstring, "failed    from them, 1 h 10 min ago", got);
    EXPECT_PRED_FORMAT2(IsSubstring, "192.0.2.1:5269", got);
    EXPECT_PRED_FORMAT2(IsSubstring,
                        "certificate of xmpp.example expired on 2026-01-31;\n          their "
                        "administrator has to renew it\n",
                        got);
    EXPECT_PRED_FORMAT2(IsSubstring, "certificate, 1 h 10 min ago", good({"list"}));
    stream.both_ways = true;
    host_.stream_rows = {stream};
    EXPECT_PRED_FORMAT2(IsSubstring, "0 of theirs and 1 of ours are up, 1 of them both ways\n",
                        good({"show", "xmpp.example"}));
}

// When none stands, it says what stands in the way.
TEST_F(PartnersTest, ShowSaysWhyThereIsNoStream) {
    EXPECT_PRED_FORMAT2(IsSubstring, "streams   none; one is opened when there is something",
                        good({"show", "xmpp.example"}));
    StreamRow row;
    row.outbound = true;
    row.their_domain = "xmpp.example";
    row.state = "waiting";
    row.retry_s = 12;
    host_.stream_rows = {row};
    EXPECT_PRED_FORMAT2(IsSubstring,
                        "streams   none; after the failure below we don't try again for 12 s",
                        good({"show", "xmpp.example"}));
    EXPECT_PRED_FORMAT2(IsSubstring, "retry in 12 s", fedctl({"streams"}).out);
    host_.stream_rows[0].state = "idle";
    EXPECT_EQ(fedctl({"streams"}).out, "no streams\n");
    good({"block", "*.example"});
    EXPECT_PRED_FORMAT2(
        IsSubstring, "none comes up while *.example is blocked: fedctl partner unblock *.example",
        good({"show", "xmpp.example"}));
    const std::string stranger = good({"show", "stranger.example"});
    EXPECT_TRUE(stranger.starts_with("stranger.example, blocked\n! stranger.example is not listed"))
        << stranger;
    good({"unblock", "*.example"});
    good({"set", "xmpp.example", "enabled=no"});
    EXPECT_PRED_FORMAT2(IsSubstring, "fedctl partner set xmpp.example enabled=yes",
                        good({"show", "xmpp.example"}));
}

// A certificate's names are the peer's to choose.
TEST_F(PartnersTest, NothingOfAPeerSteersTheTerminal) {
    FailureRow failure;
    failure.their_domain = "xmpp.example";
    failure.kind = "certificate";
    failure.text =
        "names \x1b[2J \xc2\x9b 31m \xe2\x80\xae evil \xe2\x81\xa6 \x7f caf\xc3\xa9 \xff";
    host_.failure_rows = {failure};
    EXPECT_PRED_FORMAT2(IsSubstring, "names ?[2J ? 31m ? evil ? ? caf\xc3\xa9 \xef\xbf\xbd",
                        good({"show", "xmpp.example"}));
}

TEST_F(PartnersTest, TellsOfCertificatesThatEnd) {  // C8
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    const auto in = [now](int hours) { return now + std::chrono::hours(hours); };
    host_.certificate_rows = {{"xmpp.example", in(24 * 90), now}};
    std::string got = good({"show", "xmpp.example"});
    EXPECT_PRED_FORMAT2(IsSubstring, "shown     a certificate of xmpp.example that ends on 20",
                        got);
    EXPECT_PRED_FORMAT2(IsNotSubstring, "tell their administrator", got + good({"list"}));
    host_.certificate_rows = {{"xmpp.example", in(25), now}, {"other.example", in(-1), now}};
    got = good({"show", "xmpp.example"});
    EXPECT_PRED_FORMAT2(IsSubstring, "! the certificate of xmpp.example expires in 1 day, on 20",
                        got);
    EXPECT_PRED_FORMAT2(IsNotSubstring, "other.example", got);
    EXPECT_PRED_FORMAT2(IsSubstring, "! the certificate of other.example expired on 20",
                        good({"list"}));
    for (int i = 0; i < 7; ++i)
        host_.certificate_rows.push_back({"d" + std::to_string(i) + ".example", in(48), now});
    EXPECT_PRED_FORMAT2(IsSubstring, "! and those of 4 others expire soon", good({"list"}));
}

TEST_F(PartnersTest, SaysWhatStandsInTheWayOfAll) {
    EXPECT_PRED_FORMAT2(IsSubstring, "! no user may converse: no policy has federation_access and",
                        good({"show", "xmpp.example"}));
    fedctl({"sysctl", "-w", "policy/global/xmpp_access=yes", "federation.allow=no"});
    const std::string got = good({"add", "new.example"});
    EXPECT_PRED_FORMAT2(IsSubstring, "! nothing passes while federation.allow = no", got);
    EXPECT_PRED_FORMAT2(IsNotSubstring, "no user", got);
}

TEST_F(PartnersTest, TheHistorySaysWhoAndWhyAndLeadsBack) {
    good({"add", "new.example", "--comment", "ticket 12"});
    good({"set", "new.example", "keepalive=no"});
    const std::string log = fedctl({"config", "log"}).out;
    const passwd* user = getpwuid(getuid());
    ASSERT_NE(user, nullptr);
    EXPECT_PRED_FORMAT2(IsSubstring, std::string("  ") + user->pw_name + "  ", log);
    EXPECT_PRED_FORMAT2(IsSubstring, "ticket 12", log);
    EXPECT_PRED_FORMAT2(IsSubstring, "partner set new.example keepalive=no", log);
    EXPECT_PRED_FORMAT2(IsSubstring, "2 *", log);
    EXPECT_EQ(fedctl({"config", "diff", "1"}).out,
              "partner/new.example/keepalive: (not set) -> no\n");
    EXPECT_PRED_FORMAT2(IsSubstring, "no -> yes",
                        fedctl({"config", "rollback", "1", "--dry-run"}).out);
    EXPECT_EQ(configuration_->committed().number, 2U);
    EXPECT_PRED_FORMAT2(IsSubstring, "commit 3", fedctl({"config", "rollback", "1"}).out);
    EXPECT_EQ(attributes("new.example").at("keepalive"), "yes (default)");
    EXPECT_EQ(fedctl({"config", "rollback", "0"}).status, 0);
    EXPECT_EQ(configuration_->snapshot().partner("new.example"), nullptr);
    EXPECT_PRED_FORMAT2(IsSubstring, "there is no commit 9",
                        fedctl({"config", "rollback", "9"}).err);
    EXPECT_EQ(fedctl({"config", "rollback", "x"}).status, 2);
}

// Q9: what its administrator may read, and nothing else.
TEST_F(PartnersTest, ASheetTellsTheOtherSideWhatItNeedsAndNoMore) {
    EXPECT_PRED_FORMAT2(IsSubstring, "is not a listed partner", refused({"sheet", "new.example"}));
    good({"add", "new.example", "type=federated", "dialback=no", "description=owes us money",
          "additional_domains=more.example", "rate_stanzas=7/s"});
    const std::string said = good({"sheet", "more.example"});
    for (const char* part :
         {"XMPP federation of sip.example with new.example, more.example", "SASL EXTERNAL over TLS",
          "1.2 or 1.3, required", "7/s", "_xmpp-server._tcp.sip.example. 3600 IN SRV",
          "your users may write to ours, if our users' policy lets them"}) {
        EXPECT_PRED_FORMAT2(IsSubstring, part, said);
    }
    for (const char* secret : {"owes us", "turned off", "next_hop", "tls.external", "default"}) {
        EXPECT_PRED_FORMAT2(IsNotSubstring, secret, said);
    }
    good({"set", "new.example", "type=public_unverified", "tls=optional", "sasl=none",
          "dialback=yes", "enabled=no"});
    EXPECT_PRED_FORMAT2(IsSubstring, "It is turned off", good({"sheet", "new.example"}));
    EXPECT_PRED_FORMAT2(IsSubstring, "if you offer it", good({"sheet", "new.example"}));
    EXPECT_PRED_FORMAT2(IsSubstring, "your certificate  not asked for",
                        good({"sheet", "new.example"}));
    EXPECT_PRED_FORMAT2(IsSubstring, "takes one domain", refused({"sheet", "a.example", "b"}, 2));
}

// P8.
TEST_F(PartnersTest, APartnerPassesSomeKindsOnly) {
    good({"add", "few.example", "type=federated", "stanzas=presence"});
    const std::string said = good({"show", "few.example"});
    EXPECT_PRED_FORMAT2(IsSubstring, "only presence passes, in both directions (stanzas)", said);
    const std::string sheet = good({"sheet", "few.example"});
    EXPECT_PRED_FORMAT2(IsSubstring, "no messages pass, in either direction", sheet);
    EXPECT_PRED_FORMAT2(IsSubstring, "status notes are left out", sheet);
    EXPECT_PRED_FORMAT2(IsSubstring, "queries (iq) are refused", sheet);
    EXPECT_PRED_FORMAT2(IsNotSubstring, "may write", sheet);
    const std::string explained = fedctl({"explain", "a@sip.example", "x@few.example"}).out;
    EXPECT_PRED_FORMAT2(IsSubstring, "no: ", explained);
    good({"set", "few.example", "stanzas+=message"});
    EXPECT_PRED_FORMAT2(IsNotSubstring, "no messages", good({"sheet", "few.example"}));
    EXPECT_PRED_FORMAT2(IsSubstring, "messages lose their markup", good({"sheet", "few.example"}));
    good({"set", "few.example", "stanzas-=presence"});
    EXPECT_EQ(attributes("few.example").at("stanzas"), "message (commit 3)");
    EXPECT_PRED_FORMAT2(IsSubstring, "no presence passes", good({"sheet", "few.example"}));
    EXPECT_PRED_FORMAT2(IsSubstring, "this must not be empty",
                        refused({"set", "few.example", "stanzas-=message"}));
    EXPECT_PRED_FORMAT2(IsSubstring, "'texts' is not one of the words",
                        refused({"set", "few.example", "stanzas=texts"}));
    good({"reset", "few.example", "stanzas"});
    EXPECT_PRED_FORMAT2(IsNotSubstring, "passes, in both", good({"show", "few.example"}));
}

TEST_F(PartnersTest, AFileIsCommittedAsAWhole) {
    const std::string text = "partner/one.example/type = federated\nim.max_bytes = 1KiB\n";
    EXPECT_PRED_FORMAT2(IsSubstring, "nothing was changed",
                        fedctl({"config", "check", "-"}, text).out);
    EXPECT_EQ(configuration_->committed().number, 0U);
    EXPECT_EQ(fedctl({"config", "commit", "-"}, text + "nonsense\n").status, 1);
    EXPECT_EQ(fedctl({"config", "commit", "-"}, text).status, 0);
    EXPECT_EQ(attributes("one.example").at("type"), "federated (commit 1)");
    EXPECT_EQ(fedctl({"sysctl", "-w", "--save", "im.max_bytes=2KiB"}).status, 0);
    EXPECT_EQ(configuration_->committed().number, 2U);
    EXPECT_PRED_FORMAT2(IsSubstring, "commit 2", fedctl({"sysctl", "--diff"}).out);
}

}  // namespace
}  // namespace fedgate::admin
