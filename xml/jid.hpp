// XMPP addresses (RFC 7622; interworking.md section 1): split, enforce, compare, XEP-0106 escaping.
// ASCII is handled here, without a library. Beyond ASCII: libunistring for PRECIS
// (UsernameCaseMapped, OpaqueString) and libidn2 for IDNA2008; those may allocate, and only such
// addresses pay for it.
#pragma once

#include <array>
#include <cstddef>
#include <optional>

#include "core/base/bytes.hpp"
#include "core/base/limits.hpp"

namespace fedgate::xml {

// Views; a null or empty part is absent, the domain never is.
struct Jid {
    Bytes local;
    Bytes domain;
    Bytes resource;

    friend bool operator==(const Jid&, const Jid&) = default;  // ADDR-32: after enforcement
    [[nodiscard]] Jid bare() const { return {local, domain, {}}; }
};

// Room for every enforced JID.
inline constexpr std::size_t kJidBytes = 3 * limits::kJidPartBytes + 2;
using JidBuffer = std::array<char, kJidBytes>;

// ADDR-1, nothing enforced. No value: an empty part or one over its limit.
std::optional<Jid> split_jid(Bytes text);
// ADDR-1 and ADDR-2: views of the enforced JID; into `sink`, or into `text` where enforcing changes
// nothing. No value: jid-malformed (or no room, which kJidBytes excludes).
std::optional<Jid> parse_jid(Bytes text, Sink& sink);
void write_jid(Sink& sink, const Jid& jid);

// ADDR-2 for one part: appends the enforced part; false: not allowed (or no room).
bool enforce_local(Bytes local, Sink& sink);
bool enforce_domain(Bytes domain, Sink& sink);  // U-labels, lower case
bool enforce_resource(Bytes resource, Sink& sink);

// ADDR-5: A-labels, for SIP, DNS and certificates. Takes U- or A-labels, any case.
bool domain_to_ascii(Bytes domain, Sink& sink);
// U-labels: the same as enforce_domain.
bool domain_to_unicode(Bytes domain, Sink& sink);
// RFC 7622 3.2: a domain that we keep as A-labels, as peers want to read it. Not copied when it is
// the same.
using DomainBuffer = std::array<char, limits::kJidPartBytes>;
Bytes wire_domain(Bytes domain, DomainBuffer& memory);

// ADDR-3.
void unescape_local(Bytes local, Sink& sink);
// ADDR-24, ADDR-25. False: a space at the start or end, or no room.
bool escape_local(Bytes text, Sink& sink);
// ADDR-31: escape(unescape(local)) = local.
bool is_canonical_local(Bytes local);

}  // namespace fedgate::xml
