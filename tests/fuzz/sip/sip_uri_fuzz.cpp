// A URI that is read is the same as itself, and its user part survives decoding and encoding.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "sip/uri.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace fedgate;
    if (size > 1'000) return 0;
    const std::string text(reinterpret_cast<const char*>(data), size);
    const auto uri = sip::parse_uri(text);
    if (!uri) return 0;
    if (uri->scheme == sip::Scheme::kTel) return 0;
    if (!sip::same_uri(*uri, *uri)) std::abort();
    std::array<char, 1'000> decoded;
    std::array<char, 3'200> encoded;
    Sink plain(decoded);
    Sink again(encoded);
    if (!sip::percent_decode(uri->user, plain)) std::abort();
    sip::percent_encode_user(plain.written(), again);
    const std::string other = "sip:" + std::string(again.written()) + "@h";
    if (!uri->has_user) return 0;
    const auto back = sip::parse_uri(other);
    if (!back) std::abort();
    std::array<char, 1'000> twice;
    Sink second(twice);
    if (!sip::percent_decode(back->user, second) || second.written() != plain.written())
        std::abort();
    return 0;
}
