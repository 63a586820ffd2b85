// What must outlive the process: one row for each subscription of a pair, in either direction.
// The interface that the gateway sees. What is behind it: a file or the server of a pool
// (service.hpp), or, in a simulation, memory (memory.hpp).
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "core/base/bytes.hpp"
#include "core/base/rendezvous.hpp"
#include "core/base/time.hpp"

namespace fedgate::store {

enum class Kind : std::uint8_t {
    kWatch,    // the XMPP user watches the SIP user
    kWatcher,  // the SIP user watches the XMPP user
};

// Views are valid for the call. A row is known by (kind, xmpp, sip).
struct Row {
    Kind kind = Kind::kWatch;
    Bytes xmpp;             // bare JID, enforced
    Bytes sip;              // bare JID of the SIP user, enforced (gateway::Address)
    std::uint8_t auth = 0;  // how far the approval is; the gateway's to define
    WallTime changed{};     // of `auth`
    Bytes detail;           // the gateway's to define; at most limits::kStoreDetailBytes
};

// Numbers the changes of one door, from 1 on.
using Sequence = std::uint64_t;

// Where the rows of one shard go. Copies what it is given; takes several changes of one row that
// wait as one. Nothing blocks. Thread: the shard's.
class Door {
public:
    // For what is about to be promised: wait for on_stored() with this number before it is. Null:
    // refuse it; the disk fails (failing()), too much waits, or another node of the pool has it.
    [[nodiscard]] virtual std::optional<Sequence> put(const Row&) = 0;
    // For what stands already: waits while the disk fails, too. Null: too much waits; go on
    // without, the row stays as it was. Null, too, for what another node has.
    virtual std::optional<Sequence> update(const Row&) = 0;
    virtual std::optional<Sequence> erase(Kind, Bytes xmpp, Bytes sip) = 0;

    // False: another node of the pool has what is in that slot, or its rows are still on their way.
    [[nodiscard]] virtual bool has(std::size_t slot) const {
        static_cast<void>(slot);
        return true;
    }
    // Of a pool: whether another node is known to be at the store now. Then this one gives up its
    // share before its lease is over; else it goes on with what it has.
    virtual void set_others_hold(bool) {}
    // Nothing can be kept now, for a reason that the administrator has been told.
    [[nodiscard]] virtual bool failing() const = 0;

protected:
    ~Door() = default;
};

// Who has a door. Called on the shard's thread, never from within a call of Door.
class User {
public:
    // Everything up to `last` is on disk (`ok`), or could not be kept for now: the disk fails.
    // It is tried again until it is kept, and then comes with `ok`: whoever refuses what he has
    // asked for erases his row (which needs no room while it waits).
    virtual void on_stored(Sequence last, bool ok) = 0;
    // At start, after the listeners are open: rows of pairs that this shard owns, in batches with
    // turns of the loop in between. When a store that could not be read at start is healed its rows
    // come late, after on_restore_done(), which then comes again.
    virtual void on_restored(std::span<const Row> rows) = 0;
    virtual void on_restore_done() = 0;
    // Of a pool: conversations of these slots are another node's from now on, and so are their
    // rows. What is here of them is to be forgotten without a word: the other one goes on with it.
    // Rows of slots that come (back) come by on_restored().
    virtual void on_lost(const Slots&) {}
    // Of a pool: how this node stands to the store from now on. kLost comes behind on_lost().
    virtual void on_tenure(Tenure) {}

protected:
    ~User() = default;
};

}  // namespace fedgate::store
