// fedctl test im: what becomes of an administrator's message, and who hears nothing of it.
#include <gtest/gtest.h>

#include "appliance/gateway/engine.hpp"
#include "tests/gateway/world.hpp"

namespace fedgate::gateway {
namespace {

using test::SipPhone;
using test::World;

class Trial : public testing::Test {
protected:
    TrialRow begin(bool to_sip, const std::string& xmpp = "juliet@xmpp.example") {
        const TrialOrder order{++last_, to_sip, "romeo@sip.example", xmpp, "a test"};
        EXPECT_EQ(world_.gateway().begin_trial(order), TrialStart::kBegun);
        return row();
    }
    TrialRow row() { return world_.gateway().trial(last_); }
    // Of the message; the ping is behind it.
    void tell(link::Fate fate) {
        const auto& tickets = world_.edge().tickets;
        world_.gateway().on_outcome({tickets[tickets.size() - 2], fate, link::Fault::kUnreachable});
    }
    std::string last_message() { return *(world_.edge().stanzas.end() - 2); }
    static std::string id_of(const std::string& stanza) {
        const std::size_t begin = stanza.find(" id='") + 5;
        return stanza.substr(begin, stanza.find('\'', begin) - begin);
    }

    World world_;
    std::unique_ptr<SipPhone> peer_ = world_.peer();
    std::uint64_t last_ = 0;
};

TEST_F(Trial, IsWrittenAcknowledgedAndReceived) {
    world_.edge().at_once = false;
    EXPECT_FALSE(begin(false).taken);
    const std::string message = last_message();
    const std::string ping = world_.edge().stanzas.back();
    EXPECT_NE(message.find("a test"), std::string::npos);
    EXPECT_NE(message.find("urn:xmpp:receipts"), std::string::npos);
    EXPECT_NE(ping.find("urn:xmpp:ping"), std::string::npos);
    world_.pass(20ms);
    tell(link::Fate::kWritten);
    EXPECT_TRUE(row().taken && !row().acknowledged);
    EXPECT_GE(row().taken_after, 20ms);
    world_.pass(20ms);
    const std::size_t stanzas = world_.edge().stanzas.size();
    for (const char* from : {"mallory", "juliet"}) {  // only who was asked can say
        ASSERT_FALSE(row().acknowledged);
        ASSERT_TRUE(world_.give("<iq type='result' from='" + std::string(from) +
                                "@xmpp.example' to='romeo@sip.example' id='" + id_of(ping) +
                                "'/>"));
    }
    EXPECT_TRUE(row().acknowledged && !row().received);
    EXPECT_GE(row().acknowledged_after, 40ms);
    EXPECT_EQ(world_.edge().stanzas.size(), stanzas);
    ASSERT_TRUE(world_.give(
        World::message("r1", "", "juliet", "chat",
                       "<received xmlns='urn:xmpp:receipts' id='" + id_of(message) + "'/>")));
    EXPECT_TRUE(row().received);
    world_.pass(5s);
    EXPECT_TRUE(peer_->requests.empty());  // romeo has not written it
    EXPECT_EQ(world_.edge().stanzas.size(), stanzas);
}

TEST_F(Trial, IsToldOfWhatGoesWrong) {
    world_.edge().fault = link::Fault::kNotTrusted;
    EXPECT_EQ(begin(false).fault, "403 Federation Not Possible");
    world_.edge().fault = link::Fault::kNone;
    EXPECT_TRUE(begin(false).taken);
    tell(link::Fate::kInDoubt);
    EXPECT_NE(row().fault.find("may or may not have arrived"), std::string::npos);
    begin(false);  // nobody is there
    ASSERT_TRUE(
        world_.give("<message type='error' from='juliet@xmpp.example' "
                    "to='romeo@sip.example' id='" +
                    id_of(last_message()) +
                    "'><error type='cancel'><service-unavailable "
                    "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"));
    EXPECT_EQ(row().fault, "service-unavailable");
    EXPECT_NE(begin(false, "juliet@stranger.example").fault.find("federation.discovery"),
              std::string::npos);
    world_.pass(5s);
    EXPECT_TRUE(peer_->requests.empty());
    EXPECT_EQ(world_.gateway().trial(77).id, 0u);
}

TEST_F(Trial, ToSipIsAnsweredByTheServer) {
    const std::size_t before = world_.edge().stanzas.size();
    begin(true);
    ASSERT_TRUE(world_.until([&] { return row().taken; }));
    EXPECT_EQ(row().status, 200);
    EXPECT_EQ(world_.count(Counter::kMessagesX2sDelivered), 1u);
    EXPECT_NE(peer_->requests.back().find("a test"), std::string::npos);
    peer_->answer = [](const sip::Message&) { return 404; };
    begin(true);
    ASSERT_TRUE(world_.until([&] { return !row().fault.empty(); }));
    EXPECT_TRUE(row().fault.starts_with("404 ")) << row().fault;
    EXPECT_EQ(world_.count(Counter::kMessagesX2sAccepted), 2u);  // and as many have ended
    EXPECT_EQ(world_.count(Counter::kMessagesX2sRefused), 1u);
    EXPECT_EQ(world_.edge().stanzas.size(), before);  // juliet has not written it
    EXPECT_NE(begin(true, "juliet@stranger.example").fault.find("not"), std::string::npos);
}

TEST_F(Trial, TheOldestGivesWay) {
    const TrialOrder no{1, false, "@", "juliet@xmpp.example", "x"};
    EXPECT_EQ(world_.gateway().begin_trial(no), TrialStart::kNoAddress);
    for (std::size_t i = 0; i <= kTrials; ++i) begin(false);
    EXPECT_EQ(world_.gateway().trial(1).id, 0u);
    EXPECT_EQ(world_.gateway().trial(2).id, 2u);
}

}  // namespace
}  // namespace fedgate::gateway
