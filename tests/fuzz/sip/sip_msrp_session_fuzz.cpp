// Whatever a peer sends to a session, and whenever: what it answers can be read, it holds its
// bounds, what it sends is taken by another session, and its memory is given back. Lines of the
// input begin with a letter: what happens. A stream from the peer is what stands between '<' and
// '>' lines.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/check.hpp"
#include "sip/msrp_session.hpp"
#include "tests/sip/msrp_support.hpp"

namespace {

using namespace fedgate;
using namespace fedgate::sip;

constexpr std::size_t kSizeMax = 256;
constexpr std::size_t kMemoryMax = 600;

struct World {
    explicit World(bool active) : room(1 << 17) {
        memory.bytes_max = kMemoryMax;
        terms.size_max = kSizeMax;
        terms.memory = &memory;
        terms.failure_report = MsrpFailureReport::kYes;
        session =
            std::make_unique<MsrpSession>(terms,
                                          MsrpPeer{active ? MsrpRole::kActive : MsrpRole::kPassive,
                                                   test::kBob, test::kAlice, 5'000, 1},
                                          now);
    }

    void look(MsrpActions actions) {
        FEDGATE_CHECK(memory.bytes <= kMemoryMax);
        if (has(actions, MsrpActions::kMessage)) {
            FEDGATE_CHECK(session->content().body.size() <= kSizeMax);
            FEDGATE_CHECK(is_msrp_ident(session->content().message_id));
        }
        if (has(actions, MsrpActions::kFailed) || has(actions, MsrpActions::kDelivered))
            FEDGATE_CHECK(session->outcome().tag != 0);
        FEDGATE_CHECK(!has(actions, MsrpActions::kEnd) || session->state() == MsrpState::kOver);
        FEDGATE_CHECK(session->state() != MsrpState::kOver || session->deadline() == kNever);
    }

    void check_written(Bytes bytes) {
        const bool is_open =
            test::frame_msrp(bytes, {}, 10'000, [](const MsrpFrame& frame, const MsrpMessage&) {
                FEDGATE_CHECK(frame.kind == MsrpFrameKind::kMessage);
            });
        FEDGATE_CHECK(is_open);
    }

    void feed(Bytes stream) {
        test::frame_msrp(stream, {}, kSizeMax,
                         [this](const MsrpFrame& frame, const MsrpMessage& message) {
                             Sink out{MutableBytes(room).first(limits::kMsrpAnswerBytes)};
                             if (frame.fault.close) return;
                             look(frame.kind == MsrpFrameKind::kRefused
                                      ? session->on_refused(message, frame.fault, out)
                                      : session->on_message(message, now, out));
                             FEDGATE_CHECK(!out.overflowed());
                             check_written(out.written());
                         });
    }

    void send(Bytes text) {
        Sink out{MutableBytes(room)};
        MsrpOutgoing message;
        message.tag = ++tag;
        message.transaction = text.substr(0, 8);
        message.content_type = "text/plain";
        message.body = text;
        message.success_report = text.size() % 2 == 0;
        static_cast<void>(session->send(message, now, out));
        check_written(out.written());
    }

    void pass(std::uint8_t seconds) {
        now += std::chrono::seconds(seconds);
        for (int i = 0; session->deadline() <= now; ++i) {
            FEDGATE_CHECK(i < 100);  // each call settles something
            look(session->on_time(now));
        }
    }

    Instant now{};
    MsrpMemory memory;
    MsrpTerms terms;
    std::vector<char> room;
    std::unique_ptr<MsrpSession> session;
    std::uint64_t tag = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    World world(data[0] == 'a');
    const std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        const std::string line = text.substr(at, end - at);
        at = end + 1;
        switch (line.empty() ? '\0' : line[0]) {
            case '<': {
                const std::size_t stop = std::min(text.find("\n>", end), text.size());
                if (at < stop) world.feed(Bytes(text).substr(at, stop + 1 - at));
                at = stop + 1;
                break;
            }
            case 's': world.send(Bytes(line).substr(1)); break;
            case 't': world.pass(line.size() > 1 ? static_cast<std::uint8_t>(line[1]) : 0); break;
            case 'c': {
                Sink out{MutableBytes(world.room)};
                world.look(world.session->on_connected(world.now, out));
                world.check_written(out.written());
                break;
            }
            case 'r': {
                Sink out{MutableBytes(world.room)};
                FEDGATE_CHECK(world.session->report("abcd", 3, out));
                world.check_written(out.written());
                break;
            }
            case 'l': world.look(world.session->on_lost()); break;
            case 'e': world.look(world.session->end()); break;
            default: break;
        }
    }
    MsrpOutcome lost;
    while (world.session->take_failed(lost)) FEDGATE_CHECK(lost.tag != 0);
    world.session.reset();
    FEDGATE_CHECK(world.memory.bytes == 0);
    return 0;
}
