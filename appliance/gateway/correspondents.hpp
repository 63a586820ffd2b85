// What follows from the two addresses of a stanza and the rules alone: how SIP writes them, which
// domain and partner they belong to, what the policy says, which conversation it is. Worked out
// once for two correspondents and kept for their next stanzas, for kCorrespondents pairs at most: a
// new pair takes the place of one of two others. Thread: the shard's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "appliance/gateway/address.hpp"
#include "appliance/gateway/key.hpp"
#include "core/base/slab.hpp"
#include "core/rules/snapshot.hpp"

namespace fedgate::gateway {

constexpr std::size_t kCorrespondents = 8'192;     // of one shard; 6 MiB
constexpr std::size_t kCorrespondenceBytes = 384;  // of texts; who has longer ones is not kept

struct Correspondence {
    AddressView from;
    AddressView to;
    const rules::SipDomain* domain = nullptr;  // of `to`
    const rules::Partner* partner = nullptr;   // of `from`; null: none
    rules::Decision decision;                  // features.md A6, A7
    Key pair;
    Key sender;
    Key resource;       // of `from`
    Bytes from_uri;     // ADDR-7
    Bytes to_uri;       // ADDR-4, ADDR-28
    bool good = false;  // two JIDs, of which the second is of a domain of ours, and the first not
    bool malformed = false;  // one is no JID: ERR-L7; nothing else is known then
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
    struct Kept {
        Correspondence what;
        std::uint16_t from_size = 0;
        std::uint16_t to_size = 0;
        std::array<char, kCorrespondenceBytes> memory;  // the texts first

        Kept() {}  // not `= default`, so that the memory is not cleared
    };
    struct Set {
        std::array<std::uint64_t, 2> hashes{};  // 0: nothing
        std::array<Kept*, 2> kept{};
        std::uint8_t newest = 0;
    };
    static constexpr std::size_t kSets = kCorrespondents / 2;

    [[nodiscard]] const Correspondence* make(Bytes from, Bytes to, std::uint64_t hash, Set&);

    const KeyMaker& keys_;
    const rules::Snapshot* rules_ = nullptr;
    Slab<Kept> slab_;
    std::vector<Set> sets_;
    Correspondence other_;  // the last that was not kept
    std::vector<char> other_memory_;
};

}  // namespace fedgate::gateway
