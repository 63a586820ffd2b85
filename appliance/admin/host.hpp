// What the control thread needs of the running daemon. Implemented by fedgated; every call comes
// from the control thread, and must not wait for a core longer than a moment.
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "appliance/admin/event_book.hpp"
#include "core/base/bytes.hpp"
#include "core/base/event.hpp"
#include "core/base/time.hpp"
#include "core/config/commit_id.hpp"
#include "core/rules/snapshot.hpp"
#include "core/run/log.hpp"

namespace fedgate::admin {

struct Counter {
    std::string name;  // `xmpp.stanzas_in`
    std::uint64_t value = 0;
    bool current = false;  // goes up and down; else it only grows
    std::string description = {};
};

// One place where messages for a SIP domain go.
struct NextHop {
    std::string domain;
    std::string name;     // `tcp pool.example:5060`, as configured or found
    std::string address;  // that it stands for
    std::string state;    // `up`, `suspect` (it does not answer OPTIONS), `down`
    bool mute = false;    // suspect, since it has never answered one; nothing else is known of it
    std::uint64_t since_s = 0;
    std::string why;            // down, or suspect
    std::uint64_t retry_s = 0;  // it wants nothing before then (Retry-After)
    std::uint64_t pending = 0;  // requests without an answer yet
    std::uint64_t answered = 0;
    std::uint64_t unanswered = 0;  // that went elsewhere, or failed
};

// What outlives the process.
struct Store {
    std::string path;
    bool restoring = false;  // the rows are being read
    std::uint64_t rows = 0;
    std::uint64_t waiting = 0;            // changes that are not on disk
    std::optional<WallTime> last_commit;  // none since the start
    bool failing = false;                 // a remark says why
    std::string shares = {};              // of a pool: which nodes are there, what this one has
};

// What one node of the pool says of its commits.
struct NodeCommit {
    std::string node;
    bool here = false;  // this one
    std::uint64_t in_force = 0;
    std::string why;  // it has a newer one that it can't use: a sentence without a full stop
};

// What is to be told to the others: the newest commit that is known here, and what is in force.
struct Held {
    config::CommitId id;
    // As it was signed; of one that takes another one back, that other one, of which each node
    // makes it alone. Null: there is none.
    std::shared_ptr<const std::string> published;
    WallTime take_back_at{};  // of one that has to be confirmed
    std::uint64_t in_force = 0;
    std::string why;          // another one than that is: a sentence without a full stop
    std::string not_taken;    // the same of one that is not known here, since it was not taken
    std::uint64_t asked = 0;  // counts: who has sent that one may send it again
};

// What another node has sent.
struct Received {
    std::string peer;
    std::string published;        // and signed
    std::chrono::seconds left{};  // of the time to confirm it
};

// Who has signed a commit, if all is well with it.
struct Signer {
    std::vector<std::string> names;         // in its certificate
    std::string fault;                      // not well: a sentence without a full stop
    WallTime good_until = WallTime::max();  // whatever else is the matter: his certificates
};

// The link with one other machine: an edge's with a gateway, or a gateway's with an edge.
struct Link {
    std::string peer;            // its name: in its certificate, or as configured
    std::string node;            // what it calls itself
    std::string address;         // empty: no connection
    std::uint64_t standing = 0;  // connections; a gateway has one for each of its cores
    std::uint64_t count = 0;     // that there should be
    bool active = false;         // new stanzas go to it
    std::uint64_t since_s = 0;   // up, or down
    std::string why;             // not up: the rest of a sentence
};

// By which edges the users of a site reach partners, where a gateway is alone.
struct Route {
    std::string site;   // empty: all others
    std::string first;  // the pool, or an edge of none, that is wanted first
    std::string now;    // that is used; empty: none is there
    std::uint64_t since_s = 0;
    std::vector<std::string> missing;  // edges of the first one, each with why it is not there
};

struct CertificateInUse {
    std::string purposes;  // `external`, `external, sip`
    std::string file;
    WallTime not_after{};
};

struct Status {
    std::string state = "running";  // or `draining`
    unsigned threads = 0;
    std::uint64_t streams_in = 0;  // authenticated
    std::uint64_t streams_out = 0;
    std::uint64_t sip_connections = 0;
    std::uint64_t msrp_connections = 0;
    std::vector<NextHop> next_hops;  // by domain, in the order of their names
    std::optional<Store> store;      // none: no gateway is here
    std::vector<Link> links;         // where one role is on other machines
    std::vector<Route> routes;
    std::vector<CertificateInUse> certificates;
    std::vector<NodeCommit> nodes;     // of the pool, this one first; empty: there is no other
    std::vector<std::string> remarks;  // what an administrator should know, one sentence each
};

// One listener, as netstat would show it, with who owns it.
struct Port {
    std::string service;   // `xmpp`, `xmpp-tls`, `link`, `sip`
    std::string side;      // `external`, `internal`, `sip`
    std::string protocol;  // `tcp`, `udp`, `tls`
    std::string address;   // `[::]:5269`
    std::string owner;     // `edge`, `gateway`
    bool listening = false;
    std::string fault;           // why it does not listen, or is not connected
    std::uint64_t inbound = 0;   // established, accepted here
    std::uint64_t outbound = 0;  // established, opened by us for the same service
    bool dialled = false;        // nothing listens here: `address` is another machine's
};

struct StreamRow {
    bool outbound = false;
    bool both_ways = false;  // XEP-0288
    std::string our_domain;
    std::string their_domain;
    std::string state;  // `open`, `tls`, `authenticating`, ...; `idle`, `waiting`: no connection
    std::string proof;  // `certificate`, `dialback over TLS`, `dialback in clear`, or empty
    std::string tls;    // `TLSv1.3 TLS_AES_128_GCM_SHA256`, or empty
    std::string address;
    std::uint64_t age_s = 0;
    std::uint64_t idle_s = 0;
    std::uint64_t stanzas_in = 0;
    std::uint64_t stanzas_out = 0;
    std::uint64_t retry_s = 0;  // state `waiting`: not tried again before then
};

// What went wrong last with a partner's domain, in one direction.
struct FailureRow {
    std::string their_domain;
    bool outbound = false;
    std::string kind;  // `certificate`, `tls`, `sasl`, `dialback`, `dns`, `unreachable`,
                       // `stream error sent`, `stream error received`
    WallTime at{};
    std::string address;      // empty: none was reached
    std::string text;         // a sentence without a full stop
    std::uint64_t count = 0;  // since the start
};

// A user of ours whom traffic has shown to exist.
struct SeenUser {
    std::string address;  // in lower case
    WallTime at{};        // last
};

// Of its end an administrator is told from then on.
constexpr auto kPartnerExpiryNotice = std::chrono::days(30);
// Of a partner, as it was shown in a stream.
struct PartnerCertificate {
    std::string their_domain;
    WallTime not_after{};
    WallTime seen_at{};
};

class TraceBook;

// A message that an administrator tries; both addresses are bare.
struct TrialOrder {
    bool to_sip = false;  // else to the partner's user
    std::string ours;
    std::string theirs;
    std::string text;
};

// What has become of it so far.
struct Trial {
    Duration age{};
    bool taken = false;         // the SIP server has answered 2xx; or the partner's stream has it
    bool acknowledged = false;  // the partner's server says that it has it
    bool received = false;      // its user's client says so
    std::uint16_t status = 0;   // of the SIP answer; 0: none yet
    Duration taken_after{};
    Duration acknowledged_after{};
    Duration received_after{};
    std::string fault;  // empty: none yet; a sentence without a full stop
};

class AdminHost {
public:
    // A new set of rules for every core. The snapshot lives until oldest_generation() has passed
    // it.
    virtual void publish(const rules::Snapshot&) = 0;
    // Could every core work with these rules? Empty, or a sentence that names what can't be used: a
    // file of certificates that is not there.
    [[nodiscard]] virtual std::string fault_of(const rules::Snapshot&) { return {}; }
    // What an administrator should know before these rules are in force, that those in force don't
    // have: machines that can't be reached, names that a certificate lacks. May take a second.
    [[nodiscard]] virtual std::vector<std::string> warnings_of(const rules::Snapshot&) {
        return {};
    }
    // No core looks at a snapshot older than this one any more.
    [[nodiscard]] virtual std::uint64_t oldest_generation() = 0;

    [[nodiscard]] virtual Status status() = 0;
    [[nodiscard]] virtual std::vector<Port> ports() = 0;
    [[nodiscard]] virtual std::vector<StreamRow> streams() = 0;
    // Empty, or why there can be none here: a sentence without a full stop.
    [[nodiscard]] virtual std::string why_no_streams() { return {}; }
    [[nodiscard]] virtual std::vector<Counter> counters() = 0;
    // Sets up a stream of `our` domain with `their`, if none is there: a partner, as things are.
    // Soon; what has come of it, streams() and failures() tell.
    virtual void open_stream(const std::string& our, const std::string& their) {
        static_cast<void>(our), static_cast<void>(their);
    }
    // At most one row for each domain and direction.
    [[nodiscard]] virtual std::vector<FailureRow> failures() { return {}; }
    // Listed or not; those of this node's gateway. Nothing: a core was too late to say.
    [[nodiscard]] virtual std::optional<std::vector<SeenUser>> seen_users() {
        return std::vector<SeenUser>();
    }
    // One for each domain whose certificate was seen.
    [[nodiscard]] virtual std::vector<PartnerCertificate> partner_certificates() { return {}; }
    // What passes through the gateway, for `fedctl trace`. Null: no gateway is here.
    [[nodiscard]] virtual TraceBook* trace_book() { return nullptr; }

    // Sends it by the way of a user's. 0: `why` not, a sentence without a full stop.
    [[nodiscard]] virtual std::uint64_t begin_trial(const TrialOrder&, std::string& why) {
        why = "no gateway is here: try it at one";
        return 0;
    }
    // Nothing: too many have begun since.
    [[nodiscard]] virtual std::optional<Trial> trial(std::uint64_t id) {
        static_cast<void>(id);
        return std::nullopt;
    }
    // How many threads carry traffic; 0: none does yet.
    [[nodiscard]] virtual std::uint32_t cores() { return 0; }
    // Has every core answered lately? Waits for none.
    [[nodiscard]] virtual bool cores_answer() { return true; }
    // Has every core turned since this was asked last? Waits for nobody.
    [[nodiscard]] virtual bool cores_have_turned() { return true; }

    // SIGTERM: no new work is taken, what is under way is finished.
    virtual void drain() = 0;
    [[nodiscard]] virtual bool drained() = 0;
    // Work of the control thread's own (logs, files), at every turn; says how long it may sleep
    // now.
    virtual Duration on_turn() { return std::chrono::seconds(1); }
    // Commits of other nodes, since the last call; and what they are to know of this one's. The
    // descriptor can be read when there are some; -1: none will ever come.
    [[nodiscard]] virtual std::vector<Received> take_received() { return {}; }
    [[nodiscard]] virtual int received_descriptor() { return -1; }
    virtual void tell_nodes(const Held&) {}
    // May a commit of the whole pool be made at this node? Empty, or a sentence that says where.
    [[nodiscard]] virtual std::string why_not_for_all() { return {}; }
    // What other nodes take a commit of this one by: lines that go behind it. Empty with no `why`:
    // nobody takes one of this node, or there is nobody else.
    [[nodiscard]] virtual std::string sign(Bytes published, std::string& why) {
        static_cast<void>(published), static_cast<void>(why);
        return {};
    }
    // Of such lines: by whom they were made, at that time.
    [[nodiscard]] virtual Signer signer_of(Bytes published, Bytes proof, WallTime time) {
        static_cast<void>(published), static_cast<void>(proof), static_cast<void>(time);
        return {{}, "this node knows no others"};
    }
    // Counts: certificates and lists of revoked ones were read again, so what could not be used or
    // was not taken for their sake may be good by now.
    [[nodiscard]] virtual std::uint64_t files_loaded() { return 0; }
    // What was logged lately. Null: nothing is kept.
    [[nodiscard]] virtual const EventBook* event_book() { return nullptr; }
    // For the log; and counted.
    virtual void note(EventId, std::initializer_list<LogField>) {}
    // SIGHUP, after the configuration was read again: certificates and the like.
    virtual void on_reload() {}

protected:
    ~AdminHost() = default;
};

}  // namespace fedgate::admin
