// A second opinion on where messages on a stream end: slow, obvious, and written from RFC 3261 7.3,
// 7.5 and 18.3 and SIP-3 without a look at the real one. Whole lines, copies, one pass for each
// question. Only for comparison in tests.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "core/base/limits.hpp"

namespace fedgate::sip::test {

// One message: the stream up to `end` is done with. Closed: the stream ends here.
struct SlowFrame {
    std::size_t end = 0;
    std::string body;
    bool closed = false;
    std::size_t skipped = 0;  // of its body, behind `end`; not compared
    bool operator==(const SlowFrame& other) const {
        return end == other.end && body == other.body && closed == other.closed;
    }
};

class SlowFramer {
public:
    explicit SlowFramer(std::size_t body_bytes_max) : body_bytes_max_(body_bytes_max) {}

    // All that stands in `stream`, which nobody adds to.
    std::vector<SlowFrame> read(const std::string& stream) const {
        std::vector<SlowFrame> frames;
        std::size_t at = 0;
        while (true) {
            while (stream.compare(at, 2, "\r\n") == 0) at += 2;  // keep-alives
            const std::optional<SlowFrame> frame = read_one(stream.substr(at));
            if (!frame) return frames;
            frames.push_back(*frame);
            frames.back().end += at;
            if (frame->closed) return frames;
            at += frame->end + frame->skipped;
            if (at >= stream.size()) return frames;
        }
    }

private:
    struct Line {
        std::string text;      // without its end
        bool is_exact = true;  // CRLF, and no CR in it
    };

    std::optional<SlowFrame> read_one(const std::string& rest) const {
        const SlowFrame close{0, "", true, 0};
        if (rest.empty() || rest == "\r") return {};
        const std::string area = rest.substr(0, limits::kSipHeaderBytes);
        std::vector<Line> lines;
        std::size_t header_bytes = 0;
        bool ended = false;
        while (!ended) {
            const std::size_t end = area.find('\n', header_bytes);
            if (end == std::string::npos) break;
            lines.push_back(to_line(area.substr(header_bytes, end - header_bytes)));
            header_bytes = end + 1;
            if (lines.size() == 1 && !mentions_sip(lines[0].text)) return close;
            ended = lines.size() > 1 && lines.back().text.empty();
        }
        if (!ended && rest.size() >= limits::kSipHeaderBytes) return close;
        if (!ended) return {};
        if (!std::ranges::all_of(lines, &Line::is_exact)) return close;
        lines.pop_back();
        return read_body(rest, header_bytes, lines);
    }

    std::optional<SlowFrame> read_body(const std::string& rest, std::size_t header_bytes,
                                       const std::vector<Line>& lines) const {
        const SlowFrame close{0, "", true, 0};
        std::vector<std::string> lengths;
        std::size_t fields = 0;
        for (std::size_t i = 1; i < lines.size(); ++i) {
            const std::string& line = lines[i].text;
            const bool goes_on = line[0] == ' ' || line[0] == '\t';
            if (goes_on && fields == 0) return close;
            if (goes_on) continue;
            ++fields;
            const std::size_t colon = line.find(':');
            if (colon == std::string::npos) return close;
            const std::string name = without_space_behind(line.substr(0, colon));
            if (name.empty() || name.find_first_not_of(kTokenBytes) != std::string::npos) {
                return close;
            }
            if (!same(name, "content-length") && !same(name, "l")) continue;
            const bool folded = i + 1 < lines.size() &&
                                (lines[i + 1].text[0] == ' ' || lines[i + 1].text[0] == '\t');
            lengths.push_back(folded ? "folded" : line.substr(colon + 1));
        }
        if (fields > limits::kSipHeaders || lengths.size() != 1) return close;
        std::string digits = without_space_behind(lengths[0]);
        digits.erase(0, digits.find_first_not_of(" \t"));
        if (digits.empty() || digits.find_first_not_of("0123456789") != std::string::npos) {
            return close;
        }
        digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size() - 1));
        if (digits.size() > 10) return close;
        const std::size_t size = std::stoull(digits);
        if (size > limits::kSipSkippedBodyBytes && size > body_bytes_max_) return close;
        if (size > body_bytes_max_) return SlowFrame{header_bytes, "", false, size};
        if (rest.size() < header_bytes + size) return {};
        return SlowFrame{header_bytes + size, rest.substr(header_bytes, size), false, 0};
    }

    static constexpr const char* kTokenBytes =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.!%*_+`'~";

    static Line to_line(std::string text) {
        Line line;
        line.is_exact = !text.empty() && text.back() == '\r';
        if (line.is_exact) text.pop_back();
        if (text.find('\r') != std::string::npos) line.is_exact = false;
        line.text = std::move(text);
        return line;
    }
    static std::string lower(std::string text) {
        for (char& c : text) {
            if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
        }
        return text;
    }
    static bool same(const std::string& a, const char* b) { return lower(a) == b; }
    // A response, or a request of any version.
    static bool mentions_sip(const std::string& line) {
        return lower(line).starts_with("sip/") || lower(line).find(" sip/") != std::string::npos;
    }
    static std::string without_space_behind(std::string text) {
        while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.pop_back();
        return text;
    }

    std::size_t body_bytes_max_;
};

}  // namespace fedgate::sip::test
