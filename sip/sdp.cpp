#include "sip/sdp.hpp"

#include <algorithm>

#include "core/base/hash.hpp"
#include "sip/chars.hpp"
#include "sip/uri.hpp"

namespace fedgate::sip {
namespace {

using namespace chars;

// RFC 8866 5: the order of lines. Of one rank several may stand in any order; a type that is in
// neither list may stand anywhere.
struct Rank {
    char type;
    std::uint8_t rank;
    bool repeats;
};
constexpr Rank kSessionLines[] = {
    {'v', 1, false}, {'o', 2, false}, {'s', 3, false},  {'i', 4, false}, {'u', 5, false},
    {'e', 6, true},  {'p', 6, true},  {'c', 7, false},  {'b', 8, true},  {'t', 9, true},
    {'r', 9, true},  {'z', 10, true}, {'k', 11, false}, {'a', 12, true},
};
constexpr Rank kMediaLines[] = {
    {'i', 1, false}, {'c', 2, true}, {'b', 3, true}, {'k', 4, false}, {'a', 5, true},
};

constexpr Bytes kSetups[] = {{}, "active", "passive", "actpass", "holdconn"};

constexpr Bytes kLyncTypes = "text/plain multipart/alternative text/html";  // SESS-40
constexpr Bytes kMsrpTypes = "text/plain application/im-iscomposing+xml";   // SESS-20
constexpr Bytes kMsrpProtos[] = {"TCP/MSRP", "TCP/TLS/MSRP"};

struct Line {
    char type = 0;
    Bytes value;
};

// The next line without its end. False: there is none, or it is no line; then `text` is not empty.
bool take_line(Bytes& text, Line& line) {
    const std::size_t end = text.find('\n');
    Bytes one = text.substr(0, end);
    if (one.ends_with('\r')) one.remove_suffix(1);
    if (one.size() < 2 || one[1] != '=' || !is(one[0], kAlpha) || !all<kLine>(one)) return false;
    line = {one[0], one.substr(2)};
    text.remove_prefix(end == Bytes::npos ? text.size() : end + 1);
    return true;
}

Bytes take_word(Bytes& text) {
    text = skip_space(text);
    const Bytes word = text.substr(0, text.find_first_of(" \t"));
    text.remove_prefix(word.size());
    return word;
}

// nettype SP addrtype SP connection-address, which may have a TTL behind a '/'. False: it has not.
bool read_connection(Bytes value, Bytes& host) {
    const Bytes net = take_word(value);
    const Bytes type = take_word(value);
    const Bytes address = take_word(value);
    if (net.empty() || type.empty() || address.empty() || !skip_space(value).empty()) return false;
    host = address.substr(0, address.find('/'));
    return !host.empty();
}

bool read_origin(Bytes value, Sdp& out) {
    out.origin = value;
    const Bytes user = take_word(value);
    out.id = take_word(value);
    out.version = take_word(value);
    Bytes host;
    return !user.empty() && !out.id.empty() && all<kDigit>(out.id) && !out.version.empty() &&
           all<kDigit>(out.version) && read_connection(value, host);
}

// media SP port ["/" count] SP proto 1*(SP fmt)
bool read_media(Bytes value, SdpMedia& out) {
    out.line = value;
    out.media = take_word(value);
    Bytes port = take_word(value);
    std::uint64_t number_value = 0;
    if (out.media.empty() || !all<kToken>(out.media)) return false;
    if (take_number(port, 65'535, number_value) == 0) return false;
    out.port = static_cast<std::uint16_t>(number_value);
    if (!port.empty() && (!take(port, '/') || !number(port, 65'535, number_value))) return false;
    out.proto = take_word(value);
    out.formats = trim(value);
    return !out.proto.empty() && all<kGraph>(out.proto) && !out.formats.empty();
}

bool read_attribute(Bytes value, SdpMedia& media) {
    struct Text {
        Bytes name;
        Bytes SdpMedia::* field;
    };
    static constexpr Text kTexts[] = {
        {"accept-types", &SdpMedia::accept_types},
        {"accept-wrapped-types", &SdpMedia::accept_wrapped_types},
        {"path", &SdpMedia::path},
    };
    const std::size_t colon = value.find(':');
    const Bytes name = value.substr(0, colon);
    if (name.empty() || !all<kToken>(name)) return false;
    const Bytes rest = colon == Bytes::npos ? Bytes{} : trim(value.substr(colon + 1));
    for (const Text& text : kTexts) {
        if (name == text.name && (media.*text.field).empty()) media.*text.field = rest;
    }
    if (name == "max-size" && media.max_size == 0) {
        // More than anybody can count to is no bound at all.
        if (!all<kDigit>(rest) || rest.empty()) return false;
        if (!number(rest, 1'000'000'000'000'000'000, media.max_size)) media.max_size = 0;
    } else if (name == "setup" && media.setup == Setup::kNone) {
        const auto found = std::find(std::begin(kSetups) + 1, std::end(kSetups), rest);
        if (found != std::end(kSetups)) media.setup = static_cast<Setup>(found - kSetups);
    } else if (name == "connection") {
        media.new_connection = media.new_connection || rest == "new";
    }
    return true;
}

const Rank* find_rank(std::span<const Rank> ranks, char type) {
    const auto found = std::ranges::find(ranks, type, &Rank::type);
    return found == ranks.end() ? nullptr : &*found;
}

// What is behind the `name` of an a= value: nothing, or ':' and its value.
std::optional<Bytes> value_behind(Bytes attribute, Bytes name) {
    if (!attribute.starts_with(name)) return std::nullopt;
    attribute.remove_prefix(name.size());
    if (attribute.empty()) return Bytes{};
    if (!take(attribute, ':')) return std::nullopt;
    return trim(attribute);
}

// Reads a description line by line; what is kept of a line is up to where it stands.
class Reader {
public:
    explicit Reader(Sdp& out) : out_(out) {}

    Result<void> read(Bytes body) {
        const char* const begin = body.data();
        Bytes rest = body;
        while (!rest.empty()) {
            // RFC 8866 knows no empty line; some end a description with one.
            if (rest == "\r\n" || rest == "\n") break;
            const char* const start = rest.data();
            Line line;
            if (!take_line(rest, line)) return failure(Errc::kMalformed, "SDP line");
            if (line.type == 'm') {
                end_section(start);
                if (const auto begun = begin_media(line.value); !begun) return begun;
                section_ = rest.data();
            } else if (const auto done = read_line(line); !done) {
                return done;
            } else if (section_ == nullptr) {
                section_ = begin;
            }
        }
        end_section(rest.data());
        if (!time_) return failure(Errc::kMalformed, "SDP without t=");
        return {};
    }

private:
    void end_section(const char* end) {
        if (section_ == nullptr) return;
        (media_ == nullptr ? out_.lines : media_->lines) = {
            section_, static_cast<std::size_t>(end - section_)};
    }

    Result<void> begin_media(Bytes value) {
        if (!time_) return failure(Errc::kMalformed, "SDP without t=");
        if (out_.media_count == out_.media_.size()) return failure(Errc::kLimit, "SDP m= lines");
        media_ = &out_.media_[out_.media_count++];
        media_->connection = out_.connection;
        rank_ = 0;
        if (!read_media(value, *media_)) return failure(Errc::kMalformed, "SDP m=");
        return {};
    }

    // RFC 8866 5: v=, o= and s= come first, and the others in their order.
    Result<void> read_line(const Line& line) {
        const Rank* const rank = media_ == nullptr ? find_rank(kSessionLines, line.type)
                                                   : find_rank(kMediaLines, line.type);
        const bool early = media_ == nullptr && rank_ < 3;
        if (rank == nullptr) {
            const bool ours = find_rank(kSessionLines, line.type) != nullptr;
            if (early || ours) return failure(Errc::kMalformed, "SDP order");
            return {};
        }
        const bool again = rank->repeats && rank->rank == rank_;
        const bool skipped = early && rank->rank != rank_ + 1;
        if ((rank->rank <= rank_ && !again) || skipped)
            return failure(Errc::kMalformed, "SDP order");
        rank_ = rank->rank;
        return keep(line);
    }

    Result<void> keep(const Line& line) {
        switch (line.type) {
            case 'v':
                if (line.value != "0") return failure(Errc::kUnsupported, "SDP version");
                break;
            case 'o':
                if (!read_origin(line.value, out_)) return failure(Errc::kMalformed, "SDP o=");
                break;
            case 'c': {
                Bytes host;
                if (!read_connection(line.value, host)) return failure(Errc::kMalformed, "SDP c=");
                (media_ == nullptr ? out_.connection : media_->connection) = host;
                break;
            }
            case 't': time_ = true; break;
            case 'a':
                if (media_ != nullptr && !read_attribute(line.value, *media_)) {
                    return failure(Errc::kMalformed, "SDP a=");
                }
                break;
            default: break;
        }
        return {};
    }

    Sdp& out_;
    SdpMedia* media_ = nullptr;      // null: in the part of the session
    const char* section_ = nullptr;  // where its lines begin
    std::uint8_t rank_ = 0;          // of the last line of this part
    bool time_ = false;
};

// Nothing, or what keeps us from talking over it.
const char* fault_of_lync(const SdpMedia& media) {
    if (!equal_ignoring_case(media.proto, "sip")) return "m=message of another protocol";
    const Bytes format = media.formats.substr(0, media.formats.find_first_of(" \t"));
    if (format != "null" && !equal_ignoring_case(format.substr(0, 4), "sip:")) {
        return "m=message without null or a SIP URI";
    }
    if (!media.accept_types.empty() && !accepts_type(media.accept_types, "text/plain")) {
        return "accept-types without text/plain";
    }
    return nullptr;
}

// RFC 4975 6, 8.2: the scheme that its proto asks for, then host and session, then ";tcp". The
// engine of MSRP reads it in whole.
bool usable_path(Bytes path, bool tls) {
    if (path.empty() || path.size() > limits::kMsrpPathBytes) return false;
    const Bytes scheme = tls ? "msrps://" : "msrp://";
    while (!path.empty()) {
        Bytes uri = take_word(path);
        path = skip_space(path);
        if (!equal_ignoring_case(uri.substr(0, scheme.size()), scheme)) return false;
        uri.remove_prefix(scheme.size());
        const std::size_t slash = uri.find('/');
        const std::size_t transport = uri.find(';');
        if (slash == 0 || transport == Bytes::npos || slash > transport) return false;
        if (!equal_ignoring_case(uri.substr(transport, 4), ";tcp")) return false;
    }
    return true;
}

const char* fault_of_msrp(const SdpMedia& media, std::optional<bool> tls) {
    const bool tcp = equal_ignoring_case(media.proto, kMsrpProtos[0]);
    if (!tcp && !over_tls(media)) return "m=message of another protocol";
    if (tls && *tls == tcp) return *tls ? "m=message without TLS" : "m=message with TLS";
    if (!usable_path(media.path, !tcp)) return "m=message without a usable path";
    if (!accepts_type(media.accept_types, "text/plain")) return "accept-types without text/plain";
    return nullptr;
}

// Everything behind the line o=, which needs to know whether it is new.
class Writer {
public:
    Writer(Sink& sink, const OwnSdp& own, SdpVersion& version)
        : sink_(sink), own_(own), version_(version) {}

    template <typename Media>
    void write(Media&& media) {
        const std::size_t begin = sink_.size();
        const std::uint64_t before = version_.mark;
        version_.mark = write_all(media);
        if (sink_.overflowed() || before == 0 || before == version_.mark) return;
        ++version_.number;
        sink_.truncate(begin);
        static_cast<void>(write_all(media));
    }

    void write_taken(Bytes media, Bytes formats, bool tls, Setup setup) {
        const bool lync = own_.kind == SessionKind::kLync;
        sink_.append("m=", media, " ");
        sink_.append_number(own_.port);
        sink_.append(" ", lync ? Bytes("sip") : kMsrpProtos[tls], " ", formats, "\r\n");
        const Bytes types = lync ? kLyncTypes : kMsrpTypes;
        sink_.append("a=accept-types:", own_.accept_types.empty() ? types : own_.accept_types,
                     "\r\n");
        if (lync) return;
        sink_.append("a=path:", own_.path, "\r\n");
        if (own_.max_size != 0) {
            sink_.append("a=max-size:");
            sink_.append_number(own_.max_size);
            sink_.append("\r\n");
        }
        if (setup == Setup::kNone) return;
        sink_.append("a=setup:", kSetups[static_cast<std::size_t>(setup)], "\r\n");
    }

    void write_refused(const SdpMedia& media) {
        const Bytes format = media.formats.substr(0, media.formats.find_first_of(" \t"));
        sink_.append("m=", media.media, " 0 ", media.proto, " ", format, "\r\n");
    }

private:
    template <typename Media>
    std::uint64_t write_all(Media& media) {
        sink_.append("v=0\r\no=- ");
        sink_.append_number(own_.id);
        sink_.append(' ');
        sink_.append_number(version_.number);
        const std::size_t begin = sink_.size();
        const Bytes address = is_ipv6(own_.host) ? " IN IP6 " : " IN IP4 ";
        sink_.append(address, own_.host, "\r\ns=session\r\nc=", address.substr(1), own_.host,
                     "\r\nt=0 0\r\n");
        media();
        return fnv1a(sink_.written().substr(begin)) | 1;  // never 0
    }

    Sink& sink_;
    const OwnSdp& own_;
    SdpVersion& version_;
};

}  // namespace

Result<void> parse_sdp(Bytes body, Sdp& out) {
    out = {};
    if (body.size() > limits::kSdpBytes) return failure(Errc::kLimit, "SDP size");
    return Reader(out).read(body);
}

SdpAttribute find_attribute(Bytes lines, Bytes name) {
    Line line;
    while (take_line(lines, line)) {
        if (line.type != 'a') continue;
        if (const auto value = value_behind(line.value, name)) return {true, *value};
    }
    return {};
}

bool accepts_type(Bytes accept_types, Bytes type) {
    while (!accept_types.empty()) {
        const Bytes one = take_word(accept_types);
        const Bytes main = type.substr(0, type.find('/') + 1);
        if (one == "*" || one == "*/*" || equal_ignoring_case(one, type)) return true;
        if (one.ends_with("/*") && equal_ignoring_case(one.substr(0, one.size() - 1), main))
            return true;
        accept_types = skip_space(accept_types);
    }
    return false;
}

bool over_tls(const SdpMedia& media) { return equal_ignoring_case(media.proto, kMsrpProtos[1]); }

Result<std::size_t> pick_message(const Sdp& sdp, SessionKind kind, std::optional<bool> tls) {
    Error why{Errc::kNotFound, 0, "no m=message"};
    for (std::size_t i = 0; i < sdp.media_count; ++i) {
        const SdpMedia& media = sdp.media_[i];
        const bool old = kind == SessionKind::kLync && media.media == "x-ms-message";  // SESS-40
        if (media.media != "message" && !old) continue;
        const char* fault = media.port == 0 ? "m=message with port 0" : nullptr;
        if (fault == nullptr)
            fault = kind == SessionKind::kLync ? fault_of_lync(media) : fault_of_msrp(media, tls);
        if (fault == nullptr) return i;
        why = {Errc::kUnsupported, 0, fault};
    }
    return Failure{why};
}

void write_offer(Sink& sink, const OwnSdp& own, SdpVersion& version) {
    Writer writer(sink, own, version);
    writer.write([&] {
        writer.write_taken("message", own.kind == SessionKind::kLync ? "null" : "*", own.tls,
                           own.setup);
    });
}

void write_answer(Sink& sink, const OwnSdp& own, const Sdp& offer, std::size_t taken,
                  SdpVersion& version) {
    FEDGATE_CHECK(taken < offer.media_count);
    Writer writer(sink, own, version);
    writer.write([&] {
        for (std::size_t i = 0; i < offer.media_count; ++i) {
            const SdpMedia& media = offer.media_[i];
            if (i != taken) {
                writer.write_refused(media);
                continue;
            }
            writer.write_taken(media.media, own.kind == SessionKind::kLync ? "null" : "*",
                               over_tls(media), own.setup);
        }
    });
}

Setup answer_to(Setup offered) {
    switch (offered) {
        case Setup::kActive:
        case Setup::kActpass: return Setup::kPassive;
        case Setup::kPassive: return Setup::kActive;
        case Setup::kHoldconn: return Setup::kHoldconn;
        case Setup::kNone: break;
    }
    return Setup::kNone;
}

}  // namespace fedgate::sip
