// A Via that is read stays what it is when it is written from its parts and read again, alone and
// in a list; its parameters are all of its parameters.
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/base/check.hpp"
#include "sip/message.hpp"
#include "sip/writer.hpp"

namespace {

using namespace fedgate;
using namespace fedgate::sip;

void check_same(const Via& a, const Via& b) {
    FEDGATE_CHECK(a.transport == b.transport && a.transport_name == b.transport_name);
    FEDGATE_CHECK(a.sent_by.host == b.sent_by.host && a.sent_by.kind == b.sent_by.kind);
    FEDGATE_CHECK(a.sent_by.port == b.sent_by.port);
    FEDGATE_CHECK(a.branch == b.branch && a.received == b.received && a.params == b.params);
    FEDGATE_CHECK(a.has_rport == b.has_rport && a.rport == b.rport);
}

std::string written(const Via& via) {
    const bool v6 = via.sent_by.kind == HostKind::kIpv6;
    std::string out = "SIP/2.0/" + std::string(via.transport_name) + (v6 ? " [" : " ");
    out += std::string(via.sent_by.host) + (v6 ? "]" : "");
    if (via.sent_by.port != 0) out += ":" + std::to_string(via.sent_by.port);
    if (!via.params.empty()) out += ";" + std::string(via.params);
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string text(reinterpret_cast<const char*>(data), size);
    Bytes list = text;
    Bytes item;
    std::size_t items = 0;
    while (take_item(list, item)) {
        FEDGATE_CHECK(++items <= size + 1);
        const auto via = parse_via(item);
        if (!via) continue;
        const std::string again = written(*via);
        const auto back = parse_via(again);
        FEDGATE_CHECK(back.has_value());
        check_same(*via, *back);
        // In a list behind another one it is found as it is.
        const std::string two = "SIP/2.0/UDP h;branch=z9hG4bK1 , " + again;
        Bytes both = two;
        Bytes one;
        FEDGATE_CHECK(take_item(both, one) && parse_via(one).has_value());
        FEDGATE_CHECK(take_item(both, one) && one == Bytes(again) && !take_item(both, one));
        if (!via->branch.empty()) {
            FEDGATE_CHECK(find_parameter(via->params, "branch").value == via->branch);
        }
        FEDGATE_CHECK(find_parameter(via->params, "rport").found == via->has_rport);
    }
    return 0;
}
