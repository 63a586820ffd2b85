#include "appliance/edge/failures.hpp"

#include <gtest/gtest.h>

#include "core/base/limits.hpp"
#include "core/rules/snapshot.hpp"

namespace fedgate::edge {
namespace {

std::unique_ptr<const rules::Snapshot> rules_with(const std::vector<std::string>& keys) {
    config::Tree tree;
    config::Problems problems;
    for (const std::string& key : keys) EXPECT_TRUE(tree.set(key, "yes", {}, problems));
    auto rules = rules::compile(tree, 1, problems);
    EXPECT_NE(rules, nullptr);
    return rules;
}

LastFailure failure_of(std::string their, std::string text, int second = 0, bool inbound = false) {
    LastFailure failure;
    failure.their = std::move(their);
    failure.inbound = inbound;
    failure.at = WallTime(std::chrono::seconds(second));
    failure.text = std::move(text);
    return failure;
}

TEST(Failures, TheLastOneOfEachDirectionIsKept) {
    const auto rules = rules_with({"partner/a.example/enabled"});
    Failures failures;
    failures.note(*rules, failure_of("a.example", "first"));
    failures.note(*rules, failure_of("a.example", "second"));
    failures.note(*rules, failure_of("a.example", "theirs", 0, true));
    failures.note(*rules, failure_of("nobody.example", "no partner"));
    const auto rows = failures.rows();
    ASSERT_EQ(rows.size(), 2u);
    EXPECT_EQ(rows[0].text, "second");
    EXPECT_EQ(rows[0].count, 2u);
    EXPECT_EQ(rows[1].text, "theirs");
    EXPECT_TRUE(rows[1].inbound);
}

TEST(Failures, DiscoveredDomainsPushOutNoPartner) {
    const auto rules = rules_with({"partner/a.example/enabled", "federation.discovery"});
    Failures failures;
    failures.note(*rules, failure_of("a.example", "kept"));
    const int many = static_cast<int>(limits::kRememberedFailures);
    for (int i = 1; i <= many + 1; ++i) {
        failures.note(*rules, failure_of("n" + std::to_string(i) + ".example", "forged", i));
    }
    EXPECT_EQ(failures.count(), limits::kRememberedFailures);
    const auto rows = failures.rows();
    EXPECT_EQ(rows.front().their, "a.example");
    for (const LastFailure& row : rows) EXPECT_NE(row.their, "n1.example");  // the oldest went
}

// A pattern lists no domain by name: anybody may call himself one of those below it.
TEST(Failures, DomainsBelowAPatternAreBoundedToo) {
    const auto rules = rules_with({"partner/a.example/enabled", "partner/*.wild.example/enabled"});
    Failures failures;
    failures.note(*rules, failure_of("a.example", "kept"));
    const int many = static_cast<int>(limits::kRememberedFailures);
    for (int i = 1; i <= 2 * many; ++i) {
        failures.note(*rules, failure_of("n" + std::to_string(i) + ".wild.example", "forged", i));
    }
    EXPECT_EQ(failures.count(), limits::kRememberedFailures);
    EXPECT_EQ(failures.rows().front().their, "a.example");
}

// A certificate may hold names of any length.
TEST(Failures, ATextIsCut) {
    const auto rules = rules_with({"partner/a.example/enabled"});
    Failures failures;
    failures.note(*rules, failure_of("a.example", std::string(100'000, 'x')));
    EXPECT_LE(failures.rows().front().text.size(), limits::kLogLineBytes);
}

TEST(Failures, WhoIsNoPartnerAnyMoreIsForgotten) {
    Failures failures;
    failures.note(*rules_with({"partner/a.example/enabled"}), failure_of("a.example", "x"));
    failures.recheck(*rules_with({"partner/a.example/enabled"}));
    EXPECT_EQ(failures.count(), 1u);
    failures.recheck(*rules_with({}));
    EXPECT_EQ(failures.count(), 0u);
}

}  // namespace
}  // namespace fedgate::edge
