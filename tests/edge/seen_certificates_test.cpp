#include "appliance/edge/seen_certificates.hpp"

#include <gtest/gtest.h>

#include "core/base/limits.hpp"
#include "core/rules/snapshot.hpp"

namespace fedgate::edge {
namespace {

WallTime day(int number) { return WallTime(std::chrono::days(number)); }

std::unique_ptr<const rules::Snapshot> partners(const std::vector<std::string>& keys) {
    config::Tree tree;
    config::Problems problems;
    for (const std::string& key : keys) EXPECT_TRUE(tree.set(key, "yes", {}, problems));
    auto rules = rules::compile(tree, 1, problems);
    EXPECT_NE(rules, nullptr);
    return rules;
}

PeerIdentity shown_until(int number, const std::string& name = "a.example") {
    PeerIdentity peer;
    peer.presented = peer.chain_valid = true;
    peer.dns_names = {name};
    peer.not_after = day(number);
    return peer;
}

TEST(SeenCertificates, TheLastOneOfEachPartnerIsKept) {  // C8
    const auto rules = partners({"partner/a.example/enabled", "federation.discovery"});
    SeenCertificates seen;
    seen.note(*rules, "a.example", shown_until(5), false, day(1));
    seen.note(*rules, "a.example", shown_until(90), false, day(2));
    seen.note(*rules, "discovered.example", shown_until(5, "discovered.example"), false, day(1));
    ASSERT_EQ(seen.rows().size(), 1U);
    EXPECT_EQ(seen.rows()[0].not_after, day(90));
    EXPECT_EQ(seen.rows()[0].seen_at, day(2));
    seen.recheck(*partners({"federation.discovery"}));
    EXPECT_TRUE(seen.rows().empty());
}

TEST(SeenCertificates, OneThatProvesNothingOrWhoseDatesDontCountIsNone) {
    const auto rules = partners({"partner/a.example/enabled"});
    SeenCertificates seen;
    PeerIdentity self_signed = shown_until(5);
    self_signed.chain_valid = false;
    PeerIdentity named = shown_until(5);
    named.dane = PeerIdentity::Dane::kServer;
    named.dane_domain = "a.example";
    const PeerIdentity of_his_hoster = shown_until(5, "host.example");
    for (const PeerIdentity& one : {self_signed, named, of_his_hoster, PeerIdentity()})
        seen.note(*rules, "a.example", one, false, day(1));
    EXPECT_TRUE(seen.rows().empty());
}

// Nobody we trust has signed it, and TLSA records say who has: its dates count.
TEST(SeenCertificates, OneOfAnAuthorityThatTlsaNamesIsOne) {
    const auto rules = partners({"partner/a.example/enabled"});
    SeenCertificates seen;
    PeerIdentity anchored = shown_until(5);
    anchored.chain_valid = false;
    anchored.dane = PeerIdentity::Dane::kAnchor;
    anchored.dane_domain = "a.example";
    seen.note(*rules, "a.example", anchored, false, day(1));
    EXPECT_EQ(seen.rows().size(), 1U);
}

// Anybody may call himself so.
TEST(SeenCertificates, WhoIsBelowAPatternHasNone) {
    const auto rules = partners({"partner/*.host.example/enabled"});
    SeenCertificates seen;
    seen.note(*rules, "a.host.example", shown_until(5, "*.host.example"), false, day(1));
    EXPECT_TRUE(seen.rows().empty());
}

TEST(SeenCertificates, AtTheBoundTheOneThatEndsLastGivesWay) {
    const int many = static_cast<int>(limits::kSeenCertificates);
    std::vector<std::string> keys = {"partner/one.more.example/enabled"};
    for (int i = 0; i < many; ++i) {
        keys.push_back("partner/d" + std::to_string(i) + ".example/enabled");
    }
    const auto rules = partners(keys);
    SeenCertificates seen;
    for (int i = 0; i < many; ++i) {
        const std::string name = "d" + std::to_string(i) + ".example";
        seen.note(*rules, name, shown_until(i == 7 ? 99 : 50, name), false, day(1));
    }
    seen.note(*rules, "one.more.example", shown_until(5, "one.more.example"), false, day(1));
    const auto rows = seen.rows();
    EXPECT_EQ(rows.size(), limits::kSeenCertificates);
    const auto is = [&rows](const char* name) {
        return std::ranges::find(rows, name, &SeenCertificate::their) != rows.end();
    };
    EXPECT_TRUE(is("one.more.example"));
    EXPECT_FALSE(is("d7.example"));
}

}  // namespace
}  // namespace fedgate::edge
