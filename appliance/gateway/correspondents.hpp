// What follows from the two addresses of a stanza and the rules alone: how SIP writes them, which
// domain and partner they belong to, what the policy says, which conversation it is. Worked out
// once for two correspondents and kept for their next stanzas. Thread: the shard's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "appliance/gateway/address.hpp"
#include "appliance/gateway/key.hpp"
#include "appliance/gateway/pair_memo.hpp"
#include "core/base/slab.hpp"
#include "core/rules/snapshot.hpp"

namespace fedgate::gateway {

struct Conversation;
struct Session;

struct Correspondence {
    AddressView from;
    AddressView to;
    const rules::SipDomain* domain = nullptr;  // of `to`
    const rules::Partner* partner = nullptr;   // of `from`; null: none
    rules::Decision decision;                  // features.md A6, A7
    Key pair;
    Key sender;
    Key resource;    // of `from`
    Bytes from_uri;  // ADDR-7, ADDR-10
    Bytes epid;      // ADDR-10: behind the tag of From; empty: none
    Bytes to_uri;    // ADDR-4, ADDR-28
    // Where the two's conversation and its session were last: found there without an index.
    mutable Handle<Conversation> conversation;
    mutable Handle<Session> session;
    bool good = false;  // two JIDs, of which the second is of a domain of ours, and the first not
    bool malformed = false;  // one is no JID: ERR-L7; nothing else is known then

    [[nodiscard]] rules::Decision decision_on(rules::Kind kind) const {  // features.md P8
        return rules::of_kind(decision, partner, kind);
    }
};

// Of an XMPP user and a SIP user.
[[nodiscard]] inline Key pair_key(const KeyMaker& keys, const AddressView& xmpp,
                                  const AddressView& sip) {
    return keys.make({xmpp.jid.local, xmpp.jid.domain, sip.jid.local, sip.jid.domain});
}

class Correspondents {
public:
    explicit Correspondents(const KeyMaker& keys);
    // From now on these are the rules; nothing is kept of what others said.
    void reload(const rules::Snapshot& rules);

    // Of the addresses as text, decoded. Valid until the next look-up. One that is new is kept if
    // `keep`: more stanzas of the two are likely.
    [[nodiscard]] const Correspondence& find(Bytes from, Bytes to, bool keep);
    // The same without looking at what is kept.
    void work_out(Bytes from, Bytes to, Correspondence&, Sink& memory) const;

private:
    const KeyMaker& keys_;
    const rules::Snapshot* rules_ = nullptr;
    PairMemo<Correspondence> memo_;
    Correspondence other_;  // the last that was not kept
    std::vector<char> other_memory_;
};

}  // namespace fedgate::gateway
