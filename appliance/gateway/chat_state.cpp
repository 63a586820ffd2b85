#include "appliance/gateway/chat_state.hpp"

#include <algorithm>
#include <charconv>

#include "appliance/gateway/document.hpp"
#include "xml/writer.hpp"

namespace fedgate::gateway {
namespace {

constexpr Bytes kIsComposing = "urn:ietf:params:xml:ns:im-iscomposing";
constexpr Bytes kStates[] = {{}, "active", "composing", "paused", "inactive", "gone"};

// CS-6: bounded; what is no number is as if it were not there.
Duration parse_refresh(Bytes text) {
    std::uint32_t seconds = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (parsed.ec == std::errc::result_out_of_range) return kTypingRefreshMax;
    if (parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size()) return kTypingRefresh;
    return std::clamp<Duration>(std::chrono::seconds(seconds), kTypingRefreshMin,
                                kTypingRefreshMax);
}

}  // namespace

ChatState find_chat_state(Bytes name) {
    for (std::size_t i = 1; i < std::size(kStates); ++i) {
        if (kStates[i] == name) return static_cast<ChatState>(i);
    }
    return ChatState::kNone;
}

Bytes name_of(ChatState state) { return kStates[static_cast<std::size_t>(state)]; }

std::optional<IsComposing> parse_is_composing(Bytes document, xml::Framer& framer) {
    IsComposing read;
    bool has_state = false;
    const bool whole = read_document(document, "isComposing", kIsComposing, framer,
                                     [&](const xml::Element& child) {
                                         char memory[64];
                                         Sink word{MutableBytes(memory)};
                                         if (child.is("state", kIsComposing) && !has_state) {
                                             has_state = true;
                                             read.active = word_of(child, word) == "active";
                                         } else if (child.is("refresh", kIsComposing)) {
                                             read.refresh = parse_refresh(word_of(child, word));
                                         }
                                     });
    if (!whole || !has_state) return std::nullopt;
    return read;
}

void write_is_composing(bool active, Sink& sink) {
    xml::write_start(sink, "isComposing", {{"xmlns", kIsComposing}});
    xml::write_element(sink, "state", {}, active ? Bytes("active") : Bytes("idle"));
    xml::write_element(sink, "contenttype", {}, "text/plain");
    if (active) xml::write_element(sink, "refresh", {}, "120");
    static_assert(kTypingRefresh == std::chrono::seconds(120));
    xml::write_end(sink, "isComposing");
}

void write_chat_state(const StateHead& head, ChatState state, Sink& sink) {
    xml::write_start(sink, "message",
                     {{"from", head.from}, {"to", head.to}, {"id", head.id}, {"type", "chat"}});
    if (!head.thread.empty()) xml::write_element(sink, "thread", {}, head.thread);
    xml::write_empty(sink, name_of(state), {{"xmlns", kChatStates}});
    xml::write_end(sink, "message");
}

Typing::News Typing::on_chat_state(ChatState state, Instant now, bool session) {
    xmpp_used_ = now;                                                                // CS-7
    if (state == ChatState::kNone || state == ChatState::kGone) return News::kNone;  // CS-5
    if (refused_ || (!session && !used(sip_used_, now))) return News::kNone;         // CS-9
    const bool active = state == ChatState::kComposing;
    const bool again = active && told_active_ && now - told_at_ >= kComposingAgain;  // CS-8
    if (active == told_active_ && !again) return News::kNone;
    told_active_ = active;
    told_at_ = now;
    return active ? News::kActive : News::kIdle;
}

void Typing::on_xmpp_text(ChatState state, Instant now, bool session) {
    told_active_ = false;
    replied_ = true;
    if (state != ChatState::kNone) {
        xmpp_used_ = now;
    } else if (session) {
        xmpp_used_ = {};
    }
}

ChatState Typing::on_is_composing(bool active, Instant now) {
    sip_used_ = now;  // CS-9
    if (!used(xmpp_used_, now) || active == shown_composing_) return ChatState::kNone;
    shown_composing_ = active;
    return active ? ChatState::kComposing : ChatState::kActive;
}

bool Typing::on_sip_text(Instant now, bool session) {
    shown_composing_ = false;
    return used(xmpp_used_, now) || (session && !replied_);
}

}  // namespace fedgate::gateway
