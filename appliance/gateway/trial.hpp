// fedctl test im: a message of an administrator's, which goes the whole way that a user's goes, and
// what has become of it. Its answer, its receipt and its errors are told to him instead of the SIP
// user or the partner. What goes to XMPP is followed by a ping, whose answer says that their server
// has it, and that their way to us is good. Owner and thread: the engine that has the conversation
// of the two.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "appliance/gateway/key.hpp"
#include "core/base/bytes.hpp"
#include "core/base/time.hpp"

namespace fedgate::gateway {

constexpr std::size_t kTrials = 16;  // of one shard: the oldest gives way

struct TrialOrder {
    std::uint64_t id = 0;  // not 0, and none twice
    bool to_sip = false;   // else to XMPP
    std::string sip_jid;   // of the SIP user; both are bare JIDs
    std::string xmpp_jid;
    std::string text;
};

enum class TrialStart : std::uint8_t {
    kBegun,
    kNotMine,    // the pair is another shard's
    kAnothers,   // its conversation is another gateway's
    kNoAddress,  // one of the two is no JID
};

struct TrialRow {
    std::uint64_t id = 0;  // 0: none
    Instant begun{};
    Duration age{};             // as it was asked for
    bool taken = false;         // the SIP server has answered 2xx; or the partner's stream has it
    bool acknowledged = false;  // the partner's server says that it has it
    bool received = false;      // its user's client says so
    std::uint16_t status = 0;   // of the answer; 0: none yet
    Duration taken_after{};
    Duration acknowledged_after{};
    Duration received_after{};
    std::string fault;  // empty: none yet; a sentence without a full stop
    std::string name;   // by which its receipt is known, and the answer to the ping
    Key pair;           // of the two
};

// Those of one shard. A short walk, and only where a trial is meant.
class Trials {
public:
    TrialRow& begin(std::uint64_t id, const Key& pair, Instant now) {
        TrialRow& row = rows_[next_++ % kTrials];
        row = {};
        row.id = id;
        row.begun = now;
        row.pair = pair;
        return row;
    }
    [[nodiscard]] TrialRow* find(std::uint64_t id) {
        for (TrialRow& row : rows_) {
            if (row.id == id && id != 0) return &row;
        }
        return nullptr;
    }
    [[nodiscard]] TrialRow* named(Bytes name) {
        for (TrialRow& row : rows_) {
            if (row.id != 0 && !row.name.empty() && row.name == name) return &row;
        }
        return nullptr;
    }

private:
    std::array<TrialRow, kTrials> rows_;
    std::size_t next_ = 0;
};

}  // namespace fedgate::gateway
