// Presence documents: RFC 3863 (PIDF), RFC 4479, RFC 4480 (RPID); RFC 8048, the SIP half;
// interworking rules PRES-1..PRES-17. Pure: bytes in, bytes out.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "appliance/gateway/presence.hpp"
#include "core/base/bytes.hpp"
#include "core/base/limits.hpp"
#include "sip/message.hpp"
#include "xml/document.hpp"

namespace fedgate::gateway {

// R10: what we ask for and send, and nothing else: RFC 3856 6.7 wants it of every notifier and
// subscriber, Lync and Kamailio have it, and a server that would fall back to XPIDF can't say more
// in that (which has a DTD, too: PRES-17).
inline constexpr Bytes kPidfType = "application/pidf+xml";
// PRES-17: the Content-Type of a NOTIFY with a body names what read_pidf() takes. Else 415.
[[nodiscard]] bool is_pidf_type(Bytes content_type);
// PRES-73: whoever subscribes takes it. Else 406.
[[nodiscard]] bool accepts_pidf(const sip::Message& subscribe);

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

// Views into `memory`; twice the size of the body is room enough. `tree`: what it is read with.
[[nodiscard]] PidfVerdict read_pidf(Bytes body, xml::Document& tree, Document&, Sink& memory);

// ---- XMPP -> SIP

// Room for every document of what a Presences keeps.
inline constexpr std::size_t kPidfBytesMax = 256 << 10;

enum class PidfForm : std::uint8_t {
    kStandard,  // a tuple for each resource, and the person's activity (RFC 3863, RFC 4480)
    kLync,      // one tuple, with its activity in its status: lync.hpp
};

// Writes one document: add() for each resource, newest first (PRES-13), then finish(). When all are
// gone: add() the last one, unavailable. `aor` is the entity's, as write_aor() gives it; it must
// outlive the writer, and so must what the Presences view. R7: without `notes_allowed` no note.
class PidfWriter {
public:
    PidfWriter(Bytes aor, bool notes_allowed, Sink&, PidfForm = PidfForm::kStandard);
    void add(const Presence&);
    // PRES-8: what Content-Language says; empty: nothing. A view into a note.
    Bytes finish();

private:
    void write_tuple(const Presence&);
    void write_lync_tuple();
    void write_person();
    void write_notes(const Presence&);
    void judge(const Presence&);

    Bytes aor_;
    bool notes_allowed_;
    PidfForm form_;
    bool any_note_ = false;
    Presence person_;  // of the person; kLync: with its notes
    int rank_ = -2;    // nobody's
    Bytes language_;
    Sink& sink_;
};
// The same for a list; what it gives back is finish()'s.
Bytes write_pidf(Bytes aor, std::span<const Presence>, bool notes_allowed, Sink&,
                 PidfForm = PidfForm::kStandard);

}  // namespace fedgate::gateway
