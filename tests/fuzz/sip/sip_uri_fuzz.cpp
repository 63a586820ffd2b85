// A URI that was taken is taken again as it is written, with the same parts.
#include <cstddef>
#include <cstdint>

#include "core/base/check.hpp"
#include "sip/uri.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const fedgate::Bytes text(reinterpret_cast<const char*>(bytes), size);
    const auto uri = fedgate::sip::parse_uri(text);
    if (!uri) return 0;
    FEDGATE_CHECK(uri->text.size() <= text.size());
    const auto again = fedgate::sip::parse_uri(uri->text);
    FEDGATE_CHECK(again.has_value());
    FEDGATE_CHECK(again->user == uri->user);
    FEDGATE_CHECK(again->at.host == uri->at.host);
    FEDGATE_CHECK(again->params == uri->params);
    fedgate::Bytes rest = uri->params;
    fedgate::Bytes name;
    fedgate::sip::Parameter parameter;
    while (take_parameter(rest, name, parameter)) FEDGATE_CHECK(name.size() <= text.size());
    return 0;
}
