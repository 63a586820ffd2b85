// XMPP addresses <-> SIP addresses: RFC 7247 section 6, XEP-0106; interworking rules
// ADDR-1..ADDR-50. Pure: views in, text into a Sink.
#pragma once

#include <cstdint>

#include "core/base/bytes.hpp"
#include "core/rules/snapshot.hpp"
#include "sip/message.hpp"
#include "xml/jid.hpp"

namespace fedgate::gateway {

// A SIP URI of a JID, every byte of it escaped.
constexpr std::size_t kUriBytes = 2 * xml::kJidBytes + 256;

// An enforced JID and what the other side and the rules want to know of it.
struct AddressView {
    xml::Jid jid;
    Bytes domain_ascii;  // ADDR-5
    Bytes user;          // the unescaped local part (ADDR-3): whom policies and SIP know
};

// Views into its own memory or into the text it was made from: neither copied nor kept.
struct Address : AddressView {
    std::array<char, 2 * xml::kJidBytes> memory_;

    Address() {}  // not `= default`: `{}` would then clear 6 KiB for each message
    Address(const Address&) = delete;
    Address& operator=(const Address&) = delete;
};

// ADDR-1..ADDR-3, ADDR-31. False: jid-malformed (ERR-L7).
[[nodiscard]] bool read_jid(Bytes text, Address&);
// The same with views into `memory`, or into `text`; no room for it counts as malformed.
[[nodiscard]] bool read_jid(Bytes text, AddressView&, Sink& memory);

// Of the text of a JID that was read once, and has been kept.
void view_jid(Bytes text, Address&);

// ADDR-4..ADDR-6: `sip:user@host`, a domain JID gives `sip:host`.
void write_aor(const AddressView&, Sink&);
// ADDR-28: the same, marked `;user=phone` if the user is a telephone number.
void write_phone_aor(const AddressView&, Sink&);
// ADDR-7: the AOR with `;gr=<resource>`.
void write_sender_uri(const AddressView&, Sink&);

enum class AddressFault : std::uint8_t {
    kNone,
    kScheme,            // ADDR-21: 416
    kSips,              // ADDR-21: 480 with Warning 380
    kNotRepresentable,  // ADDR-30: 400
    kNoUser,            // ADDR-29: 404; it is the address of a domain
    kHostIsAddress,     // ADDR-26: 404
};

// ADDR-21..ADDR-28: the JID of a SIP URI. `field_params` are the parameters of the header field
// around it (a `gr` out of place there is not one). Without an instance the JID is bare.
[[nodiscard]] AddressFault read_uri(const sip::Uri&, Address&);
// The same with views into `memory` and the URI.
[[nodiscard]] AddressFault read_uri(const sip::Uri&, AddressView&, Sink& memory);

}  // namespace fedgate::gateway
