// The rows of the stream engine: in which state which first-level element (or tag) is handled, and
// how. One table for each direction. The handler decides about the next state, since that depends
// on the partner's policy and certificate as well; stream_inbound.cpp and stream_outbound.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace fedgate::xml {

enum class StreamState : std::uint8_t {
    kHeader,       // their stream header must come next
    kFeatures,     // outbound: their features must come next
    kStartTls,     // outbound: <starttls/> sent
    kTls,          // the owner's handshake runs; no byte is ours
    kNegotiating,  // inbound: features sent, nothing proved yet
    kSasl,         // outbound: <auth/> sent
    kDialback,     // outbound: <db:result/> of the header's pair sent
    kEnable,       // outbound: proved, <enable/> sent
    kOpen,         // inbound: at least one pair is proved. outbound: negotiation is over
    kClosing,      // our closing tag is sent
    kClosed,
};
inline constexpr std::size_t kStreamStates = 11;

enum class StreamEvent : std::uint8_t {
    kHeader,
    kEnd,
    kError,
    kFeatures,
    kStartTls,
    kProceed,
    kTlsFailure,
    kAuth,
    kSuccess,
    kSaslFailure,
    kResult,        // <db:result>key</db:result>
    kResultAnswer,  // <db:result type='..'/>
    kVerify,
    kVerifyAnswer,
    kSmEnable,
    kSmEnabled,
    kSmFailed,
    kSmRequest,
    kSmAck,
    kSmResume,
    kSmResumed,
    kBidi,
    kStanza,
    kUnknown,
};
inline constexpr std::size_t kStreamEvents = 24;

enum class StreamRun : std::uint8_t {
    kUnsupported,  // every pair that is not listed: unsupported-stanza-type
    kIgnore,
    kPeerClosed,
    kPeerError,      // S2S-21
    kNotAuthorized,  // S2S-10
    kDropAnswer,     // DB-7
    // inbound
    kHeaderIn,
    kStartTlsIn,
    kAuthIn,
    kResultIn,
    kVerifyIn,
    kStanzaIn,
    kBidiIn,
    kEnableIn,
    kResumeIn,
    kSmUnexpected,
    kAcknowledge,
    // outbound
    kHeaderOut,
    kFeaturesOut,
    kProceedOut,
    kTlsRefused,
    kSuccessOut,
    kSaslFailureOut,
    kResultOut,
    kVerifyOut,
    kKeyOut,  // a db:result or db:verify of theirs: with XEP-0288 only
    kQuestionOut,
    kStanzaOut,  // S2S-1: their stanzas come on their own stream, but with XEP-0288
    kEnabledOut,
    kEnableFailedOut,
    kResumedOut,
    kAcknowledgedOut,
};

struct StreamRow {
    StreamState in;
    StreamEvent on;
    StreamRun run;
};

// clang-format off
inline constexpr StreamRow kInboundRows[] = {
    {StreamState::kHeader,      StreamEvent::kHeader,       StreamRun::kHeaderIn},

    {StreamState::kNegotiating, StreamEvent::kStartTls,     StreamRun::kStartTlsIn},
    {StreamState::kNegotiating, StreamEvent::kBidi,         StreamRun::kBidiIn},
    {StreamState::kNegotiating, StreamEvent::kAuth,         StreamRun::kAuthIn},
    {StreamState::kNegotiating, StreamEvent::kResult,       StreamRun::kResultIn},
    {StreamState::kNegotiating, StreamEvent::kVerify,       StreamRun::kVerifyIn},
    {StreamState::kNegotiating, StreamEvent::kStanza,       StreamRun::kNotAuthorized},
    {StreamState::kNegotiating, StreamEvent::kSmEnable,     StreamRun::kSmUnexpected},
    {StreamState::kNegotiating, StreamEvent::kSmRequest,    StreamRun::kSmUnexpected},
    {StreamState::kNegotiating, StreamEvent::kSmResume,     StreamRun::kSmUnexpected},

    {StreamState::kOpen,        StreamEvent::kResult,       StreamRun::kResultIn},
    {StreamState::kOpen,        StreamEvent::kVerify,       StreamRun::kVerifyIn},
    {StreamState::kOpen,        StreamEvent::kStanza,       StreamRun::kStanzaIn},
    {StreamState::kOpen,        StreamEvent::kSmEnable,     StreamRun::kEnableIn},
    {StreamState::kOpen,        StreamEvent::kSmRequest,    StreamRun::kAcknowledge},
    {StreamState::kOpen,        StreamEvent::kSmAck,        StreamRun::kIgnore},
    {StreamState::kOpen,        StreamEvent::kSmResume,     StreamRun::kResumeIn},

    // We ask nothing on a stream that they opened.
    {StreamState::kNegotiating, StreamEvent::kResultAnswer, StreamRun::kDropAnswer},
    {StreamState::kNegotiating, StreamEvent::kVerifyAnswer, StreamRun::kDropAnswer},
    {StreamState::kOpen,        StreamEvent::kResultAnswer, StreamRun::kDropAnswer},
    {StreamState::kOpen,        StreamEvent::kVerifyAnswer, StreamRun::kDropAnswer},

    // RFC 6120 4.4: what was under way when we closed still counts.
    {StreamState::kClosing,     StreamEvent::kStanza,       StreamRun::kStanzaIn},

    {StreamState::kHeader,      StreamEvent::kEnd,          StreamRun::kPeerClosed},
    {StreamState::kNegotiating, StreamEvent::kEnd,          StreamRun::kPeerClosed},
    {StreamState::kNegotiating, StreamEvent::kError,        StreamRun::kPeerError},
    {StreamState::kOpen,        StreamEvent::kEnd,          StreamRun::kPeerClosed},
    {StreamState::kOpen,        StreamEvent::kError,        StreamRun::kPeerError},
    {StreamState::kClosing,     StreamEvent::kEnd,          StreamRun::kPeerClosed},
    {StreamState::kClosing,     StreamEvent::kError,        StreamRun::kPeerError},
};

inline constexpr StreamRow kOutboundRows[] = {
    {StreamState::kHeader,      StreamEvent::kHeader,       StreamRun::kHeaderOut},
    {StreamState::kFeatures,    StreamEvent::kFeatures,     StreamRun::kFeaturesOut},
    {StreamState::kStartTls,    StreamEvent::kProceed,      StreamRun::kProceedOut},
    {StreamState::kStartTls,    StreamEvent::kTlsFailure,   StreamRun::kTlsRefused},
    {StreamState::kSasl,        StreamEvent::kSuccess,      StreamRun::kSuccessOut},
    {StreamState::kSasl,        StreamEvent::kSaslFailure,  StreamRun::kSaslFailureOut},
    {StreamState::kDialback,    StreamEvent::kResultAnswer, StreamRun::kResultOut},
    {StreamState::kDialback,    StreamEvent::kVerifyAnswer, StreamRun::kVerifyOut},
    {StreamState::kEnable,      StreamEvent::kSmEnabled,    StreamRun::kEnabledOut},
    {StreamState::kEnable,      StreamEvent::kSmFailed,     StreamRun::kEnableFailedOut},
    {StreamState::kEnable,      StreamEvent::kSmResumed,    StreamRun::kResumedOut},
    {StreamState::kEnable,      StreamEvent::kVerifyAnswer, StreamRun::kVerifyOut},
    {StreamState::kEnable,      StreamEvent::kSmRequest,    StreamRun::kAcknowledge},
    {StreamState::kOpen,        StreamEvent::kVerifyAnswer, StreamRun::kVerifyOut},
    {StreamState::kOpen,        StreamEvent::kSmAck,        StreamRun::kAcknowledgedOut},
    {StreamState::kOpen,        StreamEvent::kSmRequest,    StreamRun::kAcknowledge},
    {StreamState::kClosing,     StreamEvent::kSmAck,        StreamRun::kAcknowledgedOut},

    {StreamState::kEnable,      StreamEvent::kStanza,       StreamRun::kStanzaOut},
    {StreamState::kEnable,      StreamEvent::kResult,       StreamRun::kKeyOut},
    {StreamState::kEnable,      StreamEvent::kVerify,       StreamRun::kQuestionOut},
    {StreamState::kOpen,        StreamEvent::kStanza,       StreamRun::kStanzaOut},
    {StreamState::kOpen,        StreamEvent::kResult,       StreamRun::kKeyOut},
    {StreamState::kOpen,        StreamEvent::kVerify,       StreamRun::kQuestionOut},
    {StreamState::kClosing,     StreamEvent::kStanza,       StreamRun::kStanzaOut},

    // Answers to nothing (DB-7): before we could have asked, or once more.
    {StreamState::kFeatures,    StreamEvent::kResultAnswer, StreamRun::kDropAnswer},
    {StreamState::kFeatures,    StreamEvent::kVerifyAnswer, StreamRun::kDropAnswer},
    {StreamState::kStartTls,    StreamEvent::kResultAnswer, StreamRun::kDropAnswer},
    {StreamState::kStartTls,    StreamEvent::kVerifyAnswer, StreamRun::kDropAnswer},
    {StreamState::kSasl,        StreamEvent::kResultAnswer, StreamRun::kDropAnswer},
    {StreamState::kSasl,        StreamEvent::kVerifyAnswer, StreamRun::kDropAnswer},
    {StreamState::kEnable,      StreamEvent::kResultAnswer, StreamRun::kDropAnswer},
    {StreamState::kOpen,        StreamEvent::kResultAnswer, StreamRun::kDropAnswer},

    // Nothing of theirs before our pair is proved.
    {StreamState::kFeatures,    StreamEvent::kStanza,       StreamRun::kNotAuthorized},
    {StreamState::kStartTls,    StreamEvent::kStanza,       StreamRun::kNotAuthorized},
    {StreamState::kSasl,        StreamEvent::kStanza,       StreamRun::kNotAuthorized},
    {StreamState::kDialback,    StreamEvent::kStanza,       StreamRun::kNotAuthorized},

    {StreamState::kHeader,      StreamEvent::kEnd,          StreamRun::kPeerClosed},
    {StreamState::kFeatures,    StreamEvent::kEnd,          StreamRun::kPeerClosed},
    {StreamState::kFeatures,    StreamEvent::kError,        StreamRun::kPeerError},
    {StreamState::kStartTls,    StreamEvent::kEnd,          StreamRun::kPeerClosed},
    {StreamState::kStartTls,    StreamEvent::kError,        StreamRun::kPeerError},
    {StreamState::kSasl,        StreamEvent::kEnd,          StreamRun::kPeerClosed},
    {StreamState::kSasl,        StreamEvent::kError,        StreamRun::kPeerError},
    {StreamState::kDialback,    StreamEvent::kEnd,          StreamRun::kPeerClosed},
    {StreamState::kDialback,    StreamEvent::kError,        StreamRun::kPeerError},
    {StreamState::kEnable,      StreamEvent::kEnd,          StreamRun::kPeerClosed},
    {StreamState::kEnable,      StreamEvent::kError,        StreamRun::kPeerError},
    {StreamState::kOpen,        StreamEvent::kEnd,          StreamRun::kPeerClosed},
    {StreamState::kOpen,        StreamEvent::kError,        StreamRun::kPeerError},
    {StreamState::kClosing,     StreamEvent::kEnd,          StreamRun::kPeerClosed},
    {StreamState::kClosing,     StreamEvent::kError,        StreamRun::kPeerError},
};
// clang-format on

using StreamTable = std::array<std::array<StreamRun, kStreamEvents>, kStreamStates>;

consteval bool each_pair_once(std::span<const StreamRow> rows) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
        for (std::size_t j = i + 1; j < rows.size(); ++j) {
            if (rows[i].in == rows[j].in && rows[i].on == rows[j].on) return false;
        }
    }
    return true;
}
static_assert(each_pair_once(kInboundRows));
static_assert(each_pair_once(kOutboundRows));

// A pair that is not listed is refused, but ignored once we are closing.
consteval StreamTable make_stream_table(std::span<const StreamRow> rows) {
    StreamTable table{};
    for (auto* state : {&table[static_cast<std::size_t>(StreamState::kClosing)],
                        &table[static_cast<std::size_t>(StreamState::kClosed)]}) {
        state->fill(StreamRun::kIgnore);
    }
    for (const StreamRow& row : rows) {
        table[static_cast<std::size_t>(row.in)][static_cast<std::size_t>(row.on)] = row.run;
    }
    return table;
}

inline constexpr StreamTable kInboundTable = make_stream_table(kInboundRows);
inline constexpr StreamTable kOutboundTable = make_stream_table(kOutboundRows);

constexpr StreamRun find_run(const StreamTable& table, StreamState state, StreamEvent event) {
    return table[static_cast<std::size_t>(state)][static_cast<std::size_t>(event)];
}

}  // namespace fedgate::xml
