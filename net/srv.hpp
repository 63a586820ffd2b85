// Where is a service? The questions to ask and what the answers mean: RFC 2782, XEP-0368, RFC 3263.
// Pure: answers in, targets out.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/base/time.hpp"
#include "core/run/loop.hpp"
#include "net/resolver.hpp"

namespace fedgate::net {

// Where chance comes from: the loop, or a test.
class Random {
public:
    virtual std::uint32_t below(std::uint32_t bound) = 0;  // 0..bound-1; bound > 0

protected:
    ~Random() = default;
};

class LoopRandom final : public Random {
public:
    explicit LoopRandom(Loop& loop) : loop_(loop) {}
    std::uint32_t below(std::uint32_t bound) override;

private:
    Loop& loop_;
};

enum class Transport : std::uint8_t { kUdp, kTcp, kTls };  // XMPP: kTls is direct TLS

struct Target {
    std::string host;  // name or numeric address
    std::uint16_t port = 0;
    Transport transport = Transport::kTcp;
    std::uint32_t priority = 0;  // lower is first; twice that of the record where kinds are ranked
    std::uint16_t weight = 0;
    SocketAddress address;           // length 0 until it was resolved
    bool secure = false;             // DNSSEC vouches for it: TLSA may be asked for (RFC 7673 3)
    std::vector<TlsaRecord> tlsa{};  // of what was reached; any: the peer must match (CERT-8)

    [[nodiscard]] bool same_place(const Target& other) const;  // host, port, transport, address
};

// RFC 2782 (DNS-2): which of `targets`, all of one priority, is next. `targets` is not empty.
std::size_t pick_weighted(std::span<const Target* const> targets, Random&);
// Sorts by priority and draws the order within each.
void order_targets(std::vector<Target>&, Random&);

enum class LookupStatus : std::uint8_t {
    kFound,
    kNoDomain,    // no such name, or nothing behind it
    kNotOffered,  // SRV target "." (DNS-3)
    kFailed,      // DNS did not answer
    kBogus,
};

// One look-up. Ask questions(), give each answer(), which may add questions, and take the result
// when it is complete().
class Lookup {
public:
    struct Question {
        std::string name;
        DnsType type;
    };

    struct Options {
        bool allow_literal = false;  // DNS-5: else an IP literal is refused (kNoDomain)
        bool prefer_direct = false;  // DNS-2: of one priority, direct TLS is first
        bool dane = false;           // CERT-8: mark what is secure
    };
    static Lookup xmpp(const std::string& domain) { return xmpp(domain, Options{}); }
    static Lookup xmpp(const std::string& domain, Options);  // DNS-1..DNS-4
    // A host of a static route, `host` or `host:port` already cut (DNS-1): no SRV.
    static Lookup fixed(const std::string& host, std::uint16_t port, Transport, Options);
    static Lookup fixed(const std::string& host, std::uint16_t port, Transport transport) {
        return fixed(host, port, transport, Options{});
    }
    // SIP-6. `port` 0: not given. `transports`: those that may be used, best first.
    // `ask_naptr`: the domain may choose among them.
    static Lookup sip(const std::string& host, std::uint16_t port,
                      std::span<const Transport> transports, bool ask_naptr = false);

    // Valid until the next answer().
    [[nodiscard]] std::span<const Question> questions() const { return questions_; }
    void answer(std::size_t question, const DnsAnswer&);
    [[nodiscard]] bool complete() const { return answered_ == questions_.size(); }
    [[nodiscard]] LookupStatus status() const;
    [[nodiscard]] bool has_srv() const;  // else targets() are the name's own addresses
    // Ordered by priority and chance; addresses not yet resolved, except for literals.
    [[nodiscard]] std::vector<Target> targets(Random&) const;
    // How long the answers hold.
    [[nodiscard]] Duration ttl() const;

private:
    enum class Kind : std::uint8_t { kXmpp, kFixed, kSip };
    struct Part {  // one question's meaning
        Transport transport;
        DnsStatus status = DnsStatus::kFailed;
        bool not_offered = false;
        bool secure = false;
        std::vector<SrvRecord> records;
    };

    void ask_srv(const std::string& name, Transport);
    void take_naptr(const DnsAnswer&);

    Kind kind_ = Kind::kFixed;
    std::string host_;
    std::vector<Question> questions_;
    std::vector<Part> parts_;       // one for each question; that of NAPTR has no records
    std::vector<Target> fallback_;  // when there is no SRV
    std::vector<Transport> transports_;
    std::size_t answered_ = 0;
    Duration ttl_ = std::chrono::hours(1);
    bool refused_ = false;
    Options options_;
};

}  // namespace fedgate::net
