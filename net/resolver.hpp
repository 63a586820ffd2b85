// Names into records. Two implementations: UnboundResolver asks the network through libunbound,
// SimulatedResolver answers from a table, on the loop's clock.
// Thread: the shard's. No callback runs inside query().
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/slab.hpp"
#include "core/base/time.hpp"
#include "core/run/loop.hpp"

namespace fedgate::net {

enum class DnsType : std::uint16_t { kA = 1, kAaaa = 28, kSrv = 33, kNaptr = 35, kTlsa = 52 };

enum class DnsStatus : std::uint8_t {
    kOk,        // there are records
    kNoData,    // the name exists, without such records
    kNoDomain,  // no such name
    kFailed,    // servers failed or did not answer
    kBogus,     // DNSSEC says that the answer is forged
};

struct SrvRecord {
    std::uint16_t priority = 0;
    std::uint16_t weight = 0;
    std::uint16_t port = 0;
    std::string target;  // without the last dot; empty for "." (service not offered)
};

// RFC 3403 4.1. One with a regular expression is left out: SIP has no use for it (RFC 3263 4.1).
struct NaptrRecord {
    std::uint16_t order = 0;
    std::uint16_t preference = 0;
    std::string flags;
    std::string service;
    std::string replacement;  // without the last dot; empty for "."
};

// RFC 6698 2.1. What the numbers mean is net/dane's to say.
struct TlsaRecord {
    std::uint8_t usage = 0;
    std::uint8_t selector = 0;
    std::uint8_t matching = 0;
    std::string data;
};

struct DnsAnswer {
    DnsStatus status = DnsStatus::kFailed;
    bool secure = false;  // validated by DNSSEC; also that there is nothing
    Duration ttl{};       // clamped as DNS-8 says
    std::vector<SrvRecord> srv;
    std::vector<SocketAddress> addresses;  // port 0
    std::vector<TlsaRecord> tlsa;
    std::vector<NaptrRecord> naptr;

    [[nodiscard]] bool has_records() const {
        return !srv.empty() || !addresses.empty() || !tlsa.empty() || !naptr.empty();
    }
};

struct QueryState;
using QueryId = Handle<QueryState>;

class ResolverOwner {
public:
    // Once for each query that was not cancelled. The answer is valid for the call only.
    virtual void on_resolved(QueryId, const DnsAnswer&) = 0;

protected:
    ~ResolverOwner() = default;
};

class Resolver {
public:
    virtual ~Resolver() = default;
    // At the bound of queries in progress the answer is kFailed, as any other failure.
    virtual QueryId query(const std::string& name, DnsType, ResolverOwner&) = 0;
    virtual void cancel(QueryId) = 0;  // nothing happens when it is already over
};

// DNS-8: TTL honoured within 30 s..1 h, negative answers within 30 s..300 s, failures 10 s.
[[nodiscard]] Duration clamp_ttl(DnsStatus, Duration ttl);

struct ResolverOptions {
    std::vector<SocketAddress> servers;  // net.dns.servers; empty: the system's
    std::string trust_anchor_file;       // net.dns.trust_anchor; empty: no validation
};

// The loop must outlive it. Destroying it drops all queries without a callback.
Result<std::unique_ptr<Resolver>> make_unbound_resolver(Loop&, const ResolverOptions&);

// A static table. A name that is not in it does not exist.
class SimulatedResolver final : public Resolver {
public:
    explicit SimulatedResolver(Loop&);
    ~SimulatedResolver() override;

    void add_srv(const std::string& name, SrvRecord);
    void add_address(const std::string& name, const SocketAddress&);
    void add_tlsa(const std::string& name, TlsaRecord);
    void add_naptr(const std::string& name, NaptrRecord);
    void set_failing(const std::string& name, DnsStatus);  // every type of this name
    void set_secure(const std::string& name);  // what is there, and that there is nothing else
    void clear(const std::string& name);
    void set_silent(const std::string& name, bool);  // nothing answers for it
    void set_delay(Duration);                        // of every answer; 0: the next turn

    QueryId query(const std::string& name, DnsType, ResolverOwner&) override;
    void cancel(QueryId) override;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace fedgate::net
