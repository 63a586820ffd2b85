// features.md U10: what a partner's user is told of our archive, when, and by whom.
#include <gtest/gtest.h>

#include "tests/gateway/world.hpp"
#include "tests/text.hpp"

namespace fedgate::gateway {
namespace {

using test::Settings;
using test::SipPhone;
using test::World;

class Archiving : public testing::Test {
protected:
    // Our user writes; the answer's status.
    std::string romeo_writes(const std::string& branch) {
        const std::size_t count = peer_->responses.size() + 1;
        peer_->send_tcp(world_.sip_address(), World::request(branch, "text " + branch));
        EXPECT_TRUE(world_.until([&] { return peer_->responses.size() == count; })) << branch;
        return peer_->responses.back().substr(8, 3);
    }
    void juliet_writes(const std::string& id, const std::string& more = {}) {
        const std::size_t count = peer_->requests.size() + 1;
        ASSERT_TRUE(world_.give(World::message(id, "text " + id, "juliet", "chat", more)));
        ASSERT_TRUE(world_.until([&] { return peer_->requests.size() == count; })) << id;
        world_.pass(10ms);  // its answer
    }
    // The bodies of what went to the partner since the last look.
    std::vector<std::string> told() {
        std::vector<std::string> bodies;
        for (; seen_ < world_.edge().stanzas.size(); ++seen_) {
            const std::string& stanza = world_.edge().stanzas[seen_];
            const std::size_t begin = stanza.find("<body>") + 6;
            bodies.push_back(has(stanza, "type='error'")
                                 ? "error"
                                 : stanza.substr(begin, stanza.find("</body>") - begin));
        }
        return bodies;
    }
    using Bodies = std::vector<std::string>;

    World world_{Settings{{"federation.archiving_notice", "yes"},
                          {"federation.archiving_text", "We keep <all>"}}};
    std::unique_ptr<SipPhone> peer_ = world_.peer();
    std::size_t seen_ = 0;
    const std::string notice_ = "We keep &lt;all&gt;";
};

TEST_F(Archiving, GoesBeforeTheFirstMessageOfOurUser) {
    EXPECT_EQ(romeo_writes("b1"), "200");
    EXPECT_EQ(told(), (Bodies{notice_, "text b1"}));
    const std::string notice = world_.edge().stanzas[0];
    EXPECT_TRUE(has(notice, "from='romeo@sip.example' to='juliet@xmpp.example'")) << notice;
    EXPECT_TRUE(has(notice, "<thread>call-b1</thread>")) << notice;
    EXPECT_FALSE(has(notice, "id='b1'")) << notice;
    EXPECT_EQ(romeo_writes("b2"), "200");
    juliet_writes("m1");
    EXPECT_EQ(told(), Bodies{"text b2"});  // once
    // That it could not be shown concerns nobody of ours.
    const std::size_t requests = peer_->requests.size();
    const std::size_t id = notice.find("id='") + 4;
    ASSERT_TRUE(
        world_.give("<message type='error' from='juliet@xmpp.example' to='romeo@sip.example' id='" +
                    notice.substr(id, notice.find('\'', id) - id) +
                    "'><error type='cancel'><service-unavailable "
                    "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"));
    world_.pass(1s);
    EXPECT_EQ(peer_->requests.size(), requests);
}

TEST_F(Archiving, AnswersTheFirstMessageOfThePartnersUser) {
    peer_->answer = [](const sip::Message&) { return 404; };
    juliet_writes("m1");
    EXPECT_EQ(told(), Bodies{"error"});  // nobody has read it
    peer_->answer = [](const sip::Message&) { return 200; };
    juliet_writes("m2", "<thread>the-thread</thread>");
    EXPECT_EQ(told(), Bodies{notice_});
    const std::string notice = world_.edge().stanzas.back();
    EXPECT_TRUE(has(notice, "from='romeo@sip.example' to='juliet@xmpp.example/balcony'")) << notice;
    EXPECT_TRUE(has(notice, "<thread>the-thread</thread>")) << notice;
    juliet_writes("m3");
    EXPECT_EQ(romeo_writes("b1"), "200");
    EXPECT_EQ(told(), Bodies{"text b1"});  // once
    // Typing begins nothing; another pair is another conversation.
    ASSERT_TRUE(
        world_.give("<message from='nurse@xmpp.example/x' to='romeo@sip.example' type='chat'>"
                    "<composing xmlns='http://jabber.org/protocol/chatstates'/></message>"));
    world_.pass(1s);
    EXPECT_EQ(told(), Bodies{});
    ASSERT_TRUE(world_.give(World::message("n1", "text n1", "nurse")));
    world_.pass(1s);
    EXPECT_EQ(told(), Bodies{notice_});
}

TEST_F(Archiving, ComesAgainWhereItsMessageFailed) {
    world_.edge().fault = link::Fault::kUnreachable;
    EXPECT_EQ(romeo_writes("b1"), "408");
    told();
    world_.edge().fault = link::Fault::kNone;
    world_.edge().at_once = false;
    peer_->send_tcp(world_.sip_address(), World::request("b2", "text b2"));
    ASSERT_TRUE(world_.until([&] { return world_.edge().stanzas.size() == 4; }));
    EXPECT_EQ(told(), (Bodies{notice_, "text b2"}));
    world_.gateway().on_outcome(
        {world_.edge().tickets.back(), link::Fate::kInDoubt, link::Fault::kUnreachable});
    world_.edge().at_once = true;
    EXPECT_EQ(romeo_writes("b3"), "504");  // of b2
    world_.pass(1s);
    EXPECT_EQ(told(), (Bodies{notice_, "text b3"}));
    // One that fails later has brought none.
    world_.edge().fault = link::Fault::kUnreachable;
    EXPECT_EQ(romeo_writes("b4"), "408");
    world_.pass(1s);
    world_.edge().fault = link::Fault::kNone;
    romeo_writes("b5");
    world_.pass(1s);
    EXPECT_EQ(told(), (Bodies{"text b4", "text b5"}));
}

// Held back together, in their order, and none twice.
TEST_F(Archiving, WaitsWithItsMessageForRoom) {
    for (const int refused : {1, 2, 3}) {
        const std::string branch = "b" + std::to_string(refused);
        const std::string from = "sip:u" + std::to_string(refused) + "@sip.example";
        world_.edge().refuse = refused;
        peer_->send_tcp(world_.sip_address(), World::request(branch, "text " + branch, "", "TCP",
                                                             "sip:juliet@xmpp.example", from));
        world_.pass(2s);
        EXPECT_EQ(told(), (Bodies{notice_, "text " + branch})) << refused;
    }
}

// The link takes the notice, and has no room for its message then.
class FullForTheSecond final : public link::EdgeDoor {
public:
    explicit FullForTheSecond(link::EdgeDoor& edge) : edge_(edge) {}
    bool take_stanza(const link::ToPartner& to) override {
        return ++count_ != 2 && edge_.take_stanza(to);
    }

private:
    link::EdgeDoor& edge_;
    int count_ = 0;
};

TEST_F(Archiving, IsNotSaidTwiceWhereItsMessageHasToWait) {
    FullForTheSecond door(world_.edge());
    world_.gateway().attach(door);
    EXPECT_EQ(romeo_writes("b1"), "200");
    EXPECT_EQ(told(), (Bodies{notice_, "text b1"}));
    world_.gateway().attach(world_.edge());
}

TEST_F(Archiving, IsSaidAgainWhenTheConversationWasForgotten) {
    juliet_writes("m1");
    EXPECT_EQ(told(), Bodies{notice_});
    world_.pass(59min);
    juliet_writes("m2");
    EXPECT_EQ(told(), Bodies{});
    world_.pass(61min);
    juliet_writes("m3");
    EXPECT_EQ(told(), Bodies{notice_});
}

TEST_F(Archiving, IsSwitchedWhileConversationsGoOn) {
    Settings settings = test::base_settings();
    const auto off = test::compile(settings);
    settings.emplace_back("federation.archiving_notice", "yes");
    const auto on = test::compile(settings);
    world_.gateway().reload(*off);
    EXPECT_EQ(romeo_writes("b1"), "200");
    juliet_writes("m1");
    EXPECT_EQ(told(), Bodies{"text b1"});
    world_.gateway().reload(*on);
    EXPECT_EQ(romeo_writes("b2"), "200");
    const Bodies bodies = told();
    ASSERT_EQ(bodies.size(), 2u);
    EXPECT_TRUE(has(bodies[0], "may be recorded and archived")) << bodies[0];
}

// Nobody of the two knows of a test that he is said to have made.
TEST_F(Archiving, HasNothingToDoWithTrials) {
    ASSERT_EQ(world_.gateway().begin_trial(
                  {1, true, "romeo@sip.example", "juliet@xmpp.example", "a test"}),
              TrialStart::kBegun);
    ASSERT_TRUE(world_.until([&] { return world_.gateway().trial(1).taken; }));
    ASSERT_EQ(world_.gateway().begin_trial(
                  {2, false, "romeo@sip.example", "juliet@xmpp.example", "a test"}),
              TrialStart::kBegun);
    world_.pass(1s);
    for (const std::string& body : told()) EXPECT_NE(body, notice_);
}

}  // namespace
}  // namespace fedgate::gateway
