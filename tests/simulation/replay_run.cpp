// A fixed replay for bench/replay, which counts the instructions of the product for a message: the
// same bytes each time, through a simulated Fedgate of one shard, without TLS. The counting is on
// while the product runs, in the rounds after a warm-up: callgrind does it, when it runs us. What
// we count ourselves are the allocations, of which there may be none.
//
//     replay [--many] [PATH...]      a line for each path: its name, messages, allocations
//
// --many: chat of as many pairs, and as many messages at once, as fill a processor's cache.
#include <cstdio>
#include <cstring>
#include <string_view>
#include <valgrind/callgrind.h>

#include "tests/simulation/metered_loop.hpp"
#include "tests/simulation/presence_world.hpp"
#include "tests/simulation/world.hpp"

namespace {
bool product_runs = false;
bool counting = false;
std::size_t allocations = 0;

void count_allocation() {
    if (product_runs && counting) ++allocations;
}
void toggle() {
    product_runs = !product_runs;
    if (counting) CALLGRIND_TOGGLE_COLLECT;
}
}  // namespace

// In the place of the C library's, which everything that allocates ends in.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t size) {
    count_allocation();
    return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
    count_allocation();
    return __libc_calloc(count, size);
}
void* realloc(void* old, std::size_t size) {
    count_allocation();
    return __libc_realloc(old, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
    count_allocation();
    return __libc_memalign(alignment, size);
}
}

namespace fedgate::simulation {
namespace {

constexpr const char* kWords = ", but soft, what light through yonder window breaks?";
struct Chat {
    unsigned pairs;
    unsigned batch;  // messages at once
    unsigned rounds;
};
constexpr Chat kFew{200, 20, 100};
constexpr Chat kMany{1'000, 1'000, 6};
Chat chat_size = kFew;
constexpr unsigned kPeople = 50;  // who watch each other
constexpr unsigned kPresenceRounds = 20;

Settings clear(const char* their) {
    return {{std::string("partner/") + their + "/tls", "none"},
            {std::string("partner/") + their + "/sasl", "none"},
            {"sec.loop_repeats", "1000"}};
}

std::unique_ptr<Loop> metered(SimulatedLoop& loop) {
    return std::make_unique<MeteredLoop>(loop, toggle);
}

// `round(n)` is run by itself until nothing is left to do for its messages.
template <typename Round>
void count(const char* path, unsigned messages, unsigned rounds, Round&& round) {
    for (unsigned i = 0; i < rounds; ++i) round(i);
    allocations = 0;
    CALLGRIND_START_INSTRUMENTATION;
    CALLGRIND_ZERO_STATS;
    counting = true;
    for (unsigned i = 0; i < rounds; ++i) round(rounds + i);
    counting = false;
    CALLGRIND_DUMP_STATS_AT(path);
    CALLGRIND_STOP_INSTRUMENTATION;
    std::printf("%s %u %zu\n", path, messages * rounds, allocations);
}

void chat(const char* path, bool to_sip, std::uint32_t shards, bool sessions) {
    World world(1, {.shards = shards,
                    .more = clear(kXmppDomain),
                    .partner_more = clear(kSipDomain),
                    .front = metered,
                    .sessions = sessions});
    unsigned sent = 0;
    count(path, chat_size.batch, chat_size.rounds, [&](unsigned) {
        for (unsigned i = 0; i < chat_size.batch; ++i, ++sent) {
            to_sip ? world.send_to_sip(sent % chat_size.pairs, {kWords})
                   : world.send_to_xmpp(sent % chat_size.pairs, {kWords});
        }
        // Of kFew the warm-up is longer than anything is kept of a message.
        world.simulation.run_for([] { return false; }, 1s);
    });
    const Ledger::Totals totals = world.ledger.totals();
    FEDGATE_CHECK(totals.delivered == sent);
    FEDGATE_CHECK(totals.doubled + totals.disordered + totals.open == 0);
}

void single(const char* path, bool to_sip, std::uint32_t shards) {
    chat(path, to_sip, shards, false);
}

// Each pair's session stands behind the warm-up.
void in_session(const char* path, bool to_sip, std::uint32_t shards) {
    chat(path, to_sip, shards, true);
}

void presence(const char* path, bool to_sip, std::uint32_t shards) {
    PresenceWorld world(1, kPeople, shards, clear(kXmppDomain), metered, clear(kSipDomain));
    world.meet();
    FEDGATE_CHECK(world.settle(120s));
    const Counter counter = to_sip ? Counter::kPresenceX2s : Counter::kPresenceS2x;
    const std::uint64_t before = world.fedgate.count(counter);
    count(path, kPeople, kPresenceRounds, [&](unsigned round) {
        const std::string note = "in a meeting, the " + std::to_string(round) + "th of today";
        for (unsigned i = 0; i < kPeople; ++i) {
            to_sip ? world.contacts.tell(i, true, note) : world.agents.tell(i, true, note);
        }
        world.pass(6s);
        FEDGATE_CHECK(world.wrong() == 0);
    });
    FEDGATE_CHECK(world.fedgate.count(counter) == before + 2 * kPresenceRounds * kPeople);
}

struct Path {
    const char* name;
    void (*run)(const char* name, bool to_sip, std::uint32_t shards);
    bool to_sip;
    std::uint32_t shards;
};
// With two shards a message comes in at one, its pair is at home at one, and it goes out at one.
constexpr Path kPaths[] = {
    {"chat-to-message", single, true, 1},        {"message-to-chat", single, false, 1},
    {"chat-to-message-on-two", single, true, 2}, {"message-to-chat-on-two", single, false, 2},
    {"chat-to-session", in_session, true, 1},    {"session-to-chat", in_session, false, 1},
    {"notify-to-presence", presence, false, 1},  {"presence-to-notify", presence, true, 1}};

int run(int count, char** names) {
    if (count > 0 && std::strcmp(names[0], "--many") == 0) {
        chat_size = kMany;
        --count, ++names;
    }
    for (int i = 0; i < count; ++i) {
        const auto same = [&](const Path& path) { return std::strcmp(path.name, names[i]) == 0; };
        if (std::ranges::any_of(kPaths, same)) continue;
        std::fprintf(stderr, "replay: no path \"%s\"; there are:", names[i]);
        for (const Path& path : kPaths) std::fprintf(stderr, " %s", path.name);
        std::fputc('\n', stderr);
        return 2;
    }
    for (const Path& path : kPaths) {
        const bool named = std::any_of(names, names + count, [&](const char* name) {
            return std::strcmp(path.name, name) == 0;
        });
        if (count == 0 || named) path.run(path.name, path.to_sip, path.shards);
    }
    return 0;
}

}  // namespace
}  // namespace fedgate::simulation

int main(int argc, char** argv) { return fedgate::simulation::run(argc - 1, argv + 1); }
