// An address that is read stays what it is when it is written again with its display name unquoted
// and quoted anew, and no display name, however odd, becomes a second address or a header field.
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/base/check.hpp"
#include "sip/message.hpp"
#include "sip/writer.hpp"

namespace {

using namespace fedgate;
using namespace fedgate::sip;

std::string unquoted(Bytes display) {
    std::string memory(display.size() + 1, '\0');
    Sink out{MutableBytes(memory)};
    unquote(display, out);
    return std::string(out.written());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 4'000) return 0;
    const std::string text(reinterpret_cast<const char*>(data), size);
    if (text.find_first_of(std::string("\r\n\0", 3)) != std::string::npos) return 0;  // one line
    const auto address = parse_name_addr(text);
    if (address) {
        const std::string display = unquoted(address->display);
        std::string memory(3 * size + 64, '\0');
        Sink out{MutableBytes(memory)};
        write_party(out, {display, address->uri.text, address->tag});
        FEDGATE_CHECK(!out.overflowed());
        FEDGATE_CHECK(out.written().find_first_of("\r\n") == Bytes::npos);
        const auto back = parse_name_addr(out.written());
        FEDGATE_CHECK(back.has_value());
        FEDGATE_CHECK(back->uri.text == address->uri.text && back->tag == address->tag);
        FEDGATE_CHECK(same_aor(back->uri, address->uri) || !same_aor(address->uri, address->uri));
    }
    // Any text as a display name: one address, and ours.
    std::string memory(3 * size + 64, '\0');
    Sink out{MutableBytes(memory)};
    write_party(out, {text, "sip:romeo@corp.example", "t"});
    FEDGATE_CHECK(!out.overflowed());
    Bytes list = out.written();
    Bytes item;
    FEDGATE_CHECK(take_item(list, item) && !take_item(list, item));
    const auto ours = parse_name_addr(item);
    FEDGATE_CHECK(ours.has_value() && ours->uri.text == "sip:romeo@corp.example");
    FEDGATE_CHECK(ours->tag == "t");
    return 0;
}
