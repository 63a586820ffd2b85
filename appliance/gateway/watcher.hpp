// One SIP user who watches one XMPP contact, and his dialogs. What Watchers owns; a subscription
// with one dialog is to cost a KiB at most, all in all.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "appliance/gateway/key.hpp"
#include "appliance/gateway/presences.hpp"
#include "appliance/gateway/slot_losses.hpp"
#include "appliance/link/link.hpp"
#include "appliance/store/store.hpp"
#include "core/base/slab.hpp"
#include "core/run/timers.hpp"
#include "sip/dialog.hpp"
#include "sip/subscription.hpp"

namespace fedgate::gateway {

class Watchers;
struct Watcher;
struct ContactDomain;

// How far the contact's approval is. The numbers are kept in the store.
enum class WatcherAuth : std::uint8_t { kNone = 0, kAsked = 1, kGranted = 2, kDenied = 3 };

struct WatcherDialog {
    WatcherDialog(Watcher& w, sip::Dialog&& d, const sip::Notifier& n)
        : watcher(w), dialog(std::move(d)), notifier(n) {}

    Watcher& watcher;
    Handle<WatcherDialog> self;
    Key key;  // Call-ID and tags
    WatcherDialog* next_in_index = nullptr;
    WatcherDialog* next = nullptr;  // of the watcher
    WatcherDialog* next_waiting = nullptr;
    WatcherDialog* previous_waiting = nullptr;
    sip::Dialog dialog;
    sip::Notifier notifier;
    std::unique_ptr<std::string> event_id;  // SIP-23; null: none
    Instant expires_at{};
    std::uint32_t first_cseq = 0;  // of the SUBSCRIBE that made it
    bool poll = false;
    bool waiting = false;        // in its lane: its NOTIFY is to be sent
    bool told = false;           // a document was sent
    bool over = false;           // the last NOTIFY was sent
    bool without_body = false;   // that one
    bool approved_once = false;  // it was active
};

struct Watcher final : private TimerOwner {
    Watcher(Watchers& w, ContactDomain& d) : owner(w), domain(d), timer(*this) {}

    [[nodiscard]] Bytes sip_jid() const { return Bytes(names).substr(0, sip_jid_bytes); }
    [[nodiscard]] Bytes contact_jid() const { return Bytes(names).substr(sip_jid_bytes); }

    Watchers& owner;
    ContactDomain& domain;
    Handle<Watcher> self;
    Key pair;
    Watcher* next_in_index = nullptr;
    Watcher* next_of_domain = nullptr;
    Watcher* previous_of_domain = nullptr;
    WatcherDialog* dialogs = nullptr;  // newest first
    std::string names;                 // bare JIDs
    Presences presences;               // PRES-20: of the contact, for this watcher
    Timer timer;
    Instant heard_at = Instant::min();  // presence of the contact
    Instant asked_at = Instant::min();  // the last subscribe or probe
    Instant again_at = kNever;          // it is sent again
    Instant doubt_at = kNever;          // what was not said again by then is over
    Instant until = kNever;             // kDenied holds (PRES-62), or disuse is over (PRES-78)
    WallTime changed{};                 // of auth
    store::Sequence awaits = 0;         // not 0: auth acts when that is on disk
    std::uint16_t sip_jid_bytes = 0;
    SlotBirth birth;
    std::uint8_t dialog_count = 0;
    std::uint8_t places = 0;                 // of the quota (SEC-4)
    bool resting = false;                    // the one place that there is counts not for the user
    std::uint8_t failures = 0;               // of the subscribe or probe
    link::Fault fault = link::Fault::kNone;  // of the last one; not looked at yet
    WatcherAuth auth = WatcherAuth::kNone;
    bool sent = false;       // the subscribe
    bool kept = false;       // the store has a row
    bool unkept = false;     // which is not as this is
    bool unwritten = false;  // the last subscribe or probe, to a stream
    bool stale = false;      // what is known may be over, and nothing came since that was asked

private:
    void on_timer(Timer&) override;
};

// NOTIFYs to one domain of ours: R13, so many in flight; what is to be sent besides waits here.
struct NotifyLane {
    WatcherDialog* first = nullptr;
    WatcherDialog* last = nullptr;
    std::size_t in_flight = 0;
    bool sending = false;  // not from within itself
};

// A domain of ours and one of theirs: what is between them concerns all who watch through it. R12,
// PRES-71: it is known to be reachable until a stream breaks or can't be set up; then it is asked
// now and then, and who watches is told after a while.
struct ContactDomain final : private TimerOwner {
    ContactDomain(Watchers& w, std::string o, std::string t, NotifyLane& l)
        : owner(w), our(std::move(o)), their(std::move(t)), lane(l), timer(*this) {}

    enum class Walk : std::uint8_t { kNone, kLost, kHealed };

    Watchers& owner;
    const std::string our;
    const std::string their;
    NotifyLane& lane;
    std::uint32_t number = 0;  // of its tokens
    Timer timer;
    Watcher* first = nullptr;
    std::size_t count = 0;
    std::size_t unwritten = 0;  // of its watchers
    // Since when it is not known to be reachable; kNever: it is.
    Instant down_at = kNever;
    WallTime down_since{};
    Instant ask_at = kNever;
    link::Fault fault = link::Fault::kNone;
    std::string why;
    bool lost = false;        // and that is told
    Walk walk = Walk::kNone;  // through its watchers, some at once
    Watcher* next = nullptr;  // of the walk
    Instant walk_at = kNever;

private:
    void on_timer(Timer&) override;
};

}  // namespace fedgate::gateway
