#include "sip/ms_text_format.hpp"

#include <algorithm>

#include "core/base/hash.hpp"
#include "sip/chars.hpp"
#include "sip/message.hpp"
#include "sip/uri.hpp"

namespace fedgate::sip {
namespace {

constexpr Bytes kTypes[] = {"text/plain", "text/html"};

Bytes without_quotes(Bytes value) {
    return value.size() >= 2 && value.front() == '"' ? value.substr(1, value.size() - 2) : value;
}

// "text/plain" of a value that has been read as a media type.
Bytes name_of(const ContentType& type) {
    return {type.type.data(),
            static_cast<std::size_t>(type.subtype.data() + type.subtype.size() - type.type.data())};
}

// RFC 4648 4; without padding, too, as this dialect has it elsewhere (msgr).
Result<Bytes> decode(Bytes text, Sink& memory) {
    constexpr std::size_t kGroup = 4;
    const std::size_t begin = memory.size();
    const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
    if (padding != 0 && text.size() % kGroup != 0) return failure(Errc::kMalformed, "ms-body");
    text.remove_suffix(padding);
    if (text.find('=') != Bytes::npos) return failure(Errc::kMalformed, "ms-body");
    while (!text.empty()) {
        char group[kGroup] = {'=', '=', '=', '='};
        char bytes[3];
        const std::size_t size = std::min(text.size(), kGroup);
        std::copy_n(text.data(), size, group);
        const auto decoded = decode_base64({group, kGroup}, bytes);
        if (!decoded) {
            memory.truncate(begin);
            return failure(Errc::kMalformed, "ms-body");
        }
        memory.append(Bytes(bytes, *decoded));
        text.remove_prefix(size);
    }
    if (!memory.overflowed()) return memory.written().substr(begin);
    memory.truncate(begin);
    return failure(Errc::kLimit, "ms-body");
}

}  // namespace

Result<MsTextFormat> parse_ms_text_format(Bytes value, Sink& memory) {
    Error why{Errc::kNotFound, 0, "ms-text-format without ms-body"};
    Bytes item;
    while (take_item(value, item)) {
        FEDGATE_TRY(type, parse_content_type(item));
        const Parameter body = find_parameter(type.params, "ms-body");
        if (!body) continue;
        const Bytes name = name_of(type);
        const bool is_text = std::ranges::any_of(
            kTypes, [name](Bytes known) { return equal_ignoring_case(known, name); });
        if (!is_text) {
            why = {Errc::kUnsupported, 0, "ms-text-format type"};
            continue;
        }
        FEDGATE_TRY(decoded, decode(without_quotes(body.value), memory));
        return MsTextFormat{name, type.charset, decoded};
    }
    return Failure{why};
}

}  // namespace fedgate::sip
