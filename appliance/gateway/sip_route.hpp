// The way to one SIP domain: its next hops, where they are (SIP-6), which of them answers (SIP-8).
// Owner: the agent. Thread: the shard's.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "appliance/gateway/sip_transport.hpp"
#include "core/rules/snapshot.hpp"
#include "core/run/shard.hpp"
#include "net/dialer.hpp"
#include "net/resolver.hpp"
#include "net/target_pool.hpp"
#include "sip/digest.hpp"
#include "sip/message.hpp"

namespace fedgate::gateway {

struct ClientRequest;  // sip_agent
class SipRoute;

constexpr std::uint32_t kLegFailuresMax = 3;  // SIP-8: in
constexpr Duration kLegFailuresWithin = std::chrono::seconds(10);
constexpr Duration kRouteRetry = std::chrono::seconds(10);  // after a look-up that found nothing

// Requests in a row; the links are in ClientRequest.
struct RequestList {
    ClientRequest* first = nullptr;
    ClientRequest* last = nullptr;
    std::uint32_t count = 0;
};

struct RouteLeg final : Leg {
    SipRoute* route = nullptr;
    sip::Transport transport = sip::Transport::kTcp;
    std::uint8_t slot = 0;       // its bit in ClientRequest::tried
    RequestList requests;        // given to it, without a final response
    sip::Challenges challenges;  // SIP-30: each node has its own nonces
    std::uint32_t failures = 0;
    Instant failures_since{};
    Instant heard_at{};               // its last answer
    Instant held_until{};             // it wants nothing before that: Retry-After
    bool probing = false;             // an OPTIONS of ours is not answered yet
    bool suspect = false;             // the one before it never was (SIP-8)
    bool answers_options = false;     // it has, once at least
    bool unanswered_options = false;  // so has ended the last one: nothing was broken, either
    bool down_told = false;
    bool retired = false;  // no longer a target; goes when its last request has ended
    Instant trouble_at{};  // it was suspect or down until then
    // For people.
    Instant since{};               // up or down as it is now
    const char* why = "";          // down, or suspect
    std::uint64_t answered = 0;    // requests
    std::uint64_t unanswered = 0;  // that have left it, or ended
};

class SipRouteOwner {
public:
    // The first look-up is over: there are legs, or it is known that there are none.
    virtual void on_route_ready(SipRoute&) = 0;
    virtual void on_probe_due(SipRoute&, RouteLeg&) = 0;
    virtual void on_suspect(RouteLeg&) = 0;

    std::uint32_t leg_changes = 0;  // of all its routes

protected:
    ~SipRouteOwner() = default;
};

class SipRoute final : private net::FinderOwner, private TimerOwner {
public:
    SipRoute(Shard&, net::Resolver&, net::Random&, SipTransport&, SipRouteOwner&,
             const rules::SipDomain&, Duration options_interval);
    ~SipRoute();
    SipRoute(const SipRoute&) = delete;
    SipRoute& operator=(const SipRoute&) = delete;

    [[nodiscard]] const std::string& domain() const { return domain_; }
    [[nodiscard]] bool ready() const { return ready_; }
    // No next hop is known at all (ERR-L2), as against known and down (ERR-L3).
    [[nodiscard]] bool empty() const { return legs_.empty(); }
    // Its domain is ours no longer.
    [[nodiscard]] bool is_gone() const { return is_gone_; }
    [[nodiscard]] bool same_hops(const rules::SipDomain&) const;
    void set_options_interval(Duration interval) { options_interval_ = interval; }
    // The configuration has another way now: only what is under way goes on here.
    void retire(bool domain_is_gone) {
        is_gone_ = domain_is_gone;
        look_up_timer_.cancel();
        probe_timer_.cancel();
    }

    // The next leg for a request that has tried `tried`; `streams_only`: it is too big for a
    // datagram.
    [[nodiscard]] RouteLeg* pick(std::uint64_t tried, bool streams_only);
    // One that is up.
    [[nodiscard]] bool has_other(std::uint64_t tried) const;
    [[nodiscard]] bool has_stream() const;
    // Has anybody there answered all that time, as far as is known?
    [[nodiscard]] bool has_answered_for(Duration) const;
    // Is that place within the pool? `leg`: the node that it names, or null: the domain, or a name
    // of several nodes.
    [[nodiscard]] bool has(const sip::HostPort&, Bytes uri_params, RouteLeg*& leg) const;

    // It has answered what was sent to it then. What was sent before it went down proves nothing.
    void on_alive(RouteLeg&, Instant sent_at);
    void on_failure(RouteLeg&, const char* why);  // counted: three in ten seconds are too many
    void mark_suspect(RouteLeg&, const char* why);
    void mark_down(RouteLeg&, Duration hold, const char* why);
    // Where there is nowhere else to go it is asked on. True: there is.
    bool mark_down_if_other(RouteLeg&, const char* why);
    // Down, and not even asked before: RFC 3261 21.5.4, Retry-After.
    void hold(RouteLeg&, Duration, const char* why);

    RequestList waiting;      // came before ready()
    std::uint32_t users = 0;  // requests that name it

    [[nodiscard]] const std::vector<std::unique_ptr<RouteLeg>>& legs() const { return legs_; }
    [[nodiscard]] bool is_up(const RouteLeg&) const;
    // Which legs these are: no others, of whichever route, have that number.
    [[nodiscard]] std::uint32_t legs_number() const { return legs_number_; }

private:
    void on_found(net::Finder&, net::LookupStatus, std::vector<net::Target>, Duration ttl) override;
    void on_timer(Timer&) override;
    void look_up_next();
    void finish_look_up();
    void replace_legs();
    void drop_retired();
    [[nodiscard]] std::size_t index_of(const RouteLeg&) const;
    [[nodiscard]] bool is_held(const RouteLeg& leg) const {
        return shard_.loop().now() < leg.held_until;
    }

    Shard& shard_;
    net::Random& random_;
    SipTransport& transport_;
    SipRouteOwner& owner_;
    std::string domain_;
    std::vector<config::SipTarget> hops_;
    Duration options_interval_;
    net::Finder finder_;
    net::TargetPool pool_;
    std::vector<std::unique_ptr<RouteLeg>> legs_;  // in the order of the pool
    std::vector<std::unique_ptr<RouteLeg>> retired_;
    std::uint32_t legs_number_ = 0;
    // The look-up in progress.
    std::size_t hop_ = 0;
    std::vector<net::Target> found_;
    std::vector<std::string> found_hosts_;
    Duration found_ttl_{};
    bool failed_ = false;  // DNS did not answer for one of the hops
    bool ready_ = false;
    bool is_gone_ = false;
    std::uint64_t slots_used_ = 0;
    Timer look_up_timer_;
    Timer probe_timer_;
};

}  // namespace fedgate::gateway
