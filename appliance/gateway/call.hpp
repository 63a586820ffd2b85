// One stanza or one request on its way through the gateway, with what was read of it. Views are
// valid for the call.
#pragma once

#include <array>

#include "appliance/gateway/address.hpp"
#include "appliance/gateway/correspondents.hpp"
#include "appliance/gateway/errors.hpp"
#include "appliance/gateway/key.hpp"
#include "appliance/link/link.hpp"
#include "core/base/slab.hpp"
#include "core/rules/snapshot.hpp"
#include "xml/stanza.hpp"

namespace fedgate::gateway {

struct ServerTransaction;
struct Session;

// Who waits for the answer to a request: the transaction of a shard, or another gateway, by way of
// a shard, whose `transaction` is then the handle of its Asker.
struct Origin {
    std::uint32_t shard = 0;
    Handle<ServerTransaction> transaction;
    bool other_gateway = false;
    Handle<Session> session{};  // of an INVITE: whose text, in it, is waited for
    std::uint32_t message = 0;  // of that session, which is of MSRP: the text's number there
    std::uint64_t trial = 0;    // of a message that an administrator tries: nobody else waits
};

// X2S.
struct StanzaCall {
    const link::FromPartner& from_partner;
    const xml::Stanza& stanza;
    const Correspondence* who = nullptr;
    AddressView from{};
    AddressView to{};
    Bytes from_text{};  // decoded, as they came
    Bytes to_text{};
    Bytes id{};                                // null: none
    bool malformed = false;                    // one of the addresses: ERR-L7
    const rules::SipDomain* domain = nullptr;  // of `to`
    const rules::Partner* partner = nullptr;   // null: the rules know it no longer
    std::uint64_t trial = 0;                   // its answer is for an administrator
};

// What follows of a request from its sender's URI, its Request-URI and the rules alone, where
// nothing of it is at fault.
struct Parties {
    AddressView from;                          // the SIP user
    AddressView to;                            // the XMPP user
    Key pair;                                  // of both
    const rules::SipDomain* domain = nullptr;  // of `from`
    const rules::Partner* partner = nullptr;   // of `to`; null: none
    rules::Decision decision;                  // features.md A6, A7
    Bytes from_text;                           // their JIDs
    Bytes to_text;

    [[nodiscard]] rules::Decision decision_on(rules::Kind kind) const {  // features.md P8
        return rules::of_kind(decision, partner, kind);
    }
};

// S2X.
struct RequestCall : Parties {
    std::array<char, 6 * xml::kJidBytes> memory;  // of two addresses and their texts
    Session* session = nullptr;                   // that it came in
    Bytes asks_as{};           // a receipt is wanted (RCPT-4): the name of it, not SIP's
    SipAnswer refusal{0, {}};  // status 0: none
    std::array<char, 256> header_memory;
    std::size_t header_bytes = 0;
    [[nodiscard]] Bytes headers() const { return {header_memory.data(), header_bytes}; }
};

}  // namespace fedgate::gateway
