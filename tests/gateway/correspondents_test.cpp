#include "appliance/gateway/correspondents.hpp"

#include <random>
#include <string>

#include <gtest/gtest.h>

#include "tests/gateway/world.hpp"

namespace fedgate::gateway {
namespace {

using test::Settings;

const KeyMaker kKeyMaker({3, 5});

std::string text_of(const AddressView& address) {
    std::string text;
    for (const Bytes part : {address.jid.local, address.jid.domain, address.jid.resource,
                             address.domain_ascii, address.user}) {
        text.append(part).append("|");
    }
    return text;
}

std::string text_of(const Key& key) {
    return std::to_string(key.high) + "." + std::to_string(key.low) + "|";
}

std::string text_of(const Correspondence& what) {
    return text_of(what.from) + text_of(what.to) + (what.domain ? what.domain->name : "-") + "|" +
           (what.partner ? what.partner->domain : "-") + "|" +
           std::string(rules::explain(what.decision.reason)) + "|" +
           (what.decision.policy ? what.decision.policy->name : "-") + "|" + text_of(what.pair) +
           text_of(what.sender) + text_of(what.resource) + std::string(what.from_uri) + "|" +
           std::string(what.to_uri) + (what.good ? "|good" : "|") +
           (what.malformed ? "|malformed" : "|");
}

std::string without_memory(const Correspondents& of, Bytes from, Bytes to) {
    Correspondence what;
    std::vector<char> memory(65'536);
    Sink sink{MutableBytes(memory)};
    of.work_out(from, to, what, sink);
    return text_of(what);
}

Settings settings(bool phones, const char* press) {
    Settings all = test::base_settings();
    all.insert(all.end(), {{"domain/sip2.example/next_hop", "sip:10.99.0.1:5070;transport=tcp"},
                           {"domain/sip2.example/phone", phones ? "yes" : "no"},
                           {"partner/b\xC3\xBC"
                            "cher.example/type",
                            "public_unverified"},
                           {"policy/press/federation_access", press},
                           {"policy/press/xmpp_access", "yes"},
                           {"user/alice@sip.example/policy", "press"}});
    return all;
}

class Addresses {
public:
    std::string next() {
        static const char* const kLocals[] = {"",
                                              "alice",
                                              "Alice",
                                              "b\xC3\xB6"
                                              "b",
                                              "d\\27artagnan",
                                              "+1555123",
                                              "a b",
                                              "x\\41",
                                              "\xEF\xBC\xA1li"};
        static const char* const kDomains[] = {"xmpp.example",
                                               "XMPP.example",
                                               "b\xC3\xBC"
                                               "cher.example",
                                               "xn--bcher-kva.example",
                                               "sip.example",
                                               "sip2.example",
                                               "other.example",
                                               "-bad-.example",
                                               ""};
        static const char* const kResources[] = {"", "balcony", "Balcony 2", "\xE2\x98\x83",
                                                 "a/b@c"};
        std::string local = pick(kLocals);
        if (random() % 4 == 0) local += std::to_string(random() % 3'000);
        if (random() % 40 == 0) local.append(random() % 600, 'l');
        const std::string resource = pick(kResources);
        return (local.empty() ? "" : local + "@") + pick(kDomains) +
               (resource.empty() ? "" : "/" + resource);
    }
    unsigned random() { return static_cast<unsigned>(engine_()); }

private:
    template <std::size_t kCount>
    std::string pick(const char* const (&of)[kCount]) {
        return of[random() % kCount];
    }
    std::mt19937 engine_{1};
};

// Kept or not, the rules changed or not: the same answers.
TEST(Correspondents, KeepsWhatItWouldWorkOut) {
    const auto first = test::compile(settings(false, "yes"));
    const auto second = test::compile(settings(true, "no"));
    Correspondents kept(kKeyMaker);
    Addresses addresses;
    std::vector<std::pair<std::string, std::string>> pairs;
    for (int i = 0; i < 20'000; ++i) pairs.emplace_back(addresses.next(), addresses.next());
    std::size_t good = 0;
    std::size_t malformed = 0;
    for (const rules::Snapshot* rules : {first.get(), second.get(), first.get()}) {
        kept.reload(*rules);
        for (int i = 0; i < 40'000; ++i) {
            // Half of them among few pairs, which are kept; the others push each other out.
            const auto& [from, to] =
                pairs[addresses.random() % (i % 2 == 0 ? 2'000 : pairs.size())];
            const Correspondence& what = kept.find(from, to, i % 8 != 0);
            good += what.good;
            malformed += what.malformed;
            ASSERT_EQ(text_of(what), without_memory(kept, from, to)) << from << " to " << to;
        }
    }
    EXPECT_GT(good, 10'000u);
    EXPECT_GT(malformed, 10'000u);
}

TEST(Correspondents, FindsThePairThatItKeeps) {
    const auto rules = test::compile(settings(false, "yes"));
    Correspondents kept(kKeyMaker);
    kept.reload(*rules);
    const Correspondence* first = &kept.find("a@xmpp.example/r", "b@sip.example", true);
    EXPECT_EQ(first->from_uri, "sip:a@xmpp.example;gr=r");
    const Correspondence* other = &kept.find("a@xmpp.example/r", "c@sip.example", true);
    EXPECT_NE(first, other);
    EXPECT_EQ(first, &kept.find("a@xmpp.example/r", "b@sip.example", true));
    EXPECT_EQ(other, &kept.find("a@xmpp.example/r", "c@sip.example", true));
    EXPECT_EQ(kept.find("a@xmpp.example/r", "b@sip.example", true).to_uri, "sip:b@sip.example");
    // A text that ends elsewhere is another pair.
    EXPECT_TRUE(kept.find("a@xmpp.example/rb", "@sip.example", true).malformed);
}

TEST(Correspondents, KeepsNamesThatAreNotLatin) {
    const auto rules = test::compile(settings(false, "yes"));
    Correspondents kept(kKeyMaker);
    kept.reload(*rules);
    const Bytes from = "владимир.высоцкий@xmpp.example/Рабочий-стол";
    const Bytes to = "анна.каренина@sip.example";
    const Correspondence* const first = &kept.find(from, to, true);
    EXPECT_TRUE(first->good);
    EXPECT_NE(first, &kept.find("a@xmpp.example", "b@sip.example", false));
    EXPECT_EQ(first, &kept.find(from, to, true));
    EXPECT_EQ(text_of(*first), without_memory(kept, from, to));
}

TEST(Correspondents, WhatIsNotKeptTakesNoPlace) {
    const auto rules = test::compile(settings(false, "yes"));
    Correspondents kept(kKeyMaker);
    kept.reload(*rules);
    const Correspondence* const other = &kept.find("", "", false);
    const auto from = [](int i) { return "a" + std::to_string(i) + "@xmpp.example/r"; };
    const auto known = [&] {
        int count = 0;
        for (int i = 0; i < 20'000; ++i) {
            count += &kept.find(from(i), "b@sip.example", false) != other;
        }
        return count;
    };
    for (int i = 0; i < 20'000; ++i) {
        static_cast<void>(kept.find(from(i), "b@sip.example", true));
    }
    const int before = known();
    EXPECT_GT(before, 7'000);
    const std::string long_name(300, 'l');
    for (int i = 0; i < 20'000; ++i) {
        EXPECT_EQ(&kept.find(from(i), "b@other.example", true), other);
        if (i % 10 == 0) {
            EXPECT_EQ(&kept.find(from(i), long_name + "@sip.example", true), other);
        }
    }
    EXPECT_EQ(known(), before);
}

TEST(PairMemo, RemembersWhatItDoesNotKeep) {
    PairMemo<int> memo;
    int count = 0;
    const auto refuse = [&count](Bytes, Bytes, int&, Sink&) { return ++count < 0; };
    const auto no_room = [&count](Bytes, Bytes, int&, Sink& memory) {
        for (std::size_t i = 0; i < kCorrespondenceBytes; ++i) memory.append('x');
        return ++count > 0;
    };
    EXPECT_EQ(memo.make("a", "b", refuse), nullptr);
    EXPECT_EQ(memo.make("a", "b", refuse), nullptr);
    EXPECT_EQ(count, 1);
    EXPECT_EQ(memo.make("c", "d", no_room), nullptr);
    EXPECT_EQ(memo.make("c", "d", no_room), nullptr);
    EXPECT_EQ(count, 2);
    memo.clear();
    EXPECT_EQ(memo.make("a", "b", refuse), nullptr);
    EXPECT_EQ(count, 3);
}

TEST(PairMemo, APlaceIsGoodForAsLongAsItHasTheSamePair) {
    PairMemo<int> memo;
    const auto keep = [](int number) {
        return [number](Bytes, Bytes, int& what, Sink&) { return (what = number) != 0; };
    };
    EXPECT_EQ(memo.find(PairMemo<int>::Place{}), nullptr);
    ASSERT_NE(memo.make("a", "b", keep(1)), nullptr);
    const PairMemo<int>::Place place = memo.latest();
    ASSERT_NE(memo.make("c", "d", keep(2)), nullptr);
    ASSERT_NE(memo.find(place), nullptr);
    EXPECT_EQ(*memo.find(place), 1);
    ASSERT_NE(memo.find("a", "b"), nullptr);
    EXPECT_EQ(memo.find(memo.latest()), memo.find(place));
    // Others take its place, and it is worked out again somewhere.
    int gone_at = 0;
    for (int i = 0; i < 1'000'000 && gone_at == 0; ++i) {
        static_cast<void>(memo.make("x" + std::to_string(i), "y", keep(3)));
        if (memo.find(place) == nullptr) gone_at = i;
    }
    EXPECT_GT(gone_at, 0);
    ASSERT_NE(memo.make("a", "b", keep(4)), nullptr);
    const PairMemo<int>::Place second = memo.latest();
    EXPECT_EQ(*memo.find(second), 4);
    memo.clear();
    EXPECT_EQ(memo.find(second), nullptr);
    EXPECT_EQ(memo.find(place), nullptr);
}

}  // namespace
}  // namespace fedgate::gateway
