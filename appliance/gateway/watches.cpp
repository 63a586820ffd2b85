#include "appliance/gateway/watches.hpp"

namespace fedgate::gateway {

bool Watches::take_stanza(StanzaCall& call, const Key&) {
    if (call.stanza.type == "subscribe") return host_.refuse(call, LocalFault::kPayload);
    host_.drop("presence");
    return true;
}

void Watches::on_evidence(const StanzaCall&, const Key&) {}

bool Watches::take_notify(const sip::Message&, const Origin& origin) {
    host_.answer(origin, {481, {}});
    return true;
}

void Watches::on_request_done(ClientRequest& request, const sip::Message*, LocalFault) {
    host_.agent().release(request);
}

}  // namespace fedgate::gateway
