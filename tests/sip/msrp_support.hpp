// What the tests of MSRP share: examples after RFC 4975's, and streams that come in pieces, each in
// memory of exactly its size.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/check.hpp"
#include "sip/msrp_framer.hpp"

namespace fedgate::sip::test {

constexpr std::size_t kMsrpBodyMax = 4'096;

inline const std::string kAlice = "msrp://alicepc.example.com:7777/iau39soe2843z;tcp";
inline const std::string kBob = "msrp://bob.example.com:8888/9di4eae923wzd;tcp";

// A request as it stands on the wire. `lines`: header fields behind the paths, each with its CRLF.
inline std::string msrp_request(const std::string& id, const std::string& method,
                                const std::string& lines, const std::string& to = kBob,
                                const std::string& from = kAlice) {
    return "MSRP " + id + " " + method + "\r\nTo-Path: " + to + "\r\nFrom-Path: " + from + "\r\n" +
           lines;
}
inline std::string msrp_end(const std::string& id, char flag = '$') {
    return "-------" + id + flag + "\r\n";
}
// A chunk of plain text.
inline std::string msrp_send(const std::string& id, const std::string& message_id,
                             const std::string& range, const std::string& body, char flag = '$',
                             const std::string& lines = "") {
    return msrp_request(id, "SEND",
                        "Message-ID: " + message_id + "\r\nByte-Range: " + range + "\r\n" + lines +
                            "Content-Type: text/plain\r\n\r\n") +
           body + "\r\n" + msrp_end(id, flag);
}
inline std::string msrp_answer(const std::string& id, const std::string& status) {
    return "MSRP " + id + " " + status + "\r\nTo-Path: " + kBob + "\r\nFrom-Path: " + kAlice +
           "\r\n" + msrp_end(id);
}

// One thing that came out of a stream, as text that can be compared.
inline std::string describe(const MsrpFrame& frame, const MsrpMessage& message) {
    if (frame.kind == MsrpFrameKind::kRefused) {
        return std::to_string(frame.fault.status) + " " + frame.fault.reason +
               (frame.fault.close ? " close" : "");
    }
    std::string out(message.transaction);
    for (const Bytes part : {message.to.text, message.from.text, message.message_id,
                             message.content_type, message.body}) {
        out += "|";
        out += part;
    }
    out += "|" + std::to_string(message.status) + "|" + std::to_string(message.range.first);
    out += static_cast<char>(message.flag);
    return out;
}

inline void check_inside(Bytes view, Bytes whole) {
    if (view.empty()) return;
    FEDGATE_CHECK(view.data() >= whole.data());
    FEDGATE_CHECK(view.data() + view.size() <= whole.data() + whole.size());
}

// Feeds `stream` in pieces that end at `cuts`; `look` is called with what is whole, or refused.
// Stops where the connection would be closed. False then.
template <typename Look>
bool frame_msrp(Bytes stream, std::vector<std::size_t> cuts, std::size_t body_max, Look look) {
    MsrpFramer framer(body_max);
    MsrpMessage message;
    std::ranges::sort(cuts);
    cuts.push_back(stream.size());
    std::vector<char> pending;
    std::size_t shown = 0;
    for (const std::size_t cut : cuts) {
        if (cut < shown || cut > stream.size()) continue;
        pending.insert(pending.end(), stream.begin() + static_cast<std::ptrdiff_t>(shown),
                       stream.begin() + static_cast<std::ptrdiff_t>(cut));
        shown = cut;
        while (true) {
            const std::vector<char> exact(pending);
            const Bytes input(exact.data(), exact.size());
            const MsrpFrame frame = framer.next(input, message);
            FEDGATE_CHECK(frame.consumed <= input.size());
            if (frame.kind == MsrpFrameKind::kNeedMore) {
                FEDGATE_CHECK(frame.consumed == 0);
                break;
            }
            if (frame.kind != MsrpFrameKind::kSkipped) {
                for (const Bytes view :
                     {message.transaction, message.to.text, message.from.last.session,
                      message.message_id, message.content_type, message.body}) {
                    check_inside(view, input);
                }
                look(frame, message);
            }
            if (frame.fault.close) return false;
            FEDGATE_CHECK(frame.consumed > 0);
            pending.erase(pending.begin(),
                          pending.begin() + static_cast<std::ptrdiff_t>(frame.consumed));
        }
    }
    return true;
}

inline std::vector<std::string> feed_msrp(Bytes stream, std::vector<std::size_t> cuts,
                                          std::size_t body_max = kMsrpBodyMax) {
    std::vector<std::string> out;
    frame_msrp(stream, std::move(cuts), body_max,
               [&out](const MsrpFrame& frame, const MsrpMessage& message) {
                   out.push_back(describe(frame, message));
               });
    return out;
}

}  // namespace fedgate::sip::test
