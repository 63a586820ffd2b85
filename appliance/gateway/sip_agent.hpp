// SIP user agent of one shard: client and server transactions, in a dialog or not, over
// sip_transport and sip_route. It retransmits, fails over (SIP-8), absorbs what comes again
// (SIP-11) and never leaves a request without an end: a response, or a fault. Dialogs are its
// user's. Owner: the engine. Thread: the shard's.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "appliance/gateway/block_pool.hpp"
#include "appliance/gateway/errors.hpp"
#include "appliance/gateway/random.hpp"
#include "appliance/gateway/sip_route.hpp"
#include "appliance/gateway/sip_transport.hpp"
#include "appliance/gateway/tracer.hpp"
#include "core/base/slab.hpp"
#include "core/rules/index.hpp"
#include "sip/dialog.hpp"
#include "sip/request_checks.hpp"
#include "sip/transaction.hpp"
#include "sip/transaction_key.hpp"

namespace fedgate::gateway {

class SipAgent;
struct Conversation;

// At the bound of requests the source is held back (edge) or the sender is told (ERR-L4).
constexpr std::size_t kClientRequests = 65'536;  // in flight, or waiting in a pair's queue
constexpr std::size_t kPresenceRequests = kClientRequests / 2;  // of those: messages go on
constexpr std::size_t kInviteRequests = kClientRequests / 4;    // of those: they may ring for long
constexpr std::size_t kServerTransactions = 16'384;
// An INVITE that has had a 1xx is waited for so long; then it is cancelled.
constexpr Duration kRingingMax = std::chrono::minutes(3);
// ACKs of failures, in case those come again over UDP. At the bound: the oldest is forgotten.
constexpr std::size_t kLateAcks = 1'024;
constexpr Duration kSuspectWait = std::chrono::seconds(4);  // SIP-8
constexpr Duration kProbeWait = kSuspectWait;               // for the answer to an OPTIONS
constexpr std::uint16_t kDownSeconds = 30;                  // SIP-8: 503 without Retry-After
constexpr std::uint32_t kRetryAfterMax = 3'600;             // a longer one is taken as that
constexpr std::uint8_t kChallengesMax = 4;                  // SIP-30: of one request

// kTyping and kReceipt: an isComposing, an IMDN. Nobody is told when they fail (CS-9, RCPT).
enum class RequestKind : std::uint8_t {
    kMessage,
    kNotice,
    kProbe,
    kSubscribe,
    kNotify,
    kTyping,
    kReceipt,
    kInvite,  // outside a dialog or in one
    kBye,
    kInfo
};
[[nodiscard]] sip::Method method_of(RequestKind);

// Where a request goes first (SIP-9): its URI or Route names the next hop of its dialog, or it goes
// by the pool; kNoLeg: in a dialog, and by the pool all the same.
enum class Hop : std::uint8_t { kPool, kUri, kRoute, kNoLeg };
// What that was found to be, for as long as the pool has the same legs.
struct DialogWay {
    RouteLeg* leg = nullptr;        // null: none of them
    std::uint32_t legs_number = 0;  // SipRoute::legs_number() then; 0: not found yet
    Hop hop = Hop::kPool;
};

// One request of ours, from when it is written until its end is told. Its memory holds what the
// user wants to know later, and behind that the request.
struct ClientRequest final : private TimerOwner {
    ClientRequest(SipAgent& a, RequestKind k) : kind(k), agent(a), timer(*this) {}

    const RequestKind kind;
    // The user's.
    Block memory;
    std::uint32_t request_begin = 0;
    std::uint32_t via_begin = 0;  // of the Via line, relative to the request
    std::uint32_t via_end = 0;
    Handle<Conversation> conversation;
    std::uint16_t from_bytes = 0;  // at the front of the memory: original `from`, `to`, `id`
    std::uint16_t to_bytes = 0;
    std::uint16_t id_bytes = 0;
    std::uint8_t attempt = 0;  // of a SUBSCRIBE: Subscriber::attempt() when it was written
    std::uint32_t cseq = 1;    // as it was sent last: for Dialog::note_cseq()
    bool renumbered = false;   // `cseq` is another than that of the user's request
    std::uint64_t owner = 0;   // the packed handle of the watch, watcher or session whose it is
    // Of a text in a session, which is written when its turn comes: the headers of its body and it.
    std::uint32_t content_bytes = 0;  // at the end of the memory; 0: it is written already
    bool goes_again = false;          // its session was dead: by the next one
    std::uint64_t trial = 0;          // of a MESSAGE that an administrator tries
    enum class Receipt : std::uint8_t {
        kNone,
        kNormal,
        kChat
    } receipt = Receipt::kNone;  // RCPT-5: its 200 makes one, of that type
    Instant queued_at{};
    // What its end was, while its sender can't be told yet.
    std::uint16_t status = 0;
    LocalFault fault = LocalFault::kUnreachable;

    [[nodiscard]] Bytes request() const { return memory.bytes().substr(request_begin); }
    [[nodiscard]] Bytes from() const { return memory.bytes().substr(0, from_bytes); }
    [[nodiscard]] Bytes to() const { return memory.bytes().substr(from_bytes, to_bytes); }
    [[nodiscard]] const std::string& sip_domain() const { return route->domain(); }
    [[nodiscard]] const SipRoute& sip_route() const { return *route; }
    [[nodiscard]] Bytes id() const {
        return memory.bytes().substr(from_bytes + to_bytes, id_bytes);
    }
    [[nodiscard]] Bytes thread() const {  // of a text in a session
        const std::size_t begin = std::size_t{from_bytes} + to_bytes + id_bytes;
        return memory.bytes().substr(begin, request_begin - begin);
    }
    [[nodiscard]] Bytes content() const {
        return memory.bytes().substr(memory.bytes().size() - content_bytes);
    }

    // One list at a time: a pair's queue, a route's, a leg's, or the engine's.
    ClientRequest* next = nullptr;
    ClientRequest* previous = nullptr;

private:
    friend class SipAgent;
    void on_timer(Timer&) override;

    SipAgent& agent;
    Handle<ClientRequest> self;
    Timer timer;
    std::optional<sip::Transaction> machine;  // none until it was sent to the present leg
    sip::TokenRandom branch_random{};         // of the Via of that leg
    SipRoute* route = nullptr;
    RouteLeg* leg = nullptr;
    std::uint64_t tried = 0;
    Instant give_up_at = kNever;
    Instant sent_at{};            // to the present leg
    Instant suspect_at = kNever;  // no longer waited for than that, if its leg is suspect
    bool doubted = false;         // a leg that it has left may have it, and has not answered
    std::uint8_t challenges = 0;  // it was sent again for, with the next CSeq
    sip::Challenges::Realms answered = 0;  // of the present leg
    std::uint32_t credentials_bytes = 0;   // lines behind the CSeq
    bool next_cseq = false;                // when they are written
    DialogWay way;
    bool pinned = false;      // that is one leg of the pool: it goes nowhere else
    bool redirected = false;  // SIP-9: once
    bool awaits_route = false;
    bool renewed = false;        // answered once more for `stale`
    bool rings = false;          // an INVITE that has had a 1xx: give_up_at counts from that
    bool cancelled = false;      // an INVITE that goes nowhere else
    std::uint8_t cancels = 0;    // how often its CANCEL was sent
    Instant cancel_at = kNever;  // when it is sent again
};

void append(RequestList&, ClientRequest&);
void prepend(RequestList&, ClientRequest&);
void remove(RequestList&, ClientRequest&);
ClientRequest* take_first(RequestList&);

struct ServerTransaction final : private TimerOwner {
    ServerTransaction(SipAgent& a, sip::TransactionKind kind, const sip::TransactionTiming& timing,
                      bool reliable)
        : agent(a), timer(*this), machine(kind, timing, reliable) {}

private:
    friend class SipAgent;
    void on_timer(Timer&) override;

    SipAgent& agent;
    Handle<ServerTransaction> self;
    Timer timer;
    sip::Transaction machine;
    sip::TransactionKey key;
    SipPeer peer;
    Block head;                  // of its responses: that of a 200 to its CSeq, and Record-Route
    Block response;              // the whole last one, for a request that comes again
    Instant answer_by = kNever;  // an INVITE has no such time of its own
    ServerTransaction* older = nullptr;  // of those that are answered
    ServerTransaction* newer = nullptr;
    ServerTransaction* older_of_source = nullptr;
    ServerTransaction* newer_of_source = nullptr;
    std::uint32_t record_route_bytes = 0;  // behind the CSeq; for a 2xx
    std::uint32_t bytes = 0;               // counted with its source
    bool answered = false;
};

// SIP-4: the Via is the second line. From its name on, and behind its end.
struct ViaLine {
    std::size_t begin;
    std::size_t end;

    ViaLine(std::size_t b, std::size_t e) : begin(b), end(e) {}
    explicit ViaLine(Bytes request)
        : begin(request.find('\n') + 1), end(request.find('\n', begin) + 1) {}
};

class SipAgentUser {
public:
    // The end of a request, which may come within send(): `response` is its final response, or null
    // and `fault` says why. The user calls release() sooner or later.
    virtual void on_request_done(ClientRequest&, const sip::Message* response,
                                 LocalFault fault) = 0;
    // May a message go to this address of its domain instead, which is not the same user's?
    [[nodiscard]] virtual bool may_redirect(const ClientRequest&, const sip::Uri& contact) = 0;
    // A 2xx to an INVITE that has ended: it came again, or from another branch of a fork (SESS-13),
    // or from a leg that the INVITE has left. Whose it is, Call-ID and From tag tell.
    virtual void on_success_again(const sip::Message& response) = 0;
    // An INVITE of theirs that has our tag is cancelled, and was answered so.
    virtual void on_cancelled(const sip::Message& cancel, Bytes to_tag) = 0;
    // One in a dialog comes by on_request() after at most one other, and then as the next, if it is
    // what it should be: what that needs may be fetched from memory meanwhile.
    virtual void on_request_read(const sip::Message&) {}
    virtual void on_request_next(const sip::Message&) {}
    // A request from a trusted peer that is new, with the key of its transaction; of an ACK, which
    // has none, only that of a 2xx. False: no room now (nothing was kept).
    [[nodiscard]] virtual bool on_request(const sip::Message&, const SipPeer&,
                                          const sip::TransactionKey&) = 0;
    // A response over UDP that belongs to another shard. False: dropped.
    virtual bool on_stray_response(std::uint32_t core, const sip::Message&, const SipPeer&) = 0;

protected:
    ~SipAgentUser() = default;
};

struct SipAgentSettings {
    std::uint32_t core = 0;  // in every branch and tag that we make
    sip::KeySecret secret;
    sip::TransactionTiming timing;
    std::string via_host;
};

class SipAgent final : private SipTransportUser, private SipRouteOwner {
public:
    SipAgent(Shard&, SipAgentUser&, const rules::Snapshot&, net::Resolver&, net::TlsContext*,
             BlockPool&, Random&, Tracer&, const SipAgentSettings&);
    ~SipAgent();
    SipAgent(const SipAgent&) = delete;
    SipAgent& operator=(const SipAgent&) = delete;

    Result<void> listen() { return transport_.listen(); }
    void reload(const rules::Snapshot&);
    void set_tls(net::TlsContext* tls) { transport_.set_tls(tls); }
    void set_draining() { draining_ = true; }
    // Ends all requests, those to come too: in doubt if they were sent.
    void give_up();

    // Null: not a domain of ours.
    [[nodiscard]] SipRoute* find_route(Bytes domain);
    // Of a domain of the present rules.
    [[nodiscard]] SipRoute& route_of(const rules::SipDomain& domain) {
        const auto index = static_cast<std::size_t>(&domain - rules_->sip_domains().data());
        FEDGATE_CHECK(index < routes_.size());
        return *routes_[index];
    }
    // Null at the bound. It is the user's until send(), and again from on_request_done() on.
    [[nodiscard]] ClientRequest* make_request(SipRoute&, RequestKind = RequestKind::kMessage);
    // Gives it `prefix` and `request`, a whole one with one Via. False: no memory now.
    [[nodiscard]] bool fill(ClientRequest& request, std::initializer_list<Bytes> prefix,
                            Bytes bytes) {
        const ViaLine via(bytes);
        return fill(request, prefix, bytes.size() - (via.end - via.begin), [&](Sink& out) {
            out.append(bytes);
            return via;
        });
    }
    // The same of one that write(sink) writes, which is at most `bytes_max` beside its Via, and
    // says where that is.
    template <typename Write>
    [[nodiscard]] bool fill(ClientRequest& request, std::initializer_list<Bytes> prefix,
                            std::size_t bytes_max, Write&& write) {
        std::size_t prefix_bytes = 0;
        for (const Bytes part : prefix) prefix_bytes += part.size();
        const std::size_t size_max = prefix_bytes + bytes_max + transport_.via_line_bytes_max();
        Block block = blocks_.take(size_max);
        if (!block) return false;
        Sink sink(block.memory().first(size_max));
        for (const Bytes part : prefix) sink.append(part);
        const ViaLine via = write(sink);
        FEDGATE_CHECK(!sink.overflowed() &&
                      sink.size() - (via.end - via.begin) <= prefix_bytes + bytes_max);
        block.set_size(sink.size());
        keep(request, std::move(block), prefix_bytes, via);
        return true;
    }
    void send(ClientRequest&);
    // What dialog.next_request() was written for. SIP-9: the dialog's next hop is a leg of the
    // pool, and it goes there or nowhere; or it names the pool; or it is somewhere else, and the
    // pool is an outbound proxy: no connection is opened to an address that only a message names.
    void send_in_dialog(ClientRequest&, const sip::Dialog&);
    // `way`: of that dialog with that next hop; it is worked out, or was.
    void send_in_dialog(ClientRequest&, const sip::Dialog&, DialogWay& way);
    // The ACK of a 2xx (Dialog::fill_ack()), the way of send_in_dialog(). Where there is none it is
    // lost: the 2xx asks for it again.
    void send_ack(const sip::Dialog&, SipRoute&, Bytes request);
    // RFC 3261 9.1, of an INVITE that was sent. on_request_done() follows, or comes within: it may
    // be a 2xx all the same.
    void cancel(ClientRequest&);
    void release(ClientRequest&);
    // Before it is sent once more: by the way that its domain has now. False: not yet, that is
    // down.
    [[nodiscard]] bool may_reach(ClientRequest&);
    // The Via to write into a request before it is sent: right for the leg that is likely to take
    // it.
    [[nodiscard]] const sip::OwnVia& likely_via(const SipRoute&) const;
    // SIP-20: the Contact line of SUBSCRIBE and NOTIFY that go that way, and of the 2xx to those
    // from there. `user` is escaped (ADDR-4).
    void write_contact(Sink&, Bytes user, const SipRoute&) const;
    // For a dialog or an answer. In-dialog requests find their owner by the core in our tag.
    [[nodiscard]] sip::Tag make_tag(std::uint32_t core);
    // Of this shard, where the user knows it by its random part.
    [[nodiscard]] sip::Tag make_tag(const sip::TokenRandom& random) const {
        return sip::make_tag(settings_.core, random);
    }
    // Of a tag that another process made, with its dialog: any. Nothing: no tag of ours.
    [[nodiscard]] std::optional<std::uint32_t> core_of(Bytes tag) const;

    // The new server transaction of a request; null handle at the bound. Its answers get the tag if
    // the request has none.
    [[nodiscard]] Handle<ServerTransaction> open(const sip::Message&, const SipPeer&,
                                                 const sip::TransactionKey&, Bytes to_tag);
    [[nodiscard]] sip::TransactionKey merge_key(const sip::Message& request) const {  // SIP-11
        return sip::merge_key(settings_.secret, request);
    }
    void discard(Handle<ServerTransaction>);  // as if it had never been
    // It has no final answer yet, and may have one.
    [[nodiscard]] bool is_waiting(Handle<ServerTransaction> handle) {
        const ServerTransaction* const transaction = transactions_.find(handle);
        return transaction != nullptr && !transaction->answered;
    }
    // Once; a transaction that is gone or answered is left alone. `headers`: whole lines, or empty;
    // Record-Route (SIP-16), Allow, Allow-Events and Retry-After are written where they belong. Of
    // a body the type is the last of the headers.
    void answer(Handle<ServerTransaction>, const SipAnswer&, Bytes headers = {}, Bytes body = {});
    // The ACK of its 2xx has come: that is not sent again by itself.
    void acknowledge(Handle<ServerTransaction>);
    // Before that: another tag in the To field than open() was given. As long as that one.
    void set_to_tag(Handle<ServerTransaction>, Bytes to_tag);
    // Without a transaction. Nothing for an ACK.
    void answer_at_once(const sip::Message&, const SipPeer&, const SipAnswer&, Bytes headers = {});

    [[nodiscard]] SipTransport& transport() { return transport_; }
    [[nodiscard]] const std::vector<std::unique_ptr<SipRoute>>& routes() const { return routes_; }
    [[nodiscard]] std::size_t request_count() const { return requests_.count(); }
    [[nodiscard]] std::size_t probe_count() const { return probes_; }
    [[nodiscard]] std::size_t presence_count() const { return presence_requests_; }
    [[nodiscard]] std::size_t transaction_count() const { return transactions_.count(); }
    [[nodiscard]] std::size_t unanswered_count() const { return unanswered_; }

private:
    friend struct ClientRequest;
    friend struct ServerTransaction;
    sip::TransactionKey on_sip_read(const sip::Message&) override;
    void on_sip_next(const sip::Message&) override;
    [[nodiscard]] bool on_sip_message(const sip::Message&, const SipPeer&,
                                      const sip::TransactionKey&) override;
    void on_sip_over_budget(const sip::Message&, const SipPeer&) override;
    void on_sip_malformed(const sip::Frame&, const sip::Message&, const SipPeer&) override;
    void on_sip_connected(Leg&) override;
    void on_sip_writable(Leg&) override;
    void on_sip_quiet(Leg&) override;
    void on_sip_disconnected(Leg&, const Error&) override;
    void on_route_ready(SipRoute&) override;
    void on_probe_due(SipRoute&, RouteLeg&) override;
    void on_suspect(RouteLeg&) override;

    static void keep(ClientRequest&, Block&&, std::size_t prefix_bytes, const ViaLine&);
    void dispatch(ClientRequest&);
    void offer(ClientRequest&, RouteLeg&);
    [[nodiscard]] bool transmit(ClientRequest&, RouteLeg&);
    void write_via(ClientRequest&, const RouteLeg&);
    [[nodiscard]] ClientRequest* find_request(const sip::BranchParts&, sip::Method);
    void leave_leg(ClientRequest&);
    [[nodiscard]] static Hop hop_of(Bytes request, const sip::Dialog&);
    [[nodiscard]] static RouteLeg* dialog_leg(const SipRoute&, Bytes request, Hop);
    [[nodiscard]] bool may_move(const ClientRequest&) const;
    void fail_over(ClientRequest&);
    [[nodiscard]] bool write_credentials(ClientRequest&, RouteLeg&);
    [[nodiscard]] bool authorize(ClientRequest&, const sip::Message& response);
    [[nodiscard]] bool redirect(ClientRequest&, const sip::Message& response);
    void finish(ClientRequest&, const sip::Message*, LocalFault);
    [[nodiscard]] bool read_sent(const ClientRequest&);
    void send_along(const RouteLeg&, Bytes bytes);
    void send_cancel(ClientRequest&);
    [[nodiscard]] static bool is_ringing(const ClientRequest&);
    void on_provisional(ClientRequest&);
    void acknowledge(ClientRequest&, const sip::Message& failure);
    void on_late_response(const sip::BranchParts&, const sip::Message&);
    // `broken`: the connection did; else null.
    void finish_probe(ClientRequest&, RouteLeg&, const sip::Message*, const char* broken);
    void on_probe_unanswered(RouteLeg&, Instant asked_at);
    void take_503(RouteLeg&, const sip::Message&, const char* why);
    template <typename Concerns>
    void end_requests(Concerns);
    [[nodiscard]] LocalFault unsent_fault(const ClientRequest&) const;
    void build_routes();
    void drop_retired_routes();
    void arm(ClientRequest&);
    void trace(const ClientRequest&, Bytes note = {});
    void trace(const SipPeer&, Bytes answer, Bytes note = {});
    void on_request_timer(ClientRequest&);
    void send_waiting(RouteLeg&);

    [[nodiscard]] sip::MethodSet allowed() const;
    [[nodiscard]] sip::MethodSet understood() const;
    [[nodiscard]] sip::Tag tag_of(const ServerTransaction&);
    bool on_request(const sip::Message&, const SipPeer&, const sip::TransactionKey&);
    bool on_ack(const sip::Message&, const SipPeer&, const sip::TransactionKey&);
    void on_cancel(const sip::Message&, const SipPeer&);
    bool answer_known(const sip::TransactionKey&, const SipPeer&);
    void refuse_over_budget(const sip::Message&, const SipPeer&);
    [[nodiscard]] bool has_room(SipSource&);
    void count_bytes(ServerTransaction&);
    void on_options(const sip::Message&, const SipPeer&);
    bool on_response(const sip::Message&, const SipPeer&);
    void on_transaction_timer(ServerTransaction&);
    void arm(ServerTransaction&);
    void end(ServerTransaction&);
    void list_answered(ServerTransaction&);
    void unlist_answered(ServerTransaction&);
    void send_trying(ServerTransaction&);
    void send_again(const ServerTransaction&, const SipPeer&);
    ServerTransaction* make_transaction(Handle<ServerTransaction>&, sip::TransactionKind,
                                        bool reliable);
    void answer_at_once(const sip::Message&, const SipPeer&, const SipAnswer&, Bytes headers,
                        Bytes to_tag);
    void write_head(const sip::Message&, const SipPeer&, const SipAnswer&, Bytes to_tag, Sink&);
    void write_rest(const SipAnswer&, Bytes headers, Bytes body, Sink&) const;
    [[nodiscard]] static Bytes complete_head(ServerTransaction&);
    [[nodiscard]] Bytes write_response(const ServerTransaction&, const SipAnswer&, Bytes headers,
                                       Bytes body);

    Shard& shard_;
    SipAgentUser& user_;
    const rules::Snapshot* rules_;
    net::Resolver& resolver_;
    BlockPool& blocks_;
    Random& random_;
    Tracer& tracer_;
    SipAgentSettings settings_;
    Slab<ClientRequest> requests_;
    Slab<ServerTransaction> transactions_;
    sip::KeyIndex<Handle<ServerTransaction>> transaction_index_;
    SipTransport transport_;
    std::vector<std::unique_ptr<SipRoute>> routes_;
    std::vector<std::unique_ptr<SipRoute>> retired_routes_;
    rules::NameIndex route_index_;
    std::vector<char> scratch_;  // heads of responses, probes
    std::size_t probes_ = 0;
    std::size_t presence_requests_ = 0;
    std::size_t invite_requests_ = 0;
    bool has_sessions_ = false;  // a domain has a profile with sessions
    sip::Message sent_;          // a request of ours, read again
    struct LateAck {
        sip::BranchParts branch;
        SocketAddress to;
        Instant until;  // timer D
        Block ack;
    };
    std::deque<LateAck> late_acks_;
    std::size_t unanswered_ = 0;
    ServerTransaction* oldest_answered_ = nullptr;
    ServerTransaction* newest_answered_ = nullptr;
    bool draining_ = false;
    bool given_up_ = false;
};

}  // namespace fedgate::gateway
