// Whatever a peer shows as its certificate: it is told and judged, or it is malformed.
#include <cstddef>
#include <cstdint>

#include "net/certificate.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace fedgate;
    using namespace fedgate::net;
    const Bytes input(reinterpret_cast<const char*>(bytes), size);
    const Bytes chain[] = {input};
    const PeerIdentity peer =
        identify_peer({.chain = chain}, {}, WallTime{std::chrono::seconds(1'800'000'000)});
    FEDGATE_CHECK(!peer.chain_valid);
    return 0;
}
