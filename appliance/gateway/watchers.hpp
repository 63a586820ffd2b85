// SIP users who watch XMPP contacts: RFC 8048 section 5.3, interworking section 6.3. For each pair
// one Watcher with his dialogs: we are the notifier. Owner: the engine of the shard that owns the
// pair. Thread: the shard's.
#pragma once

#include "appliance/gateway/presence_host.hpp"
#include "sip/message.hpp"

namespace fedgate::gateway {

class Watchers {
public:
    explicit Watchers(PresenceHost& host) : host_(host) {}

    void reload() {}
    // subscribed, unsubscribed, error, or presence of the XMPP contact. False: not now
    // (back-pressure).
    [[nodiscard]] bool take_stanza(StanzaCall&, const Key& pair);
    // A SUBSCRIBE that begins a subscription, from a SIP user who may have one by its addresses.
    // `to_tag`: ours, of its answer. False: not now.
    [[nodiscard]] bool take_subscribe(const sip::Message&, RequestCall&, const Key& pair,
                                      Bytes to_tag, const Origin&);
    // One in a dialog of ours.
    [[nodiscard]] bool take_refresh(const sip::Message&, const Origin&);
    // The end of a NOTIFY of ours; the request is released here.
    void on_request_done(ClientRequest&, const sip::Message* response, LocalFault);
    // A stanza with that token was not written to a stream, or may be lost.
    void on_unsent(PresenceToken, link::Fault);

    // store::User's, for rows of this kind.
    void on_stored(store::Sequence, bool ok) { static_cast<void>(ok); }
    void restore(const store::Row&) {}
    void on_restore_done() {}

private:
    PresenceHost& host_;
};

}  // namespace fedgate::gateway
