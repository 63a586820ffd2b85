#include "appliance/gateway/redirect.hpp"

namespace fedgate::gateway {
namespace {

// A `q` of 0..1 as thousandths; 1 when there is none or it is not one.
int quality(Bytes params) {
    const Bytes text = sip::find_parameter(params, "q").value;
    if (text.empty() || text[0] != '0') return 1'000;
    int value = 0;
    int scale = 100;
    for (std::size_t i = 2; i < text.size() && scale > 0; ++i, scale /= 10) {
        if (text[i] < '0' || text[i] > '9') break;
        value += (text[i] - '0') * scale;
    }
    return value;
}

}  // namespace

bool best_contact(const sip::Message& response, sip::Uri& best) {
    int best_quality = -1;
    for (const sip::Header* header = response.find(sip::HeaderName::kContact); header != nullptr;
         header = response.next(header)) {
        Bytes list = header->value;
        Bytes item;
        while (sip::take_item(list, item)) {
            const auto contact = sip::parse_name_addr(item);
            if (!contact || quality(contact->params) <= best_quality) continue;
            best_quality = quality(contact->params);
            best = contact->uri;
        }
    }
    return best_quality >= 0;
}

}  // namespace fedgate::gateway
