#include "sip/transaction_key.hpp"

#include <map>
#include <random>

#include <gtest/gtest.h>

#include "tests/sip/sip_support.hpp"

namespace fedgate::sip {
namespace {

constexpr KeySecret kSecret = {1, 2};

struct Fields {
    std::string method = "INVITE";
    std::string via = "SIP/2.0/UDP Host.example:5060;branch=z9hG4bKabc";
    std::string from_tag = "1";
    std::string to_tag;
    std::string call_id = "c";
    std::string cseq_method = "INVITE";
};

test::Read make(const Fields& f) {
    test::Read read(test::crlf(
        f.method + " sip:b@h SIP/2.0\nVia: " + f.via + "\nFrom: <sip:a@h>;tag=" + f.from_tag +
        "\nTo: <sip:b@h>" + (f.to_tag.empty() ? "" : ";tag=" + f.to_tag) +
        "\nCall-ID: " + f.call_id + "\nCSeq: 7 " + f.cseq_method + "\nContent-Length: 0\n\n"));
    EXPECT_EQ(read.parse(Carrier::kStream).parsed.verdict, Verdict::kDone) << read.parsed.reason;
    return read;
}
TransactionKey key_of(const Fields& f) { return server_key(kSecret, make(f).message); }

TEST(TransactionKey, MatchesByBranchSentByAndMethod) {  // RFC 3261 17.2.3
    const Fields invite;
    EXPECT_EQ(key_of(invite), key_of(invite));
    Fields other = invite;
    other.call_id = "d";
    other.from_tag = "9";
    EXPECT_EQ(key_of(invite), key_of(other));  // nothing else counts with the cookie
    other = invite;
    other.via = "SIP/2.0/UDP hOST.example:5060;branch=z9hG4bKabc";
    EXPECT_EQ(key_of(invite), key_of(other));
    other.via = "SIP/2.0/UDP Host.example:5061;branch=z9hG4bKabc";
    EXPECT_NE(key_of(invite), key_of(other));
    other.via = "SIP/2.0/UDP Host.example:5060;branch=z9hG4bKabd";
    EXPECT_NE(key_of(invite), key_of(other));
    Fields ack = invite;
    ack.method = ack.cseq_method = "ACK";
    EXPECT_EQ(key_of(invite), key_of(ack));
    Fields cancel = invite;
    cancel.method = cancel.cseq_method = "CANCEL";
    EXPECT_NE(key_of(invite), key_of(cancel));
    EXPECT_EQ(key_of(invite), server_key(kSecret, make(cancel).message, "INVITE"));
    for (const char* const method : {"INVITE", "MESSAGE", "UPDATE", "ACK", "CANCEL"}) {
        Fields cancelled = invite;
        cancelled.method = cancelled.cseq_method = method;
        KeyIndex<int> index(1);
        ASSERT_TRUE(index.insert(key_of(cancelled), 7));
        const int* const found =
            find_cancelled(kSecret, make(cancel).message,
                           [&](const TransactionKey& key) { return index.find(key); });
        // An ACK has the key of its INVITE; a CANCEL is none to be cancelled.
        EXPECT_EQ(found != nullptr, std::string_view(method) != "CANCEL") << method;
    }
    EXPECT_NE(key_of(invite), server_key({1, 3}, make(invite).message));
}

TEST(TransactionKey, WithoutTheCookieTheWholeRequestMatches) {  // SIP-48
    for (const char* const branch : {"", ";branch=1", ";branch=z9hG4bK"}) {
        Fields invite;
        invite.via = std::string("SIP/2.0/UDP h") + branch;
        Fields other = invite;
        other.call_id = "d";
        EXPECT_NE(key_of(invite), key_of(other));
        other = invite;
        other.from_tag = "9";
        EXPECT_NE(key_of(invite), key_of(other));
        other = invite;
        other.via = std::string("SIP/2.0/UDP i") + branch;
        EXPECT_NE(key_of(invite), key_of(other));
        Fields ack = invite;
        ack.method = ack.cseq_method = "ACK";
        ack.to_tag = "x";
        EXPECT_EQ(key_of(invite), key_of(ack));
    }
    EXPECT_FALSE(has_branch_cookie("z9hG4bK"));
    EXPECT_TRUE(has_branch_cookie("Z9HG4BKx"));
}

TEST(TransactionKey, MergedRequestsHaveOneKey) {  // SIP-11
    const Fields one;
    Fields two = one;
    two.via = "SIP/2.0/UDP other;branch=z9hG4bKzzz";
    EXPECT_EQ(merge_key(kSecret, make(one).message), merge_key(kSecret, make(two).message));
    two.from_tag = "2";
    EXPECT_NE(merge_key(kSecret, make(one).message), merge_key(kSecret, make(two).message));
}

TEST(TransactionKey, BranchesTellCoreAndPlace) {  // SIP-13
    const BranchParts parts = {0x1234abcd, 0xfedc0042, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xab, 0xff}};
    const Branch branch = make_branch(parts);
    EXPECT_EQ(branch.view(), "z9hG4bK1234abcdfedc004200010203040506070809abff");
    EXPECT_EQ(read_branch(branch.view()), parts);
    EXPECT_EQ(read_branch("z9hg4bk1234ABCDFEDC004200010203040506070809ABFF"), parts);
    for (const char* const foreign :
         {"", "z9hG4bK", "z9hG4bKx", "1234abcdfedc004200010203040506070809abff",
          "xxxxxxx1234abcdfedc004200010203040506070809abff",
          "z9hG4bK1234abcgfedc004200010203040506070809abff",
          "z9hG4bK1234abcdfedc004200010203040506070809abfg",
          "z9hG4bK1234abcdfedc004200010203040506070809abff0"}) {
        EXPECT_EQ(read_branch(foreign), std::nullopt) << foreign;
    }
}

TEST(TransactionKey, TagsTellTheirCore) {  // SIP-13
    const TokenRandom random = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xab, 0xff};
    const Tag tag = make_tag(0x1234abcd, random);
    EXPECT_EQ(tag.view(), "1234abcd00010203040506070809abff");
    EXPECT_EQ(core_of_tag(tag.view()), 0x1234abcdU);
    for (const char* const foreign :
         {"", "1234", "1234abcd00010203040506070809abf", "1234abcd00010203040506070809abfg"}) {
        EXPECT_EQ(core_of_tag(foreign), std::nullopt) << foreign;
    }
}

TEST(KeyIndex, DoesWhatAMapDoes) {
    KeyIndex<int> index(100);
    std::map<std::uint64_t, int> model;
    std::mt19937 random(7);
    const auto key = [](std::uint64_t n) {
        return TransactionKey{n, n * 3 % 64};
    };  // many meet in one place
    for (int i = 0; i < 20'000; ++i) {
        const std::uint64_t n = random() % 150;
        switch (random() % 3) {
            case 0: {
                const bool room = model.size() < 100;
                EXPECT_EQ(index.insert(key(n), i), room && model.emplace(n, i).second);
                break;
            }
            case 1: EXPECT_EQ(index.erase(key(n)), model.erase(n) == 1); break;
            default: {
                const int* found = index.find(key(n));
                const auto it = model.find(n);
                ASSERT_EQ(found != nullptr, it != model.end());
                if (found != nullptr) {
                    EXPECT_EQ(*found, it->second);
                }
            }
        }
        ASSERT_EQ(index.count(), model.size());
    }
}

}  // namespace
}  // namespace fedgate::sip
