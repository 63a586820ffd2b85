// Two sessions and the connection between them, for tests: bytes go when the test says so.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "appliance/link/session.hpp"

namespace fedgate::link::test {

inline Id id_of(std::uint64_t number) {
    Id id{};
    for (std::size_t i = 0; i < 8; ++i) id[i] = static_cast<std::uint8_t>(number >> (8 * i));
    id[15] = 1;
    return id;
}

// What a test says of a frame: "from <stanza>", "to 5 <stanza>", "outcome 7", "news b.example".
inline std::string text_of(const Frame& frame) {
    if (const auto* from = std::get_if<FromPartner>(&frame)) {
        return "from " + std::string(from->stanza);
    }
    if (const auto* to = std::get_if<ToPartner>(&frame)) {
        return "to " + std::to_string(to->ticket) + ' ' + std::string(to->stanza);
    }
    if (const auto* outcome = std::get_if<Outcome>(&frame)) {
        return "outcome " + std::to_string(outcome->ticket);
    }
    if (const auto* news = std::get_if<PartnerNews>(&frame)) {
        return "news " + std::string(news->their_domain);
    }
    return "?";
}

struct Side : SessionOwner {
    explicit Side(Role role, std::uint64_t instance = 1,
                  std::uint32_t window = limits::kLinkWindowBytes)
        : session(*this,
                  {role, role == Role::kEdge ? "edge1" : "gw1", id_of(instance), 0, window}) {}

    void on_output(Session&, Bytes bytes) override { out.append(bytes); }
    bool on_frame(Session&, const Frame& frame) override {
        const bool may_wait =
            std::holds_alternative<FromPartner>(frame) || std::holds_alternative<ToPartner>(frame);
        if (may_wait && refusing) return false;
        seen.push_back(text_of(frame));
        return true;
    }
    void on_up(Session&, bool resumed) override { seen.push_back(resumed ? "up again" : "up"); }
    void on_down(Session&, Bytes why) override { seen.push_back("down: " + std::string(why)); }
    void on_returned(Session&, const Frame& frame, bool maybe_taken) override {
        seen.push_back((maybe_taken ? "maybe " : "not ") + text_of(frame));
    }
    void on_room(Session&) override { seen.push_back("room"); }
    void on_drain(Session&) override { seen.push_back("drain"); }

    std::vector<std::string> take_seen() { return std::exchange(seen, {}); }
    std::string take_out() { return std::exchange(out, {}); }

    Session session;
    std::string out;  // for the connection
    std::vector<std::string> seen;
    bool refusing = false;
};

// The frames in `bytes`, one after another; those that make no sense end it.
inline std::vector<Frame> frames_of(Bytes bytes) {
    std::vector<Frame> frames;
    while (true) {
        const FrameRead read = read_frame(bytes, kLinkMinor);
        if (read.status != FrameRead::Status::kWhole) return frames;
        frames.push_back(read.frame);
        bytes.remove_prefix(read.size);
    }
}

}  // namespace fedgate::link::test
