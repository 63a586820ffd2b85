// The frames of the link between an edge and a gateway on different machines: README.md has their
// layout. Pure: bytes on one side, views of them on the other. The one reader of this format.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>

#include "appliance/link/link.hpp"
#include "core/config/commit_id.hpp"

namespace fedgate::link {

constexpr std::uint16_t kLinkMajor = 1;
constexpr std::uint16_t kLinkMinor = 3;
// From this one on: NodeNews, CommitPiece, DialbackSecret.
constexpr std::uint16_t kTopologyMinor = 1;
// And StoreNews.
constexpr std::uint16_t kStoreMinor = 2;
// And Answer::body. Who is of a lower one gets no answer that has a body: it would lose it.
constexpr std::uint16_t kBodyMinor = 3;

enum class Role : std::uint8_t { kEdge = 1, kGateway = 2 };

using Id = std::array<std::uint8_t, 16>;  // random; all zero: none

// Numbered frames go in one of two orders, so that what is taken always never waits behind what may
// have to wait. Each is counted, acknowledged and bounded for itself.
enum class Lane : std::uint8_t {
    kNews,     // outcomes, answers and news: always taken
    kStanzas,  // may be refused for now, and then holds up those behind it
};
constexpr std::size_t kLanes = 2;
constexpr std::size_t index_of(Lane lane) { return static_cast<std::size_t>(lane); }
using Counts = std::array<std::uint64_t, kLanes>;  // by lane

// Who is there, and what it has of the session that both may have had before.
struct Hello {
    std::uint16_t major = kLinkMajor;
    std::uint16_t minor = kLinkMinor;
    Role role = Role::kEdge;
    std::uint16_t part = 0;    // which of several links that this process has with the same peer
    Id instance{};             // of the process: a new one after each start
    Id session{};              // who dialled: to go on with, or none; who answers: the one that is
    Counts taken{};            // numbered frames of the peer's taken in this session
    std::uint32_t window = 0;  // bytes of a lane that may be unacknowledged on their way to it
    Bytes node;                // its name, for people and logs: who it is, its certificate says
};
struct Ack {
    Counts taken;  // in this session, from its beginning
};
struct Ping {
    std::uint64_t number;
};
struct Pong {
    std::uint64_t number;  // the ping's
};
struct Drain {};  // send me nothing new: I am going

enum class EndCode : std::uint8_t {
    kDone,       // in order
    kVersion,    // another major version
    kMalformed,  // not a frame, or not one that belongs here
    kCount,      // acknowledges what was never sent
    kWindow,     // more unacknowledged than was allowed
    kRefused,    // not a peer, or not one for this role
};
constexpr EndCode kEndCodeLast = EndCode::kRefused;

// The last frame. What is not acknowledged by then has not been taken.
struct End {
    EndCode code;
    Bytes sentence;
};
// Which gateways are there: news for those that are.
struct GatewayNews {
    enum class Kind : std::uint8_t {
        kYou,    // who hears it is known by this name
        kThere,  // may be itself
        kGone,
    };
    Kind kind;
    Bytes name;
};

// How a gateway stands to the store of its pool; of an edge: the best that others have said.
struct StoreNews {
    Tenure tenure = Tenure::kLost;
};

// Which commits a node has: of itself, or of one that is linked with it.
struct NodeNews {
    enum class Kind : std::uint8_t {
        kSelf,  // who has a newer one sends it
        kPeer,
        kGone,  // that one is not linked with it any more
    };
    Kind kind = Kind::kSelf;
    Bytes node{};
    config::CommitId newest{};   // known there
    std::uint64_t in_force = 0;  // number of the one that is
    Bytes why{};                 // another one than that: a sentence
};

// Of what is published of a commit; the first begins with nothing, and each other one where the one
// before ended.
struct CommitPiece {
    Sha256Digest digest{};     // which: that of the CommitId
    std::uint32_t left_s = 0;  // of the time to confirm it, if it has to be
    std::uint32_t size = 0;    // of the whole
    std::uint32_t offset = 0;
    Bytes bytes{};
};

// DB-3: the one that was made first is everybody's.
struct DialbackSecret {
    WallTime made{};
    Bytes secret{};
};

struct Unknown {
    std::uint8_t kind;
};

using Frame = std::variant<Unknown, Hello, Ack, Ping, Pong, Drain, End, Outcome, PartnerNews,
                           FromPartner, ToPartner, Answer, GatewayNews, Request, NodeNews,
                           CommitPiece, DialbackSecret, StoreNews>;

struct FrameRead {
    enum class Status : std::uint8_t { kWhole, kPartial, kMalformed };
    Status status = Status::kPartial;
    std::size_t size = 0;   // kWhole: of the frame, its length field included
    bool numbered = false;  // then it counts in `lane`, also if it is unknown
    Lane lane = Lane::kNews;
    Frame frame;             // kWhole; views of the input
    const char* fault = "";  // kMalformed: the rest of a sentence, "the frame ..."
};

// The frame at the front of `input`. `peer_minor`: a peer of a higher minor version may send kinds
// that we do not know, and say more than we know of in the others; that is skipped.
[[nodiscard]] FrameRead read_frame(Bytes input, std::uint16_t peer_minor);

// Appends the frame. Texts of one's own choice (End, Hello::node, PartnerNews::why) are cut at
// their bounds; the others are within them, or fits() says no.
void write_frame(std::string& to, const Hello&);
void write_frame(std::string& to, const Ack&);
void write_frame(std::string& to, const Ping&);
void write_frame(std::string& to, const Pong&);
void write_frame(std::string& to, const Drain&);
void write_frame(std::string& to, const End&);
void write_frame(std::string& to, const Outcome&);
void write_frame(std::string& to, const PartnerNews&);
void write_frame(std::string& to, const FromPartner&);
void write_frame(std::string& to, const ToPartner&);
void write_frame(std::string& to, const Answer&);
void write_frame(std::string& to, const GatewayNews&);
void write_frame(std::string& to, const Request&);
void write_frame(std::string& to, const NodeNews&);
void write_frame(std::string& to, const CommitPiece&);
void write_frame(std::string& to, const DialbackSecret&);
void write_frame(std::string& to, const StoreNews&);

// Each domain has 1 to limits::kJidPartBytes bytes, the stanza 1 to limits::kLinkStanzaBytes.
[[nodiscard]] bool fits(const PartnerNews&);
[[nodiscard]] bool fits(const FromPartner&);
[[nodiscard]] bool fits(const ToPartner&);
[[nodiscard]] bool fits(const Request&);

// The length of the whole frame at the front, of bytes that write_frame() made.
[[nodiscard]] std::size_t frame_size(Bytes written);

}  // namespace fedgate::link
