// The verdict on a test message, and the schedule of them.
#include "appliance/admin/trials.hpp"

#include <sstream>

#include "appliance/admin/trial_tool.hpp"
#include "tests/admin/control_fixture.hpp"

namespace fedgate::admin {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::IsSubstring;

Trial taken_trial(Duration age) {
    Trial trial;
    trial.age = age;
    trial.taken = true;
    trial.taken_after = trial.acknowledged_after = milliseconds(20);
    return trial;
}

TEST(TrialVerdict, GoodIsWhatIsKnownToHaveArrived) {
    Trial trial;
    EXPECT_FALSE(judge(trial, false, seconds(30)).over);
    trial.age = seconds(30);
    EXPECT_EQ(judge(trial, false, seconds(30)).fault,
              "no stream with their server came up within 30 s");
    trial = taken_trial(seconds(2));
    EXPECT_FALSE(judge(trial, false, seconds(30)).over);
    trial.age = seconds(30);
    EXPECT_EQ(judge(trial, false, seconds(30)).fault,
              "it was sent, and no answer of their server came back within 30 s");
    trial.acknowledged = true;
    trial.acknowledged_after = milliseconds(50);
    EXPECT_TRUE(judge(trial, false, seconds(30)).good);
    EXPECT_EQ(judge(trial, false, seconds(30)).latency, milliseconds(50));
    trial.age = milliseconds(60);
    EXPECT_FALSE(judge(trial, false, seconds(30)).over);  // it may be refused yet
    trial.received = true;                                // nothing more can come
    EXPECT_TRUE(judge(trial, false, seconds(30)).good);
    trial.fault = "404";
    EXPECT_TRUE(judge(trial, false, seconds(30)).over);
    EXPECT_FALSE(judge(trial, false, seconds(30)).good);
}

TEST(TrialVerdict, ToSipTheAnswerCounts) {
    EXPECT_TRUE(judge(taken_trial(milliseconds(20)), true, seconds(30)).good);
    Trial trial;
    trial.age = seconds(30);
    EXPECT_EQ(judge(trial, true, seconds(30)).fault, "our SIP server has not answered within 30 s");
}

TEST(TrialTool, PrintsTimesAsTheReference) {
    EXPECT_EQ(show_latency(2.5361253), "00:00:02.5361253");
    EXPECT_EQ(show_latency(3723), "01:02:03.0000000");
    EXPECT_EQ(show_latency(0), "00:00:00.0000000");
}

class TestScheduleTest : public ControlTest {
protected:
    void SetUp() override {
        ControlTest::SetUp();
        schedule_.emplace(host_, *configuration_);
    }
    void set(std::vector<std::string> settings) {
        std::vector<config::Setting> all;
        for (const std::string& one : settings) {
            std::string why;
            ASSERT_TRUE(config::parse_assignment(one, {}, all.emplace_back(), why)) << why;
        }
        config::Problems problems;
        std::vector<Change> changes;
        ASSERT_TRUE(configuration_->set(host_, all, false, problems, changes))
            << problems.front().line();
    }
    void plan() {
        set({"test.im.from=romeo@sip.example", "test.im.to=juliet@xmpp.example",
             "test.im.interval=1h", "policy/global/xmpp_access=yes"});
    }
    void pass(Duration time) {
        now_ += time;
        schedule_->on_turn(now_);
    }
    std::size_t events(EventId id) const {
        return static_cast<std::size_t>(std::ranges::count(host_.events, id));
    }

    std::optional<TestSchedule> schedule_;
    TestSchedule::Time now_{};
};

TEST_F(TestScheduleTest, TellsOfAFailureAndOfItsEnd) {
    pass(minutes(1));
    EXPECT_TRUE(host_.trials.empty());  // none is scheduled
    plan();
    pass(seconds(1));
    EXPECT_TRUE(host_.trials.empty());
    pass(seconds(5));
    ASSERT_EQ(host_.trials.size(), 1u);
    EXPECT_EQ(host_.trials[0].ours, "romeo@sip.example");
    EXPECT_EQ(host_.trials[0].theirs, "juliet@xmpp.example");
    EXPECT_FALSE(host_.trials[0].to_sip);
    host_.trial_now = taken_trial(seconds(2));
    host_.trial_now.acknowledged = true;
    pass(seconds(1));
    EXPECT_EQ(events(EventId::kTestPassed), 0u);  // as it should be
    EXPECT_TRUE(bool_of(schedule_->json()["last"], "good"));
    pass(minutes(58));
    EXPECT_EQ(host_.trials.size(), 1u);
    host_.trial_now.fault = "504 Server Time-out";
    host_.failure_rows = {{"xmpp.example", true, "tls", {}, "", "no TLS with them", 1}};
    pass(minutes(2));
    pass(seconds(1));
    EXPECT_EQ(events(EventId::kTestFailed), 1u);
    EXPECT_PRED_FORMAT2(IsSubstring, "504 Server Time-out", schedule_->remark());
    EXPECT_PRED_FORMAT2(IsSubstring, "SIP leg: ", schedule_->remark());  // it knows of no server
    host_.trial_now = taken_trial(seconds(2));
    host_.trial_now.acknowledged = true;
    pass(minutes(60));
    pass(seconds(1));
    EXPECT_EQ(events(EventId::kTestFailed), 1u);
    EXPECT_EQ(events(EventId::kTestPassed), 1u);
    EXPECT_EQ(schedule_->remark(), "");
    set({"test.im.interval=0s"});
    pass(minutes(200));
    EXPECT_EQ(host_.trials.size(), 3u);
}

TEST_F(TestScheduleTest, AnotherGatewaysTestIsNoFailure) {
    plan();
    host_.no_trial = "another gateway has it";
    pass(seconds(1));
    pass(seconds(6));
    EXPECT_EQ(events(EventId::kTestFailed), 0u);
    EXPECT_EQ(string_of(schedule_->json(), "not_here"), "another gateway has it");
    host_.no_trial.clear();
    set({"test.im.to=not-an-address"});
    pass(seconds(1));
    pass(seconds(6));
    EXPECT_EQ(events(EventId::kTestFailed), 1u);
}

TEST_F(TestScheduleTest, AdministratorsAreHeldToARate) {
    set({"test.im.rate=2/min"});
    EXPECT_EQ(schedule_->why_not_now(now_) + schedule_->why_not_now(now_), "");
    EXPECT_EQ(schedule_->why_not_now(now_),
              "test.im.rate = 2/min lets no more test messages out now: the next in 30 s");
    EXPECT_EQ(schedule_->why_not_now(now_ + seconds(30)), "");
    set({"test.im.rate=none"});
    for (int i = 0; i < 100; ++i) EXPECT_EQ(schedule_->why_not_now(now_), "");
    set({"policy/global/xmpp_access=yes", "test.im.rate=1/h"});
    start();
    const std::vector<std::string> one{"test", "im", "juliet@xmpp.example", "romeo@sip.example"};
    host_.trial_now = taken_trial(seconds(2));
    EXPECT_EQ(fedctl(one).status, 0);
    const Outcome got = fedctl(one);
    EXPECT_EQ(got.status, 1);
    EXPECT_PRED_FORMAT2(IsSubstring, "test.im.rate = 1/h lets no more", got.err);
    EXPECT_EQ(host_.trials.size(), 1u);
}

TEST_F(TestScheduleTest, FedctlTriesAndSaysWhatIsWrongWithTheWords) {
    set({"policy/global/xmpp_access=yes"});
    start();
    host_.trial_now = taken_trial(seconds(2));
    host_.trial_now.acknowledged = true;
    Outcome got = fedctl({"test", "im", "sip:romeo@sip.example", "juliet@xmpp.example/x"});
    EXPECT_EQ(got.status, 0) << got.err;
    EXPECT_PRED_FORMAT2(IsSubstring, "Result        : Success\n", got.out);
    EXPECT_PRED_FORMAT2(IsSubstring, "Latency       : 00:00:00.0200000\n", got.out);
    got = fedctl({"cs",
                  "Test-CsXmppIM -TargetFqdn pool.example -Receiver juliet@xmpp.example "
                  "-UserSipAddress sip:romeo@sip.example -RegistrarPort 5061"});
    EXPECT_EQ(got.status, 0) << got.err;
    EXPECT_PRED_FORMAT2(IsSubstring, "Target Fqdn   : pool.example\nResult        : Success\n",
                        got.out);
    got = fedctl({"test", "im", "juliet@xmpp.example", "romeo@sip.example"});
    EXPECT_TRUE(host_.trials.back().to_sip);
    host_.trial_now = {};
    host_.trial_now.fault = "404 Not Found";
    NextHop& hop = host_.state.next_hops.emplace_back();
    hop.domain = "sip.example";
    hop.state = "up";
    got = fedctl({"test", "im", "juliet@xmpp.example", "romeo@sip.example"});
    EXPECT_EQ(got.status, 1);
    EXPECT_PRED_FORMAT2(IsSubstring, "Error Message : 404 Not Found\n", got.out);
    EXPECT_PRED_FORMAT2(IsSubstring, "our SIP server does not know romeo@sip.example", got.out);
    for (const auto& [words, status, text] :
         {std::tuple{std::vector<std::string>{"test", "im", "a@sip.example"}, 2, "two addresses"},
          {{"test", "im", "a@sip.example", "b@sip.example"}, 1, "both are users of ours"},
          {{"test", "im", "a@x.example", "b@y.example"}, 1, "we serve neither"},
          {{"test", "im", "sip.example", "b@y.example"}, 1, "is not the address of a user"},
          {{"test", "im", "a@sip.example", "b@y.example", "--within", "2h"}, 2, "1s to 60s"},
          {{"test", "presence"}, 2, "test takes im"},
          {{"cs", "Test-CsXmppIM -Receiver b@xmpp.example"}, 1, "who writes?"}}) {
        got = fedctl(words);
        EXPECT_EQ(got.status, status) << got.err;
        EXPECT_PRED_FORMAT2(IsSubstring, text, got.err);
    }
    got = fedctl({"cs",
                  "Set-CsWatcherNodeConfiguration -Identity w.example -Tests "
                  "@{Add=\"XmppIM\"} -TestUsers @{Add=\"sip:romeo@sip.example\"} "
                  "-XmppTestReceiverMailAddress juliet@xmpp.example"});
    EXPECT_EQ(got.status, 0) << got.err;
    EXPECT_EQ(fedctl({"sysctl", "-n", "test.im.interval"}).out, "24h\n");
    EXPECT_PRED_FORMAT2(IsSubstring, "every 1 d", fedctl({"test"}).out);
    EXPECT_EQ(
        fedctl({"cs", "Set-CsWatcherNodeConfiguration -Tests @{Add=\"Registration\"}"}).status, 1);
    EXPECT_EQ(fedctl({"cs", "Set-CsWatcherNodeConfiguration -Enabled $false"}).status, 0);
    EXPECT_PRED_FORMAT2(IsSubstring, "no test message is scheduled", fedctl({"test"}).out);
}

}  // namespace
}  // namespace fedgate::admin
