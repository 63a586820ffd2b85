#include "net/dane.hpp"

#include <gtest/gtest.h>

#include "core/base/hash.hpp"
#include "net/revocation.hpp"
#include "tests/net/certificates.hpp"

namespace fedgate::net {
namespace {

using Dane = PeerIdentity::Dane;
using test::Certificates;

constexpr std::uint8_t kPkixTa = 0, kPkixEe = 1, kDaneTa = 2, kDaneEe = 3;
constexpr std::uint8_t kWhole = 0, kKey = 1;
constexpr std::uint8_t kFull = 0, kSha256 = 1, kSha512 = 2;

std::string der(const std::string& name) { return Certificates::get().text(name + ".der"); }

TlsaRecord record(std::uint8_t usage, std::uint8_t selector, std::uint8_t matching,
                  const std::string& name) {
    const std::string whole = der(name);
    const auto parsed = parse_certificate(whole);
    EXPECT_TRUE(parsed);
    const std::string chosen(selector == kWhole ? Bytes(whole) : parsed->key.info);
    TlsaRecord made{usage, selector, matching, chosen};
    if (matching == kSha256) {
        const auto digest = sha256({chosen});
        made.data.assign(digest.begin(), digest.end());
    } else if (matching == kSha512) {
        const auto digest = sha512({chosen});
        made.data.assign(digest.begin(), digest.end());
    }
    return made;
}

DaneQuestion question_of(const std::vector<TlsaRecord>& records) {
    DaneQuestion question{"domain.example", {}};
    if (auto usable = usable_tlsa(records); !usable.empty())
        question.servers.push_back({"host.example", std::move(usable)});
    return question;
}

// What is said of a peer that shows these, against this root.
PeerIdentity judge(
    std::vector<TlsaRecord> records, const std::vector<std::string>& shown, const std::string& root,
    WallTime now = std::chrono::floor<WallTime::duration>(std::chrono::system_clock::now())) {
    std::vector<std::string> ders;
    for (const std::string& name : shown) ders.push_back(der(name));
    const std::vector<Bytes> chain(ders.begin(), ders.end());
    const auto trust = TrustStore::of({der(root)});
    EXPECT_TRUE(trust);
    PeerIdentity peer = identify_peer({.chain = chain}, {.roots = &*trust}, now);
    judge_dane(question_of(records), {.chain = chain}, {.roots = &*trust}, now, peer);
    return peer;
}

// CERT-8, RFC 6698 2.1: selectors and matching types.
TEST(Dane, AServersOwnRecordNeedsNoChain) {
    for (const std::uint8_t selector : {kWhole, kKey}) {
        for (const std::uint8_t matching : {kFull, kSha256, kSha512}) {
            const PeerIdentity peer =
                judge({record(kDaneEe, selector, matching, "good")}, {"good"}, "other");
            EXPECT_EQ(peer.dane, Dane::kServer) << int(selector) << int(matching);
            EXPECT_EQ(peer.dane_domain, "domain.example");
            EXPECT_EQ(peer.dane_hosts, std::vector<std::string>{"host.example"});
            EXPECT_FALSE(peer.chain_valid);
            EXPECT_EQ(judge({record(kDaneEe, selector, matching, "second")}, {"good"}, "ca").dane,
                      Dane::kRefused);
        }
    }
    // Dates do not count (RFC 7671 5.1), an authority's certificate neither, a weak key does.
    const WallTime later = std::chrono::sys_days{std::chrono::year{2090} / 1 / 1};
    EXPECT_EQ(judge({record(kDaneEe, kKey, kSha256, "good")}, {"good"}, "ca", later).dane,
              Dane::kServer);
    EXPECT_EQ(judge({record(kDaneEe, kKey, kSha256, "rsa1024")}, {"rsa1024"}, "ca").dane,
              Dane::kRefused);
    EXPECT_EQ(judge({record(kDaneEe, kKey, kSha256, "rsa2048")}, {"rsa2048"}, "other").dane,
              Dane::kServer);
}

// A valid chain does not make up for records that name another: no PKIX instead.
TEST(Dane, UsableRecordsMustMatch) {
    const PeerIdentity peer = judge({record(kDaneEe, kKey, kSha256, "second")}, {"good"}, "ca");
    EXPECT_TRUE(peer.chain_valid);
    EXPECT_EQ(peer.dane, Dane::kRefused);
    EXPECT_NE(peer.fault.find("TLSA"), std::string::npos);
    // One of several is enough: keys are exchanged that way (RFC 7671 8).
    EXPECT_EQ(judge({record(kDaneEe, kKey, kSha256, "second"), record(kDaneEe, 0, 2, "good")},
                    {"good"}, "ca")
                  .dane,
              Dane::kServer);
    EXPECT_EQ(judge({record(kDaneEe, kKey, kSha256, "good")}, {}, "ca").dane, Dane::kRefused);
}

TEST(Dane, AnAnchorOfItsOwn) {
    // The authority in the chain, an intermediate one, or in the record itself.
    EXPECT_EQ(judge({record(kDaneTa, kKey, kSha256, "ca")}, {"good", "ca"}, "other").dane,
              Dane::kAnchor);
    EXPECT_EQ(
        judge({record(kDaneTa, kWhole, kSha512, "inter")}, {"chained", "inter"}, "other").dane,
        Dane::kAnchor);
    EXPECT_EQ(judge({record(kDaneTa, kWhole, kFull, "ca")}, {"good"}, "other").dane, Dane::kAnchor);
    // Not shown; not above it; above another; the server is no authority; out of date.
    EXPECT_EQ(judge({record(kDaneTa, kKey, kSha256, "ca")}, {"good"}, "ca").dane, Dane::kRefused);
    EXPECT_EQ(judge({record(kDaneTa, kKey, kSha256, "other")}, {"good", "other"}, "ca").dane,
              Dane::kRefused);
    EXPECT_EQ(judge({record(kDaneTa, kKey, kSha256, "ca")}, {"weak_ca", "ca"}, "other").dane,
              Dane::kRefused);
    EXPECT_EQ(judge({record(kDaneTa, kKey, kSha256, "good")}, {"good"}, "ca").dane, Dane::kRefused);
    const WallTime later = std::chrono::sys_days{std::chrono::year{2090} / 1 / 1};
    EXPECT_EQ(judge({record(kDaneTa, kKey, kSha256, "ca")}, {"good", "ca"}, "ca", later).dane,
              Dane::kRefused);
}

TEST(Dane, BesidesAValidChain) {
    EXPECT_EQ(judge({record(kPkixEe, kKey, kSha256, "good")}, {"good"}, "ca").dane,
              Dane::kBesidesChain);
    EXPECT_EQ(judge({record(kPkixEe, kKey, kSha256, "good")}, {"good"}, "other").dane,
              Dane::kRefused);
    EXPECT_EQ(judge({record(kPkixEe, kKey, kSha256, "second")}, {"good"}, "ca").dane,
              Dane::kRefused);
    // The root need not be shown.
    EXPECT_EQ(judge({record(kPkixTa, kKey, kSha256, "ca")}, {"good"}, "ca").dane,
              Dane::kBesidesChain);
    EXPECT_EQ(judge({record(kPkixTa, kWhole, kFull, "inter")}, {"chained", "inter"}, "ca").dane,
              Dane::kBesidesChain);
    EXPECT_EQ(judge({record(kPkixTa, kKey, kSha256, "ca")}, {"good", "ca"}, "other").dane,
              Dane::kRefused);
    EXPECT_EQ(judge({record(kPkixTa, kKey, kSha256, "inter")}, {"good", "inter"}, "ca").dane,
              Dane::kRefused);
}

// CERT-5 below an authority that the records name.
TEST(Dane, AStapleHoldsToo) {
    const WallTime now = std::chrono::floor<WallTime::duration>(std::chrono::system_clock::now());
    const auto dane = [&](const std::string& name, Revocation how) {
        const std::string server = der(name), ca = der("ca");
        const std::string staple = Certificates::get().text(name + ".ocsp");
        const std::vector<Bytes> chain{server, ca};
        const Shown shown{.chain = chain, .staple = staple};
        const PeerTerms terms{.revocation = how};
        PeerIdentity peer = identify_peer(shown, terms, now);
        judge_dane(question_of({record(kDaneTa, kKey, kSha256, "ca")}), shown, terms, now, peer);
        return peer.dane;
    };
    EXPECT_EQ(dane("second", Revocation::kSoft), Dane::kRefused);
    EXPECT_EQ(dane("second", Revocation::kOff), Dane::kAnchor);
    EXPECT_EQ(dane("good", Revocation::kHard), Dane::kAnchor);
}

// What the administrator has said of the partner holds besides: pins (CERT-7), what is revoked
// (N13), the usage (CERT-6).
TEST(Dane, TheTermsForThePartnerHold) {
    const WallTime now = std::chrono::floor<WallTime::duration>(std::chrono::system_clock::now());
    const std::string good = der("good"), second = der("second"), ca = der("ca");
    const auto judged = [&](const TlsaRecord& record, Bytes server, const PeerTerms& terms) {
        const std::vector<Bytes> chain{server, ca};
        PeerIdentity peer = identify_peer({.chain = chain}, terms, now);
        judge_dane(question_of({record}), {.chain = chain}, terms, now, peer);
        return peer;
    };
    const auto trust = TrustStore::of({ca});
    ASSERT_TRUE(trust);
    const auto digest = to_hex(sha256({second}));
    const std::vector<std::string> pins{{digest.data(), digest.size()}};
    for (const std::uint8_t usage : {kDaneEe, kDaneTa}) {
        const TlsaRecord says_good = record(usage, kKey, kSha256, usage == kDaneEe ? "good" : "ca");
        const PeerIdentity peer = judged(says_good, good, {.pins = pins});
        EXPECT_EQ(peer.dane, Dane::kBesidesChain) << int(usage);
        EXPECT_FALSE(peer.chain_valid);
        EXPECT_NE(peer.fault.find("pinned"), std::string::npos) << peer.fault;
    }
    EXPECT_EQ(judged(record(kDaneEe, kKey, kSha256, "second"), second, {.pins = pins}).dane,
              Dane::kBesidesChain);
    RevocationLists lists;
    std::string fault;
    ASSERT_TRUE(lists.add(Certificates::get().text("both.crl"), fault)) << fault;
    const TlsaRecord anchor = record(kDaneTa, kKey, kSha256, "ca");
    EXPECT_EQ(judged(anchor, second, {.roots = &*trust, .revoked = &lists}).dane, Dane::kRefused);
    EXPECT_EQ(judged(anchor, good, {.roots = &*trust, .revoked = &lists}).dane, Dane::kAnchor);
}

// Of somebody who connects to us: he may be any of the domain's servers.
TEST(Dane, AnyOfSeveralServers) {
    const WallTime now = std::chrono::floor<WallTime::duration>(std::chrono::system_clock::now());
    const std::string good = der("good"), ca = der("ca");
    const std::vector<Bytes> chain{good, ca};
    const auto judged = [&](DaneQuestion question) {
        PeerIdentity peer = identify_peer({.chain = chain}, {}, now);
        judge_dane(question, {.chain = chain}, {}, now, peer);
        return peer;
    };
    const DaneQuestion::Server other{"one.example", {record(kDaneEe, kKey, kSha256, "second")}};
    const DaneQuestion::Server anchor{"two.example", {record(kDaneTa, kKey, kSha256, "ca")}};
    const DaneQuestion::Server own{"three.example", {record(kDaneEe, kKey, kSha256, "good")}};
    PeerIdentity peer = judged({"domain.example", {other, anchor}});
    EXPECT_EQ(peer.dane, Dane::kAnchor);
    EXPECT_EQ(peer.dane_hosts, std::vector<std::string>{"two.example"});
    peer = judged({"domain.example", {anchor, other, own}});
    EXPECT_EQ(peer.dane, Dane::kServer);
    EXPECT_EQ(peer.dane_hosts, (std::vector<std::string>{"two.example", "three.example"}));
    EXPECT_EQ(judged({"domain.example", {other}}).dane, Dane::kRefused);
    // What DNS keeps back may be what he is; the chain does not count instead.
    EXPECT_EQ(judged({"domain.example", {own}, true}).dane, Dane::kServer);
    peer = judged({"domain.example", {other}, true});
    EXPECT_EQ(peer.dane, Dane::kRefused);
    EXPECT_NE(peer.fault.find("does not tell"), std::string::npos) << peer.fault;
    EXPECT_EQ(judged({"domain.example", {}, true}).dane, Dane::kRefused);
    EXPECT_EQ(judged({"domain.example", {}}).dane, Dane::kNone);
}

// RFC 7671 4: as if they were not there.
TEST(Dane, RecordsThatCanNotBeUnderstoodDoNotCount) {
    const std::vector<TlsaRecord> odd = {
        {4, 0, 1, std::string(32, 'x')},
        {255, 0, 1, std::string(32, 'x')},
        {3, 2, 1, std::string(32, 'x')},
        {3, 1, 3, std::string(32, 'x')},
        {3, 1, 1, std::string(31, 'x')},
        {3, 1, 2, std::string(32, 'x')},
        {3, 1, 0, ""},
        {3, 0, 0, std::string(100'000, 'x')},
    };
    EXPECT_TRUE(usable_tlsa(odd).empty());
    const PeerIdentity peer = judge(odd, {"good"}, "ca");
    EXPECT_EQ(peer.dane, Dane::kNone);
    EXPECT_TRUE(peer.chain_valid);
    EXPECT_TRUE(peer.dane_domain.empty());
    EXPECT_EQ(usable_tlsa(std::vector(1'000, record(3, 1, 1, "good"))).size(), 16u);
    // Garbage that claims to be an authority.
    EXPECT_EQ(judge({{kDaneTa, kWhole, kFull, "garbage"}}, {"good"}, "ca").dane, Dane::kRefused);
}

}  // namespace
}  // namespace fedgate::net
