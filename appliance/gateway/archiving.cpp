// features.md U10: with the first message of a conversation, whoever writes it, a partner's user is
// told that it may be archived. Once for as long as the pair is known here.
//
// By a message of its own from our user's address, not by a line in his text: a conversation that
// the partner's user begins has no text of ours, and what our user wrote stays as he wrote it, with
// its length, its markup, its receipt.
#include "appliance/gateway/engine.hpp"
#include "core/base/hash.hpp"

namespace fedgate::gateway {

// In stanza_memory_. Nobody asks for a receipt of it, and an error that it brings belongs to no
// message.
Bytes Gateway::Engine::write_archiving_notice(StanzaHead head, const rules::SipDomain& domain) {
    const auto fresh = to_hex(random_.bytes<16>());
    head.id = Bytes(fresh.data(), fresh.size());
    head.our_domain = domain.name;
    head.chat = domain.sip2xmpp_chat;
    Text text;
    text.body = rules_->settings.archiving_notice;
    Sink stanza{MutableBytes(stanza_memory_)};
    write_stanza(head, text, stanza);
    FEDGATE_CHECK(!stanza.overflowed());
    return stanza.written();
}

// Our user has written first. It goes the way of his message, in front of it, and waits no longer:
// where that fails, so has this, and the next message brings it again.
bool Gateway::Engine::tell_archiving(Conversation& conversation, const RequestCall& call,
                                     const StanzaHead& head) {
    const Bytes notice = write_archiving_notice(
        {.from = head.from, .to = head.to, .id = {}, .thread = head.thread, .our_domain = {}},
        *call.domain);
    conversation.archiving_told =
        to_edge({link::kForNow, call.from.domain_ascii, call.to.domain_ascii, notice});
    if (!conversation.archiving_told) count(Counter::kLinkBackPressure);
    return conversation.archiving_told;
}

void Gateway::Engine::untell_archiving(const Incoming& incoming) {
    if (!incoming.tells_archiving) return;
    if (Conversation* conversation = conversations_.peek(incoming.pair)) {
        conversation->archiving_told = false;
    }
}

// The partner's user has, and our user's server has taken it: what is refused begins nothing, and
// who writes to names that he makes up gets no notices from them.
void Gateway::Engine::tell_archiving(Conversation& conversation, const ClientRequest& request,
                                     Bytes thread) {
    Address from;
    Address to;
    FEDGATE_CHECK(read_jid(request.from(), from));  // they were read when the message came
    FEDGATE_CHECK(read_jid(request.to(), to));
    const rules::SipDomain* domain = rules_->sip_domain(to.domain_ascii);
    if (domain == nullptr || !has_room()) return;  // the next message brings it
    const Bytes notice = write_archiving_notice(
        {.from = request.to(), .to = request.from(), .id = {}, .thread = thread, .our_domain = {}},
        *domain);
    conversation.archiving_told = true;
    give(link::kOnce, to.domain_ascii, from.domain_ascii, notice);
}

}  // namespace fedgate::gateway
