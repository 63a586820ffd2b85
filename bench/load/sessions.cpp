#include "bench/load/sessions.hpp"

#include <utility>

#include "bench/load/ends.hpp"

namespace fedgate::load {

namespace {

constexpr Bytes kSdpType = "application/sdp";
// SESS-40: nobody listens there.
constexpr Bytes kSdp =
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=session\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=message 5060 sip null\r\na=accept-types:text/plain\r\n";
constexpr std::uint32_t kInviteCseq = 1;

bool offers_messages(const sip::Message& invite) {
    const std::size_t line = invite.body.find("\r\nm=message ");
    return line != Bytes::npos && invite.body.find(" sip ", line) != Bytes::npos;
}

}  // namespace

Sessions::Sessions(const Options& options, SipEnd& sip, std::string run)
    : options_(options), sip_(sip), run_(std::move(run)), pairs_(options.pairs) {}

bool Sessions::open(unsigned pair) {
    const std::string from = sip_uri(pair), to = xmpp_uri(pair);
    const std::string call_id = std::to_string(pair) + '@' + run_;
    sip::RequestHead head;
    head.method = "INVITE";
    head.uri = to;
    head.from = {.display = {}, .uri = from, .tag = kOwnTag};
    head.to = {.display = {}, .uri = to, .tag = {}};
    head.call_id = call_id;
    head.cseq = kInviteCseq;
    if (!sip_.send(head, contact(pair), kSdpType, kSdp)) return false;
    pairs_[pair].state = State::kInviting;
    ++under_way_;
    return true;
}

// Its CSeq tells its number, whatever had no room in between.
bool Sessions::send(unsigned number, Bytes content_type, Bytes body) {
    sip::RequestHead head;
    if (!pairs_[number % options_.pairs].dialog->next_request(sip::Method::kMessage, head))
        return false;
    head.cseq = kInviteCseq + 1 + number / options_.pairs;
    return sip_.send(head, {}, content_type, body);
}

bool Sessions::end(unsigned number) {
    Pair& pair = pairs_[number];
    if (pair.state != State::kOpen) return true;
    sip::RequestHead head;
    if (!pair.dialog->next_request(sip::Method::kBye, head) || !sip_.send(head, {}, {}, {}))
        return false;
    pair.state = State::kEnding;
    ++under_way_;
    return true;
}

void Sessions::on_request(const sip::Message& request, SipEnd::Answer& answer) {
    if (request.method == sip::Method::kInvite && request.to.tag.empty()) {
        return on_invite(request, answer);
    }
    if (request.method == sip::Method::kMessage && request.to.tag.empty()) {
        ++counts_.outside;
        return;
    }
    Pair* const pair = find(request);
    if (pair == nullptr) {
        answer.head.status = 481;
    } else if (request.method == sip::Method::kBye) {
        if (pair->state == State::kOpen) {
            ++counts_.gone;
            *pair = {};
        }  // else both hang up, and the answer to ours comes
    }
}

void Sessions::on_invite(const sip::Message& invite, SipEnd::Answer& answer) {
    const auto number = pair_of(invite.to.uri.user);
    auto dialog = sip::Dialog::from_request(invite, kOwnTag);
    if (!number || !dialog || !offers_messages(invite)) {
        answer.head.status = 488;
        return refuse("its INVITE offers no session of messages");
    }
    Pair& pair = pairs_[*number];
    pair.dialog.emplace(std::move(*dialog));
    pair.state = State::kOpen;
    ++counts_.opened;
    answer.lines.append(contact(*number));
    answer.content_type = kSdpType;
    answer.body = kSdp;
}

std::size_t Sessions::on_response(const sip::Message& response) {
    const bool text = response.cseq.method == sip::Method::kMessage;
    if (text && response.status < 300) return SIZE_MAX;
    const auto from = sip::parse_name_addr(response.value(sip::HeaderName::kFrom));
    const auto number = from ? pair_of(from->uri.user) : std::nullopt;
    if (!number) return SIZE_MAX;
    Pair& pair = pairs_[*number];
    if (response.cseq.method == sip::Method::kInvite) {
        on_invite_answered(*number, response);
    } else if (response.cseq.method == sip::Method::kBye && pair.state == State::kEnding) {
        --under_way_;
        ++(response.status < 300 ? counts_.ended : counts_.gone);
        pair = {};
    } else if (text && response.cseq.number > kInviteCseq) {
        return std::size_t{response.cseq.number - kInviteCseq - 1} * options_.pairs + *number;
    }
    return SIZE_MAX;
}

void Sessions::on_invite_answered(unsigned number, const sip::Message& response) {
    Pair& pair = pairs_[number];
    if (pair.state != State::kInviting) return;
    --under_way_;
    const std::string from = sip_uri(number), to = xmpp_uri(number);
    sip::RequestHead sent;
    sent.method = "INVITE";
    sent.uri = to;
    sent.from = {.display = {}, .uri = from, .tag = kOwnTag};
    sent.to = {.display = {}, .uri = to, .tag = {}};
    sent.call_id = response.call_id;
    sent.cseq = kInviteCseq;
    auto dialog = sip::Dialog::from_response(sent, response);
    if (!dialog) {
        pair.state = State::kNone;
        return refuse("SIP " + std::to_string(response.status) + " to an INVITE");
    }
    pair.dialog.emplace(std::move(*dialog));
    pair.state = State::kOpen;
    ++counts_.opened;
    acks_due_.push_back(number);
}

void Sessions::turn() {
    for (; !acks_due_.empty(); acks_due_.pop_front()) {
        const Pair& pair = pairs_[acks_due_.front()];
        if (!pair.dialog) continue;
        sip::RequestHead head;
        pair.dialog->fill_ack(head, kInviteCseq);
        if (!sip_.send(head, {}, {}, {})) return;
    }
}

// Whose dialog it is in.
Sessions::Pair* Sessions::find(const sip::Message& request) {
    const auto number = pair_of(request.to.uri.user);
    if (!number) return nullptr;
    Pair& pair = pairs_[*number];
    const bool same = pair.dialog && pair.dialog->call_id() == request.call_id &&
                      pair.dialog->local_tag() == request.to.tag &&
                      pair.dialog->remote_tag() == request.from.tag;
    return same ? &pair : nullptr;
}

std::optional<unsigned> Sessions::pair_of(Bytes sip_user) const {
    if (!sip_user.starts_with('s')) return {};
    sip_user.remove_prefix(1);
    const std::size_t number = take_number(sip_user);
    if (number >= pairs_.size() || !sip_user.empty()) return {};
    return static_cast<unsigned>(number);
}

std::string Sessions::sip_uri(unsigned pair) const {
    return "sip:s" + std::to_string(pair) + '@' + options_.domain;
}

std::string Sessions::xmpp_uri(unsigned pair) const {
    return "sip:u" + std::to_string(pair) + '@' + partner_domain(options_, pair % options_.domains);
}

std::string Sessions::contact(unsigned pair) const {
    return "Contact: <sip:s" + std::to_string(pair) + '@' + options_.sip_listen +
           ";transport=" + options_.sip_transport + ">\r\n";
}

void Sessions::refuse(std::string why) {
    ++counts_.refused;
    if (first_refusal_.empty()) first_refusal_ = std::move(why);
}

}  // namespace fedgate::load
