// XEP-0288, S2S-15: a stream that a partner opened carries our stanzas to it too. The stream is on
// the shard that accepted it; our stanzas come from the out-stream of their pair, whose shard is
// another as a rule. They talk by mailbox, also where it is one shard. Owner: the Edge. Thread: the
// shard's.
//
//     carrier's shard                    pair's shard
//       in-stream    -- up ------------->  out-stream     the stream can carry this pair
//                    <------------ carry --               stanzas; at most kCarrierWindowBytes
//                    -- left ----------->                 that many bytes went to the network
//                    -- gone ----------->                 what was not acknowledged is in doubt
//                    <------------- fail --               it does not answer: end it
#pragma once

#include <deque>
#include <string>

#include "appliance/link/link.hpp"
#include "core/run/shard.hpp"
#include "xml/stream.hpp"

namespace fedgate::edge {

// Bytes of a pair's stanzas that are on their way to the network. At the bound: the rest waits.
constexpr std::size_t kCarrierWindowBytes = 1 << 20;

struct Carrier {
    std::uint32_t shard = 0;
    std::uint64_t stream = 0;  // Handle<InStream>, packed
    bool operator==(const Carrier&) const = default;
};

class CarriersOwner {
public:
    // The pair's shard.
    virtual void on_carrier_up(Bytes our, Bytes their, const Carrier&, xml::Proof,
                               const xml::StreamLimits&) = 0;
    virtual void on_carrier_left(Bytes our, Bytes their, const Carrier&,
                                 std::uint64_t position) = 0;
    virtual void on_carrier_gone(Bytes our, Bytes their, const Carrier&) = 0;
    // The carrier's shard. `position`: of the stanza's end, in all the bytes of its pair. False: it
    // is gone.
    [[nodiscard]] virtual bool on_carry(std::uint64_t stream, Bytes our, Bytes their, Bytes stanza,
                                        std::uint64_t position) = 0;
    virtual void on_carrier_fail(std::uint64_t stream) = 0;

protected:
    ~CarriersOwner() = default;
};

class Carriers final : RecordHandler, TimerOwner {
public:
    Carriers(Shard&, CarriersOwner&);

    // Of the carrier's shard; `pair_shard` is where the pair's out-stream is.
    void up(std::uint32_t pair_shard, Bytes our, Bytes their, std::uint64_t stream, xml::Proof,
            const xml::StreamLimits&);
    // False: no room in the mailbox, say it again later.
    [[nodiscard]] bool left(std::uint32_t pair_shard, Bytes our, Bytes their, std::uint64_t stream,
                            std::uint64_t position);
    void gone(std::uint32_t pair_shard, Bytes our, Bytes their, std::uint64_t stream);
    // Of the pair's shard. False: no room in the mailbox.
    [[nodiscard]] bool carry(const Carrier&, Bytes our, Bytes their, Bytes stanza,
                             std::uint64_t position);
    void fail(const Carrier&);

private:
    enum class Say : std::uint8_t { kUp, kLeft, kGone, kCarry, kFail };
    struct Record {  // then the two domains and the stanza
        std::uint64_t stream = 0;
        std::uint64_t position = 0;
        xml::StreamLimits limits{};
        std::uint32_t our_size = 0;
        std::uint32_t their_size = 0;
        Say say = Say::kUp;
        xml::Proof proof = xml::Proof::kDialbackClear;
    };
    struct Unsent {
        std::uint32_t to;
        Record record;
        std::string our;
        std::string their;
    };

    [[nodiscard]] bool try_say(std::uint32_t to, Record, Bytes our, Bytes their, Bytes stanza = {});
    // What must not be lost waits for room.
    void say(std::uint32_t to, const Record&, Bytes our, Bytes their);
    bool on_record(std::uint32_t kind, std::uint32_t from_shard, Bytes record) override;
    void on_timer(Timer&) override;

    Shard& shard_;
    CarriersOwner& owner_;
    // Bounded by the connections and the pairs that each may have: one up and one gone for each.
    std::deque<Unsent> unsent_;
    Timer again_;
};

}  // namespace fedgate::edge
