// Any message makes a dialog or none, as a request and as a response; what one sends in it can be
// read, and its next request is in it again. The values of subscriptions beside.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/check.hpp"
#include "sip/dialog.hpp"
#include "sip/subscription.hpp"

namespace {

using namespace fedgate;
using namespace fedgate::sip;

void speak(Dialog& dialog) {
    RequestHead head;
    head.via = {Transport::kTcp, "gw.example", 0, "z9hG4bK1"};
    if (!dialog.next_request(Method::kBye, head)) return;
    std::vector<char> memory(limits::kSipDialogBytes * 2);
    Sink sink{MutableBytes(memory)};
    write_request_head(sink, head);
    write_no_body(sink);
    FEDGATE_CHECK(!sink.overflowed());
    static Message written;
    const Parsed parsed = parse_message(sink.written_mutable(), Carrier::kStream, 100, written);
    FEDGATE_CHECK(parsed.verdict == Verdict::kDone);
    FEDGATE_CHECK(written.to.tag == dialog.remote_tag());
    FEDGATE_CHECK(parse_uri(dialog.next_hop()).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static Message message;
    std::string bytes(reinterpret_cast<const char*>(data), size);
    SubscriptionState state;
    static_cast<void>(parse_subscription_state(bytes));
    static_cast<void>(parse_event(bytes));
    if (parse_message(bytes, Carrier::kDatagram, 65'536, message).verdict != Verdict::kDone) {
        return 0;
    }
    static_cast<void>(judge_notify(message, {"presence", {}}, state));
    static_cast<void>(read_answer(message));
    if (message.is_request) {
        auto dialog = Dialog::from_request(message, "ours");
        if (!dialog) return 0;
        speak(*dialog);
        FEDGATE_CHECK(message.method == Method::kAck || message.method == Method::kCancel ||
                      dialog->on_request(message) == 500);
        return 0;
    }
    RequestHead sent;
    sent.uri = "sip:b@b.example";
    sent.from = {{}, "sip:a@a.example", "ours"};
    sent.to = {{}, "sip:b@b.example", {}};
    sent.call_id = "c";
    auto dialog = Dialog::from_response(sent, message);
    if (!dialog) return 0;
    speak(*dialog);
    static_cast<void>(dialog->on_response(Method::kInvite, message));
    static_cast<void>(dialog->confirm(message));
    speak(*dialog);
    return 0;
}
