// Finds the text in the body of a SIP MESSAGE (IM-32, IM-39..IM-45, SIP-5): which part of a
// multipart, what is inside message/cpim. Pure; views point into the given bytes.
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

struct BodyText {
    BodyVerdict verdict = BodyVerdict::kUnsupported;
    bool html = false;
    Charset charset = Charset::kUtf8;
    enum class Transfer : std::uint8_t {
        kPlain,
        kBase64,
        kQuotedPrintable
    } transfer = Transfer::kPlain;
    Bytes data;          // as in the body, before Transfer and Charset
    Bytes cpim_subject;  // IM-42
    Bytes cpim_date;
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

}  // namespace fedgate::gateway
