#include "net/dialer.hpp"
#include "net/questions.hpp"

namespace fedgate::net {

struct Finder::State final : ResolverOwner, TurnTask {
    struct Found {
        Target target;
        std::vector<SocketAddress> v4, v6;
    };

    State(Finder& f, Loop& l, Resolver& r, FinderOwner& o)
        : finder(f), loop(l), owner(o), random(l), questions(r) {}
    ~State() { loop.cancel_turn_task(*this); }

    void begin(Lookup wanted);
    void ask_next();
    void lookup_done();
    void finish(LookupStatus status);
    void on_resolved(QueryId id, const DnsAnswer& answer) override;
    void on_turn_end() override { lookup_done(); }

    Finder& finder;
    Loop& loop;
    FinderOwner& owner;
    LoopRandom random;
    Questions questions;
    Lookup lookup;
    std::size_t asked_count = 0;  // of its questions
    std::vector<Found> found;
    Duration ttl{};
    bool looking_up = false;
    bool failed = false;
    bool busy = false;
};

void Finder::State::begin(Lookup wanted) {
    FEDGATE_CHECK(!busy);
    busy = looking_up = true;
    failed = false;
    found.clear();
    lookup = std::move(wanted);
    asked_count = 0;
    ask_next();
    if (lookup.questions().empty()) loop.at_turn_end(*this);
}

void Finder::State::ask_next() {
    const auto list = lookup.questions();
    for (; asked_count < list.size(); ++asked_count)
        questions.ask(list[asked_count].name, list[asked_count].type, asked_count, *this);
}

void Finder::State::on_resolved(QueryId id, const DnsAnswer& answer) {
    const auto asked = questions.take(id);
    if (looking_up) {
        lookup.answer(asked.what, answer);
        if (lookup.complete()) return lookup_done();
        ask_next();
        return;
    }
    Found& one = found[asked.what];
    auto& addresses = asked.type == DnsType::kAaaa ? one.v6 : one.v4;
    addresses = answer.addresses;
    std::erase_if(addresses, [](const SocketAddress& address) { return !is_unicast(address); });
    ttl = std::min(ttl, answer.ttl);
    if (answer.status == DnsStatus::kFailed || answer.status == DnsStatus::kBogus) failed = true;
    if (questions.empty()) finish(LookupStatus::kFound);
}

void Finder::State::lookup_done() {
    looking_up = false;
    ttl = lookup.ttl();
    if (lookup.status() != LookupStatus::kFound) return finish(lookup.status());
    for (Target& target : lookup.targets(random)) {
        if (found.size() < kTargetsMax) found.push_back({std::move(target), {}, {}});
    }
    for (std::size_t i = 0; i < found.size(); ++i) {
        if (found[i].target.address.length != 0) continue;
        questions.ask(found[i].target.host, DnsType::kAaaa, i, *this);
        questions.ask(found[i].target.host, DnsType::kA, i, *this);
    }
    if (questions.empty()) finish(LookupStatus::kFound);
}

void Finder::State::finish(LookupStatus status) {
    std::vector<Target> targets;
    for (const Found& one : found) {
        if (one.target.address.length != 0) targets.push_back(one.target);
        for (const SocketAddress& address : interleave(one.v6, one.v4, one.target.port)) {
            Target target = one.target;
            target.address = address;
            targets.push_back(std::move(target));
        }
    }
    if (status == LookupStatus::kFound && targets.empty()) {
        status = failed ? LookupStatus::kFailed : LookupStatus::kNoDomain;
    }
    found.clear();
    busy = false;
    owner.on_found(finder, status, std::move(targets), ttl);
}

Finder::Finder(Loop& loop, Resolver& resolver, FinderOwner& owner)
    : state_(std::make_unique<State>(*this, loop, resolver, owner)) {}
Finder::~Finder() = default;
void Finder::start(Lookup lookup) { state_->begin(std::move(lookup)); }
bool Finder::busy() const { return state_->busy; }

}  // namespace fedgate::net
