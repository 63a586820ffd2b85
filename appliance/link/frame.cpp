#include "appliance/link/frame.hpp"

#include <algorithm>
#include <concepts>

#include "core/base/check.hpp"
#include "core/base/limits.hpp"
#include "sip/header_names.hpp"

namespace fedgate::link {

namespace {

constexpr std::size_t kLengthBytes = 4;

// The upper two bits say whether the frame is numbered and in which lane, so that a kind that is
// not known is counted all the same.
enum class Kind : std::uint8_t {
    kHello = 0x01,
    kAck = 0x02,
    kPing = 0x03,
    kPong = 0x04,
    kDrain = 0x05,
    kEnd = 0x06,
    kOutcome = 0x40,
    kPartnerNews = 0x41,
    kAnswer = 0x42,
    kGatewayNews = 0x43,
    kNodeNews = 0x44,
    kCommitPiece = 0x45,
    kDialbackSecret = 0x46,
    kStoreNews = 0x47,
    kFromPartner = 0x80,
    kToPartner = 0x81,
    kRequest = 0x82,
};
constexpr std::uint8_t kLaneBits = 0xC0;
constexpr std::uint8_t kStanzasBits = 0x80;

// What stands on the wire are these enumerations themselves: new values go to their end, and a new
// end needs a new version.
static_assert(static_cast<int>(Proof::kDialbackClear) == 2);
static_assert(static_cast<int>(Fault::kTooLong) == 9);
static_assert(static_cast<int>(Fate::kFailed) == 3);
static_assert(static_cast<int>(PartnerNews::Kind::kSeen) == 3);
static_assert(static_cast<int>(Answer::Kind::kLost) == 1);
static_assert(static_cast<int>(GatewayNews::Kind::kGone) == 2);
static_assert(static_cast<int>(NodeNews::Kind::kGone) == 2);
static_assert(static_cast<int>(Tenure::kHeld) == 2);
static_assert(static_cast<int>(config::CommitRank::kPerson) == 2);

class Writer {
public:
    Writer(std::string& to, Kind kind) : to_(to), start_(to.size()) {
        to_.append(kLengthBytes, '\0');
        number(static_cast<std::uint8_t>(kind));
    }
    ~Writer() {
        auto length = static_cast<std::uint32_t>(to_.size() - start_ - kLengthBytes);
        for (std::size_t i = kLengthBytes; i-- > 0; length >>= 8) {
            to_[start_ + i] = static_cast<char>(length & 0xFF);
        }
    }
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    template <std::unsigned_integral T>
    void number(T value) {
        for (int shift = 8 * (static_cast<int>(sizeof value) - 1); shift >= 0; shift -= 8) {
            to_.push_back(static_cast<char>((value >> shift) & 0xFF));
        }
    }
    template <typename Enum>
    void code(Enum value, Enum, Enum) {
        number(static_cast<std::uint8_t>(value));
    }
    void time(WallTime time) {
        number(static_cast<std::uint64_t>(time.time_since_epoch().count()));
    }
    void digest(const Sha256Digest& digest) {
        to_.append(reinterpret_cast<const char*>(digest.data()), digest.size());
    }
    void piece(Bytes piece) {
        number(static_cast<std::uint32_t>(piece.size()));
        to_.append(piece);
    }
    void secret(Bytes secret) { text(secret); }
    void id(const Id& id) { to_.append(reinterpret_cast<const char*>(id.data()), id.size()); }
    void counts(const Counts& counts) {
        for (const std::uint64_t count : counts) number(count);
    }
    void text(Bytes text) {
        text = text.substr(0, limits::kLinkTextBytes);
        number(static_cast<std::uint16_t>(text.size()));
        to_.append(text);
    }
    void domain(Bytes domain) { text(domain); }  // fits() has said so
    void token(Bytes token) { text(token); }
    void line(Bytes line) { text(line); }
    void status(std::uint16_t status) { number(status); }
    void lines(Bytes lines) {
        if (lines.size() > limits::kLinkLinesBytes) lines = {};  // half a line would be worse
        number(static_cast<std::uint16_t>(lines.size()));
        to_.append(lines);
    }
    void body(Bytes body) {
        if (body.size() > limits::kLinkBodyBytes) body = {};
        number(static_cast<std::uint16_t>(body.size()));
        to_.append(body);
    }
    void stanza(Bytes stanza) {
        number(static_cast<std::uint32_t>(stanza.size()));
        to_.append(stanza);
    }

private:
    std::string& to_;
    const std::size_t start_;
};

constexpr std::uint64_t kLastSecond = 253'402'300'799;  // of the year 9999
constexpr std::size_t kSecretBytesMin = 32;             // DB-3

constexpr Bytes kLineEnds("\r\n\0", 3);

bool is_alphanumeric(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

// Where the message ends is said by who writes it.
bool is_length(Bytes line) {
    Bytes name = line.substr(0, line.find(':'));
    while (!name.empty() && (name.back() == ' ' || name.back() == '\t')) name.remove_suffix(1);
    return sip::find_header_name(name) == sip::HeaderName::kContentLength;
}

// Reads fields one after another; the first that is wrong is the fault, and those behind it are
// empty.
class Reader {
public:
    explicit Reader(Bytes rest, std::uint16_t peer_minor = kLinkMinor)
        : rest_(rest), peer_minor_(peer_minor) {}

    [[nodiscard]] const char* fault() const { return fault_; }
    [[nodiscard]] Bytes rest() const { return rest_; }

    template <std::unsigned_integral T>
    T number() {
        const Bytes bytes = take(sizeof(T));
        T value = 0;
        for (const char c : bytes) {
            value = static_cast<T>(value << 8 | static_cast<unsigned char>(c));
        }
        return value;
    }
    template <std::unsigned_integral T>
    void number(T& value) {
        value = number<T>();
    }
    template <typename Enum>
    void code(Enum& value, Enum first, Enum last) {
        const auto code = number<std::uint8_t>();
        value = static_cast<Enum>(code);
        if (code >= static_cast<std::uint8_t>(first) && code <= static_cast<std::uint8_t>(last)) {
            return;
        }
        value = first;
        fail("has a value that is not defined");
    }
    void time(WallTime& time) {
        const auto seconds = number<std::uint64_t>();
        if (seconds > kLastSecond) return fail("has a time that is none");
        time = WallTime(std::chrono::seconds(seconds));
    }
    void digest(Sha256Digest& digest) {
        for (std::uint8_t& byte : digest) number(byte);
    }
    void piece(Bytes& piece) {
        piece = sized(number<std::uint32_t>(), 1, limits::kCommitPieceBytes);
    }
    void secret(Bytes& secret) {
        secret = sized(number<std::uint16_t>(), kSecretBytesMin, limits::kDialbackSecretBytes);
        if (secret.find_first_of(kLineEnds) != Bytes::npos) fail("has a line end in a text");
    }
    void id(Id& id) {
        for (std::uint8_t& byte : id) number(byte);
    }
    void counts(Counts& counts) {
        for (std::uint64_t& count : counts) number(count);
    }
    void text(Bytes& text) { text = sized(number<std::uint16_t>(), 0, limits::kLinkTextBytes); }
    void domain(Bytes& name) { name = sized(number<std::uint16_t>(), 1, limits::kJidPartBytes); }
    void token(Bytes& token) {
        text(token);
        if (!std::ranges::all_of(token, is_alphanumeric)) fail("has a tag that is none");
    }
    void line(Bytes& line) {
        text(line);
        if (line.find_first_of(kLineEnds) != Bytes::npos) fail("has a line end in a text");
    }
    // Of a final response, or 0.
    void status(std::uint16_t& status) {
        number(status);
        if (status != 0 && (status < 200 || status > 699)) fail("has a status that is not final");
    }
    // What is written into a SIP message as it is: header lines, each whole and none empty.
    void lines(Bytes& lines) {
        lines = sized(number<std::uint16_t>(), 0, limits::kLinkLinesBytes);
        for (Bytes rest = lines; !rest.empty();) {
            const std::size_t end = rest.find("\r\n");
            if (end == Bytes::npos || end == 0 || rest.find_first_of(kLineEnds) != end ||
                is_length(rest.substr(0, end))) {
                return fail("has header lines that are none");
            }
            rest.remove_prefix(end + 2);
        }
    }
    void body(Bytes& body) {
        if (peer_minor_ < kBodyMinor) return;
        body = sized(number<std::uint16_t>(), 0, limits::kLinkBodyBytes);
    }
    void stanza(Bytes& stanza) {
        stanza = sized(number<std::uint32_t>(), 1, limits::kLinkStanzaBytes);
    }
    void fail(const char* fault) {
        if (*fault_ == '\0') fault_ = fault;
    }

private:
    Bytes take(std::size_t size) {
        if (*fault_ != '\0' || size > rest_.size()) {
            fail("is too short for its kind");
            return {};
        }
        const Bytes taken = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return taken;
    }
    Bytes sized(std::size_t size, std::size_t min, std::size_t max) {
        if (size < min) fail("has an empty field");
        if (size > max) fail("has a field that is too long");
        return take(size);
    }

    Bytes rest_;
    std::uint16_t peer_minor_;
    const char* fault_ = "";
};

// The fields of each kind, in their order, for both directions: `in_out` is a Reader or a Writer.
template <typename T, typename Field>
concept Is = std::same_as<std::remove_const_t<T>, Field>;

void fields(auto& in_out, Is<Hello> auto& hello) {
    in_out.number(hello.major);
    in_out.number(hello.minor);
    if (hello.major != kLinkMajor) return;  // what follows is that version's
    in_out.code(hello.role, Role::kEdge, Role::kGateway);
    in_out.number(hello.part);
    in_out.id(hello.instance);
    in_out.id(hello.session);
    in_out.counts(hello.taken);
    in_out.number(hello.window);
    in_out.text(hello.node);
}
void fields(auto& in_out, Is<Ack> auto& ack) { in_out.counts(ack.taken); }
void fields(auto& in_out, Is<Ping> auto& ping) { in_out.number(ping.number); }
void fields(auto& in_out, Is<Pong> auto& pong) { in_out.number(pong.number); }
void fields(auto&, Is<Drain> auto&) {}
void fields(auto& in_out, Is<End> auto& end) {
    in_out.code(end.code, EndCode::kDone, kEndCodeLast);
    in_out.text(end.sentence);
}
void fields(auto& in_out, Is<Outcome> auto& outcome) {
    in_out.number(outcome.ticket);
    in_out.code(outcome.fate, Fate::kWritten, Fate::kFailed);
    in_out.code(outcome.fault, Fault::kNone, Fault::kTooLong);
    in_out.code(outcome.acknowledges, false, true);
}
void fields(auto& in_out, Is<PartnerNews> auto& news) {
    in_out.code(news.kind, PartnerNews::Kind::kUp, PartnerNews::Kind::kSeen);
    in_out.code(news.fault, Fault::kNone, Fault::kTooLong);
    in_out.domain(news.our_domain);
    in_out.domain(news.their_domain);
    in_out.text(news.why);
}
void fields(auto& in_out, Is<FromPartner> auto& from) {
    in_out.code(from.proof, Proof::kCertificate, Proof::kDialbackClear);
    in_out.domain(from.from_domain);
    in_out.stanza(from.stanza);
}
void fields(auto& in_out, Is<ToPartner> auto& to) {
    in_out.number(to.ticket);
    in_out.domain(to.our_domain);
    in_out.domain(to.their_domain);
    in_out.stanza(to.stanza);
}

void fields(auto& in_out, Is<Answer> auto& answer) {
    in_out.number(answer.ticket);
    in_out.code(answer.kind, Answer::Kind::kAnswered, Answer::Kind::kLost);
    in_out.status(answer.status);
    in_out.number(answer.retry_after);
    in_out.token(answer.to_tag);
    in_out.line(answer.reason);
    in_out.lines(answer.headers);
    in_out.body(answer.body);
}
void fields(auto& in_out, Is<GatewayNews> auto& news) {
    in_out.code(news.kind, GatewayNews::Kind::kYou, GatewayNews::Kind::kGone);
    in_out.domain(news.name);
}
void fields(auto& in_out, Is<Request> auto& request) {
    in_out.number(request.ticket);
    in_out.number(request.conversation);
    in_out.stanza(request.bytes);
}

void fields(auto& in_out, Is<NodeNews> auto& news) {
    in_out.code(news.kind, NodeNews::Kind::kSelf, NodeNews::Kind::kGone);
    in_out.text(news.node);
    in_out.number(news.newest.number);
    in_out.code(news.newest.rank, config::CommitRank::kAutomatic, config::CommitRank::kPerson);
    in_out.time(news.newest.time);
    in_out.digest(news.newest.digest);
    in_out.number(news.in_force);
    in_out.text(news.why);
}
void fields(auto& in_out, Is<CommitPiece> auto& piece) {
    in_out.digest(piece.digest);
    in_out.number(piece.left_s);
    in_out.number(piece.size);
    in_out.number(piece.offset);
    in_out.piece(piece.bytes);
}
void fields(auto& in_out, Is<DialbackSecret> auto& secret) {
    in_out.time(secret.made);
    in_out.secret(secret.secret);
}
void fields(auto& in_out, Is<StoreNews> auto& news) {
    in_out.code(news.tenure, Tenure::kLost, Tenure::kHeld);
}

template <typename T>
Frame read(Reader& in) {
    T frame{};
    fields(in, frame);
    return frame;
}

Frame read_kind(std::uint8_t kind, Reader& in) {
    switch (static_cast<Kind>(kind)) {
        case Kind::kHello: return read<Hello>(in);
        case Kind::kAck: return read<Ack>(in);
        case Kind::kPing: return read<Ping>(in);
        case Kind::kPong: return read<Pong>(in);
        case Kind::kDrain: return read<Drain>(in);
        case Kind::kEnd: return read<End>(in);
        case Kind::kOutcome: return read<Outcome>(in);
        case Kind::kPartnerNews: return read<PartnerNews>(in);
        case Kind::kAnswer: return read<Answer>(in);
        case Kind::kGatewayNews: return read<GatewayNews>(in);
        case Kind::kNodeNews: return read<NodeNews>(in);
        case Kind::kCommitPiece: return read<CommitPiece>(in);
        case Kind::kDialbackSecret: return read<DialbackSecret>(in);
        case Kind::kStoreNews: return read<StoreNews>(in);
        case Kind::kRequest: return read<Request>(in);
        case Kind::kFromPartner: return read<FromPartner>(in);
        case Kind::kToPartner: return read<ToPartner>(in);
    }
    return Unknown{kind};
}

template <typename T>
void write(std::string& to, Kind kind, const T& frame) {
    Writer out(to, kind);
    fields(out, frame);
}

bool fits_domain(Bytes domain) { return !domain.empty() && domain.size() <= limits::kJidPartBytes; }
bool fits_stanza(Bytes stanza) {
    return !stanza.empty() && stanza.size() <= limits::kLinkStanzaBytes;
}

FrameRead malformed(const char* fault) {
    FrameRead read;
    read.status = FrameRead::Status::kMalformed;
    read.fault = fault;
    return read;
}

}  // namespace

FrameRead read_frame(Bytes input, std::uint16_t peer_minor) {
    FrameRead read;
    if (input.size() < kLengthBytes) return read;
    const auto length = Reader(input).number<std::uint32_t>();
    if (length == 0) return malformed("is empty");
    if (length > limits::kLinkFrameBytes) return malformed("is too long");
    if (input.size() - kLengthBytes < length) return read;

    Reader in(input.substr(kLengthBytes, length), peer_minor);
    const auto kind = in.number<std::uint8_t>();
    if ((kind & kLaneBits) == kLaneBits) return malformed("is of no lane");
    read.frame = read_kind(kind, in);
    const bool newer = peer_minor > kLinkMinor;
    if (std::holds_alternative<Unknown>(read.frame)) {
        if (!newer) return malformed("is of an unknown kind");
    } else if (!in.rest().empty() && !newer && !std::holds_alternative<Hello>(read.frame)) {
        in.fail("is too long for its kind");
    }
    if (const auto* hello = std::get_if<Hello>(&read.frame)) {
        const bool same = hello->major == kLinkMajor && hello->minor <= kLinkMinor;
        if (same && !in.rest().empty()) in.fail("is too long for its kind");
    }
    if (const auto* piece = std::get_if<CommitPiece>(&read.frame)) {
        const bool within = piece->size <= limits::kCommitBytes && piece->offset < piece->size &&
                            piece->bytes.size() <= piece->size - piece->offset;
        if (!within) in.fail("has a piece that is not within its whole");
    }
    if (*in.fault() != '\0') return malformed(in.fault());
    read.status = FrameRead::Status::kWhole;
    read.size = kLengthBytes + length;
    read.numbered = (kind & kLaneBits) != 0;
    read.lane = (kind & kLaneBits) == kStanzasBits ? Lane::kStanzas : Lane::kNews;
    return read;
}

void write_frame(std::string& to, const Hello& hello) { write(to, Kind::kHello, hello); }
void write_frame(std::string& to, const Ack& ack) { write(to, Kind::kAck, ack); }
void write_frame(std::string& to, const Ping& ping) { write(to, Kind::kPing, ping); }
void write_frame(std::string& to, const Pong& pong) { write(to, Kind::kPong, pong); }
void write_frame(std::string& to, const Drain& drain) { write(to, Kind::kDrain, drain); }
void write_frame(std::string& to, const End& end) { write(to, Kind::kEnd, end); }
void write_frame(std::string& to, const Outcome& outcome) { write(to, Kind::kOutcome, outcome); }
void write_frame(std::string& to, const PartnerNews& news) {
    FEDGATE_CHECK(fits(news));
    write(to, Kind::kPartnerNews, news);
}
void write_frame(std::string& to, const FromPartner& from) {
    FEDGATE_CHECK(fits(from));
    write(to, Kind::kFromPartner, from);
}
void write_frame(std::string& to, const ToPartner& partner) {
    FEDGATE_CHECK(fits(partner));
    write(to, Kind::kToPartner, partner);
}

void write_frame(std::string& to, const Answer& answer) { write(to, Kind::kAnswer, answer); }
void write_frame(std::string& to, const GatewayNews& news) { write(to, Kind::kGatewayNews, news); }
void write_frame(std::string& to, const Request& request) {
    FEDGATE_CHECK(fits(request));
    write(to, Kind::kRequest, request);
}

void write_frame(std::string& to, const NodeNews& news) { write(to, Kind::kNodeNews, news); }
void write_frame(std::string& to, const CommitPiece& piece) {
    write(to, Kind::kCommitPiece, piece);
}
void write_frame(std::string& to, const DialbackSecret& secret) {
    write(to, Kind::kDialbackSecret, secret);
}
void write_frame(std::string& to, const StoreNews& news) { write(to, Kind::kStoreNews, news); }

bool fits(const Request& request) { return fits_stanza(request.bytes); }
bool fits(const PartnerNews& news) {
    return fits_domain(news.our_domain) && fits_domain(news.their_domain);
}
bool fits(const FromPartner& from) {
    return fits_domain(from.from_domain) && fits_stanza(from.stanza);
}
bool fits(const ToPartner& to) {
    return fits_domain(to.our_domain) && fits_domain(to.their_domain) && fits_stanza(to.stanza);
}

std::size_t frame_size(Bytes written) {
    return kLengthBytes + Reader(written).number<std::uint32_t>();
}

}  // namespace fedgate::link
