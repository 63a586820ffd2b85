// Whatever a peer sends on a link that is up, in pieces: a byte that chooses the role and how large
// a piece is, then the bytes. It is taken, skipped or the end, and what waits is bounded.
#include <cstddef>
#include <cstdint>

#include "appliance/link/session.hpp"
#include "core/base/check.hpp"

namespace {

using namespace fedgate;
using namespace fedgate::link;

constexpr std::uint32_t kWindow = 2'000;

struct Owner final : SessionOwner {
    void on_output(Session&, Bytes) override {}
    bool on_frame(Session&, const Frame&) override { return ++frames % 3 != 0; }
    void on_up(Session&, bool) override {}
    void on_down(Session&, Bytes) override { ++downs; }
    void on_returned(Session&, const Frame&, bool) override { ++returned; }

    int frames = 0;
    int downs = 0;
    int returned = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    Bytes input(reinterpret_cast<const char*>(bytes), size);
    if (input.empty()) return 0;
    const auto first = static_cast<unsigned char>(input[0]);
    input.remove_prefix(1);
    const Role role = first % 2 == 0 ? Role::kEdge : Role::kGateway;
    Owner owner;
    Session session(owner, {role, "node", {}, 0, kWindow});
    Instant now{std::chrono::hours(1)};
    Hello hello;
    hello.role = role == Role::kEdge ? Role::kGateway : Role::kEdge;
    hello.minor = static_cast<std::uint16_t>(first >= 128 ? kLinkMinor + 1 : 0);
    hello.window = kWindow;
    session.accept(hello, Id{1}, now);
    if (role == Role::kEdge) FEDGATE_CHECK(session.send(Outcome{1, Fate::kWritten}));
    const std::size_t piece = first % 64 + std::size_t{1};
    std::string unread;
    while (!input.empty() && session.state() != Session::State::kDown) {
        unread.append(input.substr(0, piece));
        input.remove_prefix(std::min(piece, input.size()));
        const std::size_t done = session.receive(unread, now);
        FEDGATE_CHECK(done <= unread.size());
        unread.erase(0, done);
        now += 10ms;
        if (now >= session.deadline()) session.on_time(now);
        if (unread.size() % 2 == 0) session.offer(now);
        FEDGATE_CHECK(session.memory() <= 2 * (kWindow + size) + (std::size_t{128} << 10));
    }
    session.end(EndCode::kDone, "");
    FEDGATE_CHECK(owner.downs <= 1 && owner.returned <= 1);
    return 0;
}
