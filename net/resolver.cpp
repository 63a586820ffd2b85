// What resolvers share, and the simulated one.
#include "net/resolver.hpp"

#include <algorithm>
#include <map>

namespace fedgate::net {

Duration clamp_ttl(DnsStatus status, Duration ttl) {
    switch (status) {  // DNS-8
        case DnsStatus::kOk: return std::clamp<Duration>(ttl, 30s, 3600s);
        case DnsStatus::kNoData:
        case DnsStatus::kNoDomain: return std::clamp<Duration>(ttl, 30s, 300s);
        case DnsStatus::kFailed:
        case DnsStatus::kBogus: return 10s;
    }
    return 10s;
}

struct SimulatedResolver::State final : TimerOwner {
    struct Entry {
        std::vector<SrvRecord> srv;
        std::vector<SocketAddress> addresses;
        std::vector<TlsaRecord> tlsa;
        std::vector<NaptrRecord> naptr;
        DnsStatus failing = DnsStatus::kOk;
        bool secure = false;
        bool silent = false;
    };
    struct Pending {
        std::string name;
        DnsType type;
        ResolverOwner& owner;
        Timer timer;
        QueryId id{};

        Pending(std::string n, DnsType t, ResolverOwner& o, State& state)
            : name(std::move(n)), type(t), owner(o), timer(state) {}
    };

    explicit State(Loop& l) : loop(l) {}

    static Handle<Pending> handle(QueryId id) { return {id.index, id.generation}; }

    DnsAnswer look_up(const std::string& name, DnsType type) const;
    void on_timer(Timer&) override;

    Loop& loop;
    Duration delay{};
    std::map<std::string, Entry, std::less<>> table;
    Slab<Pending> pending{4'096};
};

DnsAnswer SimulatedResolver::State::look_up(const std::string& name, DnsType type) const {
    DnsAnswer answer;
    const auto found = table.find(name);
    answer.status = DnsStatus::kNoDomain;
    if (found != table.end()) {
        const Entry& entry = found->second;
        answer.status = entry.failing;
        answer.secure = entry.secure;
        if (answer.status == DnsStatus::kOk) {
            if (type == DnsType::kSrv) answer.srv = entry.srv;
            if (type == DnsType::kTlsa) answer.tlsa = entry.tlsa;
            if (type == DnsType::kNaptr) answer.naptr = entry.naptr;
            for (const SocketAddress& address : entry.addresses) {
                const DnsType has =
                    address.storage.sin6_family == AF_INET6 ? DnsType::kAaaa : DnsType::kA;
                if (has == type) answer.addresses.push_back(address);
            }
            if (!answer.has_records()) answer.status = DnsStatus::kNoData;
        }
    }
    answer.ttl = clamp_ttl(answer.status, 60s);
    return answer;
}

void SimulatedResolver::State::on_timer(Timer& timer) {
    Pending* due = nullptr;
    pending.for_each([&](Handle<Pending>, Pending& one) {
        if (&one.timer == &timer) due = &one;
    });
    FEDGATE_CHECK(due != nullptr);
    const QueryId id = due->id;
    ResolverOwner& owner = due->owner;
    const DnsAnswer answer = look_up(due->name, due->type);
    pending.free(handle(id));
    owner.on_resolved(id, answer);
}

SimulatedResolver::SimulatedResolver(Loop& loop) : state_(std::make_unique<State>(loop)) {}
SimulatedResolver::~SimulatedResolver() = default;

void SimulatedResolver::add_srv(const std::string& name, SrvRecord record) {
    state_->table[name].srv.push_back(std::move(record));
}
void SimulatedResolver::add_address(const std::string& name, const SocketAddress& address) {
    state_->table[name].addresses.push_back(address);
}
void SimulatedResolver::add_tlsa(const std::string& name, TlsaRecord record) {
    state_->table[name].tlsa.push_back(std::move(record));
}
void SimulatedResolver::add_naptr(const std::string& name, NaptrRecord record) {
    state_->table[name].naptr.push_back(std::move(record));
}
void SimulatedResolver::set_secure(const std::string& name) { state_->table[name].secure = true; }
void SimulatedResolver::set_failing(const std::string& name, DnsStatus status) {
    state_->table[name].failing = status;
}
void SimulatedResolver::clear(const std::string& name) { state_->table.erase(name); }
void SimulatedResolver::set_silent(const std::string& name, bool silent) {
    state_->table[name].silent = silent;
}
void SimulatedResolver::set_delay(Duration delay) { state_->delay = delay; }

QueryId SimulatedResolver::query(const std::string& name, DnsType type, ResolverOwner& owner) {
    Handle<State::Pending> handle;
    State::Pending* pending = state_->pending.make(handle, name, type, owner, *state_);
    FEDGATE_CHECK(pending != nullptr);  // a test that asks more than that is wrong
    pending->id = {handle.index, handle.generation};
    const auto entry = state_->table.find(name);
    if (entry == state_->table.end() || !entry->second.silent)
        state_->loop.timers().arm(pending->timer, state_->loop.now() + state_->delay);
    return pending->id;
}

void SimulatedResolver::cancel(QueryId id) {
    if (state_->pending.find(State::handle(id)) != nullptr) state_->pending.free(State::handle(id));
}

}  // namespace fedgate::net
