#include "appliance/link/frame.hpp"

#include <concepts>

#include "appliance/link/limits.hpp"
#include "core/base/check.hpp"
#include "core/base/limits.hpp"

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
    kFromPartner = 0x80,
    kToPartner = 0x81,
};
constexpr std::uint8_t kLaneBits = 0xC0;
constexpr std::uint8_t kStanzasBits = 0x80;

// What stands on the wire are these enumerations themselves: new values go to their end, and a new
// end needs a new version.
static_assert(static_cast<int>(Proof::kDialbackClear) == 2);
static_assert(static_cast<int>(Fault::kTooLong) == 9);
static_assert(static_cast<int>(Fate::kFailed) == 3);
static_assert(static_cast<int>(PartnerNews::Kind::kSeen) == 3);

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
    void code(Enum value) {
        number(static_cast<std::uint8_t>(value));
    }
    void id(const Id& id) { to_.append(reinterpret_cast<const char*>(id.data()), id.size()); }
    void counts(const Counts& counts) {
        for (const std::uint64_t count : counts) number(count);
    }
    void text(Bytes text, std::size_t max) {
        text = text.substr(0, max);
        number(static_cast<std::uint16_t>(text.size()));
        to_.append(text);
    }
    void domain(Bytes domain) { text(domain, limits::kJidPartBytes); }
    void stanza(Bytes stanza) {
        number(static_cast<std::uint32_t>(stanza.size()));
        to_.append(stanza);
    }

private:
    std::string& to_;
    const std::size_t start_;
};

// Reads fields one after another; the first that is wrong is the fault, and those behind it are
// empty.
class Reader {
public:
    explicit Reader(Bytes rest) : rest_(rest) {}

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
    template <typename Enum>
    Enum code(Enum first, Enum last) {
        const auto value = number<std::uint8_t>();
        const auto from = static_cast<std::uint8_t>(first);
        if (value >= from && value <= static_cast<std::uint8_t>(last)) {
            return static_cast<Enum>(value);
        }
        fail("has a value that is not defined");
        return first;
    }
    Id id() {
        Id id{};
        const Bytes bytes = take(id.size());
        for (std::size_t i = 0; i < bytes.size(); ++i) {
            id[i] = static_cast<std::uint8_t>(bytes[i]);
        }
        return id;
    }
    Counts counts() {
        Counts counts{};
        for (std::uint64_t& count : counts) count = number<std::uint64_t>();
        return counts;
    }
    Bytes text(std::size_t max) { return sized(number<std::uint16_t>(), 0, max); }
    Bytes domain() { return sized(number<std::uint16_t>(), 1, limits::kJidPartBytes); }
    Bytes stanza() { return sized(number<std::uint32_t>(), 1, limits::kLinkStanzaBytes); }
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
    const char* fault_ = "";
};

Hello read_hello(Reader& in) {
    Hello hello;
    hello.major = in.number<std::uint16_t>();
    hello.minor = in.number<std::uint16_t>();
    if (hello.major != kLinkMajor) return hello;  // what follows is that version's
    hello.role = in.code(Role::kEdge, Role::kGateway);
    hello.part = in.number<std::uint16_t>();
    hello.instance = in.id();
    hello.session = in.id();
    hello.taken = in.counts();
    hello.window = in.number<std::uint32_t>();
    hello.node = in.text(limits::kLinkTextBytes);
    return hello;
}

Outcome read_outcome(Reader& in) {
    Outcome outcome{};
    outcome.ticket = in.number<std::uint64_t>();
    outcome.fate = in.code(Fate::kWritten, Fate::kFailed);
    outcome.fault = in.code(Fault::kNone, Fault::kTooLong);
    const auto acknowledges = in.number<std::uint8_t>();
    if (acknowledges > 1) in.fail("has a value that is not defined");
    outcome.acknowledges = acknowledges == 1;
    return outcome;
}

PartnerNews read_news(Reader& in) {
    PartnerNews news{};
    news.kind = in.code(PartnerNews::Kind::kUp, PartnerNews::Kind::kSeen);
    news.fault = in.code(Fault::kNone, Fault::kTooLong);
    news.our_domain = in.domain();
    news.their_domain = in.domain();
    news.why = in.text(limits::kLinkTextBytes);
    return news;
}

FromPartner read_from_partner(Reader& in) {
    FromPartner from{};
    from.proof = in.code(Proof::kCertificate, Proof::kDialbackClear);
    from.from_domain = in.domain();
    from.stanza = in.stanza();
    return from;
}

ToPartner read_to_partner(Reader& in) {
    ToPartner to{};
    to.ticket = in.number<std::uint64_t>();
    to.our_domain = in.domain();
    to.their_domain = in.domain();
    to.stanza = in.stanza();
    return to;
}

End read_end(Reader& in) {
    End end{};
    end.code = in.code(EndCode::kDone, kEndCodeLast);
    end.sentence = in.text(limits::kLinkTextBytes);
    return end;
}

Frame read_kind(std::uint8_t kind, Reader& in) {
    switch (static_cast<Kind>(kind)) {
        case Kind::kHello: return read_hello(in);
        case Kind::kAck: return Ack{in.counts()};
        case Kind::kPing: return Ping{in.number<std::uint64_t>()};
        case Kind::kPong: return Pong{in.number<std::uint64_t>()};
        case Kind::kDrain: return Drain{};
        case Kind::kEnd: return read_end(in);
        case Kind::kOutcome: return read_outcome(in);
        case Kind::kPartnerNews: return read_news(in);
        case Kind::kFromPartner: return read_from_partner(in);
        case Kind::kToPartner: return read_to_partner(in);
    }
    return Unknown{kind};
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

    Reader in(input.substr(kLengthBytes, length));
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
    if (*in.fault() != '\0') return malformed(in.fault());
    read.status = FrameRead::Status::kWhole;
    read.size = kLengthBytes + length;
    read.numbered = (kind & kLaneBits) != 0;
    read.lane = (kind & kLaneBits) == kStanzasBits ? Lane::kStanzas : Lane::kNews;
    return read;
}

void write_frame(std::string& to, const Hello& hello) {
    Writer out(to, Kind::kHello);
    out.number(hello.major);
    out.number(hello.minor);
    out.code(hello.role);
    out.number(hello.part);
    out.id(hello.instance);
    out.id(hello.session);
    out.counts(hello.taken);
    out.number(hello.window);
    out.text(hello.node, limits::kLinkTextBytes);
}

void write_frame(std::string& to, const Ack& ack) { Writer(to, Kind::kAck).counts(ack.taken); }

void write_frame(std::string& to, const Ping& ping) { Writer(to, Kind::kPing).number(ping.number); }

void write_frame(std::string& to, const Pong& pong) { Writer(to, Kind::kPong).number(pong.number); }

void write_frame(std::string& to, const Drain&) { Writer(to, Kind::kDrain); }

void write_frame(std::string& to, const End& end) {
    Writer out(to, Kind::kEnd);
    out.code(end.code);
    out.text(end.sentence, limits::kLinkTextBytes);
}

void write_frame(std::string& to, const Outcome& outcome) {
    Writer out(to, Kind::kOutcome);
    out.number(outcome.ticket);
    out.code(outcome.fate);
    out.code(outcome.fault);
    out.code(outcome.acknowledges);
}

void write_frame(std::string& to, const PartnerNews& news) {
    FEDGATE_CHECK(fits(news));
    Writer out(to, Kind::kPartnerNews);
    out.code(news.kind);
    out.code(news.fault);
    out.domain(news.our_domain);
    out.domain(news.their_domain);
    out.text(news.why, limits::kLinkTextBytes);
}

void write_frame(std::string& to, const FromPartner& from) {
    FEDGATE_CHECK(fits(from));
    Writer out(to, Kind::kFromPartner);
    out.code(from.proof);
    out.domain(from.from_domain);
    out.stanza(from.stanza);
}

void write_frame(std::string& to, const ToPartner& partner) {
    FEDGATE_CHECK(fits(partner));
    Writer out(to, Kind::kToPartner);
    out.number(partner.ticket);
    out.domain(partner.our_domain);
    out.domain(partner.their_domain);
    out.stanza(partner.stanza);
}

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
