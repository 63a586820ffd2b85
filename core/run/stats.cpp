#include "core/run/stats.hpp"

namespace fedgate {
namespace {

// clang-format off
constexpr std::array<CounterInfo, kCounterCount> kCounters = {{
    {Counter::kLoopTurns, "loop.turns", false, "turns of the event loop"},
    {Counter::kMailboxRefused, "mailbox.refused", false, "records that found the mailbox to another core full, and waited"},
    {Counter::kXmppInConnections, "xmpp.in.connections", true, "TCP connections from XMPP servers"},
    {Counter::kXmppInEstablished, "xmpp.in.established", true, "streams from partners whose domain is proved"},
    {Counter::kXmppInAccepted, "xmpp.in.accepted", false, "TCP connections accepted from XMPP servers"},
    {Counter::kXmppInRefused, "xmpp.in.refused", false, "TCP connections from XMPP servers refused by a limit"},
    {Counter::kXmppInFailed, "xmpp.in.failed", false, "streams from partners that ended before their domain was proved"},
    {Counter::kXmppInResumed, "xmpp.in.resumed", false, "sessions that a partner resumed after its connection broke"},
    {Counter::kXmppOutConnections, "xmpp.out.connections", true, "TCP connections to XMPP servers"},
    {Counter::kXmppOutEstablished, "xmpp.out.established", true, "streams to partners that carry stanzas"},
    {Counter::kXmppOutOpened, "xmpp.out.opened", false, "streams to partners that were established"},
    {Counter::kXmppOutResumed, "xmpp.out.resumed", false, "sessions that we resumed after the connection broke"},
    {Counter::kXmppOutFailed, "xmpp.out.failed", false, "attempts to reach a partner that failed"},
    {Counter::kXmppOutMoved, "xmpp.out.moved", false, "streams to partners that went to another of their servers than the one before"},
    {Counter::kXmppTlsFailed, "xmpp.tls.failed", false, "TLS handshakes with XMPP servers that failed"},
    {Counter::kXmppStanzasIn, "xmpp.stanzas.in", false, "stanzas received from partners"},
    {Counter::kXmppStanzasOut, "xmpp.stanzas.out", false, "stanzas written to partners"},
    {Counter::kXmppStanzasRefused, "xmpp.stanzas.refused", false, "stanzas that could not be written to a partner"},
    {Counter::kXmppAnswersLost, "xmpp.answers.lost", false, "answers that could not be written to the partner that had asked"},
    {Counter::kXmppErrorsSent, "xmpp.errors.sent", false, "stanzas of type error sent to partners"},
    {Counter::kXmppErrorsReceived, "xmpp.errors.received", false, "stanzas of type error received from partners"},
    {Counter::kXmppStreamErrorsSent, "xmpp.errors.streams_ended", false, "streams that we ended with an error"},
    {Counter::kXmppStreamErrorsReceived, "xmpp.errors.streams_ended_by_peer", false, "streams that a partner ended with an error"},
    {Counter::kDialbackVerified, "dialback.verified", false, "domains proved by dialback"},
    {Counter::kDialbackRefused, "dialback.refused", false, "domains that dialback did not prove"},
    {Counter::kSaslExternalAccepted, "sasl.external.accepted", false, "domains proved by certificate"},
    {Counter::kSaslExternalRefused, "sasl.external.refused", false, "certificates that did not prove the domain"},
    {Counter::kSipInConnections, "sip.in.connections", true, "connections from SIP peers"},
    {Counter::kSipOutConnections, "sip.out.connections", true, "connections to SIP next hops"},
    {Counter::kSipRequestsIn, "sip.requests.in", false, "SIP requests received"},
    {Counter::kSipRequestsOut, "sip.requests.out", false, "SIP requests sent"},
    {Counter::kSipRequestsMoved, "sip.requests.moved", false, "SIP requests that went to another next hop than the one before"},
    {Counter::kSipResponsesIn, "sip.responses.in", false, "SIP responses received"},
    {Counter::kSipResponsesOut, "sip.responses.out", false, "SIP responses sent"},
    {Counter::kSipRetransmissionsIn, "sip.retransmissions.in", false, "SIP messages received again"},
    {Counter::kSipRetransmissionsOut, "sip.retransmissions.out", false, "SIP messages sent again"},
    {Counter::kSipTransactionTimeouts, "sip.transaction.timeouts", false, "SIP requests that nobody answered"},
    {Counter::kSipBad, "sip.bad", false, "SIP messages that RFC 3261 does not allow"},
    {Counter::kSipDatagramsDropped, "sip.datagrams.dropped", false, "SIP datagrams dropped: not trusted, cut off, or no room"},
    {Counter::kMsrpInConnections, "msrp.in.connections", true, "MSRP connections from SIP users' agents"},
    {Counter::kMsrpOutConnections, "msrp.out.connections", true, "MSRP connections to SIP users' agents"},
    {Counter::kMsrpRefused, "msrp.refused", false, "MSRP connections refused: too many, or without a session in time"},
    {Counter::kMsrpBad, "msrp.bad", false, "MSRP messages that RFC 4975 does not allow, are too long or did not end in time"},
    {Counter::kMsrpMessagesIn, "msrp.messages.in", false, "messages that came whole over MSRP, typing among them"},
    {Counter::kMsrpMessagesOut, "msrp.messages.out", false, "messages sent over MSRP, typing among them"},
    {Counter::kMessagesX2sAccepted, "messages.x2s.accepted", false, "messages from XMPP to SIP that were accepted"},
    {Counter::kMessagesX2sDelivered, "messages.x2s.delivered", false, "messages from XMPP to SIP that SIP has"},
    {Counter::kMessagesX2sRefused, "messages.x2s.refused", false, "messages from XMPP to SIP answered with an error"},
    {Counter::kMessagesX2sInDoubt, "messages.x2s.in_doubt", false, "messages from XMPP to SIP of unknown fate"},
    {Counter::kMessagesS2xAccepted, "messages.s2x.accepted", false, "messages from SIP to XMPP that were accepted"},
    {Counter::kMessagesS2xDelivered, "messages.s2x.delivered", false, "messages from SIP to XMPP that XMPP has"},
    {Counter::kMessagesS2xRefused, "messages.s2x.refused", false, "messages from SIP to XMPP answered with an error"},
    {Counter::kMessagesS2xInDoubt, "messages.s2x.in_doubt", false, "messages from SIP to XMPP of unknown fate"},
    {Counter::kMessagesS2xUntold, "messages.s2x.untold", false, "messages from SIP to XMPP that failed late, and whose senders could not be told"},
    {Counter::kSessionsX2s, "sessions.x2s", false, "sessions that a user on XMPP began"},
    {Counter::kSessionsS2x, "sessions.s2x", false, "sessions that a user on SIP began"},
    {Counter::kSessionsRefused, "sessions.refused", false, "sessions of SIP users answered with an error"},
    {Counter::kSessionsOpen, "sessions.open", true, "sessions that are open or being opened or ended"},
    {Counter::kPresenceX2s, "presence.x2s", false, "presence changes from XMPP to SIP"},
    {Counter::kPresenceS2x, "presence.s2x", false, "presence changes from SIP to XMPP"},
    {Counter::kMapDropped, "map.dropped", false, "stanzas and requests with no equivalent on the other side"},
    {Counter::kPolicyRefused, "policy.refused", false, "stanzas and requests that policy did not let through"},
    {Counter::kRateLimited, "rate.limited", false, "times that a rate limit held traffic back"},
    {Counter::kLinkStanding, "link.standing", true, "links between edge and gateway that are up, on all cores"},
    {Counter::kLinkOpened, "link.opened", false, "links between edge and gateway that came up"},
    {Counter::kLinkRefused, "link.refused", false, "connections of a link whose other end did not prove itself"},
    {Counter::kLinkStanzasFromPartners, "link.stanzas.from_partners", false, "stanzas that went from an edge to a gateway over a link"},
    {Counter::kLinkStanzasToPartners, "link.stanzas.to_partners", false, "stanzas that went from a gateway to an edge over a link"},
    {Counter::kLinkBackPressure, "link.back_pressure", false, "times that a full link stopped a source"},
    {Counter::kStoreChanges, "store.changes", false, "changes of subscriptions given to the store"},
    {Counter::kStoreKept, "store.kept", false, "changes that are on disk; several of one row that waited count as one"},
    {Counter::kStoreRefused, "store.refused", false, "changes that were not taken: the store fails, or too many wait"},
    {Counter::kStoreRestored, "store.restored", false, "rows handed to the core that owns them, at start"},
}};
// clang-format on

static_assert(
    [] {
        for (std::size_t i = 0; i < kCounterCount; ++i) {
            if (static_cast<std::size_t>(kCounters[i].counter) != i) return false;
        }
        return true;
    }(),
    "rows in the order of Counter");

}  // namespace

std::span<const CounterInfo, kCounterCount> counter_table() { return kCounters; }

const CounterInfo& counter_info(Counter counter) {
    return kCounters[static_cast<std::size_t>(counter)];
}

}  // namespace fedgate
