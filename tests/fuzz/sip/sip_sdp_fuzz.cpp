// A session description that is read lies within its bytes; what we answer to it is one again, with
// as many media lines, and the same twice.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/base/check.hpp"
#include "sip/sdp.hpp"

namespace {

using namespace fedgate;

std::array<char, 2 * limits::kSdpBytes> memory;

void check_within(Bytes whole, Bytes part) {
    if (part.data() == nullptr) return;
    FEDGATE_CHECK(part.data() >= whole.data());
    FEDGATE_CHECK(part.data() + part.size() <= whole.data() + whole.size());
}

void answer(const sip::Sdp& offer, sip::SessionKind kind) {
    const auto index = sip::pick_message(offer, kind);
    if (!index) return;
    const sip::SdpMedia& media = offer.media()[*index];
    FEDGATE_CHECK(media.port != 0);
    const bool tls = sip::over_tls(media);
    const sip::OwnSdp own{.kind = kind,
                          .host = "192.0.2.1",
                          .port = 1,
                          .path = tls ? "msrps://h:1/s;tcp" : "msrp://h:1/s;tcp",
                          .setup = sip::answer_to(media.setup)};
    sip::SdpVersion version;
    Sink sink(memory);
    sip::write_answer(sink, own, offer, *index, version);
    FEDGATE_CHECK(!sink.overflowed());
    const std::string first(sink.written());
    sip::Sdp ours;
    FEDGATE_CHECK(sip::parse_sdp(first, ours).has_value());
    FEDGATE_CHECK(ours.media_count == offer.media_count);
    const auto taken = sip::pick_message(ours, kind);
    FEDGATE_CHECK(taken && *taken == *index);
    sink.truncate(0);
    sip::write_answer(sink, own, offer, *index, version);
    FEDGATE_CHECK(sink.written() == first);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const Bytes text(reinterpret_cast<const char*>(data), size);
    sip::Sdp sdp;
    if (!sip::parse_sdp(text, sdp)) return 0;
    FEDGATE_CHECK(size <= limits::kSdpBytes);
    for (const Bytes part : {sdp.lines, sdp.origin, sdp.id, sdp.version, sdp.connection}) {
        check_within(text, part);
    }
    for (const sip::SdpMedia& media : sdp.media()) {
        for (const Bytes part : {media.line, media.lines, media.media, media.proto, media.formats,
                                 media.connection, media.accept_types, media.path}) {
            check_within(text, part);
        }
        check_within(text, sip::find_attribute(media.lines, "path").value);
    }
    answer(sdp, sip::SessionKind::kLync);
    answer(sdp, sip::SessionKind::kMsrp);
    return 0;
}
