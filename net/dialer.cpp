#include "net/dialer.hpp"

#include <algorithm>
#include <optional>

#include "net/address.hpp"
#include "net/questions.hpp"

namespace fedgate::net {
namespace {

// RFC 8305 3: how long the other family's answer is waited for once one is there.
constexpr Duration kOtherFamilyTime = std::chrono::milliseconds(50);
// And the answer about direct TLS, or STARTTLS, once there are targets of the other kind.
constexpr Duration kOtherServiceTime = std::chrono::seconds(2);

}  // namespace

struct Dialer::State final : ConnectionOwner, ResolverOwner, TimerOwner, TurnTask {
    enum class Step : std::uint8_t {
        kIdle,
        kLookup,     // where is the service?
        kAddresses,  // what are this target's addresses?
        kRace,       // which address answers first?
        kDialed,     // the owner has the connection
    };
    struct Racer {
        std::unique_ptr<Connection> connection;
        Instant give_up;
        std::size_t target;
        std::vector<TlsaRecord> tlsa;
    };
    enum Timers : std::uint32_t { kTotal, kStep };

    State(Dialer& d, Loop& l, Resolver& r, DialerOwner& o, TargetPool* p)
        : dialer(d),
          loop(l),
          owner(o),
          pool(p != nullptr ? *p : own_pool),
          random(l),
          questions(r),
          total(*this, kTotal),
          step_timer(*this, kStep) {}
    ~State() { loop.cancel_turn_task(*this); }

    void begin(Lookup wanted, ConnectionOwner& who, ConnectionLimits bounds);
    void lookup_done();
    void next_target();
    void race();
    [[nodiscard]] bool judge_tlsa();
    void launch();
    void go_on();
    void settle(std::size_t which);
    void arm_step();
    [[nodiscard]] bool more_addresses() const {
        return !waiting.empty() && launched < kAddressesMax;
    }
    [[nodiscard]] bool more_targets() const;
    [[nodiscard]] bool more_allowed() const {
        return launched < kAddressesMax && std::ranges::count(tried, true) < kTargetsMax;
    }
    void stop(Step to);
    void fail(DialFault fault);
    [[nodiscard]] DialFault fault_of_all() const;

    void on_resolved(QueryId id, const DnsAnswer& answer) override;
    void on_open(Connection& connection) override;
    std::size_t on_data(Connection&, MutableBytes) override { return 0; }
    void on_closed(Connection& connection, Error reason) override;
    void on_timer(Timer& timer) override;
    void on_turn_end() override;

    Dialer& dialer;
    Loop& loop;
    DialerOwner& owner;
    TargetPool own_pool;
    TargetPool& pool;
    LoopRandom random;
    Questions questions;
    Timer total;
    Timer step_timer;

    Step step = Step::kIdle;
    Lookup lookup;
    ConnectionOwner* connection_owner = nullptr;
    ConnectionLimits limits{};
    TargetPool::Tried tried;
    std::size_t target = 0;  // whose addresses are looked for or tried; then the one reached
    std::vector<SocketAddress> v4, v6;
    bool addresses_secure = false;
    bool awaits_tlsa = false;
    std::optional<DnsAnswer> tlsa_answer;  // nothing: not asked, or not there yet
    std::vector<TlsaRecord> tlsa;          // of the target, to be matched
    Instant resolve_until{};
    std::vector<SocketAddress> waiting;  // addresses of the target, not yet tried, next one first
    std::vector<Racer> racers;
    Instant next_launch{};
    Instant give_up{};  // on the whole attempt
    std::size_t launched = 0;
    bool probing = false;  // all targets are down: they are raced as if they were one
    bool saw_address = false;
    bool saw_dns_failure = false;
    bool saw_bogus = false;
    Error last{Errc::kNotFound, 0, "no address"};
};

void Dialer::State::begin(Lookup wanted, ConnectionOwner& who, ConnectionLimits bounds) {
    FEDGATE_CHECK(step == Step::kIdle);
    step = Step::kLookup;
    lookup = std::move(wanted);
    connection_owner = &who;
    limits = bounds;
    tried.clear();
    launched = 0;
    probing = false;
    saw_address = saw_dns_failure = saw_bogus = false;
    last = {Errc::kNotFound, 0, "no address"};
    give_up = loop.now() + kTotalTimeout;
    loop.timers().arm(total, give_up);
    const auto list = lookup.questions();
    for (std::size_t i = 0; i < list.size(); ++i)
        questions.ask(list[i].name, list[i].type, i, *this);
    if (list.empty()) loop.at_turn_end(*this);
}

void Dialer::State::on_turn_end() {
    if (step == Step::kLookup)
        lookup_done();
    else if (step == Step::kAddresses && loop.now() >= give_up)
        fail(DialFault::kTimeout);
    else if (step == Step::kAddresses)
        next_target();
}

void Dialer::State::on_resolved(QueryId id, const DnsAnswer& answer) {
    const auto asked = questions.take(id);
    if (step == Step::kLookup) {
        lookup.answer(asked.what, answer);
        if (lookup.complete()) return lookup_done();
        // Some name servers never answer for a service that they do not know.
        if (lookup.has_srv()) loop.timers().arm(step_timer, loop.now() + kOtherServiceTime);
        return;
    }
    saw_dns_failure = saw_dns_failure || answer.status == DnsStatus::kFailed;
    saw_bogus = saw_bogus || answer.status == DnsStatus::kBogus;
    if (asked.type == DnsType::kTlsa) {
        awaits_tlsa = false;
        tlsa_answer = answer;
    } else {
        auto& addresses = asked.type == DnsType::kAaaa ? v6 : v4;
        addresses = answer.addresses;
        std::erase_if(addresses, [](const SocketAddress& one) { return !is_unicast(one); });
        if (!answer.addresses.empty()) addresses_secure = addresses_secure && answer.secure;
    }
    if (questions.empty()) return race();
    if (!v4.empty() || !v6.empty()) {
        const Instant soon = loop.now() + kOtherFamilyTime;
        loop.timers().arm(step_timer, awaits_tlsa ? resolve_until : std::min(soon, resolve_until));
    }
}

void Dialer::State::lookup_done() {
    step_timer.cancel();
    const LookupStatus status = lookup.status();
    if (status == LookupStatus::kBogus) return fail(DialFault::kBogus);
    if (status == LookupStatus::kFailed) return fail(DialFault::kDnsFailed);
    if (status != LookupStatus::kFound) return fail(DialFault::kNoDomain);
    std::vector<Target> targets = lookup.targets(random);
    std::erase_if(targets, [](const Target& one) { return one.transport == Transport::kUdp; });
    pool.set(targets);
    tried.assign(pool.count(), false);
    next_target();
}

void Dialer::State::next_target() {
    const Instant now = loop.now();
    std::optional<std::size_t> picked;
    if (more_allowed()) picked = pool.pick(now, random, tried);
    const bool begun = std::ranges::find(tried, true) != tried.end();
    probing = probing || !pool.any_up(now);
    if (!picked && begun && more_allowed()) picked = pool.pick_down(now, random, tried);
    if (!picked) {
        if (racers.empty()) return fail(fault_of_all());
        step = Step::kRace;
        return arm_step();
    }
    step = Step::kAddresses;
    target = *picked;
    tried[target] = true;
    v4.clear();
    v6.clear();
    tlsa.clear();
    tlsa_answer.reset();
    awaits_tlsa = false;
    addresses_secure = true;
    const Target& chosen = pool.at(target);
    if (chosen.address.length != 0) {
        (is_ipv6(chosen.address) ? v6 : v4).push_back(chosen.address);
        addresses_secure = false;  // no name, so no TLSA
        return race();
    }
    questions.ask(chosen.host, DnsType::kAaaa, 0, *this);
    questions.ask(chosen.host, DnsType::kA, 0, *this);
    if (chosen.secure) {  // RFC 7673 3.3
        awaits_tlsa = true;
        questions.ask("_" + std::to_string(chosen.port) + "._tcp." + chosen.host, DnsType::kTlsa, 0,
                      *this);
    }
    resolve_until = now + kResolveTimeout;
    loop.timers().arm(step_timer, resolve_until);
}

bool Dialer::State::more_targets() const {
    return more_allowed() && std::ranges::find(tried, false) != tried.end();
}

void Dialer::State::race() {
    questions.cancel_all();
    waiting = interleave(v6, v4, pool.at(target).port);
    if (!judge_tlsa()) {
        last = {Errc::kCertificate, 0, "DNS does not tell its TLSA records"};
        waiting.clear();
    }
    if (more_targets() && waiting.size() > kAddressesOfTargetMax) {
        waiting.resize(kAddressesOfTargetMax);
    }
    if (!waiting.empty()) saw_address = true;
    step = Step::kRace;
    launch();
}

// CERT-8, RFC 7673 3.3: false where TLSA might be there and is kept from us. An address that DNSSEC
// does not vouch for has none.
bool Dialer::State::judge_tlsa() {
    if (!pool.at(target).secure || !addresses_secure || waiting.empty()) return true;
    if (!tlsa_answer || tlsa_answer->status == DnsStatus::kFailed ||
        tlsa_answer->status == DnsStatus::kBogus) {
        return false;
    }
    if (tlsa_answer->secure) tlsa = std::move(tlsa_answer->tlsa);
    return true;
}

// With the next address of this target, if it has one.
void Dialer::State::launch() {
    while (more_addresses()) {
        const SocketAddress address = waiting.front();
        waiting.erase(waiting.begin());
        ++launched;
        auto connection = Connection::connect(loop, *this, limits, address);
        if (connection) {
            racers.push_back({std::move(*connection), loop.now() + kAddressTimeout, target, tlsa});
            next_launch = loop.now() + kStagger;
            return arm_step();
        }
        last = connection.error();
    }
    waiting.clear();
    settle(target);
    go_on();
}

void Dialer::State::arm_step() {
    Instant next = kNever;
    if (more_addresses() || (probing && more_targets())) next = next_launch;
    for (const Racer& racer : racers) next = std::min(next, racer.give_up);
    loop.timers().arm(step_timer, next);
}

// Nothing is left to try of this target: it is down.
void Dialer::State::settle(std::size_t which) {
    if (which == target && (step != Step::kRace || more_addresses())) return;
    const bool runs = std::ranges::find(racers, which, &Racer::target) != racers.end();
    if (!runs) pool.on_failure(which, loop.now(), random);
}

void Dialer::State::on_open(Connection& connection) {
    const auto won = std::find_if(racers.begin(), racers.end(), [&connection](const Racer& racer) {
        return racer.connection.get() == &connection;
    });
    FEDGATE_CHECK(won != racers.end());
    std::unique_ptr<Connection> winner = std::move(won->connection);
    target = won->target;
    tlsa = std::move(won->tlsa);
    racers.erase(won);
    stop(Step::kDialed);
    winner->set_owner(*connection_owner);
    Target reached = pool.at(target);
    reached.tlsa = std::move(tlsa);
    owner.on_dialed(dialer, std::move(winner), reached);
}

void Dialer::State::on_closed(Connection& connection, Error reason) {
    last = reason;
    const auto lost = std::ranges::find(racers, &connection,
                                        [](const Racer& racer) { return racer.connection.get(); });
    FEDGATE_CHECK(lost != racers.end());
    const std::size_t whose = lost->target;
    racers.erase(lost);
    settle(whose);
    // At once: waiting for the stagger would gain nothing.
    if (step == Step::kRace) go_on();
}

void Dialer::State::on_timer(Timer& timer) {
    if (timer.kind == kTotal) {
        last = {Errc::kTimeout, 0, "the whole attempt"};
        return fail(DialFault::kTimeout);
    }
    if (step == Step::kLookup) {
        questions.cancel_all();
        return lookup_done();
    }
    if (step == Step::kAddresses) {
        if (v4.empty() && v6.empty()) saw_dns_failure = true;
        return race();  // with what there is
    }
    const Instant now = loop.now();
    while (!racers.empty() && racers.front().give_up <= now) {  // in the order of their starts
        const std::size_t whose = racers.front().target;
        racers.erase(racers.begin());
        last = {Errc::kTimeout, 0, "connect"};
        settle(whose);
    }
    if (racers.empty() || next_launch <= now) return go_on();
    arm_step();
}

// With the next address, of this target or of the next one.
void Dialer::State::go_on() {
    if (more_addresses()) return launch();
    if (racers.empty() || (probing && more_targets())) return next_target();
    arm_step();
}

void Dialer::State::stop(Step to) {
    step = to;
    questions.cancel_all();
    step_timer.cancel();
    total.cancel();
    waiting.clear();
    racers.clear();
    loop.cancel_turn_task(*this);
}

DialFault Dialer::State::fault_of_all() const {
    if (saw_address || last.code != Errc::kNotFound) return DialFault::kUnreachable;
    if (saw_bogus) return DialFault::kBogus;
    if (saw_dns_failure) return DialFault::kDnsFailed;
    // DNS-4: no SRV and no address: there is no such domain.
    const bool asked_any = std::find(tried.begin(), tried.end(), true) != tried.end();
    return asked_any && !lookup.has_srv() ? DialFault::kNoDomain : DialFault::kUnreachable;
}

void Dialer::State::fail(DialFault fault) {
    stop(Step::kIdle);
    const Instant now = loop.now();
    const bool dns = fault == DialFault::kNoDomain || fault == DialFault::kDnsFailed ||
                     fault == DialFault::kBogus;
    if (fault == DialFault::kBogus) last = {Errc::kDenied, 0, "DNSSEC: a forged answer"};
    owner.on_dial_failed(dialer, fault, last,
                         dns ? now : std::min(pool.next_pick(now), now + TargetPool::kHold));
}

Dialer::Dialer(Loop& loop, Resolver& resolver, DialerOwner& owner, TargetPool* pool)
    : state_(std::make_unique<State>(*this, loop, resolver, owner, pool)) {}
Dialer::~Dialer() = default;

void Dialer::start(Lookup lookup, ConnectionOwner& owner, ConnectionLimits limits) {
    state_->begin(std::move(lookup), owner, limits);
}

void Dialer::next(Error why) {
    State& state = *state_;
    FEDGATE_CHECK(state.step == State::Step::kDialed);
    state.last = why;
    state.pool.on_failure(state.target, state.loop.now(), state.random);
    state.step = State::Step::kAddresses;
    state.loop.timers().arm(state.total, std::max(state.give_up, state.loop.now()));
    state.loop.at_turn_end(state);
}

void Dialer::succeeded() {
    State& state = *state_;
    FEDGATE_CHECK(state.step == State::Step::kDialed);
    state.pool.on_success(state.target);
    state.step = State::Step::kIdle;
}

bool Dialer::busy() const { return state_->step != State::Step::kIdle; }

}  // namespace fedgate::net
