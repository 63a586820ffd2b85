// The law of the link, under any order of sending, delivery, refusal, breaks and new processes:
// what was given to send() is taken by the peer once and in its order, or handed back; what was
// handed back without doubt was not taken; and memory is bounded.
#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "core/base/limits.hpp"
#include "tests/link/session_support.hpp"

namespace fedgate::link {
namespace {

using test::id_of;

constexpr std::uint32_t kWindow = 20'000;
constexpr std::size_t kLargest = 30'000;  // more than the window: passes alone
using Number = std::uint64_t;             // of what is sent, rising in each direction and lane

struct Wire {
    std::string to_edge;
    std::string to_gateway;
    bool gateway_sees = true;  // it reads what comes, and what it writes goes in
    bool edge_sees = true;
};

class World;

// One process's end.
struct Ender final : SessionOwner {
    Ender(World& w, Role role, std::uint64_t instance)
        : world(w), session(*this, {role, "node", id_of(instance), 0, kWindow}) {}

    void on_output(Session&, Bytes bytes) override;
    bool on_frame(Session&, const Frame& frame) override;
    void on_up(Session&, bool) override {}
    void on_down(Session&, Bytes) override { wire = nullptr; }
    void on_returned(Session&, const Frame& frame, bool maybe_taken) override;

    World& world;
    Session session;
    std::shared_ptr<Wire> wire;
    std::string input;
    bool refusing = false;
};

// What became of what one side has sent in one lane.
struct Account {
    std::set<Number> given;     // send() said yes
    std::vector<Number> taken;  // by the peer, as they came
    std::map<Number, bool> returned;
    std::set<Number> died;  // given by a process that is not any more
};

class World {
public:
    explicit World(std::uint64_t seed, bool kind)
        : kind_(kind),
          random_(seed),
          gateway(std::make_unique<Ender>(*this, Role::kGateway, 1)),
          edge(std::make_unique<Ender>(*this, Role::kEdge, 2)) {}

    void run(int steps) {
        // Where the first HELLO is lost, a session can't be resumed whose name never came.
        connect();
        deliver(*gateway, 1'000);
        for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) step();
        settle();
        judge();
    }

    Account& account(Role sender, Lane lane) { return accounts_[{sender, lane}]; }

private:
    std::size_t below(std::size_t n) { return random_() % n; }

    void step() {
        const std::size_t chance = below(100);
        if (chance < 45) {
            give(below(2) == 0 ? *gateway : *edge);
        } else if (chance < 75) {
            deliver(below(2) == 0 ? *gateway : *edge, below(4) == 0 ? 100'000 : 1 + below(400));
        } else if (chance < 85) {
            pass(std::chrono::milliseconds(below(30)));
        } else if (chance < 92) {
            Ender& side = below(2) == 0 ? *gateway : *edge;
            side.refusing = below(3) == 0;
            if (!side.refusing) side.session.offer(now_);
        } else if (chance < 95) {
            fault();
        } else {
            connect();
        }
        if (kind_) connect();
        for (const Ender* side : {gateway.get(), edge.get()}) {
            ASSERT_LE(side->session.memory(), 6 * (kWindow + kLargest) + 3 * (64 << 10));
        }
    }

    void give(Ender& side) {
        const bool is_edge = &side == edge.get();
        const Role role = is_edge ? Role::kEdge : Role::kGateway;
        const Number number = ++last_;
        const bool news = is_edge && below(2) == 0;
        const std::size_t size = below(50) == 0 ? below(kLargest - 100) : below(600);
        const std::string stanza = std::to_string(number) + ' ' + std::string(size, 's');
        const bool given =
            news      ? side.session.send(Outcome{number, Fate::kWritten})
            : is_edge ? side.session.send(FromPartner{"b.example", Proof::kCertificate, stanza})
                      : side.session.send(ToPartner{number, "a.example", "b.example", stanza});
        if (given) account(role, news ? Lane::kNews : Lane::kStanzas).given.insert(number);
    }

    void deliver(Ender& side, std::size_t most) {
        if (side.wire == nullptr) return;
        const bool is_edge = &side == edge.get();
        if (!(is_edge ? side.wire->edge_sees : side.wire->gateway_sees)) return;
        std::string& from = is_edge ? side.wire->to_edge : side.wire->to_gateway;
        const std::size_t size = std::min(most, from.size());
        if (size == 0) return;
        side.input.append(from, 0, size);
        from.erase(0, size);
        side.input.erase(0, side.session.receive(side.input, now_));
    }

    void pass(Duration time) {
        now_ += time;
        for (Ender* side : {gateway.get(), edge.get()}) {
            if (now_ >= side->session.deadline()) side->session.on_time(now_);
        }
    }

    // The connection breaks: what is on its way comes or does not, and either side notices now or,
    // of a black hole, by silence only. Or the edge is another process.
    void fault() {
        const std::shared_ptr<Wire> wire = gateway->wire;
        if (!kind_ && below(6) == 0) {
            for (auto& [whose, account] : accounts_) {
                if (whose.first == Role::kEdge) account.died = account.given;
            }
            edge = std::make_unique<Ender>(*this, Role::kEdge, 10 + ++last_);
            return break_off(*gateway);
        }
        if (wire == nullptr) return;
        if (below(2) == 0) deliver(*gateway, below(2'000));
        if (below(2) == 0 && edge->wire == wire) deliver(*edge, below(2'000));
        const std::size_t who = kind_ ? 0 : below(4);
        if (who == 0 || who == 1) break_off(*gateway);
        if ((who == 0 || who == 2) && edge->wire == wire) break_off(*edge);
        wire->gateway_sees = false;
        wire->edge_sees = false;
        if (!kind_ && below(2) == 0) pass(std::chrono::milliseconds(below(4'000)));
    }

    void break_off(Ender& side) {
        side.wire = nullptr;
        side.input.clear();
        side.session.broken(now_);
    }

    void connect() {
        if (gateway->session.state() != Session::State::kDown) return;
        const auto wire = std::make_shared<Wire>();
        gateway->input.clear();
        gateway->wire = wire;
        gateway->session.open(now_);
        const std::string hello = wire->to_edge;
        const FrameRead read = read_frame(hello, kLinkMinor);
        ASSERT_EQ(read.status, FrameRead::Status::kWhole);
        wire->to_edge.erase(0, read.size);
        if (!kind_ && last_ > 0 && below(10) == 0) return;  // it is not answered
        edge->input.clear();
        edge->wire = wire;
        edge->session.accept(std::get<Hello>(read.frame), id_of(1000 + ++last_), now_);
    }

    void settle() {
        gateway->refusing = edge->refusing = false;
        for (int i = 0; i < 400; ++i) {
            connect();
            for (Ender* side : {gateway.get(), edge.get()}) {
                deliver(*side, 1'000'000);
                side->session.offer(now_);
            }
            pass(20ms);
        }
        EXPECT_TRUE(gateway->session.settled());
        EXPECT_TRUE(edge->session.settled());
    }

    void judge() const {
        for (const auto& [whose, account] : accounts_) {
            EXPECT_TRUE(std::ranges::is_sorted(account.taken));
            EXPECT_EQ(std::ranges::adjacent_find(account.taken), account.taken.end());
            const std::set<Number> taken(account.taken.begin(), account.taken.end());
            for (const Number number : account.given) {
                const auto back = account.returned.find(number);
                const bool is_back = back != account.returned.end();
                if (!taken.contains(number) && !is_back && !account.died.contains(number)) {
                    ADD_FAILURE() << number << " is lost";
                }
                if (is_back && !back->second) {
                    EXPECT_FALSE(taken.contains(number)) << number << " was taken";
                }
            }
            if (!kind_) continue;
            EXPECT_EQ(account.returned.size(), 0u);
            EXPECT_EQ(account.taken.size(), account.given.size());
        }
    }

    const bool kind_;  // each connection that breaks is followed by another one at once
    std::mt19937_64 random_;
    Instant now_{std::chrono::hours(1)};
    Number last_ = 0;
    std::map<std::pair<Role, Lane>, Account> accounts_;

public:
    std::unique_ptr<Ender> gateway;
    std::unique_ptr<Ender> edge;
};

void Ender::on_output(Session&, Bytes bytes) {
    if (wire == nullptr) return;
    const bool is_edge = this == world.edge.get();
    if (!(is_edge ? wire->edge_sees : wire->gateway_sees)) return;
    (is_edge ? wire->to_gateway : wire->to_edge).append(bytes);
}

Number number_of(const Frame& frame, Lane& lane, Role& sender) {
    lane = Lane::kStanzas;
    sender = Role::kEdge;
    if (const auto* outcome = std::get_if<Outcome>(&frame)) {
        lane = Lane::kNews;
        return outcome->ticket;
    }
    if (const auto* from = std::get_if<FromPartner>(&frame)) {
        return std::stoull(std::string(from->stanza));
    }
    sender = Role::kGateway;
    const auto& to = std::get<ToPartner>(frame);
    EXPECT_EQ(std::stoull(std::string(to.stanza)), to.ticket);
    return to.ticket;
}

bool Ender::on_frame(Session&, const Frame& frame) {
    Lane lane;
    Role sender;
    const Number number = number_of(frame, lane, sender);
    if (lane == Lane::kStanzas && refusing) return false;
    world.account(sender, lane).taken.push_back(number);
    return true;
}

void Ender::on_returned(Session&, const Frame& frame, bool maybe_taken) {
    Lane lane;
    Role sender;
    const Number number = number_of(frame, lane, sender);
    EXPECT_TRUE(world.account(sender, lane).returned.emplace(number, maybe_taken).second);
}

TEST(LinkSessionLaw, WhereConnectionsComeBackAllIsTakenOnce) {
    for (std::uint64_t seed = 0; seed < 60 && !HasFailure(); ++seed) {
        SCOPED_TRACE(seed);
        World(seed, true).run(1'500);
    }
}

TEST(LinkSessionLaw, WhateverHappensNothingIsLostOrDoubled) {
    for (std::uint64_t seed = 0; seed < 120 && !HasFailure(); ++seed) {
        SCOPED_TRACE(seed);
        World(seed, false).run(1'500);
    }
}

}  // namespace
}  // namespace fedgate::link
