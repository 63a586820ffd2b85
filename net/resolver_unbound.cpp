// The only file that knows libunbound. Its own thread does the work; its descriptor wakes the loop.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <mutex>
#include <netinet/in.h>
#include <unistd.h>

#include <unbound.h>

#include "net/address.hpp"
#include "net/dns_cache.hpp"
#include "net/resolver.hpp"

namespace fedgate::net {
namespace {

constexpr std::size_t kQueriesMax = 1'024;  // in progress; more fail at once
constexpr std::size_t kRecordsMax = 64;     // of one answer; more are not looked at
constexpr std::size_t kNameBytesMax = 253;
constexpr Duration kQueryTime = std::chrono::seconds(10);

using Context = std::unique_ptr<ub_ctx, decltype(&ub_ctx_delete)>;

// The wire form of a name, uncompressed, as text without the last dot; "" for the root.
bool read_name(Bytes wire, std::string& text) {
    text.clear();
    while (!wire.empty()) {
        const auto length = static_cast<unsigned char>(wire[0]);
        if (length == 0) return wire.size() == 1;
        if (length > 63 || wire.size() < 1u + length) return false;
        const Bytes label = wire.substr(1, length);
        for (const char c : label) {
            if (static_cast<unsigned char>(c) <= 0x20 || c == '.' || c == 0x7f) return false;
        }
        if (!text.empty()) text += '.';
        text += label;
        wire.remove_prefix(1u + length);
    }
    return false;
}

// A <character-string>: a length and as many bytes (RFC 1035 3.3).
bool take_text(Bytes& data, std::string& text) {
    if (data.empty()) return false;
    const auto length = static_cast<unsigned char>(data[0]);
    if (data.size() < 1u + length) return false;
    text = data.substr(1, length);
    data.remove_prefix(1u + length);
    return true;
}

void read_record(Bytes data, DnsType type, DnsAnswer& answer) {
    const auto number = [data = data](std::size_t at) {
        return static_cast<std::uint16_t>(static_cast<unsigned char>(data[at]) << 8 |
                                          static_cast<unsigned char>(data[at + 1]));
    };
    if (type == DnsType::kSrv) {
        SrvRecord record;
        if (data.size() < 7 || !read_name(data.substr(6), record.target)) return;
        record.priority = number(0);
        record.weight = number(2);
        record.port = number(4);
        if (record.port != 0 || record.target.empty()) answer.srv.push_back(std::move(record));
        return;
    }
    if (type == DnsType::kNaptr) {
        if (data.size() < 4) return;
        NaptrRecord record;
        record.order = number(0);
        record.preference = number(2);
        data.remove_prefix(4);
        std::string expression;
        const bool whole = take_text(data, record.flags) && take_text(data, record.service) &&
                           take_text(data, expression) && read_name(data, record.replacement);
        if (whole && expression.empty()) answer.naptr.push_back(std::move(record));
        return;
    }
    if (type == DnsType::kTlsa) {
        const auto octet = [data](std::size_t at) { return static_cast<std::uint8_t>(data[at]); };
        if (data.size() < 4) return;
        answer.tlsa.push_back({octet(0), octet(1), octet(2), std::string(data.substr(3))});
        return;
    }
    const bool v6 = type == DnsType::kAaaa;
    if (data.size() != (v6 ? 16u : 4u)) return;
    SocketAddress address;
    if (v6) {
        sockaddr_in6 in{};
        in.sin6_family = AF_INET6;
        std::memcpy(&in.sin6_addr, data.data(), 16);
        std::memcpy(&address.storage, &in, sizeof in);
        address.length = sizeof in;
    } else {
        sockaddr_in in{};
        in.sin_family = AF_INET;
        std::memcpy(&in.sin_addr, data.data(), 4);
        std::memcpy(&address.storage, &in, sizeof in);
        address.length = sizeof in;
    }
    answer.addresses.push_back(address);
}

DnsAnswer read_result(int error, const ub_result* result, DnsType type) {
    DnsAnswer answer;
    if (error == 0 && result != nullptr) {
        constexpr int kNoError = 0, kNameError = 3;
        for (std::size_t i = 0;
             result->havedata != 0 && result->data[i] != nullptr && i < kRecordsMax; ++i) {
            read_record({result->data[i], static_cast<std::size_t>(result->len[i])}, type, answer);
        }
        answer.secure = result->secure != 0;
        answer.ttl = std::chrono::seconds(result->ttl);
        if (result->bogus != 0)
            answer.status = DnsStatus::kBogus;
        else if (answer.has_records())
            answer.status = DnsStatus::kOk;
        else if (result->nxdomain != 0 || result->rcode == kNameError)
            answer.status = DnsStatus::kNoDomain;
        else if (result->rcode == kNoError)
            answer.status = DnsStatus::kNoData;
    }
    answer.ttl = clamp_ttl(answer.status, answer.ttl);
    if (answer.status == DnsStatus::kOk) return answer;
    DnsAnswer without;
    without.status = answer.status;
    without.secure = answer.secure;
    without.ttl = answer.ttl;
    return without;
}

class UnboundResolver;

// What the loop keeps until it has let go of the descriptor, which is libunbound's.
struct Watch final : SocketOwner, SocketRemains {
    explicit Watch(Context c) : context(std::move(c)) {}
    void on_readable(Socket) override;

    Context context;
    UnboundResolver* resolver = nullptr;
    Socket socket{};
};

class UnboundResolver final : public Resolver, public TurnTask, public TimerOwner {
public:
    UnboundResolver(Loop& loop, Watch& watch) : loop_(loop), watch_(watch) {
        watch.resolver = this;
    }
    ~UnboundResolver() override {
        if (scheduled_) loop_.cancel_turn_task(*this);
        pending_.for_each([this](Handle<Pending>, Pending& one) {
            if (one.running) ub_cancel(watch_.context.get(), one.async_id);
        });
        watch_.resolver = nullptr;
        loop_.close(watch_.socket, std::unique_ptr<SocketRemains>(&watch_));
    }

    QueryId query(const std::string& name, DnsType type, ResolverOwner& owner) override;
    void cancel(QueryId id) override;

    void on_readable() { ub_process(watch_.context.get()); }
    void on_turn_end() override;
    void on_timer(Timer&) override;

private:
    struct Pending {
        Pending(UnboundResolver& r, std::string n, DnsType t, ResolverOwner* o)
            : resolver(r), name(std::move(n)), type(t), owner(o), timer(r) {}
        UnboundResolver& resolver;
        std::string name;
        DnsType type;
        ResolverOwner* owner;
        Timer timer;
        QueryId id{};
        int async_id = 0;
        bool running = false;  // libunbound holds a pointer to this
        DnsAnswer answer;
    };

    static Handle<Pending> handle(QueryId id) { return {id.index, id.generation}; }
    static void on_result(void* pending, int error, ub_result* result);
    void finish(Pending& pending);
    void schedule();

    Loop& loop_;
    Watch& watch_;
    DnsCache cache_;
    Slab<Pending> pending_{kQueriesMax};
    struct Ready {
        QueryId id;
        ResolverOwner* overflow_owner;  // at the bound there is no Pending
    };
    std::deque<Ready> ready_;  // no more than queries in progress, and those refused in this turn
    std::uint32_t refused_ = 0;
    bool scheduled_ = false;
};

void Watch::on_readable(Socket) {
    if (resolver != nullptr) resolver->on_readable();
}

QueryId UnboundResolver::query(const std::string& name, DnsType type, ResolverOwner& owner) {
    Handle<Pending> made;
    Pending* pending = pending_.make(made, *this, name, type, &owner);
    if (pending == nullptr) {
        const QueryId id{UINT32_MAX, ++refused_ == 0 ? ++refused_ : refused_};
        ready_.push_back({id, &owner});
        schedule();
        return id;
    }
    pending->id = {made.index, made.generation};
    if (const DnsAnswer* known = cache_.find(name, type, loop_.now())) {
        pending->answer = *known;
        finish(*pending);
        return pending->id;
    }
    pending->running = !name.empty() && name.size() <= kNameBytesMax &&
                       ub_resolve_async(watch_.context.get(), name.c_str(), static_cast<int>(type),
                                        1, pending, on_result, &pending->async_id) == 0;
    if (pending->running) {
        loop_.timers().arm(pending->timer, loop_.now() + kQueryTime);
    } else {
        pending->answer.ttl = clamp_ttl(DnsStatus::kFailed, {});
        finish(*pending);
    }
    return pending->id;
}

void UnboundResolver::cancel(QueryId id) {
    std::erase_if(ready_, [id](const Ready& ready) { return ready.id == id; });
    Pending* pending = pending_.find(handle(id));
    if (pending == nullptr) return;
    if (pending->running) ub_cancel(watch_.context.get(), pending->async_id);
    pending_.free(handle(id));
}

void UnboundResolver::on_result(void* data, int error, ub_result* result) {
    auto& pending = *static_cast<Pending*>(data);
    pending.running = false;
    pending.answer = read_result(error, result, pending.type);
    ub_resolve_free(result);
    UnboundResolver& resolver = pending.resolver;
    resolver.cache_.put(pending.name, pending.type, pending.answer, resolver.loop_.now());
    resolver.finish(pending);
}

void UnboundResolver::on_timer(Timer& timer) {
    pending_.for_each([&](Handle<Pending>, Pending& pending) {
        if (&pending.timer != &timer || !pending.running) return;
        ub_cancel(watch_.context.get(), pending.async_id);
        pending.running = false;
        pending.answer.ttl = clamp_ttl(DnsStatus::kFailed, {});
        cache_.put(pending.name, pending.type, pending.answer, loop_.now());
        finish(pending);
    });
}

void UnboundResolver::finish(Pending& pending) {
    pending.timer.cancel();
    ready_.push_back({pending.id, nullptr});
    schedule();
}

void UnboundResolver::schedule() {
    if (scheduled_) return;
    scheduled_ = true;
    loop_.at_turn_end(*this);
}

void UnboundResolver::on_turn_end() {
    scheduled_ = false;
    for (std::size_t count = ready_.size(); count > 0 && !ready_.empty(); --count) {
        const Ready ready = ready_.front();
        ready_.pop_front();
        if (ready.overflow_owner != nullptr) {
            ready.overflow_owner->on_resolved(ready.id, DnsAnswer{});
            continue;
        }
        Pending* pending = pending_.find(handle(ready.id));
        if (pending == nullptr) continue;
        const DnsAnswer answer = std::move(pending->answer);
        ResolverOwner* owner = pending->owner;
        pending_.free(handle(ready.id));
        owner->on_resolved(ready.id, answer);
    }
}

bool set_options(ub_ctx* context, const ResolverOptions& options) {
    const auto set = [context](const char* name, const char* value) {
        return ub_ctx_set_option(context, name, value) == 0;
    };
    // DNS-8, in its own cache as well as in ours. A server that was down is tried again soon.
    bool good = set("cache-min-ttl:", "30") && set("cache-max-ttl:", "3600") &&
                set("cache-max-negative-ttl:", "300") && set("infra-host-ttl:", "60") &&
                set("infra-keep-probing:", "yes") && set("val-bogus-ttl:", "10") &&
                set("msg-cache-size:", "1m") && set("rrset-cache-size:", "2m");
    if (!options.trust_anchor_file.empty()) {
        good = good && ub_ctx_add_ta_file(context, options.trust_anchor_file.c_str()) == 0 &&
               set("val-permissive-mode:", "no");
    }
    if (options.servers.empty()) {
        ub_ctx_resolvconf(context, nullptr);  // without one it asks the root servers itself
        ub_ctx_hosts(context, nullptr);
        return good && ub_ctx_async(context, 1) == 0;
    }
    good = good && set("do-not-query-localhost:", "no");
    for (const SocketAddress& server : options.servers) {
        const std::string text = format_ip(server) + "@" + std::to_string(port_of(server));
        good = good && ub_ctx_set_fwd(context, text.c_str()) == 0;
    }
    good = good && ub_ctx_async(context, 1) == 0;
    // They are asked for everything, also for what libunbound would answer itself (RFC 6761).
    for (const char* zone : {"localhost.", "test.", "invalid.", "onion.", "home.arpa."}) {
        good = good && ub_ctx_zone_remove(context, zone) == 0;
    }
    return good;
}

}  // namespace

Result<std::unique_ptr<Resolver>> make_unbound_resolver(Loop& loop,
                                                        const ResolverOptions& options) {
    // libunbound would notice with the first question, and fail them all.
    const std::string& anchor = options.trust_anchor_file;
    if (!anchor.empty() && access(anchor.c_str(), R_OK) != 0) {
        return failure(Errc::kNotFound, "net.dns.trust_anchor can't be read", errno);
    }
    // Each shard makes its own at the same time, and the first to come sets up libunbound's log:
    // its mutex would be made anew under the one who holds it.
    static std::mutex mutex;
    const std::unique_lock lock(mutex);
    Context context(ub_ctx_create(), &ub_ctx_delete);
    if (!context) return failure(Errc::kSystem, "resolver");
    if (!set_options(context.get(), options)) return failure(Errc::kSystem, "resolver options");
    const int descriptor = ub_fd(context.get());
    if (descriptor < 0) return failure(Errc::kSystem, "resolver descriptor");
    auto watch = std::make_unique<Watch>(std::move(context));
    FEDGATE_TRY(socket, loop.watch(descriptor, *watch));
    watch->socket = socket;
    return std::unique_ptr<Resolver>(std::make_unique<UnboundResolver>(loop, *watch.release()));
}

}  // namespace fedgate::net
