// Typing: chat states (XEP-0085) <-> isComposing (RFC 3994); interworking rules CS-1..CS-12. Pure.
#pragma once

#include <cstdint>
#include <optional>

#include "core/base/bytes.hpp"
#include "core/base/time.hpp"
#include "xml/framer.hpp"

namespace fedgate::gateway {

constexpr Bytes kChatStates = "http://jabber.org/protocol/chatstates";
constexpr Bytes kTypingType = "application/im-iscomposing+xml";

constexpr Duration kTypingRefresh = std::chrono::seconds(120);    // CS-10; default of CS-6
constexpr Duration kTypingRefreshMin = std::chrono::seconds(10);  // bounds of what we are told
constexpr Duration kTypingRefreshMax = std::chrono::seconds(600);
constexpr Duration kComposingAgain = std::chrono::seconds(60);  // CS-8
constexpr Duration kTypingRemembered = std::chrono::hours(1);   // CS-7, CS-9

enum class ChatState : std::uint8_t { kNone, kActive, kComposing, kPaused, kInactive, kGone };
// kNone: no such state.
[[nodiscard]] ChatState find_chat_state(Bytes name);
[[nodiscard]] Bytes name_of(ChatState);  // kNone: null

struct IsComposing {
    bool active = false;  // CS-6: any state but `active` is idle
    Duration refresh = kTypingRefresh;
};
// Empty: it is not such a document.
[[nodiscard]] std::optional<IsComposing> parse_is_composing(Bytes document, xml::Framer&);
void write_is_composing(bool active, Sink&);  // CS-10

struct StateHead {
    Bytes from;
    Bytes to;
    Bytes id;
    Bytes thread;
};
void write_chat_state(const StateHead&, ChatState, Sink&);  // CS-11

// What each of the two has been shown of the other's typing. One for each conversation.
class Typing {
public:
    enum class News : std::uint8_t { kNone, kActive, kIdle };

    // The XMPP user, without a text. What the SIP user is told (CS-1..CS-5, CS-8, CS-9).
    // `session`: the SIP side is in one that can show it, so it need not have typed first.
    [[nodiscard]] News on_chat_state(ChatState, Instant now, bool session = false);
    // A text of the XMPP user says that he types no more; it may have a state in it (CS-8). In a
    // session one without a state says that he has none to show or to see (CS-7).
    void on_xmpp_text(ChatState, Instant now, bool session = false);
    // The SIP user. What the XMPP user is told; kNone: nothing (CS-6, CS-7).
    [[nodiscard]] ChatState on_is_composing(bool active, Instant now);
    // A text of the SIP user. Does it carry <active/> (CS-6, CS-7)? In a session it does until the
    // XMPP user has answered.
    [[nodiscard]] bool on_sip_text(Instant now, bool session = false);
    // May the XMPP user be shown states (CS-7)?
    [[nodiscard]] bool xmpp_uses(Instant now) const { return used(xmpp_used_, now); }
    // The refresh has run out (CS-6).
    void on_refresh_missed() { shown_composing_ = false; }
    // Our isComposing was not understood (CS-9): 415, for the rest of the conversation; else until
    // the SIP user shows his own again.
    void on_refused() { refused_ = true; }
    void on_unanswered() { sip_used_ = {}; }

    [[nodiscard]] bool shows_composing() const { return shown_composing_; }

private:
    [[nodiscard]] static bool used(std::optional<Instant> at, Instant now) {
        return at && now - *at < kTypingRemembered;
    }

    std::optional<Instant> xmpp_used_;  // the XMPP user sent a chat state
    std::optional<Instant> sip_used_;   // the SIP user sent an isComposing
    Instant told_at_{};
    bool replied_ = false;          // the XMPP user has written
    bool told_active_ = false;      // to SIP
    bool shown_composing_ = false;  // to XMPP
    bool refused_ = false;
};

}  // namespace fedgate::gateway
