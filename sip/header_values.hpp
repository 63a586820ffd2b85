// The same readers as in message.hpp and uri.hpp, filling their result in place: for the parser,
// which reads several of them for each message. Internal to sip/.
#pragma once

#include "core/base/bytes.hpp"
#include "sip/message.hpp"

namespace fedgate::sip {

struct Fault {
    const char* where = nullptr;  // null: none
    bool unsupported = false;     // well-formed, but with a URI scheme that is not ours
    explicit operator bool() const { return where != nullptr; }
    [[nodiscard]] Error error() const {
        return {unsupported ? Errc::kUnsupported : Errc::kMalformed, 0, where};
    }
};

// `out` must be fresh; after a fault it holds what was read before it.
[[nodiscard]] Fault read_uri(Bytes text, Uri& out);
[[nodiscard]] Fault read_via(Bytes value, Via& out);  // without white space around it
[[nodiscard]] Fault read_name_addr(Bytes value, NameAddr& out);
[[nodiscard]] Fault read_cseq(Bytes value, Cseq& out);

}  // namespace fedgate::sip
