#include "appliance/gateway/watchers.hpp"

namespace fedgate::gateway {

bool Watchers::take_stanza(StanzaCall&, const Key&) {
    host_.drop("presence");
    return true;
}

bool Watchers::take_subscribe(const sip::Message&, RequestCall&, const Key&, Bytes,
                              const Origin& origin) {
    host_.answer(origin, {489, {}});
    return true;
}

bool Watchers::take_refresh(const sip::Message&, const Origin& origin) {
    host_.answer(origin, {481, {}});
    return true;
}

void Watchers::on_request_done(ClientRequest& request, const sip::Message*, LocalFault) {
    host_.agent().release(request);
}

void Watchers::on_unsent(PresenceToken, link::Fault) {}

}  // namespace fedgate::gateway
