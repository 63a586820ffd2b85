// XEP-0198 on a stream in either direction: acknowledgements, and resumption of a session whose
// connection broke.
#include <algorithm>
#include <charconv>

#include "core/base/hash.hpp"
#include "xml/stanza_error.hpp"
#include "xml/stream.hpp"
#include "xml/stream_parts.hpp"
#include "xml/writer.hpp"

namespace fedgate::xml {

namespace {

constexpr std::uint32_t kStanzasForEachRequest = 50;  // S2S-16
constexpr Bytes kSmRequest = "<r xmlns='urn:xmpp:sm:3'/>";
constexpr std::size_t kSessionIdBytes = 32;  // of ours: 128 bits in hex

bool read_number(Bytes text, std::uint32_t& number) {
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
    return parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
}

bool is_true(Bytes value) { return value == "true" || value == "1"; }

std::uint64_t whole_seconds(Duration duration) {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::seconds>(duration).count());
}

void append_number_attribute(Sink& out, Bytes name, std::uint64_t value) {
    out.append(" ");
    out.append(name);
    out.append("='");
    out.append_number(value);
    out.append("'");
}

}  // namespace

void Stream::on_enable_in(const Element& element, Action& action) {
    if (sm_on_ || !settings_.sm) return refuse_sm();
    sm_on_ = true;
    sm_handled_ = sm_told_ = 0;
    // On a stream that goes both ways ours would have to be resumed too.
    if (settings_.resume_max <= Duration::zero() || bidi_ ||
        !is_true(element.attribute("resume"))) {
        return write("<enabled xmlns='urn:xmpp:sm:3'/>");
    }
    std::array<std::uint8_t, kSessionIdBytes / 2> random;
    host_.fill_random(MutableBytes(reinterpret_cast<char*>(random.data()), random.size()));
    const auto id = to_hex(random);
    session_.id.assign(id.data(), id.size());
    char memory[160];
    Sink out(memory);
    out.append("<enabled");
    write_attribute(out, "xmlns", kSmNamespace);
    write_attribute(out, "id", session_.id);
    write_attribute(out, "resume", "true");
    append_number_attribute(out, "max", whole_seconds(settings_.resume_max));
    out.append("/>");
    write(out.written());
    action.kind = Action::Kind::kResumable;
    action.id = session_.id;
}

void Stream::on_resume_in(const Element& element, Action& action, Instant now) {
    if (sm_on_ || !settings_.sm || resume_asked_ || bidi_) return refuse_sm();
    if (!read_handled(element, action.count)) return;
    resume_asked_ = resuming_ = true;
    phase_deadline_ = now + settings_.sasl_wait;
    const Bytes id = element.attribute("previd");
    // Ours have one form; what has another needs no search.
    if (id.size() != kSessionIdBytes || id.find_first_not_of("0123456789abcdef") != Bytes::npos) {
        answer_resume(false, {});
        return;
    }
    session_.id = id;
    action.kind = Action::Kind::kResume;
    action.id = session_.id;
}

bool Stream::answer_resume(bool granted, std::optional<std::uint32_t> handled) {
    if (!resuming_ || !inbound() || state_ != StreamState::kOpen) return false;
    FEDGATE_CHECK(!granted || handled);
    resuming_ = false;
    phase_deadline_ = kNever;
    char memory[256];
    Sink out(memory);
    out.append(granted ? "<resumed" : "<failed");
    write_attribute(out, "xmlns", kSmNamespace);
    if (granted) write_attribute(out, "previd", session_.id);
    if (handled) append_number_attribute(out, "h", *handled);
    out.append(granted ? "/>" : "><item-not-found");
    if (!granted) {
        write_attribute(out, "xmlns", kStanzasNamespace);
        out.append("/></failed>");
    }
    if (granted) {
        sm_on_ = true;
        sm_handled_ = sm_told_ = *handled;
    } else {
        session_.id.clear();
    }
    write(out.written());
    return true;
}

void Stream::refuse_sm() {
    write(
        "<failed xmlns='urn:xmpp:sm:3'>"
        "<unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>");
}

// How many stanzas we have handled since <enable/>. On a stream that we opened: none.
void Stream::acknowledge() {
    if (!sm_on_) return refuse_sm();
    char memory[96];
    Sink out(memory);
    out.append("<a");
    write_attribute(out, "xmlns", kSmNamespace);
    append_number_attribute(out, "h", sm_handled_);
    out.append("/>");
    sm_told_ = sm_handled_;
    write(out.written());
}

// Before the closing tag, so that nothing that came is in doubt over there.
void Stream::acknowledge_last() {
    if (sm_on_ && sm_told_ != sm_handled_) acknowledge();
}

void Stream::start_sm_out(Instant now) {
    if (!lost_) return write_enable(now);
    char memory[limits::kStreamIdBytes * 6 + 96];
    Sink out(memory);
    out.append("<resume");
    write_attribute(out, "xmlns", kSmNamespace);
    write_attribute(out, "previd", lost_->id);
    out.append(" h='0'/>");  // their stanzas come on their own stream
    FEDGATE_CHECK(!out.overflowed());
    resuming_ = true;
    write(out.written());
    if (state_ != StreamState::kClosed) enter(StreamState::kEnable, now + settings_.sasl_wait);
}

void Stream::write_enable(Instant now) {
    write(settings_.resume_max > Duration::zero() && !bidi_
              ? "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"
              : "<enable xmlns='urn:xmpp:sm:3'/>");
    if (state_ != StreamState::kClosed) enter(StreamState::kEnable, now + settings_.sasl_wait);
}

void Stream::on_enabled_out(const Element& element) {
    if (resuming_) return fail(StreamError::kUnsupportedStanzaType);  // answers nothing
    sm_on_ = true;
    // Prosody 0.12 says resume='true' between servers, and gives no id: it can't.
    std::array<char, limits::kStreamIdBytes> memory;
    Sink id(memory);
    if (settings_.resume_max > Duration::zero() && !bidi_ && is_true(element.attribute("resume")) &&
        element.attribute("id", id)) {
        session_.id = id.written();
        std::uint32_t seconds = 0;
        const bool told = read_number(element.attribute("max"), seconds);
        session_.keep = told ? Duration(std::chrono::seconds(seconds)) : Duration::max();
    }
    finish_sm_out();
}

void Stream::on_enable_failed_out(const Element& element, Action& action, Instant now) {
    if (!resuming_) return finish_sm_out();
    resuming_ = false;
    sm_acknowledged_ = lost_->acknowledged;
    unacknowledged_ = lost_->unacknowledged;
    action.count = 0;
    if (element.attribute("h").data() != nullptr && !read_handled(element, action.count)) return;
    action.kind = Action::Kind::kResumeFailed;
    lost_.reset();
    sm_acknowledged_ = unacknowledged_ = 0;
    write_enable(now);
}

void Stream::on_resumed_out(const Element& element, Action& action) {
    std::array<char, limits::kStreamIdBytes> memory;
    Sink id(memory);
    if (!resuming_ || !element.attribute("previd", id) || id.written() != lost_->id) {
        return fail(StreamError::kUnsupportedStanzaType);
    }
    resuming_ = false;
    sm_on_ = true;
    sm_acknowledged_ = lost_->acknowledged;
    unacknowledged_ = lost_->unacknowledged;
    if (!read_handled(element, action.count)) return;
    sm_acknowledged_ += action.count;
    unacknowledged_ = 0;  // each counts when it is sent again
    session_.id = lost_->id;
    session_.keep = lost_->keep;
    lost_.reset();
    action.kind = Action::Kind::kResumed;
    finish_sm_out();
}

void Stream::finish_sm_out() {
    enter(StreamState::kOpen);
    establish_deadline_ = kNever;
    Pair* pair = find_pair(our_, their_);
    FEDGATE_CHECK(pair != nullptr);
    pair->announce = true;
    attention_ = true;
}

void Stream::on_acknowledged_out(const Element& element, Action& action) {
    std::uint32_t count = 0;
    if (!sm_on_) return fail(StreamError::kUndefinedCondition);
    if (!read_handled(element, count) || count == 0) return;
    sm_acknowledged_ += count;
    unacknowledged_ -= count;
    action.kind = Action::Kind::kAcknowledged;
    action.count = count;
}

// How many of our stanzas their `h` says they have more than before. False: it can't be, and the
// stream was ended.
bool Stream::read_handled(const Element& element, std::uint32_t& count) {
    if (!read_number(element.attribute("h"), sm_claimed_)) {
        fail(StreamError::kUndefinedCondition);
        return false;
    }
    count = sm_claimed_ - sm_acknowledged_;  // modulo 2^32, as XEP-0198 counts
    if (count <= unacknowledged_) return true;
    fail(StreamError::kHandledTooHigh);
    return false;
}

Session Stream::session() const {
    return {session_.id, session_.keep, sm_acknowledged_, unacknowledged_};
}

bool Stream::send(Bytes stanza) {
    if (state_ != StreamState::kOpen || (inbound() && !bidi_)) return false;
    if (!host_.write(stanza)) return false;
    ++counts_.stanzas_out;
    // Ours on a stream of theirs are not counted: pings tell.
    if (!sm_on_ || inbound()) return true;
    ++unacknowledged_;
    if (++since_request_ >= kStanzasForEachRequest) request_acknowledgement();
    return true;
}

void Stream::request_acknowledgement() {
    if (!sm_on_ || unacknowledged_ == 0 || state_ != StreamState::kOpen) return;
    // A full queue is no reason to end: the owner asks again.
    if (host_.write(kSmRequest)) since_request_ = 0;
}

}  // namespace fedgate::xml
