// Session descriptions, as far as sessions of messages need them: RFC 8866, and the offer and the
// answer of RFC 3264, for `m=message` of the Lync dialect (SESS-40) and of MSRP (RFC 4975 8).
// Pure. Views are valid as long as the given bytes stay where they are. No allocation.
// An Sdp is about 3 KiB.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "core/base/bytes.hpp"
#include "core/base/error.hpp"
#include "core/base/limits.hpp"

namespace fedgate::sip {

enum class SessionKind : std::uint8_t { kLync, kMsrp };

// RFC 4145 4: who opens the connection. kNone: nothing is said, or a word that nobody knows.
enum class Setup : std::uint8_t { kNone, kActive, kPassive, kActpass, kHoldconn };

struct SdpMedia {
    Bytes line;        // the value of its m= line, as written
    Bytes lines;       // the lines behind it, up to the next one: for find_attribute()
    Bytes media;       // "message"
    Bytes proto;       // "TCP/MSRP"
    Bytes formats;     // "*", "null", "sip:juliet@corp.example"
    Bytes connection;  // the host of its c= line; without one, the session's; empty: none
    // Values of a= lines; empty: none. Of two with the same name the first one counts.
    Bytes accept_types;
    Bytes accept_wrapped_types;
    Bytes path;                  // RFC 4975 8.2: MSRP URIs, blanks between them
    std::uint64_t max_size = 0;  // RFC 4975 8.6; 0: not said
    std::uint16_t port = 0;      // 0: refused, or not wanted
    Setup setup = Setup::kNone;
    bool new_connection = false;  // a=connection:new
};

struct Sdp {
    Bytes lines;       // of the session: for find_attribute()
    Bytes origin;      // the value of o=, as written
    Bytes id;          // of o=: the session's number
    Bytes version;     // the same version: the same description (RFC 3264 8)
    Bytes connection;  // the host of c=; empty: none
    std::array<SdpMedia, limits::kSdpMedia> media_;
    std::size_t media_count = 0;
    [[nodiscard]] std::span<const SdpMedia> media() const { return {media_.data(), media_count}; }
};

// Lines end with CRLF or LF. Types that nobody knows are skipped where they stand; what stands in
// the wrong place (RFC 8866 5), or lacks what it needs, is refused. kLimit: more than we read.
[[nodiscard]] Result<void> parse_sdp(Bytes body, Sdp& out);

struct SdpAttribute {
    bool found = false;
    Bytes value;  // empty: none, as in `a=sendrecv`
    explicit operator bool() const { return found; }
};
// The first one of that name, in Sdp::lines or SdpMedia::lines.
[[nodiscard]] SdpAttribute find_attribute(Bytes lines, Bytes name);

// The first media line that we can talk over (SESS-11, SESS-40, RFC 4975 8). Without one the error
// says what the best of them lacks: kNotFound where none is of messages at all, else kUnsupported.
// Either way the offer is refused with 488. `tls`: of MSRP only that, or only the other.
[[nodiscard]] Result<std::size_t> pick_message(const Sdp&, SessionKind,
                                               std::optional<bool> tls = {});

// The list of media types has text/plain in it, or a wildcard for it.
[[nodiscard]] bool accepts_type(Bytes accept_types, Bytes type);
// MSRP over TLS: by its proto.
[[nodiscard]] bool over_tls(const SdpMedia&);

// What a description of ours says.
struct OwnSdp {
    SessionKind kind = SessionKind::kLync;
    std::uint64_t id = 0;  // of o=; the same for the whole dialog
    Bytes host{};          // ours: numeric (IPv6 without brackets), or a name
    std::uint16_t port = 0;
    Bytes accept_types{};  // empty: those of SESS-40 or SESS-20
    // kMsrp only:
    Bytes path{};
    std::uint64_t max_size = 0;  // 0: not said
    Setup setup = Setup::kNone;
    bool tls = false;  // of an offer; an answer says what the offer said
};

// What the other side has last been told (RFC 3264 8): its number grows when, and only when, the
// description is another one. One for each dialog.
struct SdpVersion {
    std::uint64_t number = 0;
    std::uint64_t mark = 0;  // of what was told; 0: nothing
};
void write_offer(Sink&, const OwnSdp&, SdpVersion&);
// As many media lines as in the offer, in its order; port 0 for all but the taken one (RFC 3264 6).
void write_answer(Sink&, const OwnSdp&, const Sdp& offer, std::size_t taken, SdpVersion&);

// RFC 4145 4.1: our answer to it. Who may choose leaves it to the other side (SESS-21).
[[nodiscard]] Setup answer_to(Setup offered);

}  // namespace fedgate::sip
