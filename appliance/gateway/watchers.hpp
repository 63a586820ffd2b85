// SIP users who watch XMPP contacts: RFC 8048 section 5.3, interworking section 6.3. For each pair
// one Watcher with his dialogs: we are the notifier. Owner: the engine of the shard that owns the
// pair. Thread: the shard's.
#pragma once

#include <map>
#include <string>

#include "appliance/gateway/presence_host.hpp"
#include "appliance/gateway/watcher.hpp"
#include "core/base/fifo.hpp"
#include "core/base/growing_index.hpp"
#include "sip/message.hpp"
#include "xml/stanza_error.hpp"

namespace fedgate::gateway {

constexpr std::size_t kWatchersMax = 1 << 20;             // of one shard, and as many dialogs:
constexpr std::size_t kWatcherDialogsMax = kWatchersMax;  // beyond, 500 with Retry-After
constexpr std::uint8_t kDialogsOfPair = 5;                // SEC-4
constexpr std::size_t kEventIdBytes = 128;                // SIP-23; beyond, 400
constexpr std::size_t kNotifiesInFlight = 64;             // R13: to one domain of ours
constexpr Duration kKeepAgain = std::chrono::seconds(1);  // the store had no room
constexpr Duration kNotifyAgain = std::chrono::milliseconds(20);  // there was no memory for it
constexpr Duration kFresh = std::chrono::seconds(60);             // PRES-61, PRES-65
constexpr Duration kQuiet = std::chrono::hours(1);                // PRES-66
constexpr Duration kDenialHolds = std::chrono::hours(1);          // PRES-62
constexpr Duration kDisuse = std::chrono::hours(90 * 24);         // PRES-78
constexpr Duration kUnansweredDisuse = std::chrono::hours(24);    // SEC-4
constexpr Duration kAskAgain = std::chrono::hours(24);  // who has not answered, on a new wish
constexpr std::uint32_t kProbationSeconds = 300;        // PRES-70
// Of a subscribe or probe that could not go.
constexpr Duration kUnsentFirst = std::chrono::seconds(60);
constexpr Duration kUnsentMax = std::chrono::hours(1);
constexpr Duration kAnswerWait = std::chrono::seconds(10);  // for what a probe brings
constexpr std::size_t kReasonBytes = 200;  // why a partner can't be reached, as SIP users are told
constexpr Duration kHealWithin = std::chrono::seconds(60);  // PRES-71
// After a restart so many are asked anew at once, on all shards: 10,000 a second at most. Of one
// partner so many at most that are not written to a stream yet, far from the bound of what waits
// for one, so that its streams decide how fast it goes.
constexpr std::size_t kRestoredAtOnce = 50;
constexpr Duration kRestoredEvery = std::chrono::milliseconds(5);
constexpr std::size_t kUnwrittenOfDomain = limits::kDomainPairQueueStanzas / 4;
// Edges that take us back within this time are one: all contacts are asked, as fast as after a
// restart.
constexpr Duration kEdgesGather = std::chrono::seconds(1);
// When a partner is lost, or back.
constexpr std::size_t kWalkedAtOnce = 100;
constexpr Duration kWalkedEvery = std::chrono::milliseconds(50);
// After a change of the rules, of one shard, which costs some 1 ms.
constexpr std::uint32_t kJudgedAtOnce = 1'024;
constexpr Duration kJudgedEvery = std::chrono::milliseconds(10);

class Watchers final : private TimerOwner {
public:
    explicit Watchers(PresenceHost&);
    ~Watchers();

    void reload();
    // subscribed, unsubscribed, error, or presence of the XMPP contact. False: not now
    // (back-pressure).
    [[nodiscard]] bool take_stanza(StanzaCall&, const Key& pair);
    // A SUBSCRIBE that begins a subscription, from a SIP user who may have one by its addresses.
    // `to_tag`: ours, of its answer. False: not now.
    [[nodiscard]] bool take_subscribe(const sip::Message&, RequestCall&, const Key& pair,
                                      Bytes to_tag, const Origin&);
    // One in a dialog of ours. `domain`: its peer speaks for that.
    [[nodiscard]] bool take_refresh(const sip::Message&, const rules::SipDomain& domain,
                                    const Origin&);
    // The end of a NOTIFY of ours; the request is released here.
    void on_request_done(ClientRequest&, const sip::Message* response, LocalFault);
    // A stanza with that token was not written to a stream, or may be lost.
    void on_unsent(PresenceToken, link::Fault);
    void on_sent(PresenceToken);
    void on_partner(const link::PartnerNews&);
    // What contacts have said may have gone to another node: they are asked how they are.
    void on_edge_back();

    // store::User's, for rows of this kind.
    void on_stored(store::Sequence, bool ok);
    void restore(const store::Row&);
    void on_restore_done();
    // They are gone at once; their memory is given back some at a time.
    void drop(const Slots&);

    [[nodiscard]] bool has_record(const Key& pair) const { return find(pair) != nullptr; }
    [[nodiscard]] bool has_dialog(const sip::Message& request) const {
        return find_dialog(request) != nullptr;
    }
    // A6: the SIP user watches the contact, or has asked to.
    [[nodiscard]] bool has_asked(const Key& pair) const;
    [[nodiscard]] std::size_t count() const { return watchers_.count(); }
    [[nodiscard]] std::size_t dialog_count() const { return dialogs_.count(); }

    void on_timer(Watcher&);
    void on_timer(ContactDomain&);

private:
    void on_timer(Timer&) override;

    // watchers.cpp
    // Null: nothing, or another node's.
    [[nodiscard]] Watcher* find(const Key& pair) const;
    [[nodiscard]] bool is_gone(const Watcher& watcher) const {
        return losses_.is_gone(watcher.birth);
    }
    [[nodiscard]] WatcherDialog* find_dialog(const sip::Message& request) const;
    [[nodiscard]] Watcher* make(const AddressView& user, const AddressView& contact,
                                const Key& pair);
    [[nodiscard]] ContactDomain* find_domain(Bytes our, Bytes their);
    [[nodiscard]] ContactDomain& domain_of(Bytes our, Bytes their);
    void forget_if_empty(ContactDomain&);
    [[nodiscard]] WatcherDialog* begin(Watcher&, const sip::Message&, sip::Dialog&&,
                                       std::uint32_t seconds);
    [[nodiscard]] Key user_key(const Watcher& watcher) const {  // SEC-4
        return host_.keys().make({watcher.sip_jid()});
    }
    [[nodiscard]] SubscriptionQuota::Refusal take_place(Watcher&);
    void give_back(Watcher&, std::uint8_t keep);
    [[nodiscard]] WatcherDialog* add(Watcher&, sip::Dialog&&);
    void settle(Watcher&);
    void free(WatcherDialog&);
    void free(Watcher&);
    void forget(Watcher&);
    void on_presence(const StanzaCall&, Watcher&);
    void on_approved(Watcher&);
    void on_refused(Watcher&);
    void on_error(const StanzaCall&, Watcher&);
    void on_fault(Watcher&, link::Fault);
    void ask_later(Watcher&);
    void end_all(Watcher&, const char* reason, std::uint32_t retry_after);
    void ask(Watcher&);
    void probe_if_quiet(Watcher&, Duration quiet);
    void doubt(Watcher&);
    void take_doubted_for_gone(Watcher&);
    void send(Watcher&, Bytes kind);
    void note_unwritten(Watcher&, bool);
    [[nodiscard]] std::array<char, 32> id_of(const Watcher&) const;
    void end_for(Watcher&, xml::StanzaCondition);
    void set_auth(Watcher&, WatcherAuth);
    void act(Watcher&);
    [[nodiscard]] bool knows(const Watcher&);

    // watcher_reach.cpp
    [[nodiscard]] ContactDomain* find_domain(PresenceToken);
    [[nodiscard]] Watcher* find_watcher(PresenceToken);
    [[nodiscard]] static bool says_of_the_way(link::Fault);
    void on_down(ContactDomain&, link::Fault, Bytes why);
    void on_up(ContactDomain&);
    void ask_some();
    bool ask_how_it_is(Watcher&);
    void ask_domain(ContactDomain&);
    void walk(ContactDomain&);
    void step(ContactDomain&, Watcher&);
    [[nodiscard]] bool is_lost(const Watcher&) const;
    void write_lost(const Watcher&, Bytes aor, Sink&);
    [[nodiscard]] PidfForm form_for(const Watcher&) const;
    void arm(ContactDomain&);

    // watcher_policy.cpp
    void judge_some();
    bool end_if_revoked(Watcher&);  // true: he is told so, and may be gone

    // watcher_store.cpp
    void write_detail(const Watcher&, Sink&);
    [[nodiscard]] store::Row row_of(const Watcher&, Sink& detail);
    void keep(Watcher&);
    [[nodiscard]] bool promise(Watcher&);
    [[nodiscard]] bool restore(Watcher&, Bytes& detail);
    void free_gone();
    void wait_for_turn(const Watcher&);
    void go_on();
    void go_on(Watcher&);

    // watcher_notify.cpp
    void run(WatcherDialog&, sip::NotifierActions);
    void tell_all(Watcher&, bool urgent);
    static void leave_lane(WatcherDialog&);
    void send_waiting(NotifyLane&);
    [[nodiscard]] bool send_notify(WatcherDialog&);
    void on_gone(const WatcherDialog&);
    void end_for_size(WatcherDialog&);
    void write_notify(WatcherDialog&, Bytes aor, const SipRoute&, Sink&);
    void write_answer_headers(const AddressView& contact, const SipRoute&, std::uint32_t seconds,
                              Sink&);

    [[nodiscard]] Instant now() { return host_.shard().loop().now(); }

    PresenceHost& host_;
    sip::KeySecret secret_;
    sip::NotifierTiming timing_;
    std::map<std::string, NotifyLane, std::less<>> lanes_;               // by domain of ours
    std::map<std::string, ContactDomain, std::less<>> contact_domains_;  // "our their"
    std::uint32_t next_domain_ = 1;
    Slab<Watcher> watchers_{kWatchersMax};
    Slab<WatcherDialog> dialogs_{kWatcherDialogsMax};
    GrowingIndex<Watcher, &Watcher::pair, &Watcher::next_in_index> index_;
    GrowingIndex<WatcherDialog, &WatcherDialog::key, &WatcherDialog::next_in_index> dialog_index_;
    struct Stored {
        store::Sequence sequence;
        Handle<Watcher> watcher;
    };
    Fifo<Stored> storing_;
    Fifo<Handle<Watcher>> restored_;
    std::size_t early_ = 0;  // of those, gone on while others were still being read
    Timer again_{*this};
    Timer going_on_{*this};
    Timer judging_{*this};
    Timer asking_{*this};
    SlotLosses losses_;
    Timer freeing_{*this};
    std::uint32_t free_at_ = 0;
    std::uint32_t places_ = 0;  // of watchers_, that were ever used
    std::uint32_t judge_at_ = 0;
    static constexpr std::uint32_t kNobodyToAsk = UINT32_MAX;
    std::uint32_t ask_at_ = kNobodyToAsk;
    bool ask_again_ = false;  // from the beginning, then
};

}  // namespace fedgate::gateway
