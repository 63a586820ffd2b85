#include "appliance/link/tickets.hpp"

#include <gtest/gtest.h>

namespace fedgate::link {
namespace {

TEST(LinkTickets, ANumberFindsWhatItStandsForAndNothingLater) {
    Tickets tickets;
    EXPECT_EQ(tickets.find(0), nullptr);
    const auto a = tickets.add(10, 1);
    const auto b = tickets.add(20, 2);
    ASSERT_NE(a, b);
    EXPECT_EQ(tickets.find(a)->theirs, 10u);
    EXPECT_EQ(tickets.find(b)->theirs, 20u);
    tickets.remove(a);
    EXPECT_EQ(tickets.find(a), nullptr);
    const auto c = tickets.add(30, 1);  // in the same place
    EXPECT_NE(a, c);
    EXPECT_EQ(tickets.find(a), nullptr);
    EXPECT_EQ(tickets.find(c)->theirs, 30u);
    EXPECT_EQ(tickets.find(b)->theirs, 20u);
    EXPECT_EQ(own_part(c), c);
    EXPECT_EQ(tickets.find(c + 1), nullptr);
    EXPECT_EQ(tickets.find(~0ULL), nullptr);
}

TEST(LinkTickets, TheBoundIsSaid) {
    Tickets tickets;
    for (std::size_t i = 0; i < limits::kLinkTickets; ++i) ASSERT_NE(tickets.add(i, 1 + i % 2), 0u);
    EXPECT_EQ(tickets.add(1, 1), 0u);
    std::size_t gone = 0;
    tickets.remove_all_of(2, [&](Ticket theirs) {
        EXPECT_EQ(theirs % 2, 1u);
        ++gone;
    });
    EXPECT_EQ(gone, limits::kLinkTickets / 2);
    EXPECT_EQ(tickets.count(), limits::kLinkTickets / 2);
    EXPECT_NE(tickets.add(1, 1), 0u);
}

TEST(LinkTickets, OthersMayComeWhileTheyGo) {
    Tickets tickets;
    static_cast<void>(tickets.add(1, 1));
    static_cast<void>(tickets.add(2, 1));
    tickets.remove_all_of(1, [&](Ticket theirs) { EXPECT_NE(tickets.add(theirs, 2), 0u); });
    EXPECT_EQ(tickets.count(), 2u);
}

}  // namespace
}  // namespace fedgate::link
