#include "core/base/rendezvous.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace fedgate {
namespace {

std::string winner(const std::vector<std::string>& nodes, std::size_t slot) {
    return *std::ranges::max_element(nodes, {},
                                     [&](const std::string& name) { return score_of(name, slot); });
}

TEST(Rendezvous, EachOfSeveralNodesHasItsShare) {
    const std::vector<std::string> nodes{"gw1.example", "gw2.example", "gw3.example",
                                         "gw4.example"};
    std::map<std::string, std::size_t> shares;
    for (std::size_t slot = 0; slot < kSlots; ++slot) ++shares[winner(nodes, slot)];
    for (const auto& name : nodes) {
        EXPECT_GT(shares[name], kSlots / 4 / 2) << name;
        EXPECT_LT(shares[name], kSlots / 4 * 3 / 2) << name;
    }
}

TEST(Rendezvous, OneThatGoesMovesOnlyItsOwnShare) {
    const std::vector<std::string> all{"gw1.example", "gw2.example", "gw3.example"};
    const std::vector<std::string> rest{"gw1.example", "gw3.example"};
    for (std::size_t slot = 0; slot < kSlots; ++slot) {
        if (winner(all, slot) != "gw2.example") {
            EXPECT_EQ(winner(all, slot), winner(rest, slot));
        }
    }
}

TEST(Rendezvous, ConversationsFillTheSlots) {
    std::array<std::size_t, kSlots> counts{};
    for (unsigned i = 0; i < 100 * kSlots; ++i) {
        char name[32];
        std::snprintf(name, sizeof name, "user%u@xmpp.example", i);
        ++counts[slot_of(name, "romeo@sip.example")];
    }
    EXPECT_GT(*std::ranges::min_element(counts), 50U);
    EXPECT_LT(*std::ranges::max_element(counts), 150U);
}

// Other versions and other machines must find the same.
TEST(Rendezvous, IsTheSameEverywhere) {
    EXPECT_EQ(slot_of("juliet@xmpp.example", "romeo@sip.example"),
              slot_of(hash_of_address("romeo", "sip.example",
                                      hash_of_address("juliet", "xmpp.example", 0))));
    EXPECT_EQ(slot_of("juliet@xmpp.example", "romeo@sip.example"), 175U);
    EXPECT_NE(slot_of("a@b", "c@d"), slot_of("c@d", "a@b"));
}

}  // namespace
}  // namespace fedgate
