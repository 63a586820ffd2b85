// The ledger at large: messages both ways through a simulated federation, under faults of all
// kinds that the seeds pick. Every one must end delivered once, in its order, or refused to its
// sender, or in doubt, and of those no more than were outstanding when something was broken.
//
//     ledger [--messages N] [--seed FIRST]      prints what became of them; status 1: the law broke
//
// One seed is one world; the line of a seed that breaks the law is enough to see it again.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "tests/simulation/world.hpp"

namespace fedgate::simulation {
namespace {

constexpr unsigned kRounds = 16;
constexpr unsigned kPairs = 24;
constexpr unsigned kTurns = 2;  // a pair's messages of one round, each way
constexpr unsigned kBurst = 3;  // rounds' messages at once

constexpr const char* kKinds[] = {"XMPP partner in a black hole",
                                  "XMPP partner refuses connections",
                                  "XMPP partner restarted",
                                  "SIP node killed",
                                  "SIP node in a black hole",
                                  "SIP node refuses connections",
                                  "SIP node deaf",
                                  "SIP node answers 503",
                                  "SIP node answers 486",
                                  "a connection reset",
                                  "Fedgate killed",
                                  "XMPP partner takes nothing",
                                  "SIP pool deaf",
                                  "SIP users forget their sessions",
                                  "SIP users hang up",
                                  "SIP node knows no sessions",
                                  "nothing"};
constexpr unsigned kKindCount = sizeof kKinds / sizeof kKinds[0];
constexpr unsigned kKilled = 10;

struct Sum {
    Ledger::Totals totals;
    Ledger::Extras extras;
    unsigned outstanding = 0;  // when something was broken
    unsigned seeds = 0;
    std::uint64_t sessions = 0;
    std::uint64_t full_mailboxes = 0;
    std::map<std::string, unsigned> causes;
    unsigned faults[kKindCount] = {};
};

class Run {
public:
    Run(std::uint64_t seed, Sum& sum)
        : sum_(sum),
          tight_(seed % 5 != 0),
          dies_(seed % 3 == 0),
          sessions_(in_sessions(seed)),
          world_(seed, settings(seed, tight_)) {
        world_.start_node(2);
        world_.ledger.allowed_refusals = kRounds;  // an error is written again for each break
    }

    // True: the law holds.
    bool run() {
        for (unsigned round = 0; round < kRounds; ++round) {
            traffic();
            pass(std::chrono::microseconds(random(3'000)));
            auto kind = static_cast<unsigned>(random(kKindCount));
            if (kKilled == kind && !dies_) kind = kKindCount - 1;
            ++sum_.faults[kind];
            if (kind + 1 < kKindCount) outstanding_ += world_.ledger.totals().open;
            happen(kind);
            pass(std::chrono::milliseconds(random(600)));
        }
        world_.settle(400s);
        return add_up();
    }
    std::string describe() { return world_.describe(); }
    const std::string& first_wrong() { return world_.ledger.first_wrong; }

private:
    static bool in_sessions(std::uint64_t seed) { return seed % 7 % 2 == 1; }  // three of seven
    // `tight`: what is between the shards, and between servers, is full at times.
    static WorldSettings settings(std::uint64_t seed, bool tight) {
        WorldSettings settings{
            .shards = seed % 6 == 0 ? 1 : 2 + static_cast<std::uint32_t>(seed % 3),
            .more = {{"domain/sip.example/next_hop",
                      "sip:10.99.0.1:5060;transport=tcp sip:10.99.0.2:5060;transport=tcp"},
                     {"domain/sip.example/imdn", "yes"},
                     {"sec.loop_repeats", "1000"}},
            .certified = seed / 2 % 2 == 1,
            .both_ways = seed % 2 == 1,
            .sessions = in_sessions(seed)};
        if (tight) {
            settings.more.push_back({"xmpp.queue.bytes", "64KiB"});
            settings.mailbox_bytes = 8'192;
            settings.window_bytes = 4'096;
        }
        return settings;
    }
    std::uint64_t random(std::uint64_t below) { return world_.simulation.random(below); }
    void pass(Duration time) {
        world_.simulation.run_for([] { return false; }, time);
    }
    void traffic() {
        for (unsigned i = 0; i < kPairs * kTurns; ++i) {
            // In a session nothing tells which typing it was.
            if (!sessions_ && random(4) == 0) world_.type_to_sip(i % kPairs, random(4) != 0);
            if (!sessions_ && random(4) == 0) world_.type_to_xmpp(i % kPairs, random(4) != 0);
            world_.send_to_sip(i % kPairs, text());
            world_.send_to_xmpp(i % kPairs, text());
        }
    }
    Text text() {
        Text text{.asks = random(3) == 0};
        if (random(4) != 0) return text;
        for (std::uint64_t i = random(200); i > 0; --i) text.more += " word";
        return text;
    }
    // Mostly short; at times longer than what waits for it may wait.
    void outage(std::uint64_t longest_ms = 70'000) {
        pass(std::chrono::milliseconds(50 + random(random(6) == 0 ? longest_ms : 6'000)));
        traffic();
        outstanding_ += world_.ledger.totals().open;
        pass(std::chrono::milliseconds(50 + random(4'000)));
    }
    void happen(unsigned kind) {
        Simulation& simulation = world_.simulation;
        const unsigned number = 1 + static_cast<unsigned>(random(2));
        Pool& node = number == 1 ? *world_.pool : *world_.second;
        node.answer_again = random(2) == 0 ? 200 : 482;
        const Simulation::Node place = number == 1 ? world_.pool_node : world_.second_node;
        const SocketAddress sip_door = Pool::listen_address(kSipPort, number);
        const SocketAddress xmpp_door = simulation.address(world_.partner.node(), 5269);
        const auto hole = [&](Simulation::Node side) {
            simulation.cut(world_.fedgate.node(), side);
            outage(20'000);  // a host would break what is longer (kTcpUserTimeout), a cut does not
            world_.ledger.excuse_typing();
            simulation.heal(world_.fedgate.node(), side);
        };
        const auto refuse = [&](const SocketAddress& door) {
            simulation.refuse_connects(door, true);
            static_cast<void>(simulation.break_connection(1));
            outage();
            simulation.refuse_connects(door, false);
        };
        const auto answer = [&](std::uint16_t status) {
            node.answer = status;
            outage();
            node.answer = 200;
        };
        switch (kind) {
            case 0: return hole(world_.partner.node());
            case 1: return refuse(xmpp_door);
            case 2: return world_.restart_partner();
            case 3:
                world_.kill_node(number);
                outage();
                return world_.start_node(number);
            case 4: return hole(place);
            case 5: return refuse(sip_door);
            case 6:
                node.deaf = true;
                outage();
                node.deaf = false;
                return;
            case 7: return answer(503);
            case 8: return answer(486);
            case 9: return static_cast<void>(simulation.break_connection(500));
            case kKilled:
                full_mailboxes_ += world_.fedgate.count(Counter::kLinkBackPressure);
                return world_.crash_fedgate(std::chrono::milliseconds(1 + random(2'000)));
            case 11: {  // while there is much for it, errors too
                const std::uint64_t streams = world_.fedgate.count(Counter::kXmppOutOpened);
                world_.users.busy = true;
                if (random(2) == 0) node.answer = 486;
                for (unsigned i = 0; i < kBurst; ++i) traffic();
                outage();
                node.answer = 200;
                world_.ledger.excuse_typing();
                if (world_.fedgate.count(Counter::kXmppOutOpened) != streams) {
                    world_.ledger.excuse_unread();
                }
                world_.users.busy = false;
                return;
            }
            case 12:  // until all that waits for it fails at once
                world_.pool->deaf = world_.second->deaf = true;
                for (unsigned i = 0; i < kBurst; ++i) traffic();
                pass(33s);
                outage(1'000);
                world_.pool->deaf = world_.second->deaf = false;
                return;
            case 13: return world_.pool->forget_calls();
            case 14: return world_.pool->end_calls();
            case 15:
                node.knows_sessions = false;
                outage();
                node.knows_sessions = true;
                return;
            default: return;
        }
    }
    bool add_up() {
        const Ledger::Totals totals = world_.ledger.totals();
        sum_.totals.sent += totals.sent;
        sum_.totals.delivered += totals.delivered;
        sum_.totals.refused += totals.refused;
        sum_.totals.in_doubt += totals.in_doubt;
        sum_.totals.open += totals.open;
        sum_.totals.doubled += totals.doubled;
        sum_.totals.disordered += totals.disordered;
        const Ledger::Extras extras = world_.ledger.extras();
        sum_.extras.asked += extras.asked;
        sum_.extras.receipts += extras.receipts;
        sum_.extras.receipts_doubled += extras.receipts_doubled;
        sum_.extras.receipts_invented += extras.receipts_invented;
        sum_.extras.typed += extras.typed;
        sum_.extras.shown += extras.shown;
        sum_.extras.overtaken += extras.overtaken;
        sum_.extras.strange += extras.strange;
        sum_.extras.unread_late += extras.unread_late;
        sum_.outstanding += outstanding_;
        sum_.full_mailboxes += full_mailboxes_ + world_.fedgate.count(Counter::kLinkBackPressure);
        ++sum_.seeds;
        sum_.sessions += world_.fedgate.count(Counter::kSessionsX2s) +
                         world_.fedgate.count(Counter::kSessionsS2x);
        for (const auto& [cause, count] : world_.ledger.causes) sum_.causes[cause] += count;
        return totals.open == 0 && totals.doubled == 0 && totals.disordered == 0 &&
               totals.in_doubt <= outstanding_ && extras.receipts_doubled == 0 &&
               extras.receipts_invented == 0 && extras.overtaken == 0 && extras.strange == 0;
    }

    Sum& sum_;
    bool tight_;
    bool dies_;  // which excuses what it has not told yet
    bool sessions_;
    World world_;
    unsigned outstanding_ = 0;
    std::uint64_t full_mailboxes_ = 0;
};

void print(const Sum& sum) {
    const Ledger::Totals& t = sum.totals;
    std::printf("%u messages, %u seeds, %llu sessions\n", t.sent, sum.seeds,
                static_cast<unsigned long long>(sum.sessions));
    std::printf("  delivered once   %9u\n  refused          %9u\n", t.delivered, t.refused);
    std::printf("  in doubt         %9u  (outstanding at a fault: %u)\n", t.in_doubt,
                sum.outstanding);
    std::printf("  lost             %9u\n  doubled          %9u\n  out of order     %9u\n", t.open,
                t.doubled, t.disordered);
    const Ledger::Extras& e = sum.extras;
    std::printf("  of a stream given up, late %u\n", e.unread_late);
    std::printf("receipts asked for, of what was delivered\n  %9u\n", e.asked);
    std::printf("  came             %9u\n  twice            %9u\n  for nothing      %9u\n",
                e.receipts, e.receipts_doubled, e.receipts_invented);
    std::printf("typing\n  %9u\n  seen             %9u\n  after its text   %9u\n", e.typed, e.shown,
                e.overtaken);
    std::printf("seen, and nobody's\n  %9u\n", e.strange);
    std::printf("refusals, by what the sender was told\n");
    for (const auto& [cause, count] : sum.causes) std::printf("  %9u %s\n", count, cause.c_str());
    std::printf("met a full mailbox\n  %9llu\nfaults\n",
                static_cast<unsigned long long>(sum.full_mailboxes));
    for (unsigned i = 0; i < kKindCount; ++i) std::printf("  %9u %s\n", sum.faults[i], kKinds[i]);
}

int run(int argc, char** argv) {
    std::uint64_t wanted = 20'000;
    std::uint64_t seed = 1;
    for (int i = 1; i < argc; i += 2) {
        char* end = nullptr;
        std::uint64_t* const value = std::strcmp(argv[i], "--messages") == 0 ? &wanted
                                     : std::strcmp(argv[i], "--seed") == 0   ? &seed
                                                                             : nullptr;
        if (value != nullptr && i + 1 < argc) *value = std::strtoull(argv[i + 1], &end, 10);
        if (end == nullptr || *end != 0) {
            std::fprintf(stderr, "usage: ledger [--messages N] [--seed FIRST]\n");
            return 2;
        }
    }
    Sum sum;
    bool holds = true;
    for (; sum.totals.sent < wanted; ++seed) {
        Run one(seed, sum);
        if (one.run()) continue;
        holds = false;
        std::printf("seed %llu breaks the law; first wrong: %s%s\n",
                    static_cast<unsigned long long>(seed), one.first_wrong().c_str(),
                    one.describe().c_str());
    }
    print(sum);
    return holds ? 0 : 1;
}

}  // namespace
}  // namespace fedgate::simulation

int main(int argc, char** argv) { return fedgate::simulation::run(argc, argv); }
