// XMPP users who watch SIP contacts: RFC 8048 section 5.2, interworking section 6.2. For each pair
// one Watch: our subscription at the SIP side on behalf of the XMPP user. Owner: the engine of the
// shard that owns the pair. Thread: the shard's.
//
// watches.cpp has the table, time and the store; watch_requests.cpp what goes to SIP and comes from
// there; watch_stanzas.cpp what comes from the XMPP user and goes to him.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "appliance/gateway/pidf.hpp"
#include "appliance/gateway/presence_host.hpp"
#include "appliance/gateway/watch.hpp"
#include "core/base/growing_index.hpp"
#include "sip/message.hpp"
#include "xml/document.hpp"

namespace fedgate::gateway {

constexpr std::size_t kWatches = 10'000'000;                    // of one shard; SEC-4 binds before
constexpr Duration kInterestKept = std::chrono::hours(24);      // PRES-42
constexpr Duration kAskedAtMost = std::chrono::hours(24);       // PRES-39
constexpr Duration kRestAfter = std::chrono::minutes(5);        // PRES-46
constexpr Duration kDebtRetry = std::chrono::milliseconds(20);  // no room for stanzas
// What was said and not heard comes to light within kFateWithin and kDoubtWithin.
constexpr Duration kGoneKept = link::kFateWithin + link::kDoubtWithin + std::chrono::seconds(5);
constexpr std::size_t kGoneBytes = limits::kPresenceBytes;  // beyond, the oldest is forgotten
constexpr Duration kStoreRetry = std::chrono::seconds(1);   // no room in the store
// At start, and when a next hop comes back: so many a second, of all shards together, as long as so
// few requests of presence are without an answer; else this is more than the pool can do, or one
// domain of many is silent, and it goes on slowly.
constexpr std::uint32_t kSubscribesPerSecond = 10'000;
constexpr std::uint32_t kSubscribesPerSecondSlow = 400;
constexpr std::size_t kSubscribesUnanswered = 256;

class Watches final : private TimerOwner {
public:
    explicit Watches(PresenceHost&);
    ~Watches();
    Watches(const Watches&) = delete;
    Watches& operator=(const Watches&) = delete;

    void reload();
    // subscribe, unsubscribe or probe of an XMPP user. False: not now (back-pressure).
    [[nodiscard]] bool take_stanza(StanzaCall&, const Key& pair);
    // PRES-80, PRES-46: his presence, or a message of his, says whether he is there.
    void on_evidence(const StanzaCall&, const Key& pair);
    // A NOTIFY in a dialog of ours, or making one. False: not now.
    [[nodiscard]] bool take_notify(const sip::Message&, const rules::SipDomain& of_peer,
                                   const Origin&);
    // The end of a SUBSCRIBE of ours; the request is released here.
    void on_request_done(ClientRequest&, const sip::Message* response, LocalFault);

    // Our user has added him: who was held may watch him now (features.md A6).
    void on_watched(const Key& pair);
    void on_unwatched(const Key& pair);

    // What he was told did not go, or is in doubt.
    void on_unsent(PresenceToken, bool in_doubt);
    void on_partner(const link::PartnerNews&);
    // store::User's, for rows of this kind.
    void on_stored(store::Sequence, bool ok);
    void restore(const store::Row&);
    void on_restore_done() { sweep(); }
    // They are gone at once; their memory is given back some at a time.
    void drop(const Slots&);

    // May he know of the contact? Was that resource of the contact told to him as available?
    [[nodiscard]] bool granted(const Key& pair) const;
    [[nodiscard]] bool announces(const Key& pair, Bytes resource) const;
    [[nodiscard]] std::size_t count() const { return slab_.count(); }

private:
    friend struct Watch;
    // The addresses of a watch, read anew for each event.
    struct Pair {
        explicit Pair(const Watch&);
        Address xmpp;
        Address sip;
    };
    enum class Admission : std::uint8_t { kAllowed, kHeld, kRefused };
    // The way to a SIP domain, as it was last seen.
    struct Way {
        std::string domain;   // A-labels
        std::string unicode;  // as in JIDs
        bool is_up = true;
        bool told = false;    // to those who watch there
        bool renews = false;  // its server may have let go of them: this sweep asks
        Instant since{};      // is_up is what it is
        const char* why = "";
    };

    // watches.cpp
    // Null: nothing, or another node's.
    [[nodiscard]] Watch* find(const Key& pair) const;
    [[nodiscard]] bool is_gone(const Watch& watch) const { return losses_.is_gone(watch.birth); }
    void free_gone();
    [[nodiscard]] Watch* make(const Key& pair, const AddressView& xmpp, const AddressView& sip);
    void free(Watch&);
    void free_rest(Watch&);
    // Pays, arms, frees: the end of each event.
    void settle(Watch&);
    void on_watch_timer(Watch&);
    void on_timer(Timer&) override;
    void touch(Watch&);
    void start_if_idle(Watch&);
    [[nodiscard]] Instant forgotten_at(const Watch&) const;
    [[nodiscard]] Admission admit(const AddressView& xmpp, const AddressView& sip,
                                  const Key& pair) const;
    [[nodiscard]] bool ask_store(Watch&);  // false: not now, and the user has to know
    void keep(Watch&);
    void keep_if_changed(Watch&);
    void write_detail(const Watch&, Sink&) const;
    void note_unstored(Watch&, std::optional<store::Sequence>);
    void look_at_ways();
    [[nodiscard]] Way* find_way(const Watch&);
    void sweep();
    void sweep_some();
    [[nodiscard]] bool may_send(std::uint32_t sent) const;
    [[nodiscard]] bool revive(Watch&);
    [[nodiscard]] bool end_if_forbidden(Watch&);

    // watch_requests.cpp
    void run(Watch&, sip::SubscriberActions);
    [[nodiscard]] bool send_subscribe(Watch&, bool initial);
    void write_subscribe(const Pair&, const Watch&, const rules::SipDomain&, sip::RequestHead&,
                         Sink&);
    [[nodiscard]] std::array<char, 2 * sizeof(Key)> call_id_of(Bytes tag) const;
    [[nodiscard]] Watch* find_by_tag(const sip::Message& notify);
    [[nodiscard]] std::uint16_t enter_dialog(Watch&, const sip::Message& notify);
    void take_state(Watch&, const Pair&, const sip::Message& notify, const sip::SubscriptionState&,
                    bool has_document);
    void on_active(Watch&);
    void on_lost(Watch&);
    void give_up(Watch&);
    void on_ended(Watch&, bool was_in_dialog);
    void on_final(Watch&);

    // watch_stanzas.cpp
    [[nodiscard]] bool take_subscribe(StanzaCall&, Watch*, const Key& pair, Admission);
    [[nodiscard]] bool take_unsubscribe(StanzaCall&, Watch*);
    [[nodiscard]] bool take_probe(StanzaCall&, Watch*, const Key& pair, Admission);
    [[nodiscard]] Watch* make_counted(StanzaCall&, const Key& pair, bool& refused);
    [[nodiscard]] bool refuse_by_policy(StanzaCall&);
    void note_prober(Watch&, Bytes prober);
    [[nodiscard]] bool pay(Watch&);
    void show(Watch&, const Pair&, Bytes document, Bytes language);
    void forget_state(Watch&);
    void answer_prober(Watch&, const Pair&);
    void tell_announced(const Watch&, const Pair&, Bytes to);
    // `token`: for what counts as said only when it went.
    void tell(const Pair&, const Presence&, Bytes from, Bytes to, Bytes language, bool notes,
              PresenceToken token = 0);
    void say(const Pair&, Bytes type, Bytes from, Bytes to, PresenceToken token = 0);
    // What belongs to the state that he sees, and is said again when it is lost.
    void tell_state(Watch&, const Pair&, const Presence&, Bytes language, bool notes);
    void note_gone(Watch&, Bytes resource);
    void note_there(Watch&, Bytes resource);
    void repeat(Watch&);
    void say_error(const Watch&, const Pair&);
    bool take_back(Watch&, const Pair&);
    [[nodiscard]] bool shows_notes(const Pair&) const;

    [[nodiscard]] Instant now() const;
    [[nodiscard]] WallTime wall_now() const;

    PresenceHost& host_;
    sip::SubscriberTiming timing_;
    Slab<Watch> slab_{kWatches};
    xml::Document tree_;  // of one document, while it is read
    Document tuples_;
    GrowingIndex<Watch, &Watch::pair, &Watch::next_in_index> index_;
    std::deque<std::pair<store::Sequence, Handle<Watch>>> unstored_;  // each once at most
    Watch* sending_ = nullptr;                                        // its SUBSCRIBE goes out now
    std::vector<Way> ways_;
    Timer ways_timer_;
    // Through all watches, some at a time: who is to be subscribed, or told of an outage?
    Timer sweep_timer_;
    SlotLosses losses_;
    Timer freeing_timer_;
    std::uint32_t free_at_ = 0;
    std::uint32_t places_ = 0;    // of the slab that were ever used
    std::uint32_t sweep_at_ = 0;  // places_: it is over
    std::size_t early_ = 0;       // subscribed while others were still being read
    Instant repeat_at_ = kNever;  // somebody is `unheard`
    bool repeats_ = false;        // this sweep says it again
    bool judges_ = false;         // the rules have changed: who may still watch?
};

}  // namespace fedgate::gateway
