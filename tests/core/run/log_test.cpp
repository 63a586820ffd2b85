#include "core/run/log.hpp"

#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "core/run/simulation.hpp"

namespace fedgate {
namespace {

struct LogTest : testing::Test {
    LogTest() { log.set_clock(&loop); }
    std::string drain() {
        std::string lines;
        log.drain(lines);
        return lines;
    }
    static std::ptrdiff_t count(const std::string& lines) {
        return std::count(lines.begin(), lines.end(), '\n');
    }
    Simulation simulation;
    SimulatedLoop& loop = simulation.make_loop(simulation.make_node());
    Log log{2};
};

TEST_F(LogTest, WritesOneLineOfKeysAndValues) {
    log.event(EventId::kListening, {{"address", "[::]:5269"}, {"count", 3}, {"tls", true}});
    EXPECT_EQ(drain(),
              "2026-01-01T00:00:00Z level=info id=FG-1201 shard=2 event=\"A port is open\" "
              "address=[::]:5269 count=3 tls=yes\n");
    EXPECT_EQ(drain(), "");
}

TEST_F(LogTest, WhatAPeerChoseCanNotForgeALine) {
    log.event(EventId::kPartnerDenied, {{"domain", "x\nlevel=error \"\\\x1b[2J"}, {"empty", ""}});
    const std::string lines = drain();
    EXPECT_EQ(count(lines), 1);
    EXPECT_NE(lines.find(R"(domain="x\x0alevel=error \"\\\x1b[2J" empty="")"), std::string::npos)
        << lines;
}

TEST_F(LogTest, ARecordGivesItsFieldsBack) {
    log.event(EventId::kPartnerDenied, {{"domain", "x \"\\ y\n"}, {"empty", ""}, {"n", -3}});
    std::vector<LogRecord> records;
    log.drain(records);
    ASSERT_EQ(records.size(), 1U);
    const std::vector<std::pair<std::string, std::string>> wanted{
        {"domain", "x \"\\ y\\x0a"}, {"empty", ""}, {"n", "-3"}};
    EXPECT_EQ(fields_of(records[0]), wanted);
    EXPECT_NE(line_of(records[0], Language::kFrench).find("Un domaine non partenaire est refusé"),
              std::string::npos);
    records[0].fields = " cut=\"with";  // whatever it is, it is read to its end
    EXPECT_EQ(fields_of(records[0]).at(0).second, "with");
}

TEST_F(LogTest, AFieldThatDoesNotFitIsLeftOut) {
    log.event(EventId::kStarted,
              {{"long", std::string(limits::kLogLineBytes, 'x')}, {"short", "here"}});
    const std::string lines = drain();
    EXPECT_EQ(lines.find("long="), std::string::npos);
    EXPECT_NE(lines.find(" short=here\n"), std::string::npos);
}

TEST_F(LogTest, OneEventDoesNotFloodTheOthers) {
    for (int i = 0; i < 100; ++i) log.event(EventId::kTlsFailed, {{"n", i}});
    log.event(EventId::kStarted);
    EXPECT_EQ(count(drain()), limits::kLogLinesPerSecond + 1);
    simulation.step(simulation.now() + 1s);
    log.event(EventId::kTlsFailed, {{"n", 100}});
    const std::string lines = drain();
    EXPECT_NE(lines.find(" n=100 held_back=90\n"), std::string::npos) << lines;
    log.event(EventId::kTlsFailed);
    EXPECT_EQ(drain().find("held_back"), std::string::npos);
}

TEST_F(LogTest, WhatFindsNoRoomIsCountedAndTold) {
    Log small(0, 512);
    small.set_clock(&loop);
    const std::string value(150, 'v');
    for (int i = 0; i < 5; ++i) small.event(EventId::kStarted, {{"v", value}});
    EXPECT_GT(small.dropped(), 0U);
    std::string lines;
    small.drain(lines);
    EXPECT_NE(lines.find("id=FG-1008"), std::string::npos);
    EXPECT_NE(lines.find("lines=" + std::to_string(small.dropped())), std::string::npos);
    lines.clear();
    small.drain(lines);
    EXPECT_EQ(lines, "");
}

TEST_F(LogTest, TheLevelHidesWhatIsLessSevere) {
    log.set_level(Severity::kError);
    log.event(EventId::kTlsFailed);
    EXPECT_EQ(drain(), "");
    log.event(EventId::kStoreFailed);
    EXPECT_EQ(count(drain()), 1);
}

TEST(Log, WithoutALoopUsesTheSystemsClock) {
    Log log(-1);
    log.event(EventId::kStarted);
    std::string lines;
    log.drain(lines);
    EXPECT_EQ(lines.find("shard="), std::string::npos);
    EXPECT_EQ(lines.substr(0, 2), "20");
}

}  // namespace
}  // namespace fedgate
