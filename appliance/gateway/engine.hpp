// The gateway's inside: what Gateway owns. engine.cpp wires and forwards between shards, x2s.cpp
// takes stanzas to SIP, requests.cpp finds whose a SIP request is, s2x.cpp takes MESSAGEs to
// stanzas, chat.cpp typing and receipts both ways, session*.cpp sessions, archiving.cpp the notice
// of archiving, trial.cpp what an administrator tries. No mapping rule in it.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "appliance/gateway/address.hpp"
#include "appliance/gateway/block_pool.hpp"
#include "appliance/gateway/call.hpp"
#include "appliance/gateway/conversation.hpp"
#include "appliance/gateway/errors.hpp"
#include "appliance/gateway/gateway.hpp"
#include "appliance/gateway/key.hpp"
#include "appliance/gateway/message.hpp"
#include "appliance/gateway/msrp_transport.hpp"
#include "appliance/gateway/presence_host.hpp"
#include "appliance/gateway/random.hpp"
#include "appliance/gateway/receipt.hpp"
#include "appliance/gateway/session.hpp"
#include "appliance/gateway/session_msrp.hpp"
#include "appliance/gateway/sip_agent.hpp"
#include "appliance/gateway/trial.hpp"
#include "appliance/gateway/watchers.hpp"
#include "appliance/gateway/watches.hpp"
#include "core/base/growing_index.hpp"
#include "sip/msrp_session.hpp"
#include "sip/sdp.hpp"
#include "xml/framer.hpp"
#include "xml/scope.hpp"
#include "xml/stanza.hpp"

namespace fedgate::gateway {

constexpr std::size_t kBodyBytesMax = 1 << 20;                       // bound of im.max_bytes
constexpr std::size_t kBlockBytesMax = 2 * kBodyBytesMax + 131'072;  // all of it line ends (IM-3)
constexpr std::size_t kHeldBytes = 192 << 20;  // of one shard: requests in flight and queued
constexpr std::size_t kIncoming = 65'536;      // messages from SIP that can still bounce
constexpr Duration kBounceWindow = std::chrono::seconds(60);  // GEN-3
constexpr Duration kRetryTelling =
    std::chrono::milliseconds(2);  // an error or an answer found no room
// IM-50: a notice that finds no way to its reader is tried again, for link::kLateNewsKept. So many
// wait for that, of one shard: the oldest gives way. What is given up is counted and logged.
constexpr Duration kNoticeRetry = std::chrono::seconds(5);
constexpr std::size_t kLateNotices = 4'096;
constexpr std::size_t kPairQueueWithNotices = 2 * limits::kPairQueueStanzas;
constexpr Duration kPairWaitMax = std::chrono::seconds(32);  // in a pair's queue
// Beyond it typing is not shown to XMPP users until others have ended theirs; of one shard.
constexpr std::size_t kShownTyping = 16'384;
// Typing takes no place that texts may need (CS-9).
constexpr std::size_t kRequestsWithTyping = kClientRequests / 2;
constexpr Duration kHousekeeping = std::chrono::seconds(10);
constexpr std::size_t kEvictionsAtOnce = 1'024;

// Tickets of presence have this bit; those of messages 31 bits of a generation and 16 of an index.
constexpr std::uint64_t kPresenceTicket = std::uint64_t{1} << kPresenceTokenBits;

// Records between the gateways of one process.
enum class GatewayRecord : std::uint32_t {
    kStanza =
        static_cast<std::uint32_t>(link::RecordKind::kFirstOfGateway),  // to the owner of its pair
    kRequest,       // SIP request to the owner of its pair or dialog
    kAnswer,        // to the shard that has the server transaction
    kResponse,      // SIP response over UDP to the shard that sent the request
    kAcknowledged,  // to the shard that has the server transaction: the ACK of its 2xx has come
};

// A MESSAGE from SIP on its way to a partner, and a minute longer (IM-50).
struct Incoming final : private TimerOwner {
    explicit Incoming(Gateway::Engine& e) : engine(e), timer(*this) {}

    enum class State : std::uint8_t {
        kHeld,      // no outcome yet (IM-49)
        kWritten,   // im.error_wait runs
        kAnswered,  // 2xx was given
    };
    static constexpr std::size_t kTextBytes = 384;

    [[nodiscard]] Bytes call_id() const { return noted().substr(0, call_id_bytes); }
    [[nodiscard]] Bytes sip_jid() const { return noted().substr(call_id_bytes, sip_jid_bytes); }
    [[nodiscard]] Bytes xmpp_jid() const {
        return noted().substr(call_id_bytes + sip_jid_bytes, xmpp_jid_bytes);
    }
    void note(BlockPool&, Bytes call_id, Bytes sip_jid, Bytes xmpp_jid);

    Gateway::Engine& engine;
    Handle<Incoming> self;
    Timer timer;
    Origin origin;
    Key pair;
    Key bounce;
    sip::TransactionKey merge;  // SIP-11
    Handle<Session> in_dialog;  // instead of that: whose text of that number it is
    std::uint32_t cseq = 0;
    Incoming* older = nullptr;  // of those that are answered
    Incoming* newer = nullptr;
    State state = State::kHeld;
    bool indexed = false;
    bool merge_indexed = false;
    bool given = false;            // counted as unanswered
    bool tells_archiving = false;  // the notice goes before it (U10)
    bool acknowledged = false;
    std::uint16_t call_id_bytes = 0;
    std::uint16_t sip_jid_bytes = 0;  // 0: there was no memory, and no notice can be sent
    std::uint16_t xmpp_jid_bytes = 0;
    char text[kTextBytes];  // Call-ID, JID of the SIP user, JID of the XMPP user
    Block long_text;        // where they did not fit

private:
    [[nodiscard]] Bytes noted() const {
        return long_text ? long_text.bytes() : Bytes(text, kTextBytes);
    }
    void on_timer(Timer&) override;
};

// CS-6: an XMPP user sees that a SIP user types, until the refresh runs out.
struct ShownTyping final : private TimerOwner {
    explicit ShownTyping(Gateway::Engine& e) : engine(e), timer(*this) {}

    Gateway::Engine& engine;
    Handle<ShownTyping> self;
    Handle<Conversation> conversation;
    Timer timer;
    Block memory;  // JID of the SIP user, of the XMPP user, thread
    std::uint16_t sip_jid_bytes = 0;
    std::uint16_t xmpp_jid_bytes = 0;

private:
    void on_timer(Timer&) override;
};

// Another gateway that has asked: a request that came to it, of a conversation that is here.
struct Asker {
    explicit Asker(link::Ticket its) : ticket(its) {}
    link::Ticket ticket;
    sip::Tag to_tag{};  // of the dialog that it may make here
};

class Gateway::Engine final : private SipAgentUser,
                              private MsrpTransportUser,
                              private RecordHandler,
                              private PresenceHost,
                              public store::User,
                              private TimerOwner {
public:
    Engine(Shard&, const rules::Snapshot&, net::Resolver&, net::TlsContext*, const GatewayOptions&);
    ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    void attach(link::EdgeDoor& edge) { edge_ = &edge; }
    void attach_store(store::Door& door) {
        store_ = &door;
        restoring_ = true;
    }
    Result<void> start();
    void reload(const rules::Snapshot&);
    void set_tls(net::TlsContext* tls) {
        agent_.set_tls(tls);
        msrp_.set_tls(tls);
    }
    void drain();
    [[nodiscard]] bool drained() const;
    void give_up();

    [[nodiscard]] bool take_stanza(const link::FromPartner&);
    void on_outcome(const link::Outcome&);
    void on_partner(const link::PartnerNews& news) {
        watchers_.on_partner(news);
        watches_.on_partner(news);
    }
    void on_edge_back() { watchers_.on_edge_back(); }
    void on_others_hold(bool hold) {
        if (store_ != nullptr) store_->set_others_hold(hold);
    }
    [[nodiscard]] bool take_request(const link::Request&);
    void on_answer(const link::Answer&);
    void on_incoming_timer(Incoming&);
    void on_typing_missed(ShownTyping&);
    void on_session_timer(Session&);
    void on_msrp_timer(SessionMsrp&);
    void on_msrp_resolved(SessionMsrp&, const net::DnsAnswer&);
    void on_stored(store::Sequence, bool ok) override;
    void on_restored(std::span<const store::Row>) override;
    void on_restore_done() override;
    void on_lost(const Slots&) override;
    void on_tenure(Tenure tenure) override { edge_->set_tenure(tenure); }

    [[nodiscard]] std::vector<PortRow> ports();
    [[nodiscard]] std::vector<TargetRow> targets();
    [[nodiscard]] GatewayStatus status();
    [[nodiscard]] std::vector<SeenUser> seen_users() const { return seen_users_.list(); }
    [[nodiscard]] Tracer& tracer() { return tracer_; }
    [[nodiscard]] TrialStart begin_trial(const TrialOrder&);
    [[nodiscard]] TrialRow trial(std::uint64_t id);

private:
    // engine.cpp
    [[nodiscard]] bool on_record(std::uint32_t kind, std::uint32_t from_shard,
                                 Bytes record) override;
    void on_timer(Timer&) override;
    [[nodiscard]] Key pair_key(const AddressView& xmpp, const AddressView& sip) const override;
    [[nodiscard]] Key resource_key(Bytes resource) const { return keys_.make({resource}); }
    [[nodiscard]] bool send_to(std::uint32_t shard, GatewayRecord, std::initializer_list<Bytes>);
    void size_memory();
    [[nodiscard]] Instant now() const { return shard_.loop().now(); }
    void note_seen(const AddressView& sip) {
        seen_users_.note(sip.user, sip.domain_ascii, shard_.loop().wall_now());
    }
    void count(Counter counter) { shard_.stats().add(counter); }
    void drop(const char* what) override;  // GEN-4
    [[nodiscard]] bool forward(std::uint32_t owner, const link::FromPartner&);
    [[nodiscard]] bool forward(std::uint32_t owner, const sip::Message&, Bytes to_tag,
                               const Origin&);
    void answer(const Origin&, const SipAnswer&, Bytes headers = {}, Bytes body = {}) override;
    // The ACK of the 2xx has come to the dialog. Where it can't be told it comes again.
    void acknowledge(const Origin&);
    [[nodiscard]] Shard& shard() override { return shard_; }
    [[nodiscard]] SipAgent& agent() override { return agent_; }
    [[nodiscard]] Random& random() override { return random_; }
    [[nodiscard]] const KeyMaker& keys() const override { return keys_; }
    [[nodiscard]] const rules::Snapshot& rules() const override { return *rules_; }
    [[nodiscard]] MutableBytes stanza_memory() override { return MutableBytes(stanza_memory_); }
    [[nodiscard]] MutableBytes request_memory() override { return MutableBytes(request_memory_); }
    [[nodiscard]] bool has_room() const override { return outbox_bytes_ < kOutboxBytes; }
    [[nodiscard]] bool restoring() const override { return restoring_; }
    [[nodiscard]] store::Door* store() override { return store_; }
    [[nodiscard]] bool has(const AddressView& xmpp, const AddressView& sip) const override;
    [[nodiscard]] SubscriptionQuota& quota() override { return *quota_; }
    [[nodiscard]] bool is_watched(const Key& pair) override { return watchers_.has_asked(pair); }
    void on_watched(const Key& pair) override { watches_.on_watched(pair); }
    void on_unwatched(const Key& pair) override { watches_.on_unwatched(pair); }
    void to_partner(Bytes our_domain, Bytes their_domain, Bytes stanza, PresenceToken) override;
    void give(link::Ticket, Bytes our_domain, Bytes their_domain, Bytes stanza);
    void empty_outbox();
    [[nodiscard]] bool to_edge(const link::ToPartner&);

    // x2s.cpp
    [[nodiscard]] bool read_call(StanzaCall&, Sink& memory);
    [[nodiscard]] bool refuse_unknown(const StanzaCall&);
    [[nodiscard]] bool take_message(StanzaCall&);
    [[nodiscard]] bool own_message(StanzaCall&, const Key& pair);
    [[nodiscard]] bool take_iq(const StanzaCall&);
    // `pair`: of the two users, owned by this shard; or null.
    [[nodiscard]] bool answer_iq_of(const StanzaCall&, const Key* pair);
    [[nodiscard]] bool take_presence(StanzaCall&);
    [[nodiscard]] bool own_presence(StanzaCall&, const Key& pair);
    [[nodiscard]] bool queue_message(StanzaCall&, Conversation&, Handle<Conversation>, StanzaText&);
    // True: a receipt is asked for.
    [[nodiscard]] bool fill_envelope(const StanzaCall&, Conversation&, const StanzaText&, Envelope&,
                                     Sink& names);
    void name(Envelope&, const Correspondence&, const Conversation&, Sink& names);
    [[nodiscard]] bool may_write(const StanzaCall&, const Key& pair);
    void note_refused(const StanzaCall&, rules::Reason);
    [[nodiscard]] bool refuse(const StanzaCall&, LocalFault) override;
    [[nodiscard]] bool refuse(const StanzaCall&, ErrorKind, Bytes text);
    [[nodiscard]] bool reply(Bytes our_domain, Bytes their_domain, Bytes stanza);
    void start_next(Conversation&);
    void on_request_done(ClientRequest&, const sip::Message* response, LocalFault) override;
    void end_request(ClientRequest&, const sip::Message* response);
    [[nodiscard]] bool may_redirect(const ClientRequest&, const sip::Uri& contact) override;
    void end_text(ClientRequest&, Conversation&, const sip::Message* response);
    [[nodiscard]] bool report(ClientRequest&, const sip::Message* response);
    void note_reached(Conversation&, const ClientRequest&);
    void tell_untold();
    void write_contact(const sip::Message& response, Sink&);

    // requests.cpp: which SIP request is whose. `call`: of one outside a dialog; `to_tag`: ours, if
    // it makes one.
    void on_request_read(const sip::Message&) override;
    void on_request_next(const sip::Message&) override;
    [[nodiscard]] bool on_request(const sip::Message&, const SipPeer&,
                                  const sip::TransactionKey&) override;
    bool on_stray_response(std::uint32_t core, const sip::Message&, const SipPeer&) override;
    void read_call(const sip::Message&, RequestCall&);
    [[nodiscard]] bool read_parties(Bytes sender, Bytes target, Parties&, Sink& memory) const;
    void complete(Parties&, Sink& memory) const;
    [[nodiscard]] const rules::SipDomain* domain_of(const sip::Message&);
    // `domain`: whose user has sent it; null: none of ours.
    [[nodiscard]] bool give_to_owner(std::uint32_t owner, const sip::Message&, RequestCall*,
                                     const rules::SipDomain* domain, const SipPeer&,
                                     const sip::TransactionKey&, Session* of_tag = nullptr);
    [[nodiscard]] bool own_request(const sip::Message&, RequestCall*,
                                   const rules::SipDomain* domain, Bytes to_tag, const Origin&,
                                   Session* of_tag = nullptr);
    [[nodiscard]] std::uint32_t owner_of_dialog(const sip::Message&) const;
    [[nodiscard]] bool take_record(const Origin&, Bytes to_tag, MutableBytes request);
    [[nodiscard]] bool ask_owner(std::uint64_t conversation, const sip::Message&, const SipPeer&,
                                 const sip::TransactionKey&);
    void answer_asker(const Origin&, const SipAnswer&, Bytes headers, Bytes body);

    // s2x.cpp
    [[nodiscard]] bool take_message(const sip::Message&, RequestCall&, const Origin&);
    // `merge`: none in a dialog, whose numbers tell.
    [[nodiscard]] bool take_text(const sip::Message&, const RequestCall&, const RequestText&,
                                 const Origin&, const std::optional<sip::TransactionKey>& merge);
    [[nodiscard]] bool give_to_edge(const sip::Message&, const RequestCall&, const RequestText&,
                                    Conversation&, const Origin&,
                                    const std::optional<sip::TransactionKey>& merge);
    void answer_written(Incoming&);
    void keep_answered(Incoming&);
    void refuse(Incoming&, const SipAnswer&, Bytes headers = {});
    Incoming* make_incoming();
    void prefetch_oldest() const;
    void free(Incoming&);
    void take_bounce(const StanzaCall&, const Key& pair);
    [[nodiscard]] Key bounce_key(const Key& pair, Bytes id) const;

    // chat.cpp
    void take_chat_state(const StanzaCall&, const Key& pair, const StanzaText&);
    void take_receipt(const StanzaCall&, const Key& pair, const StanzaText&);
    [[nodiscard]] ClientRequest* make_extra(const StanzaCall&, Conversation&, RequestKind,
                                            Bytes thread, const ReceiptNote*, Disposition,
                                            bool active);
    void on_extra_done(ClientRequest&, Conversation&);
    void drop_typing_request(Conversation&);
    void tell_received(Bytes from, Bytes to, Bytes id, bool chat);
    [[nodiscard]] bool take_typing(const sip::Message&, const RequestCall&, const Key& pair,
                                   Bytes document);
    [[nodiscard]] bool take_imdn(const RequestCall&, const Key& pair, Bytes document);
    void show_typing(const sip::Message&, const RequestCall&, Conversation&, Handle<Conversation>,
                     ChatState, Duration refresh);
    void show_news(const sip::Message&, const RequestCall&, Conversation&, Handle<Conversation>,
                   const IsComposing&);
    [[nodiscard]] bool note_typing(const StateHead&, Conversation&, Handle<Conversation>);
    void hide_typing(Conversation&);
    [[nodiscard]] Bytes thread_of(const sip::Message&, const Conversation&) const;
    [[nodiscard]] Bytes thread_of(const RequestCall&, const sip::Message&,
                                  const Conversation&) const;
    void write_jids(const RequestCall&, const Conversation&, Sink&, Bytes& sip, Bytes& xmpp) const;

    // session.cpp: how ours begin, and all end
    [[nodiscard]] static bool has_sessions(const rules::SipDomain&);
    [[nodiscard]] static Key key_of_tag(Bytes own);
    [[nodiscard]] Key key_of_peer(Bytes call_id, Bytes tag) const;
    [[nodiscard]] Session* find_session(Bytes own_tag) const;
    [[nodiscard]] Session* session_of(const sip::Message& request) const;
    [[nodiscard]] static bool is_in(const sip::Message& request, const Session&);
    [[nodiscard]] Session* session_of(const Conversation&);
    [[nodiscard]] bool read_parties(Session&, RequestCall&);
    [[nodiscard]] Session* make_session(Conversation&, Handle<Conversation>, const AddressView& sip,
                                        const AddressView& xmpp, const rules::SipDomain&);
    void take_place(Session&, Conversation&);
    void leave(Session&);
    void free(Session&);
    void arm(Session&);
    void go_on(Handle<Conversation>);
    [[nodiscard]] bool invite(Conversation&, const ClientRequest& first, LocalFault&);
    void write_own_offer(Session&, Bytes host, Sink&);
    [[nodiscard]] sip::OwnSdp own_sdp(const Session&, Bytes host) const;
    void on_invite_done(ClientRequest&, const sip::Message* response, LocalFault);
    [[nodiscard]] bool confirm(Session&, const ClientRequest&, const sip::Message& response);
    [[nodiscard]] sip::RequestHead read_sent(const Block& invite, std::uint32_t cseq);
    void send_ack(const Session&, std::uint32_t cseq);
    [[nodiscard]] const rules::SipDomain* domain_of(const Session&);
    [[nodiscard]] Result<std::size_t> pick_line(const Session&) const;
    [[nodiscard]] bool take_answer(Session&, const sip::Message&);
    [[nodiscard]] bool is_of(const Session&, const rules::SipDomain&);
    void on_success_again(const sip::Message& response) override;
    void open(Session&);
    void give_time(Conversation&);
    void fail_waiting(Conversation&, std::uint16_t status, const sip::Message*, LocalFault);
    void end_session(Session&);
    void on_bye_done(ClientRequest&);
    void tell_gone(Session&);
    void end_all_sessions();

    // session_server.cpp: theirs, and requests in sessions
    void on_cancelled(const sip::Message& cancel, Bytes to_tag) override;
    void cancel_call(const sip::Message& cancel, Bytes to_tag);
    [[nodiscard]] bool take_invite(const sip::Message&, RequestCall&, Bytes to_tag, const Origin&);
    [[nodiscard]] std::uint16_t judge_offer(const sip::Message&, sip::SessionKind, bool tls,
                                            Sink& headers, std::size_t& taken);
    [[nodiscard]] static std::uint16_t judge_session_expires(const sip::Message&, Sink& headers,
                                                             std::uint32_t& expires);
    void write_description(Session&, const sip::Message&, std::size_t taken, Sink&);
    void accept(Session&, const Origin&, Bytes sdp, bool has_text);
    void answer_invite(const Origin&, const SipAnswer&, Bytes headers);
    [[nodiscard]] bool is_waited_for(const Session&, const Origin&);
    void accept_session(Session&, Bytes sdp, bool has_text);
    [[nodiscard]] bool take_in_session(const sip::Message&, const rules::SipDomain&, const Origin&,
                                       Session* of_tag);
    void take_offer(Session&, const sip::Message&, const Origin&);
    void on_ack(Session&, const sip::Message&);

    // session_text.cpp: what goes in them
    enum class Way : std::uint8_t { kReady, kLater, kAgain, kNone };
    [[nodiscard]] static bool is_ready(const Session&);
    [[nodiscard]] bool may_wait(const Conversation&, std::size_t bytes);
    void lock_resource(Conversation&, Bytes resource, const Key&);
    void unlock_resource(const Key& pair, Bytes resource);
    [[nodiscard]] Way find_way(Conversation&, const ClientRequest& first, LocalFault&);
    [[nodiscard]] Session* ready_session(const Conversation&);
    template <typename Write>
    [[nodiscard]] bool fill_in_session(Session&, ClientRequest&,
                                       std::initializer_list<Bytes> prefix, std::size_t content_max,
                                       Write&&);
    [[nodiscard]] bool fill_in_session(Session&, ClientRequest&,
                                       std::initializer_list<Bytes> prefix, const Text&);
    void send_in_session(Conversation&, ClientRequest&);
    [[nodiscard]] bool write_page_front(Conversation&, ClientRequest&, Sink&);
    [[nodiscard]] bool goes_again(ClientRequest&, Conversation&, LocalFault);
    void take_session_state(const StanzaCall&, const Key& pair, ChatState);
    void leave_if_gone(Conversation&);
    [[nodiscard]] bool fill_content(ClientRequest&, std::initializer_list<Bytes> prefix,
                                    Bytes content);
    [[nodiscard]] bool take_first_text(Session&, const sip::Message&, RequestCall&, Bytes sdp);
    [[nodiscard]] bool read_first_text(const sip::Message&, RequestText&, Sink& memory) const;
    [[nodiscard]] bool take_text_in_session(Session&, const sip::Message&, const rules::SipDomain&,
                                            const Origin&);
    void take_info(Session&, const sip::Message&, const RequestCall&);

    // session_msrp.cpp: sessions by MSRP
    Result<void> listen_for_msrp();
    void size_msrp();
    void make_msrp(Session&, Bytes via_host);
    [[nodiscard]] Bytes msrp_host(Bytes via_host) const;
    [[nodiscard]] bool begin_msrp(Session&, const sip::SdpMedia& theirs, bool offered);
    [[nodiscard]] static bool is_lost(const Session&);
    void start_msrp(Session&);
    void stop_msrp(Session&);
    ClientRequest* let_go(SessionMsrp&);
    [[nodiscard]] bool lingers(Session&);
    void lose_msrp(Session&);
    void connect_msrp(SessionMsrp&, const SocketAddress&);
    void attach(SessionMsrp&, MsrpConnection&);
    void detach(SessionMsrp&);
    void close(MsrpConnection&);
    void say_hello(SessionMsrp&, MsrpConnection&);
    [[nodiscard]] bool proves(const SessionMsrp&, const MsrpConnection&);
    [[nodiscard]] SessionMsrp* find_msrp(const sip::MsrpMessage&);
    [[nodiscard]] static std::vector<Handle<Session>> sessions_on(const MsrpConnection&);
    [[nodiscard]] bool on_msrp(MsrpConnection&, const sip::MsrpMessage&) override;
    void on_msrp_refused(MsrpConnection&, const sip::MsrpMessage&, sip::MsrpFault) override;
    void on_msrp_connected(MsrpConnection&) override;
    void on_msrp_writable(MsrpConnection&) override;
    void on_msrp_closed(MsrpConnection&, const Error&) override;
    void act(SessionMsrp&, sip::MsrpActions, bool failure_wanted = false);
    void arm(SessionMsrp&);
    void send_by_msrp(Session&, ClientRequest&);
    void write_text(SessionMsrp&);
    void end_msrp_text(SessionMsrp&, std::uint16_t status, LocalFault = LocalFault::kUnreachable);
    void note_arrived(SessionMsrp&, const ClientRequest&);
    void forget_arrived(SessionMsrp&);
    void tell_arrived(SessionMsrp&, const sip::MsrpOutcome&);
    void tell_failed(Bytes from_text, Bytes to_text, Bytes id, std::uint16_t status);
    void take_msrp_text(SessionMsrp&, const sip::MsrpContent&, bool failure_wanted);
    bool answer_msrp(const Origin&, const SipAnswer&);
    [[nodiscard]] bool report_receipt(Bytes name);
    void give_up_msrp();

    // notice.cpp
    void send_notice(const Incoming&, Bytes reason, const ReceiptNote* = nullptr);
    void give_notice_up(Bytes sip_domain);
    void on_notice_done(ClientRequest&, LocalFault);
    void send_late_notices();
    void end_notice(ClientRequest&);

    // archiving.cpp
    [[nodiscard]] bool owes_archiving_notice(const Conversation& conversation) const {
        return !conversation.archiving_told && !rules_->settings.archiving_notice.empty();
    }
    // `head`: of the message that it goes before. False: not now.
    [[nodiscard]] bool tell_archiving(Conversation&, const RequestCall&, const StanzaHead& head);
    void tell_archiving(Conversation&, const ClientRequest&, Bytes thread);
    void untell_archiving(const Incoming&);
    [[nodiscard]] Bytes write_archiving_notice(StanzaHead, const rules::SipDomain&);

    // trial.cpp
    void try_to_xmpp(const TrialOrder&, TrialRow&, const AddressView& sip, const AddressView& xmpp);
    void try_to_sip(const TrialOrder&, TrialRow&, const Key& pair);
    // Status 0: it did not come to an answer.
    void fail_trial(std::uint64_t id, std::uint16_t status, Bytes why);
    void on_trial_answer(std::uint64_t id, std::uint16_t status, Bytes reason);
    void on_trial_outcome(std::uint64_t id, const link::Outcome&);
    [[nodiscard]] bool on_trial_receipt(Bytes name);
    [[nodiscard]] bool on_trial_pong(const StanzaCall&, const Key& pair);
    void acknowledge(TrialRow&);

    Shard& shard_;
    const rules::Snapshot* rules_;
    link::EdgeDoor* edge_ = nullptr;
    store::Door* store_ = nullptr;
    bool restoring_ = false;  // its rows are not all in yet
    SubscriptionQuota own_quota_;
    SubscriptionQuota* quota_;
    BlockPool blocks_;  // before all that holds blocks
    Random random_;
    Tracer tracer_;
    KeyMaker keys_;
    Correspondents correspondents_;
    PairMemo<Parties> parties_;
    const rules::SipDomain* latest_domain_ = nullptr;  // of a request in a dialog
    xml::StreamScope scope_;
    Conversations conversations_;
    SenderRates senders_;
    SenderRates subscribers_;
    SipAgent agent_;
    net::Resolver& resolver_;
    Watches watches_{static_cast<PresenceHost&>(*this)};
    Watchers watchers_{static_cast<PresenceHost&>(*this)};
    SeenUsers seen_users_{shard_.count()};
    ReceiptIds receipts_;
    xml::Framer framer_;  // of documents in bodies
    Slab<ShownTyping> shown_typing_;
    Slab<Incoming> incoming_;
    Slab<Asker> askers_;
    sip::MsrpMemory msrp_memory_{kMsrpPartialBytes};  // before the sessions
    BlockPool msrp_arrived_{kMsrpArrivedBlockBytes, kMsrpArrivedBytes};
    sip::MsrpTerms msrp_terms_;
    Slab<Session, 64> sessions_{kSessions};
    GrowingIndex<Session, &Session::by_tag, &Session::next_by_tag> by_tag_;
    GrowingIndex<Session, &Session::by_peer, &Session::next_by_peer> by_peer_;
    std::unique_ptr<sip::Sdp> sdp_;  // that is being read
    GrowingIndex<SessionMsrp, &SessionMsrp::by_id, &SessionMsrp::next_by_id> by_msrp_id_;
    std::unordered_map<std::string, Handle<MsrpConnection>>
        msrp_peers_;  // RFC 4975 5.4: used again
    MsrpTransport msrp_;
    rules::Settings::Sip::Msrp msrp_settings_;  // as it listens
    std::optional<SocketAddress> msrp_local_;   // none: nothing is open
    sip::KeyIndex<Handle<Incoming>> bounce_index_;
    sip::KeyIndex<Handle<Incoming>> merge_index_;
    Incoming* oldest_answered_ = nullptr;
    Incoming* newest_answered_ = nullptr;
    std::size_t unanswered_ = 0;
    RequestList untold_;  // ended, and their senders are not told yet
    std::vector<std::string>
        late_answers_;          // kAnswer records that found no room, each behind its shard
    RequestList late_notices_;  // to be tried again
    // Each: ticket, sizes of the two domains, domains, stanza.
    std::deque<std::string> outbox_;
    std::size_t outbox_bytes_ = 0;
    Timer telling_;
    Timer notices_again_;
    Timer housekeeping_;
    Instant started_at_;
    sip::Message message_;  // from another shard
    Trials trials_;
    // Where texts, requests and stanzas are built; sized by im.max_bytes.
    std::vector<char> text_memory_;
    std::vector<char> scratch_memory_;
    std::vector<char> request_memory_;
    std::vector<char> stanza_memory_;
    std::vector<char> name_memory_;
    bool draining_ = false;
    bool given_up_ = false;
};

}  // namespace fedgate::gateway
