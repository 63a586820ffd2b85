#include "appliance/admin/trace.hpp"

#include <utility>

#include <gtest/gtest.h>

namespace fedgate::admin {
namespace {

using namespace std::chrono_literals;

class FakeSource final : public TraceSource {
public:
    std::string start_trace(const TraceWish&) override { return why; }
    void stop_trace() override { ++stops; }
    std::vector<TracedRow> take_trace(std::uint64_t& missed) override {
        missed += std::exchange(missing, 0);
        return std::exchange(rows, {});
    }

    std::string why;
    std::vector<TracedRow> rows;
    std::uint64_t missing = 0;
    int stops = 0;
};

TracedRow stanza(std::string id, std::string from = "juliet@partner.example/balcony",
                 std::string to = "romeo@corp.example") {
    TracedRow row;
    row.xmpp = true;
    row.from = std::move(from);
    row.to = std::move(to);
    row.stanza_id = std::move(id);
    return row;
}

TracedRow request(std::string call_id, std::uint32_t cseq, std::string stanza_id = {}) {
    TracedRow row = stanza(std::move(stanza_id), "juliet@partner.example");
    row.xmpp = false;
    row.call_id = std::move(call_id);
    row.cseq = cseq;
    return row;
}

class TraceTest : public testing::Test {
protected:
    std::vector<std::uint64_t> numbers() const {
        std::vector<std::uint64_t> all;
        for (const TracedRow& row : book.rows()) all.push_back(row.message);
        return all;
    }

    FakeSource source;
    TraceBook book{source};
    std::string why;
    const TraceTime start{std::chrono::hours(1)};
};

TEST_F(TraceTest, AllOfOneMessageHasOneNumberOnBothLegs) {
    ASSERT_TRUE(book.start({"partner.example", "", 60s}, "root", start, why)) << why;
    source.rows = {stanza("a"),
                   request("c1", 1, "a"),
                   request("c1", 1),  // and its answer
                   request("c1", 2),
                   stanza("b"),
                   stanza("a", "romeo@corp.example", "juliet@partner.example"),  // a bounce
                   stanza("a", "nurse@partner.example"),
                   stanza(""),
                   stanza("")};
    book.collect(start + 1s);
    EXPECT_EQ(numbers(), (std::vector<std::uint64_t>{1, 1, 1, 2, 3, 1, 4, 5, 6}));
}

TEST_F(TraceTest, ItHasABoundAndSaysWhatIsMissing) {
    ASSERT_TRUE(book.start({"partner.example", "", 60s}, "root", start, why));
    source.rows.assign(kTraceKeptRows + 3, stanza("x"));
    source.missing = 7;
    book.collect(start + 1s);
    EXPECT_EQ(book.rows().size(), kTraceKeptRows);
    EXPECT_EQ(book.first(), 3U);
    EXPECT_EQ(book.missed(), 7U);
}

TEST_F(TraceTest, OneAtATimeUntilItsTimeIsOver) {
    ASSERT_TRUE(book.start({"partner.example", "", 60s}, "root", start, why));
    source.rows = {stanza("a")};
    EXPECT_FALSE(book.start({"partner.example", "", 60s}, "viola", start + 59s, why));
    EXPECT_EQ(why, "a trace of root runs for another 1 s; fedctl trace --stop ends it");
    book.collect(start + 61s);
    EXPECT_EQ(source.stops, 1);
    EXPECT_EQ(book.rows().size(), 1U);  // what came before its end stays
    EXPECT_TRUE(book.start({"partner.example", "", 60s}, "viola", start + 62s, why)) << why;
    EXPECT_EQ(book.rows().size(), 0U);
    EXPECT_EQ(book.first(), 1U);  // who still reads the old one is not given old rows again
}

TEST_F(TraceTest, WhatIsShownDoesNotSteerATerminal) {
    const Json row{{"at_ms", 3'723'004},    {"leg", "sip"},  {"direction", "in"}, {"message", 7},
                   {"what", "404 \x1b[2J"}, {"from", "a@x"}, {"to", "b@y"},       {"cseq", 1},
                   {"call_id", "c"}};
    const std::string line = show_trace_row(row);
    EXPECT_EQ(line.find('\x1b'), std::string::npos);
    EXPECT_TRUE(line.starts_with("01:02:03.004  |")) << line;
    EXPECT_NE(line.find("#7 a@x -> b@y, Call-ID c, CSeq 1"), std::string::npos) << line;
}

}  // namespace
}  // namespace fedgate::admin
