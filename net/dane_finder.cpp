#include "net/dane_finder.hpp"

#include <algorithm>
#include <utility>

#include "net/address.hpp"
#include "net/questions.hpp"

namespace fedgate::net {

namespace {

constexpr std::uint16_t kXmppPort = 5269;
constexpr const char* kServices[] = {"_xmpps-server._tcp.", "_xmpp-server._tcp."};

bool is_kept_back(DnsStatus status) {
    return status == DnsStatus::kFailed || status == DnsStatus::kBogus;
}

}  // namespace

struct DaneFinder::State final : ResolverOwner, TimerOwner {
    struct Target {
        std::string host;
        std::uint16_t port;
        bool operator==(const Target&) const = default;
    };

    State(DaneFinder& f, Loop& l, Resolver& r, DaneFinderOwner& o, std::string domain)
        : finder(f), owner(o), questions(r), timer(*this) {
        found.domain = std::move(domain);
        l.timers().arm(timer, l.now() + kTimeout);
        for (const char* service : kServices)
            questions.ask(service + found.domain, DnsType::kSrv, 0, *this);
    }

    void on_resolved(QueryId, const DnsAnswer&) override;
    void on_service(const DnsAnswer&);
    void ask_servers();
    void on_timer(Timer&) override {
        found.withheld = true;
        finish();
    }
    void finish() {
        questions.cancel_all();
        timer.cancel();
        owner.on_dane_found(finder, std::move(found));  // the finder may be gone after this
    }

    DaneFinder& finder;
    DaneFinderOwner& owner;
    Questions questions;
    Timer timer;
    DaneQuestion found;
    std::vector<Target> targets;
    bool offered = false;  // an SRV record is there, be it "."
};

void DaneFinder::State::on_resolved(QueryId id, const DnsAnswer& answer) {
    const auto asked = questions.take(id);
    if (asked.type == DnsType::kSrv) return on_service(answer);
    if (is_kept_back(answer.status)) found.withheld = true;
    if (answer.secure) {
        if (auto records = usable_tlsa(answer.tlsa); !records.empty())
            found.servers.push_back({targets[asked.what].host, std::move(records)});
    }
    if (questions.empty()) finish();
}

// RFC 7673 3.1.
void DaneFinder::State::on_service(const DnsAnswer& answer) {
    if (is_kept_back(answer.status)) {
        found.withheld = true;
    } else if (!answer.secure) {  // the domain is not signed: there is nothing to be found
        found = {std::move(found.domain), {}};
        return finish();
    }
    for (const SrvRecord& record : answer.srv) {
        offered = true;
        const Target target{record.target, record.port};
        if (target.host.empty() || parse_ip(target.host, 0) || targets.size() >= kServersMax ||
            std::ranges::find(targets, target) != targets.end()) {
            continue;
        }
        targets.push_back(target);
    }
    if (questions.empty()) ask_servers();
}

// RFC 7673 3.3. DNS-4: without SRV the domain is its own server.
void DaneFinder::State::ask_servers() {
    if (!offered && !found.withheld) targets.push_back({found.domain, kXmppPort});
    for (std::size_t i = 0; i < targets.size(); ++i) {
        questions.ask("_" + std::to_string(targets[i].port) + "._tcp." + targets[i].host,
                      DnsType::kTlsa, i, *this);
    }
    if (targets.empty()) finish();
}

DaneFinder::DaneFinder(Loop& loop, Resolver& resolver, DaneFinderOwner& owner, std::string domain)
    : state_(std::make_unique<State>(*this, loop, resolver, owner, std::move(domain))) {}
DaneFinder::~DaneFinder() = default;

}  // namespace fedgate::net
