// XMPP users who watch SIP contacts: RFC 8048 section 5.2, interworking section 6.2. For each pair
// one Watch: our subscription at the SIP side on behalf of the XMPP user. Owner: the engine of the
// shard that owns the pair. Thread: the shard's.
#pragma once

#include "appliance/gateway/presence_host.hpp"
#include "sip/message.hpp"

namespace fedgate::gateway {

class Watches {
public:
    explicit Watches(PresenceHost& host) : host_(host) {}

    void reload() {}
    // subscribe, unsubscribe or probe of an XMPP user. False: not now (back-pressure).
    [[nodiscard]] bool take_stanza(StanzaCall&, const Key& pair);
    // PRES-80, PRES-46: his presence, or a message of his, says whether he is there.
    void on_evidence(const StanzaCall&, const Key& pair);
    // A NOTIFY in a dialog of ours, or making one. False: not now.
    [[nodiscard]] bool take_notify(const sip::Message&, const Origin&);
    // The end of a SUBSCRIBE of ours; the request is released here.
    void on_request_done(ClientRequest&, const sip::Message* response, LocalFault);

    // store::User's, for rows of this kind.
    void on_stored(store::Sequence, bool ok) { static_cast<void>(ok); }
    void restore(const store::Row&) {}
    void on_restore_done() {}

private:
    PresenceHost& host_;
};

}  // namespace fedgate::gateway
