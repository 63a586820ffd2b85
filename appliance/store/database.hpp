// What a store's thread keeps rows in: a file (file.hpp), or a server that the nodes of a pool
// share (postgresql.hpp). Waits for the disk, or the network. Thread: one at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "appliance/store/change.hpp"
#include "core/base/rendezvous.hpp"
#include "core/base/time.hpp"

namespace fedgate::store {

enum class Fault : std::uint8_t {
    kNone,
    kUnusable,  // for a reason that may pass: full disk, permissions; try again
    kInUse,     // by another process of ours
    kForeign,   // of another program or a later version: not to be touched
    kDamaged,   // rebuild() saves what can be read
};

inline constexpr std::uint64_t kUnknown = UINT64_MAX;

// What a reading of all rows has found wrong.
struct Damage {
    std::uint64_t rows = 0;      // that are right
    std::uint64_t expected = 0;  // that there should be
    std::uint64_t bad_rows = 0;  // their CRC, or their place, is wrong
    std::uint64_t bad_pages = 0;
    bool bad_sum = false;

    [[nodiscard]] bool any() const {
        return bad_rows != 0 || bad_pages != 0 || bad_sum || rows != expected;
    }
    [[nodiscard]] std::uint64_t lost() const { return expected > rows ? expected - rows : 0; }
};

// A node of a pool meets the others once a turn; one that was not heard for a lease is dead.
struct Pace {
    std::chrono::milliseconds turn{1'000};
    std::chrono::milliseconds lease{4'000};
};

// What a turn of a shared database has changed for this node.
struct Shares {
    Slots lost;    // another node's now: what is here of them is to be forgotten
    Slots due;     // another node waits for them: give_up() when what waits is written
    Slots gained;  // ours now: their rows are to be read
};

class Database {
public:
    // False ends the reading.
    using Visitor = std::function<bool(Change&&)>;

    virtual ~Database() = default;

    // Makes what is not there. Other calls need it to have been opened, but for rebuild().
    [[nodiscard]] virtual Fault open() = 0;
    // For a start on a disk that is full or read-only: the rows can be read, and nothing else.
    [[nodiscard]] virtual Fault open_to_read() { return Fault::kUnusable; }
    virtual void close() = 0;
    [[nodiscard]] virtual bool is_open() const = 0;

    // Each right row of these slots once (of a file: all). Goes round what can't be read.
    [[nodiscard]] virtual Fault scan(const Slots&, const Visitor&, Damage&) = 0;
    // All of them, in their order, or nothing.
    [[nodiscard]] virtual Fault write(std::span<const Batch* const>) = 0;
    // Could something be written now?
    [[nodiscard]] virtual Fault probe() = 0;
    // After Fault::kDamaged: makes a new file of what can be read; the old one is set aside as
    // `aside`. Opened afterwards, if there was no fault.
    [[nodiscard]] virtual Fault rebuild(WallTime, Damage&, std::string& aside) = 0;

    // Of the last fault, to go on from the name: "can't be opened: Permission denied".
    [[nodiscard]] virtual const std::string& why() const = 0;
    // A path, or an URL; for people.
    [[nodiscard]] virtual const std::string& name() const = 0;
    // What an administrator should do.
    [[nodiscard]] virtual const char* remedy(Fault) const = 0;
    [[nodiscard]] virtual std::uint64_t rows() const = 0;
    // Files that were set aside and are still there, oldest first.
    [[nodiscard]] virtual std::vector<std::string> set_aside() const { return {}; }

    // The rest is of one that the nodes of a pool share: README.md.
    [[nodiscard]] virtual bool is_shared() const { return false; }
    [[nodiscard]] virtual Pace pace() const { return {}; }
    // After open(), and then once a turn: tells the others that we are there, sees who else is.
    [[nodiscard]] virtual Fault meet(Shares&) { return Fault::kNone; }
    // The last write() has left out what is not ours any more: meet() says what.
    [[nodiscard]] virtual bool is_behind() const { return false; }
    [[nodiscard]] virtual Fault give_up(const Slots&) { return Fault::kNone; }
    // From now on meet() takes nothing, and all that is ours is due.
    virtual void resign() {}
    // At the end, in peace: gives up all, and the others do not reckon with us any more.
    virtual void retire() {}
    [[nodiscard]] virtual std::string describe_shares() const { return {}; }
};

}  // namespace fedgate::store
