// A first text that is read has a type of text and stays in its memory; after an error that is as
// it was; what is written is read again.
#include <array>
#include <cstddef>
#include <cstdint>

#include "core/base/check.hpp"
#include "core/base/hash.hpp"
#include "sip/ms_text_format.hpp"
#include "sip/uri.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace fedgate;
    static std::array<char, 1'024> memory;
    static std::array<char, 32'768> line;
    if (size > 4'096) return 0;
    const Bytes value(reinterpret_cast<const char*>(data), size);
    Sink sink(memory);
    sink.append("..");
    const auto text = sip::parse_ms_text_format(value, sink);
    if (!text) {
        FEDGATE_CHECK(sink.written() == ".." && !sink.overflowed());
    } else {
        FEDGATE_CHECK(sip::equal_ignoring_case(text->type.substr(0, 4), "text"));
        FEDGATE_CHECK(text->body == sink.written().substr(2));
    }
    if (size > memory.size()) return 0;
    Sink written(line);
    written.append("text/plain;ms-body=");
    write_base64(written, value);
    sink.truncate(0);
    const auto back = sip::parse_ms_text_format(written.written(), sink);
    FEDGATE_CHECK(back && back->body == value);
    return 0;
}
