// What an operator looks at: events, rates, and who may do what.
#include <array>

#include "appliance/admin/json.hpp"
#include "appliance/admin/roles.hpp"
#include "appliance/admin/top.hpp"
#include "tests/admin/control_fixture.hpp"

namespace fedgate::admin {
namespace {

LogRecord record_at(int second, EventId id, std::string fields) {
    return {WallTime(std::chrono::seconds(1'800'000'000 + second)), id, 1, 0, std::move(fields)};
}

TEST(EventBook, AtItsBoundTheOldestGo) {
    EventBook book(2);
    EXPECT_EQ(book.last(), 0U);
    for (int i = 1; i <= 3; ++i) book.add(record_at(i, EventId::kStarted, ""));
    EXPECT_EQ(book.first(), 2U);
    EXPECT_EQ(book.last(), 3U);
    EXPECT_EQ(book.at(3).time, record_at(3, EventId::kStarted, "").time);
}

TEST_F(ControlTest, EventsAreListedAndFollowed) {
    host_.book = EventBook(3);
    host_.book.add(record_at(0, EventId::kStarted, ""));
    host_.book.add(record_at(1, EventId::kTlsFailed, R"( partner=a.example where="hand shake")"));
    host_.book.add(record_at(2, EventId::kReady, ""));
    host_.book.add(record_at(3, EventId::kListening, ""));
    start();
    EXPECT_EQ(fedctl({"events", "--severity", "warning"}).out,
              "2027-01-15T08:00:01Z warning FG-1301 A TLS handshake failed: partner=a.example "
              "where=\"hand shake\"\n");
    EXPECT_EQ(fedctl({"events", "--id", "1002", "--language", "fr"}).out,
              "2027-01-15T08:00:02Z info FG-1002 Fedgate est prêt\n");
    EXPECT_EQ(fedctl({"events", "--count", "1"}).out,
              "2027-01-15T08:00:03Z info FG-1201 A port is open\n");
    EXPECT_EQ(fedctl({"events", "--since", "2027-01-15T08:00:03Z"}).out,
              "2027-01-15T08:00:03Z info FG-1201 A port is open\n");
    EXPECT_EQ(fedctl({"events", "--since", "2028-01-01"}).out, "");
    Json answer;
    std::string why;
    ASSERT_TRUE(ask(socket_, {{"verb", "events"}, {"after", 3}}, answer, why)) << why;
    EXPECT_EQ(answer["events"].size(), 1U);
    EXPECT_EQ(answer["last"], 4);
    host_.book = EventBook(1);
    for (int i = 0; i < 9; ++i) host_.book.add(record_at(i, EventId::kReady, ""));
    ASSERT_TRUE(ask(socket_, {{"verb", "events"}, {"after", 3}}, answer, why)) << why;
    EXPECT_EQ(answer["missed"], 5);  // 4 to 8
    for (const char* bad : {"--since=yesterday", "--severity=bad", "--id=9999", "--count=0"}) {
        const std::string word = bad;
        const std::size_t equals = word.find('=');
        EXPECT_EQ(fedctl({"events", word.substr(0, equals), word.substr(equals + 1)}).status, 2)
            << bad;
    }
}

TEST_F(ControlTest, AnEventIsExplainedWithoutADaemonToo) {
    const Outcome got = fedctl({"events", "FG-1303", "--language", "fr"});
    EXPECT_EQ(got.status, 0) << got.err;
    EXPECT_NE(got.out.find("remède : Le renouveler"), std::string::npos) << got.out;
    EXPECT_EQ(fedctl({"events", "9999"}).status, 1);
    const std::string all = fedctl({"events", "--catalogue"}).out;
    for (const EventInfo& info : kEvents) {
        EXPECT_NE(all.find("FG-" + std::to_string(info.number) + " "), std::string::npos);
    }
}

TEST(Roles, WhatIsNotListedIsAnAdministrators) {
    EXPECT_EQ(role_for("status", "", false), Role::kViewer);
    EXPECT_EQ(role_for("services", "", false), Role::kViewer);
    EXPECT_EQ(role_for("services", "", true), Role::kOperator);
    EXPECT_EQ(role_for("partner", "block", false), Role::kOperator);
    EXPECT_EQ(role_for("partner", "add", false), Role::kAdministrator);
    EXPECT_EQ(role_for("sysctl", "write", false), Role::kAdministrator);
    EXPECT_EQ(role_for("whatever", "list", false), Role::kAdministrator);
}

TEST(Top, RatesAreDifferences) {
    const auto sample = [](int messages, int stanzas) {
        TopSample one;
        one.status = {{"ok", true}, {"version", "1"}, {"state", "running"}};
        one.counters = {{"counters", {{"messages.x2s.delivered", messages}}}};
        one.streams = {{"streams", Json::array({{{"direction", "in"},
                                                 {"our_domain", "a.example"},
                                                 {"their_domain", "b.example"},
                                                 {"stanzas_in", stanzas}}})}};
        return one;
    };
    const Json top = top_of(sample(100, 10), sample(150, 30), 2.0);
    EXPECT_EQ(top["rates"][0]["per_second"], 25.0);
    EXPECT_EQ(top["streams"][0]["in_per_second"], 10.0);
    // Started anew in between: it counts from nothing.
    EXPECT_EQ(top_of(sample(100, 10), sample(50, 0), 2.0)["rates"][0]["per_second"], 25.0);
    const std::string text = show_top(top);
    EXPECT_NE(text.find("messages, XMPP to SIP"), std::string::npos) << text;
    EXPECT_NE(text.find("25.0"), std::string::npos) << text;
}

TEST_F(ControlTest, TopToAFileIsShownOnce) {
    start();
    const Outcome got = fedctl({"top", "--interval", "1"});
    EXPECT_EQ(got.status, 0) << got.err;
    EXPECT_NE(got.out.find("PER SECOND"), std::string::npos) << got.out;
    EXPECT_EQ(got.out.find('\x1b'), std::string::npos);
    EXPECT_EQ(fedctl({"top", "--interval", "0"}).status, 2);
}

}  // namespace
}  // namespace fedgate::admin
