// The edge on one shard: XMPP server-to-server with partners. It accepts their streams and opens
// ours, proves who is who, and passes stanzas on to the gateway and to partners as the bytes they
// are. It knows nothing of SIP. Owner: the program, one for each shard. Thread: the shard's.
// Nothing here blocks.
//
// Order of life: make one for each shard, start(), turns of the loop, stop_accepting(), drain(),
// turns until drained(), destroy before the shard, the resolver and the TLS context.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "appliance/edge/carriers.hpp"
#include "appliance/edge/context.hpp"
#include "appliance/edge/door_guard.hpp"
#include "appliance/edge/in_stream.hpp"
#include "appliance/edge/inquiries.hpp"
#include "appliance/edge/out_stream.hpp"
#include "appliance/edge/sessions.hpp"
#include "appliance/link/link.hpp"

namespace fedgate::edge {

// For `fedctl ports` and `fedctl streams`.
struct StreamRow {
    bool listening = false;
    bool inbound = false;
    std::string local;  // address:port
    std::string peer;   // empty for a listener
    std::string our;
    std::string their;
    std::string state;       // "listening", "established", "tls", "sasl", ...
    std::string proof;       // "certificate", "dialback over TLS", "dialback in clear", or empty
    std::string tls;         // "TLSv1.3 ...", or empty
    bool both_ways = false;  // XEP-0288
    std::uint64_t stanzas = 0;
    std::uint64_t stanzas_back = 0;  // the other way
    std::uint64_t age_s = 0;
    std::uint64_t idle_s = 0;  // since bytes last came in
    std::size_t waiting = 0;
    std::uint64_t retry_s = 0;  // state "waiting": the next attempt is not before then
};

class Edge final : public link::EdgeDoor,
                   public InStreamOwner,
                   public OutStreamOwner,
                   public CarriersOwner,
                   public SessionsOwner,
                   public InquiriesOwner,
                   SocketOwner,
                   RecordHandler,
                   TurnTask,
                   TimerOwner {
public:
    // All references must outlive the edge; the snapshot and the certificates until reload().
    // `guard`: the same for all shards. `dialback_secret`: DB-3.
    Edge(Shard&, const rules::Snapshot&, net::Resolver&, const Certificates&, DoorGuard& guard,
         link::GatewayDoor&, Bytes dialback_secret);
    // DB-3. Keys that were made with the one before are still good.
    void set_dialback_secret(Bytes secret, Bytes before);
    ~Edge();
    Edge(const Edge&) = delete;
    Edge& operator=(const Edge&) = delete;

    // Opens the listeners. What can't be opened is logged; the first such error is returned.
    Result<void> start();
    // Acts at once. Streams that the new rules do not allow are ended.
    void reload(const rules::Snapshot&, const Certificates&);
    void stop_accepting();
    // The same until accept(), and ends in order what partners have opened: they go elsewhere.
    void send_away();
    void accept();
    // Flushes what waits for partners and closes those streams, then what partners have opened.
    void drain();
    [[nodiscard]] bool drained() const;

    [[nodiscard]] bool take_stanza(const link::ToPartner&) override;

    [[nodiscard]] std::vector<StreamRow> rows() const;
    [[nodiscard]] std::vector<LastFailure> failures() const { return context_.failures.rows(); }
    [[nodiscard]] std::vector<SeenCertificate> seen_certificates() const {
        return context_.seen.rows();
    }

private:
    void on_accept(Socket listener, Socket connection, const SocketAddress& peer) override;
    bool on_record(std::uint32_t kind, std::uint32_t from_shard, Bytes record) override;
    void on_turn_end() override;
    Result<void> open_listeners();
    [[nodiscard]] bool make_room();
    void on_answer(const Asker&, std::optional<xml::Verdict>) override;
    void on_timer(Timer&) override;
    Admission on_authenticated(InStream&, Bytes our, Bytes their) override;
    void on_seen(Bytes our, Bytes their) override;
    void on_verify(InStream&, Bytes our, Bytes their, Bytes id, Bytes key) override;
    [[nodiscard]] bool on_dane_wanted(InStream&, Bytes their) override;
    void on_pong(Bytes our, Bytes their, std::uint64_t number) override;
    [[nodiscard]] bool answers_wait(Bytes our, Bytes their) override;
    void on_silence(InStream&) override;
    void on_carrying(InStream&, const xml::Stream::Pair&) override;
    [[nodiscard]] bool on_left(InStream&, Bytes our, Bytes their, std::uint64_t position) override;
    void on_carried(InStream&, Bytes our, Bytes their) override;
    void on_carrier_up(Bytes our, Bytes their, const Carrier&, xml::Proof,
                       const xml::StreamLimits&) override;
    void on_carrier_left(Bytes our, Bytes their, const Carrier&, std::uint64_t position) override;
    void on_carrier_gone(Bytes our, Bytes their, const Carrier&) override;
    [[nodiscard]] bool on_carry(std::uint64_t stream, Bytes our, Bytes their, Bytes stanza,
                                std::uint64_t position) override;
    void on_carrier_fail(std::uint64_t stream) override;
    [[nodiscard]] bool carry(const Carrier& carrier, Bytes our, Bytes their, Bytes stanza,
                             std::uint64_t position) override {
        return carriers_.carry(carrier, our, their, stanza, position);
    }
    void fail_carrier(const Carrier& carrier) override { carriers_.fail(carrier); }
    void on_gone(InStream&) override;
    void on_session_begun(InStream&, Bytes id) override;
    void on_session_wanted(InStream&, Bytes id) override;
    void on_session_ended(InStream&, Bytes id, bool broken) override;
    bool on_session(std::uint64_t stream, bool granted,
                    std::optional<std::uint32_t> handled) override;
    std::optional<Left> take_session(std::uint64_t stream) override;
    std::string pattern_of(Bytes their) override;
    [[nodiscard]] InStream* find_in_stream(Handle<InStream>) override;
    [[nodiscard]] OutStream* find_out_stream(Bytes our, Bytes their) override;
    [[nodiscard]] std::uint32_t owner_of(Bytes our, Bytes their) const override;
    void on_fate(const link::Outcome&) override;
    void on_answers(const OutStream&, bool wait) override;
    void on_news(const OutStream&, link::PartnerNews::Kind, link::Fault) override;
    void tell_news(Bytes our, Bytes their, link::PartnerNews::Kind, link::Fault, Bytes why);

    void send_here(const link::ToPartner&);
    void pong_here(Bytes our, Bytes their, std::uint64_t number);
    void ping_here(Bytes our, Bytes their);
    void answers_here(Bytes our, Bytes their, bool wait);
    void tell_owner(link::RecordKind, Bytes our, Bytes their, std::uint64_t number);
    [[nodiscard]] OutStream* make_out_stream(Bytes our, Bytes their);
    [[nodiscard]] bool has_room_for(Bytes their);
    void deliver_fates();
    [[nodiscard]] bool out_streams_drained() const;
    void sweep();
    void rejudge_some();

    Context context_;
    link::GatewayDoor& gateway_;
    DoorGuard& guard_;
    Carriers carriers_;
    Sessions sessions_;
    Inquiries inquiries_;
    Slab<InStream> in_streams_;
    std::vector<Handle<InStream>> gone_;  // freed at the end of the turn
    std::unordered_map<std::string, std::unique_ptr<OutStream>> out_streams_;  // "our their"
    // By partner: those of domains that it does not list. Counted anew by each sweep.
    std::unordered_map<std::string, std::size_t> unlisted_;
    // Pairs whose answers wait, at whatever shard: until when, unless it is said again. No more
    // than all shards have out-streams.
    std::unordered_map<std::string, Instant> answers_wait_;
    std::vector<std::vector<link::Outcome>> fates_;  // by shard; told at the end of the turn
    std::string key_;                                // scratch for look-ups
    std::vector<Handle<InStream>> rejudged_in_;      // since the last reload, not yet
    std::vector<std::string> rejudged_out_;
    Timer rejudge_;
    Timer sweep_;
    Timer fates_again_;
    struct Listener {
        std::string address;  // as configured
        bool direct_tls;
        Socket socket;
    };
    std::vector<Listener> listeners_;
    bool accepting_ = false;
    bool draining_ = false;
};

}  // namespace fedgate::edge
