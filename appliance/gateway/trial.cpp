#include "appliance/gateway/trial.hpp"

#include "appliance/gateway/engine.hpp"
#include "core/base/hash.hpp"
#include "core/base/rendezvous.hpp"
#include "xml/writer.hpp"

namespace fedgate::gateway {
namespace {

constexpr Bytes kNoRoom = "there is no room for it now";

void fail(TrialRow& row, Bytes why) {
    if (row.fault.empty()) row.fault = why;
}

}  // namespace

TrialStart Gateway::Engine::begin_trial(const TrialOrder& order) {
    Address sip;
    Address xmpp;
    if (!read_jid(order.sip_jid, sip) || !read_jid(order.xmpp_jid, xmpp))
        return TrialStart::kNoAddress;
    const Key pair = pair_key(xmpp, sip);
    if (Conversations::owner_of(pair, shard_.count()) != shard_.index())
        return TrialStart::kNotMine;
    const std::uint64_t conversation = hash_of_address(
        sip.jid.local, sip.jid.domain, hash_of_address(xmpp.jid.local, xmpp.jid.domain, 0));
    if (edge_->has_others() && edge_->is_anothers(conversation)) return TrialStart::kAnothers;
    TrialRow& row = trials_.begin(order.id, pair, now());
    if (draining_) {
        fail(row, "this gateway is stopping");
    } else if (order.to_sip) {
        try_to_sip(order, row, pair);
    } else {
        try_to_xmpp(order, row, sip, xmpp);
    }
    return TrialStart::kBegun;
}

// As a SIP server would send it, with a receipt asked for.
void Gateway::Engine::try_to_xmpp(const TrialOrder& order, TrialRow& row, const AddressView& sip,
                                  const AddressView& xmpp) {
    char names_memory[4 * xml::kJidBytes];
    Sink names{MutableBytes(names_memory)};
    write_aor(sip, names);
    const std::size_t middle = names.size();
    write_aor(xmpp, names);
    const auto tag = to_hex(random_.bytes<8>());
    const auto fresh = to_hex(random_.bytes<16>());
    const Bytes name(fresh.data(), fresh.size());
    row.name = name;
    const std::string branch = "z9hG4bK" + row.name;
    Envelope envelope;
    envelope.from_uri = names.written().substr(0, middle);
    envelope.to_uri = envelope.request_uri = names.written().substr(middle);
    envelope.from_tag = Bytes(tag.data(), tag.size());
    envelope.call_id = envelope.message_id = name;
    envelope.now = shard_.loop().wall_now();
    envelope.via.host = "fedctl.invalid";
    envelope.via.branch = branch;
    Text text;
    text.body = order.text;
    Sink bytes{MutableBytes(request_memory_)};
    write_request(envelope, text, MutableBytes(scratch_memory_), bytes);
    if (names.overflowed() || bytes.overflowed()) return fail(row, "it is too long");
    const auto parsed = sip::parse_message(MutableBytes(request_memory_.data(), bytes.size()),
                                           sip::Carrier::kDatagram, kBlockBytesMax, message_);
    if (parsed.verdict != sip::Verdict::kDone) return fail(row, "an address can't be a SIP URI");
    RequestCall call;
    read_call(message_, call);
    if (call.refusal.status != 0) return fail_trial(row.id, call.refusal.status, "");
    const rules::Decision decision = call.decision_on(rules::Kind::kMessage);
    if (!decision.allowed()) return fail(row, rules::explain(decision.reason));
    const sip::Tag to_tag = agent_.make_tag(shard_.index());
    Origin origin;
    origin.shard = shard_.index();
    origin.trial = row.id;
    if (!own_request(message_, &call, call.domain, to_tag.view(), origin))
        return fail(row, kNoRoom);
    if (!row.fault.empty()) return;
    Sink ping{MutableBytes(stanza_memory_)};
    xml::write_start(
        ping, "iq",
        {{"from", call.from_text}, {"to", call.to_text}, {"id", row.name}, {"type", "get"}});
    xml::write_empty(ping, "ping", {{"xmlns", "urn:xmpp:ping"}});
    xml::write_end(ping, "iq");
    FEDGATE_CHECK(!ping.overflowed());
    give(link::kOnce, call.from.domain_ascii, call.to.domain_ascii, ping.written());
}

// As the partner's stream would bring it. From a bare JID: nobody answers to a resource of ours.
void Gateway::Engine::try_to_sip(const TrialOrder& order, TrialRow& row, const Key& pair) {
    const auto fresh = to_hex(random_.bytes<16>());
    std::vector<char> memory(6 * order.text.size() + 4 * xml::kJidBytes);
    Sink stanza{MutableBytes(memory)};
    xml::write_start(stanza, "message",
                     {{"from", order.xmpp_jid},
                      {"to", order.sip_jid},
                      {"id", Bytes(fresh.data(), fresh.size())},
                      {"type", "chat"}});
    xml::write_element(stanza, "body", {}, order.text);
    xml::write_end(stanza, "message");
    if (stanza.overflowed()) return fail(row, "it is too long");
    const std::string domain = order.xmpp_jid.substr(order.xmpp_jid.find('@') + 1);
    const xml::Stanza view = xml::parse_stanza(stanza.written(), scope_);
    const link::FromPartner from{domain, link::Proof::kCertificate, stanza.written(), &view};
    StanzaCall call{from, view};
    call.trial = row.id;
    Sink names{MutableBytes(name_memory_)};
    if (!read_call(call, names) || call.malformed)
        return fail(row, "one of the two addresses is not of a domain of ours, or both are");
    if (!may_write(call, pair)) {
        const rules::Decision decision = call.who->decision_on(rules::Kind::kMessage);
        return fail(row, rules::explain(decision.reason));
    }
    Sink texts{MutableBytes(text_memory_)};
    StanzaText read = read_stanza(view, rules_->settings.im.max_bytes, texts);
    if (read.use != StanzaUse::kSend) return fail(row, "it is too long (im.max_bytes)");
    Handle<Conversation> handle;
    Conversation* conversation = conversations_.open(pair, now(), handle);
    if (conversation == nullptr || conversation->waiting.count >= limits::kPairQueueStanzas ||
        !queue_message(call, *conversation, handle, read)) {
        fail(row, kNoRoom);
    }
}

TrialRow Gateway::Engine::trial(std::uint64_t id) {
    const TrialRow* found = trials_.find(id);
    if (found == nullptr) return {};
    TrialRow row = *found;
    row.age = now() - row.begun;
    return row;
}

void Gateway::Engine::fail_trial(std::uint64_t id, std::uint16_t status, Bytes why) {
    TrialRow* row = trials_.find(id);
    if (row == nullptr) return;
    std::string text = status != 0 ? std::to_string(status) : std::string();
    if (why.empty() && status != 0) why = sip::reason_phrase(status);
    if (!why.empty()) text += (text.empty() ? "" : " ") + std::string(why);
    row->status = status;
    fail(*row, text);
}

// Of a MESSAGE to a partner, or of one that a SIP server was sent.
void Gateway::Engine::on_trial_answer(std::uint64_t id, std::uint16_t status, Bytes reason) {
    if (status < 200 || status >= 300) return fail_trial(id, status, reason);
    TrialRow* row = trials_.find(id);
    if (row == nullptr) return;
    row->status = status;
    row->taken = true;
    row->taken_after = now() - row->begun;
}

void Gateway::Engine::on_trial_outcome(std::uint64_t id, const link::Outcome& outcome) {
    TrialRow* row = trials_.find(id);
    if (row == nullptr) return;
    if (outcome.fate == link::Fate::kAcknowledged) acknowledge(*row);
}

void Gateway::Engine::acknowledge(TrialRow& row) {
    if (!row.acknowledged) row.acknowledged_after = now() - row.begun;
    row.acknowledged = true;
}

// Is it the answer to a trial's ping? An error says as much: the ping was behind the message.
bool Gateway::Engine::on_trial_pong(const StanzaCall& call, const Key& pair) {
    if (call.stanza.type != "result" && call.stanza.type != "error") return false;
    TrialRow* row = trials_.named(call.id);
    if (row == nullptr || row->pair != pair) return false;
    acknowledge(*row);
    return true;
}

// Was it asked for by a trial? Then its sender wants none.
bool Gateway::Engine::on_trial_receipt(Bytes name) {
    TrialRow* row = trials_.named(name);
    if (row == nullptr) return false;
    if (!row->received) row->received_after = now() - row->begun;
    row->received = true;
    return true;
}

}  // namespace fedgate::gateway
