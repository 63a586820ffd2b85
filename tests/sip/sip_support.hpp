// What the tests of sip/ share: messages in memory of their own, so that a parser that reads beyond
// its input is caught by the address sanitizer.
#pragma once

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "sip/framer.hpp"
#include "sip/message.hpp"

namespace fedgate::sip::test {

constexpr std::size_t kBodyMax = 65'536;

inline std::string read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Lines with LF in the source, CRLF on the wire.
inline std::string crlf(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '\n') out += '\r';
        out += c;
    }
    return out;
}

// A buffer of exactly the right size, and what was read from it.
struct Read {
    explicit Read(std::string_view bytes) : buffer(bytes.begin(), bytes.end()) {}
    std::vector<char> buffer;
    Message message;
    Parsed parsed;

    Read& parse(Carrier carrier, std::size_t body_max = kBodyMax) {
        parsed = parse_message(buffer, carrier, body_max, message);
        return *this;
    }
    Frame datagram(std::size_t body_max = kBodyMax) {
        return read_datagram(buffer, body_max, message);
    }
};

// One thing that came out of a stream, as text that can be compared.
inline std::string describe(const Frame& frame, const Message& message) {
    switch (frame.kind) {
        case FrameKind::kNeedMore: return "more";
        case FrameKind::kPing: return "crlf crlf";
        case FrameKind::kPong: return "crlf";
        case FrameKind::kSkipped: return "skipped";
        case FrameKind::kMalformed:
            return std::to_string(frame.status) + " " + frame.reason +
                   (frame.close ? " close" : "") + (message.answerable() ? " answer" : "");
        case FrameKind::kMessage: break;
    }
    std::string out = message.is_request ? std::string(message.method_name) + " " +
                                               std::string(message.request_uri_text)
                                         : std::to_string(message.status);
    for (const Bytes part :
         {message.via.branch, message.from.uri.text, message.from.tag, message.to.uri.text,
          message.to.tag, message.call_id, message.cseq.method_name, message.body}) {
        out += "|";
        out += part;
    }
    for (const Header& header : message.headers()) {
        out += "|" + std::to_string(static_cast<int>(header.id)) + "=";
        out += header.value;
    }
    return out;
}

// Feeds `stream` in pieces that end at `cuts`, each into fresh memory of exactly its size, as a
// connection would show it, and says what came out. Stops where the connection would be closed.
inline std::vector<std::string> feed(std::string_view stream, std::vector<std::size_t> cuts,
                                     std::size_t body_max = kBodyMax) {
    std::vector<std::string> out;
    Framer framer(body_max);
    Message message;
    std::vector<char> pending;
    cuts.push_back(stream.size());
    std::size_t at = 0;
    for (const std::size_t cut : cuts) {
        pending.insert(pending.end(), stream.begin() + static_cast<std::ptrdiff_t>(at),
                       stream.begin() + static_cast<std::ptrdiff_t>(cut));
        at = cut;
        while (true) {
            std::vector<char> exact(pending);
            const Frame frame = framer.next(exact, message);
            if (frame.kind == FrameKind::kNeedMore) {
                pending = exact;
                break;
            }
            // How keepalives and skipped bodies are cut is not to be seen: a ping in two halves
            // looks like a pong first.
            if (frame.kind != FrameKind::kPing && frame.kind != FrameKind::kPong &&
                frame.kind != FrameKind::kSkipped) {
                out.push_back(describe(frame, message));
            }
            if (frame.close) return out;
            pending.assign(exact.begin() + static_cast<std::ptrdiff_t>(frame.consumed),
                           exact.end());
        }
    }
    return out;
}

}  // namespace fedgate::sip::test
