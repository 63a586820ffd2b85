#include "net/revocation.hpp"

#include <gtest/gtest.h>

#include "tests/net/certificates.hpp"

namespace fedgate::net {
namespace {

using test::Certificates;
using test::wall_now;

const WallTime kTomorrow = wall_now() + std::chrono::days(1);

const TrustStore& roots() {
    static const TrustStore store =
        std::move(*TrustStore::parse(Certificates::get().text("ca.pem")));
    return store;
}

// Null lists: none. The fault of the chain in a PEM file.
std::string fault_of(const std::string& file, const RevocationLists* lists, Revocation how,
                     Bytes staple = {}, WallTime now = kTomorrow) {
    const auto ders = parse_pem_certificates(Certificates::get().text(file));
    EXPECT_TRUE(ders) << file;
    const std::vector<Bytes> chain(ders->begin(), ders->end());
    return fault_of_chain({.chain = chain, .staple = staple},
                          {.roots = &roots(), .revoked = lists, .revocation = how}, now);
}

RevocationLists lists_of(std::initializer_list<const char*> files) {
    RevocationLists lists;
    for (const char* file : files) {
        std::string fault;
        EXPECT_TRUE(lists.add(Certificates::get().text(file), fault)) << file << " " << fault;
    }
    return lists;
}

std::string refusal_of(std::string bytes) {
    RevocationLists lists;
    std::string fault;
    EXPECT_FALSE(lists.add(std::move(bytes), fault));
    EXPECT_EQ(lists.count(), 0u);
    return fault;
}

constexpr const char* kRevoked = "was revoked on 2026-01-31 (key compromise)";

// CERT-5, N13.
TEST(Revocation, WhatAListNamesIsRefused) {
    for (const char* file : {"both.crl", "both.der.crl"}) {
        const RevocationLists lists = lists_of({file});
        EXPECT_EQ(fault_of("good.pem", &lists, Revocation::kSoft), "");
        EXPECT_EQ(fault_of("good.pem", &lists, Revocation::kHard), "");
        for (const Revocation how : {Revocation::kSoft, Revocation::kHard}) {
            EXPECT_EQ(fault_of("second.pem", &lists, how), kRevoked);
            EXPECT_EQ(fault_of("revokedchain.pem", &lists, how),
                      how == Revocation::kHard
                          ? "can't be checked for revocation: no current list of inter covers it, "
                            "and revocation = hard"
                          : "is signed by inter, whose certificate was revoked on 2026-01-31 "
                            "(superseded)");
        }
        EXPECT_EQ(fault_of("second.pem", &lists, Revocation::kOff), "");
    }
}

TEST(Revocation, WithoutAListSoftPassesAndHardDoesNot) {
    EXPECT_EQ(fault_of("good.pem", nullptr, Revocation::kSoft), "");
    EXPECT_EQ(fault_of("good.pem", nullptr, Revocation::kHard),
              "can't be checked for revocation: no current list of ca covers it, and revocation = "
              "hard");
    const RevocationLists lists = lists_of({"empty.crl", "inter.crl"});  // root and intermediate
    EXPECT_EQ(fault_of("chained.pem", &lists, Revocation::kHard), "");
}

TEST(Revocation, AListThatTheIssuerDidNotSignSaysNothing) {
    const RevocationLists forged = lists_of({"forged.crl"});
    EXPECT_EQ(fault_of("second.pem", &forged, Revocation::kSoft), "");
    // The same name, another key: the signature decides.
    std::string bytes = Certificates::get().text("both.der.crl");
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
    RevocationLists touched;
    std::string fault;
    ASSERT_TRUE(touched.add(bytes, fault)) << fault;
    EXPECT_EQ(fault_of("second.pem", &touched, Revocation::kSoft), "");
    EXPECT_NE(fault_of("good.pem", &touched, Revocation::kHard), "");
}

// What is revoked stays revoked; that nothing else is says only a current list.
TEST(Revocation, AListHasItsTime) {
    const RevocationLists stale = lists_of({"stale.crl"});
    EXPECT_EQ(fault_of("second.pem", &stale, Revocation::kSoft), kRevoked);
    EXPECT_EQ(fault_of("good.pem", &stale, Revocation::kSoft), "");
    EXPECT_NE(fault_of("good.pem", &stale, Revocation::kHard), "");
    std::string issuer;
    EXPECT_LT(stale.next_update(issuer), kTomorrow);
    EXPECT_EQ(issuer, "ca");
    EXPECT_EQ(RevocationLists().next_update(issuer), WallTime::max());
}

// RFC 5280 5.2.5: a list that is published in parts, and one about end entities only.
TEST(Revocation, AListSpeaksOfItsOwnCertificatesOnly) {
    const RevocationLists shard = lists_of({"shard.crl"});
    EXPECT_EQ(fault_of("second.pem", &shard, Revocation::kSoft), kRevoked);
    EXPECT_EQ(fault_of("point.pem", &shard, Revocation::kHard), "");  // names that part
    EXPECT_NE(fault_of("good.pem", &shard, Revocation::kHard), "");   // may be in another
    const RevocationLists users = lists_of({"users.crl", "inter.crl"});
    EXPECT_EQ(fault_of("good.pem", &users, Revocation::kHard), "");
    EXPECT_NE(fault_of("chained.pem", &users, Revocation::kHard), "");  // inter is none of them
}

TEST(Revocation, ListsOfNoUseAreRefusedWithASentence) {
    const auto& files = Certificates::get();
    EXPECT_EQ(refusal_of(files.text("delta.crl")), "is a delta list; the complete one is needed");
    EXPECT_EQ(refusal_of(files.text("indirect.crl")),
              "is an indirect list; one of the certificates' own issuer is needed");
    EXPECT_EQ(refusal_of(files.text("weakcrl.crl")),
              "has a signature weaker than SHA-256, or an unknown one");
    EXPECT_EQ(refusal_of(files.text("ca.pem")), "holds no revocation list");
    EXPECT_EQ(refusal_of(""), "is not a well-formed revocation list");
    EXPECT_EQ(refusal_of(std::string(kRevocationListBytesMax + 1, '0')), "is above 32 MiB");
}

TEST(Revocation, EveryCutListIsMalformed) {
    const std::string der = Certificates::get().text("both.der.crl");
    for (std::size_t size = 0; size < der.size(); ++size) {
        EXPECT_EQ(refusal_of(der.substr(0, size)), "is not a well-formed revocation list") << size;
    }
    const std::string pem = Certificates::get().text("both.crl");
    EXPECT_NE(refusal_of(pem.substr(0, pem.size() / 2)), "");
}

TEST(Revocation, EveryByteOfAListMayBeHostile) {
    std::string der = Certificates::get().text("both.der.crl");
    for (std::size_t i = 0; i < der.size(); ++i) {
        const char was = der[i];
        for (const int value : {0x00, 0x7f, 0x80, 0x81, 0x84, 0xff}) {
            der[i] = static_cast<char>(value);
            RevocationLists lists;
            std::string fault;
            if (lists.add(der, fault)) {  // then its signature must not hold
                EXPECT_TRUE(der[i] == was ||
                            fault_of("second.pem", &lists, Revocation::kSoft).empty())
                    << i;
            }
        }
        der[i] = was;
    }
}

std::string staple(const char* file) {
    return Certificates::get().text(std::string(file) + ".ocsp");
}

// RFC 6960.
TEST(Revocation, AStapledResponseIsBelievedWhenTheIssuerMadeIt) {
    EXPECT_EQ(fault_of("good.pem", nullptr, Revocation::kHard, staple("good")), "");
    EXPECT_EQ(fault_of("good.pem", nullptr, Revocation::kHard, staple("good256")), "");
    EXPECT_EQ(fault_of("second.pem", nullptr, Revocation::kSoft, staple("second")), kRevoked);
    EXPECT_EQ(fault_of("second.pem", nullptr, Revocation::kSoft, staple("delegated")), kRevoked);
    EXPECT_EQ(fault_of("second.pem", nullptr, Revocation::kOff, staple("second")), "");
}

// RFC 6960 4.2.2.2.1: who made it may have been revoked himself.
TEST(Revocation, ADelegateMustBeKnownToBeGood) {
    const auto good = [](const char* name, const RevocationLists* lists) {
        return fault_of("good.pem", lists, Revocation::kHard, staple(name)).empty();
    };
    EXPECT_TRUE(good("by_nocheck", nullptr));
    EXPECT_TRUE(good("by_shortly", nullptr));
    EXPECT_FALSE(good("by_responder", nullptr));
    EXPECT_EQ(fault_of("good.pem", nullptr, Revocation::kSoft, staple("by_responder")), "");
    // A list that speaks of the users' certificates speaks of his, and says good of "good" besides:
    // so what shows is that he is revoked, and his word on another is not taken.
    const RevocationLists gone = lists_of({"gone.crl"});
    EXPECT_EQ(fault_of("second.pem", &gone, Revocation::kSoft, staple("delegated")), "");
    EXPECT_EQ(fault_of("second.pem", nullptr, Revocation::kSoft, staple("delegated")), kRevoked);
}

TEST(Revocation, AStapleThatSaysNothingLeavesItUnknown) {
    const struct {
        const char* certificate;
        const char* staple;
    } cases[] = {
        {"good.pem", "second"},   // about another certificate
        {"second.pem", "other"},  // signed by somebody whom nobody has asked
        {"point.pem", "unknown"},
        {"good.pem", "endless"},  // has no end: newer information is there already
        {"good.pem", "short"},    // over by tomorrow
    };
    for (const auto& one : cases) {
        EXPECT_EQ(fault_of(one.certificate, nullptr, Revocation::kSoft, staple(one.staple)), "")
            << one.staple;
        EXPECT_NE(fault_of(one.certificate, nullptr, Revocation::kHard, staple(one.staple)), "")
            << one.staple;
    }
    const WallTime before = wall_now() - std::chrono::days(1);  // and it was not yet made
    EXPECT_NE(fault_of("good.pem", nullptr, Revocation::kHard, staple("good"), before), "");
}

// A list and a staple: whoever says revoked is believed.
TEST(Revocation, AGoodStapleDoesNotHideAList) {
    const RevocationLists lists = lists_of({"both.crl"});
    EXPECT_EQ(fault_of("second.pem", &lists, Revocation::kSoft, staple("good")), kRevoked);
    const RevocationLists empty = lists_of({"empty.crl"});
    EXPECT_EQ(fault_of("second.pem", &empty, Revocation::kSoft, staple("second")), kRevoked);
}

TEST(Revocation, EveryByteOfAStapleMayBeHostile) {
    std::string bytes = staple("delegated");
    ASSERT_EQ(fault_of("second.pem", nullptr, Revocation::kSoft, bytes), kRevoked);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        EXPECT_EQ(fault_of("second.pem", nullptr, Revocation::kHard, bytes.substr(0, i))
                      .starts_with("can't be checked"),
                  true)
            << i;
        bytes[i] = static_cast<char>(bytes[i] ^ 0x01);
        const std::string fault = fault_of("second.pem", nullptr, Revocation::kHard, bytes);
        EXPECT_TRUE(fault == kRevoked || fault.starts_with("can't be checked")) << i << fault;
        bytes[i] = static_cast<char>(bytes[i] ^ 0x01);
    }
}

}  // namespace
}  // namespace fedgate::net
