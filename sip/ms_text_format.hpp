// The header field ms-text-format of the Lync dialect: the first text of a conversation, inside the
// INVITE that opens it (SESS-41): theirs, never ours. Pure.
//
//     ms-text-format: text/plain; charset=UTF-8;msgr=WAAtAE0...;ms-body=SGk=
#pragma once

#include "core/base/bytes.hpp"
#include "core/base/error.hpp"

namespace fedgate::sip {

struct MsTextFormat {
    Bytes type;     // "text/plain" or "text/html", in any case
    Bytes charset;  // of the body; empty: none is named
    Bytes body;     // decoded, in the given memory; in that charset
};

// Of one header field, the first text in its list that we read; how it looks (`msgr`) is dropped.
// kNotFound: no text at all (the format alone is told); kUnsupported: of other types, as an
// invitation to a file; kLimit: the memory has no room for it; kMalformed. After an error the
// memory is as it was.
[[nodiscard]] Result<MsTextFormat> parse_ms_text_format(Bytes value, Sink& memory);

}  // namespace fedgate::sip
