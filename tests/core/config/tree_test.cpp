#include "core/config/tree.hpp"

#include <gtest/gtest.h>

#include "core/config/file.hpp"

namespace fedgate::config {
namespace {

const Origin kRuntime{Origin::Kind::kRuntime, "", 0};

TEST(Tree, AnswersWithDefaultsWhenNothingIsSet) {
    const Tree tree;
    EXPECT_FALSE(tree.flag("federation.allow"));
    EXPECT_EQ(tree.number("xmpp.limits.connections"), 1000);
    EXPECT_EQ(tree.duration("xmpp.timeouts.inactivity"), std::chrono::seconds(600));
    EXPECT_EQ(tree.rate("xmpp.rate.connections_per_address"), (Rate{60, std::chrono::minutes(1)}));
    EXPECT_EQ(tree.text("admin.socket"), "/run/fedgate/admin.sock");
    EXPECT_EQ(tree.list("sip.trusted"), (std::vector<std::string>{"127.0.0.0/8", "::1"}));
    EXPECT_TRUE(tree.instances("partner").empty());
}

TEST(Tree, PartnersFallBackToTheTemplateThenToTheDefault) {
    Tree tree;
    Problems problems;
    ASSERT_TRUE(tree.set("partner/default/tls", "optional", kRuntime, problems));
    ASSERT_TRUE(tree.set("partner/a.example/sasl", "none", kRuntime, problems));
    EXPECT_EQ(tree.text("partner/*/tls", "a.example"), "optional");
    EXPECT_EQ(tree.text("partner/*/sasl", "a.example"), "none");
    EXPECT_EQ(tree.text("partner/*/sasl", "b.example"), "required");
    ASSERT_TRUE(tree.set("partner/a.example/tls", "none", kRuntime, problems));
    EXPECT_EQ(tree.text("partner/*/tls", "a.example"), "none");
    EXPECT_EQ(tree.instances("partner"), (std::vector<std::string>{"a.example", "default"}));
}

TEST(Tree, ACoreHasItsOwnElseThatOfAllElseTheDefault) {
    Tree tree;
    Problems problems;
    const auto names = [&tree] {
        std::vector<std::string> found;
        for (const Entry& entry : tree.all()) {
            if (entry.path.name.starts_with("core.") && entry.path.key->is_pattern())
                found.push_back(entry.path.name + "=" + entry.value.text);
        }
        return found;
    };
    EXPECT_EQ(tree.text("core.*.cpu", "3"), "");
    EXPECT_EQ(names(), (std::vector<std::string>{"core.*.cpu="}));
    ASSERT_TRUE(tree.set("core.*.cpu", "0-2", kRuntime, problems));
    ASSERT_TRUE(tree.set("core.threads", "4", kRuntime, problems));
    EXPECT_EQ(tree.text("core.*.cpu", "3"), "0-2");
    ASSERT_TRUE(tree.set("core/3/cpu", "1", kRuntime, problems));
    EXPECT_EQ(tree.text("core.*.cpu", "3"), "1");
    EXPECT_EQ(tree.text("core.*.cpu", "2"), "0-2");
    EXPECT_EQ(tree.instances("core"), (std::vector<std::string>{"*", "3"}));
    EXPECT_EQ(names(), (std::vector<std::string>{"core.*.cpu=0-2", "core.3.cpu=1"}));
}

TEST(Tree, ARefusedValueChangesNothing) {
    Tree tree;
    Problems problems;
    ASSERT_TRUE(tree.set("core.threads", "2", kRuntime, problems));
    EXPECT_FALSE(tree.set("core.threads", "many", kRuntime, problems));
    EXPECT_FALSE(tree.set("core.thread", "4", kRuntime, problems));
    EXPECT_EQ(tree.number("core.threads"), 2);
    ASSERT_EQ(problems.size(), 2U);
    EXPECT_EQ(problems[1].line(),
              "runtime: error: core.thread: no such key; did you mean core.threads?");
}

TEST(Tree, InstancesAreFoundWhateverSortsBetweenThem) {
    Tree tree;
    Problems problems;
    for (const char* name : {"a.example", "a-b.example", "a.b.example", "a0.example"}) {
        for (const char* leaf : {"tls", "description", "enabled"}) {
            const std::string value = std::string(leaf) == "tls" ? "none" : "yes";
            ASSERT_TRUE(
                tree.set(std::string("partner/") + name + "/" + leaf, value, kRuntime, problems));
        }
    }
    EXPECT_EQ(tree.instances("partner").size(), 4U);
}

TEST(Tree, ResetGoesBackToTheDefault) {
    Tree tree;
    Problems problems;
    ASSERT_TRUE(tree.set("core.threads", "2", kRuntime, problems));
    Path path;
    std::string why;
    ASSERT_TRUE(resolve("core/threads", path, why));
    EXPECT_EQ(tree.effective(path).origin.text(), "runtime");
    EXPECT_TRUE(tree.reset(path));
    EXPECT_FALSE(tree.reset(path));
    EXPECT_EQ(tree.number("core.threads"), 0);
    EXPECT_EQ(tree.effective(path).origin.text(), "default");
}

// appliance.md 6.2, check 7: what `-a` prints, read again, changes nothing.
TEST(Tree, PrintedAndReadAgainIsTheSame) {
    Tree tree;
    Problems problems;
    const char* lines[][2] = {
        {"federation.allow", "on"},
        {"xmpp.listen", "127.0.0.1:0 [::1]:0"},
        {"partner/b\xc3\xbc"
         "cher.example/type",
         "federated"},
        {"partner/b\xc3\xbc"
         "cher.example/rate_bytes",
         "none"},
        {"policy/site:paris/xmpp_access", "yes"},
        {"user/sip:a/b@x.example/policy", "press"},
        {"domain/x.example/next_hop", "sip:a.example;transport=tls sip:[::1]:5060"},
        {"im.error_wait", "1500us"},
    };
    for (const auto& line : lines) ASSERT_TRUE(tree.set(line[0], line[1], kRuntime, problems));
    std::string text;
    for (const Entry& entry : tree.all()) {
        text += entry.path.name + " = " + entry.value.text + "\n";
    }
    Tree again;
    std::vector<Setting> settings;
    parse_settings(text, "printed", settings, problems);
    apply(settings, again, problems);
    for (const Problem& problem : problems) ADD_FAILURE() << problem.line();
    const auto before = tree.all();
    const auto after = again.all();
    ASSERT_EQ(before.size(), after.size());
    for (std::size_t i = 0; i < before.size(); ++i) {
        EXPECT_EQ(before[i].path.name, after[i].path.name);
        EXPECT_EQ(before[i].value.text, after[i].value.text);
    }
}

}  // namespace
}  // namespace fedgate::config
