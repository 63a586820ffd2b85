// PRECIS (RFC 8264, RFC 8265) for the parts of an address that are not ASCII. The only door to
// libunistring; it may allocate. Unicode is that of the library. Where RFC 5892 A.1 would look at
// joining types, a zero width non-joiner is allowed behind a virama only: some valid names are
// refused, no invalid one is accepted.
#pragma once

#include "core/base/bytes.hpp"

namespace fedgate::xml {

// UsernameCaseMapped: width mapping, lower case, NFC, IdentifierClass, contextual rules, Bidi rule.
// Appends; false: not allowed, over limits::kJidPartBytes, or no room.
bool enforce_username_case_mapped(Bytes text, Sink& sink);
// OpaqueString: spaces to SP, NFC, FreeformClass, contextual rules.
bool enforce_opaque_string(Bytes text, Sink& sink);

}  // namespace fedgate::xml
