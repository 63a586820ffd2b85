// Whatever comes instead of a frame: it is refused, or it is written again as it was read.
#include <cstddef>
#include <cstdint>

#include "appliance/link/frame.hpp"
#include "core/base/check.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace fedgate;
    using namespace fedgate::link;
    Bytes input(reinterpret_cast<const char*>(bytes), size);
    while (true) {
        const FrameRead newer = read_frame(input, kLinkMinor + 1);
        const FrameRead read = read_frame(input, kLinkMinor);
        if (read.status != FrameRead::Status::kWhole) {
            FEDGATE_CHECK((read.status == FrameRead::Status::kPartial) ==
                          (newer.status == FrameRead::Status::kPartial));
            return 0;
        }
        FEDGATE_CHECK(newer.status == FrameRead::Status::kWhole && newer.size == read.size);
        FEDGATE_CHECK(read.size <= input.size());
        std::string again;
        std::visit(
            [&again](const auto& frame) {
                if constexpr (!std::is_same_v<std::decay_t<decltype(frame)>, Unknown>) {
                    write_frame(again, frame);
                }
            },
            read.frame);
        const auto* hello = std::get_if<Hello>(&read.frame);
        const bool ours =
            hello == nullptr || (hello->major == kLinkMajor && hello->minor <= kLinkMinor);
        FEDGATE_CHECK(!ours || again == input.substr(0, read.size));
        input.remove_prefix(read.size);
    }
}
