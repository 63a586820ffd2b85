// Finds the text in the body of a SIP MESSAGE (IM-32, IM-39..IM-45, SIP-5): which part of a
// multipart, what is inside message/cpim. Typing and receipts stand alone, or in message/cpim.
// Pure; views point into the given bytes.
#pragma once

#include <cstdint>

#include "appliance/gateway/text.hpp"
#include "core/base/bytes.hpp"

namespace fedgate::gateway {

enum class BodyVerdict : std::uint8_t {
    kFound,
    kUnsupported,  // IM-45: 415
    kMalformed,    // 400
};

enum class BodyKind : std::uint8_t {
    kText,
    kHtml,     // IM-39
    kTyping,   // IM-43: isComposing
    kReceipt,  // IM-44: IMDN
};

// A part as it is in the body, before its encoding and charset.
struct BodyPart {
    enum class Transfer : std::uint8_t {
        kPlain,
        kBase64,
        kQuotedPrintable
    } transfer = Transfer::kPlain;
    Charset charset = Charset::kUtf8;
    Bytes data;
};

struct BodyText {
    BodyVerdict verdict = BodyVerdict::kUnsupported;
    BodyKind kind = BodyKind::kText;
    BodyPart part;
    BodyPart html;  // IM-40: the same text, or kHtml's own; data is null: there is none
    // IM-42
    Bytes cpim_subject;
    Bytes cpim_date;
    Bytes message_id;                 // RCPT-4: imdn.Message-ID
    Bytes wanted;                     // imdn.Disposition-Notification
    std::uint32_t parts_dropped = 0;  // IM-41
};

// Values of the header fields; an empty type means text/plain in UTF-8 (IM-32).
struct BodyFields {
    Bytes content_type;
    Bytes transfer_encoding;
    Bytes disposition;
};
[[nodiscard]] BodyText find_text(const BodyFields&, Bytes body);

// The value of a parameter, without quotes; empty when absent. RFC 2045 5.1.
[[nodiscard]] Bytes find_parameter(Bytes field, Bytes name);
// "type/subtype" of a Content-Type value.
[[nodiscard]] Bytes media_type(Bytes content_type);

// Writes the text of a found body as clean UTF-8 (IM-24, IM-32, IM-39). `scratch` needs the size of
// the body and is used where a body is encoded. False: broken encoding, or one of the two is full.
[[nodiscard]] bool write_body_text(const BodyText&, MutableBytes scratch, Sink&);
// IM-39: its html as content of an XHTML-IM body. False: there is none with markup, or no room.
[[nodiscard]] bool write_body_xhtml(const BodyText&, MutableBytes scratch, Sink&);

}  // namespace fedgate::gateway
