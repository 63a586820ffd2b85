#include "sip/request_checks.hpp"

#include "sip/chars.hpp"

namespace fedgate::sip {
namespace {

// SIP-18: what may be required of us and is harmless. Nothing else is.
bool is_supported(Bytes option) { return equal_ignoring_case(option, "gruu"); }

template <typename Visit>
void for_each_unsupported(const Message& request, Visit visit) {
    for (const Header* header = request.find(HeaderName::kRequire); header != nullptr;
         header = request.next(header)) {
        Bytes list = header->value;
        Bytes option;
        while (take_item(list, option)) {
            if (!option.empty() && !is_supported(option)) visit(option);
        }
    }
}

}  // namespace

std::uint16_t check_request(const Message& request, MethodSet allowed) {
    // RFC 3261 8.2.1. An ACK is never answered, so it is not judged here.
    if (request.method == Method::kAck) return 0;
    if (request.method == Method::kUnknown || !allowed.has(request.method)) return 405;
    if (request.max_forwards == 0 && request.method != Method::kOptions)
        return 483;  // SIP-17, SIP-51
    bool unsupported = false;
    // RFC 3261 8.2.2.3: a CANCEL's Require is ignored.
    if (request.method != Method::kCancel) {
        for_each_unsupported(request, [&unsupported](Bytes) { unsupported = true; });
    }
    return unsupported ? 420 : 0;
}

void write_allow(Sink& out, MethodSet allowed) {
    out.append("Allow: ");
    bool first = true;
    for (unsigned i = 1; i <= static_cast<unsigned>(Method::kUpdate); ++i) {
        const auto method = static_cast<Method>(i);
        if (!allowed.has(method)) continue;
        if (!first) out.append(", ");
        out.append(method_text(method));
        first = false;
    }
    out.append("\r\n");
}

void write_unsupported(Sink& out, const Message& request) {
    out.append("Unsupported: ");
    bool first = true;
    for_each_unsupported(request, [&](Bytes option) {
        if (!first) out.append(", ");
        out.append(option);
        first = false;
    });
    out.append("\r\n");
}

}  // namespace fedgate::sip
