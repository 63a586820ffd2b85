// One XMPP user who watches one SIP contact: what has to be known of that while it lasts.
//
// Size: some 400 bytes, and on the heap the two names, the texts of a dialog (some 300 bytes) and
// what was told of the contact (30 bytes for each resource and its notes).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "appliance/gateway/address.hpp"
#include "appliance/gateway/errors.hpp"
#include "appliance/gateway/key.hpp"
#include "appliance/gateway/presences.hpp"
#include "appliance/gateway/slot_losses.hpp"
#include "appliance/store/store.hpp"
#include "core/base/slab.hpp"
#include "core/run/timers.hpp"
#include "sip/dialog.hpp"
#include "sip/subscription.hpp"

namespace fedgate::gateway {

class Watches;

// `auth` of interworking 6.2, and of a row in the store.
enum class Approval : std::uint8_t {
    kNone,  // a probe only, or over
    kAsked,
    kGranted,  // `subscribed` is still to be said
    kTold,     // it was said
};

// What is still to be said to the XMPP user, in this order.
enum class Debt : std::uint8_t {
    kTakeBack = 1,   // `unavailable` for each announced resource
    kOutage = 2,     // with a note that says why
    kApproval = 4,   // `subscribed`, once the store has it
    kAnswer = 8,     // to a probe: nothing is known
    kEnd = 16,       // `unsubscribed`, once the store has it
    kError = 32,     // instead: status and fault
    kReassure = 64,  // plain `unavailable`: what he may have heard is true no longer
};

// Which resources of the XMPP user are there: as much as it takes to know when the last one goes
// (PRES-46).
class UserResources {
public:
    void add(std::uint32_t resource) {
        if (has(resource)) return;
        if (count_ == known_.size()) {
            more_ = true;
        } else {
            known_[count_++] = resource;
        }
    }
    // Is nobody left, as far as we know?
    [[nodiscard]] bool remove(std::uint32_t resource) {
        const auto end = known_.begin() + count_;
        if (const auto at = std::find(known_.begin(), end, resource); at != end) {
            *at = known_[--count_];
        }
        return count_ == 0 && !more_;
    }
    void clear() {
        count_ = 0;
        more_ = false;
    }

private:
    [[nodiscard]] bool has(std::uint32_t resource) const {
        const auto end = known_.begin() + count_;
        return std::find(known_.begin(), end, resource) != end;
    }
    std::array<std::uint32_t, 4> known_{};
    std::uint8_t count_ = 0;
    bool more_ = false;  // than are known: only all at once can go, or nobody shows himself
};

struct Watch final : private TimerOwner {
    Watch(Watches& w, const sip::SubscriberTiming& timing, std::uint16_t spread)
        : watches(w), timer(*this), subscriber(timing, spread) {}

    [[nodiscard]] Bytes xmpp() const { return {names.get(), xmpp_bytes}; }  // bare JIDs
    [[nodiscard]] Bytes sip() const { return {names.get() + xmpp_bytes, sip_bytes}; }
    [[nodiscard]] bool is_granted() const {
        return approval == Approval::kGranted || approval == Approval::kTold;
    }
    [[nodiscard]] bool owes(Debt debt) const {
        return (debts & static_cast<std::uint8_t>(debt)) != 0;
    }
    void owe(Debt debt) { debts |= static_cast<std::uint8_t>(debt); }
    void forgive(Debt debt) { debts &= static_cast<std::uint8_t>(~static_cast<unsigned>(debt)); }

    // What waits: seldom anything.
    struct Waiting {
        std::string prober;    // PRES-45: who asked, and has no answer yet
        std::string document;  // came before `subscribed` could be said
        std::string language;  // of it
        std::string gone;      // resources that were taken back, each with '\n': he may not know
        Instant gone_until{};  // then he does
    };
    Waiting& waiting() {
        if (rest == nullptr) rest = std::make_unique<Waiting>();
        return *rest;
    }

    [[nodiscard]] bool has_prober() const { return rest != nullptr && !rest->prober.empty(); }

    Watches& watches;
    Handle<Watch> self;
    Key pair;
    Watch* next_in_index = nullptr;
    Timer timer;
    sip::Subscriber subscriber;
    std::optional<sip::Dialog> dialog;
    std::uint64_t tag = 0;  // what only we know of our tag; 0: nobody may make a dialog now
    Presences announced;
    std::unique_ptr<char[]> names;
    std::unique_ptr<Waiting> rest;
    store::Sequence unstored = 0;  // the last change of the row that is not on disk; 0: none
    WallTime asked_at{};           // by the user, for approval
    Instant interest_at{};         // when he last showed that he is there
    Instant rest_at = kNever;      // PRES-46
    UserResources resources;
    std::uint32_t saved = 0;  // hash of the row's detail
    std::uint32_t cseq = 1;   // of the last SUBSCRIBE, as it was sent
    std::uint16_t xmpp_bytes = 0;
    std::uint16_t sip_bytes = 0;
    SlotBirth birth;
    std::uint16_t status = 0;                     // of kError; 0: the fault
    LocalFault fault = LocalFault::kUnreachable;  // why the last SUBSCRIBE did not go
    Approval approval = Approval::kNone;
    std::uint8_t debts = 0;
    bool wanted : 1 = true;        // PRES-42: the user has shown interest
    bool leaving : 1 = false;      // PRES-43
    bool resting : 1 = false;      // PRES-46: the dialog ends, and the approval stays
    bool stands : 1 = false;       // PRES-54: what was told last stays true
    bool eager : 1 = false;        // to be subscribed as soon as there is a way
    bool unsent : 1 = false;       // a SUBSCRIBE could not be sent
    bool unsaved : 1 = false;      // the store had no room for the row's last change
    bool listed : 1 = false;       // in Watches::unstored_
    bool unheard : 1 = false;      // what he was told was lost on the way: it is said again
    bool restored : 1 = false;     // by a row, and nothing was heard since
    bool unheard_of : 1 = false;   // no NOTIFY of the dialog has told the contact's state
    bool outage_told : 1 = false;  // kOutage was paid, and nothing was heard since

private:
    void on_timer(Timer&) override;
};

}  // namespace fedgate::gateway
