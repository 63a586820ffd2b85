// A session of an XMPP user and a SIP user: the dialog of an INVITE in which their texts go (RFC
// 7573, and the dialect of Lync: interworking rules SESS-*, features.md A15). It belongs to their
// conversation, which has the queue; the rules of what passes are those of single messages. A
// session outlives neither the process nor ten minutes of silence. Thread: the shard's.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>

#include "appliance/gateway/block_pool.hpp"
#include "appliance/gateway/call.hpp"
#include "appliance/gateway/conversation.hpp"
#include "appliance/gateway/gateway.hpp"
#include "appliance/gateway/pair_memo.hpp"
#include "appliance/gateway/session_msrp.hpp"
#include "appliance/gateway/sip_agent.hpp"
#include "core/base/time.hpp"
#include "core/run/timers.hpp"
#include "sip/dialog.hpp"
#include "sip/message.hpp"
#include "sip/sdp.hpp"

namespace fedgate::gateway {

constexpr std::size_t kSessionFrontBytes = 120;  // of a Session: what a text to SIP needs
constexpr std::size_t kSessionTextBytes = 184;   // what one of theirs needs
constexpr std::size_t kSessions = 60'000;        // of one shard: fewer than conversations
constexpr std::uint8_t kSessionsOfPair = 4;      // one sends, others end soon (SESS-6)
// SESS-4: what may wait for the answer to an INVITE.
constexpr std::size_t kInvitingTexts = 20;
constexpr std::size_t kInvitingBytes = 64 * 1'024;
constexpr Duration kSessionIdle = std::chrono::minutes(10);    // SESS-8
constexpr Duration kReceivingIdle = std::chrono::seconds(60);  // SESS-6
constexpr Duration kResourceLocked = std::chrono::minutes(5);  // SESS-2
constexpr Duration kPagesInstead = std::chrono::hours(1);      // SESS-5
constexpr Duration kAckWait = std::chrono::seconds(32);        // RFC 3261 13.3.1.4: 64*T1
constexpr std::uint32_t kSessionExpiresMin = 90;               // RFC 4028 5: seconds
constexpr std::uint32_t kSessionExpiresMax = 86'400;

constexpr Bytes kSdpType = "application/sdp";
// SESS-41.
constexpr sip::MethodSet kInSession{
    sip::Method::kInvite, sip::Method::kAck,     sip::Method::kCancel, sip::Method::kBye,
    sip::Method::kInfo,   sip::Method::kMessage, sip::Method::kUpdate, sip::Method::kOptions};
[[nodiscard]] inline bool has_sdp(const sip::Message& message) {
    const auto type = sip::parse_content_type(message.value(sip::HeaderName::kContentType));
    return type && type->is("application", "sdp");
}

struct Session final : private TimerOwner {
    enum class State : std::uint8_t {
        kInviting,  // ours, without an answer
        kHeld,      // theirs; the text in the INVITE is on its way, and its fate is the answer
        kAnswered,  // theirs, without an ACK
        kOpen,
        kEnding,  // BYE or CANCEL is on its way; it belongs to no conversation any more
    };

    explicit Session(Gateway::Engine& e) : engine(e), timer(*this) {}

    // ---- What each text needs, close together: a thousand sessions do not fit a cache.
    State state = State::kInviting;
    bool sends = false;  // the conversation's texts go out by it, else it receives only (SESS-6)
    std::uint16_t thread_bytes = 0;
    std::uint32_t text_cseq = sip::kNoCseq;  // of their MESSAGE that was taken last (SIP-11)
    std::optional<sip::Dialog> dialog;       // from kHeld or kOpen on
    std::unique_ptr<SessionMsrp> msrp;       // of the profile msrp
    Instant xmpp_wrote_at{};
    std::uint64_t resource_key = 0;  // of resource(); 0: of none, or he has left
    DialogWay way;                   // another once its next hop is
    // SESS-2, SESS-3: the thread, and the resource of the XMPP user that wrote last.
    [[nodiscard]] Bytes thread() const { return text.bytes().substr(0, thread_bytes); }
    [[nodiscard]] Bytes resource() const { return text.bytes().substr(thread_bytes); }
    Block text;
    // Of a text of theirs, besides:
    Key by_tag;                        // of our tag
    Session* next_by_tag = nullptr;    // in the engine's index
    PairMemo<Parties>::Place parties;  // where it was worked out what follows of the two
    Handle<Conversation> conversation;
    Handle<Session> self;
    Instant used_at{};  // by what goes in it, a text of the XMPP user at once excepted

    // SESS-8.
    [[nodiscard]] Instant last_used() const { return std::max(used_at, xmpp_wrote_at); }

    // ---- Its beginning and its end.
    Gateway::Engine& engine;
    Timer timer;
    bool counted = false;    // among the conversation's
    bool cancelled = false;  // kHeld: nobody waits for the answer
    bool offered = false;    // our offer was in the 2xx: the answer comes in the ACK (SESS-11)
    Key by_peer;             // theirs: of Call-ID and their tag (SIP-11)
    Session* next_by_peer = nullptr;
    ClientRequest* invite = nullptr;  // kInviting
    Origin origin;                    // of an INVITE of theirs, until its ACK has come
    Instant ack_due = kNever;
    Instant expires_at = kNever;    // RFC 4028: they have not refreshed it
    std::uint32_t expires = 0;      // seconds; 0: none was asked for
    std::uint32_t invite_cseq = 0;  // of the INVITE of theirs that was answered last, or is held
    sip::SdpVersion sdp;
    Block held;  // kHeld: our description, for the 2xx

    // Whose it is: SIP URIs of the two that were judged when it began. What From and To of the
    // dialog say may be others.
    [[nodiscard]] Bytes sip_uri() const { return names.bytes().substr(0, sip_uri_bytes); }
    [[nodiscard]] Bytes xmpp_uri() const { return names.bytes().substr(sip_uri_bytes); }
    Block names;
    std::uint16_t sip_uri_bytes = 0;

private:
    void on_timer(Timer&) override;
};

}  // namespace fedgate::gateway
