// An enforced JID is a fixed point: enforcing what was enforced changes nothing (ADDR-2, ADDR-31).
#include <cstddef>
#include <cstdint>

#include "core/base/check.hpp"
#include "xml/jid.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const fedgate::Bytes text(reinterpret_cast<const char*>(bytes), size);
    fedgate::xml::JidBuffer first_memory;
    fedgate::Sink first(first_memory);
    const auto jid = fedgate::xml::parse_jid(text, first);
    if (!jid) return 0;

    fedgate::xml::JidBuffer text_memory;
    fedgate::Sink written(text_memory);
    write_jid(written, *jid);
    FEDGATE_CHECK(!written.overflowed());
    fedgate::xml::JidBuffer second_memory;
    fedgate::Sink second(second_memory);
    const auto again = fedgate::xml::parse_jid(written.written(), second);
    FEDGATE_CHECK(again.has_value());
    FEDGATE_CHECK(*again == *jid);
    return 0;
}
