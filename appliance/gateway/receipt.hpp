// Receipts: XEP-0184, XEP-0333 <-> IMDN in CPIM (RFC 5438, RFC 3862); interworking rules RCPT-1..8.
// Pure.
#pragma once

#include <cstdint>
#include <optional>

#include "appliance/gateway/key.hpp"
#include "core/base/bytes.hpp"
#include "core/base/time.hpp"
#include "xml/framer.hpp"

namespace fedgate::gateway {

constexpr Bytes kReceipts = "urn:xmpp:receipts";
constexpr Bytes kMarkers = "urn:xmpp:chat-markers:0";
constexpr Bytes kReceiptType = "message/imdn+xml";

constexpr std::chrono::seconds kFailureKnown = std::chrono::seconds(60);  // RCPT-8
// What is to be acknowledged has names of this length at most; with longer ones no receipt is
// asked for.
constexpr std::size_t kReceiptNameBytes = 256;
constexpr std::size_t kReceiptIdBytes = 1'024;  // of an id that ReceiptIds writes

// What became of a message.
enum class Disposition : std::uint8_t { kOther, kDelivered, kDisplayed, kFailed };

struct Imdn {
    Bytes message_id;
    Disposition disposition = Disposition::kOther;
};
// Empty: it is not such a document. The Message-ID is in `memory`.
[[nodiscard]] std::optional<Imdn> parse_imdn(Bytes document, xml::Framer&, Sink& memory);

// What of imdn.Disposition-Notification was asked for.
struct Wanted {
    bool positive = false;
    bool negative = false;
    bool display = false;
};
[[nodiscard]] Wanted parse_wanted(Bytes list);

// An id of ours that carries what its receipt needs, so that nothing is kept: the imdn.Message-ID
// of a message to SIP, or the id of one to XMPP. Signed, and good for its pair only.
enum class ReceiptFor : std::uint8_t { kStanza = 1, kRequest = 2 };
struct ReceiptNote {
    ReceiptFor kind = ReceiptFor::kStanza;
    bool chat = false;  // of a stanza: its type (RCPT-7)
    Wanted wanted;      // of a request
    WallTime sent_at;
    Bytes name;      // stanza id, or imdn.Message-ID
    Bytes resource;  // of the stanza's sender
};

class ReceiptIds {
public:
    explicit ReceiptIds(sip::KeySecret secret) : secret_(secret) {}
    // A token of RFC 3862, not longer than kReceiptIdBytes. False: the name does not fit.
    [[nodiscard]] bool write(const Key& pair, const ReceiptNote&, Sink&) const;
    // Empty: it is none of ours, or not of this pair and kind. Views into `memory`.
    [[nodiscard]] std::optional<ReceiptNote> read(const Key& pair, ReceiptFor, Bytes id,
                                                  Sink& memory) const;

private:
    sip::KeySecret secret_;
};

// message/cpim around a content of one part, Content-Type and Content-Length of the SIP request
// included: the whole end of a request.
struct Cpim {
    Bytes from_uri;
    Bytes to_uri;
    WallTime written_at;
    Bytes message_id;
    bool asks = false;  // RCPT-1
    Bytes content_type;
    bool notification = false;  // Content-Disposition
};
void write_cpim(const Cpim&, Bytes content, Sink&);

// RCPT-2: what stands in it. `message_id` and `written_at` are those of the message it is about.
void write_imdn(Bytes message_id, WallTime written_at, Disposition, Sink&);

// RCPT-3, RCPT-7: <received/> for a stanza.
struct ReceivedHead {
    Bytes from;
    Bytes to;
    Bytes id;
    bool chat = false;
};
void write_received(const ReceivedHead&, Bytes stanza_id, Sink&);

}  // namespace fedgate::gateway
