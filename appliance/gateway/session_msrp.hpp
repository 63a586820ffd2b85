// What a session of the profile msrp has beside its dialog (RFC 4975, RFC 7573; SESS-20..SESS-25):
// its state machine, the connection that it goes by, and what is on its way there. Owner: its
// Session. Thread: the shard's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "appliance/gateway/block_pool.hpp"
#include "appliance/gateway/key.hpp"
#include "appliance/gateway/msrp_transport.hpp"
#include "core/base/limits.hpp"
#include "core/base/time.hpp"
#include "core/run/timers.hpp"
#include "net/resolver.hpp"
#include "sip/msrp_session.hpp"
#include "sip/sdp.hpp"

namespace fedgate::gateway {

struct ClientRequest;
struct Session;

constexpr std::uint16_t kMsrpPort = 2'855;  // RFC 4975 15.4: of a URI without one
// Texts of the SIP user that no partner has taken yet, of one session: at the bound the next ones
// stay with him.
constexpr std::size_t kMsrpGiven = 128;
// What has come in part, of all sessions of a shard. At the bound: 413.
constexpr std::size_t kMsrpPartialBytes = 32 << 20;
// Names of texts that were answered 200, of all sessions of a shard: beyond that nobody is told of
// a receipt or a failure that follows.
constexpr std::size_t kMsrpArrivedBytes = 64 << 20;
constexpr std::size_t kMsrpArrivedBlockBytes = 64 << 10;  // of one text
// A text of ours that its connection has no room for. Then the session ends.
constexpr Duration kMsrpRoomWait = std::chrono::seconds(30);
// A session that ends waits so long for the answer to what it has sent: the BYE goes another way
// and may be faster.
constexpr Duration kMsrpAnswerWait = std::chrono::seconds(2);
// Bytes of a connection that texts of ours leave to answers.
constexpr std::size_t kMsrpKeptForAnswers = kMsrpReadAnswerBytes + limits::kMsrpAnswerBytes;

struct SessionMsrp final : private TimerOwner, private net::ResolverOwner {
    // A text of ours that was answered 200: a receipt (RCPT-3), or a failure, may yet come.
    struct Arrived {
        std::uint64_t tag = 0;
        Block names;  // `from`, `to` and `id` of its stanza
        std::uint16_t from_bytes = 0;
        std::uint16_t to_bytes = 0;
        bool chat = false;
    };
    // A text of theirs that is on its way to a partner, and whose failure they want to know.
    struct Given {
        std::uint32_t number = 0;
        std::uint32_t size = 0;
        std::array<char, sip::kMsrpIdentBytes> id{};
        std::uint8_t id_bytes = 0;
        bool failure_wanted = false;
        [[nodiscard]] Bytes message_id() const { return {id.data(), id_bytes}; }
    };

    SessionMsrp(Session& s, net::Resolver& r) : session(s), resolver(r), timer(*this) {}
    ~SessionMsrp() { stop_asking(); }
    SessionMsrp(const SessionMsrp&) = delete;
    SessionMsrp& operator=(const SessionMsrp&) = delete;

    void ask(const std::string& host, net::DnsType type) {
        asked_type = type;
        query = resolver.query(host, type, *this);
        is_asking = true;
    }
    void stop_asking() {
        if (is_asking) resolver.cancel(query);
        is_asking = false;
    }

    [[nodiscard]] bool is_secure() const { return path.starts_with("msrps:"); }
    [[nodiscard]] bool is_bound() const {
        return machine && machine->state() == sip::MsrpState::kBound;
    }
    [[nodiscard]] bool goes_by(Bytes their_path) const {
        return machine && machine->their_path() == their_path;
    }
    // Our answer's a=setup.
    [[nodiscard]] sip::Setup setup_for(sip::Setup offered) const {
        if (!machine || offered == sip::Setup::kNone) return sip::answer_to(offered);
        return is_active ? sip::Setup::kActive : sip::Setup::kPassive;
    }

    Session& session;
    net::Resolver& resolver;
    Key by_id;                                // of the session's id in our path
    SessionMsrp* next_by_id = nullptr;        // in the engine's index
    std::string path;                         // ours
    std::uint16_t port = 0;                   // in it
    std::optional<sip::MsrpSession> machine;  // once both paths are known
    Handle<MsrpConnection> connection;
    SessionMsrp* next = nullptr;  // of those that go by it
    SessionMsrp* previous = nullptr;
    Timer timer;
    net::QueryId query;
    net::DnsType asked_type = net::DnsType::kA;
    bool is_asking = false;
    bool was_bound = false;
    bool shows_typing = false;      // its a=accept-types has isComposing
    bool is_written = false;        // the text: to the connection
    bool is_active = false;         // we connect
    ClientRequest* text = nullptr;  // that has no answer yet, or no room
    bool is_over = false;           // it goes when its text has met its fate
    Instant answer_by = kNever;     // of a text whose session ends
    Instant write_by = kNever;      // where it has no room
    std::uint64_t last_tag = 0;
    std::uint32_t last_given = 0;
    std::vector<Arrived> arrived;  // that the machine awaits: limits::kMsrpUnsettled at most
    std::vector<Given> given;

private:
    void on_timer(Timer&) override;
    void on_resolved(net::QueryId, const net::DnsAnswer&) override;
};

}  // namespace fedgate::gateway
