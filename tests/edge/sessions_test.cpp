// Sessions that can be resumed (XEP-0198), across three shards without an edge around them.
#include "appliance/edge/sessions.hpp"

#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/hash.hpp"
#include "core/run/simulation.hpp"

namespace fedgate::edge {
namespace {

constexpr Bytes kPairs = "* b.example\n";

class SessionsTest : public testing::Test {
protected:
    struct Answer {
        std::uint32_t shard;
        std::uint64_t stream;
        bool granted;
        std::optional<std::uint32_t> handled;
        bool operator==(const Answer&) const = default;
    };
    struct Core final : SessionsOwner {
        Core(SessionsTest& test, ShardGroup& group, std::uint32_t index, Loop& loop)
            : test_(test), shard(group, index, loop), sessions(shard, *this) {}
        bool on_session(std::uint64_t stream, bool granted,
                        std::optional<std::uint32_t> handled) override {
            test_.answers.push_back({shard.index(), stream, granted, handled});
            return !gone;
        }
        std::optional<Left> take_session(std::uint64_t stream) override {
            taken.push_back(stream);
            return left;
        }
        std::string pattern_of(Bytes their) override {
            return their.ends_with(".pattern.example") ? "*.pattern.example" : "";
        }
        SessionsTest& test_;
        Shard shard;
        Sessions sessions;
        bool gone = false;
        std::optional<Left> left;
        std::vector<std::uint64_t> taken;
    };

    SessionsTest() {
        const auto node = simulation.make_node();
        for (std::uint32_t i = 0; i < 3; ++i) {
            cores.push_back(std::make_unique<Core>(*this, group, i, simulation.make_loop(node)));
        }
    }
    Sessions& on(std::size_t shard) { return cores[shard]->sessions; }
    void settle(Duration time = 10ms) {
        simulation.run_for([] { return false; }, time);
    }
    // Some id; its home is any of the shards.
    static std::string id(int n) {
        const auto digest = sha256({std::to_string(n)});
        const auto hex = to_hex(digest);
        return {hex.data(), 32};
    }
    Answer resume(std::size_t shard, int session, Bytes pairs, std::uint64_t stream = 99) {
        answers.clear();
        settle();
        on(shard).resume(id(session), pairs, stream);
        settle();
        EXPECT_EQ(answers.size(), 1u);
        return answers.empty() ? Answer{} : answers[0];
    }
    [[nodiscard]] std::size_t count() const {
        std::size_t sum = 0;
        for (const auto& core : cores) sum += core->sessions.count();
        return sum;
    }
    void sweep() {
        for (const auto& core : cores) core->sessions.sweep();
    }

    Simulation simulation{{.seed = 3}};
    ShardGroup group{3};
    std::vector<std::unique_ptr<Core>> cores;
    std::vector<Answer> answers;
};

TEST_F(SessionsTest, FromAnyShardToAnyOther) {
    int n = 0;
    for (std::uint32_t from = 0; from < 3; ++from) {
        for (std::uint32_t to = 0; to < 3; ++to) {
            for (int i = 0; i < 5; ++i) {
                on(from).begin(id(++n), kPairs, 1);
                on(from).end(id(n), kPairs, 1, 7, true);
                EXPECT_EQ(resume(to, n, kPairs), (Answer{to, 99, true, 7}));
                on(to).end(id(n), kPairs, 99, 12, true);  // and on it goes
                EXPECT_EQ(resume(from, n, kPairs), (Answer{from, 99, true, 12}));
            }
        }
    }
    EXPECT_EQ(resume(0, -1, kPairs), (Answer{0, 99, false, {}}));
}

TEST_F(SessionsTest, OnlyForWhoHasProvedTheSame) {
    const std::string both = "a.example b.example\na.example c.example\n";
    on(0).begin(id(1), "a.example b.example\n", 1);
    on(0).end(id(1), both, 1, 7, true);
    const std::string others[] = {"a.example b.example\n",
                                  "a.example evil.example\n",
                                  "a.example b.example\nxa.example c.example\n",
                                  "a.example b.example\na.example c.example.evil\n",
                                  "* b.example\n* c.example\n",
                                  ""};
    for (const std::string& pairs : others) {
        EXPECT_EQ(resume(1, 1, pairs), (Answer{1, 99, false, {}})) << pairs;
    }
    EXPECT_EQ(resume(1, 1, "a.example d.example\na.example c.example\na.example b.example\n"),
              (Answer{1, 99, true, 7}));
}

TEST_F(SessionsTest, TheOldStreamIsEndedFirst) {
    on(0).begin(id(1), kPairs, 5);
    cores[0]->left = SessionsOwner::Left{std::string(kPairs), 41};
    EXPECT_EQ(resume(1, 1, "* evil.example\n"), (Answer{1, 99, false, {}}));
    EXPECT_TRUE(cores[0]->taken.empty());
    EXPECT_EQ(resume(2, 1, kPairs), (Answer{2, 99, true, 41}));
    EXPECT_EQ(cores[0]->taken, (std::vector<std::uint64_t>{5}));
    // What the old one says of itself later changes nothing.
    on(0).end(id(1), kPairs, 5, 1, true);
    settle();
    on(2).end(id(1), kPairs, 99, 50, true);
    EXPECT_EQ(resume(1, 1, kPairs), (Answer{1, 99, true, 50}));
}

TEST_F(SessionsTest, AStreamThatIsGoneWithoutAWordKeepsNobodyWaiting) {
    on(0).begin(id(1), kPairs, 5);
    EXPECT_EQ(resume(2, 1, kPairs), (Answer{2, 99, false, {}}));
    EXPECT_EQ(count(), 0u);
}

TEST_F(SessionsTest, TheLastWhoAsksGetsIt) {
    on(0).begin(id(1), kPairs, 5);
    cores[0]->left = SessionsOwner::Left{std::string(kPairs), 3};
    on(1).resume(id(1), kPairs, 71);
    on(1).resume(id(1), kPairs, 72);
    settle();
    ASSERT_EQ(answers.size(), 2u);
    unsigned granted = 0;
    for (const Answer& answer : answers) {
        granted += answer.granted;
        if (answer.granted) {
            EXPECT_EQ(answer.stream, 72u);
        }
    }
    EXPECT_EQ(granted, 1u);
}

TEST_F(SessionsTest, ASessionThatNobodyTookUpIsKept) {
    on(0).begin(id(1), kPairs, 5);
    on(0).end(id(1), kPairs, 5, 7, true);
    cores[1]->gone = true;  // its stream has ended meanwhile
    EXPECT_TRUE(resume(1, 1, kPairs).granted);
    settle();
    EXPECT_EQ(resume(2, 1, kPairs), (Answer{2, 99, true, 7}));
}

TEST_F(SessionsTest, AClosedOneIsOverAndItsCountIsTold) {
    on(0).begin(id(1), kPairs, 5);
    on(0).end(id(1), kPairs, 5, 7, false);
    EXPECT_EQ(resume(2, 1, kPairs), (Answer{2, 99, false, 7}));
    EXPECT_EQ(resume(2, 1, "* evil.example\n"), (Answer{2, 99, false, {}}));
}

TEST_F(SessionsTest, TimeEndsIt) {
    on(0).begin(id(1), kPairs, 5);
    on(0).begin(id(2), kPairs, 6);
    on(0).end(id(1), kPairs, 5, 7, true);
    settle(kSessionKept + 1s);
    sweep();
    EXPECT_EQ(resume(2, 1, kPairs), (Answer{2, 99, false, 7}));
    settle(kSessionKept + 1s);
    sweep();
    EXPECT_EQ(resume(2, 1, kPairs), (Answer{2, 99, false, {}}));
    EXPECT_EQ(count(), 1u);  // the one that lives
}

TEST_F(SessionsTest, APartnerHasItsBoundAndCrowdsOutNobody) {
    on(0).begin(id(0), "* other.example\n", 1);
    on(0).end(id(0), "* other.example\n", 1, 9, true);
    const int many = static_cast<int>(limits::kSessionsPerPartner) * 6;
    for (int n = 1; n <= many; ++n) {
        on(0).begin(id(n), kPairs, 1);
        on(0).end(id(n), kPairs, 1, 7, true);
        settle(1ms);
    }
    EXPECT_LE(count(), limits::kSessionsPerPartner * 3 + 1);
    EXPECT_FALSE(resume(1, 1, kPairs).granted);
    EXPECT_TRUE(resume(1, many, kPairs).granted);
    EXPECT_TRUE(resume(1, 0, "* other.example\n").granted);
}

// What the old stream gave to other shards is there before the new one may read on, or newer
// stanzas would overtake (GEN-5).
TEST_F(SessionsTest, NothingOvertakesWhatTheOldStreamHadSent) {
    constexpr std::uint32_t kStanza = 20;
    struct Gateway final : RecordHandler {
        bool on_record(std::uint32_t, std::uint32_t, Bytes) override {
            if (!room) return false;
            ++taken;
            return true;
        }
        bool room = false;
        unsigned taken = 0;
    } gateway;
    for (const auto& core : cores) core->shard.set_handler(kStanza, gateway, RecordUse::kMayWait);
    on(0).begin(id(1), kPairs, 1);
    settle();
    for (int n = 0; n < 1'000; ++n) EXPECT_TRUE(cores[0]->shard.send(1, kStanza, {"stanza"}));
    on(0).end(id(1), kPairs, 1, 1'000, true);
    on(2).resume(id(1), kPairs, 99);
    settle();
    EXPECT_TRUE(answers.empty());
    gateway.room = true;
    settle();
    EXPECT_EQ(gateway.taken, 1'000u);
    ASSERT_EQ(answers.size(), 1u);
    EXPECT_EQ(answers[0], (Answer{2, 99, true, 1'000}));
}

// Below a pattern somebody may have any number of names.
TEST_F(SessionsTest, APatternHasItsBoundAndCrowdsOutNobody) {
    on(0).begin(id(0), "* other.example\n", 1);
    on(0).end(id(0), "* other.example\n", 1, 9, true);
    const int many = static_cast<int>(limits::kSessionsOfPattern) * 3 + 600;
    for (int n = 1; n <= many; ++n) {
        const std::string pairs = "* d" + std::to_string(n / 32) + ".pattern.example\n";
        on(0).begin(id(n), pairs, 1);
        on(0).end(id(n), pairs, 1, 7, true);
        if (n % 64 == 0) settle(1ms);
    }
    settle();
    EXPECT_LE(count(), limits::kSessionsOfPattern * 3 + 1);
    EXPECT_TRUE(resume(1, 0, "* other.example\n").granted);
}

// A full table refuses nobody: what has no stream any more goes.
TEST_F(SessionsTest, OldOnesMakeRoomForNewOnes) {
    const int many = static_cast<int>(limits::kSessions) * 3 + 600;
    for (int n = 1; n <= many; ++n) {
        const std::string pairs = "* d" + std::to_string(n / 32) + ".example\n";
        on(0).begin(id(n), pairs, 1);
        if (n % 2 == 0) on(0).end(id(n), pairs, 1, 7, true);
        if (n % 64 == 0) settle(1ms);
    }
    settle();
    EXPECT_LE(count(), limits::kSessions * 3);
    const std::string last = "* d" + std::to_string(many / 32) + ".example\n";
    EXPECT_TRUE(resume(1, many, last).granted);
}

// However full the mailboxes are: an end that is not said would leave a session that lives for
// ever.
TEST_F(SessionsTest, NoEndIsForgotten) {
    const int many = static_cast<int>(limits::kSessionRecords) + 1'000;
    const std::string pairs = "* " + std::string(900, 'b') + ".example\n";  // 4 MiB fill soon
    on(0).begin(id(0), pairs, 1);
    settle();
    for (int n = 1; n <= many + 12'000; ++n) on(0).begin(id(n), pairs, 1);
    on(0).end(id(0), pairs, 1, 7, true);
    settle(1s);
    EXPECT_TRUE(resume(1, 0, pairs).granted);
}

}  // namespace
}  // namespace fedgate::edge
