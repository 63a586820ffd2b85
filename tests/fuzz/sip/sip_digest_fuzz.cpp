// Whatever a next hop asks us to prove: what we write is within what was announced, is made of
// whole lines, and can be read by the parser that reads theirs.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/base/check.hpp"
#include "sip/digest.hpp"
#include "sip/framer.hpp"

namespace {

using namespace fedgate;
using namespace fedgate::sip;

constexpr std::size_t kBodyMax = 4'096;
const std::string kUser = "fed\"ga\\te";
const std::string kUri = "sip:romeo@corp.example";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static Message response;
    const std::string text(reinterpret_cast<const char*>(data), size);
    Challenges challenges;
    Challenges::Realms answered = 0;
    // One response after the other, as a next hop may send them.
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\0', at), text.size());
        std::string bytes = text.substr(at, end - at);
        at = end + 1;
        if (read_datagram(bytes, kBodyMax, response).kind != FrameKind::kMessage) continue;
        answered |= challenges.take(response, answered);
        challenges.take_next_nonce(response);
        std::string memory(challenges.bytes_max(kUser, kUri), '\0');
        Sink lines{MutableBytes(memory)};
        challenges.write(lines, {kUser, "secret"}, {"MESSAGE", kUri, "c0ffee"});
        FEDGATE_CHECK(!lines.overflowed());
        FEDGATE_CHECK(challenges.empty() == lines.written().empty());
        std::string request =
            "MESSAGE sip:romeo@corp.example SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n"
            "From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\n" +
            std::string(lines.written()) + "\r\n";
        const std::size_t written = lines.written().empty() ? 0 : 1;
        FEDGATE_CHECK(read_datagram(request, kBodyMax, response).kind == FrameKind::kMessage);
        FEDGATE_CHECK(response.header_count >= 5 + written);
        FEDGATE_CHECK(response.header_count <= 5 + kDigestRealms);
    }
    return 0;
}
