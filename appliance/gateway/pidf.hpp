// Presence documents: RFC 3863 (PIDF), RFC 4479, RFC 4480 (RPID); RFC 8048, the SIP half;
// interworking rules PRES-1..PRES-17. Pure: bytes in, bytes out.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "appliance/gateway/presence.hpp"
#include "core/base/bytes.hpp"
#include "core/base/limits.hpp"

namespace fedgate::gateway {

// R10: what we ask for and send. Only this: RFC 3856 6.7 wants every presence server to have it.
constexpr Bytes kPidfType = "application/pidf+xml";
// PRES-17: the Content-Type of a NOTIFY names a document that read_pidf() takes. Else 415.
[[nodiscard]] bool is_pidf_type(Bytes content_type);
// PRES-73: an Accept value of a SUBSCRIBE; absent is true.
[[nodiscard]] bool accepts_pidf(std::optional<Bytes> accept);

// ---- SIP -> XMPP

enum class PidfVerdict : std::uint8_t {
    kRead,
    // PRES-17: the NOTIFY is answered with 200, and the old state stays.
    kNotWellFormed,  // a DTD, a processing instruction and another encoding than UTF-8 too
    kNotPidf,
    kTooLarge,  // limits::kPidfBytes, limits::kXmlDepth and the like
};
[[nodiscard]] Bytes pidf_verdict_text(PidfVerdict);  // for the log

// The tuples of a document, one for each resource (an open one before a closed one).
struct Document {
    [[nodiscard]] std::span<const Presence> tuples() const { return {tuple_memory.data(), count}; }
    std::array<Presence, limits::kResources> tuple_memory;
    std::size_t count = 0;
};

// Views into `body` or `memory`, which needs the size of the body at most.
[[nodiscard]] PidfVerdict read_pidf(Bytes body, Document&, Sink& memory);

// ---- XMPP -> SIP

// Writes one document: add() for each resource, newest first (PRES-13), then finish(). When all are
// gone: add() the last one, unavailable. `aor` is the entity's, as write_aor() gives it; it must
// outlive the writer. R7: without `notes_allowed` no note.
class PidfWriter {
public:
    PidfWriter(Bytes aor, bool notes_allowed, Sink&);
    void add(const Presence&);
    void finish();

private:
    Bytes aor_;
    bool notes_allowed_;
    Sink& sink_;
    bool any_ = false;
    // PRES-10, R6: of the resource with the highest priority so far; of equal ones the most
    // available.
    Show show_ = Show::kNone;
    int rank_ = -1;
};
void write_pidf(Bytes aor, std::span<const Presence>, bool notes_allowed, Sink&);

}  // namespace fedgate::gateway
